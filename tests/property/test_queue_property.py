"""Whatever is written, sent, anchored, evicted: alarms keep their bodies, each loss is on record, the chain holds."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buffering.room import number_of, row_id
from buffering.rows import Remote
from tests.support.queues import assert_unbroken, data_seal, numbers_in_gaps, open_queue, rows_of

STEP = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 20_000), st.sampled_from([0, 1, 2, 2, 2, 2, 2, 2])),
    st.tuples(st.just("many"), st.integers(200, 8_000), st.integers(1, 60)),
    st.tuples(st.just("anchor"), st.floats(0, 1), st.just(0)),
    st.tuples(st.just("retain"), st.integers(0, 10), st.just(0)),
    st.tuples(st.just("epoch"), st.just(0), st.just(0)),
    st.tuples(st.just("reopen"), st.just(0), st.just(0)),
    st.tuples(st.just("offer"), st.floats(0, 1), st.integers(0, 5)),
)


def offered_once(queue, remote: Remote, part: float, newest: int) -> None:
    """Every offer is a set of distinct batches above the head, alarms first, and counts as unsent."""
    first = int(part * queue.position.seq)
    above = [(queue.position.epoch, first, first + 3)]
    offers = queue.offer(above, newest=newest)
    numbers = [row_id(o.epoch, o.seq) for o in offers]
    assert len(set(numbers)) == len(numbers) <= 256
    assert all(n > remote.server_id and not first <= number_of(n)[1] <= first + 3 for n in numbers
               if number_of(n)[0] == queue.position.epoch)  # fmt: skip
    assert len(numbers) <= queue.unsent(above)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEP, min_size=5, max_size=40))
def test_no_loss_without_a_record_and_no_alarm_body_lost(steps):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        queue = open_queue(folder, quota_bytes=1 << 20)
        remote = Remote()
        written, alarms, anchored = 0, set(), -1
        for what, a, b in steps:
            if what == "write":
                queue.append(data_seal(int(a), priority=int(b)))
                if b == 0:
                    alarms.add(row_id(queue.position.epoch, queue.position.seq - 1))
                written += 1
            elif what == "many":
                for _ in range(int(b)):
                    queue.append(data_seal(int(a)))
            elif what == "anchor" and queue.position.seq:
                anchored = max(anchored, row_id(queue.position.epoch, int(a * (queue.position.seq - 1))))
                remote = Remote("h", anchored, anchored, 1, bytes(32), b"", 1)
                queue.note(remote)
            elif what == "retain":
                queue.retain(int(a) * 60_000, 0)
            elif what == "epoch":
                queue.append(data_seal(100), epoch=queue.position.epoch + 1)
            elif what == "offer":
                offered_once(queue, remote, a, int(b))
            elif what == "reopen":
                queue.close()
                queue = open_queue(folder, quota_bytes=1 << 20)
                assert not queue.damage
        assert queue.fill().used_bytes <= 1 << 20
        queue.close()
        rows = rows_of(folder)
        assert_unbroken(rows)
        by_id = {row["id"]: row for row in rows}
        assert all(by_id[i]["body"] is not None for i in alarms if i > anchored)
        emptied = {number_of(row["id"]) for row in rows if row["body"] is None}
        recorded = numbers_in_gaps([row for row in rows if row["body"]])
        assert all(row_id(*n) <= anchored or n in recorded for n in emptied)
