"""Columns of readings as lanes of integers and byte planes: what a data body stores; lossless, bit for bit.

A lane is one row of whole numbers: its first number, then the differences, zigzagged. A column of readings is one lane
(integers scaled by the declared decimals, or the bits of float32) or two (the low and high words of float64).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin_wire.errors import FormatError
from twin_wire.readings import Qualities, Quality, Values

# Kinds of lanes, low half of a lane's code.
DECIMALS_MAX = 9  # kinds 0 to 9: value = number / 10**kind
FLOAT32 = 10
FLOAT64_LOW = 11
FLOAT64_HIGH = 12
VERBATIM_LOW = 13  # as float64, but a bad sample keeps the bits it came with
VERBATIM_HIGH = 14

# Widths of a lane's differences, high half of its code: none (constant), half a byte, or 1 to 4 bytes.
CONSTANT = 0
HALF = 1
PLANES_MAX = 4
WIDTH_MAX = HALF + PLANES_MAX

FIRST_BITS = 46  # |first| below 2**46: sums stay exact in the float64 that JavaScript counts with
FIRST_PLANES_MAX = 6
LANES_MAX = 20_000

Numbers = NDArray[np.int64]
Bytes = NDArray[np.uint8]
_BAD = int(Quality.BAD)
_WORD = 0xFFFF_FFFF
_SCALES = 10.0 ** np.arange(DECIMALS_MAX + 1)
_CANONICAL_NAN = np.array(np.nan).view(np.int64).item()


class Lanes(NamedTuple):
    """L lanes of T numbers: what the streams of a body say about blocks of equal length."""

    code: Bytes  # [L] 16 * width + kind
    first: Numbers  # [L]
    zigzag: NDArray[np.uint32]  # [L, T - 1] differences


def zigzag(difference: Numbers) -> NDArray[np.uint64]:
    """Map … -2, -1, 0, 1, 2 … to 3, 1, 0, 2, 4 …"""
    return ((difference << 1) ^ (difference >> 63)).view(np.uint64)


def unzigzag(number: NDArray[np.uint64]) -> Numbers:
    """Undo `zigzag`."""
    return (number >> np.uint64(1)).view(np.int64) ^ -(number & np.uint64(1)).view(np.int64)


def split_columns(value: Values, quality: Qualities, decimals: list[int | None]) -> Lanes:
    """Return the lanes of C columns of T >= 1 readings; integers where that is exact, else the bits of the floats."""
    bad = quality >= _BAD
    # Bits other than the canonical NaN under a bad quality have to be kept as they are.
    kept = (value.view(np.int64) == _CANONICAL_NAN) | ~bad
    kind, number = _scale(value, bad, decimals)
    for column in np.flatnonzero(kind > DECIMALS_MAX):
        if not kept[column].all():
            kind[column] = VERBATIM_LOW
        elif _is_float32(value[column]):
            kind[column] = FLOAT32
    if (kind <= DECIMALS_MAX).all():
        return _differences(kind, number)
    return _differences(*_with_float_lanes(kind, number, value, bad))


def join_columns(lanes: Lanes, quality: Qualities) -> Values:
    """Return the readings [C, T] of lanes that `lane_columns` counted; bad samples become the canonical NaN."""
    kind = lanes.code & np.uint8(15)
    number = np.empty((len(kind), lanes.zigzag.shape[1] + 1), np.float64)
    number[:, 0] = lanes.first
    # Half a difference with its sign; every sum stays below 2**53, so float64 adds exactly.
    signed = (lanes.zigzag >> 1).view(np.int32) ^ -(lanes.zigzag & 1).view(np.int32)
    number[:, 1:] = signed
    np.cumsum(number, axis=1, out=number)
    if (kind <= DECIMALS_MAX).all():
        value = number
        value /= _SCALES[kind][:, None]
    else:
        value = _join_floats(kind, number)
    bad = quality >= _BAD
    if bad.any():
        bad[kind[lane_starts(kind)] == VERBATIM_LOW] = False
        value[bad] = np.nan
    return value


def lane_starts(kind: Bytes) -> NDArray[np.intp]:
    """Return the index of each column's first lane; FormatError when the two halves of a float64 are not together."""
    high = (kind == FLOAT64_HIGH) | (kind == VERBATIM_HIGH)
    low = (kind == FLOAT64_LOW) | (kind == VERBATIM_LOW)
    if high.any() or low.any():
        after = np.concatenate((kind[1:], [0]))
        before = np.concatenate(([0], kind[:-1]))
        if (after[low] != kind[low] + 1).any() or (before[high] != kind[high] - 1).any():
            raise FormatError("body: half a float64 column")
    return np.flatnonzero(~high)


def pack_planes(number: NDArray[np.uint64], planes_max: int) -> bytes:
    """Return all lowest bytes, then all second bytes …, as many planes as the largest number needs, at least one."""
    largest = int(number.max()) if number.size else 0
    count = max(1, (largest.bit_length() + 7) // 8)
    assert count <= planes_max, largest
    return b"".join((number >> np.uint64(8 * plane)).astype(np.uint8).tobytes() for plane in range(count))


def unpack_planes(data: bytes, count: int, planes_max: int) -> NDArray[np.uint64]:
    """Return `count` numbers from their byte planes; FormatError unless the length is a whole number of planes."""
    planes, rest = divmod(len(data), count) if count else (0, len(data))
    if rest or planes > planes_max or (count and not planes):
        raise FormatError("body: byte planes of a wrong length")
    number = np.zeros(count, np.uint64)
    for plane in range(planes):
        number |= np.frombuffer(data, np.uint8, count, plane * count).astype(np.uint64) << np.uint64(8 * plane)
    return number


def _scale(value: Values, bad: NDArray[np.bool_], decimals: list[int | None]) -> tuple[Bytes, Numbers]:
    """Return each column's kind, FLOAT64_LOW where integers are not exact, and the numbers scaled to integers."""
    wanted = np.array([FLOAT64_LOW if each is None else each for each in decimals], np.uint8)
    scale = _SCALES[np.minimum(wanted, DECIMALS_MAX)][:, None]
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.rint(value * scale)
        number = scaled.astype(np.int64)
        # Bits, not values: -0.0 equals 0.0 and is another reading.
        same = (number / scale).view(np.int64) == value.view(np.int64)
        same &= np.abs(scaled) < 1 << FIRST_BITS
    if bad.any():
        # What quality restores is the canonical NaN and nothing else.
        same = np.where(bad, value.view(np.int64) == _CANONICAL_NAN, same)
        _hold(number, bad)
    step = np.abs(np.diff(number, axis=1)) < 1 << 31 if value.shape[1] > 1 else np.ones((len(value), 1), np.bool_)
    whole = same.all(axis=1) & step.all(axis=1) & (wanted <= DECIMALS_MAX)
    return np.where(whole, wanted, FLOAT64_LOW).astype(np.uint8), number


def _is_float32(value: Values) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = value.astype(np.float32).astype(np.float64)
    return bool((narrow.view(np.int64) == value.view(np.int64)).all())


def _hold(number: Numbers, bad: NDArray[np.bool_]) -> None:
    """Write over bad samples the last number before them, or the first after them: a difference of 0 costs nothing."""
    for row in np.flatnonzero(bad.any(axis=1)):
        good = ~bad[row]
        at = np.maximum.accumulate(np.where(good, np.arange(len(good)), -1))
        at[at < 0] = int(np.argmax(good))
        number[row] = number[row, at] if good.any() else 0


def _with_float_lanes(kind: Bytes, number: Numbers, value: Values, bad: NDArray[np.bool_]) -> tuple[Bytes, Numbers]:
    """Put the bits of float columns among the lanes; a float64 becomes two of them."""
    lanes: list[Numbers] = []
    kinds: list[int] = []
    for column, each in enumerate(kind.tolist()):
        kinds.append(each)
        if each <= DECIMALS_MAX:
            lanes.append(number[column])
        elif each == FLOAT32:
            bits = value[column].astype(np.float32).view(np.uint32).astype(np.int64)
            lanes.append(_held(bits, bad[column]))
        else:
            words = value[column].view(np.uint64)
            if each == FLOAT64_LOW:
                words = _held(words.view(np.int64), bad[column]).view(np.uint64)
            lanes.append((words & np.uint64(_WORD)).astype(np.int64))
            lanes.append((words >> np.uint64(32)).astype(np.int64))
            kinds.append(each + 1)
    return np.array(kinds, np.uint8), np.stack(lanes)


def _held(number: Numbers, bad: NDArray[np.bool_]) -> Numbers:
    held = number.copy()
    _hold(held[None], bad[None])
    return held


def _differences(kind: Bytes, number: Numbers) -> Lanes:
    step = np.diff(number, axis=1)
    floats = kind > DECIMALS_MAX
    if floats.any():  # of bits: modulo 2**32
        step[floats] = ((step[floats] + (1 << 31)) & _WORD) - (1 << 31)
    wide = zigzag(step).astype(np.uint32)
    largest = wide.max(axis=1) if wide.shape[1] else np.zeros(len(kind), np.uint32)
    width = np.searchsorted([1, 1 << 4, 1 << 8, 1 << 16, 1 << 24], largest, side="right")
    return Lanes((width << 4 | kind).astype(np.uint8), number[:, 0].copy(), wide)


def _join_floats(kind: Bytes, number: Values) -> Values:
    starts = lane_starts(kind)
    value = np.empty((len(starts), number.shape[1]), np.float64)
    kinds = kind[starts]
    whole = kinds <= DECIMALS_MAX
    value[whole] = number[starts[whole]] / _SCALES[kinds[whole]][:, None]
    for column in np.flatnonzero(~whole):
        lane = starts[column]
        if kinds[column] == FLOAT32:
            value[column] = _word(number[lane]).view(np.float32)
        else:
            low, high = _word(number[lane]).astype(np.uint64), _word(number[lane + 1]).astype(np.uint64)
            value[column] = (high << np.uint64(32) | low).view(np.float64)
    return value


def _word(number: Values) -> NDArray[np.uint32]:
    return (number.astype(np.int64) & np.int64(_WORD)).astype(np.uint32)
