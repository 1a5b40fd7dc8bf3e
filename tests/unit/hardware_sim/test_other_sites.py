"""The metal mine and the tailings pond behave as their equations say; what befalls people of the coal mine does."""

import numpy as np
import pytest

from hardware_sim.metal import MetalMine
from hardware_sim.plan import Layout
from hardware_sim.sites import SITES
from hardware_sim.tailings import LEVEL_M, TailingsPond
from hardware_sim.truth import Mine
from hardware_sim.vibrating_wire import GAUGE_KPA, ZERO_DIGITS, frequency_hz, head_m
from twin_wire.errors import ConfigError


def after(model: MetalMine | TailingsPond, seconds: int) -> None:
    for _ in range(seconds):
        model.step_things()


def metal() -> MetalMine:
    mine = MetalMine()
    mine.warm()
    mine.work = dict.fromkeys(mine.work, 0.5)
    mine._goal = dict(mine.work)
    mine._left_s = 1e9  # nobody comes or goes
    after(mine, 3600)
    return mine


def test_exhaust_settles_where_what_engines_give_equals_what_the_air_takes() -> None:
    mine = metal()
    given_m3_s = 260.0 * 0.5 * 2.0 / 3600.0 * 0.86e-3
    expected = mine.truth("co.decline") + 1e6 * given_m3_s / mine.flow_of("stope_1")
    assert mine.truth("co.stope_1") == pytest.approx(expected, rel=0.01)
    assert mine.truth("co.stope_1") < 24.0
    assert mine.truth("no2.stope_1") < 2.5


def test_a_stope_without_its_fan_fills_with_exhaust_beyond_the_limit() -> None:
    mine = metal()
    mine.act("fan", "s1", 0.0)
    after(mine, 1800)
    assert mine.truth("no2.stope_1") > 2.5
    assert mine.truth("no2.stope_2") < 2.5
    assert mine.truth("wind.stope_1") < 0.05


def test_blasting_fumes_pass_through_the_return_and_dust_follows_the_sprays() -> None:
    mine = metal()
    clean = mine.truth("dust.stope_2")
    mine.act("blast", "stope_1", 110.0)
    assert mine.truth("co.stope_1") == pytest.approx(1e6 * 110 * 0.016 / 4200, rel=0.1)
    after(mine, 300)
    assert mine.truth("co.return") > 20.0
    mine.act("spray", "", 0.0)
    after(mine, 1200)
    assert mine.truth("dust.stope_2") > 2.0 * clean


def test_the_sump_is_kept_between_its_marks_until_the_pumps_fail() -> None:
    mine = metal()
    levels = []
    for _ in range(12):
        after(mine, 900)
        levels.append(mine.truth("sump.level"))
    assert 0.8 < min(levels) < max(levels) < 2.5
    mine.act("pump", "", 0.0)
    after(mine, 6 * 3600)
    assert not mine.pumping - mine.broken
    assert mine.truth("sump.level") > max(levels) + 0.2


def test_rain_raises_the_pond_and_with_a_lag_the_water_in_the_dam_and_shortens_the_beach() -> None:
    pond = TailingsPond()
    pond.act("pump", "", 0.0)
    beach = pond.truth("beach.1")
    heads = [pond.head_m(f"s1.{depth}") for depth in ("up", "mid", "low")]
    pond.act("rain", "", 40.0)
    after(pond, 6 * 3600)
    rise = pond.level_m - LEVEL_M
    assert rise == pytest.approx(1.44 + 6 * 0.010, abs=0.01)
    assert pond.truth("beach.1") == pytest.approx(beach - rise / 0.012, abs=0.1)
    pond.act("rain", "", 0.0)
    after(pond, 18 * 3600)
    grown = [pond.head_m(f"s1.{depth}") - head for depth, head in zip(("up", "mid", "low"), heads, strict=True)]
    assert grown[0] > grown[1] > grown[2] > 0.02


def test_ordinary_showers_come_and_go_in_episodes_only() -> None:
    pond, dry = TailingsPond(3, showers=True), TailingsPond(3)
    wet_s = 0
    for _ in range(2 * 86_400 // 10):
        after(pond, 10)
        wet_s += 10 * (pond.truth("rain.intensity") > 0)
    after(dry, 600)
    assert 0.01 < wet_s / (2 * 86_400) < 0.3
    assert pond.truth("rain.sum") < 60.0
    assert dry.truth("rain.sum") == 0.0


def test_seepage_shows_at_its_own_section_first_clear_then_murky() -> None:
    pond = TailingsPond()
    pond.warm()
    clear, far = pond.truth("turbidity.2"), pond.truth("wire.s1.low.head")
    near, flow = pond.truth("wire.s2.low.head"), pond.truth("seepage.2")
    pond.act("seepage", "", 20.0)
    after(pond, 9000)
    assert pond.truth("seepage.2") > flow + 15.0
    assert pond.truth("turbidity.2") > 10 * clear
    assert pond.truth("wire.s2.low.head") > near + 0.3
    assert abs(pond.truth("wire.s1.low.head") - far) < 0.05


def test_a_vibrating_wire_says_what_its_calibration_sheet_says() -> None:
    assert head_m(np.array([frequency_hz(6.2)]))[0] == pytest.approx(6.2, abs=1e-9)
    digits = frequency_hz(0.0) ** 2 / 1000.0  # f²/1000: GEOKON prints 8000 digits for 2828 Hz
    assert digits == pytest.approx(ZERO_DIGITS)
    assert head_m(np.array([2828.4271]))[0] == pytest.approx(GAUGE_KPA * (ZERO_DIGITS - 8000.0) / 9.81, rel=1e-6)
    assert head_m(np.array([frequency_hz(6.2, 1.0)]))[0] == pytest.approx(6.2 + 1.0 / 9.81, abs=1e-9)  # sealed


@pytest.mark.parametrize("kind", ["coal", "metal"])
def test_at_every_junction_as_much_air_leaves_as_comes(kind: str) -> None:
    layout: Layout = SITES[kind].layout
    open_air = {exit_[1] for exit_ in layout.exits} | {"j-shaft-top", "j-raise-top"}
    for junction in layout.junctions:
        balance = sum(w.share for w in layout.roadways if w.end == junction.id)
        balance -= sum(w.share for w in layout.roadways if w.start == junction.id)
        assert junction.id in open_air or balance == pytest.approx(0.0, abs=1e-9), junction.id


def test_air_flows_from_place_to_place_and_a_dead_end_breathes_at_its_mouth() -> None:
    flows = set(SITES["coal"].layout.flows())
    assert {
        ("intake-gate", "face"),
        ("face", "return-gate"),
        ("a-mouth", "heading-a"),
        ("heading-a", "a-return"),
    } <= flows
    assert ("face", "intake-gate") not in flows


@pytest.mark.parametrize("kind", SITES)
def test_another_stretch_of_life_is_repeatable_and_begins_without_a_leap(kind: str) -> None:
    lives = []
    for _ in range(2):
        model = SITES[kind].working(5)
        model.reseed("x", 200_000.0)
        for _ in range(120):
            model.step_things()
        lives.append([model.truth(source) for source in model.sources()])
    assert lives[0] == lives[1]
    assert model.time_s == pytest.approx(200_120.0)


def test_a_reseeded_mine_does_not_breathe_its_goaf_empty() -> None:
    mine = Mine(1)
    before = mine.truth("ch4.face")
    mine.reseed("later", 19_800.0)
    mine.step_things()
    assert mine.truth("ch4.face") == pytest.approx(before, abs=0.02)


def test_a_lost_tag_is_heard_no_more_and_a_held_person_stays() -> None:
    mine = Mine(1)
    tags = {worn.tag for worn in mine.worn()}
    mine.act("lose_tag", "3", 1.0)
    assert {worn.tag for worn in mine.worn()} == tags - {3}
    mine.act("lose_tag", "3", 0.0)
    assert {worn.tag for worn in mine.worn()} == tags
    place = next(p.place for p in mine.persons if p.tag == 15)
    mine.act("hold_person", "15", 1.0)
    for _ in range(2400):
        mine.people.step(mine.world.methane)
    assert next(p.place for p in mine.persons if p.tag == 15) == place
    with pytest.raises(ConfigError, match="no tag"):
        mine.act("lose_tag", "9999", 1.0)


def test_a_belt_fire_grows_goes_down_the_air_and_trips_the_smoke_detector() -> None:
    mine = Mine(1)
    mine.warm()
    before = mine.truth("co.face")
    mine.act("fire", "", 3.0e-3)
    for _ in range(1500):
        mine.step_things()
    assert mine.truth("co.belt") > 100.0
    assert mine.truth("smoke") == 1.0
    assert mine.truth("co.face") > before + 10.0
    mine.act("fire", "", 0.0)
    for _ in range(3600):
        mine.step_things()
    assert mine.truth("smoke") == 0.0


def test_work_comes_and_goes_with_the_crews_and_gas_with_it() -> None:
    mine, paused = Mine(2, shifts=True), Mine(2, shifts=True)
    paused.act("shift", "", 0.0)
    production = []
    for second in range(2 * 3600):
        mine.step_things()
        paused.step_things()
        if second % 60 == 0:
            production.append(mine.world.production["face"])
    assert min(production) < 0.2 < 0.8 < max(production)
    assert paused.world.production["face"] < 0.01
    assert paused.truth("dust.face") < 0.5 * mine.truth("dust.face") or mine.world.production["face"] < 0.2
    assert paused.world.emitted < 0.85 * mine.world.emitted
