"""CBOR has one form per item, and zlib streams have a limit."""

import zlib
from enum import IntEnum

import pytest

from twin_wire.cbor import Tag, decode, decode_sequence, deflate, encode, inflate
from twin_wire.errors import FormatError

# RFC 8949 appendix A, the examples that are in deterministic form and of our kinds.
EXAMPLES = [
    (0, "00"),
    (23, "17"),
    (24, "1818"),
    (100, "1864"),
    (1000, "1903e8"),
    (1000000, "1a000f4240"),
    (1000000000000, "1b000000e8d4a51000"),
    (18446744073709551615, "1bffffffffffffffff"),
    (-18446744073709551616, "3bffffffffffffffff"),
    (-1, "20"),
    (-100, "3863"),
    (-1000, "3903e7"),
    (0.0, "f90000"),
    (-0.0, "f98000"),
    (1.0, "f93c00"),
    (1.1, "fb3ff199999999999a"),
    (1.5, "f93e00"),
    (65504.0, "f97bff"),
    (100000.0, "fa47c35000"),
    (3.4028234663852886e38, "fa7f7fffff"),
    (1.0e300, "fb7e37e43c8800759c"),
    (5.960464477539063e-8, "f90001"),
    (-4.1, "fbc010666666666666"),
    (float("inf"), "f97c00"),
    (float("-inf"), "f9fc00"),
    (False, "f4"),
    (True, "f5"),
    (None, "f6"),
    (Tag(23, b"\x01\x02\x03\x04"), "d74401020304"),
    (b"", "40"),
    (b"\x01\x02\x03\x04", "4401020304"),
    ("", "60"),
    ("IETF", "6449455446"),
    ("水", "63e6b0b4"),
    ("\U00010151", "64f0908591"),
    ([], "80"),
    ([1, [2, 3], [4, 5]], "8301820203820405"),
    ({}, "a0"),
    ({1: 2, 3: 4}, "a201020304"),
    ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
    ({10: 1, 100: 2, -1: 3, "z": 4, "aa": 5}, "a50a011864022003617a0462616105"),
]


@pytest.mark.parametrize(("item", "text"), EXAMPLES)
def test_examples_of_the_standard_go_both_ways(item: object, text: str) -> None:
    assert encode(item).hex() == text
    back = decode(bytes.fromhex(text))
    assert back == item
    assert repr(back) == repr(item)  # tells -0.0 from 0.0 and True from 1


def test_not_a_number_has_one_form() -> None:
    assert encode(float("nan")).hex() == "f97e00"
    back = decode(bytes.fromhex("f97e00"))
    assert isinstance(back, float)
    assert back != back


REFUSED = {
    "nothing": "",
    "trailing bytes": "0000",
    "number in a longer form": "1817",
    "16-bit number in a longer form": "190017",
    "32-bit number in a longer form": "1a0000ffff",
    "64-bit number in a longer form": "1b00000000ffffffff",
    "negative in a longer form": "3800",
    "length in a longer form": "580100",
    "count in a longer form": "980100",
    "tag in a longer form": "d80100",
    "indefinite bytes": "5f4100ff",
    "indefinite text": "7f6161ff",
    "indefinite array": "9f00ff",
    "indefinite map": "bf0000ff",
    "break alone": "ff",
    "reserved head 28": "1c",
    "reserved head 30": "9e",
    "undefined": "f7",
    "simple value 0": "e0",
    "simple value 255": "f8ff",
    "float in a longer form": "fa3f800000",
    "double in a longer form": "fb3ff0000000000000",
    "zero in a longer form": "fa00000000",
    "NaN with a payload": "f97e01",
    "NaN in a longer form": "fa7fc00000",
    "repeated key": "a201000100",
    "keys in falling order": "a203040102",
    "keys length-first": "a220001818 00".replace(" ", ""),
    "float as key": "a1f93c0000",
    "array as key": "a18000",
    "bool as key": "a1f500",
    "text not UTF-8": "61ff",
    "text with a surrogate": "63eda080",
    "text cut": "6261",
    "bytes cut": "4200",
    "number cut": "1900",
    "array cut": "8200",
    "map without a value": "a100",
    "float cut": "f93c",
    "array of 2**64 - 1": "9bffffffffffffffff",
    "map of 2**63": "bb8000000000000000",
    "bytes of 2**63": "5b8000000000000000",
    "too deep": "81" * 17 + "00",
    "tags too deep": "c1" * 17 + "00",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_every_other_form_is_a_format_error(text: str) -> None:
    with pytest.raises(FormatError):
        decode(bytes.fromhex(text))


def test_limits_on_size_depth_and_items_hold() -> None:
    assert decode(b"\x81" * 16 + b"\x00") is not None
    with pytest.raises(FormatError, match="limit 3"):
        decode(b"\x43abc", size_max=3)
    with pytest.raises(FormatError, match="deep"):
        decode(b"\x81\x81\x00", depth_max=1)
    for data in (b"\x98\x64\x00", b"\xb8\x64\x00\x00"):
        with pytest.raises(FormatError, match="announces 100"):
            decode(data)
    assert decode(encode([0] * 10), items_max=10) == [0] * 10
    with pytest.raises(FormatError, match="announces"):
        decode(encode([[0] * 5, [0] * 4]), items_max=10)


def test_maps_are_ordered_by_their_encoded_keys() -> None:
    assert encode({-1: 0, 24: 0, 0: 0}).hex() == "a30000181800" + "2000"
    assert decode(encode({"b": 1, "a": 2, "aa": 0})) == {"a": 2, "b": 1, "aa": 0}


def test_what_has_no_form_is_not_written() -> None:
    for item in (1 << 64, -(1 << 64) - 1, {1}, {True: 0}, {1.5: 0}, "\ud800", object(), Tag(-1, 0), [1j]):
        with pytest.raises(FormatError):
            encode(item)


def test_kindred_python_types_are_written_as_their_base() -> None:
    class Colour(IntEnum):
        RED = 1

    assert encode((Colour.RED, bytearray(b"x"), memoryview(b"y"))) == encode([1, b"x", b"y"])


def test_a_sequence_holds_whole_items_up_to_its_limits() -> None:
    assert decode_sequence(b"", 2, 9) == []
    assert decode_sequence(b"\x01\x61a", 2, 9) == [1, "a"]
    for data, items_max, size_max in ((b"\x01\x02\x03", 2, 9), (b"\x01\x02", 2, 1), (b"\x01\x41", 2, 9)):
        with pytest.raises(FormatError):
            decode_sequence(data, items_max, size_max)


def test_compressed_bytes_open_within_the_limit_only() -> None:
    data = bytes(1000)
    packed = deflate(data)
    assert inflate(packed, 1000) == data
    assert inflate(deflate(b""), 0) == b""
    bomb = deflate(bytes(10_000_000))
    for broken in (packed + b"x", packed[:-1], b"", b"junk", packed[:-1] + b"\xff", zlib.compress(data)[2:]):
        with pytest.raises(FormatError):
            inflate(broken, 1000)
    with pytest.raises(FormatError, match="more than 999"):
        inflate(packed, 999)
    with pytest.raises(FormatError, match="more than 1000"):
        inflate(bomb, 1000)
