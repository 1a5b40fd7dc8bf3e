"""From a physical value to the registers a device shows: whole numbers, floats, digits, bit fields, weighted parts."""

import math
import struct
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

from hardware_sim.profile import TYPES, Fixed, Signal

FORMATS = {"i16": ">h", "u16": ">H", "i32": ">i", "u32": ">I", "i64": ">q", "u64": ">Q", "f32": ">f", "f64": ">d"}
FLOATS = ("f32", "f64")
Words = tuple[int, ...]


def raw_of(signal: Signal, value: float, exponent: int = 0, factor: Fraction = Fraction(1)) -> int | float:
    """Return what the device would hold for a physical value: a clamped integer, or a float at its resolution.

    `exponent` and `factor` are those that the device shows beside it. A value that is not a number becomes the first
    sentinel, or NaN for floats without one.
    """
    if math.isnan(value):
        return math.nan if signal.type in FLOATS and not signal.sentinels else _sentinel(signal)
    low, high = bounds(signal)
    if signal.scales or signal.type in FLOATS:
        settled = round(value, signal.decimals)
        if signal.type in FLOATS and exponent == 0 and factor == signal.multiplier == signal.divisor == 1:
            return settled - signal.offset
        steps = Fraction(signal.multiplier, signal.divisor) * Fraction(10) ** exponent * factor
        if signal.type in FLOATS:
            return float(Fraction(settled) / steps - signal.offset) if steps else 0.0
        raw = round(Fraction(repr(value)) / steps) if steps else 0  # a device whose factor is 0 shows nothing else
    else:
        scaled = Decimal(repr(value)).scaleb(signal.decimals) * signal.divisor / signal.multiplier
        raw = int(scaled.to_integral_value(ROUND_HALF_EVEN))
    raw = min(max(raw - signal.offset, low), high)
    return _beside(signal, raw, low, high) if signal.sentinels and signal.bits is None else raw


def bounds(signal: Signal) -> tuple[int, int]:
    """Return the lowest and highest whole number the signal's registers hold."""
    if signal.bits is not None:
        width = signal.bits[1] - signal.bits[0] + 1
        return _bounds(signal.type[0], width)
    low, high = PART_BOUNDS[signal.type]
    if signal.weights:
        ends = [(low * w, high * w) for w in signal.weights]
        return sum(map(min, ends)), sum(map(max, ends))
    return low, high


def encode(signal: Signal, raw: int | float) -> Words:
    """Return the 16-bit registers of a raw value in the device's byte and word order."""
    if signal.type == "bool":
        return (int(bool(raw)),)
    if signal.bits is not None:
        return _ordered(_field(signal, int(raw)).to_bytes(2 * TYPES[signal.type]), signal.order)
    if signal.weights:
        parts = [int(raw)] * len(signal.weights) if raw in signal.sentinels else _parts(signal, int(raw))
        return tuple(word for part in parts for word in number(signal.type, signal.order, part))
    return number(signal.type, signal.order, raw)


def held(signal: Signal, words: Sequence[int]) -> int:
    """Return the whole number that stands in the registers of a signal without weights."""
    if signal.type == "bool":
        return words[0]
    data = b"".join(word.to_bytes(2) for word in _ordered(b"".join(w.to_bytes(2) for w in words), signal.order))
    if signal.type.startswith("bcd"):
        return int(data.hex()) if data.hex().isdecimal() else 0
    low, high = signal.bits or (0, 8 * len(data) - 1)
    raw = int.from_bytes(data) >> low & ((1 << (high - low + 1)) - 1)
    return raw - (1 << (high - low + 1)) if signal.type[0] == "i" and raw >> (high - low) else raw


def mask_of(signal: Signal) -> Words:
    """Return which bits of its registers belong to the signal."""
    if signal.bits is None:
        return (0xFFFF,) * signal.registers
    low, high = signal.bits
    return _ordered((((1 << (high - low + 1)) - 1) << low).to_bytes(2 * TYPES[signal.type]), signal.order)


def number(kind: str, order: str, raw: int | float) -> Words:
    """Return the registers of one number; a whole number given for a float is its bit pattern."""
    size = 2 * TYPES[kind]
    if kind.startswith("bcd"):
        pattern = raw if raw > 10 ** (2 * size) - 1 else int(str(int(raw)), 16)  # beyond the digits: a sentinel
        return _ordered(int(pattern).to_bytes(size), order)
    if isinstance(raw, int):
        if size == 2 and order in ("ABCD", "CDAB"):
            return (raw & 0xFFFF,)
        return _ordered((raw & ((1 << (8 * size)) - 1)).to_bytes(size), order)
    return _ordered(struct.pack(FORMATS[kind], raw), order)


def fixed_words(fixed: Fixed) -> Words:
    """Return the registers of a text or of a number known beforehand."""
    if isinstance(fixed.content, str):
        data = fixed.content.encode("ascii", "replace").ljust(2 * fixed.registers)[: 2 * fixed.registers]
        words = [data[place : place + 2] for place in range(0, len(data), 2)]
        return tuple(int.from_bytes(word, "little" if fixed.order == "BADC" else "big") for word in words)
    whole = fixed.type not in FLOATS
    raw = round(Fraction(repr(fixed.content)) * Fraction(10) ** fixed.decimals) if whole else fixed.content
    return number(fixed.type, fixed.order, raw)


def _ordered(data: bytes, order: str) -> Words:
    words = [data[i : i + 2] for i in range(0, len(data), 2)]
    if order in ("CDAB", "DCBA"):
        words.reverse()
    if order in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    return tuple(int.from_bytes(word) for word in words)


def _field(signal: Signal, raw: int) -> int:
    assert signal.bits is not None
    low, high = signal.bits
    return (raw & ((1 << (high - low + 1)) - 1)) << low


def _parts(signal: Signal, raw: int) -> list[int]:
    """Split a whole number over its weights, the heaviest first, none beyond what its register holds."""
    low, high = PART_BOUNDS[signal.type]
    parts, order = [0] * len(signal.weights), _heaviest_first(signal.weights)
    for place in order:
        weight = signal.weights[place]
        part = abs(raw) // abs(weight) * (1 if raw * weight >= 0 else -1)
        parts[place] = min(max(part, low), high)
        raw -= parts[place] * weight
    return parts


def _heaviest_first(weights: Sequence[int]) -> list[int]:
    return sorted((n for n, weight in enumerate(weights) if weight), key=lambda n: -abs(weights[n]))


def _beside(signal: Signal, raw: int, low: int, high: int) -> int:
    """Return the nearest number that is no error code: a measured value never looks like one."""
    mask = (1 << (16 * TYPES[signal.type])) - 1
    codes = {sentinel & mask for sentinel in signal.sentinels}
    toward = -1 if raw > 0 else 1
    near = (raw + way * distance for distance in range(len(codes) + 1) for way in (toward, -toward))
    return next((n for n in near if low <= n <= high and n & mask not in codes), raw)


def _sentinel(signal: Signal) -> int:
    return signal.sentinels[0] if signal.sentinels else bounds(signal)[1]


def _part_bounds(kind: str) -> tuple[int, int]:
    if kind.startswith("bcd"):
        return 0, 10 ** (4 * TYPES[kind]) - 1
    return _bounds(kind[0], 1 if kind == "bool" else 16 * TYPES[kind])


def _bounds(sign: str, bits: int) -> tuple[int, int]:
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if sign == "i" else (0, (1 << bits) - 1)


PART_BOUNDS = {kind: _part_bounds(kind) for kind in TYPES}
