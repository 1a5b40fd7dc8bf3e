"""What gives way when the queue needs room: first what the server keeps safe, then bodies, with a record of each."""

import hashlib
import itertools
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from buffering.database import PAGE_BYTES

SEQ_BITS = 40  # row id = epoch << 40 | seq, so that the order of ids is the order of the chain
SLICE_ROWS_MAX = 1_000  # one transaction; more would hold up the next batch on a slow card
SLICE_BYTES_MIN = 16 << 10  # bodies that free less are not worth a gap record, which takes room itself
PRIORITIES = (2, 1, 0)  # data, then records, then alarms: the order in which bodies give way


class Gap(NamedTuple):
    """What a gap record has to say: which batches of one epoch lost their body, or are missing, and why."""

    # "quota" bodies given up | "quota_statements" whole batches given up | "damage" found in the file | "reserve"
    # numbers left out lest one comes twice | "memory" bodies lost while the disk took no writes | "not_kept" batches
    # the server lost and this gateway no longer has
    reason: str
    epoch: int
    ranges: tuple[tuple[int, int], ...]  # inclusive sequence numbers
    batches: int
    rows: int  # readings in them
    size: int  # bytes of the bodies
    t0_ms: int
    t1_ms: int


def row_id(epoch: int, seq: int) -> int:
    """Return the row id of a batch."""
    return epoch << SEQ_BITS | seq


def number_of(identity: int) -> tuple[int, int]:
    """Return (epoch, seq) of a row id."""
    return identity >> SEQ_BITS, identity & ((1 << SEQ_BITS) - 1)


def pages_used(connection: sqlite3.Connection) -> int:
    """Return the pages that hold something; the file itself never shrinks, free pages are used again."""
    pages: int = connection.execute("pragma page_count").fetchone()[0]
    free: int = connection.execute("pragma freelist_count").fetchone()[0]
    return pages - free


def pages_for(payload_bytes: int) -> int:
    """Return an upper bound of the pages one more row takes."""
    return payload_bytes // (PAGE_BYTES - 4) + 4


def delete_safe(connection: sqlite3.Connection, anchored_id: int, before_ms: int) -> int:
    """Delete the oldest slice at or below the anchored watermark that ended before `before_ms`; return the rows.

    The newest row always stays: the chain goes on from it.
    """
    oldest = connection.execute(
        "select id, t1_ms from batch where id <= ? and id < (select max(id) from batch) order by id limit ?",
        (anchored_id, SLICE_ROWS_MAX),
    ).fetchall()
    # A clock that was set back must not leave a hole in the middle: only an unbroken run from the oldest on goes.
    old = list(itertools.takewhile(lambda row: row[1] < before_ms, oldest))
    if old:
        connection.execute("delete from batch where id <= ?", (old[-1][0],))
    return len(old)


def drop_slice(connection: sqlite3.Connection, after_id: int, newest_kept: int, bytes_wanted: int) -> list[Gap]:
    """Give up one slice above `after_id`: bodies as long as they are worth it, then the oldest statements too."""
    return drop_bodies(connection, after_id, newest_kept, bytes_wanted) or _drop_rows(
        connection, after_id, newest_kept, bytes_wanted
    )


def drop_bodies(connection: sqlite3.Connection, after_id: int, newest_kept: int, bytes_wanted: int) -> list[Gap]:
    """Empty the least urgent bodies above `after_id`, oldest first, at most one slice; one Gap per epoch touched.

    Statements stay; the body of the row `newest_kept` stays.
    """
    for priority in PRIORITIES:
        found: list[tuple[int, int, int, int, int]] = []
        size = 0
        for row in connection.execute(
            "select id, length(body), rows, t0_ms, t1_ms from batch"
            " where id > ? and id < ? and priority = ? and body is not null order by id limit ?",
            (after_id, newest_kept, priority, SLICE_ROWS_MAX),
        ):
            found.append(row)
            size += row[1]
            if size >= bytes_wanted:
                break
        if size >= min(bytes_wanted, SLICE_BYTES_MIN):
            rewrite_without_body(connection, [row[0] for row in found])
            return list(_gaps("quota", found))
    return []


def _drop_rows(connection: sqlite3.Connection, after_id: int, newest_kept: int, bytes_wanted: int) -> list[Gap]:
    # Months without a link: the queue is full of statements alone. The hole is explained by the record.
    found: list[tuple[int, int, int, int, int]] = []
    size = 0
    for row in connection.execute(
        "select id, 0, rows, t0_ms, t1_ms, length(statement) from batch where id > ? and id < ? order by id limit ?",
        (after_id, newest_kept, SLICE_ROWS_MAX),
    ):
        found.append(row[:5])
        size += row[5]
        if size >= bytes_wanted:
            break
    if size < min(bytes_wanted, SLICE_BYTES_MIN):
        return []
    connection.executemany("delete from batch where id = ?", [(row[0],) for row in found])
    return list(_gaps("quota_statements", found))


def note_holes(connection: sqlite3.Connection, gap: Gap) -> None:
    """Write down that these numbers are explained, so that the check at open does not find them again."""
    connection.executemany(
        "insert or replace into hole values(?,?)",
        [(row_id(gap.epoch, first), row_id(gap.epoch, last)) for first, last in gap.ranges],
    )


def rewrite_without_body(connection: sqlite3.Connection, ids: list[int]) -> None:
    """Take the bodies out of rows; the statements stay."""
    # An UPDATE to NULL leaves half-empty pages that no later row can use; delete and insert packs them.
    rows: list[tuple[object, ...]] = []
    for identity in ids:
        rows += connection.execute(
            "select id, priority, kind, t0_ms, t1_ms, rows, size, statement from batch where id = ?", (identity,)
        ).fetchall()
    connection.executemany("delete from batch where id = ?", [(identity,) for identity in ids])
    connection.executemany("insert into batch values(?,?,?,?,?,?,?,?,null)", rows)


def _gaps(reason: str, found: list[tuple[int, int, int, int, int]]) -> Iterator[Gap]:
    epochs = sorted({number_of(row[0])[0] for row in found})
    for epoch in epochs:
        rows = [row for row in found if number_of(row[0])[0] == epoch]
        yield Gap(
            reason=reason,
            epoch=epoch,
            ranges=ranges_of([number_of(row[0])[1] for row in rows]),
            batches=len(rows),
            rows=sum(row[2] for row in rows),
            size=sum(row[1] for row in rows),
            t0_ms=min(row[3] for row in rows),
            t1_ms=max(row[4] for row in rows),
        )


def ranges_of(numbers: list[int]) -> tuple[tuple[int, int], ...]:
    """Return sorted `numbers` as inclusive ranges."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return tuple(ranges)


def damage_in(connection: sqlite3.Connection, rows_max: int, epoch: int, next_seq: int, prev: bytes) -> tuple[Gap, ...]:
    """Return what the newest rows lack against the head: holes in the numbers, a last statement with another hash."""
    newest = connection.execute("select id, t0_ms, t1_ms from batch order by id desc limit ?", (rows_max,)).fetchall()
    newest.reverse()
    said = connection.execute("select first, last from hole order by first").fetchall()
    found = [
        _damage(number_of(before[0])[0], number_of(before[0])[1] + 1, number_of(after[0])[1] - 1, before[2], after[1])
        for before, after in itertools.pairwise(newest)
        if after[0] != before[0] + 1
        and number_of(after[0])[0] == number_of(before[0])[0]
        and not _covered(said, before[0] + 1, after[0] - 1)
    ]
    if not next_seq:
        return tuple(found)
    last_epoch, last_seq, end_ms = (*number_of(newest[-1][0]), newest[-1][2]) if newest else (epoch, -1, 0)
    if (last_epoch, last_seq) != (epoch, next_seq - 1):
        first = last_seq + 1 if last_epoch == epoch else 0
        if _covered(said, row_id(epoch, first), row_id(epoch, next_seq - 1)):
            return tuple(found)
        found.append(_damage(epoch, first, next_seq - 1, end_ms, end_ms))
    else:
        row = connection.execute("select statement from batch where id = ?", (row_id(epoch, next_seq - 1),)).fetchone()
        if hashlib.sha256(row[0]).digest() != prev:
            found.append(_damage(epoch, next_seq - 1, next_seq - 1, newest[-1][1], end_ms))
    return tuple(found)


def _covered(holes: list[tuple[int, int]], first: int, last: int) -> bool:
    for low, high in holes:
        if low <= first <= high:
            first = high + 1
    return first > last


def _damage(epoch: int, first: int, last: int, t0_ms: int, t1_ms: int) -> Gap:
    return Gap("damage", epoch, ((first, last),), last - first + 1, 0, 0, t0_ms, t1_ms)
