"""Simulated instruments that print lines against the driver, on good lines and on bad ones."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drivers import DeviceOptions, PointOptions, Source, load_profile, open_link
from hardware_sim.ascii_line import WRITERS, Printer
from hardware_sim.faults import FaultPlan, Rule
from hardware_sim.pusher import Pusher
from tests.support.modbus_peer import SystemClock
from twin_wire.errors import LinkError
from twin_wire.readings import Block, Quality

SHOWN = {
    "gill-windsonic": {"wind_direction": 47.0, "wind_speed": 3.08},
    "vaisala-wxt520-ascii": {
        "wind_direction_max": 9.0, "wind_speed_max": 0.2, "temperature": -3.5, "humidity": 37.5, "pressure": 996.8,
    },
}  # fmt: skip
PERIOD_S = 0.02


@contextlib.asynccontextmanager
async def printing(tmp_path: Path, profile: str, *rules: Rule) -> AsyncIterator[tuple[Source, Printer, Pusher]]:
    printer, faults = Printer(profile), FaultPlan("1")
    for rule in rules:
        faults.add(rule)
    for signal, value in SHOWN[profile].items():
        printer.show(signal, value)
    pusher = Pusher("l", tmp_path / "port", 115_200, printer, faults, lambda _: None, PERIOD_S)
    running = asyncio.create_task(pusher.run())
    await asyncio.sleep(0)
    link = await open_link("ascii-line", {"port": str(tmp_path / "port"), "baud": 115_200}, SystemClock())
    points = [PointOptions(id=signal, device="d", signal=signal) for signal in SHOWN[profile]]
    try:
        yield link.sources([DeviceOptions(id="d", profile=load_profile(profile))], points)[0], printer, pusher
    finally:
        await link.close()
        running.cancel()
        await asyncio.wait([running])


async def rows(source: Source, count: int) -> list[dict[str, tuple[float, int]]]:
    """Read until so many rows have come."""
    got: list[dict[str, tuple[float, int]]] = []
    while len(got) < count:
        [block] = await source.read(SystemClock().monotonic_s() + 2.0)
        assert isinstance(block, Block)
        for t in range(len(block.time_us)):
            numbers = zip(block.points, block.value[:, t], block.quality[:, t], strict=True)
            got.append({point: (float(value), int(quality)) for point, value, quality in numbers})
    return got


def test_every_profile_that_prints_has_a_writer() -> None:
    assert SHOWN.keys() == WRITERS.keys()


@pytest.mark.parametrize("profile", SHOWN)
def test_what_is_shown_is_what_is_read(tmp_path: Path, profile: str) -> None:
    async def main() -> None:
        async with printing(tmp_path, profile) as (source, _, _):
            expected = {signal: (value, int(Quality.GOOD)) for signal, value in SHOWN[profile].items()}
            assert all(row == expected for row in await rows(source, 5))

    asyncio.run(main())


def test_missing_figures_are_no_numbers_and_a_status_that_is_not_well_spoils_the_line(tmp_path: Path) -> None:
    async def main() -> None:
        async with printing(tmp_path, "gill-windsonic") as (source, printer, _):
            await rows(source, 1)
            printer.show("wind_speed", 0.04)
            got = (await rows(source, 4))[-1]
            assert got["wind_speed"] == (0.04, Quality.GOOD)
            assert got["wind_direction"][1] == Quality.SENTINEL
            printer.show("wind_speed", math.nan)
            got = (await rows(source, 4))[-1]
            assert {quality for _, quality in got.values()} == {Quality.DEVICE_FAULT}

    asyncio.run(main())


def test_a_quantity_the_weather_station_cannot_measure_gives_no_line(tmp_path: Path) -> None:
    async def main() -> None:
        async with printing(tmp_path, "vaisala-wxt520-ascii") as (source, printer, _):
            await rows(source, 1)
            printer.show("humidity", math.nan)
            await asyncio.sleep(5 * PERIOD_S)
            with contextlib.suppress(LinkError):  # what was printed before
                await source.read(SystemClock().monotonic_s())
            with pytest.raises(LinkError, match="no line of the pattern"):
                await source.read(SystemClock().monotonic_s() + 5 * PERIOD_S)
            assert source.stats.rejected > 0

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["drop", "flip", "truncate", "noise"])
def test_a_bad_line_never_becomes_a_number_where_there_is_a_checksum(tmp_path: Path, kind: str) -> None:
    """Half of the lines are bent at random places."""

    async def main() -> None:
        rule = Rule(kind, probability=0.5)  # type: ignore[arg-type]
        async with printing(tmp_path, "gill-windsonic", rule) as (source, _, pusher):
            expected = {signal: (value, int(Quality.GOOD)) for signal, value in SHOWN["gill-windsonic"].items()}
            while sum(pusher.disturbed.values()) < 15:
                assert all(row == expected for row in await rows(source, 5))
            stats = source.stats
            assert stats.crc_errors + stats.noise_bytes > 0

    asyncio.run(main())
