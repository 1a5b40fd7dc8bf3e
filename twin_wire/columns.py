"""Columns of readings as lanes of whole numbers, and back: lossless, bit for bit.

A lane is a row of whole numbers: the first, then the differences. A column of readings is one lane (integers scaled by
the declared decimals, or the bits of float32) or two (the low and the high words of float64). Whole numbers are held
in float64, which adds them exactly below 2**53 and is what JavaScript counts with.
"""

from itertools import pairwise
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

FIRST_BITS = 46  # |first| below 2**46 and differences below 2**31: every sum stays below 2**53
LANES_MAX = 1 << 15

Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]
Unsigned = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.uint32]
_BAD = int(Quality.BAD)
_WORD = float(1 << 32)
_WIDTH_LIMITS = np.array([1, 1 << 4, 1 << 8, 1 << 16, 1 << 24])
_SCALES = 10.0 ** np.arange(DECIMALS_MAX + 1)
_CANONICAL_NAN = np.array(np.nan).view(np.int64).item()

_LANES_FOR_ROWWISE = 128  # from here on adding row to row beats numpy's cumsum, which adds one number at a time


class Lanes(NamedTuple):
    """L lanes of T numbers."""

    code: Bytes  # [L] 16 * width + kind
    first: Values  # [L] whole numbers
    zigzag: Unsigned  # [L, T - 1] differences: 0, -1, 1, -2, 2 … as 0, 1, 2, 3, 4 …


def split_columns(value: Values, quality: Qualities, decimals: list[int | None]) -> Lanes:
    """Return the lanes of C columns of T >= 1 readings; integers where that is exact, else the bits of the floats."""
    bad = quality >= _BAD
    any_bad = bool(bad.any())
    wanted = np.array([FLOAT64_LOW if each is None else each for each in decimals], np.uint8)
    whole, number, step = _scale(value, bad if any_bad else None, wanted)
    if whole.all():
        return _lanes(wanted, number[:, 0], step)
    floats = ~whole
    kind = wanted
    kind[floats] = _float_kinds(value[floats], bad[floats])
    return _lanes(*_with_floats(kind, number, value, bad))


def join_columns(lanes: Lanes, quality: Qualities) -> Values:
    """Return the readings [C, T] of lanes whose columns `lane_starts` counted; bad samples become the canonical NaN."""
    kind = lanes.code & np.uint8(15)
    whole = bool((kind <= DECIMALS_MAX).all())
    value = _add_up(lanes, _SCALES[kind] if whole else None)
    starts = np.arange(len(kind))
    if not whole:
        starts = lane_starts(kind)
        value = _join_floats(kind, starts, value)
    bad = quality >= _BAD
    if bad.any():
        bad[kind[starts] == VERBATIM_LOW] = False
        value[bad] = np.nan
    return value


def lane_starts(kind: Bytes) -> NDArray[np.intp]:
    """Return the index of each column's first lane; FormatError when the two halves of a float64 are not together."""
    if not len(kind) or int(kind.max()) < FLOAT64_LOW:
        return np.arange(len(kind))
    high = (kind == FLOAT64_HIGH) | (kind == VERBATIM_HIGH)
    low = (kind == FLOAT64_LOW) | (kind == VERBATIM_LOW)
    after = np.concatenate((kind[1:], [0]))
    before = np.concatenate(([0], kind[:-1]))
    if (after[low] != kind[low] + 1).any() or (before[high] != kind[high] - 1).any():
        raise FormatError("body: half a float64 column")
    return np.flatnonzero(~high)


def _scale(value: Values, bad: Flags | None, wanted: Bytes) -> tuple[Flags, Values, Values]:
    """Return which columns are exactly integers of their decimals, and those integers and their differences."""
    scale = _SCALES[np.minimum(wanted, DECIMALS_MAX)][:, None]
    with np.errstate(invalid="ignore", over="ignore"):
        number = np.rint(value * scale)
        number += 0.0  # -0.0 becomes 0.0: it is another reading, and the comparison of bits below tells
        same = (number / scale).view(np.int64) == value.view(np.int64)
        if bad is not None:
            same = np.where(bad, value.view(np.int64) == _CANONICAL_NAN, same)
            _hold(number, bad)
        step = np.diff(number, axis=1)
        whole = (wanted <= DECIMALS_MAX) & (np.abs(number[:, 0]) < 1 << FIRST_BITS)
        if step.shape[1]:
            whole &= np.abs(step).max(axis=1) < 1 << 31
    if not same.all():
        whole &= same.all(axis=1)
    return whole, number, step


def _hold(number: Values, bad: Flags) -> None:
    """Write over bad samples the last number before them, or the first after them: a difference of 0 costs nothing."""
    rows = np.flatnonzero(bad.any(axis=1))
    good = ~bad[rows]
    at = np.maximum.accumulate(np.where(good, np.arange(good.shape[1]), -1), axis=1)
    at = np.where(at < 0, good.argmax(axis=1)[:, None], at)
    held = np.take_along_axis(number[rows], at, axis=1)
    held[~good.any(axis=1)] = 0.0
    number[rows] = held


def _float_kinds(value: Values, bad: Flags) -> Bytes:
    """Return the smallest kind of float that holds each column exactly."""
    bits = value.view(np.int64)
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = value.astype(np.float32).astype(np.float64).view(np.int64)
    kind = np.where((narrow == bits).all(axis=1), FLOAT32, FLOAT64_LOW)
    # Reading a body puts the canonical NaN under every bad quality; a column where something else stood says so.
    restorable = (~bad | (bits == _CANONICAL_NAN)).all(axis=1)
    return np.where(restorable, kind, VERBATIM_LOW).astype(np.uint8)


def _with_floats(kind: Bytes, number: Values, value: Values, bad: Flags) -> tuple[Bytes, Values, Values]:
    """Return kinds, first numbers and differences of all lanes, float64 columns becoming two of them."""
    double: Flags = np.greater_equal(kind, FLOAT64_LOW)
    starts = np.cumsum(1 + double) - 1 - double
    lane_kind = np.empty(len(kind) + int(double.sum()), np.uint8)
    lane_kind[starts] = kind
    lane_kind[starts[double] + 1] = kind[double] + 1
    lane = np.zeros((len(lane_kind), value.shape[1]), np.float64)
    lane[starts] = number
    single = kind == FLOAT32
    with np.errstate(over="ignore", invalid="ignore"):
        lane[starts[single]] = value[single].astype(np.float32).view(np.uint32)
    words = value[double].view(np.uint64)
    lane[starts[double]] = words & np.uint64(0xFFFF_FFFF)
    lane[starts[double] + 1] = words >> np.uint64(32)
    column = np.repeat(np.arange(len(kind)), 1 + double)
    any_bad: Flags = np.logical_or.reduce(bad, axis=1)
    held = (lane_kind >= FLOAT32) & (lane_kind < VERBATIM_LOW) & any_bad[column]
    if held.any():
        part = lane[held]
        _hold(part, bad[column[held]])
        lane[held] = part
    with np.errstate(invalid="ignore"):
        step = np.diff(lane, axis=1)
    floats = lane_kind > DECIMALS_MAX
    step[floats] = (step[floats] + _WORD / 2) % _WORD - _WORD / 2  # differences of bits count modulo 2**32
    return lane_kind, lane[:, 0], step


def _lanes(kind: Bytes, first: Values, step: Values) -> Lanes:
    difference = step.astype(np.int32)
    zigzag = ((difference << 1) ^ (difference >> 31)).view(np.uint32)
    if not zigzag.shape[1]:
        return Lanes(kind, first, zigzag)
    width = np.searchsorted(_WIDTH_LIMITS, zigzag.max(axis=1), side="right")
    return Lanes((width << 4 | kind).astype(np.uint8), first, zigzag)


def _add_up(lanes: Lanes, scale: Values | None) -> Values:
    """Return the numbers [L, T] of the lanes, divided by their scales if there are any."""
    zigzag = lanes.zigzag
    signed = zigzag.dtype.str.replace("u", "i")
    step = (zigzag >> 1).view(signed) ^ -(zigzag & 1).view(signed)
    number = np.empty((len(step), step.shape[1] + 1))
    if len(step) < _LANES_FOR_ROWWISE:
        number[:, 0], number[:, 1:] = lanes.first, step
        np.cumsum(number, axis=1, out=number)
    else:
        # The sums of the differences alone fit a narrow type, which moves half to a quarter of the bytes.
        narrow = 8 * zigzag.itemsize + step.shape[1].bit_length()
        row = np.zeros(number.shape[::-1], np.int16 if narrow <= 16 else np.int32 if narrow <= 32 else np.float64)
        row[1:] = step.T
        for before, this in pairwise(row):
            np.add(before, this, out=this)
        np.add(row.T, lanes.first[:, None], out=number)
    return number if scale is None else np.divide(number, scale[:, None], out=number)


def _join_floats(kind: Bytes, starts: NDArray[np.intp], number: Values) -> Values:
    """Return the readings [C, T] of lanes among which are bits of floats."""
    column_kind = kind[starts]
    value = np.empty((len(starts), number.shape[1]))
    whole = column_kind <= DECIMALS_MAX
    value[whole] = number[starts[whole]] / _SCALES[column_kind[whole]][:, None]
    single = column_kind == FLOAT32
    with np.errstate(invalid="ignore"):  # a signalling NaN, which no encoder of ours writes
        value[single] = _words(number[starts[single]]).view(np.float32)
    double = column_kind >= FLOAT64_LOW
    low, high = (_words(number[starts[double] + half]).astype(np.uint64) for half in (0, 1))
    value[double] = (high << np.uint64(32) | low).view(np.float64)
    return value


def _words(number: Values) -> NDArray[np.uint32]:
    return (number % _WORD).astype(np.uint32)
