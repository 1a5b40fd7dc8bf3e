"""Register bytes become the number the device means, exactly, and a sentinel never becomes one."""

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.decode import Decoder, Field
from drivers.profile import Signal
from twin_wire.readings import Quality

FORMATS = {"i16": ">h", "u16": ">H", "i32": ">i", "u32": ">I", "i64": ">q", "u64": ">Q", "f32": ">f", "f64": ">d"}
NUMBERS = [(kind, number) for kind in FORMATS for number in (0, 1, 2, 100, 0x7F)]
NUMBERS += [("i16", -2), ("i32", -70000), ("u32", 0xDEADBEEF), ("i64", -(1 << 40)), ("f32", -2.5), ("f64", 1e-3)]
CANONICAL_NAN = np.float64(np.nan).tobytes()


def signal(kind: str, **more: Any) -> Signal:
    return Signal(id="s", quantity="count", unit="1", function=3, type=kind, **more)  # type: ignore[arg-type]


def on_the_wire(kind: str, number: float, order: str) -> bytes:
    """Registers of a number in a byte order, the slow and obvious way."""
    data = struct.pack(FORMATS[kind], number)
    words = [data[place : place + 2] for place in range(0, len(data), 2)]
    if order in ("CDAB", "DCBA"):
        words = words[::-1]
    if order in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    return b"".join(words)


def decode(fields: list[tuple[Signal, bytes]], raw: bool = False) -> tuple[list[float], list[int]]:
    placed, data = [], b""
    for each, wire in fields:
        placed.append(Field(each, len(data), raw))
        data += wire
    value, quality = Decoder(placed).decode(np.frombuffer(data, np.uint8)[None, :])
    assert value.shape == quality.shape == (len(fields), 1)
    assert all(number.tobytes() == CANONICAL_NAN for number in value[np.isnan(value)])
    return value[:, 0].tolist(), quality[:, 0].tolist()


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
@pytest.mark.parametrize(("kind", "number"), NUMBERS)
def test_every_type_in_every_byte_order(kind: str, number: float, order: str) -> None:
    values, qualities = decode([(signal(kind, order=order, decimals=0), on_the_wire(kind, number, order))], raw=True)
    assert values == [number]
    assert qualities == [Quality.GOOD]


@given(st.integers(0, 65535), st.integers(0, 4))
def test_an_integer_becomes_the_double_nearest_to_its_decimal_number(raw: int, decimals: int) -> None:
    values, _ = decode([(signal("u16", decimals=decimals), raw.to_bytes(2, "big"))])
    assert values[0] == float(f"{raw}e-{decimals}")


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(0, 6))
def test_so_do_integers_that_no_double_holds(raw: int, decimals: int) -> None:
    values, _ = decode([(signal("i64", decimals=decimals), raw.to_bytes(8, "big", signed=True))])
    assert values[0] == float(f"{raw}e-{decimals}")


def test_a_divisor_is_one_division_and_stays_on_a_decimal_grid() -> None:
    assert decode([(signal("u16", decimals=1, divisor=1000), (12345).to_bytes(2, "big"))])[0] == [1.2345]
    odd = signal("u16", divisor=3600)
    assert odd.point_decimals == 4
    assert decode([(odd, (1000).to_bytes(2, "big"))])[0] == [0.2778]


@given(st.floats(-1e6, 1e6, width=32), st.integers(0, 4))
def test_a_float_is_rounded_to_its_declared_resolution(number: float, decimals: int) -> None:
    values, _ = decode([(signal("f32", decimals=decimals), struct.pack(">f", number))])
    assert values[0] == float(f"{values[0]:.{decimals}f}"), "on the grid"
    assert abs(values[0] - number) <= 0.5 * 10**-decimals + 1e-9
    assert math.copysign(1, values[0]) == 1 or values[0] != 0, "no negative zero"


def test_a_raw_float_is_kept_to_the_last_bit() -> None:
    number = struct.unpack(">f", struct.pack(">f", 20.9))[0]
    assert decode([(signal("f32", decimals=1), struct.pack(">f", 20.9))], raw=True)[0] == [number]
    assert decode([(signal("f32", decimals=1), struct.pack(">f", 20.9))])[0] == [20.9]
    assert math.copysign(1, decode([(signal("f32"), struct.pack(">f", -0.0))], raw=True)[0][0]) == -1


@pytest.mark.parametrize("bits", ["7fc00000", "ffc00001", "7fa00000", "7f800000", "ff800000"])
def test_a_float_that_is_no_number_is_a_sentinel(bits: str) -> None:
    values, qualities = decode([(signal("f32", decimals=2), bytes.fromhex(bits)), (signal("f32"), bytes(4))])
    assert math.isnan(values[0])
    assert qualities == [Quality.SENTINEL, Quality.GOOD]


def test_a_huge_float_is_kept_although_it_cannot_be_rounded() -> None:
    assert decode([(signal("f64", decimals=9), struct.pack(">d", 1e300))])[0] == [1e300]


@pytest.mark.parametrize(
    ("kind", "sentinels", "wire"),
    [
        ("i16", (32767,), "7fff"),
        ("i16", (-32768,), "8000"),
        ("i16", (0x8000,), "8000"),
        ("u16", (65535, 9999), "270f"),
        ("u32", (0xFFFFFFFF,), "ffffffff"),
        ("i32", (0x7FFFFFFF,), "7fffffff"),
        ("f32", (0x4479C000,), "4479c000"),
    ],
)
def test_a_sentinel_is_a_quality_and_never_a_number(kind: str, sentinels: tuple[int, ...], wire: str) -> None:
    plain = signal(kind)
    values, qualities = decode([(signal(kind, sentinels=sentinels), bytes.fromhex(wire)), (plain, bytes.fromhex(wire))])
    assert math.isnan(values[0])
    assert not math.isnan(values[1]), "another signal of the same type has no such sentinel"
    assert qualities == [Quality.SENTINEL, Quality.GOOD]


def test_out_of_range_is_flagged_and_the_number_kept() -> None:
    ranged = signal("i16", decimals=1, range=(0.0, 100.0))
    wires = [(-1).to_bytes(2, "big", signed=True), b"\0\0", (1000).to_bytes(2, "big"), (1001).to_bytes(2, "big")]
    values, qualities = decode([(ranged, wire) for wire in wires])
    assert values == [-0.1, 0.0, 100.0, 100.1]
    assert qualities == [Quality.UNDER_RANGE, Quality.GOOD, Quality.GOOD, Quality.OVER_RANGE]


def test_many_scans_at_once_equal_one_at_a_time() -> None:
    rng = np.random.default_rng(7)
    kinds = [("f32", "CDAB", 2), ("i16", "ABCD", 1), ("u32", "BADC", 0), ("i64", "DCBA", 3), ("f64", "ABCD", 4)] * 3
    fields, place = [], 0
    for kind, order, decimals in kinds:
        fields.append(Field(signal(kind, order=order, decimals=decimals, range=(-1e4, 1e4)), place, False))
        place += struct.calcsize(FORMATS[kind])
    scans = rng.integers(0, 256, (40, place), dtype=np.uint8)
    decoder = Decoder(fields)
    value, quality = decoder.decode(scans)
    for row in range(40):
        one, one_quality = decoder.decode(scans[row : row + 1])
        np.testing.assert_array_equal(value[:, row], one[:, 0])
        np.testing.assert_array_equal(quality[:, row], one_quality[:, 0])


def test_a_bit_may_be_turned_round() -> None:
    closed = Signal(id="b", quantity="door", unit="1", function=2, type="bool", offset=-1, multiplier=-1)
    assert decode([(closed, b"\1"), (closed, b"\0")])[0] == [0.0, 1.0]
    assert math.copysign(1, decode([(closed, b"\1")])[0][0]) == 1


def test_bits_are_one_byte_each() -> None:
    bit = Signal(id="b", quantity="state", unit="1", function=2, type="bool")
    assert decode([(bit, b"\1"), (bit, b"\0"), (signal("u16"), b"\1\0")])[0] == [1.0, 0.0, 256.0]
