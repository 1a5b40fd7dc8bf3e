"""The queue: numbering in the same transaction, eviction with records, offers from the server's head."""

import json
import sqlite3

import pytest

from buffering.database import PAGE_BYTES
from buffering.queue import Queue
from buffering.room import number_of, row_id
from buffering.rows import Remote
from tests.support.queues import (
    assert_unbroken,
    data_seal,
    gap_entry,
    numbers_in_gaps,
    open_queue,
    rows_of,
)
from twin_wire.errors import StoreError

MIB = 1 << 20


def test_batches_are_numbered_and_chained_without_a_hole(tmp_path):
    queue = open_queue(tmp_path)
    for _ in range(5):
        queue.append(data_seal())
    assert queue.position[:3] == (0, 1, 5)
    queue.close()
    rows = rows_of(tmp_path)
    assert [number_of(row["id"]) for row in rows] == [(0, n) for n in range(5)]
    assert_unbroken(rows)


def test_a_boot_counts_up_and_nothing_is_sealed_before_it_is_committed(tmp_path):
    open_queue(tmp_path).close()
    queue = Queue(tmp_path / "queue.db", gap_entry, ballast_bytes=0)
    with pytest.raises(AssertionError):
        queue.append(data_seal())
    assert queue.begin_boot() == 2
    queue.close()


def test_a_new_epoch_begins_at_zero_and_points_back_to_the_old_one(tmp_path):
    queue = open_queue(tmp_path)
    queue.append(data_seal(), epoch=3)
    queue.append(data_seal())
    queue.append(data_seal(), epoch=4)
    with pytest.raises(AssertionError):
        queue.append(data_seal(), epoch=4)
    queue.close()
    rows = rows_of(tmp_path)
    assert [number_of(row["id"]) for row in rows] == [(3, 0), (3, 1), (4, 0)]
    assert_unbroken(rows)


def test_a_seal_that_fails_leaves_the_number_free(tmp_path):
    queue = open_queue(tmp_path)
    queue.append(data_seal())

    def broken(position):
        raise ValueError(position)

    with pytest.raises(ValueError):
        queue.append(broken)
    queue.append(data_seal())
    queue.close()
    assert_unbroken(rows_of(tmp_path))


def test_conditions_and_documents_are_stored_with_their_batch(tmp_path):
    queue = open_queue(tmp_path)
    digest = bytes(range(32))
    queue.append(data_seal(), b"[1]", {digest: ("manifest", b"body"), bytes(32): ("structure", b"mine")})
    queue.append(data_seal())
    queue.close()
    again = open_queue(tmp_path)
    assert (again.conditions, again.manifest) == (b"[1]", digest)
    assert again.document(digest[:8]) == ("manifest", b"body")
    assert again.document(bytes(32)) == ("structure", b"mine")
    assert again.document(b"\x09" * 8) is None
    assert again.document(b"") is None
    again.close()


def test_a_second_process_cannot_open_the_queue(tmp_path):
    queue = open_queue(tmp_path)
    queue.append(data_seal())
    with pytest.raises(StoreError) as caught:
        Queue(tmp_path / "queue.db", gap_entry, ballast_bytes=0)
    assert "stop it first" in caught.value.hint
    queue.close()


def test_a_file_of_another_format_is_refused(tmp_path):
    open_queue(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "queue.db")
    connection.execute("pragma user_version=9")
    connection.close()
    with pytest.raises(StoreError, match="format 9"):
        open_queue(tmp_path)


def test_a_file_that_is_no_database_is_a_store_error(tmp_path):
    (tmp_path / "queue.db").write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreError, match="NOTADB"):
        open_queue(tmp_path)


def test_offers_go_alarms_first_then_the_newest_then_the_backlog_in_order(tmp_path):
    queue = open_queue(tmp_path)
    for seq in range(12):
        queue.append(data_seal(100, priority=0 if seq in (0, 7) else 2))
    assert [o.seq for o in queue.offer(newest=2)] == [0, 7, 10, 11, 1, 2, 3, 4, 5, 6, 8, 9]
    assert [o.seq for o in queue.offer(newest=1, batches_max=4)] == [0, 7, 11, 1]
    queue.close()


def test_offers_leave_out_what_the_server_holds_what_it_refused_and_what_is_on_its_way(tmp_path):
    queue = open_queue(tmp_path)
    for _ in range(12):
        queue.append(data_seal(100))
    queue.note(Remote(server_id=row_id(0, 2)))
    queue.quarantine(0, 9, "fork", 1)
    above = [(0, 5, 6), (0, 11, 11)]
    assert [o.seq for o in queue.offer(above)] == [3, 4, 7, 8, 10]
    assert queue.unsent(above) == 5
    assert [o.seq for o in queue.offer(above, skip={row_id(0, 4)})] == [3, 7, 8, 10]
    assert queue.fill().quarantined == 1
    queue.close()


def test_offers_stop_at_the_bytes_but_never_at_nothing(tmp_path):
    queue = open_queue(tmp_path)
    for _ in range(4):
        queue.append(data_seal(1000))
    assert len(queue.offer(bytes_max=3000)) == 2
    assert len(queue.offer(bytes_max=10)) == 1
    queue.close()


def test_offers_cross_epochs_and_a_wild_answer_of_the_server_breaks_nothing(tmp_path):
    queue = open_queue(tmp_path)
    queue.append(data_seal(100), epoch=1)
    queue.append(data_seal(100))
    queue.append(data_seal(100), epoch=2)
    queue.append(data_seal(100))
    queue.note(Remote(server_id=row_id(1, 0)))
    assert [(o.epoch, o.seq) for o in queue.offer()] == [(1, 1), (2, 0), (2, 1)]
    assert [(o.epoch, o.seq) for o in queue.offer([(2, 0, 0), (1, 0, 5), (0, 0, 9)])] == [(2, 1)]
    assert queue.unsent([(9, 0, 5)]) == 3
    queue.note(Remote(server_id=row_id(2, 1)))
    assert queue.offer() == []
    assert queue.unsent() == 0
    queue.close()


def test_an_old_copy_is_known_by_a_number_it_never_gave(tmp_path):
    queue = open_queue(tmp_path)
    queue.append(data_seal(), epoch=1)
    assert not queue.is_behind(1, 0)
    assert queue.is_behind(1, 1)
    assert queue.is_behind(2, 0)
    queue.close()


def test_what_is_noted_of_the_server_is_on_disk_with_the_next_batch(tmp_path):
    queue = open_queue(tmp_path)
    remote = Remote("h1", row_id(0, 0), -1, 7, b"r" * 32, b"note", 99)
    queue.note(remote)
    queue.append(data_seal())
    queue._db.close()  # no orderly close: what counts is the batch's own transaction
    again = open_queue(tmp_path)
    assert again.remote == remote
    again.close()


def test_retention_deletes_only_old_batches_that_are_safe_and_never_the_newest(tmp_path):
    queue = open_queue(tmp_path)
    for _ in range(10):
        queue.append(data_seal())
    day = 86_400_000
    assert queue.retain(now_ms=30 * day) == 0
    queue.note(Remote(anchored_id=row_id(0, 5)))
    assert queue.retain(now_ms=7 * day + 35_000) == 3  # those that ended before 35 s
    assert queue.retain(now_ms=30 * day) == 3
    queue.note(Remote(anchored_id=row_id(0, 9)))
    assert queue.retain(now_ms=30 * day) == 3
    queue.append(data_seal())
    queue.close()
    rows = rows_of(tmp_path)
    assert [number_of(row["id"])[1] for row in rows] == [9, 10]
    assert_unbroken(rows)


def test_a_full_queue_gives_up_data_oldest_first_and_records_every_body(tmp_path):
    queue = open_queue(tmp_path, quota_bytes=MIB)
    for seq in range(900):
        queue.append(data_seal(2_000, priority=0 if seq % 50 == 0 else 2))
    assert queue.fill().used_bytes <= MIB
    queue.close()
    rows = rows_of(tmp_path)
    assert_unbroken(rows)
    assert all(row["body"] is not None for row in rows if row["priority"] == 0)
    empty = {number_of(row["id"]) for row in rows if row["body"] is None}
    assert empty
    assert empty == numbers_in_gaps(rows) - {number_of(r["id"]) for r in rows if r["body"] is not None}
    data = [row["body"] is None for row in rows if row["priority"] == 2]
    assert data == sorted(data, reverse=True), "the oldest go first"
    assert (tmp_path / "queue.db").stat().st_size <= MIB


@pytest.mark.parametrize("size", [150, 390, 1500, 5000, 60_000])
def test_small_and_large_bodies_alike_make_room(tmp_path, size):
    queue = open_queue(tmp_path, quota_bytes=MIB)
    for _ in range(min(1_500, 3 * MIB // size)):
        queue.append(data_seal(size))
    queue.close()
    rows = rows_of(tmp_path)
    if size > 150:
        assert any(row["body"] is None for row in rows)
    kept = sum(len(row["body"]) for row in rows if row["body"] is not None and row["kind"] == "data")
    spent = sum(len(row["statement"]) for row in rows)
    assert kept + 1.5 * spent > MIB // 2, "no more is given up than the quota asks"


def test_months_without_a_link_end_with_the_oldest_statements_given_up_and_recorded(tmp_path):
    queue = open_queue(tmp_path, quota_bytes=MIB)
    for _ in range(6_000):
        queue.append(data_seal(150))
    queue.close()
    rows = rows_of(tmp_path)
    assert_unbroken(rows)
    first = number_of(rows[0]["id"])[1]
    assert first > 0
    reasons = {json.loads(row["body"])[0] for row in rows if row["kind"] == "gap" and row["body"]}
    assert "quota_statements" in reasons


def test_what_is_safe_at_the_server_goes_before_any_body_is_given_up(tmp_path):
    queue = open_queue(tmp_path, quota_bytes=MIB)
    for seq in range(600):
        queue.append(data_seal(3_000))
        queue.note(Remote(server_id=row_id(0, seq - 10), anchored_id=row_id(0, seq - 10)) if seq > 10 else Remote())
    queue.close()
    assert not [row for row in rows_of(tmp_path) if row["kind"] == "gap"]


def test_a_queue_too_small_to_hold_anything_is_refused(tmp_path):
    with pytest.raises(StoreError, match="quota"):
        open_queue(tmp_path, quota_bytes=PAGE_BYTES)


def test_a_hole_and_a_changed_last_statement_are_found_at_open(tmp_path):
    queue = open_queue(tmp_path)
    for _ in range(10):
        queue.append(data_seal())
    queue.close()
    connection = sqlite3.connect(tmp_path / "queue.db")
    connection.execute("delete from batch where id in (3, 4)")
    connection.execute("update batch set statement = x'00' where id = 9")
    connection.commit()
    connection.close()
    queue = open_queue(tmp_path)
    assert [(gap.reason, gap.ranges) for gap in queue.damage] == [("damage", ((3, 4),)), ("damage", ((9, 9),))]
    queue.close()


def test_missing_newest_rows_are_found_at_open(tmp_path):
    queue = open_queue(tmp_path)
    for _ in range(10):
        queue.append(data_seal())
    queue.close()
    connection = sqlite3.connect(tmp_path / "queue.db")
    connection.execute("delete from batch where id >= 7")
    connection.commit()
    connection.close()
    queue = open_queue(tmp_path)
    assert [gap.ranges for gap in queue.damage] == [((7, 9),)]
    queue.append(data_seal())
    queue.close()
    assert json.loads(rows_of(tmp_path)[-1]["statement"])["seq"] == 10


def test_quarantine_lasts_over_a_restart(tmp_path):
    queue = open_queue(tmp_path)
    for _ in range(3):
        queue.append(data_seal())
    queue.quarantine(0, 1, "bad", 1)
    queue.quarantine(0, 1, "bad", 2)
    queue.close()
    queue = open_queue(tmp_path)
    assert [o.seq for o in queue.offer()] == [0, 2]
    assert queue.unsent() == 2
    queue.close()
