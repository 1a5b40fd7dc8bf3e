"""Five minutes of simulated walking, 20 tags, per source: near the truth, as sure as it says, and the zones right."""

import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from edge_agent.position.field import Field
from edge_agent.position.kernel import Jobs, Rows, track
from edge_agent.position.likelihood import RANGE, log_range
from edge_agent.position.motion import State
from edge_agent.position.tracks import Epoch, Heard, Tracks
from tests.support import walks
from tests.support.positions import Score, anchors_of, measure
from twin_wire.graph import Graph, Place

SECONDS, TAGS = 300, 20


@cache
def people() -> walks.Truth:
    return walks.walk(SECONDS, TAGS, seed=7)


@cache
def score(source: str) -> Score:
    return measure(source, people())


@pytest.mark.parametrize(("source", "p95_m"), [("uwb", 0.5), ("ble", 7.0), ("rfid", 7.0), ("gnss", 6.0), ("rtk", 0.1)])
def test_fixes_are_near_the_truth(source: str, p95_m: float) -> None:
    assert score(source).p95_m <= p95_m


@pytest.mark.parametrize("source", ["uwb", "ble", "gnss", "rtk"])
def test_sigma_covers_the_errors_and_is_not_blown_up(source: str) -> None:
    one, two = score(source).cover
    assert 0.63 <= one <= 0.88
    assert 0.92 <= two <= 0.998


@pytest.mark.parametrize(("source", "right"), [("uwb", 0.985), ("ble", 0.97), ("rfid", 0.98)])
def test_the_zone_is_the_right_one(source: str, right: float) -> None:
    assert score(source).zone_right >= right


def test_every_tag_gives_about_one_fix_a_second() -> None:
    assert 0.95 <= score("uwb").fixes / (SECONDS * TAGS) <= 1.05


def test_a_vehicle_at_25_km_an_hour_is_followed() -> None:
    found = measure("uwb", walks.walk(SECONDS, 5, seed=8, vehicle=True))
    assert found.p95_m <= 1.0
    assert found.zone_right >= 0.97


def test_strengths_alone_do_not_lose_a_vehicle() -> None:
    found = measure("ble", walks.walk(SECONDS, 10, seed=8, vehicle=True))
    assert found.p95_m <= 12.0
    assert found.cover[1] >= 0.88


def one_step(tracks: Tracks, mean: tuple[float, float], spread: tuple[float, float, float], rows: list[tuple]) -> State:
    """Take rows of (anchor, metres, lag in s) on a single hypothesis on the first roadway."""
    tracks.step([Epoch("t", 1, [Heard(RANGE, 0, 150.0, 0.1, 1), Heard(RANGE, 1, 150.0, 0.1, 1)])])
    state = tracks._state
    state.size[0], state.weight[0, 0], state.roadway[0, 0] = 1, 1.0, 0
    state.mean[0, 0], state.spread[0, 0] = mean, spread
    anchor, value, lag = (np.array(column) for column in zip(*rows, strict=True))
    table = Rows(np.full(len(rows), RANGE), anchor, value, np.full(len(rows), 0.1), lag)
    jobs = Jobs(np.array([0]), np.array([0.0]), np.array([0, len(rows)]))
    track(tracks.field.map, state, jobs, table, tracks._work, np.zeros((1, 6)))
    return state


def test_a_row_that_comes_late_counts_where_the_tag_was_then() -> None:
    tracks = Tracks(Field(Graph(walks.structure()), walks.placed(300.0)))
    state = one_step(tracks, (120.0, 6.0), (9.0, 0.0, 0.01), [(0, 115.0, 1.0)])
    assert abs(state.mean[0, 0, 0] - 121.0) < 0.4


def test_one_step_of_the_filter_is_the_exact_product_of_prior_and_likelihood() -> None:
    tracks = Tracks(Field(Graph(walks.structure()), walks.placed(300.0)))
    state = one_step(tracks, (120.0, 0.0), (9.0, 0.0, 1.0), [(0, 121.7, 0.0), (1, 180.2, 0.0)])  # they contradict
    s = np.arange(100.0, 140.0, 0.001)
    log = -0.5 * (s - 120.0) ** 2 / 9.0
    log += [log_range(121.7, 0.1, float(np.hypot(x, 2 * x / 300)), 0.0) for x in s]
    log += [log_range(180.2, 0.1, float(np.hypot(300 - x, 2 - 2 * x / 300)), 0.0) for x in s]
    weight = np.exp(log - log.max())
    mean = float((weight * s).sum() / weight.sum())
    spread = float(np.sqrt((weight * (s - mean) ** 2).sum() / weight.sum()))
    held = range(state.size[0])  # two peaks: the sum of the hypotheses is what has to agree
    got = sum(state.weight[0, h] * state.mean[0, h, 0] for h in held)
    around = sum(state.weight[0, h] * (state.spread[0, h, 0] + (state.mean[0, h, 0] - got) ** 2) for h in held)
    assert len(held) == 2
    assert abs(got - mean) < 0.02
    assert abs(float(np.sqrt(around)) - spread) < 0.02


def test_rows_that_come_late_and_mixed_up_place_the_tag() -> None:
    tracks = Tracks(Field(Graph(walks.structure()), walks.placed(300.0)))
    rng, steps, gaps = np.random.default_rng(3), [], []
    for second in range(30):
        s, now = 60.0 + 6.0 * second, (1_000 + second) * 1_000_000
        steps += [Epoch("t", now, [Heard(RANGE, n, abs(at - s), 0.1, now)]) for n, at in ((0, 0.0), (1, 300.0))]
    for step in sorted(steps, key=lambda each: each.time_us + rng.uniform(0, 1_800_000)):
        [found] = tracks.step([step])
        gaps.append(found.place.chainage_m - (60.0 + 6.0 * (found.epoch.time_us / 1e6 - 1_000)))
    assert np.quantile(np.abs(gaps[10:]), 0.9) < 0.3
    ancient = Epoch("t", 1_010_000_000, [Heard(RANGE, 0, 5.0, 0.1, 1_010_000_000)])
    assert tracks.step([ancient]) == []
    assert tracks.late == 1


def test_a_tag_that_was_away_is_found_again_anywhere() -> None:
    tracks = Tracks(Field(Graph(walks.structure()), walks.placed(300.0)))
    at = [(100, Place(0, 150.0)), (130, Place(0, 170.0)), (2_000, Place(3, 40.0))]
    for second, place in at:
        now = second * 1_000_000
        near = [(n, 300.0 * n) for n in range(5)]
        x = 300.0 * place.roadway + place.chainage_m
        rows = [Heard(RANGE, n, abs(x - there), 0.1, now) for n, there in near if abs(x - there) < 300]
        [found] = tracks.step([Epoch("t", now, rows)])
        assert found.place.roadway == place.roadway
        assert abs(found.place.chainage_m - place.chainage_m) < 1.0


def test_without_the_compiler_the_places_are_the_same() -> None:
    code = (
        "from tests.support import walks; from tests.support.positions import anchors_of, awkward, heard;"
        "from edge_agent.position import Locator; from itertools import islice;"
        "place = Locator(walks.structure(), walks.manifest(anchors_of('uwb'))); place.pace_us = 0;"
        "source = heard('uwb', walks.walk(4, 3, seed=9));"
        "print([(f.tag, f.roadway.tolist(), f.chainage_mm.tolist(), f.sigma_mm.tolist())"
        " for _, a in islice(source, 12) for f in [place.feed(a)]], awkward())"
    )
    plain = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"NUMBA_DISABLE_JIT": "1", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
    )  # fmt: skip
    compiled = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "tag-" in plain.stdout
    assert plain.stdout == compiled.stdout


def test_a_flood_of_invented_tags_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.position.tracks.TAGS_MAX", 5)
    tracks = Tracks(Field(Graph(walks.structure()), anchors_of("uwb")))
    for n in range(8):
        tracks.step([Epoch(f"t{n}", 1_000_000 + n, [Heard(RANGE, 0, 50.0, 0.1, 1_000_000 + n)])])
    assert tracks.refused == 3
    later = 200_000_000
    assert len(tracks.step([Epoch("late", later, [Heard(RANGE, 0, 50.0, 0.1, later)])])) == 1
