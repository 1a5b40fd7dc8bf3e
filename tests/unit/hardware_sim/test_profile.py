"""Physical values become the registers the vendors' documents print; bytes by hand, no codec of ours."""

import math
from pathlib import Path

import pytest

from hardware_sim.encoding import encode, raw_of
from hardware_sim.profile import Signal, read_profile
from twin_wire.errors import ConfigError

PLAIN = Signal("s", "CH4", "%", 3, 0, "u16", "ABCD", 0, 1, (), None, None)


def words(hexadecimal: str) -> tuple[int, ...]:
    data = bytes.fromhex(hexadecimal)
    return tuple(int.from_bytes(data[i : i + 2]) for i in range(0, len(data), 2))


def shown(value: float, **changes: object) -> tuple[int, ...]:
    signal = PLAIN._replace(**changes)  # type: ignore[arg-type]
    return encode(signal, raw_of(signal, value))


def test_raeguard_shows_209_as_its_manual_does() -> None:
    assert shown(209.0, type="u32") == words("00 00 00 D1")


def test_polytron_shows_forty_as_its_manual_does() -> None:
    assert shown(40.0, type="f32") == words("42 20 00 00")


def test_a_wire_logger_shows_1256_9_hertz_as_its_manual_does() -> None:
    assert shown(1256.9, decimals=1) == words("31 19")


@pytest.mark.parametrize(
    ("order", "expected"),
    [("ABCD", "42 F6 E9 79"), ("CDAB", "E9 79 42 F6"), ("BADC", "F6 42 79 E9"), ("DCBA", "79 E9 F6 42")],
)
def test_every_byte_order_of_123_456(order: str, expected: str) -> None:
    assert shown(123.456, type="f32", order=order, decimals=3) == words(expected)


def test_decimals_and_divisor_are_exact_where_binary_fractions_are_not() -> None:
    assert shown(0.29, decimals=2) == (29,)
    assert shown(1.005, decimals=3) == (1005,)
    assert shown(1.0, divisor=200) == (200,)


def test_negative_values_are_two_s_complement() -> None:
    assert shown(-40.0, type="i16") == words("FF D8")
    assert shown(-1.5, type="i32", decimals=1, order="CDAB") == words("FF F1 FF FF")


def test_a_value_beyond_the_register_saturates_and_never_looks_like_the_error_code() -> None:
    assert shown(1e9) == (0xFFFF,)
    assert shown(-5.0) == (0,)
    assert shown(1e9, sentinels=(65535,)) == (0xFFFE,)
    assert shown(3276.7, type="i16", decimals=1, sentinels=(32767,)) == (32766,)


def test_no_number_becomes_the_sentinel_or_a_float_nan() -> None:
    assert shown(math.nan, type="i16", sentinels=(32767,)) == (0x7FFF,)
    assert shown(math.nan, type="i16", sentinels=(0x8000,)) == (0x8000,)
    assert shown(math.nan, type="f32") == words("7F C0 00 00")
    assert shown(math.nan) == (0xFFFF,)


def test_a_bit_is_a_bit() -> None:
    assert shown(1.0, type="bool", function=2) == (1,)
    assert shown(0.0, type="bool", function=2) == (0,)


def test_addresses_lose_their_base(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(
        '[profile]\nid="x"\nprotocol="modbus"\n[modbus]\naddress_base=40001\nturnaround_ms=7\nforbid=[[3,4]]\n'
        '[[signal]]\nid="gas"\nquantity="CH4"\nunit="%"\nfunction=3\naddress=40009\n'
    )
    profile = read_profile(path)
    assert profile.signals["gas"].address == 8
    assert profile.turnaround_s == 0.007
    assert profile.forbid == ((3, 4),)


@pytest.mark.parametrize(
    "text", ["", "[profile", '[profile]\nid="x"\nprotocol="modbus"\n[[signal]]\nid="a"\naddress=1\ntype="u17"\n']
)
def test_a_bad_profile_is_a_config_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        read_profile(path)
