"""A torn log tail, a restored old copy and a full disk: found, recorded or survived, never passed over."""

import contextlib
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from buffering.queue import Queue
from buffering.room import number_of, row_id
from tests.support.queues import assert_unbroken, data_seal, gap_entry, numbers_in_gaps, open_queue, rows_of
from twin_wire.errors import StoreError


def wal_images(folder: Path, batches: int) -> tuple[bytes, list[bytes]]:
    """Write batches into one log without a checkpoint; return the file and the log after every commit."""
    queue = open_queue(folder, checkpoint_pages=100_000)
    images = []
    rng = random.Random(1)
    for _ in range(batches):
        queue.append(data_seal(rng.randrange(200, 9_000)))
        images.append((folder / "queue.db-wal").read_bytes())
    database = (folder / "queue.db").read_bytes()
    queue._db.close()
    return database, images


@pytest.mark.parametrize("sector", [512, 4096])
@pytest.mark.parametrize("garbage", [0.0, 0.3])
def test_a_cut_during_a_write_never_takes_an_earlier_acknowledged_batch(tmp_path, sector, garbage):
    written, cut = tmp_path / "a", tmp_path / "b"
    written.mkdir()
    database, images = wal_images(written, 24)
    rng = random.Random(sector)
    for _ in range(40):
        k = rng.randrange(3, len(images) - 1)
        length = -(-len(images[k + 1]) // sector) * sector
        durable, torn = images[k].ljust(length, b"\0"), images[k + 1].ljust(length, b"\0")
        tail, share = bytearray(durable), rng.random()
        for start in range(0, length, sector):
            end = start + sector
            if durable[start:end] != torn[start:end] and rng.random() < share:
                tail[start:end] = rng.randbytes(sector) if rng.random() < garbage else torn[start:end]
        shutil.rmtree(cut, ignore_errors=True)
        cut.mkdir()
        (cut / "queue.db").write_bytes(database)
        (cut / "queue.db-wal").write_bytes(tail)
        queue = open_queue(cut)
        assert queue.position.seq >= k + 1, "a synced batch is gone"
        assert not queue.damage
        queue.append(data_seal(500))
        queue.close()
        assert_unbroken(rows_of(cut))


def test_a_flipped_bit_in_the_log_is_no_silence(tmp_path):
    (tmp_path / "a").mkdir()
    database, images = wal_images(tmp_path / "a", 24)
    rng = random.Random(3)
    for trial in range(12):
        folder = tmp_path / f"flip{trial}"
        folder.mkdir()
        log = bytearray(images[-1])
        log[rng.randrange(32, len(log))] ^= 1 << rng.randrange(8)
        (folder / "queue.db").write_bytes(database)
        (folder / "queue.db-wal").write_bytes(log)
        queue = Queue(folder / "queue.db", gap_entry, ballast_bytes=0)
        # The log counts up to the flip. Whoever remembers the newest number sees that the file is behind.
        assert queue.position.seq == 24 or queue.is_behind(0, 23)
        queue.close()


def test_a_restored_old_copy_is_detected(tmp_path):
    queue = open_queue(tmp_path)
    for _ in range(5):
        queue.append(data_seal(), epoch=1 if queue.position.epoch == 0 else None)
    queue.close()
    shutil.copy(tmp_path / "queue.db", tmp_path / "old")
    queue = open_queue(tmp_path)
    for _ in range(5):
        queue.append(data_seal())
    head = queue.position
    queue.close()
    shutil.copy(tmp_path / "old", tmp_path / "queue.db")
    queue = open_queue(tmp_path)
    assert queue.is_behind(head.epoch, head.seq - 1), "what the server holds was never numbered here"
    assert not queue.is_behind(1, 4)
    queue.close()


def mount_small_disk(folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    return os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_a_disk_that_others_fill_costs_old_data_and_nothing_else(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if not mount_small_disk(disk):
        pytest.skip("mounting a small file system needs root")
    try:
        queue = open_queue(disk, quota_bytes=64 << 20, ballast_bytes=1 << 20)
        for seq in range(200):
            queue.append(data_seal(5_000, priority=0 if seq % 20 == 0 else 2))
        other = os.open(disk / "other", os.O_WRONLY | os.O_CREAT)
        with contextlib.suppress(OSError):
            while os.write(other, bytes(512)):
                pass
        os.close(other)
        for seq in range(600):
            queue.append(data_seal(5_000, priority=0 if seq % 50 == 0 else 2))
        queue.close()
        rows = rows_of(disk)
        assert_unbroken(rows)
        assert [number_of(row["id"])[1] for row in rows][-1] >= 799
        assert all(row["body"] is not None for row in rows if row["priority"] == 0)
        assert {number_of(row["id"]) for row in rows if row["body"] is None} <= numbers_in_gaps(rows)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_the_whole_quota_used_for_a_thousand_times_keeps_every_alarm(tmp_path):
    queue = open_queue(tmp_path, quota_bytes=2 << 20)
    for seq in range(3_000):
        queue.append(data_seal(4_700, priority=2 if seq % 50 else 0))
    assert queue.fill().used_bytes <= 2 << 20
    queue.close()
    rows = rows_of(tmp_path)
    assert_unbroken(rows)
    alarms = [row for row in rows if row["priority"] == 0]
    assert len(alarms) == 60
    assert all(row["body"] is not None for row in alarms)
    assert (tmp_path / "queue.db").stat().st_size <= 2 << 20
    assert (tmp_path / "queue.db-wal").exists() is False


def test_a_read_only_state_folder_is_a_clear_error(tmp_path):
    folder = tmp_path / "none"
    with pytest.raises(StoreError) as caught:
        Queue(folder / "queue.db", gap_entry, ballast_bytes=0)
    assert "CANTOPEN" in str(caught.value)
    assert caught.value.hint
    assert row_id(0, 0) == 0
