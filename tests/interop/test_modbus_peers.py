"""Our driver reads servers we did not write (pymodbus, libmodbus) and the simulator, on TCP and serial lines."""

import asyncio
import contextlib
import os
import pty
import shutil
import socket
import subprocess
import tty
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pymodbus import FramerType, ModbusDeviceIdentification
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusTlsServer, ModbusUdpServer
from pymodbus.server.base import ModbusBaseServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers import DeviceOptions, Link, PointOptions, Source, open_link
from drivers.modbus.link import ModbusLink
from drivers.profile import Modbus, Profile, Signal
from tests.support.debian import Missing
from tests.support.debian import libmodbus as libmodbus_files
from tests.support.modbus_other_peers import self_signed, server_context
from tests.support.modbus_peer import SystemClock
from tests.support.modbus_stand_ins import modbus_profile
from tests.support.sim_lines import rtu_bus, serving, unit
from twin_wire.errors import DeviceError, LinkError
from twin_wire.readings import Block

CLOCK = SystemClock()
NUMBERS = {"i": -12, "l": -70_000, "f": 20.9, "d": -0.125, "q": 1 << 40}


class Libmodbus(NamedTuple):
    """libmodbus' test server, and what its libraries need to be found."""

    program: Path
    environment: dict[str, str]


def device() -> SimDevice:
    """Every number format in holding registers, counting input registers, bits in both bit tables."""
    holding = [
        SimData(0, values=NUMBERS["i"], datatype=DataType.INT16),
        SimData(1, values=NUMBERS["l"], datatype=DataType.INT32),
        SimData(3, values=NUMBERS["f"], datatype=DataType.FLOAT32),
        SimData(5, values=NUMBERS["d"], datatype=DataType.FLOAT64),
        SimData(9, values=NUMBERS["q"], datatype=DataType.INT64),
    ]
    inputs = [SimData(0, values=list(range(1000, 1200)), datatype=DataType.REGISTERS)]
    coils = [SimData(0, values=[True, False] * 16, datatype=DataType.BITS)]
    discrete = [SimData(0, values=[n % 3 == 0 for n in range(32)], datatype=DataType.BITS)]
    return SimDevice(id=1, simdata=(coils, discrete, holding, inputs))


def profile() -> Profile:
    """The map of `device`."""
    numbers = {"i": (0, "i16"), "l": (1, "i32"), "f": (3, "f32"), "d": (5, "f64"), "q": (9, "i64")}
    signals = [_signal(key, 3, address, kind) for key, (address, kind) in numbers.items()]
    signals += [_signal(f"n{a}", 4, a, "u16") for a in (0, 1, 2, 90, 199)]
    signals += [_signal(f"c{a}", 1, a, "bool") for a in range(20)]
    signals += [_signal(f"b{a}", 2, a, "bool") for a in range(3, 20)]
    return Profile(
        id="peer",
        vendor="",
        model="",
        protocol="modbus",
        rung="interop",
        provenance=(),
        modbus=Modbus(timeout_ms=1000),
        signals=tuple(signals),
    )


def _signal(name: str, function: int, address: int, kind: str) -> Signal:
    values: dict[str, Any] = {"function": function, "address": address, "type": kind, "decimals": 3 * (kind[0] == "f")}
    return Signal(id=name, quantity="count", unit="1", **values)


EXPECTED = {
    **NUMBERS,
    **{f"n{a}": 1000.0 + a for a in (0, 1, 2, 90, 199)},
    **{f"c{a}": float(a % 2 == 0) for a in range(20)},
    **{f"b{a}": float(a % 3 == 0) for a in range(3, 20)},
}


def sources_of(link: Link, what: Profile, unit_number: int = 1) -> Source:
    points = [PointOptions(id=s.id, device="d", signal=s.id) for s in what.signals]
    [source] = link.sources([DeviceOptions(id="d", profile=what, unit=unit_number)], points)
    return source


async def read(source: Source, seconds: float = 5.0) -> dict[str, float]:
    [block] = await source.read(CLOCK.monotonic_s() + seconds)
    assert isinstance(block, Block)
    assert not block.quality.any()
    return dict(zip(block.points, block.value[:, 0].tolist(), strict=True))


@contextlib.asynccontextmanager
async def joined_ports() -> AsyncIterator[tuple[str, str]]:
    """Two serial ports joined by a cable."""
    ends = [pty.openpty(), pty.openpty()]
    loop = asyncio.get_running_loop()
    masters = [master for master, _ in ends]
    for fd in (fd for pair in ends for fd in pair):
        tty.setraw(fd)
    for here, there in (masters, masters[::-1]):
        os.set_blocking(here, False)
        loop.add_reader(here, lambda here=here, there=there: os.write(there, os.read(here, 4096)))  # type: ignore[misc]
    try:
        yield os.ttyname(ends[0][1]), os.ttyname(ends[1][1])
    finally:
        for master in masters:
            loop.remove_reader(master)
        for fd in (fd for pair in ends for fd in pair):
            os.close(fd)


def test_pymodbus_over_tcp_gives_every_type_of_every_table() -> None:
    async def main() -> None:
        identity = ModbusDeviceIdentification(info_name={"VendorName": "pymodbus", "ProductCode": "PM"})
        server = ModbusTcpServer(device(), address=("127.0.0.1", 0), identity=identity)
        await server.serve_forever(background=True)
        assert server.transport is not None
        port = server.transport.sockets[0].getsockname()[1]
        link = await open_link("modbus-tcp", {"host": "127.0.0.1", "tcp_port": port}, CLOCK)
        source = sources_of(link, profile())
        for _ in range(3):
            assert await read(source) == EXPECTED
        assert isinstance(link, ModbusLink)
        assert (await link.identify(1, CLOCK.monotonic_s() + 2))[0] == "pymodbus"
        with pytest.raises(DeviceError) as caught:
            await sources_of(link, modbus_profile([("beyond", 5000)])).read(CLOCK.monotonic_s() + 2)
        assert caught.value.code == 2
        await link.close()
        await server.shutdown()

    asyncio.run(main())


def test_pymodbus_over_a_serial_line_gives_the_same() -> None:
    async def main() -> None:
        async with joined_ports() as (ours, theirs):
            server = ModbusSerialServer(device(), port=theirs, baudrate=115_200)
            await server.serve_forever(background=True)
            link = await open_link("modbus-rtu", {"port": ours, "baud": 115_200}, CLOCK)
            source = sources_of(link, profile())
            for _ in range(3):
                assert await read(source) == EXPECTED
            await link.close()
            await server.shutdown()

    asyncio.run(main())


async def check_pymodbus(link: Link, server: ModbusBaseServer) -> None:
    """Read what pymodbus serves over one of its other carriers, with both checks between."""
    source = sources_of(link, profile())
    for _ in range(3):
        assert await read(source) == EXPECTED
    with pytest.raises(DeviceError) as caught:
        await sources_of(link, modbus_profile([("beyond", 5000)])).read(CLOCK.monotonic_s() + 2)
    assert caught.value.code == 2
    await link.close()
    await server.shutdown()


def test_pymodbus_over_tls_gives_the_same(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)

    async def main() -> None:
        server = ModbusTlsServer(device(), address=("127.0.0.1", 0), sslctx=server_context(certificate, key))
        await server.serve_forever(background=True)
        assert server.transport is not None
        port = server.transport.sockets[0].getsockname()[1]
        options = {"host": "127.0.0.1", "tcp_port": port, "ca_file": str(certificate)}
        await check_pymodbus(await open_link("modbus-tls", options, CLOCK), server)

    asyncio.run(main())


def test_pymodbus_over_udp_gives_the_same() -> None:
    async def main() -> None:
        server = ModbusUdpServer(device(), address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        assert server.transport is not None
        port = server.transport.get_extra_info("sockname")[1]
        await check_pymodbus(await open_link("modbus-udp", {"host": "127.0.0.1", "udp_port": port}, CLOCK), server)

    asyncio.run(main())


def test_pymodbus_over_ascii_gives_the_same() -> None:
    async def main() -> None:
        async with joined_ports() as (ours, theirs):
            server = ModbusSerialServer(device(), framer=FramerType.ASCII, port=theirs, baudrate=115_200)
            await server.serve_forever(background=True)
            options = {"port": ours, "baud": 115_200, "data_bits": 8}
            await check_pymodbus(await open_link("modbus-ascii", options, CLOCK), server)

    asyncio.run(main())


@pytest.fixture(scope="module")
def libmodbus_server(tmp_path_factory: pytest.TempPathFactory) -> Libmodbus:
    """libmodbus' own test server, its port and device taken from the environment instead of fixed."""
    try:
        examples, flags, environment = libmodbus_files()
    except Missing as why:
        pytest.skip(f"no libmodbus: {why}")
    folder = tmp_path_factory.mktemp("libmodbus")
    source = (examples / "unit-test-server.c").read_text()
    source = source.replace('"/dev/ttyUSB0"', 'getenv("PORT")').replace("1502)", 'atoi(getenv("PORT")))')
    (folder / "server.c").write_text(source)
    shutil.copy(examples / "unit-test.h", folder)
    subprocess.run(["gcc", "-w", "-o", "server", "server.c", *flags], cwd=folder, check=True, timeout=50)
    return Libmodbus(folder / "server", environment)


@contextlib.asynccontextmanager
async def libmodbus(server: Libmodbus, kind: str, port: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        server.program,
        kind,
        env={**server.environment, "PORT": port},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


def libmodbus_profile() -> Profile:
    bits = int.from_bytes(bytes.fromhex("ACDB35"), "little")
    assert bits & 1 == 0
    signals = [_signal("ten", 4, 0x108, "u16")]
    signals += [_signal(f"b{n}", 2, 0x1C4 + n, "bool") for n in range(22)]
    signals += [_signal(f"h{n}", 3, 0x160 + n, "u16") for n in range(8)]
    return Profile(
        id="libmodbus",
        vendor="",
        model="",
        protocol="modbus",
        rung="interop",
        provenance=(),
        modbus=Modbus(timeout_ms=300),
        signals=tuple(signals),
    )


LIBMODBUS = {
    "ten": 10.0,
    **{f"b{n}": float(int.from_bytes(bytes.fromhex("ACDB35"), "little") >> n & 1) for n in range(22)},
    **{f"h{n}": 0.0 for n in range(8)},
}


async def check_libmodbus(link: Link) -> None:
    """Good values, then what its test server does to a client on purpose."""
    source = sources_of(link, libmodbus_profile(), 17)
    assert await read(source) == LIBMODBUS

    async def one(address: int, length: int = 1, unit_number: int = 17) -> None:
        signals = [(f"r{address + n}", address + n) for n in range(length)]
        odd = sources_of(link, modbus_profile(signals, timeout_ms=200), unit_number)
        await asyncio.sleep(max(0.0, odd.pace().quiet_until_s - CLOCK.monotonic_s()))
        await odd.read(CLOCK.monotonic_s() + 5)

    with pytest.raises(DeviceError) as busy:
        await one(0x170)
    assert busy.value.code == 6
    # One register too few, wrong unit or id, 0.5 s late, byte by byte for another unit (on a serial line: no frame).
    for address, length in ((0x160, 2), (0x171, 1), (0x172, 1), (0x173, 1)):
        with pytest.raises(LinkError):
            await one(address, length)
    await asyncio.sleep(max(0.0, source.pace().quiet_until_s - CLOCK.monotonic_s()))
    assert await read(source) == LIBMODBUS


def test_libmodbus_over_tcp_and_its_tricks(libmodbus_server: Libmodbus) -> None:
    async def main() -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        async with libmodbus(libmodbus_server, "tcp", str(port)):
            link = await open_link("modbus-tcp", {"host": "127.0.0.1", "tcp_port": port}, CLOCK)
            source = sources_of(link, libmodbus_profile(), 17)
            for _ in range(50):  # until it listens
                with contextlib.suppress(LinkError):
                    await source.read(CLOCK.monotonic_s() + 2)
                    break
                await asyncio.sleep(0.05)
            await check_libmodbus(link)
            slow = sources_of(link, modbus_profile([("r", 0x173)], timeout_ms=500), 255)
            assert await read(slow) == {"r": 0.0}, "it comes byte by byte, and for the unit asked"
            await link.close()

    asyncio.run(main())


def test_libmodbus_over_a_serial_line_and_its_tricks(libmodbus_server: Libmodbus) -> None:
    async def main() -> None:
        async with joined_ports() as (ours, theirs), libmodbus(libmodbus_server, "rtu", theirs):
            await asyncio.sleep(0.3)
            link = await open_link("modbus-rtu", {"port": ours, "baud": 115_200}, CLOCK)
            await check_libmodbus(link)
            await link.close()

    asyncio.run(main())


def test_the_simulated_line_gives_what_its_units_hold(tmp_path: Path) -> None:
    bus = rtu_bus(tmp_path / "bus", 19_200, [unit(3, 0.005), unit(4, 0.005)])

    async def main() -> None:
        link = await open_link("modbus-rtu", {"port": str(tmp_path / "bus"), "baud": 19_200}, CLOCK)
        what = modbus_profile([(f"r{a}", a) for a in (*range(10), 120, 290)], timeout_ms=500)
        for number in (3, 4, 3):
            values = await read(sources_of(link, what, number))
            assert values == {f"r{a}": number * 1000.0 + a for a in (*range(10), 120, 290)}
        await link.close()

    with serving(bus):
        asyncio.run(main())
