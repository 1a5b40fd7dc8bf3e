"""Aggregates as bytes, for every store alike: 64 points of one bucket share a row, so that a batch touches few pages.

A point has a number; number // 64 is its shelf, number % 64 its place. A row is keyed by (level, bucket, shelf): all
that happened in one minute lies together, and a point's history is one seek per bucket. Pure: no database here.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin_server.store.rows import AggregateBlock, Aggregates

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

    def has(self, points: tuple[str, ...]) -> bool:
        """Tell whether all these points are numbered."""
        return points in self.places or all(point in self.known for point in points)

    def number(self, points: Sequence[str], next_pid: int) -> list[tuple[str, int]]:
        """Number new points from `next_pid`, the enterprise's first free number; a shelf belongs to one gateway."""
        missing = [point for point in points if point not in self.known]
        if max(self.known.values(), default=-1) + 1 != next_pid:
            next_pid = -(-next_pid // SHELF) * SHELF
        given = [(point, pid) for pid, point in enumerate(missing, next_pid)]
        fresh = Numbers(self.known | dict(given))
        self.known, self.shelves, self.places = fresh.known, fresh.shelves, fresh.places
        return given


def columns_of(shelves: list[int], rows: dict[int, bytes]) -> Columns:
    """Return the cells of these shelves as columns; a shelf or cell that no row holds is blank."""
    cells = np.full(len(shelves) * SHELF, _BLANK)
    for at, shelf in enumerate(shelves):
        if shelf in rows:
            held = np.frombuffer(rows[shelf], CELL)
            cells[at * SHELF : at * SHELF + held.size] = held
    return {name: np.ascontiguousarray(cells[name]) for name in CELL.names or ()}


def rows_of(shelves: list[int], columns: Columns) -> Iterator[tuple[int, bytes]]:
    """Yield (shelf, data) of every shelf with a cell in use, cut after its last one."""
    cells = np.empty(len(shelves) * SHELF, CELL)
    for name, column in columns.items():
        cells[name] = column
    there = ((cells["n"] > 0) | (cells["bad"] > 0)).reshape(-1, SHELF)
    used = np.where(there.any(axis=1), SHELF - there[:, ::-1].argmax(axis=1), 0).tolist()
    for at, (shelf, count) in enumerate(zip(shelves, used, strict=True)):
        if count:
            yield shelf, cells[SHELF * at : SHELF * at + count].tobytes()


def merge(columns: Columns, block: AggregateBlock, places: Places) -> None:
    """Add a block's columns to their places; a place comes up once in a block."""
    newer = (block.last_us >= columns["last_us"][places]) & (block.n > 0)
    columns["n"][places] += block.n.astype(np.uint32)
    columns["bad"][places] += block.bad.astype(np.uint32)
    columns["min"][places] = np.fmin(columns["min"][places], block.min)
    columns["max"][places] = np.fmax(columns["max"][places], block.max)
    columns["sum"][places] += block.sum
    columns["last"][places] = np.where(newer, block.last, columns["last"][places])
    columns["last_us"][places] = np.where(newer, block.last_us, columns["last_us"][places])


def aggregates_of(times_us: Sequence[int], cells: Sequence[bytes]) -> Aggregates:
    """Return one point's cells, one per bucket, as columns; a cell without data is left out."""
    columns = np.frombuffer(b"".join(cells), CELL)
    there = (columns["n"] > 0) | (columns["bad"] > 0)
    columns, t0 = columns[there], np.array(times_us, np.int64)[there]
    n, bad = columns["n"].astype(np.int64), columns["bad"].astype(np.int64)
    low, high, total, last = (columns[name].astype(np.float64) for name in ("min", "max", "sum", "last"))
    return Aggregates(t0, n, bad, low, high, total, last, columns["last_us"].astype(np.int64))
