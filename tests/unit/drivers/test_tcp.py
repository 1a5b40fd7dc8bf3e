"""The TCP framing ties an answer to its request by transaction, unit, function and length."""

import pytest

from drivers.modbus.pdu import Function, Read
from drivers.modbus.tcp import TcpFraming

ASK = Read(17, Function.READ_INPUT_REGISTERS, 5, 2)
PDU = b"\x04\x04\x00\x05\x00\x06"


def mbap(transaction: int, unit: int, pdu: bytes) -> bytes:
    return transaction.to_bytes(2, "big") + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes((unit,)) + pdu


def test_a_request_is_laid_out_as_the_standard_says() -> None:
    assert TcpFraming().begin(ASK) == bytes.fromhex("0001 0000 0006 11 04 0005 0002")


def test_an_answer_is_accepted_however_it_is_cut() -> None:
    for cut in range(14):
        framing = TcpFraming()
        framing.begin(ASK)
        answer = mbap(1, 17, PDU)
        reply = framing.feed(answer[:cut]) or framing.feed(answer[cut:])
        assert reply is not None
        assert reply.data == PDU[2:]


def test_an_answer_given_up_is_passed_over_when_it_comes() -> None:
    framing = TcpFraming()
    framing.begin(ASK)
    framing.begin(ASK)
    assert framing.feed(mbap(1, 17, b"\x04\x04\x09\x09\x09\x09")) is None
    assert not framing.hopeless()
    reply = framing.feed(mbap(2, 17, PDU))
    assert reply is not None
    assert reply.data == PDU[2:]


@pytest.mark.parametrize(
    ("unit", "pdu"),
    [(18, PDU), (17, b"\x03" + PDU[1:]), (17, b"\x04\x02\x00\x05"), (17, PDU + b"\0"), (17, b"\x83\x02")],
    ids=["unit", "function", "short", "long", "exception of another function"],
)
def test_a_wrong_answer_to_the_right_transaction_is_refused_at_once(unit: int, pdu: bytes) -> None:
    framing = TcpFraming()
    framing.begin(ASK)
    assert framing.feed(mbap(1, unit, pdu)) is None
    assert framing.hopeless()
    assert framing.verdict().kind == "rejected"


@pytest.mark.parametrize("junk", [b"HTTP/1.1 400 Bad", b"\0\1\0\0\0\2\x11\x04", b"\0\1\0\0\1\0\x11\x04" + bytes(250)])
def test_a_stream_that_is_not_modbus_is_broken_for_good(junk: bytes) -> None:
    framing = TcpFraming()
    framing.begin(ASK)
    assert framing.feed(junk + mbap(1, 17, PDU)) is None
    assert framing.broken()
    framing.reset()
    framing.begin(ASK)
    assert framing.feed(mbap(2, 17, PDU)) is not None


def test_half_an_answer_left_over_does_not_shift_the_next() -> None:
    framing = TcpFraming()
    framing.begin(ASK)
    late = mbap(1, 17, PDU)
    assert framing.feed(late[:5]) is None
    assert framing.stale(late[5:9]) == []
    framing.begin(ASK)
    assert framing.feed(late[9:] + mbap(2, 17, PDU)) is not None


def test_stale_answers_are_counted_by_unit() -> None:
    assert TcpFraming().stale(mbap(9, 4, PDU) + mbap(8, 5, PDU)) == [4, 5]
