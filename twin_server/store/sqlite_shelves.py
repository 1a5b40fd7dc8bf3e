"""Aggregates in SQLite: the rows of `shelves.py`, read once and written once in a transaction."""

import sqlite3
from collections.abc import Iterable, Sequence

from twin_server.store.rows import AggregateBlock, Aggregates
from twin_server.store.shelves import CELL, SHELF, Columns, Numbers, aggregates_of, columns_of, merge, rows_of

Db = sqlite3.Connection


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
            if not numbers.has(block.points):
                self.flush()  # new points may stand on new shelves
                _number(self._db, self._ent, gateway, numbers, block.points)
            key = (gateway, block.level_us, block.t0_us)
            if key not in self._held:
                self._held[key] = (numbers.shelves, self._load(key, numbers.shelves))
            merge(self._held[key][1], block, numbers.places_of(block.points))

    def flush(self) -> None:
        """Write what was added."""
        rows: list[tuple[object, ...]] = []
        for (_, level_us, t0_us), (shelves, columns) in self._held.items():
            rows += [(self._ent, level_us, t0_us, shelf, data) for shelf, data in rows_of(shelves, columns)]
        self._db.executemany("insert or replace into aggregate values(?,?,?,?,?)", rows)
        self._held.clear()

    def _load(self, key: tuple[str, int, int], shelves: list[int]) -> Columns:
        query = (
            "select shelf, data from aggregate where ent = ? and level_us = ? and t0_us = ? and shelf between ? and ?"
        )
        found = self._db.execute(query, (self._ent, *key[1:], shelves[0], shelves[-1]))
        return columns_of(shelves, dict(found.fetchall()))


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
    return aggregates_of(times, cells)


# Walk the bucket times that exist by seeks on the primary key, then seek the shelf in each.
_BUCKETS = """
with recursive at(t) as (
    select min(t0_us) from aggregate where ent = :ent and level_us = :level and t0_us >= :from and t0_us < :to
    union all
    select (select min(t0_us) from aggregate where ent = :ent and level_us = :level and t0_us > at.t and t0_us < :to)
    from at where at.t is not null)
select t0_us, data from at join aggregate a
on a.ent = :ent and a.level_us = :level and a.t0_us = at.t and a.shelf = :shelf order by t0_us"""


def _number(db: Db, ent: str, gateway: str, numbers: Numbers, points: Sequence[str]) -> None:
    """Give points never seen before their numbers."""
    committed = load_numbers(db, ent, gateway)  # a commit just before may have numbered them
    numbers.known, numbers.shelves, numbers.places = committed.known, committed.shelves, committed.places
    next_pid = db.execute("select ifnull(max(pid), -1) + 1 from point where ent = ?", (ent,)).fetchone()[0]
    given = numbers.number(points, next_pid)
    db.executemany("insert into point values(?,?,?,?)", [(ent, gateway, point, pid) for point, pid in given])
