"""A bus heard from outside: an answer is given out where it directly follows its question and can be nothing else's."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.modbus.pdu import Function, Read, data_bytes, request_pdu
from drivers.modbus.rtu import seal
from drivers.modbus.tap import POLLS_MAX, Heard, Tap
from drivers.modbus.tap_doubt import OPEN_MAX
from tests.support.heard_bus import CHAR_S, GAP_S, Rates, chunks, scene

A = Read(1, Function.READ_HOLDING_REGISTERS, 100, 2)
B = Read(1, Function.READ_HOLDING_REGISTERS, 200, 2)  # of A's shape
D = Read(1, Function.READ_HOLDING_REGISTERS, 300, 2)  # too
C = Read(1, Function.READ_INPUT_REGISTERS, 0, 5)
OTHER = Read(2, Function.READ_HOLDING_REGISTERS, 100, 2)
TURN_S = 0.01


class Line:
    """Says frames on a wire at the pace of the line and collects what the tap makes of them."""

    def __init__(self, *rounds: tuple[Read, ...]) -> None:
        self.tap = Tap(CHAR_S, GAP_S)
        self.now_s = 100.0
        self.got: list[Heard] = []
        for requests in rounds or [(A, B, C, OTHER)] * 4:  # until the tap knows who is there, in which order, how fast
            for request in requests:
                self.exchange(request)
            self.rest(0.6)
        self.got.clear()

    def say(self, data: bytes) -> None:
        self.now_s += len(data) * CHAR_S
        self.got += self.tap.feed(data, self.now_s)

    def rest(self, seconds: float) -> None:
        self.now_s += seconds
        self.got += self.tap.settle(self.now_s)

    def ask(self, request: Read) -> None:
        self.rest(2 * GAP_S)
        self.say(question_of(request))

    def answer(self, request: Read, data: bytes = b"", after_s: float = TURN_S) -> None:
        self.rest(after_s)
        self.say(frame_of(request, data))

    def exchange(self, request: Read, data: bytes = b"") -> None:
        self.ask(request)
        self.answer(request, data)

    def end(self) -> list[Read]:
        self.rest(0.6)
        return [heard.request for heard in self.got]


def frame_of(request: Read, data: bytes = b"") -> bytes:
    size = data_bytes(request)
    return seal(bytes((request.unit, request.function, size)) + (data or bytes(size)))


def question_of(request: Read) -> bytes:
    return seal(bytes((request.unit,)) + request_pdu(request))


def refusal_of(request: Read, code: int) -> bytes:
    return seal(bytes((request.unit, request.function | 0x80, code)))


def test_an_answer_that_follows_its_question_is_its_answer_and_its_time_is_its_first_byte() -> None:
    line = Line()
    line.ask(A)
    asked_s = line.now_s
    line.answer(A, b"\x01\x02\x03\x04")
    assert line.end() == [A]
    assert line.got[0].data == b"\x01\x02\x03\x04"
    assert line.got[0].sent_s == pytest.approx(asked_s)
    assert line.got[0].first_s == pytest.approx(asked_s + TURN_S + CHAR_S)


def test_an_answer_without_its_question_gives_no_values() -> None:
    line = Line()
    line.answer(A)
    line.exchange(C)
    assert line.end() == [C]
    assert line.tap.counts.orphans == 1


def test_a_question_whose_answer_was_missed_leaves_the_next_of_its_shape_in_doubt() -> None:
    line = Line()
    before = line.tap.counts.ambiguous
    line.ask(A)
    line.rest(0.3)
    line.exchange(B)  # may be the late answer to A
    line.exchange(C)  # cannot: another shape, and answers come in order
    assert line.end() == [C]
    assert line.tap.counts.ambiguous == before + 1


def test_a_late_answer_is_never_the_answer_to_the_next_question() -> None:
    line = Line()
    line.ask(A)
    line.rest(0.5)
    line.ask(B)
    line.answer(A, b"AAAA")
    line.answer(B, b"BBBB")
    line.exchange(A)
    assert b"AAAA" not in [heard.data for heard in line.got]
    assert B not in line.end()


def test_a_question_asked_again_is_answered_whichever_of_the_two_it_was() -> None:
    line = Line()
    line.ask(A)
    line.rest(0.3)
    line.exchange(A, b"\x00\x07\x00\x08")
    assert line.end() == [A]


def test_two_answers_in_a_row_are_none() -> None:
    line = Line()
    line.exchange(A)
    line.answer(A, b"\x00\x07\x00\x08", after_s=GAP_S)
    assert line.end() == []


@pytest.mark.parametrize("noise", [b"\x00", b"\x01\x03\x04", b"\xff" * 9])
def test_bytes_between_question_and_answer_part_them(noise: bytes) -> None:
    line = Line()
    line.ask(A)
    line.say(noise)
    line.answer(A)
    assert line.end() == []


@pytest.mark.parametrize(
    "change", [lambda f: f[:-1] + b"\x00" + f[-1:], lambda f: f[:3] + f[4:], lambda f: f + b"\x00"]
)
def test_an_answer_with_a_byte_too_many_or_too_few_is_none(change) -> None:
    line = Line()
    line.ask(A)
    line.rest(TURN_S)
    line.say(change(frame_of(A, b"\x12\x34\x56\x78")))
    assert line.end() == []


def test_missing_both_an_answer_and_the_next_question_gives_nobody_the_wrong_value() -> None:
    line = Line()
    line.ask(A)
    line.rest(TURN_S + 9 * CHAR_S + 2 * GAP_S + 8 * CHAR_S)  # A's answer and B's question pass unheard
    line.answer(B)
    line.ask(C)
    assert line.end() == []
    assert line.tap.counts.slow == 1


def test_the_same_in_one_read_of_the_port_is_found_by_the_question_that_always_comes() -> None:
    line = Line()
    line.rest(2 * GAP_S)
    line.say(question_of(A) + frame_of(B, b"BBBB"))  # read together: the pause between them has no length
    line.ask(C)
    assert line.end() == []
    assert line.tap.counts.skipped > 0


def test_an_old_answer_at_the_time_of_a_round_is_not_taken_for_a_slow_one() -> None:
    line = Line(*[(A, B)] * 6)
    line.exchange(A)
    line.ask(B)
    line.rest(0.6)  # its answer, and the next question, A, are missed
    line.answer(A, b"AAAA")
    line.ask(A)  # the master asks that again: the question that usually follows B, at its usual time
    assert B not in line.end()


def test_a_question_that_was_missed_is_owed_an_answer() -> None:
    line = Line(*[(A, B, D)] * 6)
    line.exchange(A)
    line.rest(0.3)  # B is asked, and not heard
    line.ask(D)
    line.answer(B, b"BBBB")
    assert D not in line.end()


def test_unknown_bytes_may_have_been_a_question_that_is_still_answered() -> None:
    line = Line()
    line.rest(0.1)
    line.say(b"\x7e\x81\x99\x42\x10\xf0\x3c\x55")
    line.rest(0.3)
    line.ask(A)
    line.answer(B, b"BBBB")
    assert line.end() == []


def test_before_the_first_question_heard_there_was_another() -> None:
    line = Line(())
    line.ask(A)
    line.answer(B, b"BBBB")
    line.exchange(C)
    assert line.end() == [C]


def test_a_unit_seen_to_be_behind_is_left_alone_for_some_seconds() -> None:
    line = Line((A, B, C), (B, A, C), (C, A, B), (A, C, B), (B, C, A), (C, B, A))  # no usual order
    line.ask(A)
    line.rest(0.5)  # and B, which is not heard
    line.ask(C)
    line.answer(A, b"AAAA")  # late
    line.rest(0.3)
    line.ask(A)
    line.answer(B, b"BBBB")
    assert A not in line.end()


def test_frames_inside_the_registers_of_a_damaged_answer_are_not_believed() -> None:
    big = Read(1, Function.READ_HOLDING_REGISTERS, 1000, 40)
    line = Line(*[(A, B, C, big)] * 4)
    inner = question_of(A) + frame_of(A, b"FAKE") + question_of(B) + frame_of(B, b"FAKE")  # in the usual order
    line.ask(big)
    line.rest(TURN_S)
    line.say(frame_of(big, inner.ljust(80, b"\0"))[:-1] + b"\x00")
    line.rest(0.3)
    line.exchange(OTHER)
    assert b"FAKE" not in [heard.data for heard in line.got]
    assert line.end() == []


def test_an_answer_that_begins_like_a_question_with_its_answer_is_not_taken_for_those() -> None:
    ten = Read(1, Function.READ_HOLDING_REGISTERS, 500, 10)
    line = Line(*[(A, B, ten)] * 4)
    inside = Read(1, Function.READ_HOLDING_REGISTERS, 20 << 8, 3)  # its first bytes are those of an answer of 20 bytes
    line.ask(ten)
    line.rest(TURN_S)
    told = frame_of(ten, (question_of(inside) + frame_of(inside, b"FAKED!"))[3:].ljust(20, b"\0"))
    line.say(told[:19])
    line.rest(0.04)  # and just there the reading program is held up
    line.say(told[19:])
    line.rest(0.3)
    line.ask(A)
    assert inside not in line.end()


def test_a_frame_that_reads_as_question_and_as_answer_gives_no_values_while_both_can_be() -> None:
    line = Line()
    three = Read(1, Function.READ_DISCRETE_INPUTS, 0, 24)
    line.ask(three)
    line.answer(three, b"\x00\x00\x02")  # reads as: 2 bits from 0x0300
    assert three not in line.end()
    assert line.tap.counts.ambiguous > 0


def test_a_refusal_is_told_with_its_code() -> None:
    line = Line()
    line.ask(A)
    line.rest(TURN_S)
    line.say(refusal_of(A, 2))
    assert line.end() == [A]
    assert (line.got[0].code, line.got[0].data) == (2, b"")


def test_writes_of_the_other_master_are_seen_once_each_with_their_target() -> None:
    line = Line()
    single = seal(b"\x01\x06\x00\x0a\x12\x34")
    line.rest(0.1)
    line.say(single)
    line.rest(TURN_S)
    line.say(single)  # the device confirms by repeating
    line.rest(0.1)
    line.say(seal(b"\x00\x10\x00\x20\x00\x02\x04\x00\x01\x00\x02"))  # to all: nobody answers
    line.rest(0.1)
    line.exchange(A)
    assert line.end() == [A]
    writes = line.tap.take_writes()
    assert [(w.unit, w.function, w.address, w.registers) for w in writes] == [(1, 6, 10, 1), (0, 16, 32, 2)]
    assert (line.tap.counts.writes, line.tap.counts.broadcasts) == (2, 1)


def test_after_a_hole_in_the_stream_nothing_before_is_tied_to_anything_after() -> None:
    line = Line()
    line.ask(A)
    line.tap.lost()
    line.answer(A)
    assert line.end() == []


def test_how_the_bytes_are_cut_into_reads_does_not_matter() -> None:
    heard = scene(5, 300, Rates(noise=0.05, drop=0.02, missing_request=0.02)).heard
    pairs = []
    for _ in range(3):
        tap, got = Tap(CHAR_S, GAP_S), []
        for data, time_s in chunks(random.Random(len(pairs)), heard, latency_s=0.0):
            got += tap.feed(data, time_s)
        pairs.append([(h.request, h.data) for h in got])
    assert len(pairs[0]) > 100
    assert pairs[0] == pairs[1] == pairs[2]


def test_a_flood_of_different_questions_is_bounded() -> None:
    line = Line()
    for address in range(POLLS_MAX + 100):
        line.ask(Read(1, Function.READ_HOLDING_REGISTERS, address, 2))
    assert len(line.tap.polls) == POLLS_MAX
    assert len(line.tap._order._next) <= POLLS_MAX
    assert len(line.tap._unit(1).open) <= OPEN_MAX
    for _ in range(200):
        line.answer(OTHER)
    assert len(line.tap._orphans) < 100


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=60), st.floats(0, 5)), max_size=30))
def test_no_bytes_at_any_time_do_more_than_be_counted(said: list[tuple[bytes, float]]) -> None:
    tap, now_s, got = Tap(CHAR_S, GAP_S), 7.0, []
    for data, pause_s in said:
        now_s += pause_s
        got += tap.feed(data, now_s)
    got += tap.settle(now_s + 10)
    assert not tap._splitter.waiting
    assert not got
