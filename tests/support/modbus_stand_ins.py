"""Every Modbus kind of link with a device to read: what its line can do, and what then has to come of it."""

import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from drivers import DeviceOptions, Link, PointOptions, Source, open_link
from drivers.profile import Modbus, Profile, Signal
from tests.support.modbus_other_peers import AsciiPeer, CallingPeer, UdpPeer, lrc_frame, self_signed, server_context
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
    unplug: Callable[[], object] = lambda: None  # take the far end away, for good


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


def serial_cases(seal: Callable[[bytes], bytes], body: Callable[[bytes], bytes], noise: bytes) -> dict[str, Case]:
    """What a line of frames without numbers can do; `seal` makes a frame of unit and PDU, `body` takes them out."""

    def bent(make: Callable[[bytes], bytes]) -> Callable[[int, bytes, bytes], Sent]:
        return now(lambda answer: seal(make(body(answer))))

    return {
        "good line": Case(honest, "value"),
        "silence": Case(once(lambda _request, _answer: []), "lost"),
        "cut": Case(now(lambda answer: answer[:-3]), "lost"),
        "bit flip": Case(now(flipped), "lost"),
        "late": Case(once(lambda _request, answer: [(LATE_S, answer)]), "lost"),
        "noise before": Case(now(lambda answer: noise + answer), "value"),
        "noise after": Case(now(lambda answer: answer + b"\x00\x01"), "value"),
        "wrong unit": Case(bent(lambda b: b"\x09" + b[1:]), "lost"),
        "wrong function": Case(bent(lambda b: b[:1] + b"\x04" + b[2:]), "lost"),
        "short count": Case(bent(lambda b: b[:2] + b"\x02" + b[3:5]), "lost"),
        "echo": Case(lambda _n, request, answer: [(0.0, request + answer)], "value", {"echo": True}),
        "echo nobody announced": Case(lambda _n, request, answer: [(0.0, request + answer)], "value"),
        "fragmented": Case(once(in_pieces), "value"),
        "refusal": Case(bent(lambda b: b[:1] + b"\x83\x04"), "lost"),
    }


RTU_CASES = serial_cases(rtu_frame, lambda frame: frame[:-2], b"\x01\x03\xff\x00")
ASCII_CASES = serial_cases(lrc_frame, lambda frame: bytes.fromhex(frame[1:-4].decode()), b":0103FF\r\n:01\xff")
CALLED_CASES = {name: case for name, case in RTU_CASES.items() if "echo" not in name}
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
UDP_CASES = {name: case for name, case in TCP_CASES.items() if name != "fragmented"} | {
    "in two datagrams": Case(once(lambda _request, answer: [(0.0, answer[:8]), (0.0, answer[8:])]), "lost"),
    "twice": Case(lambda _n, _request, answer: [(0.0, answer), (0.0, answer)], "value"),
}


@contextlib.asynccontextmanager
async def modbus_rtu(case: Case) -> AsyncIterator[Bench]:
    """A pseudo-terminal with one unit whose registers hold their addresses."""
    peer = RtuPeer(Device(), case.fault)
    link = await open_link("modbus-rtu", {"port": peer.path, "baud": 115_200, **case.options}, SystemClock())
    try:
        yield two_sources(link)._replace(unplug=peer.close)
    finally:
        await link.close()
        peer.close()


@contextlib.asynccontextmanager
async def modbus_tcp(case: Case) -> AsyncIterator[Bench]:
    """The same unit behind TCP."""
    async with TcpPeer(Device(), case.fault).serve() as peer:
        link = await open_link("modbus-tcp", {"host": "127.0.0.1", "tcp_port": peer.port}, SystemClock())
        try:
            yield two_sources(link)._replace(unplug=peer.stop)
        finally:
            await link.close()


@contextlib.asynccontextmanager
async def modbus_ascii(case: Case) -> AsyncIterator[Bench]:
    """The same unit behind ASCII frames."""
    peer = AsciiPeer(Device(), case.fault)
    options = {"port": peer.path, "baud": 115_200, "data_bits": 8, **case.options}  # a pty has no seven
    link = await open_link("modbus-ascii", options, SystemClock())
    try:
        yield two_sources(link)._replace(unplug=peer.close)
    finally:
        await link.close()
        peer.close()


@contextlib.asynccontextmanager
async def modbus_udp(case: Case) -> AsyncIterator[Bench]:
    """The same unit behind datagrams."""
    async with UdpPeer(Device(), case.fault).serve() as peer:
        link = await open_link("modbus-udp", {"host": "127.0.0.1", "udp_port": peer.port}, SystemClock())
        try:
            yield two_sources(link)._replace(unplug=peer.stop)
        finally:
            await link.close()


@contextlib.asynccontextmanager
async def modbus_tls(case: Case) -> AsyncIterator[Bench]:
    """The same unit behind TLS, with a certificate of its own."""
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = self_signed(Path(folder))
        async with TcpPeer(Device(), case.fault, server_context(certificate, key)).serve() as peer:
            options = {"host": "127.0.0.1", "tcp_port": peer.port, "ca_file": str(certificate)}
            link = await open_link("modbus-tls", options, SystemClock())
            try:
                yield two_sources(link)._replace(unplug=peer.stop)
            finally:
                await link.close()


def free_port() -> int:
    """Return a TCP port nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def modbus_dial_in(case: Case) -> AsyncIterator[Bench]:
    """The same unit behind a 4G unit that calls, and tells now and then that it lives; names: test_dial_in.py."""
    port = free_port()
    options = {"listen": f"127.0.0.1:{port}", "baud": 115_200, "heartbeat": "hex:fefefefe"}
    link = await open_link("modbus-dial-in", options, SystemClock())
    bench = two_sources(link)
    peer = CallingPeer(Device(), case.fault, heartbeat=b"\xfe" * 4)
    try:
        async with peer.call(port):
            yield bench._replace(unplug=peer.stop)
    finally:
        await link.close()


MODBUS: dict[str, tuple[Callable[[Case], Any], dict[str, Case]]] = {
    "modbus-rtu": (modbus_rtu, RTU_CASES),
    "modbus-tcp": (modbus_tcp, TCP_CASES),
    "modbus-tls": (modbus_tls, TCP_CASES),
    "modbus-udp": (modbus_udp, UDP_CASES),
    "modbus-ascii": (modbus_ascii, ASCII_CASES),
    "modbus-dial-in": (modbus_dial_in, CALLED_CASES),
}
