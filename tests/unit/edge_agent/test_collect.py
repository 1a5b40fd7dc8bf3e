"""The collector: rows become columns, nothing is lost or turned around, a falling clock begins a new block."""

import numpy as np

from edge_agent.collect import Collector, rows_of, span_ms
from twin_wire.readings import Block, Clock, Event, Fixes

A, B = ("a", "b"), ("c",)
CLOCK = Clock(0, -1, 0)


def row(points: tuple[str, ...], time_us: int, start: float = 0.0) -> Block:
    value = np.arange(len(points), dtype=np.float64)[:, None] + start
    return Block(points, np.array([time_us], np.int64), value, np.zeros((len(points), 1), np.uint8))


def fix(time_us: int, tag: str) -> Fixes:
    one = np.array([1], np.int32)
    return Fixes(np.array([time_us], np.int64), (tag,), one, one, one, one, one, one, one.astype(np.uint8), one)


def test_rows_of_a_group_become_one_block_in_the_order_of_the_manifest():
    collector = Collector((B, A))
    for second in range(3):
        collector.add_block(row(A, second * 1_000_000, second))
        collector.add_block(row(B, second * 1_000_000 + 5))
    assert collector.rows == 9
    batch = collector.take(b"manifest", CLOCK)
    assert [block.points for block in batch.blocks] == [B, A]
    assert batch.blocks[1].value.tolist() == [[0, 1, 2], [1, 2, 3]]
    assert (rows_of(batch), collector.rows) == (9, 0)
    assert span_ms(batch, 77) == (0, 2_000)


def test_a_clock_that_was_set_back_begins_a_new_block():
    collector = Collector((A,))
    for time_us in (10, 20, 5, 6):
        collector.add_block(row(A, time_us))
    assert [b.time_us.tolist() for b in collector.take(b"manifest", CLOCK).blocks] == [[10, 20], [5, 6]]


def test_positions_are_put_in_the_order_of_time():
    collector = Collector((A,))
    collector.add_fixes(fix(20, "t2"))
    collector.add_fixes(fix(10, "t1"))
    fixes = collector.take(b"manifest", CLOCK).fixes
    assert (fixes.tag, fixes.time_us.tolist()) == (("t1", "t2"), [10, 20])


def test_more_events_than_a_body_holds_wait_for_the_next():
    collector = Collector((A,))
    collector.add_events([Event("x", 0, "", n, n + 1, "t", {}, "") for n in range(1_500)])
    assert len(collector.take(b"manifest", CLOCK).events) == 1_024
    assert [e.begin_us for e in collector.take(b"manifest", CLOCK).events] == list(range(1_024, 1_500))
    assert span_ms(collector.take(b"manifest", CLOCK), 77) == (77, 77)
