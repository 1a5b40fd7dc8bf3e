"""Strict deterministic CBOR (RFC 8949 section 4.2.1) and bounded zlib: one form per item, every other form refused.

Written out here because a general decoder runs tags, takes trailing bytes, duplicate keys and long forms, and sorts
maps by length first. Items: int of 64 bits, bytes, str, float, bool, None, list, dict, Tag; map keys: int, str, bytes.
"""

import zlib
from collections.abc import Mapping
from operator import itemgetter
from struct import Struct, pack
from typing import NamedTuple

from twin_wire.errors import FormatError

SIZE_MAX = 1 << 20
DEPTH_MAX = 16
ITEMS_MAX = 1 << 18  # bounds the time and memory that a megabyte of one-byte items costs
ZLIB_LEVEL = 6

_ARGUMENTS = {
    24: (Struct(">B"), 24),
    25: (Struct(">H"), 1 << 8),
    26: (Struct(">I"), 1 << 16),
    27: (Struct(">Q"), 1 << 32),
}
_FLOATS = {25: Struct(">e"), 26: Struct(">f"), 27: Struct(">d")}
_SIMPLE = {20: False, 21: True, 22: None}
_NAN = b"\xf9\x7e\x00"
_SHORT = [[bytes((major << 5 | number,)) for number in range(24)] for major in range(7)]
_first = itemgetter(0)


class Tag(NamedTuple):
    """A tagged item; the tag is never interpreted here."""

    number: int
    value: object


def encode(item: object) -> bytes:
    """Encode one item deterministically; tuples become arrays; FormatError for what has no form here."""
    out = bytearray()
    _write(out, item)
    return bytes(out)


def decode(data: bytes, size_max: int = SIZE_MAX, depth_max: int = DEPTH_MAX, items_max: int = ITEMS_MAX) -> object:
    """Decode exactly one deterministic item of at most `size_max` bytes; anything else is a FormatError."""
    if len(data) > size_max:
        raise FormatError(f"CBOR of {len(data)} bytes, limit {size_max}")
    item, end = _read(data, 0, depth_max, [items_max])
    if end != len(data):
        raise FormatError(f"{len(data) - end} bytes after the CBOR item")
    return item


def decode_sequence(data: bytes, items_max: int, size_max: int) -> list[object]:
    """Decode a CBOR sequence (RFC 8742) of at most `items_max` items and `size_max` bytes together."""
    if len(data) > size_max:
        raise FormatError(f"CBOR sequence of {len(data)} bytes, limit {size_max}")
    items: list[object] = []
    at = 0
    budget = [ITEMS_MAX]
    while at < len(data):
        if len(items) == items_max:
            raise FormatError(f"more than {items_max} items in the sequence")
        item, at = _read(data, at, DEPTH_MAX, budget)
        items.append(item)
    return items


def deflate(data: bytes) -> bytes:
    """Compress to one zlib stream (RFC 1950)."""
    return zlib.compress(data, ZLIB_LEVEL)


def inflate(data: bytes, bytes_max: int) -> bytes:
    """Open exactly one zlib stream of at most `bytes_max` bytes; stops at the limit; FormatError otherwise."""
    stream = zlib.decompressobj()
    try:
        out = stream.decompress(data, bytes_max + 1)
    except zlib.error as error:
        raise FormatError(f"broken zlib stream: {error}") from None
    if len(out) > bytes_max:
        raise FormatError(f"zlib stream opens to more than {bytes_max} bytes")
    if not stream.eof:
        raise FormatError("zlib stream ends early")
    if stream.unused_data:
        raise FormatError(f"{len(stream.unused_data)} bytes after the zlib stream")
    return out


def head(major: int, number: int) -> bytes:
    """Return the shortest head of a major type (0 to 6) with its argument, 0 <= number < 2**64."""
    if number < 24:
        return _SHORT[major][number]
    if number < 1 << 8:
        return bytes((major << 5 | 24, number))
    if number < 1 << 16:
        return pack(">BH", major << 5 | 25, number)
    if number < 1 << 32:
        return pack(">BI", major << 5 | 26, number)
    return pack(">BQ", major << 5 | 27, number)


def _write(out: bytearray, item: object) -> None:
    if isinstance(item, str):
        text = _utf8(item)
        out += head(3, len(text))
        out += text
    elif isinstance(item, bytes):
        out += head(2, len(item))
        out += item
    elif item is None:
        out.append(0xF6)
    elif isinstance(item, bool):
        out.append(0xF5 if item else 0xF4)
    elif isinstance(item, int):
        if not -(1 << 64) <= item < 1 << 64:
            raise FormatError("integer beyond 64 bits")
        out += head(0, item) if item >= 0 else head(1, -1 - item)
    elif isinstance(item, Tag):
        if not 0 <= item.number < 1 << 64:
            raise FormatError("tag number beyond 64 bits")
        out += head(6, item.number)
        _write(out, item.value)
    elif isinstance(item, list | tuple):
        out += head(4, len(item))
        for part in item:
            _write(out, part)
    elif isinstance(item, float):
        out += _float_bytes(item)
    elif isinstance(item, Mapping):
        _write_map(out, item)
    elif isinstance(item, bytearray | memoryview):
        _write(out, bytes(item))
    else:
        raise FormatError(f"no CBOR form for {type(item).__name__}")


def _write_map(out: bytearray, item: Mapping[object, object]) -> None:
    keyed: list[tuple[bytes, object]] = []
    for key, value in item.items():
        if isinstance(key, bool) or not isinstance(key, int | str | bytes):
            raise FormatError(f"no CBOR map key of type {type(key).__name__}")
        keyed.append((encode(key), value))
    keyed.sort(key=_first)
    out += head(5, len(keyed))
    for encoded, value in keyed:
        out += encoded
        _write(out, value)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise FormatError("text with a lone surrogate") from None


def _float_bytes(value: float) -> bytes:
    if value != value:
        return _NAN
    for info in (25, 26):
        try:
            packed = _FLOATS[info].pack(value)
        except OverflowError:
            continue
        if _FLOATS[info].unpack(packed)[0] == value:
            return bytes((0xE0 | info,)) + packed
    return b"\xfb" + _FLOATS[27].pack(value)


def _read(data: bytes, at: int, depth: int, budget: list[int]) -> tuple[object, int]:
    """Read the item at `at` and return it with the place after it; `budget` counts the items still allowed."""
    if at >= len(data):
        raise FormatError("CBOR ends early")
    first = data[at]
    at += 1
    major, number = first >> 5, first & 31
    if number > 23:
        if major == 7:
            return _read_float(data, at, number)
        number, at = _read_argument(data, at, number)
    if major == 0:
        return number, at
    if major == 2 or major == 3:
        end = at + number
        if end > len(data):
            raise FormatError("CBOR string ends early")
        chunk = data[at:end]
        if major == 2:
            return chunk, end
        try:
            return str(chunk, "utf-8"), end
        except UnicodeDecodeError:
            raise FormatError("CBOR text is not UTF-8") from None
    if major == 1:
        return -1 - number, at
    if major == 7:
        if number not in _SIMPLE:
            raise FormatError(f"CBOR simple value {number}")
        return _SIMPLE[number], at
    return _read_nested(data, at, major, number, depth - 1, budget)


def _read_nested(data: bytes, at: int, major: int, number: int, depth: int, budget: list[int]) -> tuple[object, int]:
    if depth < 0:
        raise FormatError("CBOR nested too deep")
    if major == 6:
        value, at = _read(data, at, depth, budget)
        return Tag(number, value), at
    count = number if major == 4 else 2 * number
    budget[0] -= count
    if count > len(data) - at or budget[0] < 0:
        raise FormatError(f"CBOR container announces {number} entries")
    if major == 4:
        items: list[object] = []
        for _ in range(number):
            value, at = _read(data, at, depth, budget)
            items.append(value)
        return items, at
    pairs: dict[object, object] = {}
    last = b""
    for _ in range(number):
        key, after = _read(data, at, 0, budget)
        encoded = data[at:after]
        if encoded[0] >> 5 > 3:
            raise FormatError("CBOR map key is not an integer, text or bytes")
        if encoded <= last:
            raise FormatError("CBOR map keys repeated or out of order")
        last = encoded
        pairs[key], at = _read(data, after, depth, budget)
    return pairs, at


def _read_argument(data: bytes, at: int, info: int) -> tuple[int, int]:
    if info not in _ARGUMENTS:
        raise FormatError("CBOR of indefinite length or with a reserved head")
    form, least = _ARGUMENTS[info]
    end = at + form.size
    if end > len(data):
        raise FormatError("CBOR ends early")
    number: int = form.unpack_from(data, at)[0]
    if number < least:
        raise FormatError("CBOR number not in its shortest form")
    return number, end


def _read_float(data: bytes, at: int, info: int) -> tuple[float, int]:
    if info not in _FLOATS:
        raise FormatError("CBOR simple value, or break without a beginning")
    end = at + _FLOATS[info].size
    if end > len(data):
        raise FormatError("CBOR ends early")
    value: float = _FLOATS[info].unpack_from(data, at)[0]
    if _float_bytes(value) != data[at - 1 : end]:
        raise FormatError("CBOR float not in its shortest form")
    return value, end
