"""ASCII frames: the specification's own example, the one answer among strangers, and no error whatever comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.ascii import BUFFER_CHARS_MAX, AsciiFraming
from drivers.modbus.pdu import Function, Read
from drivers.modbus.tcp import DatagramFraming
from tests.support.modbus_other_peers import lrc_frame
from twin_wire.errors import ConfigError

ASK = Read(1, Function.READ_HOLDING_REGISTERS, 8, 2)
ANSWER = lrc_frame(bytes.fromhex("010304000000D1"))


def asked(**options: bool) -> AsciiFraming:
    framing = AsciiFraming(**options)
    framing.begin(ASK)
    return framing


def test_a_question_is_hexadecimal_with_its_lrc() -> None:
    assert AsciiFraming().begin(ASK) == b":010300080002F2\r\n"


def test_the_answer_is_found_in_pieces_after_noise_and_half_a_frame() -> None:
    framing = asked()
    stream = b"\x00\xff:0103" + ANSWER
    replies = [framing.feed(stream[n : n + 1]) for n in range(len(stream))]
    assert [reply.data for reply in replies if reply is not None] == [bytes.fromhex("000000D1")]


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (lrc_frame(bytes.fromhex("020304000000D1")), "rejected"),
        (lrc_frame(bytes.fromhex("010404000000D1")), "rejected"),
        (lrc_frame(bytes.fromhex("0103020000")), "rejected"),
        (lrc_frame(bytes.fromhex("010304000000D100")), "rejected"),
        (ANSWER.replace(b"D1", b"D2", 1), "crc"),
        (ANSWER[:-1], "timeout"),
        (b"", "timeout"),
        (b":010300080002F2\r\n", "rejected"),
    ],
)
def test_anything_else_is_no_answer_and_says_why(frame: bytes, kind: str) -> None:
    framing = asked()
    assert framing.feed(frame) is None
    assert framing.verdict().kind == kind


def test_any_single_damaged_bit_is_found() -> None:
    for place in range(len(ANSWER) * 8):
        damaged = bytearray(ANSWER)
        damaged[place // 8] ^= 1 << place % 8
        reply = asked().feed(bytes(damaged))
        assert reply is None or reply.data == bytes.fromhex("000000D1"), "a letter may change its case"


def test_an_announced_echo_is_taken_off_and_an_exception_is_an_answer() -> None:
    framing = asked(echo=True)
    assert framing.feed(ANSWER) is None, "before the echo it is an older answer"
    reply = framing.feed(b":010300080002F2\r\n" + lrc_frame(bytes.fromhex("018302")))
    assert reply is not None
    assert reply.code == 2


@pytest.mark.parametrize("unit", [0, 248])
def test_units_that_cannot_answer_are_not_asked(unit: int) -> None:
    with pytest.raises(ConfigError):
        AsciiFraming().begin(ASK._replace(unit=unit))


@given(st.lists(st.binary(max_size=300) | st.text("0123456789ABCDEFabcdef:\r\n +-_x", max_size=300).map(str.encode)))
def test_hostile_bytes_give_nothing_cost_nothing_and_raise_nothing(chunks: list[bytes]) -> None:
    framing = asked()
    for chunk in chunks:
        reply = framing.feed(chunk)
        assert reply is None or lrc_frame(b"\x01\x03\x04" + reply.data) in b"".join(chunks).upper() or reply.code
        framing.stale(chunk)
        framing.verdict()
    assert len(framing._buffer) <= BUFFER_CHARS_MAX + 300


def test_a_datagram_is_one_frame_or_nothing() -> None:
    framing = DatagramFraming()
    frame = framing.begin(ASK)
    answer = frame[:4] + b"\0\7" + bytes.fromhex("010304000000D1")
    assert framing.feed(answer[:9]) is None
    assert framing.feed(answer[9:]) is None, "a half is not kept for the other half"
    assert framing.feed(answer + answer) is None
    assert framing.feed(b"\xff" * 20) is None
    assert not framing.broken()
    reply = framing.feed(answer)
    assert reply is not None
    assert reply.data == bytes.fromhex("000000D1")
