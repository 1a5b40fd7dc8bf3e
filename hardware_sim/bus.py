"""Modbus units on a line: who is asked, how long they think, what the line does to the answer, and the counts."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hardware_sim.faults import FaultPlan
from hardware_sim.journal import Answer
from hardware_sim.line import Connection, PtyLine, TcpLine
from hardware_sim.modbus import (
    GATEWAY_TARGET,
    WRITES,
    Frame,
    Image,
    Read,
    answer,
    exception,
    read_of,
    rtu_frame,
    rtu_requests,
    tcp_frame,
    tcp_requests,
)

GAP_CHARACTERS = 3.5  # silence between frames; Modbus over serial line 1.02, 2.5.1.1
GAP_FAST_S = 0.00175  # fixed above 19200 baud
STALE_S = 0.25  # half a request older than this was noise
BUFFER_BYTES_MAX = 8192
REQUESTS_MAX = 256  # waiting on one line or connection


class Unit:
    """One device on a line: its registers, how long it thinks, whether it is alive, what it has answered.

    It is deaf for `deaf_s` after its power has come back.
    """

    def __init__(self, number: int, image: Image, turnaround_s: float, deaf_s: float = 0.0) -> None:
        self.number, self.image, self.turnaround_s, self.deaf_s = number, image, turnaround_s, deaf_s
        self._alive, self._awake_s = True, 0.0
        self.answers: Counter[Read] = Counter()  # complete and undisturbed
        self.exceptions: Counter[int] = Counter()
        self.disturbed: Counter[str] = Counter()
        self.writes_refused = 0

    @property
    def alive(self) -> bool:
        """Tell whether it has power."""
        return self._alive

    @alive.setter
    def alive(self, alive: bool) -> None:
        if alive and not self._alive:
            self._awake_s = time.monotonic() + self.deaf_s
        self._alive = alive

    def hears(self) -> bool:
        """Tell whether it answers now."""
        return self._alive and time.monotonic() >= self._awake_s


class Bus:
    """What serial and TCP lines share: units, faults, counts and the journal."""

    def __init__(self, link: str, faults: FaultPlan, record: Callable[[Answer], None]) -> None:
        self.link, self.faults, self._record = link, faults, record
        self.units: dict[int, Unit] = {}
        self.absent: Counter[int] = Counter()  # requests for units that are not there

    def add(self, unit: Unit) -> None:
        """Put a device on the line."""
        assert unit.number not in self.units
        self.units[unit.number] = unit

    def unit_of(self, frame: Frame) -> Unit | None:
        """Return the living device a request is for; None, counted, when nobody there answers."""
        unit = self.units.get(frame.unit)
        if unit is None or not unit.hears():
            self.absent[frame.unit] += 1
            return None
        if frame.pdu[0] in WRITES:
            unit.writes_refused += 1
        return unit

    def done(self, unit: Unit, pdu: bytes, answered: bytes, fault: str) -> None:
        """Count one answer that has left; only a whole, undisturbed read goes into the journal."""
        read = read_of(pdu)
        if fault:
            unit.disturbed[fault] += 1
        elif answered[0] & 0x80:
            unit.exceptions[answered[1]] += 1
        elif read is not None:
            unit.answers[read] += 1
            self._record(Answer(self.link, unit.number, read.function, read.address, read.size, answered[2:]))


class RtuBus(Bus):
    """Devices on a serial line; one frame at a time, units that are not there stay silent."""

    def __init__(self, link: str, path: Path, baud: int, faults: FaultPlan, record: Callable[[Answer], None]) -> None:
        super().__init__(link, faults, record)
        self.line = PtyLine(path, baud, self._received)
        self._buffer = bytearray()
        self._came_s = 0.0
        self._requests: asyncio.Queue[tuple[Frame, float]] = asyncio.Queue(REQUESTS_MAX)

    async def run(self) -> None:
        """Serve until cancelled; the port is plugged in first and out at the end."""
        self.line.plug()
        try:
            while True:
                frame, came_s = await self._requests.get()
                unit = self.unit_of(frame)
                if unit is not None and frame.unit != 0:
                    await self._serve(unit, frame, came_s)
        finally:
            self.line.unplug()

    async def unplug(self) -> None:
        """Pull the port out."""
        self.line.unplug()

    async def plug(self) -> None:
        """Plug the port in again; it is another pseudo-terminal behind the same symlink."""
        self.line.plug()

    async def _serve(self, unit: Unit, frame: Frame, came_s: float) -> None:
        loop = asyncio.get_running_loop()
        request = rtu_frame(frame.unit, frame.pdu)
        gap_s = max(GAP_CHARACTERS * self.line.wire_s(1), GAP_FAST_S)
        ready_s = came_s + self.line.wire_s(len(request)) + max(unit.turnaround_s, gap_s)
        await asyncio.sleep(max(0.0, ready_s - loop.time()))
        answered = answer(unit.image, frame.pdu)
        if answered is None:
            return
        sent = self.faults.disturb(rtu_frame, request, unit.number, answered, 0, loop.time())
        if sent.delay_s:
            await asyncio.sleep(sent.delay_s)
        whole = not sent.data or await self.line.send(sent.data)
        if whole:
            self.done(unit, frame.pdu, answered, sent.fault)

    def _received(self, data: bytes) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._came_s > STALE_S:
            self._buffer.clear()
        self._came_s = now_s
        self._buffer += data[-BUFFER_BYTES_MAX:]
        for frame in rtu_requests(self._buffer):
            if not self._requests.full():
                self._requests.put_nowait((frame, now_s))
        del self._buffer[:-BUFFER_BYTES_MAX]


class TcpBus(Bus):
    """Devices behind a TCP port; requests of one connection are answered in their order, pipelined ones too.

    Units that are not there stay silent, or answer exception 11 when the port is a gateway's.
    """

    def __init__(
        self, link: str, port: int, faults: FaultPlan, record: Callable[[Answer], None], gateway: bool = False
    ) -> None:
        super().__init__(link, faults, record)
        self.line = TcpLine(port, self._received)
        self.gateway = gateway
        self._queues: dict[Connection, asyncio.Queue[Frame]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Listen and serve until cancelled."""
        await self.line.plug()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            for task in self._tasks:
                task.cancel()
            await self.line.unplug()

    async def unplug(self) -> None:
        """Close the port and every connection."""
        await self.line.unplug()

    async def plug(self) -> None:
        """Open the port again."""
        await self.line.plug()

    def _received(self, connection: Connection, data: bytes) -> None:
        connection.buffer += data
        frames = tcp_requests(connection.buffer)
        if frames is None or len(connection.buffer) > BUFFER_BYTES_MAX:
            connection.cut()
            return
        queue = self._queues.get(connection)
        if queue is None:
            queue = self._queues[connection] = asyncio.Queue(REQUESTS_MAX)
            task = asyncio.create_task(self._serve(connection, queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            connection.ended = lambda: self._ended(connection, task)
        for frame in frames:
            if queue.full():
                connection.cut()
                return
            queue.put_nowait(frame)

    def _ended(self, connection: Connection, task: asyncio.Task[None]) -> None:
        self._queues.pop(connection, None)
        task.cancel()

    async def _serve(self, connection: Connection, queue: asyncio.Queue[Frame]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            frame = await queue.get()
            unit = self.unit_of(frame)
            if unit is None:
                if self.gateway:
                    refused = exception(frame.pdu[0], GATEWAY_TARGET)
                    connection.write(tcp_frame(frame.unit, refused, frame.transaction))
                continue
            if unit.turnaround_s:
                await asyncio.sleep(unit.turnaround_s)
            answered = answer(unit.image, frame.pdu)
            if answered is None:
                continue
            request = tcp_frame(frame.unit, frame.pdu, frame.transaction)
            sent = self.faults.disturb(tcp_frame, request, unit.number, answered, frame.transaction, loop.time())
            if sent.delay_s:
                await asyncio.sleep(sent.delay_s)
            if not sent.data or connection.write(sent.data):
                self.done(unit, frame.pdu, answered, sent.fault)
