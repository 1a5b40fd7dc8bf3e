"""Every driver against its stand-in, on a good line and on bad ones: a value is right, or there is none."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from drivers import DRIVERS, Source
from drivers.kj_source import KjSource
from tests.support.driver_stand_ins import STAND_INS, TIMEOUT_S, Bench, Case
from tests.support.modbus_peer import SystemClock
from tests.support.modbus_stand_ins import MODBUS
from tests.support.pushed_stand_ins import POSITIONING, check_rows
from tests.support.text_stand_ins import TEXT
from twin_wire.errors import LinkError
from twin_wire.readings import Block, Quality

PUSHED = ("modbus-tap", *POSITIONING, *TEXT)  # nothing is asked of them
CASES = [(kind, name) for kind, (_, cases) in STAND_INS.items() for name in cases]


def with_bench(kind: str, name: str, check: Callable[[Bench, Case], Any]) -> None:
    opened, cases = STAND_INS[kind]

    async def main() -> None:
        async with opened(cases[name]) as bench:
            await check(bench, cases[name])

    asyncio.run(main())


async def read(source: Source, seconds: float | None = None) -> list[Any]:
    """Read as the poll loop does: not before the fence, with the budget the source asks for."""
    clock = SystemClock()
    pace = source.pace()
    await asyncio.sleep(max(0.0, pace.quiet_until_s - clock.monotonic_s()))
    end_s = clock.monotonic_s() + (pace.budget_s if seconds is None else seconds)
    while True:
        try:
            arrivals = await source.read(end_s)
        except LinkError as error:
            overdue = isinstance(source, KjSource) and "closed" not in str(error)
            if not overdue or clock.monotonic_s() >= end_s:
                raise
            await asyncio.sleep(0.01)  # it complains at once, and at every read, while a file is overdue
        else:
            if arrivals:  # before that it has nothing to say, and nothing is wrong
                return arrivals


def check_right(source: Source, arrivals: list[Any], expected: dict[str, float]) -> None:
    for arrival in arrivals:
        if not isinstance(arrival, Block):
            check_rows(arrival, source.group.device)
            continue
        assert arrival.points == source.group.points
        assert arrival.value.shape == arrival.quality.shape == (len(arrival.points), len(arrival.time_us))
        assert np.all(np.diff(arrival.time_us) >= 0)
        for point, value, quality in zip(arrival.points, arrival.value[:, 0], arrival.quality[:, 0], strict=True):
            assert quality == Quality.GOOD
            assert value == expected[point]


def test_every_kind_of_link_has_a_stand_in() -> None:
    assert STAND_INS.keys() == DRIVERS.keys()


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_the_first_answer_is_taken_or_lost_and_then_every_source_gives_its_own_values(kind: str, name: str) -> None:
    async def check(bench: Bench, case: Case) -> None:
        first = bench.sources[0]
        if case.outcome == "lost":
            with pytest.raises(LinkError):
                await read(first, TIMEOUT_S if kind in PUSHED else None)
            assert first.stats.samples == 0
        else:
            check_right(first, await read(first, TIMEOUT_S if kind in PUSHED else None), bench.expected[0])
            assert first.stats.samples > 0
            assert first.fault is None
        for _ in range(2):
            for source, expected in zip(bench.sources, bench.expected, strict=True):
                check_right(source, await read(source, 4 * TIMEOUT_S if kind in PUSHED else None), expected)
        failures = sum(
            s.stats.timeouts + s.stats.crc_errors + s.stats.rejected + s.stats.exceptions for s in bench.sources
        )
        assert failures >= (case.outcome == "lost")

    with_bench(kind, name, check)


@pytest.mark.parametrize("kind", [*MODBUS, *POSITIONING])
def test_an_unplugged_line_gives_link_errors_and_no_value(kind: str) -> None:
    async def check(bench: Bench, _case: Case) -> None:
        await read(bench.sources[0])
        bench.unplug()
        for _ in range(4):
            with pytest.raises(LinkError):
                await read(bench.sources[0])

    with_bench(kind, "good line", check)


HALF_TICK_US = 500  # a sample's time is in whole milliseconds


@pytest.mark.parametrize("kind", DRIVERS)
def test_the_time_of_a_sample_lies_between_asking_and_hearing(kind: str) -> None:
    async def check(bench: Bench, _case: Case) -> None:
        clock = SystemClock()
        before_us = clock.time_us()
        arrivals = await read(bench.sources[0], 1.0)
        after_us = clock.time_us()
        half_us = bench.sources[0].pace().half_width_us
        for arrival in arrivals if kind != "kj-file" else ():  # a host has a clock of its own
            assert before_us - 3000 <= arrival.time_us[0] <= after_us + HALF_TICK_US
        assert 0 <= half_us <= after_us - before_us + HALF_TICK_US or kind == "kj-file"

    with_bench(kind, "good line", check)


@pytest.mark.parametrize("kind", DRIVERS)
def test_the_raw_bytes_of_the_newest_exchange_can_be_seen(kind: str) -> None:
    async def check(bench: Bench, _case: Case) -> None:
        await read(bench.sources[0], 1.0)
        [exchange] = bench.sources[0].exchanges()
        assert exchange.answer
        assert (exchange.request == b"") == (kind in PUSHED and kind != "modbus-tap")

    with_bench(kind, "good line", check)


@pytest.mark.parametrize("kind", DRIVERS)
def test_closing_ends_a_read_with_a_link_error_and_the_link_can_be_used_again(kind: str) -> None:
    async def check(bench: Bench, _case: Case) -> None:
        source = bench.sources[0]
        reading = asyncio.create_task(read(source, 1.0))
        await asyncio.sleep(0.05)
        await bench.link.close()
        with pytest.raises(LinkError):
            await reading
        assert not bench.link.connected
        await asyncio.sleep(2 * TIMEOUT_S)
        await read(source, 2.0)
        assert bench.link.connected

    with_bench(kind, "silence", check)


@pytest.mark.parametrize("kind", DRIVERS)
def test_a_read_keeps_its_deadline_whatever_the_line_does(kind: str) -> None:
    async def check(bench: Bench, _case: Case) -> None:
        clock = SystemClock()
        for seconds in (0.0, 0.05, 0.5):
            begin_s = clock.monotonic_s()
            with contextlib.suppress(LinkError) if kind == "kj-file" else pytest.raises(LinkError):
                await bench.sources[0].read(begin_s + seconds)
            assert clock.monotonic_s() - begin_s < seconds + 0.15
            if kind in PUSHED:
                return

    with_bench(kind, "silence", check)
