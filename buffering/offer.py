"""What to send next: the batches the server lacks, alarms first, then the newest few, then the backlog in order."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from buffering.room import SEQ_BITS, number_of, row_id

OFFER_BATCHES_MAX = 256
OFFER_BYTES_MAX = 4 << 20
_ENVELOPE_BYTES = 16  # CBOR heads around a statement and a body

Range = tuple[int, int, int]  # epoch, first seq, last seq


class Offer(NamedTuple):
    """A batch to be sent: the statement as signed, and its body unless the quota took it."""

    epoch: int
    seq: int
    statement: bytes
    body: bytes | None


def offer(
    connection: sqlite3.Connection,
    missing: list[tuple[int, int]],
    passed_over: Collection[int],
    newest: int,
    batches_max: int,
    bytes_max: int,
    alarms_first: bool = True,
) -> list[Offer]:
    """Return batches with ids inside `missing` and not in `passed_over`; at least one if there is any."""
    chosen: list[Offer] = []
    taken: set[int] = set(passed_over)
    room = bytes_max
    for identity, statement, body in _candidates(connection, missing, newest, alarms_first):
        if identity in taken:
            continue
        room -= len(statement) + len(body or b"") + _ENVELOPE_BYTES
        if chosen and room < 0:
            break
        chosen.append(Offer(*number_of(identity), statement, body))
        taken.add(identity)
        if len(chosen) == batches_max:
            break
    return chosen


def _candidates(
    connection: sqlite3.Connection, missing: list[tuple[int, int]], newest: int, alarms_first: bool
) -> Iterator[tuple[int, bytes, bytes | None]]:
    columns = "select id, statement, body from batch"
    for low, high in missing if alarms_first else ():
        yield from connection.execute(
            f"{columns} indexed by urgent where priority = 0 and id between ? and ? order by id", (low, high)
        )
    if newest and missing:
        first = connection.execute(
            "select min(id) from (select id from batch order by id desc limit ?)", (newest,)
        ).fetchone()[0]
        for below, high in missing:
            if first is not None and high >= first:
                yield from connection.execute(
                    f"{columns} where id between ? and ? order by id", (max(below, first), high)
                )
    for low, high in missing:
        yield from connection.execute(f"{columns} where id between ? and ? order by id", (low, high))


def search(
    connection: sqlite3.Connection, missing: list[tuple[int, int]], passed_over: Collection[int], batches_max: int
) -> list[Offer]:
    """Return the same without the index, row by row: a flipped bit in an inner page hides rows from every look-up."""
    chosen: list[Offer] = []
    for identity, statement, body in connection.execute("select id, statement, body from batch"):
        if len(chosen) == batches_max:
            break
        if identity not in passed_over and any(low <= identity <= high for low, high in missing):
            chosen.append(Offer(*number_of(identity), statement, body))
    return chosen


def missing_ids(server_id: int, above: Iterable[Range], end: int) -> list[tuple[int, int]]:
    """Return the inclusive id ranges after `server_id` and before `end` that `above` leaves open."""
    open_ranges: list[tuple[int, int]] = []
    low = server_id + 1
    for epoch, first, last in sorted(above):
        if row_id(epoch, first) > low:
            open_ranges.append((low, row_id(epoch, first) - 1))
        low = max(low, row_id(epoch, last) + 1)
    if low < end:
        open_ranges.append((low, end - 1))
    return [(a, min(b, end - 1)) for a, b in open_ranges if a < end]


def count_missing(spans: Iterable[Range], missing: Iterable[tuple[int, int]], passed_over: Iterable[int]) -> int:
    """Return how many batches of the queue's `spans` lie in `missing`, without touching a row."""
    total = 0
    ranges = list(missing)
    for epoch, first, last in spans:
        for low, high in ranges:
            total += max(0, min(high, row_id(epoch, last)) - max(low, row_id(epoch, first)) + 1)
    inside = sum(1 for i in passed_over for low, high in ranges if low <= i <= high)
    return max(0, total - inside)


def spans_of(connection: sqlite3.Connection) -> list[Range]:
    """Return (epoch, first seq, last seq) of every epoch in the file, by index seeks alone."""
    spans: list[Range] = []
    first = connection.execute("select min(id) from batch").fetchone()[0]
    while first is not None:
        epoch, low = number_of(first)
        end = (epoch + 1) << SEQ_BITS
        last = connection.execute("select max(id) from batch where id < ?", (end,)).fetchone()[0]
        spans.append((epoch, low, number_of(last)[1]))
        first = connection.execute("select min(id) from batch where id >= ?", (end,)).fetchone()[0]
    return spans
