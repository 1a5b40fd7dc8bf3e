"""Writes episodes as `edge-agent backtest` reads them: site.json, commission/*.npz, episodes/*.npz; and truth.csv."""

import csv
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hardware_sim.episodes import QUIET, Lived, Order, Studio, Truth
from twin_wire.errors import ConfigError

DAY_S, DAYS_MAX = 86_400, 60
TRUTH_COLUMNS = ("episode", "kind", "cause", "begin_s", "end_s", "visible_s", "points")


class Told(NamedTuple):
    """What has just been written: a file, the seconds lived in it, and how long that took."""

    file: Path
    lived_s: int
    took_s: float


def write_all(
    studio: Studio, directory: Path, scenarios: Sequence[str], magnitudes: Sequence[float], days: float
) -> Iterator[Told]:
    """Write everything, yielding after each file, the truths last; ConfigError before anything is written.

    No scenario named: each there is, and two quiet episodes.
    """
    if not 0.0 < days <= DAYS_MAX or not all(0.0 < size <= 1.0 for size in magnitudes):
        raise ConfigError(f"days lie within 0 to {DAYS_MAX}, magnitudes within 0 to 1")
    orders = orders_of(studio, scenarios, magnitudes, days)
    for part in ("commission", "episodes"):
        (directory / part).mkdir(parents=True, exist_ok=True)
    text = json.dumps(studio.document(), ensure_ascii=False, indent=1)
    (directory / "site.json").write_text(text + "\n", encoding="utf-8")
    yield from _commission(studio, directory / "commission", days)
    truths: list[tuple[str, Truth]] = []
    for order in orders:
        begun_s = time.perf_counter()
        lived, found = studio.episode(order)
        file = directory / "episodes" / f"{order.name}.npz"
        _write(file, lived)
        truths += [(order.name, truth) for truth in found]
        yield Told(file, order.rows * (2 if order.actions else 1), time.perf_counter() - begun_s)
    _write_truth(directory / "truth.csv", truths)
    with (directory / "episodes.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("episode", "scenario", "magnitude", "seed"))
        writer.writerows((order.name, order.scenario, order.magnitude, studio.seed) for order in orders)


def orders_of(studio: Studio, scenarios: Sequence[str], magnitudes: Sequence[float], days: float) -> list[Order]:
    """Return the episodes of some scenarios at some magnitudes, in an order that tells nothing; ConfigError."""
    every = [name for name, recipe in studio.site.plan.recipes.items() if not recipe.people]
    wanted = [(name, size) for name in scenarios or every for size in (magnitudes if name != QUIET else magnitudes[:1])]
    if not scenarios:
        wanted += [(QUIET, 1.0), (QUIET, 1.0)]
    after_s = DAY_S * max(days, 1.0)
    return [studio.order(name, size, f"e{place:03d}", after_s) for place, (name, size) in enumerate(wanted, start=1)]


def _commission(studio: Studio, directory: Path, days: float) -> Iterator[Told]:
    rows, day = int(days * DAY_S), 1
    while rows > 0:
        begun_s = time.perf_counter()
        part = min(rows, DAY_S)
        lived = studio.live(Order(f"commission-{day}", QUIET, 1.0, float((day - 1) * DAY_S), part, ()))
        file = directory / f"day-{day:02d}.npz"
        _write(file, lived)
        yield Told(file, part, time.perf_counter() - begun_s)
        rows, day = rows - part, day + 1


def _write(file: Path, lived: Lived) -> None:
    marks = json.dumps([mark._asdict() for mark in lived.marks])
    np.savez_compressed(file, time_s=lived.time_s, values=lived.values, marks=np.array(marks))


def _write_truth(file: Path, truths: Sequence[tuple[str, Truth]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(TRUTH_COLUMNS)
        for episode, truth in truths:
            visible = "" if truth.visible_s is None else f"{truth.visible_s:.0f}"
            times = (f"{truth.begin_s:.0f}", f"{truth.end_s:.0f}", visible)
            writer.writerow((episode, truth.kind, truth.cause, *times, ";".join(truth.points)))
