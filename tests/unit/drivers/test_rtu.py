"""The RTU framing accepts one thing only: the answer to the request in flight."""

import random

import pytest

from drivers.modbus.pdu import Function, Identify, Read
from drivers.modbus.rtu import RtuFraming, crc16, frames_in, is_whole, seal
from tests.support.modbus_peer import crc

ASK = Read(1, Function.READ_HOLDING_REGISTERS, 100, 4)
DATA = bytes.fromhex("0064006500660067")
GOOD = seal(b"\x01\x03\x08" + DATA)


def begun(request: Read | Identify = ASK, echo: bool = False) -> RtuFraming:
    framing = RtuFraming(echo)
    framing.begin(request)
    return framing


def test_the_crc_is_the_one_of_the_standard() -> None:
    assert crc16(b"123456789") == 0x4B37  # the check value of CRC-16/MODBUS
    data = random.Random(1).randbytes(200)
    assert seal(data) == data + crc(data)
    assert RtuFraming().begin(Read(1, Function.READ_HOLDING_REGISTERS, 8, 2)) == bytes.fromhex("01030008000245C9")


def test_a_whole_answer_is_accepted_however_it_is_cut() -> None:
    for cut in range(len(GOOD) + 1):
        framing = begun()
        first, second = framing.feed(GOOD[:cut]), framing.feed(GOOD[cut:])
        reply = first or second
        assert reply is not None
        assert (reply.data, reply.code, reply.frame) == (DATA, 0, GOOD)


@pytest.mark.parametrize(
    "noise", [b"\x00", b"\xff", b"\x01\x03", b"\x01\x03\x08", b"\x01\x83", GOOD[:-1], b"\x01" * 40]
)
def test_leading_noise_is_hunted_through(noise: bytes) -> None:
    framing = begun()
    reply = framing.feed(noise + GOOD)
    assert reply is not None
    assert reply.data == DATA
    assert framing.noise_bytes == len(noise)


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (seal(b"\x02\x03\x08" + DATA), "another unit"),
        (seal(b"\x01\x04\x08" + DATA), "another function"),
        (seal(b"\x01\x03\x04" + DATA[:4]), "fewer registers"),
        (seal(b"\x01\x03\x0a" + DATA + b"\0\0"), "more registers"),
        (seal(b"\x01\x84\x02"), "an exception to another function"),
        (GOOD[:-1] + bytes((GOOD[-1] ^ 1,)), "a broken CRC"),
        (GOOD[:-1], "cut short"),
        (b"", "silence"),
    ],
)
def test_what_is_not_the_answer_is_not_accepted(frame: bytes, why: str) -> None:
    framing = begun()
    assert framing.feed(frame) is None, why
    assert framing.verdict().text


def test_every_single_flipped_bit_is_refused() -> None:
    for place in range(8 * len(GOOD)):
        damaged = bytearray(GOOD)
        damaged[place // 8] ^= 1 << place % 8
        assert begun().feed(bytes(damaged)) is None


def test_the_verdict_names_what_came_instead() -> None:
    framing = begun()
    framing.feed(seal(b"\x01\x04\x08" + DATA))
    assert (framing.verdict().kind, "function 4" in framing.verdict().text) == ("rejected", True)
    framing = begun()
    framing.feed(bytes(13))
    assert framing.complete()
    assert framing.verdict().kind == "crc"
    framing = begun()
    framing.feed(GOOD[:6])
    assert not framing.complete()
    assert framing.verdict().kind == "timeout"


def test_an_echo_is_stripped_by_its_exact_bytes() -> None:
    framing = begun(echo=True)
    sent = RtuFraming().begin(ASK)
    assert framing.feed(b"\x00" + sent[:5]) is None
    assert not framing.begun()
    reply = framing.feed(sent[5:] + GOOD)
    assert reply is not None
    assert reply.data == DATA


def test_without_its_echo_an_answer_on_an_echoing_line_is_not_trusted() -> None:
    framing = begun(echo=True)
    assert framing.feed(GOOD) is None
    assert "echo" in framing.verdict().text


def test_an_echo_nobody_announced_never_passes_for_coils() -> None:
    # function 1 at address 0x03xx with 17 to 24 coils: the request itself has the form of its answer
    request = Read(1, Function.READ_COILS, 0x0305, 20)
    framing = RtuFraming()
    sent = framing.begin(request)
    assert is_whole(sent)
    assert framing.feed(sent) is None
    assert "echo = true" in framing.verdict().text
    reply = framing.feed(seal(b"\x01\x01\x03\xaa\xbb\x0c"))
    assert reply is not None
    assert reply.data == b"\xaa\xbb\x0c"


def test_a_second_answer_is_seen_behind_the_first() -> None:
    framing = begun()
    assert framing.feed(GOOD + GOOD) is not None
    assert framing.feed(b"") is not None
    assert framing.feed(b"") is None


def test_stale_answers_are_counted_by_unit_even_in_pieces() -> None:
    framing = RtuFraming()
    assert framing.stale(b"\x55" + GOOD[:4]) == []
    assert framing.stale(GOOD[4:] + seal(b"\x09\x83\x02")) == [1, 9]
    assert framing.noise_bytes == 1


def test_the_buffer_is_bounded() -> None:
    framing = begun()
    for _ in range(100):
        assert framing.feed(bytes(1000)) is None
    assert len(framing._buffer) <= 1024
    assert framing.feed(GOOD) is not None


def test_frames_in_finds_each_and_where_the_last_ends() -> None:
    other = seal(b"\x07\x84\x02")
    found, used = frames_in(b"\x00" + GOOD + b"\x11\x22" + other + b"\x33")
    assert [(frame.unit, frame.function) for frame in found] == [(1, 3), (7, 0x84)]
    assert used == 1 + len(GOOD) + 2 + len(other)


def test_identification_is_accepted_once_whole() -> None:
    answer = seal(b"\x05\x2b\x0e\x01\x01\x00\x00\x01\x00\x03abc")
    framing = begun(Identify(5))
    assert framing.feed(answer[:-1]) is None
    reply = framing.feed(answer[-1:])
    assert reply is not None
    assert reply.data.endswith(b"abc")
