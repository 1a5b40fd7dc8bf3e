"""Sealing: when to cut is one table; what is sealed reads back and continues the chain over boots and epochs."""

import itertools

import numpy as np
import pytest

from buffering.room import Gap
from buffering.rows import Position
from edge_agent.seal import ALARM, DATA, Codec, Signer, Situation, due, is_urgent, seal_batch, seal_gap, seal_record
from twin_wire.body import decode_body
from twin_wire.keys import SigningKey
from twin_wire.readings import Batch, Block, Clock, Event, no_fixes
from twin_wire.records import decode_record
from twin_wire.statement import ZERO_HASH, check, check_successor, read, statement_hash

KEY = SigningKey.from_seed(bytes(range(32)))
CALM = Situation(age_s=5.0, samples=10, events=0, urgent=False, watched=False)


@pytest.mark.parametrize(
    ("situation", "cut"),
    [
        (CALM, False),
        (CALM._replace(age_s=10.0), True),
        (CALM._replace(watched=True), True),
        (CALM._replace(watched=True, age_s=0.9), False),
        (CALM._replace(urgent=True), True),
        (CALM._replace(urgent=True, age_s=0.1), False),  # alarms of one round go together
        (CALM._replace(samples=100_000, age_s=0.0), True),
        (CALM._replace(events=512, age_s=0.0), True),
    ],
)
def test_when_to_cut(situation, cut):
    assert due(situation) is cut


def event(severity: int = 1) -> Event:
    return Event("limit_high_1", severity, "a", 5, 0, "limits/1", {"value": 1.5}, "high")


def batch(*events: Event) -> Batch:
    time_us = np.array([2_000_000, 3_500_000], np.int64)
    block = Block(("a", "b"), time_us, np.array([[1.0, 1.5], [np.nan, 2.0]]), np.array([[0, 0], [33, 0]], np.uint8))
    return Batch(b"manifest", Clock(1, 20, 0), (block,), no_fixes(), events)


def signer(ticks=None) -> Signer:
    ticks = ticks or itertools.count(100)
    return Signer(KEY, "localhost/north", "gw-1", lambda: next(ticks))


CODEC = Codec({("a", "b"): 0}, {"a": 2, "b": 2})


def test_a_sealed_batch_says_what_is_in_it():
    entry = seal_batch(signer(), CODEC, batch(), 9_999, (7, b"r" * 32))(Position(1, 2, 0, ZERO_HASH))
    statement = read(entry.statement)
    check(statement, KEY.public)
    assert statement.chain == (1, 2, 0, ZERO_HASH, 100, 2_000, 3_500, 4, 7, b"r" * 32)
    assert (statement.issuer, statement.subject, statement.kind) == ("localhost/north", "gw-1", "data")
    assert (entry.priority, entry.rows, entry.t0_ms, entry.t1_ms) == (DATA, 4, 2_000, 3_500)
    back = decode_body(entry.body, [("a", "b")])
    assert np.array_equal(back.blocks[0].value, batch().blocks[0].value, equal_nan=True)


@pytest.mark.parametrize(("severity", "priority"), [(0, DATA), (1, ALARM), (2, ALARM), (3, ALARM), (4, DATA)])
def test_a_batch_with_an_urgent_event_goes_first(severity, priority):
    assert is_urgent(event(severity)) is (priority == ALARM)
    entry = seal_batch(signer(), CODEC, batch(event(severity)), 9_999, (0, ZERO_HASH))(Position(1, 1, 0, ZERO_HASH))
    assert entry.priority == priority
    assert decode_body(entry.body, [("a", "b")]).events == (event(severity),)


def test_a_batch_of_events_alone_is_dated_now():
    alone = batch(event())._replace(blocks=())
    entry = seal_batch(signer(), CODEC, alone, 9_999, (0, ZERO_HASH))(Position(1, 1, 0, ZERO_HASH))
    assert (entry.t0_ms, entry.t1_ms, entry.rows) == (9_999, 9_999, 1)


def test_statements_follow_one_another_over_kinds_boots_and_epochs():
    hand = signer()
    gap = Gap("quota", 1, ((0, 3), (5, 5)), 5, 100, 4_000, 10, 20)
    makers = [
        (1, 1, lambda p: seal_record(hand, "enrol", b"body", 5, (0, ZERO_HASH))(p)),
        (1, 1, lambda p: seal_batch(hand, CODEC, batch(), 9, (0, ZERO_HASH))(p)),
        (1, 2, lambda p: seal_gap(hand, p, gap, 9, (4, b"x" * 32))),
        (2, 3, lambda p: seal_record(hand, "enrol", b"body", 5, (0, ZERO_HASH))(p)),
    ]
    before, prev, seq, epoch = None, ZERO_HASH, 0, 1
    for number, boot, make in makers:
        seq = 0 if number != epoch else seq
        epoch = number
        entry = make(Position(epoch, boot, seq, prev))
        now = read(entry.statement)
        check_successor(before, now)
        before, prev, seq = now, statement_hash(entry.statement), seq + 1
    record = decode_record(makers[2][2](Position(1, 2, 2, ZERO_HASH)).body)
    assert record["ranges"] == [[0, 3], [5, 5]]
    assert record["reason"] == "quota"
