"""A queue filled with opaque statements, for tests that are about keeping and not about signing."""

import hashlib
import itertools
import json
import random
import sqlite3
from pathlib import Path

from buffering.queue import Queue
from buffering.room import Gap
from buffering.rows import Entry, Position

MINUTE_MS = 60_000


def statement_of(position: Position, body: bytes = b"") -> bytes:
    """A stand-in with the size of a signed statement that can be read back as JSON."""
    fields = {
        "epoch": position.epoch,
        "boot": position.boot,
        "seq": position.seq,
        "prev": position.prev.hex(),
        "digest": hashlib.sha256(body).hexdigest(),
    }
    return json.dumps(fields).encode().ljust(280)


def gap_entry(position: Position, gap: Gap) -> Entry:
    """Seal a gap record: its body tells which numbers lost theirs."""
    body = json.dumps([gap.reason, gap.epoch, gap.ranges, gap.batches, gap.rows]).encode()
    return Entry(statement_of(position, body), body, "gap", 1, gap.t0_ms, gap.t1_ms, 1)


def data_seal(size: int = 700, priority: int = 2, t_ms: int = 0, rows: int = 10, kind: str = "data"):
    """Return a seal function for a body of random bytes that depend on nothing but its number."""

    def seal(position: Position) -> Entry:
        body = random.Random(position.seq * 7919 + position.epoch).randbytes(size)
        t1_ms = t_ms or (position.seq + 1) * 10_000
        return Entry(statement_of(position, body), body, kind, priority, t1_ms - 10_000, t1_ms, rows)

    return seal


def open_queue(folder: Path, **options: int) -> Queue:
    """Open `queue.db` in `folder` and begin a boot."""
    options.setdefault("ballast_bytes", 0)
    queue = Queue(folder / "queue.db", gap_entry, **options)
    queue.begin_boot()
    return queue


def rows_of(folder: Path) -> list[dict]:
    """Read every row with a connection of our own; the queue must be closed."""
    connection = sqlite3.connect(folder / "queue.db")
    connection.row_factory = sqlite3.Row
    rows = [dict(row) for row in connection.execute("select * from batch order by id")]
    connection.close()
    return rows


def assert_unbroken(rows: list[dict]) -> None:
    """Every row follows the one before by number and hash."""
    for before, after in itertools.pairwise(rows):
        fields = json.loads(after["statement"])
        assert fields["prev"] == hashlib.sha256(before["statement"]).hexdigest()
        assert after["id"] == before["id"] + 1 or (after["id"] & ((1 << 40) - 1)) == 0


def numbers_in_gaps(rows: list[dict]) -> set[tuple[int, int]]:
    """Return every (epoch, seq) that a gap record in the queue names."""
    named: set[tuple[int, int]] = set()
    for row in rows:
        if row["kind"] == "gap":
            _, epoch, ranges, *_ = json.loads(row["body"])
            named |= {(epoch, seq) for low, high in ranges for seq in range(low, high + 1)}
    return named
