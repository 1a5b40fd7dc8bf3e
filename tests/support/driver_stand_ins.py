"""For every kind of link: a device to read, what can go wrong on its line, and what then has to come of it."""

import asyncio
import contextlib
import os
import pty
import struct
import tty
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal, NamedTuple

from drivers import DeviceOptions, Link, PointOptions, Source, load_profile, open_link
from drivers.profile import Modbus, Profile, Signal
from tests.support.modbus_peer import Device, RtuPeer, Sent, SystemClock, TcpPeer, crc, honest

TIMEOUT_S = 0.15
LATE_S = 0.22  # after the time-out, before the fence ends
Outcome = Literal["value", "lost"]
Reframe = Callable[[bytes, bytes, bytes], bytes]  # request, answer PDU with unit before it, right answer → frame


class Bench(NamedTuple):
    """An open link with its sources, and the values each must give."""

    link: Link
    sources: list[Source]
    expected: list[dict[str, float]]  # per source: point → value


class Case(NamedTuple):
    """What the line does to the first answer, and what has to come of the first read."""

    fault: Callable[..., Any]
    outcome: Outcome
    options: dict[str, object] = {}  # noqa: RUF012 (never changed)


def modbus_profile(
    signals: list[tuple[str, int]], timeout_ms: float = TIMEOUT_S * 1e3, function: int = 3, **more: Any
) -> Profile:
    """Return a profile of u16 registers (id, address); bits for functions 1 and 2."""
    kind = "bool" if function in (1, 2) else "u16"
    return Profile(
        id="stand-in",
        vendor="",
        model="",
        protocol="modbus",
        rung="simulated",
        provenance=(),
        modbus=Modbus(timeout_ms=timeout_ms, **more),
        signals=tuple(
            Signal(id=name, quantity="count", unit="1", function=function, address=address, type=kind)  # type: ignore[arg-type]
            for name, address in signals
        ),
    )


TWO_GROUPS = modbus_profile([(f"r{address}", address) for address in (*range(100, 104), *range(200, 204))])


def two_sources(link: Link, profile: Profile = TWO_GROUPS) -> Bench:
    """Return the sources of one device read as two groups of four registers; each register holds its address."""
    points = [
        PointOptions(id=s.id, device="d", signal=s.id, period_s=1.0 if s.address < 200 else 2.0)
        for s in profile.signals
    ]
    sources = link.sources([DeviceOptions(id="d", profile=profile, unit=1)], points)
    expected = [{s.id: float(s.address) for s in profile.signals if s.id in source.group.points} for source in sources]
    return Bench(link, sources, expected)


def rtu_frame(body: bytes) -> bytes:
    return body + crc(body)


def tcp_frame(answer: bytes, body: bytes) -> bytes:
    return answer[:4] + len(body).to_bytes(2, "big") + body


def once(change: Callable[[bytes, bytes], Sent]) -> Callable[[int, bytes, bytes], Sent]:
    """Return a fault that changes the first answer and leaves the others alone."""
    return lambda number, request, answer: change(request, answer) if number == 1 else honest(number, request, answer)


def now(make: Callable[[bytes], bytes]) -> Callable[[int, bytes, bytes], Sent]:
    return once(lambda _request, answer: [(0.0, make(answer))])


def flipped(answer: bytes) -> bytes:
    return answer[:-4] + bytes((answer[-4] ^ 0x10,)) + answer[-3:]


def in_pieces(_request: bytes, answer: bytes) -> Sent:
    return [(0.02 * place, answer[place : place + 1]) for place in range(4)] + [(0.09, answer[4:])]


RTU_CASES = {
    "good line": Case(honest, "value"),
    "silence": Case(once(lambda _request, _answer: []), "lost"),
    "cut": Case(now(lambda answer: answer[:-3]), "lost"),
    "bit flip": Case(now(flipped), "lost"),
    "late": Case(once(lambda _request, answer: [(LATE_S, answer)]), "lost"),
    "noise before": Case(now(lambda answer: b"\x01\x03\xff\x00" + answer), "value"),
    "noise after": Case(now(lambda answer: answer + b"\x00\x01"), "value"),
    "wrong unit": Case(now(lambda answer: rtu_frame(b"\x09" + answer[1:-2])), "lost"),
    "wrong function": Case(now(lambda answer: rtu_frame(answer[:1] + b"\x04" + answer[2:-2])), "lost"),
    "short count": Case(now(lambda answer: rtu_frame(answer[:2] + b"\x02" + answer[3:5])), "lost"),
    "echo": Case(lambda _n, request, answer: [(0.0, request + answer)], "value", {"echo": True}),
    "echo nobody announced": Case(lambda _n, request, answer: [(0.0, request + answer)], "value"),
    "fragmented": Case(once(in_pieces), "value"),
    "refusal": Case(now(lambda answer: rtu_frame(answer[:1] + b"\x83\x04")), "lost"),
}
TCP_CASES = {
    "good line": Case(honest, "value"),
    "silence": Case(once(lambda _request, _answer: []), "lost"),
    "cut": Case(now(lambda answer: answer[:-3]), "lost"),
    "late": Case(once(lambda _request, answer: [(LATE_S, answer)]), "lost"),
    "garbage": Case(now(lambda answer: b"\xff" * len(answer)), "lost"),
    "wrong transaction": Case(now(lambda answer: b"\x77\x77" + answer[2:]), "lost"),
    "wrong unit": Case(now(lambda answer: answer[:6] + b"\x09" + answer[7:]), "lost"),
    "wrong function": Case(now(lambda answer: answer[:7] + b"\x04" + answer[8:]), "lost"),
    "short count": Case(now(lambda answer: tcp_frame(answer, answer[6:8] + b"\x02" + answer[9:11])), "lost"),
    "fragmented": Case(once(in_pieces), "value"),
    "refusal": Case(now(lambda answer: tcp_frame(answer, answer[6:7] + b"\x83\x04")), "lost"),
}


@contextlib.asynccontextmanager
async def modbus_rtu(case: Case) -> AsyncIterator[Bench]:
    """A pseudo-terminal with one unit whose registers hold their addresses."""
    peer = RtuPeer(Device(), case.fault)
    link = await open_link("modbus-rtu", {"port": peer.path, "baud": 115_200, **case.options}, SystemClock())
    try:
        yield two_sources(link)
    finally:
        await link.close()
        peer.close()


@contextlib.asynccontextmanager
async def modbus_tcp(case: Case) -> AsyncIterator[Bench]:
    """The same unit behind TCP."""
    async with TcpPeer(Device(), case.fault).serve() as peer:
        link = await open_link("modbus-tcp", {"host": "127.0.0.1", "tcp_port": peer.port}, SystemClock())
        try:
            yield two_sources(link)
        finally:
            await link.close()


def node2(distance_mm: int) -> bytes:
    """A Node2 frame of anchor 3 that hears tag 11."""
    head = struct.pack("<BBHBB", 0x55, 4, 119 + 13 + 1, 1, 3).ljust(116, b"\0") + struct.pack("<HB", 4800, 1)
    body = head + struct.pack("<BB3s2BI2x", 2, 11, distance_mm.to_bytes(3, "little"), 100, 90, 1)
    return body + bytes((sum(body) & 0xFF,))


LINKTRACK_CASES = {
    "good line": Case(lambda frame: [frame], "value"),
    "silence": Case(lambda _frame: [], "lost"),
    "cut": Case(lambda frame: [frame[:-2]], "lost"),
    "bit flip": Case(lambda frame: [frame[:60] + bytes((frame[60] ^ 4,)) + frame[61:]], "lost"),
    "noise before": Case(lambda frame: [b"\x00\x55\x99\xff", frame], "value"),
    "fragmented": Case(lambda frame: [frame[:1], frame[1:40], frame[40:]], "value"),
}


@contextlib.asynccontextmanager
async def linktrack(case: Case) -> AsyncIterator[Bench]:
    """An anchor that pushes a frame at once (bent by the fault), and a good one 0.3 s later, then ten a second."""
    master, slave = pty.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    link = await open_link("linktrack", {"port": os.ttyname(slave)}, SystemClock())

    async def push() -> None:
        await asyncio.sleep(0.02)
        for piece in case.fault(node2(40_000)):
            os.write(master, piece)
            await asyncio.sleep(0.01)
        await asyncio.sleep(2 * TIMEOUT_S)
        while True:
            os.write(master, node2(40_000))
            await asyncio.sleep(0.1)

    device = DeviceOptions(id="uwb", profile=load_profile("linktrack"), unit=0)
    points = [PointOptions(id="uwb.supply", device="uwb", signal="supply_voltage")]
    pushing = asyncio.create_task(push())
    try:
        yield Bench(link, link.sources([device], points), [{"uwb.supply": 4.8}])
    finally:
        pushing.cancel()
        await link.close()
        os.close(master)
        os.close(slave)


STAND_INS: dict[str, tuple[Callable[[Case], Any], dict[str, Case]]] = {
    "modbus-rtu": (modbus_rtu, RTU_CASES),
    "modbus-tcp": (modbus_tcp, TCP_CASES),
    "linktrack": (linktrack, LINKTRACK_CASES),
}
