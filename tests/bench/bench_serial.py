"""Reading serial lines: against pymodbus, minimalmodbus and libmodbus' client, and with one device of nine dead."""

import asyncio
import contextlib
import logging
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import minimalmodbus
import numpy as np
from pymodbus import ModbusException
from pymodbus.client import AsyncModbusSerialClient

from drivers import DeviceOptions, Link, PointOptions, Source, open_link
from edge_agent.poll import Poller, Sink
from tests.bench.__main__ import Row
from tests.support.debian import Missing
from tests.support.libmodbus_client import measure
from tests.support.modbus_peer import Device, RtuPeer, SystemClock
from tests.support.modbus_stand_ins import modbus_profile
from twin_wire.readings import Block, Quality

CLOCK = SystemClock()
READS, ROUNDS = 300, 3
DEAD_S = 60.0
UNITS, REGISTERS, BAUD = range(1, 10), 20, 9600
SERVER = """
import asyncio, sys
from tests.support.modbus_peer import Device, RtuPeer
async def main():
    peer = RtuPeer(Device())
    print(peer.path, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """One unit on a pseudo-terminal without pace, in a process of its own, the same for all."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVER, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.wait()


async def timed(once: Callable[[], Awaitable[Any]]) -> tuple[float, float]:
    """Return seconds and processor seconds per read: medians of rounds."""
    rounds = []
    for _ in range(ROUNDS):
        cpu_s, begin_s = time.process_time(), time.perf_counter()
        for _ in range(READS):
            await once()
        rounds.append(((time.perf_counter() - begin_s) / READS, (time.process_time() - cpu_s) / READS))
    seconds, processor = zip(*rounds, strict=True)
    return statistics.median(seconds), statistics.median(processor)


async def ours(path: str) -> tuple[float, float]:
    link = await open_link("modbus-rtu", {"port": path, "baud": 115_200}, CLOCK)
    [source] = sources_of(link, 1, 125)
    try:
        return await timed(lambda: source.read(CLOCK.monotonic_s() + 5))
    finally:
        await link.close()


async def theirs(path: str) -> tuple[float, float]:
    client = AsyncModbusSerialClient(path, baudrate=115_200)
    await client.connect()
    try:
        return await timed(lambda: client.read_holding_registers(0, count=125, device_id=1))
    finally:
        client.close()


async def blocking(path: str) -> tuple[float, float]:
    instrument = minimalmodbus.Instrument(path, 1)
    instrument.serial.baudrate = 115_200  # type: ignore[union-attr]
    instrument.serial.timeout = 1.0  # type: ignore[union-attr]

    async def once() -> None:
        instrument.read_registers(0, 125)

    try:
        return await timed(once)
    finally:
        instrument.serial.close()  # type: ignore[union-attr]


def sources_of(link: Link, unit: int, registers: int, period_s: float = 1.0) -> list[Source]:
    """Return the source of one device whose registers from 0 on are points."""
    profile = modbus_profile([(f"u{unit}r{a}", a) for a in range(registers)], timeout_ms=300)
    points = [PointOptions(id=s.id, device=f"u{unit}", signal=s.id) for s in profile.signals]
    return link.sources([DeviceOptions(id=f"u{unit}", profile=profile, unit=unit, period_s=period_s)], points)


async def read_rows() -> list[Row]:
    """125 registers a read; the line has no pace, so silences the standard asks for show as fewer reads a second."""
    async with serving() as path:
        mine = await ours(path)
        found = {"pymodbus": await theirs(path), "minimalmodbus": await blocking(path)}
        with contextlib.suppress(Missing):
            found["libmodbus (C)"] = await asyncio.to_thread(measure, "rtu", path, READS, 125)
    rows = []
    for name, (seconds, cpu_s) in found.items():
        rows.append(("serial, 125 registers, ours decoded", f"{1 / mine[0]:,.0f} scans/s", name, seconds / mine[0]))
        rows.append(("the same, processor", f"{mine[1] * 1e6:.0f} µs/scan", name, cpu_s / mine[1]))
    return rows


async def polled(alive: set[int], seconds: float) -> float:
    """Return good scans a second of nine devices asked as often as the line allows, by the agent's own poll loop."""
    peer = RtuPeer(Device(alive), baud=BAUD, turnaround_s=0.02)
    good = 0

    def arrived(arrivals: Any) -> None:
        nonlocal good
        good += sum(bool(np.all(b.quality == Quality.GOOD)) for b in arrivals if isinstance(b, Block))

    async def opened() -> tuple[Link, list[Source]]:
        link = await open_link("modbus-rtu", {"port": peer.path, "baud": BAUD, "parity": "E"}, CLOCK)
        return link, [s for unit in UNITS for s in sources_of(link, unit, REGISTERS, 0.25)]

    sink = Sink(arrived, lambda _event: None, lambda _point, _rule, _numbers: None)
    poller = Poller("bus", opened, sink, CLOCK, {})
    task = asyncio.create_task(poller.run())
    await asyncio.sleep(seconds)
    poller.stop()
    await task
    peer.close()
    return good / seconds


async def polled_by_pymodbus(alive: set[int], seconds: float) -> float:
    """Return the same of a loop over pymodbus' client with its defaults."""
    peer = RtuPeer(Device(alive), baud=BAUD, turnaround_s=0.02)
    client = AsyncModbusSerialClient(peer.path, baudrate=BAUD)
    await client.connect()
    good, end_s = 0, time.monotonic() + seconds
    while time.monotonic() < end_s:
        for unit in UNITS:
            with contextlib.suppress(ModbusException, TimeoutError):
                answer = await client.read_holding_registers(0, count=REGISTERS, device_id=unit)
                good += time.monotonic() < end_s and not answer.isError()
    client.close()
    peer.close()
    return good / seconds


async def dead_rows() -> list[Row]:
    """A minute on a line paced at 9,600 baud; the ideal is the same line with all nine alive."""
    everyone, most = set(UNITS), set(UNITS) - {9}
    ideal, one_dead, theirs = await asyncio.gather(
        polled(everyone, DEAD_S), polled(most, DEAD_S), polled_by_pymodbus(most, DEAD_S)
    )
    baseline = "ideal, nobody dead"
    return [
        ("one dead of nine at 9600 baud, our poll loop", f"{one_dead:.1f} scans/s", baseline, one_dead / ideal),
        ("one dead of nine, pymodbus defaults", f"{theirs:.1f} scans/s", baseline, theirs / ideal),
    ]


def run() -> list[Row]:
    """Return (what, value, baseline, how many times better)."""
    for name in ("pymodbus.logging", "edge_agent.poll"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return asyncio.run(read_rows()) + asyncio.run(dead_rows())
