"""Runs the gateway's own detection over recorded or simulated files: learn from commissioning, judge each episode."""

import csv
import json
import multiprocessing
import random
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_agent.detect.engine import Engine
from edge_agent.detect.fuse import Mark
from edge_agent.detect.learn import Learner
from edge_agent.detect.limit_alarms import LimitAlarms
from edge_agent.detect.model import Model
from edge_agent.detect.sentences import sentence
from edge_agent.detect.sites import Site, number, read_site
from twin_wire.errors import ConfigError

Array = NDArray[Any]
COLUMNS = ("episode", "time_s", "point", "kind", "score", "sentence")
ROWS_AT_ONCE = 100_000


class Recording(NamedTuple):
    """One npz file."""

    time_s: Array  # float64 [T], rising
    values: Array  # float32 [T, C], NaN where there was no sample
    marks: tuple[Mark, ...]


class Line(NamedTuple):
    """One line of alarms.csv."""

    episode: str
    time_s: float
    point: str
    kind: str
    score: float
    sentence: str


class Plan(NamedTuple):
    """How to run: rows a call (0 all, -1 random), seed of the random split, whether limit alarms are told."""

    rows: int = 0
    seed: int = 0
    limits: bool = False
    chinese: bool = False


def load_site(folder: Path) -> tuple[Site, list[str]]:
    """Read site.json; ConfigError if it is none."""
    try:
        return read_site(json.loads((folder / "site.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{folder / 'site.json'}: {error}", "see edge-agent backtest --help for the layout"
        ) from error


def load(file: Path, count: int) -> tuple[Recording, list[str]]:
    """Read one npz of a site with `count` points; times that do not rise are left out; ConfigError if unreadable."""
    told: list[str] = []
    try:
        with np.load(file, allow_pickle=False) as archive:
            time_s = np.asarray(archive["time_s"], np.float64).ravel()
            values = np.asarray(archive["values"], np.float32)
            marks = str(archive["marks"][()]) if "marks" in archive else "[]"
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{file}: {error}", "it needs time_s [T] and values [T, C]") from error
    if values.ndim != 2 or values.shape != (len(time_s), count):
        raise ConfigError(f"{file}: values are {values.shape}, not ({len(time_s)}, {count})")
    highest = np.fmax.accumulate(np.concatenate(([-np.inf], time_s[:-1]))) if len(time_s) else time_s
    rising = np.isfinite(time_s) & ~(time_s <= highest)
    if not rising.all():
        told.append(f"{file.name}: {int((~rising).sum())} rows whose time does not rise left out")
        time_s, values = time_s[rising], values[rising]
    return Recording(time_s, values, tuple(_marks(marks, file.name, told))), told


def _marks(text: str, name: str, told: list[str]) -> Iterator[Mark]:
    try:
        rows = json.loads(text) if text.strip() else []
    except ValueError:
        told.append(f"{name}: marks are not JSON, left out")
        return
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, dict):
            told.append(f"{name}: mark {row!r} left out")
            continue
        begin = number(row.get("time_s"), float("nan"))
        end = number(row.get("end_s"), begin + 1800.0)
        kind = str(row.get("kind") or "")
        if kind not in ("calibrating", "blasting", "bypass"):
            told.append(f"{name}: mark kind {kind!r} is not known")
        if begin == begin:
            yield Mark(begin, end, str(row.get("point") or ""), kind)


def learn(site: Site, files: Sequence[Path], tell: Callable[[str], None]) -> Model:
    """Learn from the commissioning files in the order of their names."""
    learner = Learner(site)
    for file in files:
        recording, told = load(file, len(site.channels))
        for word in told:
            tell(f"warning: {word}")
        learner.feed(recording.time_s, recording.values)
        tell(f"learnt {file.name}: {len(recording.time_s)} rows")
    return learner.fit()


def judge(model: Model, name: str, recording: Recording, plan: Plan) -> list[Line]:
    """Run one episode with fresh state; the rows are handed over as the plan says, the lines do not depend on it."""
    engine, channels = Engine(model), model.site.channels
    limits = LimitAlarms(model.site) if plan.limits else None
    lines: list[Line] = []
    engine.feed(recording.time_s[:0], recording.values[:0], recording.marks)
    for begin, end in _splits(len(recording.time_s), plan, name):
        time_s, values = recording.time_s[begin:end], recording.values[begin:end]
        found = [
            Line(name, v.time_s, channels[v.point].id, v.kind, v.score, sentence(v, channels, plan.chinese))
            for v in engine.feed(time_s, values)
        ]
        if limits:
            begun = limits.feed(time_s, values)
            found += [Line(name, each.time_s, channels[each.point].id, "limit", 1.0, each.text) for each in begun]
        lines += sorted(found, key=lambda line: (line.time_s, line.kind == "limit"))
    return lines


def _splits(count: int, plan: Plan, name: str) -> Iterator[tuple[int, int]]:
    chance, begin = random.Random(f"{plan.seed}/{name}"), 0  # noqa: S311
    while begin < count:
        step = chance.randrange(1, 98) if plan.rows < 0 else plan.rows or ROWS_AT_ONCE
        yield begin, min(begin + step, count)
        begin += step


def run(folder: Path, plan: Plan, tell: Callable[[str], None], workers: int = 2) -> tuple[Model, list[Line]]:
    """Learn from commission/, judge episodes/ (each in a process of its own if there are several); lines in order."""
    site, told = load_site(folder)
    for word in told:
        tell(f"warning: {word}")
    model = learn(site, sorted((folder / "commission").glob("*.npz")), tell)
    for note in model.notes:
        tell(f"noticed while learning: {note}")
    files = sorted((folder / "episodes").glob("*.npz"))
    results: dict[str, list[Line]] = {}
    if workers < 2 or len(files) < 2:
        for done, file in enumerate(files, start=1):
            results[file.stem] = _episode(model, file, plan, tell)
            tell(f"{done}/{len(files)} {file.stem}: {len(results[file.stem])} verdicts")
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_take, initargs=(model,)) as pool:
            waiting = {pool.submit(_in_process, file, plan): file for file in files}
            for done, future in enumerate(as_completed(waiting), start=1):
                file = waiting[future]
                results[file.stem], words = future.result()
                for word in words:
                    tell(word)
                tell(f"{done}/{len(files)} {file.stem}: {len(results[file.stem])} verdicts")
    return model, [line for file in files for line in results[file.stem]]


def _episode(model: Model, file: Path, plan: Plan, tell: Callable[[str], None]) -> list[Line]:
    recording, told = load(file, len(model.site.channels))
    for word in told:
        tell(f"warning: {word}")
    return judge(model, file.stem, recording, plan)


_models: list[Model] = []  # of a worker process


def _take(model: Model) -> None:
    _models[:] = [model]


def _in_process(file: Path, plan: Plan) -> tuple[list[Line], list[str]]:
    words: list[str] = []
    return _episode(_models[0], file, plan, words.append), words


def write_lines(path: Path, lines: Sequence[Line]) -> None:
    """Write alarms.csv."""
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        for line in lines:
            writer.writerow(
                (line.episode, f"{line.time_s:.3f}", line.point, line.kind, f"{line.score:.3f}", line.sentence)
            )
