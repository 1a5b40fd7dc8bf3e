"""One answer told by a profile: values with their scales, texts, known contents, examples that do not hold."""

import math
import struct

import pytest

from drivers.modbus.reference import agrees, golden_faults, text_of, values_of
from drivers.profile import Companion, Golden, Modbus, Profile, Signal, Text, Verify
from twin_wire.readings import Quality

GAS = Signal(id="gas", quantity="CO", unit="ppm", function=3, address=10, exponent="scale", decimals=2)
SCALE = Signal(id="scale", quantity="count", unit="1", function=3, address=11, type="i16")
STATUS = Signal(id="status", quantity="status_word", unit="1", function=3, address=12)
DOOR = Signal(id="door", quantity="door", unit="1", function=2, address=9, type="bool")
PROFILE = Profile(
    id="p",
    vendor="",
    model="",
    protocol="modbus",
    rung="simulated",
    provenance=(),
    modbus=Modbus(),
    signals=(GAS, SCALE, STATUS, DOOR),
    companions=(Companion(signal="status", of=("gas",), bits={"0": "CALIBRATING"}),),
)


def test_an_answer_is_told_with_the_scale_and_status_that_lie_in_it() -> None:
    whole = values_of(PROFILE, 3, 10, bytes.fromhex("0915 fffe 0001"))
    assert whole == {
        "gas": (23.25, Quality.CALIBRATING),
        "scale": (-2.0, Quality.GOOD),
        "status": (1.0, Quality.GOOD),
    }
    assert values_of(PROFILE, 3, 10, bytes.fromhex("0915 fffe"))["gas"] == (23.25, Quality.GOOD)
    value, quality = values_of(PROFILE, 3, 10, bytes.fromhex("0915"))["gas"]
    assert math.isnan(value)
    assert quality == Quality.BAD, "without its scale it is no number"
    assert values_of(PROFILE, 2, 0, bytes((0, 2))) == {"door": (1.0, Quality.GOOD)}
    assert values_of(PROFILE, 4, 10, bytes(6)) == {}


@pytest.mark.parametrize(
    ("order", "data", "text"),
    [
        ("ABCD", b"AB12\0\0zz", "AB12"),
        ("BADC", b"BA21  \0\0", "AB12"),
        ("ABCD", b"A\x07\xe9B    ", "A??B"),
        ("ABCD", b"AB12CD34rest", "AB12CD34"),
    ],
)
def test_a_text_is_printable_and_without_padding(order: str, data: bytes, text: str) -> None:
    assert text_of(Text(id="sn", address=0, registers=4, order=order), data) == text  # type: ignore[arg-type]


NOVUS = struct.pack(">f", 123456.125)


@pytest.mark.parametrize(
    ("verify", "data", "agreed"),
    [
        (Verify(address=774, type="f32", expect=123456.125), NOVUS, True),
        (Verify(address=774, type="f32", order="CDAB", expect=123456.125), NOVUS, False),
        (Verify(address=774, type="f32", order="CDAB", expect=123456.125), NOVUS[2:] + NOVUS[:2], True),
        (Verify(address=774, type="f32", expect=123456.125), NOVUS[:2], False),
        (Verify(address=774, type="f32", expect=1.0), bytes.fromhex("7fc00000"), False),
        (Verify(address=0, expect=(20.0, 30.0), decimals=1), (250).to_bytes(2, "big"), True),
        (Verify(address=0, expect=(20.0, 30.0), decimals=1), (301).to_bytes(2, "big"), False),
        (Verify(address=0, type="bcd16", expect=19), b"\x00\x19", True),
        (Verify(address=0, type="text", registers=4, expect="VEGA"), b"VEGAPULS", True),
        (Verify(address=0, type="text", registers=4, expect="VEGA"), b"EVAGUPSL", False),
        (Verify(address=0, type="text", registers=4, order="BADC", expect="VEGA"), b"EVAGUPSL", True),
    ],
)
def test_known_contents_are_compared(verify: Verify, data: bytes, agreed: bool) -> None:
    assert agrees(verify, data) is agreed


def test_an_example_that_does_not_hold_says_why() -> None:
    request, answer = "01 03 00 08 00 02 45 C9", "01 03 04 00 00 00 D1 3A 6F"
    known = Profile(**{f: getattr(PROFILE, f) for f in PROFILE.__struct_fields__} | {"signals": (wide(),)})
    assert golden_faults(known, Golden(request, answer, {"wide": 209.0})) == []
    assert golden_faults(known, Golden(request, answer, {"wide": 208.0})) == ["wide is 209.0 (GOOD), not 208.0"]
    assert golden_faults(known, Golden(request, answer, {"other": 1.0})) == ["other does not lie in the answer"]
    assert golden_faults(known, Golden(request, answer[:-2] + "6E", {})) == ["answer is no whole frame"]
    assert golden_faults(known, Golden(answer, answer, {})) == ["the request is no read"]


def wide() -> Signal:
    return Signal(id="wide", quantity="count", unit="1", function=3, address=8, type="u32")
