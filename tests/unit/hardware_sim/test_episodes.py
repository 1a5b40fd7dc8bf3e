"""Episodes are causal, repeatable and fast; their truth is what two lives differ by; the files are a backtest's."""

import csv
import json
import math
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hardware_sim.__main__ import main
from hardware_sim.channels import WORDS
from hardware_sim.episodes import QUIET, Order, Studio, first_visible
from hardware_sim.labelled import Pick
from hardware_sim.site import build_site
from hardware_sim.sites import SITES
from twin_wire.errors import ConfigError

PROFILES = Path(__file__).parents[3] / "drivers" / "profiles"
REAL_TIME_MIN = 1000


@cache
def studio(kind: str = "coal") -> Studio:
    return Studio(build_site(PROFILES, kind), 3)


def brief(kind: str, scenario: str, seconds: int) -> Order:
    """Return an episode that begins 300 s before what happens and ends `seconds` after it began."""
    order = studio(kind).order(scenario, 1.0, "t", 0.0)
    early_s = order.actions[0].at_s - 300.0
    actions = tuple(action._replace(at_s=action.at_s - early_s) for action in order.actions)
    return order._replace(actions=actions, rows=300 + seconds)


@pytest.mark.parametrize("kind", SITES)
def test_a_second_takes_less_than_a_thousandth_of_a_second(kind: str) -> None:
    made = studio(kind)
    order = Order("fast", QUIET, 1.0, 50_000.0, 2000, ())
    taken = []
    for _ in range(2):
        begun_s = time.process_time()
        made.live(order)
        taken.append(time.process_time() - begun_s)
    assert 2000 / min(taken) > REAL_TIME_MIN


def test_the_same_seed_and_name_live_the_same_life_and_others_another() -> None:
    order = Order("same", QUIET, 1.0, 50_000.0, 300, ())
    one, again = studio().live(order), Studio(build_site(PROFILES), 3).live(order)
    np.testing.assert_array_equal(one.values, again.values)
    assert not np.array_equal(one.values, studio().live(order._replace(name="other")).values)


def test_until_something_happens_both_lives_are_one_and_afterwards_it_is_the_only_difference() -> None:
    order = brief("coal", "outburst", 400)
    lived, without = studio().live(order), studio().live(order, happens=False)
    begin = int(order.actions[0].at_s)
    np.testing.assert_array_equal(lived.values[:begin], without.values[:begin])
    differs = np.any(lived.values[begin:] != without.values[begin:], axis=0)
    names = {channel.point.id for channel, yes in zip(studio().channels, differs, strict=True) if yes}
    assert {"ch4-face", "ch4-corner", "ch4-return"} <= names
    assert not names & {"ch4-a-face", "ch4-b-face", "temperature-intake", "barometer", "wind-main"}


@pytest.mark.parametrize(
    ("kind", "scenario", "label", "within_s", "first"),
    [
        ("coal", "outburst", "hazard", 30, "ch4"),
        ("coal", "fan-stop", "hazard", 15, "fan"),
        ("coal", "belt-fire", "hazard", 60, "belt-co"),
        ("coal", "calibration-gas", "benign", 240, ""),
        ("metal", "blasting", "benign", 30, ""),
        ("metal", "diesel-exhaust", "hazard", 300, ""),
        ("tailings", "seepage", "hazard", 900, ""),
        ("tailings", "heavy-rain", "hazard", 120, "rain"),
        ("tailings", "dam-moves", "hazard", 2400, "moved"),
    ],
)
def test_a_happening_is_visible_in_time_where_it_should_be(
    kind: str, scenario: str, label: str, within_s: float, first: str
) -> None:
    [truth] = studio(kind).episode(brief(kind, scenario, int(1.2 * within_s) + 120))[1]
    assert truth.kind == label
    assert truth.visible_s is not None
    assert truth.begin_s <= truth.visible_s <= truth.begin_s + within_s
    assert truth.end_s >= truth.begin_s
    assert truth.points[0].startswith(first)


def test_a_calibration_mark_in_rising_gas_is_a_hazard_and_a_tamper_and_the_mark_is_in_the_file() -> None:
    order = brief("coal", "false-calibration", 900)
    lived, truths = studio().episode(order)
    assert [truth.kind for truth in truths] == ["hazard", "tamper"]
    assert truths[1].visible_s == truths[1].begin_s
    [mark] = lived.marks
    assert (mark.kind, mark.point, mark.time_s) == ("calibrating", "ch4-a-face", truths[1].begin_s)


@pytest.mark.parametrize("kind", SITES)
def test_every_recipe_ends_what_it_begins_and_speaks_of_points_verbs_and_faults_there_are(kind: str) -> None:
    site = studio(kind).site
    points = {point.id for device in site.devices for point in device.points}
    verbs = {*site.plan.model(1).verbs(), "sensor", "repair", "swap", "mark", "note"}
    for name, recipe in site.plan.recipes.items():
        for seed in range(8):
            actions = recipe.make(Pick(f"{seed}", 0.5, site.plan.targets()))
            causes = [action.cause for action in actions if action.cause]
            assert causes, name
            assert sorted(causes) == sorted(action.ends for action in actions if action.ends), name
            assert {action.verb for action in actions} <= verbs, name
            named = {a.subject for a in actions if a.verb in ("sensor", "repair", "swap", "mark")}
            assert named | {p for a in actions for p in a.points} <= points, name
            assert all(action.kind == recipe.kind for action in actions if action.cause) or name == "false-calibration"


@pytest.mark.parametrize("kind", SITES)
def test_whatever_may_befall_an_instrument_befalls_a_column(kind: str) -> None:
    targets, columns = studio(kind).site.plan.targets(), {channel.point.id for channel in studio(kind).channels}
    named = {t.point for t in (*targets.gas, *targets.any, *targets.lively, *targets.cups)}
    assert named | {point for pair in targets.pairs for point in pair} <= columns
    assert all(set(group) & columns for group in targets.groups)


def test_what_can_be_told_live_holds_every_recipe_and_every_story() -> None:
    for plan in SITES.values():
        assert plan.recipes.keys() | plan.stories.keys() == plan.scenarios().keys()


def test_visible_means_for_good_unless_the_fault_is_erratic() -> None:
    beyond = np.zeros(300, bool)
    beyond[10] = True  # a single second is a chance
    beyond[100:] = True
    assert first_visible(beyond, erratic=False) == 100
    assert first_visible(beyond, erratic=True) == 10
    assert first_visible(np.zeros(50, bool), erratic=False) is None


def test_an_unknown_scenario_is_refused_and_people_ones_too() -> None:
    for name in ("earthquake", "sos"):
        with pytest.raises(ConfigError) as caught:
            studio().order(name, 1.0, "x", 0.0)
        assert "outburst" in caught.value.hint


def test_what_cannot_be_lived_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for words in (["--days", "-1"], ["--days", "100"], ["--magnitude", "2"], ["--scenario", "earthquake"]):
        assert main(["episodes", "--out", str(tmp_path / "none"), *words]) == 2
    assert not (tmp_path / "none").exists()


def test_the_command_writes_what_a_backtest_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "e"
    words = ["--out", str(out), "--days", "0.01", "--scenario", "step", "--magnitude", "1"]
    assert main(["episodes", "--site", "tailings", "--seed", "5", *words]) == 0
    assert "x real time" in capsys.readouterr().out
    site = json.loads((out / "site.json").read_text())
    ids = [point["id"] for point in site["points"]]
    assert len(set(ids)) == len(ids) > 15
    needed = {"id", "quantity", "unit", "place", "group", "range", "resolution", "t90_s", "limits", "role"}
    words_known = {word for word, *_ in WORDS.values()} | {"head"}
    for point in site["points"]:
        assert point.keys() == needed
        assert point["quantity"] in words_known
        assert point["range"][0] < point["range"][1]
        assert all(math.isfinite(number) for number in (*point["range"], point["resolution"]))
    places = {point["place"] for point in site["points"]}
    assert site["edges"]
    assert {place for edge in site["edges"] for place in edge} <= places
    for file in (out / "commission" / "day-01.npz", out / "episodes" / "e001.npz"):
        with np.load(file, allow_pickle=False) as held:
            assert held["time_s"].dtype == np.float64
            assert held["values"].dtype == np.float32
            assert held["values"].shape == (len(held["time_s"]), len(ids))
            assert isinstance(json.loads(str(held["marks"])), list)
    [row] = csv.DictReader((out / "truth.csv").read_text().splitlines())
    assert list(row) == ["episode", "kind", "cause", "begin_s", "end_s", "visible_s", "points"]
    assert (row["episode"], row["kind"], row["cause"]) == ("e001", "fault", "reading stepped")
    assert set(row["points"].split(";")) <= set(ids)
