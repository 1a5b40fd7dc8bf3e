"""Images of the queue as a power cut or a bad card leaves them: every synced batch is there, nothing wrong is sent."""

import json
import random
import shutil
from pathlib import Path

import pytest

from buffering.queue import Queue
from buffering.room import number_of
from tests.support.queues import assert_unbroken, data_seal, gap_entry, open_queue, rows_of
from tests.support.vfs import Layer, Write, apply, lay
from twin_wire.errors import StoreError

MIB = 1 << 20
LONG = [pytest.mark.long, pytest.mark.timeout(3_600)]
SIZES = (200, 900, 3_000, 9_000)


def size_of(seq: int) -> int:
    return SIZES[seq % len(SIZES)]


def recorded(folder: Path, batches: int) -> tuple[dict[str, bytes], list[Write], list[tuple[int, int]]]:
    """Return the files at the start, every write and sync since, and (length of the log, seq) as acknowledged."""
    folder.mkdir()
    queue = open_queue(folder, quota_bytes=MIB)
    for _ in range(250):
        queue.append(data_seal(3_900))  # so full that the recorded part evicts as well
    queue.close()
    start = {path.name: path.read_bytes() for path in folder.iterdir()}
    layer, acknowledged = Layer(), []
    with layer.installed():
        queue = Queue(folder / "queue.db", gap_entry, MIB, ballast_bytes=0)
        queue.begin_boot()
        for _ in range(batches):
            queue.append(data_seal(size_of(queue.position.seq)))
            acknowledged.append((len(layer.log), queue.position.seq - 1))
        queue._db.close()
        end = acknowledged[-1][0]
    return start, layer.log[:end], acknowledged


def torn(rng: random.Random, start: dict[str, bytes], log: list[Write], cut: int, sector: int) -> dict[str, bytearray]:
    """Return the files after a power cut: what was synced, and of the rest any sectors in any order, some garbage."""
    files = {name: bytearray(data) for name, data in start.items()}
    synced: dict[str, int] = {}
    for place, write in enumerate(log[:cut]):
        if write.offset == -1:
            synced[write.name] = place
    share, garbage = rng.random(), rng.choice((0.0, 0.0, 0.2))
    pending: list[Write] = []
    for place, write in enumerate(log[:cut]):
        if place <= synced.get(write.name, -1):
            apply(files, write)
        elif write.offset >= 0:
            pending.append(write)
    rng.shuffle(pending)
    for write in pending:
        if write.data is None:
            if rng.random() < share:
                apply(files, write)
            continue
        for at in range(0, len(write.data), sector):
            piece = write.data[at : at + sector]
            if rng.random() < share:
                piece = rng.randbytes(len(piece)) if rng.random() < garbage else piece
                apply(files, Write(write.name, write.offset + at, piece))
    return files


@pytest.mark.parametrize(("images", "batches"), [(240, 60), pytest.param(6_000, 80, marks=LONG)])
def test_after_a_power_cut_anywhere_every_acknowledged_batch_is_there(tmp_path, record_property, images, batches):
    record_property("disk images after a power cut", images)
    start, log, acknowledged = recorded(tmp_path / "written", batches)
    assert any(write.name == "queue.db" and write.offset >= 0 for write in log), "checkpoints are part of it"
    rng = random.Random(images)
    with Layer(records=False).installed():  # no real syncs: the images are what counts
        for number in range(images):
            check_image(tmp_path / "cut", start, log, acknowledged, rng, number)


def check_image(
    folder: Path,
    start: dict[str, bytes],
    log: list[Write],
    acknowledged: list[tuple[int, int]],
    rng: random.Random,
    number: int,
) -> None:
    cut = rng.randrange(1, len(log) + 1)
    lay(torn(rng, start, log, cut, rng.choice((512, 4_096))), folder)
    queue = open_queue(folder, quota_bytes=MIB)
    reached = max((seq for length, seq in acknowledged if length <= cut), default=-1)
    assert queue.position.seq > reached, f"image {number}: a synced batch is gone"
    assert not queue.damage
    queue.append(data_seal(size_of(queue.position.seq)))
    queue.close()
    rows = rows_of(folder)
    assert_unbroken(rows)
    for row in rows[-len(acknowledged) :]:
        epoch, seq = number_of(row["id"])
        if row["kind"] == "data" and row["body"] is not None:
            assert row["body"] == random.Random(seq * 7919 + epoch).randbytes(row["size"])
    shutil.rmtree(folder)


def check_of(sealed: dict[bytes, bytes]):
    """Return what the agent's signature check does, for opaque statements: as sealed, or which part is not."""

    def check(epoch: int, seq: int, statement: bytes, body: bytes | None) -> str:
        try:
            fields = json.loads(statement)
            if (fields["epoch"], fields["seq"]) != (epoch, seq):
                return "statement"
        except (ValueError, KeyError, TypeError):
            return "statement"
        if statement not in sealed:
            return "" if body is not None and body.startswith(b'["damage"') else "statement"
        return "" if body is None or sealed[statement] == body else "body"

    return check


@pytest.mark.parametrize("flips", [200, pytest.param(10_000, marks=LONG)])
def test_a_flipped_bit_is_told_or_harmless_and_never_sends_a_wrong_batch(tmp_path, record_property, flips):
    record_property("flipped bits of the queue's file", flips)
    whole = tmp_path / "whole"
    whole.mkdir()
    queue = open_queue(whole, quota_bytes=4 * MIB)
    sealed: dict[bytes, bytes] = {}
    for seq in range(150):
        entry = queue.append(data_seal(size_of(seq), priority=0 if seq % 30 == 0 else 2))
        sealed[entry.statement] = entry.body
    queue.close()
    good, rng, told = (whole / "queue.db").read_bytes(), random.Random(flips), 0
    with Layer(records=False).installed():
        for number in range(flips):
            folder = tmp_path / "flipped"
            image = bytearray(good)
            image[rng.randrange(len(image))] ^= 1 << rng.randrange(8)
            lay({"queue.db": image}, folder)
            told += look_at(folder, sealed, number)
            shutil.rmtree(folder)
    assert told > flips // 3, "most of the file is statements and bodies"


def look_at(folder: Path, sealed: dict[bytes, bytes], number: int) -> bool:
    """Drain a damaged queue; return whether it told of damage; fail if it sent something else than what was sealed."""
    memory = folder.parent / "memory"
    memory.mkdir(exist_ok=True)
    queue = None
    try:
        queue = Queue(
            folder / "queue.db", gap_entry, 4 * MIB, ballast_bytes=0, reserve=50, check=check_of(sealed), memory=memory
        )
        queue.begin_boot()
        for gap in queue.damage:
            queue.append(lambda position, gap=gap: gap_entry(position, gap), explains=gap)
        got, named = set(), set()
        while True:
            offers = queue.offer([(0, seq, seq) for seq in sorted(got)])
            if not offers:
                break
            for offer in offers:
                got.add(offer.seq)
                if offer.statement in sealed:
                    assert offer.body in (None, sealed[offer.statement]), f"flip {number}: a wrong body"
                    continue
                reason, _, ranges, *_ = json.loads(offer.body)
                assert reason == "damage", f"flip {number}: never sealed"
                named |= {seq for low, high in ranges for seq in range(low, high + 1)}
        told = bool(named or queue.fault)
        lacking = set(range(len(sealed))) - got - named
        assert queue.fault or not lacking, f"flip {number}: {lacking} is missing and nobody says so"
        return told
    except StoreError:
        return True
    finally:
        if queue is not None:
            queue._db.close()
