"""One question at a time to any unit and register of a bus that nobody polls, for scan and identify."""

import asyncio
import contextlib
import time
from types import TracebackType
from typing import NamedTuple

from drivers import Stats
from drivers.line import Line
from drivers.modbus.bus import Bus
from drivers.modbus.pdu import Function, Identify, Read, exception_text, identification, request_pdu
from drivers.modbus.rtu import RtuFraming
from drivers.modbus.tcp import TcpFraming
from drivers.modbus.turnaround import Turnaround
from drivers.serial_line import SerialLine, SerialOptions
from drivers.tcp_line import ConverterOptions, TcpLine, TcpOptions
from edge_agent.claim import Setting, Target, open_alone
from edge_agent.clock import SystemClock
from twin_wire.errors import LinkError

PATIENCE = 12  # so many waits an exchange may take, fences and doubts included


class Seen(NamedTuple):
    """What a question brought: `code` None silence, 0 data, else the exception; frames as they were on the line."""

    data: bytes
    code: int | None
    request: bytes
    answer: bytes
    text: str
    time_us: int


class Probe:
    """A bus of our own for a while; use it with `async with`."""

    def __init__(
        self, target: Target, setting: Setting | None, wait_s: float, rtu: bool = False, echo: bool = False
    ) -> None:
        self.stats: dict[int, Stats] = {}  # by unit
        self._target, self._setting, self._wait_s = target, setting or Setting(), wait_s
        self._clock = SystemClock()
        self._rtu = bool(target.port) or rtu
        self._line = self._make_line()
        self._echo = echo
        self._bus = self._make_bus()
        self._turnarounds: dict[int, Turnaround] = {}

    def _make_bus(self) -> Bus:
        framing = RtuFraming(self._echo) if self._rtu else TcpFraming()
        return Bus(self._line, framing, self._clock, reconnects=not self._target.port)

    def _make_line(self) -> Line:
        target, setting = self._target, self._setting
        if target.port:
            parity, stop_bits = setting.parity, setting.stop_bits
            options = SerialOptions(port=target.port, baud=setting.baud, parity=parity, stop_bits=stop_bits)  # type: ignore[arg-type]
            return SerialLine(options, self._clock)
        if self._rtu:
            return TcpLine(ConverterOptions(host=target.host, tcp_port=target.tcp_port, baud=setting.baud), self._clock)
        return TcpLine(TcpOptions(host=target.host, tcp_port=target.tcp_port), self._clock)

    async def __aenter__(self) -> "Probe":
        if self._target.port:  # names who holds it, which the line does not
            (await asyncio.to_thread(open_alone, self._target.port, self._setting, 0.0)).close()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bus.close()

    async def open(self) -> None:
        """Open the port or connection; LinkError if that fails."""
        await self._line.open()

    async def forget(self) -> None:
        """Let a failure be over: where no value is used, an answer that comes late does no harm."""
        await asyncio.sleep(self._wait_s)
        self._line.take()
        self._bus = self._make_bus()
        self._turnarounds.clear()

    async def read(self, unit: int, function: int, address: int, count: int) -> Seen:
        """Ask for registers (bits for functions 1 and 2); LinkError only when the port or connection is gone."""
        return await self._ask(Read(unit, Function(function), address, count))

    async def identity(self, unit: int) -> tuple[dict[int, str], Seen]:
        """Ask who the unit is (function 43/14): object number → text, empty where it does not know."""
        seen = await self._ask(Identify(unit))
        with contextlib.suppress(IndexError):  # a list of objects shorter than it says is no list
            return (identification(seen.data) if seen.code == 0 else {}), seen
        return {}, seen

    async def _ask(self, request: Read | Identify) -> Seen:
        turnaround = self._turnarounds.setdefault(request.unit, Turnaround(0.02, self._wait_s))
        stats = self.stats.setdefault(request.unit, Stats())
        now_us = time.time_ns() // 1_000
        deadline_s = self._clock.monotonic_s() + PATIENCE * (self._wait_s + 0.3)
        try:
            answered = await self._bus.exchange(request, turnaround, stats, deadline_s, _never)
        except LinkError as error:
            if not self._bus.connected:
                await self._line.open()
            return Seen(b"", None, self._bus.question or request_pdu(request), b"", str(error), now_us)
        reply = answered.reply
        text = exception_text(reply.code) if reply.code else ""
        return Seen(reply.data, reply.code, self._bus.question, reply.frame, text, now_us)


def _never(_address: int, _length: int) -> bool:
    return False
