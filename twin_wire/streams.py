"""Byte streams of a data body: lanes of numbers, times and qualities of all its blocks, each packed as one string."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from twin_wire.columns import FIRST_BITS, HALF, LANES_MAX, PLANES_MAX, VERBATIM_HIGH, WIDTH_MAX, Bytes, Lanes
from twin_wire.errors import FormatError
from twin_wire.planes import Wide, pack_halves, pack_planes, unpack_halves, unpack_planes, unzigzag, zigzag
from twin_wire.readings import Qualities, Times

TIME_US_MAX = (1 << 53) - 1  # exact in every language
PERIOD_US_MAX = (1 << 36) - 1  # 19 hours; above it, and for wild times, the steps are listed
TICKS_US = (1, 1000)  # what the differences from the period are counted in
TIME_PLANES_MAX = 4
LENGTH_PLANES_MAX = 4
WORD_CHARS_MAX = 64  # tags, rules, points, detectors, names of numbers

FIRST_PLANES_MAX = 6


class Streams(NamedTuple):
    """The strings that carry L lanes."""

    codes: bytes  # [L]
    firsts: bytes  # byte planes of the zigzagged differences from lane to lane
    halves: bytes  # two differences a byte, the low half first
    planes: tuple[bytes, ...]  # plane k: byte k of every difference wider than k bytes


def write_lanes(parts: Sequence[Lanes]) -> Streams:
    """Return the streams of all parts in order."""
    code = np.concatenate([part.code for part in parts])
    assert len(code) <= LANES_MAX
    first = np.concatenate([part.first for part in parts])
    halves: list[Bytes] = []
    planes: list[list[bytes]] = [[] for _ in range(PLANES_MAX)]
    for part in parts:
        width = part.code >> 4
        if part.zigzag.shape[1] == 0:
            continue
        halves.append(part.zigzag[width == HALF].astype(np.uint8).ravel())
        for plane in range(PLANES_MAX):
            wide = width > HALF + plane
            if wide.any():
                planes[plane].append((part.zigzag[wide] >> (8 * plane)).astype(np.uint8).tobytes())
    joined = tuple(b"".join(plane) for plane in planes)
    used = sum(1 for plane in joined if plane)  # a wider plane is never used without the narrower ones
    return Streams(
        code.tobytes(),
        pack_planes(zigzag(np.diff(first, prepend=0.0).astype(np.int64)), FIRST_PLANES_MAX),
        pack_halves(np.concatenate(halves) if halves else np.zeros(0, np.uint8)),
        joined[:used],
    )


def read_codes(codes: bytes) -> Bytes:
    """Return the lanes' codes; FormatError for kinds and widths that do not exist."""
    if len(codes) > LANES_MAX:
        raise FormatError(f"body: more than {LANES_MAX} lanes")
    code = np.frombuffer(codes, np.uint8)
    if len(code) and (int(code.max()) >> 4 > WIDTH_MAX or int((code & 15).max()) > VERBATIM_HIGH):
        raise FormatError("body: a lane's kind or width does not exist")
    return code


def read_lanes(streams: Streams, shapes: Sequence[tuple[int, int]]) -> list[Lanes]:
    """Return one part per (lanes, rows) of `shapes`; FormatError unless every stream is used up exactly."""
    code = read_codes(streams.codes)
    assert sum(lanes for lanes, _ in shapes) == len(code)
    first = np.cumsum(unzigzag(unpack_planes(streams.firsts, len(code), FIRST_PLANES_MAX)))
    if len(first) and max(int(first.max()), -int(first.min())) >= 1 << FIRST_BITS:
        raise FormatError("body: a first number is too large")
    counts: list[list[int]] = []  # of each part: differences in the halves, then in each plane
    lane = 0
    for lanes, rows in shapes:
        of_width = np.bincount(code[lane : lane + lanes] >> 4, minlength=WIDTH_MAX + 1).tolist()
        wider = [sum(of_width[HALF + 1 + plane :]) for plane in range(PLANES_MAX)]
        counts.append([count * (rows - 1) for count in (of_width[HALF], *wider)])
        lane += lanes
    halves, *planes = (sum(stream) for stream in zip(*counts, strict=True))
    while planes and not planes[-1]:
        planes.pop()
    if [len(plane) for plane in streams.planes] != planes:
        raise FormatError("body: a plane's length does not fit the lanes")
    opened = [unpack_halves(streams.halves, halves), *(np.frombuffer(plane, np.uint8) for plane in streams.planes)]
    return _cut_lanes(shapes, Lanes(code, first.astype(np.float64), np.zeros((0, 0), np.uint8)), opened, counts)


def _cut_lanes(
    shapes: Sequence[tuple[int, int]], joined: Lanes, opened: list[Bytes], counts: list[list[int]]
) -> list[Lanes]:
    """Cut the opened streams (halves, then planes) into the parts that `counts` says they hold."""
    kind = np.dtype(("u1", "u1", "u1", "u2", "u4", "u4")[len(opened)])
    parts: list[Lanes] = []
    lane = 0
    at = [0] * len(opened)
    for (lanes, rows), used in zip(shapes, counts, strict=True):
        code = joined.code[lane : lane + lanes]
        width = code >> 4
        number = np.zeros((lanes, rows - 1), kind)
        for stream, octets in enumerate(opened):
            if not used[stream]:
                continue
            piece = octets[at[stream] : at[stream] + used[stream]].reshape(-1, rows - 1)
            at[stream] += used[stream]
            if stream == 0:
                number[width == HALF] = piece
            elif stream == 1:
                number[width > HALF] = piece
            else:
                number[width >= HALF + stream] |= piece.astype(kind) << kind.type(8 * (stream - 1))
        parts.append(Lanes(code, joined.first[lane : lane + lanes], number))
        lane += lanes
    return parts


def write_times(time_us: Times, origin_us: int) -> tuple[list[object], Wide | None]:
    """Return the head of T times, and what the stream of steps takes of them.

    The head is [start, period] for strictly periodic times, [start, period, tick] where the stream holds by how many
    ticks each step differs from the period, or [start, [steps]]; start counts from `origin_us`.
    """
    assert time_us.dtype == np.int64
    assert time_us.ndim == 1
    assert len(time_us)
    first = int(time_us[0])
    start = first - origin_us
    step = np.diff(time_us)
    assert first >= 0, "times before 1970"
    assert int(time_us[-1]) <= TIME_US_MAX
    assert not step.size or int(step.min()) >= 0, "times fall"
    if not step.size:
        return [start, 0], None
    period = int(np.partition(step, step.size // 2)[step.size // 2])
    if period <= PERIOD_US_MAX:
        if (step == period).all():
            return [start, period], None
        # Whole milliseconds as far as the times allow: equal heads of many blocks compress to nearly nothing.
        tick = 1 if (step % TICKS_US[1]).any() else TICKS_US[1]
        period = period // TICKS_US[1] * TICKS_US[1]
        number = zigzag((step - period) // tick)
        if int(number.max()) < 1 << (8 * TIME_PLANES_MAX):
            return [start, period, tick], number
    return [start, step.tolist()], None


def steps_in_stream(head: Sequence[object], rows: int) -> int:
    """Return how many numbers of the stream of times belong to this head; FormatError for a head of no known form."""
    if len(head) == 3 and head[2] in TICKS_US and not isinstance(head[2], bool):
        read_whole(head[0], TIME_US_MAX, -TIME_US_MAX)
        read_whole(head[1], PERIOD_US_MAX)
        if rows < 2:
            raise FormatError("body: one row has no steps")
        return rows - 1
    if len(head) != 2:
        raise FormatError("body: times of no known form")
    read_whole(head[0], TIME_US_MAX, -TIME_US_MAX)
    if isinstance(head[1], list):
        if len(head[1]) != rows - 1:
            raise FormatError("body: steps do not fit the rows")
        for step in head[1]:
            read_whole(step, TIME_US_MAX)
    else:
        read_whole(head[1], PERIOD_US_MAX)
    return 0


def read_times(head: Sequence[object], rows: int, number: Wide, origin_us: int) -> Times:
    """Return the T times of a head that `steps_in_stream` accepted; FormatError when they fall or leave the range."""
    first = read_whole(head[0], TIME_US_MAX, -TIME_US_MAX) + origin_us
    step = np.empty(rows - 1, np.int64)
    if isinstance(head[1], list):
        if sum(head[1]) > TIME_US_MAX:
            raise FormatError("body: time out of range")
        step[:] = head[1]
    else:
        step[:] = read_whole(head[1], PERIOD_US_MAX)
    if len(head) == 3:
        step += unzigzag(number) * read_whole(head[2], TICKS_US[1])
    if step.size and int(step.min()) < 0:
        raise FormatError("body: times fall")
    if not (first >= 0 and first + int(step.sum()) <= TIME_US_MAX):
        raise FormatError("body: time out of range")
    time_us = np.empty(rows, np.int64)
    time_us[0] = first
    np.cumsum(step, out=time_us[1:])
    time_us[1:] += first
    return time_us


def write_qualities(quality: Sequence[Qualities]) -> tuple[bytes, bytes] | None:
    """Return codes and lengths of the runs over all blocks, column after column; None when all are GOOD."""
    if not any(each.any() for each in quality):
        return None
    flat = np.concatenate([each.ravel() for each in quality])
    start = np.concatenate(([0], np.flatnonzero(np.diff(flat)) + 1))
    length = np.diff(np.concatenate((start, [flat.size])))
    return flat[start].tobytes(), pack_planes(length.astype(np.uint64), LENGTH_PLANES_MAX)


def read_qualities(codes: bytes, lengths: bytes, samples: int) -> Qualities:
    """Return the flat qualities of `samples` readings; FormatError unless the runs cover them exactly."""
    if not 0 < len(codes) <= samples:
        raise FormatError("body: a wrong number of quality runs")
    length = unpack_planes(lengths, len(codes), LENGTH_PLANES_MAX)
    if not length.all() or int(length.sum()) != samples:
        raise FormatError("body: quality runs do not cover the readings")
    return np.repeat(np.frombuffer(codes, np.uint8), length.astype(np.intp))


def join_steps(parts: Iterable[Wide | None]) -> bytes | None:
    """Return the stream of times of all blocks; None when no block needs it."""
    used = [part for part in parts if part is not None]
    return pack_planes(np.concatenate(used), TIME_PLANES_MAX) if used else None


def read_word(item: object) -> str:
    """Return a text that names something; FormatError if it is none or longer than WORD_CHARS_MAX."""
    if not isinstance(item, str) or len(item) > WORD_CHARS_MAX:
        raise FormatError(f"body: not a text of at most {WORD_CHARS_MAX} characters")
    return item


def read_whole(item: object, most: int, least: int = 0) -> int:
    """Return a whole number within `least` to `most`; FormatError otherwise."""
    if not isinstance(item, int) or isinstance(item, bool) or not least <= item <= most:
        raise FormatError(f"body: not a whole number within {least} to {most}")
    return item
