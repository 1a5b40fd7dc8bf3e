"""What the simulator's encoder writes into registers, the driver's decoder reads: two codecs that share no code."""

import math
import random
import struct
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hardware_sim.profile as sim
from drivers.modbus.decode import Decoder, Field
from drivers.profile import Signal
from hardware_sim.encoding import bounds, encode, number, raw_of
from twin_wire.readings import Quality

ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
INTEGERS = ("i16", "u16", "i32", "u32", "i64", "u64")
DIGITS = ("bcd16", "bcd32", "bcd48", "bcd64")
WIDTHS = {"16": 16, "32": 32, "48": 48, "64": 64}


def pair(kind: str, **more: Any) -> tuple[Signal, sim.Signal]:
    """Return one signal as the driver and as the simulator know it."""
    ours = Signal(id="s", quantity="count", unit="1", function=3, type=kind, **more)  # type: ignore[arg-type]
    field = {"bits": ours.field} if ours.field else {}
    theirs = sim.Signal(
        "s", "count", "1", 3, 0, kind, ours.order, ours.decimals, ours.divisor, ours.sentinels, None, None
    )
    same = ("weights", "offset", "multiplier", "exponent", "factors")
    return ours, theirs._replace(**field, **{name: getattr(ours, name) for name in same})


def read(signals: list[Signal], registers: list[tuple[int, ...]], raw: bool = False) -> list[tuple[float, Quality]]:
    """Decode signals that lie behind each other."""
    fields, data = [], b""
    for signal, words in zip(signals, registers, strict=True):
        fields.append(Field(signal, len(data), raw))
        data += b"".join(word.to_bytes(2) for word in words)
    value, quality = Decoder(fields).decode(np.frombuffer(data, np.uint8)[None, :])
    return [(float(v), Quality(int(q))) for v, q in zip(value[:, 0], quality[:, 0], strict=True)]


@st.composite
def whole(draw: st.DrawFn) -> tuple[Signal, sim.Signal, int]:
    """A whole number of any type, order and fixed scale, and what its registers hold."""
    kind = draw(st.sampled_from(INTEGERS + DIGITS))
    more: dict[str, Any] = {
        "order": draw(st.sampled_from(ORDERS)),
        "decimals": draw(st.integers(-3, 6)),
        "divisor": draw(st.sampled_from([1, 1, 2, 10, 1000])),
        "multiplier": draw(st.sampled_from([1, 1, -1, 2, 25])),
        "offset": draw(st.sampled_from([0, 0, -40, 1000])),
    }
    shape = draw(st.sampled_from(["plain", "bits", "weights"]))
    if shape == "bits" and kind in INTEGERS:
        low = draw(st.integers(0, int(kind[1:]) - 1))
        more["bits"] = (low, draw(st.integers(low, int(kind[1:]) - 1)))
    elif shape == "weights" and kind not in ("i64", "u64", "u32", "bcd64"):
        more["weights"] = tuple(draw(st.sampled_from([(1000, 1), (1, 0, 100), (10**6, 10**3, 1)])))
    ours, theirs = pair(kind, **more)
    if theirs.weights:  # every number below the next weight is what a device of thousands shows
        return ours, theirs, draw(st.integers(0, 999))
    return ours, theirs, draw(st.integers(*bounds(theirs)))


@given(whole())
def test_a_whole_number_becomes_the_double_nearest_to_what_is_meant(case: tuple[Signal, sim.Signal, int]) -> None:
    ours, theirs, raw = case
    meant = Fraction((raw + ours.offset) * ours.multiplier, ours.divisor) / Fraction(10) ** ours.decimals
    [(value, quality)] = read([ours], [encode(theirs, raw)])
    assert quality == Quality.GOOD
    assert value == float(meant)


@given(whole())
def test_a_physical_value_survives_the_registers_exactly(case: tuple[Signal, sim.Signal, int]) -> None:
    ours, theirs, raw = case
    meant = float(Fraction((raw + ours.offset) * ours.multiplier, ours.divisor) / Fraction(10) ** ours.decimals)
    if abs(raw) < 1 << 50:  # beyond, several register contents are the same double
        assert read([ours], [encode(theirs, raw_of(theirs, meant))])[0][0] == meant


@given(st.sampled_from(["f32", "f64"]), st.sampled_from(ORDERS), st.floats(width=32))
def test_a_float_comes_back_to_the_bit_where_its_point_is_raw(kind: str, order: str, number_: float) -> None:
    ours, _ = pair(kind, order=order)
    [(value, quality)] = read([ours], [number(kind, order, number_)], raw=True)
    if math.isfinite(number_):
        assert struct.pack(">d", value) == struct.pack(">d", number_), "negative zero too"
        assert quality == Quality.GOOD
    else:
        assert math.isnan(value)
        assert quality == Quality.SENTINEL


@given(st.sampled_from(DIGITS), st.sampled_from(ORDERS), st.integers(0, (1 << 64) - 1))
def test_digits_above_nine_are_bad_and_never_a_number(kind: str, order: str, pattern: int) -> None:
    size = WIDTHS[kind[3:]] // 8
    hexadecimal = f"{pattern & ((1 << 8 * size) - 1):0{2 * size}x}"
    ours, _ = pair(kind, order=order)
    carrier = "u" + kind[3:] if size != 6 else "bcd48"
    words = number(carrier, order, int(hexadecimal, 16)) if size != 6 else sixes(hexadecimal, order)
    [(value, quality)] = read([ours], [words])
    if hexadecimal.isdecimal():
        assert (value, quality) == (float(int(hexadecimal)), Quality.GOOD)
    else:
        assert math.isnan(value)
        assert quality == Quality.BAD


def sixes(hexadecimal: str, order: str) -> tuple[int, ...]:
    """Three registers in an order, by hand."""
    words = [hexadecimal[place : place + 4] for place in (0, 4, 8)]
    words = words[::-1] if order in ("CDAB", "DCBA") else words
    return tuple(int(w[2:] + w[:2] if order in ("BADC", "DCBA") else w, 16) for w in words)


def test_beyond_two_to_the_53_the_nearest_double_is_taken_once() -> None:
    rng = random.Random(53)
    for _ in range(300):
        raw, decimals = rng.randint(-(1 << 63), (1 << 64) - 1), rng.randint(0, 6)
        ours, theirs = pair("u64" if raw >= 1 << 63 else "i64", decimals=decimals)
        assert read([ours], [encode(theirs, raw)]) == [(float(Fraction(raw, 10**decimals)), Quality.GOOD)]


@given(st.sampled_from(["i16", "u16", "i32"]), st.sampled_from(["i16", "u16"]), st.floats(0, 1e6), st.integers(-4, 5))
def test_a_scale_in_another_register_gives_the_value_to_its_step(
    kind: str, held_in: str, value: float, exponent: int
) -> None:
    scale_ours, scale_theirs = pair(held_in, multiplier=-1 if held_in == "u16" else 1)
    if held_in == "u16":
        exponent = -abs(exponent)
    ours, theirs = pair(kind, exponent="scale", decimals=4)
    low, high = bounds(theirs)
    raw = raw_of(theirs, value, exponent)
    scale_ours = Signal(**{**{f: getattr(scale_ours, f) for f in scale_ours.__struct_fields__}, "id": "scale"})
    found = read([ours, scale_ours], [encode(theirs, raw), encode(scale_theirs, raw_of(scale_theirs, float(exponent)))])
    assert found[1] == (float(exponent), Quality.GOOD)
    assert found[0][1] == Quality.GOOD
    if low < raw < high:
        assert abs(found[0][0] - value) <= max(10.0**exponent, 1e-4) / 2 * (1 + 1e-9)
    assert found[0][0] == float(round(Fraction(int(raw)) * Fraction(10) ** exponent, 4)), "no binary dust"


@pytest.mark.parametrize(
    ("held", "quality"), [(-32768, Quality.SENTINEL), (19, Quality.BAD), (-19, Quality.BAD), (7, Quality.BAD)]
)
def test_without_a_good_scale_there_is_no_number(held: int, quality: Quality) -> None:
    scale = Signal(
        id="scale", quantity="count", unit="1", function=3, type="i16", sentinels=(-32768,), range=(-4.0, 4.0)
    )
    ours, theirs = pair("u16", exponent="scale", decimals=2)
    [(value, got), _] = read([ours, scale], [encode(theirs, 5), number("i16", "ABCD", held)])
    assert math.isnan(value)
    assert got == quality
    [(value, got)] = read([ours], [encode(theirs, 5)])
    assert (math.isnan(value), got) == (True, Quality.BAD), "a scale that is not there"


def test_a_factor_from_another_register_and_split_energy() -> None:
    ratio = Signal(id="ratio", quantity="count", unit="1", function=3, type="u16", decimals=1)
    ours, theirs = pair("i16", factor="ratio", decimals=1)
    found = read([ours, ratio], [encode(theirs, -123), (205,)])
    assert found[0] == (-2521.5, Quality.GOOD)
    second = Signal(id="second", quantity="count", unit="1", function=3)
    twice, _ = pair("i16", factor=("ratio", "second"), decimals=1)
    assert read([twice, ratio, second], [(123,), (205,), (3,)])[0] == (7564.5, Quality.GOOD)
    assert math.isnan(read([twice, ratio], [(123,), (205,)])[0][0]), "one factor is not enough"
    parts, energy = pair("i16", weights=(10**12, 10**9, 10**6, 10**3, 1), decimals=3, sentinels=(32767,))
    assert encode(energy, 12_345_678_901_234) == (12, 345, 678, 901, 234)
    assert read([parts], [(12, 345, 678, 901, 234)]) == [(12345678901.234, Quality.GOOD)]
    assert read([parts], [(12, 345, 32767, 901, 234)])[0][1] == Quality.SENTINEL
