"""A second decoder of data bodies, written from SPEC.md alone: plain Python, one number at a time, none of our code."""

import struct
import zlib
from collections.abc import Iterator
from typing import Any

NAN = bytes.fromhex("7ff8000000000000")
FIX_COLUMNS = ("roadway", "chainage_mm", "x_mm", "y_mm", "z_mm", "sigma_mm", "method", "zone")
SIMPLE = {20: False, 21: True, 22: None}
FLOATS = {25: ">e", 26: ">f", 27: ">d"}


def cbor(data: bytes, at: int = 0) -> tuple[Any, int]:
    """Return the CBOR item at a place and the place after it."""
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7 and info in FLOATS:
        end = at + struct.calcsize(FLOATS[info])
        return struct.unpack(FLOATS[info], data[at:end])[0], end
    if major == 7:
        return SIMPLE[info], at
    if info >= 24:
        end = at + (1 << (info - 24))
        info, at = int.from_bytes(data[at:end], "big"), end
    if major == 0:
        return info, at
    if major == 1:
        return -1 - info, at
    if major in (2, 3):
        piece = data[at : at + info]
        return (piece if major == 2 else piece.decode()), at + info
    items = []
    for _ in range(info if major == 4 else 2 * info):
        item, at = cbor(data, at)
        items.append(item)
    return (items if major == 4 else dict(zip(items[::2], items[1::2], strict=True))), at


def unzigzag(number: int) -> int:
    """Return 0, -1, 1, -2 … for 0, 1, 2, 3 …"""
    return -(number + 1) // 2 if number % 2 else number // 2


def planes(data: bytes, count: int) -> list[int]:
    """Return numbers from their byte planes."""
    return [sum(data[k * count + n] << (8 * k) for k in range(len(data) // count)) for n in range(count)]


def decode(body: bytes, groups: list[list[str]]) -> dict[str, Any]:
    """Return the batch in a body as plain values; floats as the 16 hexadecimal digits of their bits."""
    document, _ = cbor(zlib.decompress(body))
    heads = document.get(4, [])
    fixes = document.get(12)
    shapes = [(len(groups[head[0]]), head[1]) for head in heads] + ([(9, fixes[1])] if fixes else [])
    lanes = Lanes(document, [rows for _, rows in shapes])
    tables = [[lanes.column(rows) for _ in range(columns)] for columns, rows in shapes]
    steps = iter(())
    times = [head[2:] for head in heads] + ([fixes[2:]] if fixes else [])
    counts = [rows - 1 if len(time) == 3 else 0 for time, (_, rows) in zip(times, shapes, strict=True)]
    if sum(counts):
        steps = iter(planes(document[9], sum(counts)))
    clocks = [clock(document[3], time, rows, steps) for time, (_, rows) in zip(times, shapes, strict=True)]
    codes = document.get(10, b"\0")
    samples = sum(columns * rows for columns, rows in shapes[: len(heads)])
    lengths = planes(document[11], len(codes)) if 11 in document else [samples]
    qualities = iter([code for code, length in zip(codes, lengths, strict=True) for _ in range(length)])
    blocks = []
    for head, (columns, rows), table, time_us in zip(heads, shapes, tables, clocks, strict=False):
        quality = [[next(qualities) for _ in range(rows)] for _ in range(columns)]
        value = [
            [(NAN if bad >= 32 and kind < 13 else bits).hex() for bits, bad in zip(row, bads, strict=True)]
            for (kind, row), bads in zip(table, quality, strict=True)
        ]
        blocks.append({"points": groups[head[0]], "time_us": time_us, "value": value, "quality": quality})
    names = ("rule", "severity", "point", "begin_us", "end_us", "detector", "numbers", "text")
    events = [dict(zip(names, event, strict=True)) for event in document.get(13, [])]
    for event in events:
        event["numbers"] = {name: struct.pack(">d", number).hex() for name, number in event["numbers"].items()}
    return {
        "manifest": document[1].hex(),
        "clock": document[2],
        "blocks": blocks,
        "fixes": positions(fixes[0], clocks[-1], tables[-1]) if fixes else no_positions(),
        "events": events,
    }


class Lanes:
    """Reads lane after lane out of the strings of a body."""

    def __init__(self, document: dict[int, Any], rows: list[int]) -> None:
        codes = document.get(5, b"")
        self.codes = iter(codes)
        self.firsts = iter(planes(document[6], len(codes)) if codes else [])
        self.first = 0
        self.halves = iter([half for octet in document.get(7, b"") for half in (octet & 15, octet >> 4)])
        self.planes = [iter(plane) for plane in document.get(8, [])]

    def column(self, rows: int) -> tuple[int, list[bytes]]:
        """Return the next column: its kind, and each value's bits."""
        kind, number = self.lane(rows)
        if kind < 10:
            return kind, [struct.pack(">d", each / 10**kind) for each in number]
        if kind == 10:
            single = [struct.unpack(">f", struct.pack(">I", each % 2**32))[0] for each in number]
            return kind, [struct.pack(">d", each) for each in single]
        _, high = self.lane(rows)
        return kind, [struct.pack(">II", up % 2**32, low % 2**32) for low, up in zip(number, high, strict=True)]

    def lane(self, rows: int) -> tuple[int, list[int]]:
        """Return the next lane: its kind and its whole numbers."""
        code = next(self.codes)
        width, kind = divmod(code, 16)
        self.first += unzigzag(next(self.firsts))
        number = [self.first]
        for _ in range(rows - 1):
            number.append(number[-1] + unzigzag(self.difference(width)))
        return kind, number

    def difference(self, width: int) -> int:
        """Return the next difference of a lane."""
        if width == 0:
            return 0
        if width == 1:
            return next(self.halves)
        return sum(next(self.planes[k]) << (8 * k) for k in range(width - 1))


def clock(origin_us: int, head: list[Any], rows: int, steps: Iterator[int]) -> list[int]:
    """Return the times of a head."""
    times = [origin_us + head[0]]
    for row in range(rows - 1):
        if isinstance(head[1], list):
            step = head[1][row]
        elif len(head) == 3:
            step = head[1] + head[2] * unzigzag(next(steps))
        else:
            step = head[1]
        times.append(times[-1] + step)
    return times


def positions(tags: list[str], time_us: list[int], table: list[tuple[int, list[bytes]]]) -> dict[str, Any]:
    """Return the table of positions in time order."""
    number = [[int(struct.unpack(">d", bits)[0]) for bits in row] for _, row in table]
    index = number[0]
    order = sorted(range(len(index)), key=index.__getitem__)  # stable
    columns: dict[str, Any] = {"time_us": time_us, "tag": [tags[each] for each in index]}
    for name, column in zip(FIX_COLUMNS, number[1:], strict=True):
        rows = [0] * len(order)
        for at, value in zip(order, column, strict=True):
            rows[at] = value
        columns[name] = rows
    return columns


def no_positions() -> dict[str, Any]:
    """Return the empty table of positions."""
    return {name: [] for name in ("time_us", "tag", *FIX_COLUMNS)}
