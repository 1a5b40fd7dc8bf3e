"""Aggregates in SQLite: 64 points of one bucket share a row, so that a batch of a thousand points touches few pages.

A point has a number; number // 64 is its shelf, number % 64 its place. A row is keyed by (level, bucket, shelf): all
that happened in one minute lies together, and a point's history is one seek per bucket.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin_server.store.rows import AggregateBlock, Aggregates

Db = sqlite3.Connection
Cells = NDArray[np.void]

SHELF = 64
CELL = np.dtype(
    [("n", "<u4"), ("bad", "<u4"), ("min", "<f8"), ("max", "<f8"), ("sum", "<f8"), ("last", "<f8"), ("last_us", "<i8")]
)
_BLANK = np.array((0, 0, np.nan, np.nan, 0.0, np.nan, 0), CELL)


class Part(NamedTuple):
    """The points of a block that stand on one shelf: their places there, and where they are in the block."""

    shelf: int
    places: NDArray[np.int64]
    rows: NDArray[np.int64]


class Numbers:
    """Numbers of one gateway's points as committed; a transaction works on a copy and hands it back."""

    __slots__ = ("known", "parts")

    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        self.parts: dict[tuple[str, ...], list[Part]] = {}

    def copy(self) -> "Numbers":
        """Return numbers that grow apart from these."""
        other = Numbers()
        other.known, other.parts = dict(self.known), dict(self.parts)
        return other


def load_numbers(db: Db, ent: str, gateway: str) -> Numbers:
    """Read the numbers of a gateway's points."""
    numbers = Numbers()
    query = "select point, pid from point where ent = ? and gateway = ?"
    numbers.known = dict(db.execute(query, (ent, gateway)).fetchall())
    return numbers


def add(db: Db, ent: str, gateway: str, numbers: Numbers, blocks: Iterable[AggregateBlock]) -> None:
    """Merge blocks into the buckets, each shelf read and written once."""
    held: dict[tuple[int, int, int], Cells] = {}
    for block in blocks:
        for part in _parts(db, ent, gateway, numbers, block.points):
            key = (block.level_us, block.t0_us, part.shelf)
            if key not in held:
                held[key] = _load(db, ent, key)
            _merge(held[key], block, part)
    rows = [(ent, *key, cells[: _used(cells)].tobytes()) for key, cells in held.items()]
    db.executemany("insert or replace into aggregate values(?,?,?,?,?)", rows)


def read(db: Db, ent: str, gateway: str, point: str, level_us: int, from_us: int, to_us: int) -> Aggregates:
    """Return one point's buckets that begin in [from_us, to_us)."""
    query = "select pid from point where ent = ? and gateway = ? and point = ?"
    found = db.execute(query, (ent, gateway, point)).fetchone()
    times: list[int] = []
    cells: list[bytes] = []
    if found:
        shelf, place = divmod(found[0], SHELF)
        first = place * CELL.itemsize
        values = {"ent": ent, "level": level_us, "from": from_us, "to": to_us, "shelf": shelf}
        for t0_us, data in db.execute(_BUCKETS, values):
            cell = data[first : first + CELL.itemsize]
            if len(cell) == CELL.itemsize:
                times.append(t0_us)
                cells.append(cell)
    columns = np.frombuffer(b"".join(cells), CELL)
    there = (columns["n"] > 0) | (columns["bad"] > 0)
    columns, t0 = columns[there], np.array(times, np.int64)[there]
    n, bad = columns["n"].astype(np.int64), columns["bad"].astype(np.int64)
    low, high, total, last = (columns[name].astype(np.float64) for name in ("min", "max", "sum", "last"))
    return Aggregates(t0, n, bad, low, high, total, last, columns["last_us"].astype(np.int64))


# Walk the bucket times that exist by seeks on the primary key, then seek the shelf in each.
_BUCKETS = """
with recursive at(t) as (
    select min(t0_us) from aggregate where ent = :ent and level_us = :level and t0_us >= :from and t0_us < :to
    union all
    select (select min(t0_us) from aggregate where ent = :ent and level_us = :level and t0_us > at.t and t0_us < :to)
    from at where at.t is not null)
select t0_us, data from at join aggregate a
on a.ent = :ent and a.level_us = :level and a.t0_us = at.t and a.shelf = :shelf order by t0_us"""


def _load(db: Db, ent: str, key: tuple[int, int, int]) -> Cells:
    query = "select data from aggregate where ent = ? and level_us = ? and t0_us = ? and shelf = ?"
    row = db.execute(query, (ent, *key)).fetchone()
    cells = np.full(SHELF, _BLANK)
    if row:
        held = np.frombuffer(row[0], CELL)
        cells[: held.size] = held
    return cells


def _merge(cells: Cells, block: AggregateBlock, part: Part) -> None:
    """Add a block's columns to their places; a place comes up once in a block."""
    places, rows = part.places, part.rows
    old = cells[places]
    newer = (block.last_us[rows] >= old["last_us"]) & (block.n[rows] > 0)
    cells["n"][places] = old["n"] + block.n[rows]
    cells["bad"][places] = old["bad"] + block.bad[rows]
    cells["min"][places] = np.fmin(old["min"], block.min[rows])
    cells["max"][places] = np.fmax(old["max"], block.max[rows])
    cells["sum"][places] = old["sum"] + block.sum[rows]
    cells["last"][places] = np.where(newer, block.last[rows], old["last"])
    cells["last_us"][places] = np.where(newer, block.last_us[rows], old["last_us"])


def _used(cells: Cells) -> int:
    return int(np.flatnonzero((cells["n"] > 0) | (cells["bad"] > 0))[-1]) + 1


def _parts(db: Db, ent: str, gateway: str, numbers: Numbers, points: tuple[str, ...]) -> list[Part]:
    if points not in numbers.parts:
        _number(db, ent, gateway, numbers, points)
        pids = np.array([numbers.known[point] for point in points], np.int64)
        shelves = pids // SHELF
        numbers.parts[points] = [
            Part(int(shelf), pids[rows] % SHELF, rows)
            for shelf in np.unique(shelves)
            for rows in (np.flatnonzero(shelves == shelf),)
        ]
    return numbers.parts[points]


def _number(db: Db, ent: str, gateway: str, numbers: Numbers, points: Sequence[str]) -> None:
    """Give new points their numbers; a gateway's first point begins a shelf."""
    if all(point in numbers.known for point in points):
        return
    numbers.known = load_numbers(db, ent, gateway).known  # a commit just before may have numbered them
    missing = [point for point in points if point not in numbers.known]
    first = db.execute("select ifnull(max(pid), -1) + 1 from point where ent = ?", (ent,)).fetchone()[0]
    if not numbers.known:
        first = -(-first // SHELF) * SHELF
    for pid, point in enumerate(missing, first):
        db.execute("insert into point values(?,?,?,?)", (ent, gateway, point, pid))
        numbers.known[point] = pid
