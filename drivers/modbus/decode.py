"""Raw register bytes of scans into float64 columns and quality, by one gather of bytes per number format.

value = integer / 10**decimals / divisor, computed as one division of whole numbers: the double nearest to the decimal
number the device means. Floats are rounded to the declared resolution unless their point is raw.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.profile import BITS, Signal
from twin_wire.readings import Qualities, Quality, Values

Bytes = NDArray[np.uint8]
EXACT_MAX = float(1 << 53)  # above, a double holds no digits behind the point, so rounding has nothing to do

# Where on the wire the bytes of a number lie, most significant first: as is, words swapped, bytes swapped, both.
BIG_ENDIAN_BYTES: dict[str, Callable[[int], list[int]]] = {
    "ABCD": lambda size: list(range(size)),
    "CDAB": lambda size: [place ^ (size - 2) for place in range(size)],
    "BADC": lambda size: [place ^ 1 for place in range(size)],
    "DCBA": lambda size: list(range(size))[::-1],
}
SENTINEL, OVER_RANGE, UNDER_RANGE = map(np.uint8, (Quality.SENTINEL, Quality.OVER_RANGE, Quality.UNDER_RANGE))
_NONE = np.zeros((1, 1), np.bool_)


class Field(NamedTuple):
    """Where a signal begins in a scan's bytes: two per register, and one (0 or 1) per coil or discrete input."""

    signal: Signal
    offset: int
    raw: bool


class _Format(NamedTuple):
    """All fields of one number format: which columns they are and how their bytes become values."""

    columns: NDArray[np.intp]  # [K]
    gather: NDArray[np.intp]  # [K * size] bytes, least significant first
    kind: str  # numpy type, "bit" for bits
    scale: Values  # [K] divide by
    grid: Values  # [K] 10**decimals to round to, 0 leaves the number alone
    rounds: bool  # whether any is above 0
    sentinels: NDArray[np.uint64]  # [K, S] raw patterns, filled up with 0
    in_use: NDArray[np.bool_]  # [K, S] which of them are meant


class Decoder:
    """Decodes scans of one layout: T rows of bytes into C columns, in the order of the fields."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._columns = len(fields)
        kinds: dict[str, list[int]] = {}
        for column, field in enumerate(fields):
            kinds.setdefault("bit" if field.signal.type == "bool" else field.signal.type, []).append(column)
        self._formats = [
            _format(kind, columns, [fields[column] for column in columns]) for kind, columns in kinds.items()
        ]
        ranges = [field.signal.range or (-np.inf, np.inf) for field in fields]
        self._low = np.array([low for low, _ in ranges])[:, None]
        self._high = np.array([high for _, high in ranges])[:, None]
        self._has_range = any(field.signal.range for field in fields)

    def decode(self, scans: Bytes) -> tuple[Values, Qualities]:
        """Return value and quality [C, T] of scans [T, bytes]; a bad sample holds the canonical NaN."""
        value = np.empty((self._columns, scans.shape[0]))
        quality = np.zeros(value.shape, np.uint8)
        with np.errstate(invalid="ignore", over="ignore"):  # a signalling NaN, a float near the end of its scale
            for form in self._formats:
                numbers, sentinel = _numbers(form, scans)
                value[form.columns] = numbers.T
                if sentinel is not None:
                    quality[form.columns] = sentinel.T * SENTINEL
        if self._has_range:
            quality[value > self._high] = OVER_RANGE
            quality[value < self._low] = UNDER_RANGE
        return value, quality


def _format(kind: str, columns: list[int], fields: list[Field]) -> _Format:
    signals = [field.signal for field in fields]
    size = 1 if kind == "bit" else BITS[kind] // 8
    gather: list[int] = []
    for field in fields:
        if kind == "bit":
            gather.append(field.offset)
        else:
            order = BIG_ENDIAN_BYTES[field.signal.order](size)
            gather += [field.offset + place for place in reversed(order)]
    floats = kind in ("f32", "f64")
    grid = [0.0 if field.raw else 10.0**field.signal.point_decimals for field in fields]
    if not floats:  # an integer already lies on its decimal grid, unless its divisor is no power of ten
        grid = [step if _leaves_grid(signal) else 0.0 for step, signal in zip(grid, signals, strict=True)]
    most = max((len(signal.sentinels) for signal in signals), default=0)
    mask = (1 << (size * 8)) - 1
    return _Format(
        np.array(columns, np.intp),
        np.array(gather, np.intp),
        {"bit": "bit", "f32": "<f4", "f64": "<f8"}.get(kind) or f"<{kind[0]}{size}",
        np.array([float(signal.divisor) * (1.0 if floats else 10.0**signal.decimals) for signal in signals]),
        np.array(grid),
        any(grid),
        np.array([[s & mask for s in signal.sentinels] + [0] * (most - len(signal.sentinels)) for signal in signals])
        .reshape(len(signals), most)
        .astype(np.uint64),
        np.array([[place < len(signal.sentinels) for place in range(most)] for signal in signals], np.bool_),
    )


def _leaves_grid(signal: Signal) -> bool:
    return signal.divisor != int(10 ** (signal.point_decimals - signal.decimals))


def _numbers(form: _Format, scans: Bytes) -> tuple[Values, NDArray[np.bool_] | None]:
    """Return the fields' values [T, K] and which of them are sentinels (None: none is)."""
    gathered = np.take(scans, form.gather, axis=1)
    if form.kind == "bit":
        return gathered.astype(np.float64), None
    plain = gathered.view(form.kind)
    if form.kind[1] == "f":
        numbers = plain.astype(np.float64)
        sentinel = ~np.isfinite(numbers)
        numbers /= form.scale
    else:
        numbers = _divide(plain, form.scale)
        sentinel = _NONE
    if form.rounds:
        numbers = _round(numbers, form.grid)
    if form.in_use.size:
        patterns = gathered.view(f"<u{plain.dtype.itemsize}").astype(np.uint64)
        sentinel = sentinel | ((patterns[:, :, None] == form.sentinels) & form.in_use).any(axis=2)
    if sentinel is _NONE or not sentinel.any():
        return numbers, None
    numbers[sentinel] = np.nan
    return numbers, sentinel


def _divide(integers: NDArray[np.generic], scale: Values) -> Values:
    """Return integers / scale, each the double nearest to the true quotient."""
    numbers = integers.astype(np.float64)
    if integers.dtype.itemsize == 8 and (np.abs(numbers) >= EXACT_MAX).any():
        # Python divides whole numbers of any size with one rounding; a double first would make it two.
        divisors = [int(step) for step in scale]
        rows = [[n / d for n, d in zip(row, divisors, strict=True)] for row in integers.tolist()]
        return np.array(rows, np.float64)
    numbers /= scale
    return numbers


def _round(numbers: Values, grid: Values) -> Values:
    """Return numbers at the grid's resolution where grid > 0, half to even; without negative zeros there."""
    steps = np.rint(numbers * grid)
    keeps = ~(np.abs(steps) < EXACT_MAX) | (grid == 0)
    rounded = steps / np.maximum(grid, 1.0) + 0.0
    return np.where(keeps, numbers, rounded) if keeps.any() else rounded
