"""The mine's air behaves as its equations say, figure by figure, and loses no gas."""

import pytest

from hardware_sim.world import ZONES, World


def running(seconds: int = 4 * 3600) -> World:
    world = World()
    for _ in range(seconds):
        world.step()
    return world


def percent(world: World, zone: str) -> float:
    return 100.0 * world.methane[zone]


def after(world: World, seconds: int) -> World:
    for _ in range(seconds):
        world.step()
    return world


def test_four_hours_in_the_air_is_as_designed() -> None:
    world = running()
    assert world.flow == pytest.approx(51.0, abs=0.1)
    assert percent(world, "heading_a") == pytest.approx(0.16, abs=0.01)
    assert percent(world, "face") == pytest.approx(0.40, abs=0.01)
    assert percent(world, "return") == pytest.approx(0.29, abs=0.01)


def test_a_heading_without_its_fan_fills_with_methane() -> None:
    world = running()
    world.fans["a"].asked = 0.0
    passed = 0
    for seconds, expected in ((300, 0.49), (900, 1.14), (1800, 2.11), (3600, 3.99)):
        after(world, seconds - passed)
        passed = seconds
        assert percent(world, "heading_a") == pytest.approx(expected, abs=0.02)


def test_without_the_main_fan_natural_draught_remains_and_the_face_fills() -> None:
    world = running(19_800)  # the barometer falls fastest then, and the goaf breathes out
    world.fans["main"].asked = 0.0
    after(world, 300)
    assert world.flow == pytest.approx(7.6, abs=0.1)
    assert percent(world, "face") == pytest.approx(1.14, abs=0.03)
    after(world, 3300)
    assert world.flow == pytest.approx(7.4, abs=0.05)
    assert percent(world, "face") == pytest.approx(3.35, abs=0.05)


def test_an_outburst_peaks_at_the_face_and_reaches_the_return() -> None:
    world = running()
    world.outburst(1.5)
    assert percent(after(world, 60), "face") == pytest.approx(2.3, abs=0.1)
    assert percent(after(world, 120), "face") == pytest.approx(3.8, abs=0.1)
    assert percent(after(world, 420), "return") == pytest.approx(1.5, abs=0.1)


def test_a_blast_fills_the_heading_with_monoxide_and_passes_through_the_return() -> None:
    world = running()
    world.blast("heading_a", 60.0)
    after(world, 1)
    assert 1e6 * world.monoxide["heading_a"] == pytest.approx(1059, abs=8)
    after(world, 299)
    assert 1e6 * world.monoxide["return"] == pytest.approx(26, abs=1.0)


def test_no_methane_appears_or_vanishes() -> None:
    world = running(600)

    def held() -> float:
        return sum(ZONES[zone].volume * world.methane[zone] for zone in ZONES)

    before, emitted, vented = held(), world.emitted, world.vented
    world.fans["a"].asked = 0.0
    world.outburst(1.0)
    after(world, 900)
    world.fans["main"].asked = 0.3
    after(world, 900)
    change = (world.emitted - emitted) - (world.vented - vented)
    assert held() - before == pytest.approx(change, abs=1e-6)


def test_oxygen_gives_way_to_methane() -> None:
    world = running()
    fresh = world.oxygen("heading_a")
    world.fans["a"].asked = 0.0
    after(world, 3600)
    assert 20.0 < fresh < 20.93
    assert world.oxygen("heading_a") < fresh - 0.7


def test_the_same_seed_gives_the_same_weather() -> None:
    assert running(500).wind() == running(500).wind()
    other = World(seed=2)
    after(other, 500)
    assert running(500).wind() != other.wind()
