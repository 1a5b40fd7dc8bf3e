"""A simulated device's registers, counted by hand: scales, status words, fitted sensors, texts, heartbeats, holes."""

import math
from pathlib import Path

import pytest

from hardware_sim.modbus import Read
from hardware_sim.profile import read_profile
from hardware_sim.registers import Registers

TEXT = """
[profile]
id = "x"
vendor = "v"
model = "Model 7"
protocol = "modbus"
[modbus]
address_base = "4xxxx"
atomic = [[20, 23]]
[[signal]]
id = "power"
function = 3
address = 40001
type = "i16"
decimals = 2
exponent = "scale"
[[signal]]
id = "scale"
function = 3
address = 40002
type = "i16"
range = [-4.0, 3.0]
[[signal]]
id = "co"
function = 4
address = 30001
[[signal]]
id = "h2s"
function = 4
address = 30001
decimals = 1
[[signal]]
id = "sensor"
function = 4
address = 30002
bits = [8, 15]
[[signal]]
id = "beat"
function = 4
address = 30003
bit = 5
[[signal]]
id = "age"
unit = "min"
function = 4
address = 30004
[[signal]]
id = "inside"
function = 3
address = 40022
type = "bcd16"
[[companion]]
signal = "sensor"
of = ["co"]
values = { 4 = "GOOD" }
other = "BAD"
[[companion]]
signal = "sensor"
of = ["h2s"]
values = { 1 = "GOOD", 9 = "DEVICE_FAULT" }
other = "BAD"
[[companion]]
signal = "beat"
of = ["co", "h2s"]
alive_s = 4
[[companion]]
signal = "age"
of = ["co"]
age = true
[[text]]
id = "model"
address = 40101
registers = 4
order = "BADC"
[[verify]]
address = 40110
type = "f32"
expect = 123456.125
"""


class Clock:
    """A clock that a test turns by hand."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def device(tmp_path: Path, clock: Clock) -> Registers:
    path = tmp_path / "x.toml"
    path.write_text(TEXT)
    return Registers(read_profile(path), clock)


def words(device: Registers, function: int, address: int, count: int) -> str:
    found = device.image.read(Read(function, address, count))
    assert isinstance(found, list)
    return " ".join(f"{word:04x}" for word in found)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.23, "007b fffe"),
        (-327.67, "8001 fffe"),
        (327.68, "0ccd ffff"),
        (1e6, "2710 0002"),
        (9.9e7, "7fff 0003"),
        (math.nan, "7fff fffe"),
    ],
)
def test_a_scale_is_the_finest_with_which_the_value_fits(device: Registers, value: float, shown: str) -> None:
    device.show("power", value)
    assert words(device, 3, 0, 2) == shown


def test_the_sensor_shown_last_is_the_one_that_is_fitted(device: Registers) -> None:
    device.show("co", 12.0)
    assert words(device, 4, 0, 2) == "000c 0400"
    device.show("h2s", 1.2)
    assert words(device, 4, 0, 2) == "000c 0100"
    device.show("h2s", math.nan)  # a u16 without a sentinel has no other way to say so than a number that is bad
    assert words(device, 4, 1, 1) in ("0000", "0900")


def test_heartbeats_and_ages_move_with_the_clock_until_the_program_stops(device: Registers, clock: Clock) -> None:
    device.show("co", 1.0)
    beats = []
    for clock.now_s in (0.0, 1.0, 2.0, 61.0):
        beats.append(words(device, 4, 2, 2))
    assert beats == ["0000 0000", "0020 0000", "0000 0000", "0020 0001"]
    device.frozen = True
    clock.now_s = 62.0
    assert words(device, 4, 2, 1) == "0020"


def test_texts_and_known_contents_stand_in_their_registers(device: Registers) -> None:
    assert words(device, 3, 100, 4) == "6f4d 6564 206c 2037"
    assert words(device, 3, 109, 2) == "47f1 2010"


def test_an_atomic_block_is_there_whole_and_digits_are_digits(device: Registers) -> None:
    device.show("inside", 1234.0)
    assert words(device, 3, 20, 4) == "0000 1234 0000 0000"
    assert device.image.read(Read(3, 21, 1)) == 2
    device.show("inside", 123456.0)
    assert words(device, 3, 20, 4) == "0000 9999 0000 0000"


@pytest.mark.parametrize(
    ("unmapped", "hole", "beyond"),
    [("zero", [1, 0, 0], 2), ("ones", [1, 65535, 0], 2), ("exception", 2, 2), ("silence", None, None)],
)
def test_what_a_hole_answers(device: Registers, unmapped: str, hole: object, beyond: object) -> None:
    image = device.image
    image.unmapped = unmapped
    image.write(4, 50, [1])
    image.write(4, 52, [0])
    assert image.read(Read(4, 50, 3)) == hole
    assert image.read(Read(4, 60, 1)) == beyond
