"""The points of a bus that is only heard: rows, their times, what is missing and why."""

import asyncio
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any

import pytest

from drivers import DeviceOptions, PointOptions, Source, check_options, open_link
from drivers.line import NOTHING, Chunk
from drivers.link import poll_groups
from drivers.modbus.pdu import Function, Read, data_bytes, request_pdu
from drivers.modbus.rtu import seal
from drivers.modbus.tap_link import TapLink
from tests.support.heard_bus import CHAR_S, GAP_S
from tests.support.modbus_stand_ins import modbus_profile
from twin_wire.errors import ConfigError, DeviceError, LinkError
from twin_wire.readings import Block, Event, Quality

A, B = Read(1, Function.READ_HOLDING_REGISTERS, 100, 2), Read(1, Function.READ_HOLDING_REGISTERS, 200, 3)
PROFILE = modbus_profile([("a0", 100), ("a1", 101), ("b2", 202)])
START_US = 1_700_000_000_000_000


class Time:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 50.0

    def monotonic_s(self) -> float:
        return self.now_s

    def time_us(self) -> int:
        return START_US + round(self.now_s * 1e6)


class Ear:
    """What the bus will say and when; waiting moves the clock."""

    char_s, gap_s, connected, lost_bytes = CHAR_S, GAP_S, False, 0

    def __init__(self, time: Time) -> None:
        self.time, self.coming, self.at_s = time, [], 50.0

    async def open(self) -> None:
        self.connected = True

    def take(self) -> list[Chunk]:
        due = [chunk for chunk in self.coming if chunk.time_s <= self.time.now_s]
        del self.coming[: len(due)]
        return due

    async def receive(self, until_s: float) -> Chunk:
        if self.coming and self.coming[0].time_s <= until_s:
            self.time.now_s = max(self.time.now_s, self.coming[0].time_s)
            return self.coming.pop(0)
        self.time.now_s = max(self.time.now_s, until_s)
        return NOTHING

    def close(self) -> None:
        self.connected = False

    def say(self, at_s: float, *frames: bytes, turn_s: float = 0.005) -> None:
        """Have frames said one after the other from `at_s` on."""
        for frame in frames:
            at_s += len(frame) * CHAR_S
            self.coming.append(Chunk(frame, at_s))
            at_s += turn_s

    def rounds(self, begin_s: float, count: int, *frames: bytes, every_s: float = 1.0) -> None:
        """Have the same said again and again."""
        for number in range(count):
            self.say(begin_s + number * every_s, *frames)


def question(request: Read) -> bytes:
    return seal(bytes((request.unit,)) + request_pdu(request))


def answer(request: Read, first: int = 0) -> bytes:
    words = b"".join((first + n).to_bytes(2, "big") for n in range(request.length))
    return seal(bytes((request.unit, request.function, data_bytes(request))) + words)


ROUND = (question(A), answer(A, 10), question(B), answer(B, 20))


class Bench:
    def __init__(self, profile=PROFILE, period_s: float = 1.0, unit: int = 1) -> None:
        self.time = Time()
        self.ear = Ear(self.time)
        self.link = TapLink(self.ear, self.time)
        device = DeviceOptions(id="d", profile=profile, unit=unit, period_s=period_s)
        points = [PointOptions(id=s.id, device="d", signal=s.id) for s in profile.signals]
        [self.source] = self.link.sources([device], points)

    def read(self, at_s: float) -> list[Any]:
        self.time.now_s = at_s
        return run(self.source.read(at_s + 2.5))

    def rows(self, at_s: float) -> list[Block]:
        return [a for a in self.read(at_s) if isinstance(a, Block)]


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_a_row_holds_what_several_answers_said_and_its_time_is_when_they_began() -> None:
    bench = Bench()
    bench.ear.rounds(51.0, 4, *ROUND)
    *_, row = bench.rows(54.9)
    assert row.points == ("a0", "a1", "b2")
    assert row.value[:, 0].tolist() == [10.0, 11.0, 22.0]
    assert row.quality.max() == Quality.GOOD
    first_s = 54.0 + 8 * CHAR_S + 0.005 + CHAR_S
    second_s = first_s + (8 + 8 + 1) * CHAR_S + 2 * 0.005 + 0 * GAP_S
    half_us = bench.source.pace().half_width_us
    assert abs(int(row.time_us[0]) - START_US - (first_s + second_s) / 2 * 1e6) < 2000
    assert abs(half_us - (second_s - first_s) * 5e5) < 2000


def test_one_row_a_period_is_kept_of_a_master_that_asks_more_often() -> None:
    bench = Bench()
    bench.ear.rounds(51.0, 40, *ROUND, every_s=0.2)
    rows = bench.rows(59.0)
    times_s = [int(row.time_us[0]) / 1e6 for row in rows[1:]]  # the first one is a round whose beginning was in doubt
    assert 8 <= len(times_s) <= 10
    assert min(b - a for a, b in pairwise(times_s)) >= 0.75


def test_what_was_not_heard_in_time_is_no_answer_and_the_rest_is_given() -> None:
    bench = Bench()
    bench.ear.rounds(51.0, 4, *ROUND)
    bench.read(54.9)
    bench.ear.say(55.0, question(A), answer(A, 30), question(B))
    [row] = bench.rows(55.1)
    assert row.value[:2, 0].tolist() == [30.0, 31.0]
    assert row.quality[:, 0].tolist() == [Quality.GOOD, Quality.GOOD, Quality.NO_ANSWER]
    assert 56.4 < bench.time.now_s < 56.7, "it waited for the rest until the period was over"


def test_a_register_the_master_never_reads_is_named() -> None:
    bench = Bench()
    bench.ear.rounds(51.0, 15, question(A), answer(A, 10))
    assert bench.rows(53.0), "too early to say never"
    assert bench.source.fault is None
    row = bench.rows(64.9)[-1]
    assert row.quality[:, 0].tolist() == [Quality.GOOD, Quality.GOOD, Quality.NO_ANSWER]
    assert str(bench.source.fault) == "the bus's master never reads holding registers 202 of unit 1"


def test_a_unit_the_master_never_asks_is_named_with_those_it_asks() -> None:
    bench = Bench(unit=7)
    bench.ear.rounds(51.0, 15, *ROUND)
    with pytest.raises(LinkError, match="has not read these registers of unit 7 so far"):
        bench.read(53.0)
    with pytest.raises(LinkError, match="never asks unit 7; it asks 1"):
        bench.read(65.0)


def test_a_master_slower_than_the_period_is_told_with_the_period_that_fits() -> None:
    bench = Bench()
    bench.ear.rounds(51.0, 5, *ROUND, every_s=10.0)
    bench.read(91.9)
    with pytest.raises(LinkError, match="every 10 s, not every 1 s") as raised:
        bench.read(93.0)
    assert raised.value.hint == "period_s = 10 would fit"


def test_nothing_and_nonsense_on_the_bus_are_told_apart() -> None:
    bench = Bench()
    with pytest.raises(LinkError, match="nothing is heard"):
        bench.read(51.0)
    bench.ear.say(55.0, b"\x55\xaa" * 40)
    with pytest.raises(LinkError, match="80 bytes were heard and no whole question"):
        bench.read(58.0)


def test_a_refusal_heard_is_a_device_error_and_beside_values_a_fault_of_the_device() -> None:
    bench = Bench()
    refused = seal(b"\x01\x83\x02")
    bench.ear.rounds(51.0, 4, *ROUND)
    bench.read(54.9)
    bench.ear.say(55.0, question(A), answer(A, 30), question(B), refused)
    assert bench.rows(55.9)[0].quality[:, 0].tolist() == [Quality.GOOD, Quality.GOOD, Quality.DEVICE_FAULT]
    bench.ear.rounds(56.0, 2, question(A), refused, question(B), refused)
    with pytest.raises(DeviceError) as raised:
        bench.read(57.9)
    assert raised.value.code == 2


def test_bits_are_taken_from_their_place() -> None:
    bench = Bench(modbus_profile([("on", 18), ("off", 19)], function=2))
    bits = Read(1, Function.READ_DISCRETE_INPUTS, 16, 10)
    bench.ear.rounds(51.0, 3, question(bits), seal(b"\x01\x02\x02\x04\x00"))
    assert bench.rows(53.9)[-1].value[:, 0].tolist() == [1.0, 0.0]


def test_another_masters_write_is_an_event_once_a_minute_with_the_count_of_the_rest() -> None:
    bench = Bench()
    write = seal(b"\x01\x06\x00\x0a\x12\x34")
    bench.ear.rounds(51.0, 80, *ROUND, write, write)
    events = [a for a in bench.read(52.9) if isinstance(a, Event)]
    [event] = events
    assert (event.rule, event.severity, event.point) == ("bus_write", 0, "d")
    assert event.text == "another master wrote register 10 of unit 1 (function 6)"
    assert event.numbers["value"] == 0x1234
    assert not [a for a in bench.read(90.0) if isinstance(a, Event)]
    [event] = [a for a in bench.read(125.0) if isinstance(a, Event)]
    assert 70 <= event.numbers["writes"] <= 73
    assert event.begin_us < event.end_us


def test_a_hole_in_what_was_heard_makes_it_start_anew() -> None:
    bench = Bench()
    bench.ear.rounds(51.0, 4, *ROUND)
    bench.read(54.9)
    bench.ear.say(55.0, question(A))
    with pytest.raises(LinkError):
        bench.read(55.05)
    bench.ear.lost_bytes = 12
    bench.ear.say(58.0, answer(A, 77))
    with pytest.raises(LinkError):
        bench.read(58.1)


def test_a_tap_cannot_be_told_to_speak() -> None:
    with pytest.raises(ConfigError):
        check_options("modbus-tap", {"port": "/dev/ttyUSB0", "listen_only": False})
    assert check_options("modbus-tap", {"host": "10.0.0.7", "tcp_port": 4001, "baud": 19_200}) == "10.0.0.7:4001"
    link = run(open_link("modbus-tap", {"port": "/dev/ttyUSB0"}, Time()))
    assert link.listen_only
    for part in (link, link._ear, link.tap):
        assert not {"write", "send", "transmit"} & set(dir(part))


def test_the_sources_are_the_poll_groups() -> None:
    link = run(open_link("modbus-tap", {"port": "/dev/ttyUSB0"}, Time()))
    devices = [DeviceOptions(id="d", profile=PROFILE), DeviceOptions(id="e", profile=PROFILE, unit=300)]
    points = [PointOptions(id="x", device="d", signal="a0")]
    with pytest.raises(ConfigError, match="300 is not a unit"):
        link.sources(devices, points)
    made: list[Source] = link.sources(devices[:1], points)
    assert tuple(source.group for source in made) == poll_groups(devices[:1], points)
