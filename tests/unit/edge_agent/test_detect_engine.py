"""The engine and its backtest: the same lines for any split, nothing from the future, holes and strange sites borne."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_agent import backtest
from edge_agent.detect.engine import Engine
from edge_agent.detect.forecast import forecast
from edge_agent.detect.fuse import Mark
from edge_agent.detect.learn import Learner
from edge_agent.detect.model import Model
from edge_agent.detect.sentences import TEXT, sentence
from edge_agent.detect.sites import Site, read_site

STEP_S = 5.0
POINTS = [
    {"id": "g1", "quantity": "CH4", "place": "p", "group": "s", "resolution": 0.01, "t90_s": 20, "range": [0, 4],
     "limits": {"alarm_high": 1.0}},
    {"id": "g2", "quantity": "CH4", "place": "q", "group": "s", "resolution": 0.01, "t90_s": 20, "range": [0, 4]},
    {"id": "w", "quantity": "wind", "place": "p", "resolution": 0.01, "t90_s": 5},
    {"id": "f", "quantity": "current", "place": "p", "resolution": 0.1, "role": "fan_aux"},
    {"id": "coarse", "quantity": "CH4", "place": "far", "resolution": 0.1, "t90_s": 20},
    {"id": "odd", "quantity": "unheard-of"},
]  # fmt: skip
SITE = read_site({"points": POINTS, "edges": [["p", "q"]]})[0]


def ordinary(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Work as usual: two methane heads that go together, wind, a fan, a coarse head, something unheard of."""
    rng = np.random.default_rng(seed)
    t = 1000.0 + np.arange(rows) * STEP_S
    gas = 0.4 + 0.12 * np.sin(t / 1500.0) + 0.05 * np.sin(t / 310.0)
    x = np.stack([gas, 0.7 * gas, 1.5 + 0 * t, 60 + 0 * t, 0.2 + 0 * t, 7 + np.sin(t / 900.0)], axis=1)
    x += rng.normal(0, 1, x.shape) * [0.012, 0.012, 0.03, 0.3, 0.004, 0.05]
    return t, np.round(x / [0.01, 0.01, 0.01, 0.1, 0.1, 0.001]) * [0.01, 0.01, 0.01, 0.1, 0.1, 0.001]


@pytest.fixture(scope="module")
def model() -> Model:
    learner = Learner(SITE)
    learner.feed(*ordinary(1, 6000))
    return learner.fit()


def told(model: Model, t: np.ndarray, x: np.ndarray, *marks: Mark) -> list[tuple[str, str, str]]:
    found = Engine(model).feed(t, x, marks)
    return [(v.kind, v.rule, model.site.channels[v.point].id) for v in found]


def troubled(seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A fan stop with gas after it, a silent head, holes."""
    t, x = ordinary(seed, 1800)
    x[900:1200, 3] = 1.0
    x[900:1200, 2] *= 0.3
    x[910:1200, :2] += np.linspace(0, 1.2, 290)[:, None]
    x[300:500, 4] = np.nan
    x[np.random.default_rng(seed).random(x.shape) < 0.02] = np.nan
    return t, x


def test_ordinary_work_raises_nothing(model: Model) -> None:
    assert told(model, *ordinary(2, 6000)) == []


def test_a_fan_stop_is_told_within_twelve_seconds_and_gas_after_it_is_a_hazard_never_a_fault(model: Model) -> None:
    t, x = ordinary(4, 1800)
    x[900:, 3], x[900:, 2] = 1.0, x[900:, 2] * 0.3
    x[905:, :2] += np.linspace(0, 1.2, 895)[:, None]
    found = Engine(model).feed(t, x)
    assert found[0].rule == "fan"
    assert found[0].time_s - t[900] <= 12.0
    assert {v.kind for v in found} == {"hazard"}
    assert {0, 1} <= {v.point for v in found}


def test_a_mark_of_calibration_over_rising_gas_is_inconsistent_and_the_hazard_stays(model: Model) -> None:
    t, x = ordinary(4, 1800)
    x[900:, :2] += np.linspace(0, 1.5, 900)[:, None]
    found = told(model, t, x, Mark(t[1000], t[1000] + 3600, "g1", "calibrating"))
    assert ("tamper", "mark", "g1") in found
    assert any(kind == "hazard" for kind, _, _ in found)


def test_zero_air_then_test_gas_with_nobody_else_moving_is_harmless(model: Model) -> None:
    t, x = ordinary(4, 1800)
    air = x[:, 0].copy()
    for row in range(900, 1040):  # a first-order head with a T90 of 20 s
        there = 0.0 if row < 960 else 2.0 if row < 1020 else air[row]
        x[row, 0] = x[row - 1, 0] + 0.44 * (there - x[row - 1, 0])
    assert {kind for kind, _, _ in told(model, t, x)} <= {"benign"}


def test_an_exact_replay_is_inconsistent(model: Model) -> None:
    t, x = ordinary(4, 2400)
    x[1200:, 2] = np.resize(x[900:1200, 2], 1200)
    assert ("tamper", "replay", "w") in told(model, t, x)


@pytest.mark.parametrize("rows", [1, 7, -1])
def test_any_split_gives_the_same_lines(model: Model, rows: int) -> None:
    recording = backtest.Recording(*troubled(), (Mark(3000.0, 4000.0, "g2", "bypass"),))
    whole = backtest.judge(model, "e", recording, backtest.Plan(limits=True))
    assert len(whole) > 3
    assert backtest.judge(model, "e", recording, backtest.Plan(rows, seed=5, limits=True)) == whole


def test_what_comes_later_changes_no_earlier_line(model: Model) -> None:
    t, x = troubled()
    whole = Engine(model).feed(t, x)
    cut = Engine(model).feed(t[:1000], x[:1000])
    assert cut
    assert whole[: len(cut)] == cut


def test_holes_infinities_and_standing_clocks_leave_the_state_finite(model: Model) -> None:
    t, x = ordinary(6, 1500)
    x[100:700] = np.nan
    x[710], t[800:820] = np.inf, t[800]
    engine = Engine(model)
    engine.feed(t, x)
    assert np.isfinite(engine.arrays.state).all()
    assert np.isfinite(engine.arrays.since).all()


def test_a_model_kept_as_a_document_judges_as_the_one_that_was_learnt(model: Model) -> None:
    again = Model.from_document(SITE, json.loads(json.dumps(model.document())))
    assert again.version == model.version
    assert Engine(again).feed(*troubled()) == Engine(model).feed(*troubled())


def test_an_anomaly_while_learning_is_noticed_and_does_not_widen_what_is_usual(model: Model) -> None:
    t, x = ordinary(1, 6000)
    x[3000:3100, 0] += 2.0
    learner = Learner(SITE)
    learner.feed(t, x)
    learnt = learner.fit()
    assert any(note.startswith("g1") for note in learnt.notes)
    assert learnt.table[0, 6] < 1.0


@pytest.mark.parametrize(
    "site", [{"points": [{}]}, {"points": [{"id": "a", "range": [5, 1], "limits": 3}, 7], "edges": 4}]
)
def test_a_site_without_words_edges_or_places_is_handled_by_its_behaviour(site: dict) -> None:
    known, warnings = read_site(site)
    count = len(known.channels)
    rng = np.random.default_rng(1)
    learner = Learner(known)
    t = np.arange(1, 2001) * 10.0
    learner.feed(t, rng.normal(5, 0.1, (2000, count)))
    x = rng.normal(5, 0.1, (1000, count))
    x[600:, 0] = np.nan
    found = Engine(learner.fit()).feed(t[-1] + np.arange(1, 1001) * 10.0, x)
    assert warnings
    assert [(v.kind, v.rule) for v in found] == [("fault", "silent")]


def test_every_rule_has_a_sentence_in_both_languages(model: Model) -> None:
    verdict = next(v for v in Engine(model).feed(*troubled()) if v.rule == "fan")
    english, chinese = (sentence(verdict._replace(rule="fan"), SITE.channels, zh) for zh in (False, True))
    assert english.startswith("hazard: f at p: the fan draws")
    assert chinese.startswith("险情：f（p）风机电流")
    for rule in TEXT:
        for zh in (False, True):
            assert "{" not in sentence(verdict._replace(rule=rule), SITE.channels, zh)


def test_a_forecast_looks_along_the_slope_and_knows_how_little_it_knows() -> None:
    rising, calm = (forecast(0.8, slow, 1200.0, 0.06, 1.0, 900.0) for slow in (0.4, 0.8))
    assert rising.expected == pytest.approx(1.1)
    assert rising.probability > 0.99
    assert calm.probability < 0.01
    assert 0.4 < forecast(0.8, 0.5333, 1200.0, 0.06, 1.0, 900.0).probability < 0.6


PLAIN = """
import sys
sys.modules["numba"] = None
from tests.unit.edge_agent import test_detect_engine as m
learner = m.Learner(m.SITE); learner.feed(*(a[:600] for a in m.ordinary(1, 600)))
model = learner.fit(); t, x = m.troubled()
print(model.version, [(v.time_s, v.point, v.rule, round(v.score, 9)) for v in m.Engine(model).feed(t[:500], x[:500])])
"""


def test_the_path_without_numba_gives_the_same_verdicts() -> None:
    out = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=Path(__file__).parents[3]).stdout
           for code in (PLAIN, PLAIN.replace('sys.modules["numba"] = None', ""))]  # fmt: skip
    assert out[0] == out[1]
    assert "silent" in out[0]


def test_the_command_writes_the_file_from_a_folder(tmp_path: Path) -> None:
    for part in ("commission", "episodes"):
        (tmp_path / part).mkdir()
    (tmp_path / "site.json").write_text(json.dumps({"points": POINTS, "edges": [["p", "q"]]}))
    t, x = ordinary(1, 3000)
    np.savez(tmp_path / "commission" / "a.npz", time_s=t, values=x.astype(np.float32))
    t, x = troubled()
    np.savez(tmp_path / "episodes" / "e.npz", time_s=t, values=x.astype(np.float32), marks=np.array("[{}, 3]"))
    words: list[str] = []
    _, lines = backtest.run(tmp_path, backtest.Plan(), words.append, workers=1)
    backtest.write_lines(tmp_path / "alarms.csv", lines)
    head, first, *_ = (tmp_path / "alarms.csv").read_text().splitlines()
    assert head == "episode,time_s,point,kind,score,sentence"
    assert first.startswith("e,")
    assert any("unheard-of" in word for word in words)
    assert any("mark" in word for word in words)
    assert isinstance(SITE, Site)
