"""The suite that outside drivers have to pass, passed by drivers of ours that ask; and it fails a driver that lies."""

import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hardware_sim.contract import Bench, Damage, DriverContract, Watched
from tests.support.modbus_stand_ins import MODBUS, Case
from twin_wire.errors import LinkError


class Asking(DriverContract):
    """A Modbus link with two sources: a late answer to one must not become the other's value."""

    kind = ""
    reads = 3
    recovery_s = 15.0  # the fence after a late answer is part of the promise

    @contextlib.asynccontextmanager
    async def bench(self, damage: Damage) -> AsyncIterator[Bench]:
        opened, _ = MODBUS[self.kind]
        async with opened(Case(lambda _number, _request, answer: damage(answer), "value")) as found:
            watched = [Watched(s, e) for s, e in zip(found.sources, found.expected, strict=True)]
            yield Bench(watched, found.unplug)


class TestModbusRtu(Asking):
    kind = "modbus-rtu"


class TestModbusTcp(Asking):
    kind = "modbus-tcp"
    checksum = False  # TCP has one


class Liar:
    """A driver that says what it is told to, good or bad."""

    def __init__(self, read: Callable[[float], list[Any]]) -> None:
        self._read = read

    async def read(self, deadline_s: float) -> list[Any]:
        return self._read(deadline_s)


def block(value: float, quality: int, point: str = "p") -> SimpleNamespace:
    times = np.array([0])
    return SimpleNamespace(points=(point,), time_us=times, value=np.array([[value]]), quality=np.array([[quality]]))


def sleepy(_deadline_s: float) -> list[Any]:
    time.sleep(0.7)
    raise LinkError("nothing")


@pytest.mark.parametrize(
    ("read", "says"),
    [
        (lambda _: [block(2.0, 0)], "2.0 and good, but was 1.0"),
        (lambda _: [block(1.0, 33)], "is bad and yet 1.0"),
        (lambda _: [block(1.0, 0, "q")], "nobody asked for"),
        (lambda _: [], "gave nothing"),
        (lambda _: [block(math.nan, 33)], "gave nothing"),
    ],
)
def test_a_driver_that_lies_fails_on_a_good_line(read: Callable[[float], list[Any]], says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        suite(read).test_on_a_good_line_every_source_gives_its_own_values()


def test_a_value_out_of_silence_or_of_an_unplugged_line_and_a_missed_deadline_fail() -> None:
    steady = suite(lambda _: [block(1.0, 0)])
    with pytest.raises(AssertionError, match="although nothing was said"):
        steady.test_on_a_silent_line_there_is_a_link_error_and_no_value()
    with pytest.raises(AssertionError, match="unplugged"):
        steady.test_an_unplugged_line_gives_link_errors_and_no_value()
    with pytest.raises(AssertionError, match=r"a read of 0.3 s took"):
        suite(sleepy).test_of_cut_frames_nothing_wrong_becomes_good()


def test_a_stand_in_that_ignores_the_damage_is_found() -> None:
    with pytest.raises(AssertionError, match="through `damage`"):
        suite(lambda _: [block(1.0, 0)]).test_of_cut_frames_nothing_wrong_becomes_good()


def suite(read: Callable[[float], list[Any]]) -> DriverContract:
    class Made(DriverContract):
        @contextlib.asynccontextmanager
        async def bench(self, damage: Damage) -> AsyncIterator[Bench]:
            yield Bench([Watched(Liar(read), {"p": 1.0})], lambda: None)

    return Made()
