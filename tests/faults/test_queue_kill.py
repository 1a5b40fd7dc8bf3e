"""kill -9 at any moment: what was acknowledged is there, numbers never repeat, the chain goes on."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from buffering.room import number_of, row_id
from buffering.rows import Remote
from tests.support.queues import assert_unbroken, data_seal, numbers_in_gaps, open_queue, rows_of
from twin_wire.errors import StoreError

WRITER = """
import sys
from pathlib import Path
from tests.support.queues import data_seal, open_queue
queue = open_queue(Path(sys.argv[1]), quota_bytes=int(sys.argv[2]))
while True:
    seq = queue.position.seq
    entry = queue.append(data_seal(3_000, priority=0 if seq % 40 == 0 else 2), conditions=b"%d" % seq)
    sys.stdout.write(f"{queue.position.seq - 1} {queue.position.boot}\\n")
    sys.stdout.flush()
"""


def run_until_killed(folder, after_s: float, quota_bytes: int) -> list[tuple[int, int]]:
    """Let a writer run for a while, kill it, return the (seq, boot) it acknowledged."""
    command = [sys.executable, "-c", WRITER, str(folder), str(quota_bytes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        first = process.stdout.readline()
        time.sleep(after_s)
        os.kill(process.pid, signal.SIGKILL)
        lines = [first, *process.stdout.read().splitlines()]
    return [(int(a), int(b)) for a, b in (line.split() for line in lines if len(line.split()) == 2)]


def check_all_kept(folder, acknowledged: list[tuple[int, int]]) -> None:
    rows = rows_of(folder)
    assert_unbroken(rows)
    seqs = {number_of(row["id"])[1] for row in rows}
    assert {seq for seq, _ in acknowledged} <= seqs, "an acknowledged batch is gone"
    emptied = {number_of(row["id"]) for row in rows if row["body"] is None}
    assert emptied <= numbers_in_gaps(rows), "a body went without a record"


@pytest.mark.parametrize(("rounds", "quota_bytes"), [(8, 1 << 20), pytest.param(60, 8 << 20, marks=pytest.mark.long)])
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path, record_property, rounds, quota_bytes):
    rng = random.Random(rounds)
    acknowledged: list[tuple[int, int]] = []
    for boot in range(1, rounds + 1):
        fresh = run_until_killed(tmp_path, rng.random() * 0.15, quota_bytes)
        assert all(b == boot for _, b in fresh), "a boot number came twice"
        acknowledged += fresh
    numbers = [seq for seq, _ in acknowledged]
    assert numbers == sorted(set(numbers)), "a number was given twice"
    queue = open_queue(tmp_path, quota_bytes=quota_bytes)
    assert not queue.damage
    assert queue.conditions == b"%d" % int(queue.conditions)
    queue.close()
    check_all_kept(tmp_path, acknowledged)
    record_property("kills", rounds)


def test_a_write_interrupted_anywhere_leaves_the_queue_as_before_or_after(tmp_path):
    queue = open_queue(tmp_path, quota_bytes=1 << 20)
    for _ in range(400):  # over the quota: the next append evicts, records, numbers and stores
        queue.append(data_seal(3_000))
    queue.note(Remote("h", row_id(0, 3), row_id(0, 2), 5, bytes(32), b"note", 1))
    interrupted = 0
    for step in range(1, 3_000, 7):
        once = iter([1])
        queue._db.set_progress_handler(lambda once=once: next(once, 0), step)  # after that many steps of SQLite
        before = queue.position
        try:
            queue.append(data_seal(3_000), conditions=b"%d" % step)
        except StoreError:  # stored or not, nobody can say: as the agent does, begin again from the file
            interrupted += 1
            queue._db.set_progress_handler(None, 0)
            assert not queue._db.in_transaction
            queue._db.close()
            queue = open_queue(tmp_path, quota_bytes=1 << 20)
            assert not queue.damage
        assert queue.position.seq >= before.seq
        queue._db.set_progress_handler(None, 0)
        queue.append(data_seal(200))
    assert interrupted > 20
    queue.close()
    queue = open_queue(tmp_path, quota_bytes=1 << 20)
    assert not queue.damage
    queue.close()
    rows = rows_of(tmp_path)
    assert_unbroken(rows)
    check_all_kept(tmp_path, [])
