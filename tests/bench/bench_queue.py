"""The gateway's queue against the usual way, one SQLite row per sample, both durable, in one run."""

import os
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

from buffering.queue import Queue
from buffering.room import Gap
from buffering.rows import Entry, Position

SAMPLES = 10_000  # 1,000 points for 10 s
BODY_BYTES = 4_700  # what the codec makes of them
BATCHES = 400


def _gap(position: Position, gap: Gap) -> Entry:
    return Entry(bytes(280), repr(gap).encode(), "gap", 1, gap.t0_ms, gap.t1_ms, 1)


def _queue(folder: Path) -> tuple[list[float], int, Queue]:
    queue = Queue(folder / "queue.db", _gap, quota_bytes=256 << 20, ballast_bytes=0)
    queue.begin_boot()
    took = []
    for n in range(BATCHES):
        body, statement = os.urandom(BODY_BYTES), os.urandom(280)
        start = time.perf_counter()
        queue.append(lambda _, s=statement, b=body, n=n: Entry(s, b, "data", 2, n, n + 1, SAMPLES))
        took.append(time.perf_counter() - start)
    return took, queue.fill().used_bytes, queue


def _row_per_sample(folder: Path, batches: int) -> tuple[list[float], int]:
    connection = sqlite3.connect(folder / "rows.db", isolation_level=None)
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=full")
    connection.execute("create table sample(id integer primary key, point integer, time_us integer, value real)")
    took = []
    for n in range(batches):
        rows = [(p, n * 10_000_000 + s * 1_000_000, p * 0.01 + s) for s in range(10) for p in range(1_000)]
        start = time.perf_counter()
        connection.execute("begin")
        connection.executemany("insert into sample(point, time_us, value) values(?,?,?)", rows)
        connection.execute("commit")
        took.append(time.perf_counter() - start)
    connection.execute("pragma wal_checkpoint(truncate)").fetchall()
    connection.close()
    return took, (folder / "rows.db").stat().st_size


def run() -> list[tuple[str, str, str, float]]:
    """Return (what, figure, baseline, ratio) rows; medians of one run."""
    rows: list[tuple[str, str, str, float]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain, plain_bytes = _row_per_sample(folder, 30)
        took, size, queue = _queue(folder)
        fast, slow = statistics.median(took), statistics.median(plain)
        rows.append(("10,000 samples stored durably", f"{SAMPLES / fast / 1e6:.1f} M/s", "row per sample", slow / fast))
        rows.append(
            (
                "bytes in the file per sample",
                f"{size / BATCHES / SAMPLES:.2f} B",
                "row per sample",
                (plain_bytes / 30) / (size / BATCHES),
            )
        )
        start = time.perf_counter()
        offered = sum(len(queue.offer(skip=range(k), batches_max=256)) for k in range(0, BATCHES, 256))
        took_s = time.perf_counter() - start
        reader = sqlite3.connect(folder / "rows.db")
        start = time.perf_counter()
        read = len(reader.execute("select * from sample limit 100000").fetchall())
        plain_s = time.perf_counter() - start
        reader.close()
        rate, plain_rate = offered * SAMPLES / took_s, read / plain_s
        rows.append(("samples read back for sending", f"{rate / 1e6:.0f} M/s", "row per sample", rate / plain_rate))
        queue.close()
    return rows
