"""Reading devices: our driver against pymodbus' asynchronous client, over one server process, and decoding alone."""

import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import numpy as np
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.client.mixin import ModbusClientMixin

from drivers import DeviceOptions, PointOptions, open_link
from drivers.modbus.decode import Decoder, Field
from drivers.modbus.planner import Cost, Rules, plan, plan_cost_s
from drivers.profile import Profile, Signal
from tests.support.debian import Missing
from tests.support.libmodbus_client import measure
from tests.support.modbus_peer import SystemClock
from tests.support.modbus_stand_ins import modbus_profile

ROUNDS = 5
READS = 600
SCANS = 150
SERVER = """
import asyncio
class Server(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.buffer = transport, b""
    def data_received(self, data):
        self.buffer += data
        while len(self.buffer) >= 12:
            head, self.buffer = self.buffer[:12], self.buffer[12:]
            count = head[10] << 8 | head[11]
            answer = head[6:8] + bytes((2 * count,)) + b"\\x01\\x02" * count
            self.transport.write(head[:4] + len(answer).to_bytes(2, "big") + answer)
async def main():
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """A minimal Modbus TCP server in a process of its own, the same for both clients."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


async def timed(once: Callable[[], Awaitable[Any]], count: int) -> tuple[float, float]:
    """Return seconds and processor seconds per call."""
    cpu_s, begin_s = time.process_time(), time.perf_counter()
    for _ in range(count):
        await once()
    return (time.perf_counter() - begin_s) / count, (time.process_time() - cpu_s) / count


async def compare(
    profile: Profile, theirs: Callable[[AsyncModbusTcpClient], Awaitable[Any]]
) -> tuple[float, float, float, float]:
    """Return seconds and processor seconds per scan, ours and theirs: medians of alternating rounds."""
    async with serving() as port:
        clock = SystemClock()
        link = await open_link("modbus-tcp", {"host": "127.0.0.1", "tcp_port": port}, clock)
        points = [PointOptions(id=s.id, device="d", signal=s.id) for s in profile.signals]
        [source] = link.sources([DeviceOptions(id="d", profile=profile)], points)
        client = AsyncModbusTcpClient("127.0.0.1", port=port)
        await client.connect()
        pairs = []
        for _ in range(ROUNDS):
            mine = await timed(lambda: source.read(clock.monotonic_s() + 5), READS)
            pairs.append((*mine, *(await timed(lambda: theirs(client), READS))))
        await link.close()
        client.close()
    ours_s, ours_cpu_s, theirs_s, theirs_cpu_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    return ours_s, ours_cpu_s, theirs_s, theirs_cpu_s


def tcp_rows() -> list[tuple[str, str, str, float]]:
    """One connection, one request in flight. Ours always ends in a timed Block with qualities."""
    fields, convert = sixty_points()
    mixed = modbus_profile([], timeout_ms=2000)
    mixed = msgspec.structs.replace(mixed, signals=tuple(replace_address(f) for f in fields))

    async def bare(client: AsyncModbusTcpClient) -> Any:
        return (await client.read_holding_registers(0, count=125, device_id=1)).registers

    async def decoded(client: AsyncModbusTcpClient) -> list[Any]:
        registers = (await client.read_holding_registers(0, count=100, device_id=1)).registers
        return [
            ModbusClientMixin.convert_from_registers(registers[first : first + count], kind, word_order="little")
            for first, count, kind in convert
        ]

    plain = modbus_profile([(f"r{a}", a) for a in range(125)], timeout_ms=2000)
    rows = []
    for name, profile, theirs, baseline in (
        ("TCP, 125 registers, ours decoded", plain, bare, "pymodbus, raw registers"),
        ("TCP, 60 points of three types", mixed, decoded, "pymodbus, converted"),
    ):
        ours_s, ours_cpu_s, theirs_s, theirs_cpu_s = asyncio.run(compare(profile, theirs))
        rows.append((name, f"{1 / ours_s:,.0f} scans/s", baseline, theirs_s / ours_s))
        rows.append((f"{name}, processor", f"{ours_cpu_s * 1e6:.0f} µs/scan", baseline, theirs_cpu_s / ours_cpu_s))
    return rows


def replace_address(field: Field) -> Signal:
    """Return the field's signal at the register where the field lies."""
    return msgspec.structs.replace(field.signal, address=field.offset // 2)


def sixty_points() -> tuple[list[Field], list[tuple[int, int, Any]]]:
    """30 float CDAB, 20 i16 in tenths, 10 u32 in 125 registers, and the same for pymodbus."""
    fields, theirs = [], []
    kinds = [("f32", "CDAB", 2)] * 30 + [("i16", "ABCD", 1)] * 20 + [("u32", "ABCD", 0)] * 10
    types = {
        "f32": ModbusClientMixin.DATATYPE.FLOAT32,
        "i16": ModbusClientMixin.DATATYPE.INT16,
        "u32": ModbusClientMixin.DATATYPE.UINT32,
    }
    register = 0
    for number, (kind, order, decimals) in enumerate(kinds):
        values: dict[str, Any] = {"type": kind, "order": order, "decimals": decimals, "function": 3}
        signal = Signal(id=f"s{number}", quantity="count", unit="1", range=(-1e30, 1e30), **values)
        fields.append(Field(signal, 2 * register, False))
        theirs.append((register, signal.count, types[kind]))
        register += signal.count
    return fields, theirs


def decode_rows() -> list[tuple[str, str, str, float]]:
    """A scan of 60 points: one at a time as the driver does it, and 64 at once."""
    fields, theirs = sixty_points()
    decoder = Decoder(fields)
    raw = np.random.default_rng(0).integers(0, 255, (64, 200), dtype=np.uint8)
    raw[:, ::4] &= 0x3F
    registers = [int.from_bytes(raw[0, n : n + 2].tobytes(), "big") for n in range(0, 200, 2)]

    def pymodbus() -> None:
        for first, count, kind in theirs:
            ModbusClientMixin.convert_from_registers(registers[first : first + count], kind, word_order="little")

    def best(call: Callable[[], Any], count: int) -> float:
        times = []
        for _ in range(ROUNDS):
            begin_s = time.perf_counter()
            for _ in range(count):
                call()
            times.append((time.perf_counter() - begin_s) / count)
        return statistics.median(times)

    one, many = best(lambda: decoder.decode(raw[:1]), 400), best(lambda: decoder.decode(raw), 100) / 64
    base, name = best(pymodbus, 200), "pymodbus convert_from_registers"
    return [
        ("decode 60 points to exact values and quality", f"{one * 1e6:.1f} µs", name, base / one),
        ("the same, 64 scans at once", f"{many * 1e6:.2f} µs/scan", name, base / many),
    ]


def plan_rows() -> list[tuple[str, str, str, float]]:
    """Predicted time of a scan of 44 floats over 400 registers at 9600 8E1, against merging neighbours only."""
    items = [(a, 2) for a in [*range(0, 40, 2), 52, 54, 72, 74, 78, 80, 100, 104, 110, 118, *range(150, 400, 18)]]
    adjacent: list[tuple[int, int]] = []
    for first, count in items:
        if adjacent and sum(adjacent[-1]) == first:
            adjacent[-1] = (adjacent[-1][0], adjacent[-1][1] + count)
        else:
            adjacent.append((first, count))
    others = {
        "one read per point": items,
        "merging neighbours": adjacent,
        "blocks of 125": [(first, 125) for first in range(0, 400, 125)],
    }
    rows = []
    for turnaround_s in (0.005, 0.040):
        cost = Cost(13 * 11 / 9600 + 2 * 3.5 * 11 / 9600 + turnaround_s, 22 / 9600)
        best = plan_cost_s(plan(items, cost, Rules(125)), cost)
        name = f"scan of {len(items)} floats at 9600 baud, {turnaround_s * 1e3:.0f} ms turnaround"
        rows += [(name, f"{best * 1e3:.0f} ms", other, plan_cost_s(o, cost) / best) for other, o in others.items()]
    return rows


def poll_rows() -> list[tuple[str, str, str, float]]:
    """A device of 1,000 registers in eight requests: every one of the scans has to be whole."""
    whole = modbus_profile([(f"r{a}", a) for a in range(1000)], timeout_ms=2000)

    async def ours(port: int, window: int) -> tuple[float, float]:
        clock = SystemClock()
        link = await open_link("modbus-tcp", {"host": "127.0.0.1", "tcp_port": port, "window": window}, clock)
        points = [PointOptions(id=s.id, device="d", signal=s.id) for s in whole.signals]
        [source] = link.sources([DeviceOptions(id="d", profile=whole)], points)
        rounds = [await timed(lambda: source.read(clock.monotonic_s() + 5), SCANS) for _ in range(ROUNDS)]
        assert source.stats.samples == 1000 * SCANS * ROUNDS, "lossless"
        await link.close()
        seconds, cpu_s = zip(*rounds, strict=True)
        return statistics.median(seconds), statistics.median(cpu_s)

    async def theirs(port: int) -> tuple[float, float]:
        client = AsyncModbusTcpClient("127.0.0.1", port=port)
        await client.connect()

        async def scan() -> None:
            for first in range(0, 1000, 125):
                await client.read_holding_registers(first, count=125, device_id=1)

        rounds = [await timed(scan, SCANS) for _ in range(ROUNDS)]
        client.close()
        seconds, cpu_s = zip(*rounds, strict=True)
        return statistics.median(seconds), statistics.median(cpu_s)

    async def main() -> list[tuple[str, str, str, float]]:
        async with serving() as port:
            base_s, base_cpu_s = await theirs(port)
            rows = []
            for window in (1, 4, 16):
                seconds, cpu_s = await ours(port, window)
                name = f"TCP, 1,000 registers, window {window}"
                rows.append((name, f"{1 / seconds:,.0f} polls/s", "pymodbus, raw registers", base_s / seconds))
                text = f"{1e3 * cpu_s:.2f} CPU-s"
                rows.append((f"{name}, a million samples decoded", text, "pymodbus, raw registers", base_cpu_s / cpu_s))
            with contextlib.suppress(Missing):
                c_s, c_cpu_s = await asyncio.to_thread(measure, "tcp", str(port), 2000, 125)
                seconds, cpu_s = await ours(port, 1)
                rows.append(
                    ("TCP, 125 registers a read", f"{8 / seconds:,.0f} reads/s", "libmodbus (C)", 8 * c_s / seconds)
                )
                text = f"{cpu_s / 8 * 1e6:.0f} µs"
                rows.append(("the same, processor a read", text, "libmodbus (C)", 8 * c_cpu_s / cpu_s))
            return rows

    return asyncio.run(main())


def run() -> list[tuple[str, str, str, float]]:
    """Return (what, value, baseline, how many times better)."""
    return tcp_rows() + poll_rows() + decode_rows() + plan_rows()
