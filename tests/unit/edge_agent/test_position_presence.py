"""Who is in which zone: gates, zones with hysteresis, headcounts, tags that fall silent."""

import math
from itertools import pairwise

import numpy as np
import pytest

from drivers.link import Geodetic, Ranges, Sightings
from edge_agent.position import Locator, gates
from tests.support import walks
from twin_wire.manifest import Anchor, Manifest
from twin_wire.readings import Event, Method
from twin_wire.structure import Exit, Junction, Roadway, Structure, Zone

SECOND = 1_000_000
BEGIN = 1_760_000_000 * SECOND
STRUCTURE = Structure(
    site="s",
    junctions=(Junction("a", 0, 0, 0), Junction("b", 300, 0, 0), Junction("c", 600, 0, 0)),
    roadways=(
        Roadway(id="ab", start="a", end="b", length_m=300, zone="z-main"),
        Roadway(id="bc", start="b", end="c", length_m=300, zone="z-head"),
    ),
    zones=(Zone("z-main"), Zone("z-head", kind="heading", headcount_max=2, restricted=True)),
    exits=(Exit("out", "a"),),
)
GATE = (
    Anchor(0, "rfid", "ab", 295.0, 6.0, "g", "outer"),
    Anchor(1, "rfid", "bc", 5.0, 6.0, "g", "inner", "z-head"),
)
BEACONS = (Anchor(0, "uwb", "ab", 0.0), Anchor(1, "uwb", "ab", 300.0), Anchor(2, "uwb", "bc", 300.0))


def locator(*anchors: Anchor, **more) -> Locator:
    return Locator(STRUCTURE, manifest(anchors), **more)


def manifest(anchors: tuple[Anchor, ...]) -> Manifest:
    return Manifest(
        enterprise="e", site="s", gateway="g", software="x", simulated=True, structure="", ruleset="", devices=(),
        groups=(), points=(), anchors=anchors,
    )  # fmt: skip


def read(antenna: int, second: float, tag: str = "E2-1", device: str = "rfid") -> Sightings:
    nan = np.full(1, np.nan, np.float32)
    return Sightings(
        np.array([BEGIN + round(second * SECOND)]), device, np.array([antenna], np.int32), (tag,), nan, nan
    )


def ranged(x: float, second: float, tag: int = 7) -> Ranges:
    at = [math.hypot(x - each, 1.2) for each in (0.0, 300.0, 600.0)]
    now = np.full(3, BEGIN + round(second * SECOND))
    mm = np.round(np.array(at) * 1000).astype(np.int32)
    return Ranges(now, "uwb", np.full(3, tag, np.int32), np.arange(3, dtype=np.int32), mm)


def test_tags_of_passing_goods_make_room_for_people_at_a_gate(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gates, "TAGS_MAX", 4)
    here = locator(*GATE)
    for n in range(10):
        here.feed(read(0, 20.0 * n, f"coat-{n}"))
        look(here, 20.0 * n + 5)
    here.feed(read(0, 300.0, "E2-9"))
    here.feed(read(1, 302.0, "E2-9"))
    look(here, 310.0)
    assert here.memory()["z-head"] == ["E2-9"]


def look(here: Locator, second: float, down: tuple[str, ...] = ()) -> list[Event]:
    return here.look(BEGIN + round(second * SECOND), down)[1]


def rules(events: list[Event]) -> list[tuple[str, str, bool]]:
    return [(e.rule, e.point, e.end_us > e.begin_us + 1) for e in events]


def walk_through(
    here: Locator, antennas: list[int], begin_s: float, tag: str = "E2-1"
) -> tuple[list[int], list[Event], set[int]]:
    """Return the zones told, the events and the methods of one passage."""
    found = [here.feed(read(antenna, begin_s + 0.3 * n, tag)) for n, antenna in enumerate(antennas)]
    waiting, events = here.look(BEGIN + round((begin_s + 0.3 * len(antennas) + 3) * SECOND))
    found.append(waiting)
    return [z for f in found for z in f.zone.tolist()], events, {m for f in found for m in f.method.tolist()}


def test_outer_then_inner_is_an_entry_and_back_an_exit() -> None:
    here = locator(*GATE)
    zones, events, methods = walk_through(here, [0, 0, 0, 0, 1, 1, 1], 10)
    assert (zones[-1], methods, here.memory()) == (1, {Method.READER}, {"z-head": ["E2-1"]})
    assert ("zone_enter", 1.0) in [(e.rule, e.numbers.get("headcount")) for e in events]
    zones, events, _ = walk_through(here, [1, 1, 1, 0, 0, 0], 60)
    assert (zones[-1], here.memory()) == (0, {"z-head": []})
    assert ("zone_exit", 0.0) in [(e.rule, e.numbers.get("headcount")) for e in events]


@pytest.mark.parametrize("antennas", [[0, 0, 0, 1, 0, 0], [0, 0, 1, 0, 1, 0, 0, 0]])
def test_whoever_turns_back_at_the_gate_has_not_entered(antennas: list[int]) -> None:
    here = locator(*GATE)
    walk_through(here, antennas, 10)
    assert here.memory() == {"z-head": []}


def test_the_antenna_read_last_decides_once_the_tag_is_quiet() -> None:
    here = locator(*GATE)
    zones, _, _ = walk_through(here, [0, 0, 1, 0, 1], 10)
    assert here.memory() == {"z-head": ["E2-1"]}
    assert zones[-1] == 1  # told although nothing more is heard of it


def test_who_is_inside_survives_a_restart() -> None:
    here = locator(*GATE)
    walk_through(here, [0, 0, 0, 1, 1, 1], 10)
    again = locator(*GATE, memory=here.memory())
    walk_through(again, [1, 1, 1, 0, 0, 0], 1000)
    assert again.memory() == {"z-head": []}


def test_gates_and_beacons_that_disagree_are_both_told() -> None:
    here = locator(*GATE, *BEACONS)
    for n in range(3):
        walk_through(here, [0, 0, 0, 1, 1, 1], 10 + 10 * n, f"E2-{n}")
    told: list[Event] = []
    for second in range(60, 240):
        for tag in (1, 2):
            here.feed(ranged(400.0 + 10 * tag, second, tag))
        told += look(here, second + 0.5)
    [mismatch] = [e for e in told if e.rule == "headcount_mismatch"]
    assert (mismatch.numbers["gate_count"], mismatch.numbers["beacon_count"]) == (3.0, 2.0)
    assert (mismatch.point, mismatch.severity, mismatch.end_us) == ("z-head", 3, 0)
    _, events, _ = walk_through(here, [1, 1, 1, 0, 0, 0], 240, "E2-0")
    assert ("headcount_mismatch", "z-head", True) in rules(events)


def test_too_many_in_a_zone_is_told_and_ends() -> None:
    here = locator(*BEACONS)
    told: list[Event] = []
    for second in range(40):
        for tag in range(3):
            here.feed(ranged(450.0 if second < 20 or tag else 150.0, second, tag))
        told += look(here, second + 0.5)
    found = [e for e in told if e.rule == "headcount"]
    assert [(e.point, e.numbers["headcount"], e.numbers["headcount_max"]) for e in found] == [
        ("z-head", 3.0, 2.0), ("z-head", 2.0, 2.0),
    ]  # fmt: skip
    assert [bool(e.end_us) for e in found] == [False, True]


def test_a_tag_in_a_closed_zone_is_told_until_it_is_out_even_over_a_restart() -> None:
    here = locator(*BEACONS)
    for second in range(30):
        here.feed(ranged(290.0 + second, second))
    assert ("zone_restricted", "tag-7", False) in rules(look(here, 30))
    again = locator(*BEACONS, active=[("zone_restricted", "tag-7"), ("device_down", "uwb")])
    for second in range(40, 60):
        again.feed(ranged(150.0, second))
    assert [(e.rule, bool(e.end_us)) for e in look(again, 60)] == [("zone_restricted", True)]


def test_a_tag_that_stands_on_a_boundary_does_not_change_zones_all_the_time() -> None:
    here, rng, zones = locator(*BEACONS), np.random.default_rng(5), []
    for second in range(120):
        zones += here.feed(ranged(300.0 + float(rng.normal(0, 0.5)), second)).zone.tolist()
    changes = sum(a != b for a, b in pairwise(zones))
    assert len(zones) > 100
    assert changes <= 3
    for second in range(120, 140):
        zones += here.feed(ranged(305.0 + second - 120, second)).zone.tolist()
    assert zones[-10:] == [1] * 10


def test_a_tag_last_heard_underground_and_then_not_is_lost_until_heard_again() -> None:
    here = locator(*BEACONS)
    for second in range(5):
        here.feed(ranged(150.0, second))
    assert [each for second in range(5, 184, 10) for each in look(here, second)] == []
    [lost] = look(here, 190)
    assert (lost.rule, lost.point, lost.severity, lost.end_us) == ("tag_lost", "tag-7", 3, 0)
    assert abs(lost.numbers["chainage_m"] - 150) < 1
    assert look(here, 200) == []
    here.feed(ranged(150.0, 201))
    assert rules(look(here, 202)) == [("tag_lost", "tag-7", True)]


@pytest.mark.parametrize(("x", "down"), [(10.0, ()), (150.0, ("uwb",))])
def test_who_went_out_or_whose_anchors_are_down_is_not_lost(x: float, down: tuple[str, ...]) -> None:
    here = locator(*BEACONS)
    for second in range(5):
        here.feed(ranged(x, second))
    assert [each for second in range(5, 400, 10) for each in look(here, second, down)] == []


def test_a_gateway_that_hears_no_way_out_says_that_the_tag_may_be_elsewhere() -> None:
    here = locator(*BEACONS[1:])
    for second in range(5):
        here.feed(ranged(450.0, second))
    lost = [e for second in range(5, 400, 10) for e in look(here, second) if e.rule == "tag_lost"]
    assert lost[0].severity == 4
    assert "no anchors" in lost[0].text


def test_a_beacon_that_only_readers_hear_is_lost_too() -> None:
    here = locator(*(Anchor(n, "ble", "ab", 100.0 + 30 * n) for n in range(3)))
    strength, none = np.array([-75.0, -65.0, -78.0], np.float32), np.full(3, np.nan, np.float32)
    for second in range(5):
        now, ids = np.full(3, BEGIN + second * SECOND), np.arange(3, dtype=np.int32)
        here.feed(Sightings(now, "ble", ids, ("beacon-1",) * 3, strength, none))
    lost = [e for second in range(6, 300, 10) for e in look(here, second)]
    assert [(e.rule, e.point) for e in lost] == [("tag_lost", "beacon-1")]


def test_a_clock_that_is_set_stops_no_positions_and_loses_nobody() -> None:
    here, told, given = locator(*BEACONS, *GATE), [], []
    for begin_s in (10_000, 6_400, 90_000):
        given.append(0)
        for second in range(begin_s, begin_s + 30):
            given[-1] += len(here.feed(ranged(150.0 + second - begin_s, second)).tag)
            given[-1] += len(here.feed(read(0, second)).tag)
            told += look(here, second + 0.5)
    assert min(given) >= 55
    assert told == []


def test_readers_and_tags_nobody_knows_place_nobody() -> None:
    here = locator(*GATE)
    assert here.feed(read(0, 1, tag="someone's name")).tag == ()
    assert here.feed(read(9, 1)).tag == ()
    assert here.feed(read(0, 1, device="other")).tag == ()


def test_satellite_positions_land_on_the_roadway_or_beside_all() -> None:
    structure = walks.structure("open_pit")
    here = Locator(structure, walks.manifest(()))
    x, y, z = np.array([150.0, 150.0]), np.array([1.0, -150.0]), np.array([-1.0, 5.0])
    latitude, longitude, height = walks.to_earth(x, y, z)
    nan = np.full(2, np.nan)
    rows = Geodetic(
        np.full(2, BEGIN), "rx", ("on", "off"), latitude, longitude, height, nan.astype(np.float32), np.array([3, 0])
    )
    fixes = here.feed(rows)
    assert (fixes.roadway.tolist(), fixes.zone.tolist()) == ([0, -1], [walks.ZONES.index("z-a0"), -1])
    assert abs(fixes.chainage_mm[0] - 150_000) < 50
    assert abs(fixes.x_mm[1] - 150_000) < 5
    assert abs(fixes.y_mm[1] + 150_000) < 5
    assert fixes.method.tolist() == [Method.SATELLITE_RTK, Method.SATELLITE]
    assert Locator(STRUCTURE, manifest(())).feed(rows).tag == ()  # no georeference: nothing is guessed


def test_in_an_open_area_three_ranges_place_a_tag_beside_the_middle_line() -> None:
    yard = Structure(
        site="s",
        junctions=(Junction("a", 0, 0, 0), Junction("b", 100, 0, 0), Junction("c", 50, 40, 0)),
        roadways=(
            Roadway(id="ab", start="a", end="b", length_m=100, zone="z"),
            Roadway(id="ac", start="a", end="c", length_m=64.03, zone="z"),
        ),
        zones=(Zone("z", kind="surface"),),
    )
    anchors = (Anchor(0, "uwb", "ab", 0.0), Anchor(1, "uwb", "ab", 100.0), Anchor(2, "uwb", "ac", 64.0))
    here, truth = Locator(yard, manifest(anchors)), np.array([60.0, 15.0])
    at = np.array([[0, 0], [100, 0], [50, 40]])
    rng, errors = np.random.default_rng(6), []
    for second in range(60):
        mm = np.linalg.norm(at - truth, axis=1) * 1000 + rng.normal(0, 100, 3)
        now = np.full(3, BEGIN + second * SECOND)
        ranges = Ranges(now, "uwb", np.full(3, 1, np.int32), np.arange(3, dtype=np.int32), mm.round().astype(np.int32))
        fixes = here.feed(ranges)
        assert fixes.method.tolist() == [Method.RANGES_PLANE]
        errors.append(math.dist((fixes.x_mm[0] / 1000, fixes.y_mm[0] / 1000), truth))
    assert np.quantile(errors, 0.95) < 0.5
