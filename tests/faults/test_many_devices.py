"""More than two thousand simulated devices in one process: each is itself, and answers when asked."""

import asyncio
import contextlib
import os
import resource
import struct
import sys
import time
import tty
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

from hardware_sim.bus import Bus, RtuBus, TcpBus, Unit
from hardware_sim.faults import FaultPlan
from hardware_sim.modbus import crc
from hardware_sim.profile import Profile, load_profile
from hardware_sim.registers import Registers

PROFILES = Path(__file__).parents[2] / "drivers" / "profiles"
LINES, UNITS, LONE = 5, 200, 240  # TCP ports and as many ptys of 200 units each, and ptys with one device
TURNAROUND_S = 0.001
BYTES_A_DEVICE_MAX = 60_000
START_S_MAX = 30.0


class Device(NamedTuple):
    """Where a device is, what it is asked and the register bytes it has to answer."""

    bus: Bus
    unit: int
    function: int
    address: int
    expected: bytes


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def install(bus: Bus, unit: int, profile: Profile, number: int) -> Device:
    """Put a device on a bus with a value no other device shows; the bytes are packed here, not by the simulator."""
    registers = Registers(profile, time.monotonic)
    signal = profile.signals["ch4"]
    if profile.id == "pemtech-pt495":  # u16, tenths of % by volume
        value, expected = number / 10, struct.pack(">H", number)
    else:  # Dräger: f32
        value = number / 100
        expected = struct.pack(">f", value)
    registers.show("ch4", value)
    bus.add(Unit(unit, registers.image, TURNAROUND_S))
    return Device(bus, unit, signal.function, signal.address, expected)


def build(folder: Path) -> Iterator[Device]:
    profiles = [load_profile(PROFILES, name) for name in ("pemtech-pt495", "draeger-polytron-8000")]
    buses: list[tuple[Bus, int]] = []
    for number in range(LINES):
        buses.append((TcpBus(f"tcp-{number}", 0, FaultPlan("m"), lambda _: None), UNITS))
        buses.append(
            (RtuBus(f"pty-{number}", folder / f"pty-{number}", 921_600, FaultPlan("m"), lambda _: None), UNITS)
        )
    lone = (f"one-{number}" for number in range(LONE))
    buses += [(RtuBus(name, folder / name, 921_600, FaultPlan("m"), lambda _: None), 1) for name in lone]
    number = 0
    for bus, count in buses:
        for unit in range(1, count + 1):
            number += 1
            yield install(bus, unit, profiles[number % 2], number)


@contextlib.asynccontextmanager
async def running(buses: list[Bus]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(bus.run()) for bus in buses]  # type: ignore[attr-defined]
    while not all(bus.line.plugged for bus in buses):  # type: ignore[attr-defined]  # noqa: ASYNC110
        await asyncio.sleep(0.002)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def request(device: Device) -> bytes:
    count = len(device.expected) // 2
    return bytes((device.function,)) + struct.pack(">HH", device.address, count)


async def read_tcp(devices: list[Device]) -> list[bytes]:
    bus = devices[0].bus
    assert isinstance(bus, TcpBus)
    reader, writer = await asyncio.open_connection("127.0.0.1", bus.line.port)
    found = []
    for device in devices:
        pdu = request(device)
        writer.write(struct.pack(">HHHB", device.unit, 0, len(pdu) + 1, device.unit) + pdu)
        head = await asyncio.wait_for(reader.readexactly(6), 5.0)
        body = await reader.readexactly(struct.unpack(">H", head[4:])[0])
        assert body[0] == device.unit
        found.append(body[3:])
    writer.close()
    await writer.wait_closed()
    return found


async def read_pty(devices: list[Device]) -> list[bytes]:
    bus = devices[0].bus
    assert isinstance(bus, RtuBus)
    end = os.open(bus.line.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    tty.setraw(end)
    came, loop, held = asyncio.Event(), asyncio.get_running_loop(), bytearray()

    def readable() -> None:
        held.extend(os.read(end, 4096))
        came.set()

    loop.add_reader(end, readable)
    found = []
    try:
        for device in devices:
            body = bytes((device.unit,)) + request(device)
            size = 5 + len(device.expected)
            held.clear()
            os.write(end, body + crc(body))
            while len(held) < size:
                came.clear()
                await asyncio.wait_for(came.wait(), 5.0)
            assert crc(bytes(held[:-2])) == held[-2:]
            assert held[0] == device.unit
            found.append(bytes(held[3:-2]))
    finally:
        loop.remove_reader(end)
        os.close(end)
    return found


def test_over_two_thousand_devices_live_in_one_process_and_each_answers_its_own(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))

    async def main() -> None:
        before, begun_s = rss_bytes(), time.perf_counter()
        devices = list(build(tmp_path))
        by_bus: dict[str, list[Device]] = {}
        for device in devices:
            by_bus.setdefault(device.bus.link, []).append(device)
        async with running([group[0].bus for group in by_bus.values()]):
            start_s = time.perf_counter() - begun_s
            grown = rss_bytes() - before
            begun_s = time.perf_counter()
            readers = [read_tcp(g) if isinstance(g[0].bus, TcpBus) else read_pty(g) for g in by_bus.values()]
            answers = await asyncio.gather(*readers)
            took_s = time.perf_counter() - begun_s
        wrong = [
            device.bus.link
            for group, found in zip(by_bus.values(), answers, strict=True)
            for device, answer in zip(group, found, strict=True)
            if answer != device.expected
        ]
        sys.stdout.write(
            f"{len(devices)} devices on {len(by_bus)} lines: start {start_s:.2f} s, "
            f"{grown / len(devices) / 1000:.1f} kB each, read once in {took_s:.2f} s\n"
        )
        assert len(devices) >= 2000
        assert not wrong
        assert grown / len(devices) < BYTES_A_DEVICE_MAX
        assert start_s < START_S_MAX

    try:
        asyncio.run(main())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
