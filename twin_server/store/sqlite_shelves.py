"""Aggregates in SQLite: 64 points of one bucket share a row, so that a batch of a thousand points touches few pages.

A point has a number; number // 64 is its shelf, number % 64 its place. A row is keyed by (level, bucket, shelf): all
that happened in one minute lies together, and a point's history is one seek per bucket.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin_server.store.rows import AggregateBlock, Aggregates

Db = sqlite3.Connection
Columns = dict[str, NDArray[Any]]  # by the name of the cell's field, all cells of a gateway's shelves
Places = slice | NDArray[np.int64]

SHELF = 64
CELL = np.dtype(
    [("n", "<u4"), ("bad", "<u4"), ("min", "<f8"), ("max", "<f8"), ("sum", "<f8"), ("last", "<f8"), ("last_us", "<i8")]
)
_BLANK = np.array((0, 0, np.nan, np.nan, 0.0, np.nan, 0), CELL)


class Numbers:
    """Numbers of one gateway's points as committed; a transaction works on a copy and hands it back."""

    __slots__ = ("known", "places", "shelves")

    def __init__(self, known: dict[str, int]) -> None:
        self.known = known
        self.shelves = sorted({pid // SHELF for pid in known.values()})
        self.places: dict[tuple[str, ...], Places] = {}  # where the points of a block lie in `Bucket.columns`

    def copy(self) -> "Numbers":
        """Return numbers that grow apart from these."""
        other = Numbers(dict(self.known))
        other.places = dict(self.places)
        return other

    def places_of(self, points: tuple[str, ...]) -> Places:
        """Return the places of known points, as a slice where they lie side by side."""
        found = self.places.get(points)
        if found is None:
            first = {shelf: SHELF * at for at, shelf in enumerate(self.shelves)}
            place = np.array([first[pid // SHELF] + pid % SHELF for pid in map(self.known.__getitem__, points)])
            beside = bool((np.diff(place) == 1).all())
            found = self.places[points] = slice(int(place[0]), int(place[-1]) + 1) if beside else place
        return found


def load_numbers(db: Db, ent: str, gateway: str) -> Numbers:
    """Read the numbers of a gateway's points."""
    query = "select point, pid from point where ent = ? and gateway = ?"
    return Numbers(dict(db.execute(query, (ent, gateway)).fetchall()))


class Shelves:
    """The buckets that one transaction touches: read once, added to in memory, written by `flush`."""

    def __init__(self, db: Db, ent: str) -> None:
        self._db = db
        self._ent = ent
        self._held: dict[tuple[str, int, int], tuple[list[int], Columns]] = {}  # by gateway, level, bucket

    def add(self, gateway: str, numbers: Numbers, blocks: Iterable[AggregateBlock]) -> None:
        """Merge blocks into the buckets; `numbers` grows by points never seen before."""
        for block in blocks:
            if block.points not in numbers.places and not all(point in numbers.known for point in block.points):
                self.flush()  # new points may stand on new shelves
                _number(self._db, self._ent, gateway, numbers, block.points)
            key = (gateway, block.level_us, block.t0_us)
            if key not in self._held:
                self._held[key] = (numbers.shelves, self._load(key, numbers.shelves))
            _merge(self._held[key][1], block, numbers.places_of(block.points))

    def flush(self) -> None:
        """Write what was added."""
        rows: list[tuple[object, ...]] = []
        for (_, level_us, t0_us), (shelves, columns) in self._held.items():
            cells = np.empty(len(shelves) * SHELF, CELL)
            for name, column in columns.items():
                cells[name] = column
            there = ((cells["n"] > 0) | (cells["bad"] > 0)).reshape(-1, SHELF)
            used = np.where(there.any(axis=1), SHELF - there[:, ::-1].argmax(axis=1), 0).tolist()
            for at, (shelf, count) in enumerate(zip(shelves, used, strict=True)):
                if count:
                    data = cells[SHELF * at : SHELF * at + count].tobytes()
                    rows.append((self._ent, level_us, t0_us, shelf, data))
        self._db.executemany("insert or replace into aggregate values(?,?,?,?,?)", rows)
        self._held.clear()

    def _load(self, key: tuple[str, int, int], shelves: list[int]) -> Columns:
        cells = np.full(len(shelves) * SHELF, _BLANK)
        at = {shelf: SHELF * place for place, shelf in enumerate(shelves)}
        query = (
            "select shelf, data from aggregate where ent = ? and level_us = ? and t0_us = ? and shelf between ? and ?"
        )
        for shelf, data in self._db.execute(query, (self._ent, *key[1:], shelves[0], shelves[-1])):
            if shelf in at:
                held = np.frombuffer(data, CELL)
                cells[at[shelf] : at[shelf] + held.size] = held
        return {name: np.ascontiguousarray(cells[name]) for name in CELL.names or ()}


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


def _merge(columns: Columns, block: AggregateBlock, places: Places) -> None:
    """Add a block's columns to their places; a place comes up once in a block."""
    newer = (block.last_us >= columns["last_us"][places]) & (block.n > 0)
    columns["n"][places] += block.n.astype(np.uint32)
    columns["bad"][places] += block.bad.astype(np.uint32)
    columns["min"][places] = np.fmin(columns["min"][places], block.min)
    columns["max"][places] = np.fmax(columns["max"][places], block.max)
    columns["sum"][places] += block.sum
    columns["last"][places] = np.where(newer, block.last, columns["last"][places])
    columns["last_us"][places] = np.where(newer, block.last_us, columns["last_us"][places])


def _number(db: Db, ent: str, gateway: str, numbers: Numbers, points: Sequence[str]) -> None:
    """Give new points their numbers; a gateway's first point begins a shelf."""
    known = load_numbers(db, ent, gateway).known  # a commit just before may have numbered them
    missing = [point for point in points if point not in known]
    first = db.execute("select ifnull(max(pid), -1) + 1 from point where ent = ?", (ent,)).fetchone()[0]
    if not known:
        first = -(-first // SHELF) * SHELF
    for pid, point in enumerate(missing, first):
        db.execute("insert into point values(?,?,?,?)", (ent, gateway, point, pid))
        known[point] = pid
    fresh = Numbers(known)
    numbers.known, numbers.shelves, numbers.places = fresh.known, fresh.shelves, fresh.places
