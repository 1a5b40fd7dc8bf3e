"""Raw register bytes of scans into float64 columns and quality, by one gather of bytes per number format.

A whole number becomes the double nearest to the decimal number the device means: everything fixed in its scale is one
division of whole numbers (of any size where a double first would make two roundings). Floats, and numbers whose scale
is held in another register, are rounded to the declared resolution unless their point is raw. What is no number (a
sentinel, a float that is none, a BCD digit above 9, a scale that is not good) is NaN with the reason as quality.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.modbus.pdu import Read
from drivers.profile import BITS, Signal
from twin_wire.readings import Qualities, Quality, Values

Bytes = NDArray[np.uint8]
Integers = NDArray[Any]
Flags = NDArray[np.bool_]
Rows = NDArray[np.intp] | slice  # which columns, a slice where they follow each other
EXACT_MAX = float(1 << 53)  # above, a double holds no digits behind the point, so rounding has nothing to do
EXPONENT_MAX = 18
POWERS = np.array([float(10**e) for e in range(EXPONENT_MAX + 1)])  # each exact
DIGITS_OF_BYTE = np.array([high * 10 + low for high in range(16) for low in range(16)], np.int64)
IS_BCD = np.array([high < 10 and low < 10 for high in range(16) for low in range(16)])

# Where on the wire the bytes of a number lie, most significant first: as is, words swapped, bytes swapped, both.
BIG_ENDIAN_BYTES: dict[str, Callable[[int], list[int]]] = {
    "ABCD": lambda size: list(range(size)),
    "CDAB": lambda size: [size - 2 - place + 2 * (place % 2) for place in range(size)],
    "BADC": lambda size: [place ^ 1 for place in range(size)],
    "DCBA": lambda size: list(range(size))[::-1],
}
GOOD, BAD, SENTINEL = map(np.uint8, (Quality.GOOD, Quality.BAD, Quality.SENTINEL))
OVER_RANGE, UNDER_RANGE = map(np.uint8, (Quality.OVER_RANGE, Quality.UNDER_RANGE))


class Field(NamedTuple):
    """Where a signal begins in a scan's bytes: two per register, and one (0 or 1) per coil or discrete input."""

    signal: Signal
    offset: int
    raw: bool


def brings(request: Read, signal: Signal) -> bool:
    """Tell whether an answer to `request` holds the whole of a signal."""
    inside = request.address <= signal.address and signal.address + signal.count <= request.address + request.length
    return signal.function == request.function and inside


class _Format(NamedTuple):
    """All fields of one number format: which columns they are and how their bytes become values."""

    columns: Rows  # [K]
    width: int  # K
    gather: NDArray[np.intp]  # [K * parts * size] bytes, least significant first
    kind: str  # numpy type, "bit" for bits, "bcd" for decimal digits
    size: int  # bytes of one part
    shifts: tuple[Integers, Integers] | None  # [K, 1] up, then down: what is left is the field of bits
    weights: NDArray[np.int64] | None  # [K, parts, 1]
    moves: tuple[Values, Values] | None  # [K, 1] add, then multiply by
    scale: Values | float  # [K, 1] divide by, or what all have
    exact: list[tuple[int, int, int]]  # [K] the three as whole numbers, empty if a double always holds the result
    grid: Values | float  # [K, 1] 10**decimals to round to, 0 leaves the number alone; or what all have
    sentinels: NDArray[np.uint64]  # [K, S] raw patterns, filled up with 0
    in_use: NDArray[np.bool_]  # [K, S] which of them are meant


class _Scales(NamedTuple):
    """The columns whose scale lies in other columns; -1 where they have none of the kind."""

    columns: NDArray[np.intp]  # [K]
    exponent: NDArray[np.intp]  # [K] the column that holds it
    factors: NDArray[np.intp]  # [F, K]
    grid: Values  # [K, 1]


class Decoder:
    """Decodes scans of one layout: T rows of bytes into C columns, in the order of the fields.

    A field whose signal names another as its scale needs that one among the fields; without it its quality is BAD.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self._columns = len(fields)
        kinds: dict[tuple[str, int], list[int]] = {}
        for column, field in enumerate(fields):
            kinds.setdefault((field.signal.type, len(field.signal.weights)), []).append(column)
        self._formats = [_format(columns, [fields[column] for column in columns]) for columns in kinds.values()]
        ranged = [column for column, field in enumerate(fields) if _may_leave_range(field.signal)]
        self._ranged = _rows(ranged)
        self._low, self._high = (
            np.array([fields[column].signal.range or (0.0, 0.0) for column in ranged]).reshape(-1, 2).T[:, :, None]
        )
        self._scales = _scales(fields)

    def decode(self, scans: Bytes) -> tuple[Values, Qualities]:
        """Return value and quality [C, T] of scans [T, bytes]; a bad sample holds the canonical NaN."""
        value = np.empty((self._columns, scans.shape[0]))
        quality = np.zeros(value.shape, np.uint8)
        by_byte = np.ascontiguousarray(scans.T)
        with np.errstate(invalid="ignore", over="ignore"):  # a signalling NaN, a float near the end of its scale
            for form in self._formats:
                numbers, wrong = _numbers(form, by_byte)
                value[form.columns] = numbers
                if wrong is not None:
                    quality[form.columns] = wrong
            if self._scales is not None:
                _apply_scales(self._scales, value, quality)
        if len(self._low):
            numbers = value[self._ranged]
            over, under = numbers > self._high, numbers < self._low
            if over.any() or under.any():
                quality[self._ranged] = np.where(over, OVER_RANGE, np.where(under, UNDER_RANGE, quality[self._ranged]))
            if self._scales is not None:
                _distrust_scales(self._scales, value, quality)
        return value, quality


def _format(columns: list[int], fields: list[Field]) -> _Format:
    signals = [field.signal for field in fields]
    name, bits = signals[0].type, BITS[signals[0].type]
    size, parts = max(1, bits // 8), max(1, len(signals[0].weights))
    kind = {"bool": "bit", "f32": "<f4", "f64": "<f8"}.get(name) or ("bcd" if name[0] == "b" else f"<{name[0]}{size}")
    gather: list[int] = []
    for field in fields:
        order = [0] if kind == "bit" else BIG_ENDIAN_BYTES[field.signal.order](size)
        gather += [field.offset + part * size + place for part in range(parts) for place in reversed(order)]
    grid = [
        0.0 if field.raw or not _leaves_grid(field.signal) else 10.0**field.signal.point_decimals for field in fields
    ]
    most = max(len(signal.sentinels) for signal in signals)
    mask = (1 << (size * 8)) - 1
    moved = [(signal.offset, signal.numerator, signal.denominator) for signal in signals]
    moves = np.array([(float(add), float(times)) for add, times, _ in moved]).T[:, :, None]
    return _Format(
        _rows(columns),
        len(columns),
        np.array(gather, np.intp),
        kind,
        size,
        _shifts(signals, bits, kind),
        np.array([signal.weights for signal in signals], np.int64)[:, :, None] if signals[0].weights else None,
        (moves[0], moves[1]) if any(move[:2] != (0, 1) for move in moved) else None,
        _one_or_each([float(divide) for _, _, divide in moved]),
        moved if any(_magnitude(signal) >= EXACT_MAX for signal in signals) else [],
        _one_or_each(grid),
        np.array([[s & mask for s in signal.sentinels] + [0] * (most - len(signal.sentinels)) for signal in signals])
        .reshape(len(signals), most)
        .astype(np.uint64),
        np.array([[place < len(signal.sentinels) for place in range(most)] for signal in signals], np.bool_),
    )


def _rows(columns: list[int]) -> Rows:
    if columns and columns == list(range(columns[0], columns[-1] + 1)):
        return slice(columns[0], columns[-1] + 1)
    return np.array(columns, np.intp)


def _may_leave_range(signal: Signal) -> bool:
    """Tell whether the signal's registers can hold what its range does not."""
    if signal.range is None or signal.scaled:
        return signal.range is not None
    return min(-signal.range[0], signal.range[1]) * signal.denominator < _magnitude(signal)


def _one_or_each(numbers: list[float]) -> Values | float:
    return numbers[0] if len(set(numbers)) == 1 else np.array(numbers)[:, None]


def _leaves_grid(signal: Signal) -> bool:
    """Tell whether a value has to be rounded: a whole number lies on its grid, but a divisor of 3600 takes it off."""
    if signal.scales:
        return False  # rounded once its scale is known
    decimal = signal.divisor in (1, 10 ** len(str(signal.divisor - 1)))
    return signal.type in ("f32", "f64") or not decimal


def _magnitude(signal: Signal) -> int:
    """Return what the whole number before the division stays below; 0 for floats."""
    if signal.type in ("f32", "f64"):
        return 0
    low, high = signal.field or (0, BITS[signal.type] - 1)
    return ((sum(map(abs, signal.weights)) or 1) * (1 << (high - low + 1)) + abs(signal.offset)) * abs(signal.numerator)


def _shifts(signals: list[Signal], bits: int, kind: str) -> tuple[Integers, Integers] | None:
    if all(signal.field is None for signal in signals):
        return None
    fields = [signal.field or (0, bits - 1) for signal in signals]
    up = [bits - 1 - high for _, high in fields]
    down = [low + n for (low, _), n in zip(fields, up, strict=True)]
    return np.array(up, kind)[:, None], np.array(down, kind)[:, None]


def _numbers(form: _Format, by_byte: Bytes) -> tuple[Values, Qualities | None]:
    """Return the fields' values [K, T] of bytes [bytes, T], and the quality of those that are none (None: all are)."""
    gathered = by_byte.take(form.gather, axis=0)
    rows = by_byte.shape[1]
    if form.kind == "bit":
        return _divide(form, gathered), None
    parts = gathered.reshape(-1, rows, form.size)  # [K * parts, T, size]
    if rows > 1:
        parts = np.empty_like(parts)
        for place in range(form.size):  # twice as fast as swapping axes in one go
            parts[:, :, place] = gathered[place :: form.size]
    wrong: Flags | None = None
    if form.kind == "bcd":
        numbers = _divide(form, (DIGITS_OF_BYTE[parts] * 100 ** np.arange(form.size)).sum(axis=2))
        wrong = np.logical_or.reduce(~IS_BCD[parts], axis=2).reshape(form.width, -1, rows).any(axis=1)
    elif form.kind[1] == "f":
        numbers = parts.view(form.kind)[:, :, 0].astype(np.float64)
        if form.moves is not None:
            numbers = (numbers + form.moves[0]) * form.moves[1]
        if not isinstance(form.scale, float) or form.scale != 1.0:
            numbers /= form.scale
    else:
        numbers = _divide(form, parts.view(form.kind)[:, :, 0])
    all_fit = False  # on the grid, which no infinity and no NaN does
    if not isinstance(form.grid, float) or form.grid:
        numbers, all_fit = _round(numbers, form.grid)
    if form.kind[1] == "f" and not all_fit:
        wrong = ~np.isfinite(numbers)
    sentinel = _are_sentinels(form, parts) if form.in_use.size else None
    return _without(numbers, wrong, sentinel, BAD if form.kind == "bcd" else SENTINEL)


def _without(
    numbers: Values, wrong: Flags | None, sentinel: Flags | None, why: np.uint8
) -> tuple[Values, Qualities | None]:
    if (wrong is None or not wrong.any()) and (sentinel is None or not sentinel.any()):
        return numbers, None
    quality = np.zeros(numbers.shape, np.uint8)
    if wrong is not None:
        quality[wrong] = why
    if sentinel is not None:
        quality[sentinel] = SENTINEL
    numbers[quality != GOOD] = np.nan
    return numbers, quality


def _are_sentinels(form: _Format, parts: Bytes) -> Flags:
    """Tell which fields [K, T] hold a sentinel in any of their parts."""
    if form.kind == "bcd":
        shifts = (8 * np.arange(form.size)).astype(np.uint64)
        patterns = (parts.astype(np.uint64) << shifts).sum(axis=2, dtype=np.uint64)
    else:
        patterns = parts.view(f"<u{form.size}")[:, :, 0].astype(np.uint64)
    each = patterns.reshape(form.width, -1, patterns.shape[1])
    found = np.zeros((form.width, patterns.shape[1]), np.bool_)
    for place in range(form.in_use.shape[1]):
        same = (each == form.sentinels[:, place, None, None]).any(axis=1)
        found |= same & form.in_use[:, place, None]
    return found


def _divide(form: _Format, integers: Integers) -> Values:
    """Return (integers + offset) × multiplier / scale, each the double nearest to the true quotient."""
    if form.shifts is not None:
        integers = integers << form.shifts[0] >> form.shifts[1]
    if form.weights is not None:
        parts = integers.astype(np.int64).reshape(*form.weights.shape[:2], -1)
        integers = (parts * form.weights).sum(axis=1)
    numbers: Values = integers.astype(np.float64)
    if form.moves is not None:
        numbers = (numbers + form.moves[0]) * form.moves[1] + 0.0  # no whole number is a negative zero
    if form.exact and (np.abs(numbers) >= EXACT_MAX).any():
        # Python divides whole numbers of any size with one rounding; a double first would make it two.
        rows = [
            [(n + add) * times / divide for n in row]
            for row, (add, times, divide) in zip(integers.tolist(), form.exact, strict=True)
        ]
        return np.array(rows, np.float64)
    if not isinstance(form.scale, float) or form.scale != 1.0:
        numbers /= form.scale
    return numbers


def _round(numbers: Values, grid: Values | float) -> tuple[Values, bool]:
    """Return numbers at the grid's resolution where grid > 0, half to even, without negative zeros; whether all are."""
    steps = np.rint(numbers * grid)
    fits = np.abs(steps) < EXACT_MAX
    steps += 0.0
    if isinstance(grid, float):
        steps /= grid
        if fits.all():
            return steps, True
    else:
        steps /= np.where(grid == 0, 1.0, grid)
        fits &= grid != 0
    np.copyto(steps, numbers, where=~fits)
    return steps, False


def _scales(fields: Sequence[Field]) -> _Scales | None:
    place_of = {field.signal.id: column for column, field in reversed(list(enumerate(fields)))}
    columns = [column for column, field in enumerate(fields) if field.signal.scales]
    if not columns:
        return None
    signals = [fields[column].signal for column in columns]
    missing = len(fields)  # a column that does not exist
    places = [[place_of.get(name, missing) for name in signal.factors] for signal in signals]
    most = max(map(len, places))
    return _Scales(
        np.array(columns, np.intp),
        np.array([place_of.get(s.exponent, missing) if s.exponent else -1 for s in signals], np.intp),
        np.array([[*factors, *[-1] * (most - len(factors))] for factors in places], np.intp).T,
        np.array([[0.0 if fields[c].raw else 10.0**s.point_decimals] for c, s in zip(columns, signals, strict=True)]),
    )


def _apply_scales(scales: _Scales, value: Values, quality: Qualities) -> None:
    """Scale the columns in place by what the others hold; without a good scale there is no number."""
    rows = value.shape[1]
    ones, lost = np.ones((1, rows)), np.full((1, rows), np.nan)
    numbers = value[scales.columns]
    holds = np.concatenate((value, lost, np.zeros((1, rows))))  # an index of -1 finds the exponent 0
    exponent = holds[scales.exponent]
    beyond = ~(np.abs(exponent) <= EXPONENT_MAX)
    power = POWERS[np.where(beyond, 0.0, np.abs(exponent)).astype(np.intp)]
    numbers = np.where(exponent < 0, numbers / power, numbers * power)
    for factor in scales.factors:
        numbers *= np.concatenate((value, lost, ones))[factor]
    numbers, _ = _round(numbers, scales.grid)
    numbers[beyond] = np.nan
    lacking = ~np.isfinite(numbers)
    numbers[lacking] = np.nan
    value[scales.columns] = numbers
    quality[scales.columns] = np.where(lacking, np.maximum(quality[scales.columns], BAD), quality[scales.columns])
    _distrust_scales(scales, value, quality)


def _distrust_scales(scales: _Scales, value: Values, quality: Qualities) -> None:
    """Take away the numbers whose scale is not good itself, and say why."""
    known = np.concatenate((quality, np.zeros((2, quality.shape[1]), np.uint8)))
    worst = np.maximum.reduce([known[columns] for columns in (scales.exponent, *scales.factors)])
    doubted = worst != GOOD
    if doubted.any():
        value[scales.columns] = np.where(doubted, np.nan, value[scales.columns])
        quality[scales.columns] = np.where(doubted, np.maximum(worst, BAD), quality[scales.columns])
