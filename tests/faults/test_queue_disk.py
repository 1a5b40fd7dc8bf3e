"""A disk that fails: no number comes twice, nothing acknowledged is lost, every hole is signed, sealing goes on."""

import contextlib
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from buffering import reserve
from buffering.queue import Queue
from buffering.room import number_of, row_id
from buffering.rows import Remote
from tests.support.queues import data_seal, gap_entry, rows_of
from tests.support.vfs import FULL, IOERR_FSYNC, IOERR_WRITE, Layer, failing
from twin_wire.errors import StoreError

READONLY = 8
MIB = 1 << 20
LONG = [pytest.mark.long, pytest.mark.timeout(3_600)]


def a_queue(folder: Path, quota_bytes: int = 8 * MIB) -> Queue:
    memory = folder.parent / "memory"
    memory.mkdir(exist_ok=True)
    queue = Queue(folder / "queue.db", gap_entry, quota_bytes, ballast_bytes=0, reserve=500, memory=memory)
    queue.begin_boot()
    for gap in queue.damage:
        queue.append(lambda position, gap=gap: gap_entry(position, gap), explains=gap)
    return queue


class Server:
    """What a server sees: every statement that was sent, under its number; another one under the same is a fork."""

    def __init__(self) -> None:
        self.statements: dict[int, bytes] = {}
        self.explained: set[int] = set()

    def take_all(self, queue: Queue) -> None:
        above = [(*number_of(i), number_of(i)[1]) for i in self.statements]
        while offers := queue.offer(above):
            for offer in offers:
                identity = row_id(offer.epoch, offer.seq)
                assert self.statements.setdefault(identity, offer.statement) == offer.statement, "a fork"
                above.append((offer.epoch, offer.seq, offer.seq))
                self._read(offer.body)

    def _read(self, body: bytes | None) -> None:
        if body is not None and body.startswith(b'["'):
            _, epoch, ranges, *_ = json.loads(body)
            self.explained |= {row_id(epoch, n) for low, high in ranges for n in range(low, high + 1)}

    def check(self) -> None:
        """The chain holds wherever numbers touch; what is missing has a signed record."""
        numbers = sorted(self.statements)
        for before, after in itertools.pairwise(numbers):
            if after == before + 1:
                fields = json.loads(self.statements[after])
                assert fields["prev"] == hashlib.sha256(self.statements[before]).hexdigest()
            assert set(range(before + 1, after)) <= self.explained, "a hole without a record"


def crash(queue: Queue, folder: Path) -> None:
    """Leave the files as they are now: closing would write them in order."""
    image = folder.with_name("image")
    shutil.copytree(folder, image)
    queue._db.close()
    shutil.rmtree(folder)
    image.rename(folder)


@pytest.fixture(scope="module")
def full_queue(tmp_path_factory) -> tuple[Path, Server]:
    """A killed queue at its quota, so that an append evicts, records and stores, and what its server holds."""
    folder = tmp_path_factory.mktemp("full") / "q"
    folder.mkdir()
    queue = a_queue(folder, MIB)
    for _ in range(420):
        queue.append(data_seal(3_000))
    sent = Server()
    sent.take_all(queue)
    queue._db.close()
    return folder, sent


@pytest.mark.parametrize(
    ("code", "happens"), [(IOERR_WRITE, False), (IOERR_WRITE, True), (FULL, False), (READONLY, False)]
)
@pytest.mark.parametrize("sends", [False, True])
@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=LONG)])
def test_at_every_write_that_fails_nothing_is_lost_and_no_number_comes_twice(
    tmp_path, full_queue, code, happens, sends, stride
):
    """The disk fails at its n-th operation, for once or for good; then power is cut, or it gets well."""
    rng = random.Random(code + happens)
    before, sent = full_queue
    first = 1 + code % stride
    for step, times in itertools.product(range(first, 44, stride), (1, 1 << 30)):
        folder, server = tmp_path / f"{step}-{times}", Server()
        server.statements, server.explained = dict(sent.statements), set(sent.explained)
        shutil.copytree(before, folder)
        layer = Layer()
        with layer.installed():
            queue = a_queue(folder, MIB)
            for _ in range(step % 3):  # a checkpoint comes at another place each time
                queue.append(data_seal(900))
            layer.fail = failing(layer.count + step, code, happens, times)
            acknowledged = []
            for _ in range(3):
                entry = queue.append(data_seal(2_000))
                acknowledged += [entry.statement] if not queue.fault else []
            if sends:
                server.take_all(queue)
            heals = rng.random() < 0.5
            if heals:
                layer.fail = lambda *_: None
                if queue.fault:
                    queue._spill.hasten()
                queue.append(data_seal(300))
                assert not queue.fault, "the disk is well again"
                if sends:
                    server.take_all(queue)
            if not heals or rng.random() < 0.5:
                crash(queue, folder)
            else:
                queue.close()
        queue = a_queue(folder, MIB)
        queue.append(data_seal(100))
        for identity, statement in queue._db.execute("select id, statement from batch"):
            assert server.statements.get(identity, statement) == statement, "a fork"
        server.take_all(queue)
        server.check()
        assert set(acknowledged) <= set(server.statements.values()), "an acknowledged batch is gone"
        queue.close()
        again = a_queue(folder, MIB)
        assert not again.damage, "explained once is explained for good"
        again.close()
        shutil.rmtree(folder)


def test_what_was_sealed_in_memory_is_on_disk_when_the_disk_is_well(tmp_path):
    folder, layer = tmp_path / "q", Layer()
    folder.mkdir()
    with layer.installed():
        queue = a_queue(folder)
        queue.append(data_seal())
        layer.fail = failing(layer.count + 1, IOERR_WRITE, False)
        queue.append(data_seal(), b"[1]", {bytes(32): ("manifest", b"body")})
        assert "IOERR" in queue.fault
        assert queue.held == 2, "the record of the numbers left out, and the batch"
        assert queue.document(bytes(4)) == ("manifest", b"body")
        assert [o.seq for o in queue.offer()] == [3, 4, 0], "1 was tried, 2 would join it"
        layer.fail = lambda *_: None
        queue.append(data_seal())
        assert queue.fault, "it is not tried at every batch"
        queue._spill.hasten()
        queue.append(data_seal())
        assert (queue.fault, queue.held) == ("", 0)
        end = queue.position
        queue.close()
    queue = a_queue(folder)
    assert queue.position.seq == end.seq, "closed in order: the next number follows"
    assert (queue.conditions, queue.manifest) == (b"[1]", bytes(32))
    assert not queue.damage
    queue.close()
    assert len(rows_of(folder)) == 5


def test_a_killed_agent_that_never_used_its_reserve_leaves_no_hole(tmp_path):
    folder = tmp_path / "q"
    folder.mkdir()
    queue = a_queue(folder)
    queue.append(data_seal())
    queue._db.close()
    queue = a_queue(folder)
    assert queue.position.seq == 1
    assert not queue.damage
    queue._db.close()
    shutil.rmtree(tmp_path / "memory")  # what a power cut does
    queue = a_queue(folder)
    assert [gap.reason for gap in queue.damage] == ["reserve"]
    assert queue.is_behind(0, 1), "a head there is of one who went on where this file ends"
    assert not queue.is_behind(0, 0)
    queue.close()
    assert [number_of(row["id"]) for row in rows_of(folder)] == [(0, 0), (0, 502)]


def test_memory_is_bounded_and_what_it_costs_is_on_record(tmp_path, monkeypatch):
    monkeypatch.setattr(reserve, "MEMORY_BYTES_MAX", 200_000)
    folder, layer = tmp_path / "q", Layer()
    folder.mkdir()
    with layer.installed():
        queue = a_queue(folder)
        queue.append(data_seal())
        layer.fail = failing(layer.count + 1, IOERR_FSYNC, False)
        for seq in range(100):
            queue.append(data_seal(5_000, priority=0 if seq % 20 == 0 else 2))
        held = queue._spill.held.values()
        assert sum(len(each.body or b"") for each in held) <= 200_000
        assert all(each.body for each in held if each.entry.priority == 0), "alarms keep theirs"
        gone = {o.seq for o in queue.offer() if o.body is None}
        named = {n for e in held if e.entry.kind == "gap" and e.body and json.loads(e.body)[0] == "memory"
                 for low, high in json.loads(e.body)[2] for n in range(low, high + 1)}  # fmt: skip
        assert gone == named != set()
        layer.fail = lambda *_: None
        queue.close()
    empty = [row for row in rows_of(folder) if row["body"] is None]
    assert {number_of(row["id"])[1] for row in empty} == gone


def test_the_reserve_has_an_end_and_the_disk_is_still_tried(tmp_path):
    folder, layer = tmp_path / "q", Layer()
    folder.mkdir()
    with layer.installed():
        queue = a_queue(folder)
        queue.append(data_seal())
        layer.fail = failing(layer.count + 1, FULL, False)
        with pytest.raises(StoreError, match="used up"):
            for _ in range(501):
                queue.append(data_seal(10))
        assert queue.fault
        layer.fail = lambda *_: None
        queue._spill.hasten()
        queue.append(data_seal(10))
        assert not queue.fault
        queue.close()


def test_a_damaged_row_is_never_offered_and_told(tmp_path):
    folder = tmp_path / "q"
    folder.mkdir()
    queue = a_queue(folder)
    bodies = {}
    for _ in range(12):
        entry = queue.append(data_seal(500))
        bodies[entry.statement] = entry.body
    queue._db.execute("update batch set body = zeroblob(500) where id = 3")
    queue._db.execute("update batch set statement = zeroblob(280) where id = 5")

    def check(epoch: int, seq: int, statement: bytes, body: bytes | None) -> str:
        if statement not in bodies:
            return "" if body and body.startswith(b'["') else "statement"
        return "" if body is None or bodies[statement] == body else "body"

    queue._check = check
    offers = {o.seq: o for o in queue.offer()}
    assert offers[3].body is None
    assert 5 not in offers
    records = [json.loads(o.body) for o in queue.offer() if o.body and o.body.startswith(b'["')]
    assert [r[:3] for r in records] == [["damage", 0, [[3, 3]]], ["damage", 0, [[5, 5]]]]
    queue.close()
    queue = a_queue(folder)
    assert not queue.damage
    queue.close()


def test_what_the_server_lost_and_is_no_longer_here_is_named(tmp_path):
    folder = tmp_path / "q"
    folder.mkdir()
    queue = a_queue(folder)
    for _ in range(10):
        queue.append(data_seal())
    queue.note(Remote("h", row_id(0, 9), row_id(0, 6)))
    while queue.retain(1 << 50):
        pass
    (gap,) = queue.lacking(row_id(0, 2), row_id(0, 9))
    assert (gap.reason, gap.ranges, gap.batches) == ("not_kept", ((3, 6),), 4)
    assert queue.lacking(row_id(0, 6), row_id(0, 9)) == []
    queue.close()


def mount_small_disk(disk: Path, size: str) -> None:
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")


def fill(disk: Path, left: int = 0) -> None:
    with (disk / "other").open("ab", buffering=0) as other, contextlib.suppress(OSError):
        while free_bytes(disk) > left and other.write(bytes(4_096)):
            pass


def test_an_agent_starts_on_a_full_disk_again_and_again(tmp_path):
    disk = tmp_path / "disk"
    mount_small_disk(disk, "12m")
    try:
        for start in range(4):
            queue = Queue(disk / "queue.db", gap_entry, 64 * MIB, reserve=500, memory=tmp_path)
            queue.begin_boot()
            fill(disk)
            seq = queue.position.seq
            for _ in range(150):
                queue.append(data_seal(5_000))
            assert queue.position.seq >= seq + 150
            assert start > 1 or not queue.fault, "as long as there was some ballast left, old bodies make room"
            fill(disk)
            queue.close() if start % 2 else crash_there(queue, tmp_path)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def crash_there(queue: Queue, folder: Path) -> None:
    queue._db.close()
    for mark in folder.glob("mine-twin-*"):
        mark.unlink()


WRITER = """
import sys
from pathlib import Path
from tests.faults.test_queue_disk import a_queue
from tests.support.queues import data_seal
queue = a_queue(Path(sys.argv[1]), 1 << 20)
while True:
    before = bool(queue.fault)
    entry = queue.append(data_seal(3_000))
    if queue.fault:
        for offer in queue.offer():
            sys.stdout.write(f"{offer.seq} {offer.statement.hex()}\\n")
        queue._spill.hasten()
        if queue.held > 40:
            Path(sys.argv[2]).unlink(missing_ok=True)
    else:
        sys.stdout.write(f"{queue.position.seq - 1} {entry.statement.hex()}\\n")
    sys.stdout.flush()
"""


@pytest.mark.parametrize("rounds", [6, pytest.param(100, marks=LONG)])
def test_killed_on_a_disk_that_is_really_full_it_never_says_two_things_under_one_number(tmp_path, rounds):
    disk = tmp_path / "disk"
    mount_small_disk(disk, "3m")
    folder, said, rng, full = disk / "q", {}, random.Random(rounds), 0
    folder.mkdir()
    try:
        for _ in range(rounds):
            command = [sys.executable, "-c", WRITER, str(folder), str(disk / "other")]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                lines = [process.stdout.readline()]
                time.sleep(rng.random() * 0.1)
                fill(disk)
                time.sleep(rng.random() * 0.2)
                os.kill(process.pid, signal.SIGKILL)
                lines += process.stdout.read().splitlines()
            (disk / "other").unlink(missing_ok=True)
            for seq, statement in (line.split() for line in lines if line.count(" ") == 1):
                if len(statement) == 560:
                    assert said.setdefault(int(seq), statement) == statement, "a fork"
            queue = a_queue(folder, MIB)
            full += any(gap.reason == "reserve" for gap in queue.damage)
            rows = {number_of(row[0])[1]: row[1].hex() for row in queue._db.execute("select id, statement from batch")}
            assert all(said[seq] == rows[seq] for seq in rows.keys() & said.keys())
            queue._db.close()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def free_bytes(disk: Path) -> int:
    seen = os.statvfs(disk)
    return seen.f_bavail * seen.f_frsize
