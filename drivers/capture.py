"""A capture file: everything that was heard on a serial line, with the time of every piece; text, one line a piece.

    mine-twin capture 1
    {"baud": 9600, "parity": "E", "port": "/dev/ttyUSB0", "started_us": 1764000000000000, "stop_bits": 1}
    105230 0103006400020594
    131020 010304000100022a32
    2400000 lost 512

First the kind and version, then the settings as one JSON object, then lines of microseconds since `started_us` (when
the last byte of the piece was received; never falling) and the bytes in hex, or `lost` and how many were not kept. A
last line without its end is left out: the recorder was cut off while it wrote.
"""

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from twin_wire.errors import FormatError

FIRST_LINE = b"mine-twin capture 1\n"
PIECE_BYTES_MAX = 4096
LINE_BYTES_MAX = 2 * PIECE_BYTES_MAX + 64
CAPTURE_BYTES_MAX = 1 << 28
OFFSET_US_MAX = 366 * 86_400 * 10**6


class CaptureHead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was listened to: the port, how its characters look, and when it began."""

    started_us: int  # wall clock, µs since 1970 UTC
    port: str
    baud: int
    parity: str
    stop_bits: int
    software: str = ""


class Piece(NamedTuple):
    """Bytes received together, µs after the start; `lost` above 0: so many were not kept before here."""

    offset_us: int
    data: bytes
    lost: int = 0


class Capture(NamedTuple):
    """A whole capture; `cut`: its last line was not finished."""

    head: CaptureHead
    pieces: tuple[Piece, ...]
    cut: bool


def encode_head(head: CaptureHead) -> bytes:
    """Return the first two lines."""
    text = json.dumps(msgspec.to_builtins(head), sort_keys=True, ensure_ascii=False)
    return FIRST_LINE + text.encode() + b"\n"


def encode_piece(piece: Piece) -> bytes:
    """Return one line, or several for more bytes than one holds."""
    if piece.lost:
        return f"{piece.offset_us} lost {piece.lost}\n".encode()
    cuts = range(0, len(piece.data), PIECE_BYTES_MAX)
    return b"".join(f"{piece.offset_us} {piece.data[cut : cut + PIECE_BYTES_MAX].hex()}\n".encode() for cut in cuts)


def read_capture(lines: Iterable[bytes]) -> Capture:
    """Return the capture in an open file (or its lines); FormatError says which line is wrong."""
    stream = _bounded(lines)
    if next(stream, (0, b""))[1] != FIRST_LINE:
        raise FormatError("this is no capture: its first line is not 'mine-twin capture 1'")
    head = _head(next(stream, (0, b""))[1])
    pieces: list[Piece] = []
    cut = False
    for number, line in stream:
        if not line.endswith(b"\n"):
            cut = True
            break
        piece = _piece(number, line)
        if pieces and piece.offset_us < pieces[-1].offset_us:
            raise FormatError(f"line {number}: the time falls")
        pieces.append(piece)
    return Capture(head, tuple(pieces), cut)


def _bounded(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    size = 0
    for number, line in enumerate(lines, 1):
        size += len(line)
        if len(line) > LINE_BYTES_MAX:
            raise FormatError(f"line {number} is longer than {LINE_BYTES_MAX} bytes")
        if size > CAPTURE_BYTES_MAX:
            raise FormatError(f"the capture is larger than {CAPTURE_BYTES_MAX} bytes")
        yield number, line


def _head(line: bytes) -> CaptureHead:
    try:
        head = msgspec.json.decode(line, type=CaptureHead)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a ValidationError is a DecodeError
        raise FormatError(f"line 2: the settings cannot be read: {error}") from error
    if not (300 <= head.baud <= 4_000_000 and head.parity in ("N", "E", "O") and head.stop_bits in (1, 2)):
        raise FormatError("line 2: these are no settings of a serial line")
    return head


def _piece(number: int, line: bytes) -> Piece:
    words = line.split()
    try:
        if len(words) not in (2, 3) or not words[0].isdigit() or len(words[0]) > 16:
            raise ValueError("not 'microseconds hex'")
        offset_us = int(words[0])
        if offset_us > OFFSET_US_MAX:
            raise ValueError("later than a year")
        if len(words) == 3:
            if words[1] != b"lost" or not words[2].isdigit() or int(words[2][:16]) == 0:
                raise ValueError("not 'microseconds lost count'")
            return Piece(offset_us, b"", int(words[2][:16]))
        return Piece(offset_us, bytes.fromhex(words[1].decode()))
    except ValueError as error:  # a UnicodeDecodeError is one
        raise FormatError(f"line {number}: {error}") from error
