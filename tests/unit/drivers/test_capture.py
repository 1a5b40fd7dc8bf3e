"""Capture files: what was written is read, what is cut or forged is said with its line."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.capture import PIECE_BYTES_MAX, CaptureHead, Piece, encode_head, encode_piece, read_capture
from drivers.line import char_time_s, silence_s
from drivers.modbus.tap import Tap
from tests.support import recorded_bus
from twin_wire.errors import FormatError

VECTOR = Path(__file__).parents[2] / "vectors/bus.capture"
HEAD = CaptureHead(started_us=1, port="p", baud=19_200, parity="E", stop_bits=1)


def read(text: bytes):
    return read_capture(text.splitlines(keepends=True))


@given(st.lists(st.tuples(st.integers(0, 10**9), st.binary(min_size=1, max_size=300)), max_size=20))
def test_what_is_written_is_read(pieces: list[tuple[int, bytes]]) -> None:
    written = [Piece(offset, data) for offset, data in sorted(pieces, key=lambda p: p[0])]
    capture = read(encode_head(HEAD) + b"".join(map(encode_piece, written)))
    assert (capture.head, capture.cut) == (HEAD, False)
    assert list(capture.pieces) == written


def test_more_than_a_line_holds_goes_into_several_and_losses_are_kept() -> None:
    data = bytes(range(256)) * 40
    capture = read(encode_head(HEAD) + encode_piece(Piece(5, data)) + encode_piece(Piece(6, b"", 77)))
    assert b"".join(piece.data for piece in capture.pieces) == data
    assert max(len(piece.data) for piece in capture.pieces) == PIECE_BYTES_MAX
    assert capture.pieces[-1] == Piece(6, b"", 77)


def test_a_recording_cut_anywhere_behind_its_head_gives_what_was_whole() -> None:
    head = encode_head(HEAD)
    text = head + b"".join(encode_piece(Piece(n, bytes((n,) * 5))) for n in range(10))
    for end in range(len(head), len(text) + 1):
        capture = read(text[:end])
        assert list(capture.pieces) == [Piece(n, bytes((n,) * 5)) for n in range(len(capture.pieces))]
        assert capture.cut == (text[end - 1 : end] != b"\n")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"something else\n",
        b"mine-twin capture 1\n{}\n",
        b"mine-twin capture 1\n",
        encode_head(msgspec.structs.replace(HEAD, baud=7)),
        encode_head(HEAD) + b"12 zz\n",
        encode_head(HEAD) + b"-1 00\n",
        encode_head(HEAD) + b"5 00\n4 00\n",
        encode_head(HEAD) + b"5 lost 0\n",
        encode_head(HEAD) + b"5 lost x\n",
        encode_head(HEAD) + b"9999999999999999 00\n",
        encode_head(HEAD) + b"\xff\xff \xff\n",
        encode_head(HEAD) + b"1 " + b"00" * (PIECE_BYTES_MAX + 64) + b"\n",
    ],
)
def test_what_is_no_capture_is_refused(text: bytes) -> None:
    with pytest.raises(FormatError):
        read(text)


def test_the_fixture_is_what_its_program_makes_and_a_tap_hears_its_devices_in_it() -> None:
    assert VECTOR.read_bytes() == recorded_bus.lines()
    capture = read(VECTOR.read_bytes())
    char_s = char_time_s(capture.head.baud, capture.head.parity, capture.head.stop_bits)
    tap = Tap(char_s, silence_s(capture.head.baud, char_s))
    got = [heard for piece in capture.pieces for heard in tap.feed(piece.data, piece.offset_us / 1e6)]
    assert {heard.request for heard in got} == set(recorded_bus.ROUND)
    assert len(got) >= 0.95 * recorded_bus.SECONDS * len(recorded_bus.ROUND)
    assert tap.counts.damaged == 1
