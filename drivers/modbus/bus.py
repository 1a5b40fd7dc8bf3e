"""One question and its answer at a time on one line: waiting for silence, sending, listening, giving up."""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from drivers.line import Line, open_by
from drivers.link import Clock, Stats
from drivers.modbus.fence import Fence
from drivers.modbus.framing import Framing
from drivers.modbus.pdu import Read, Reply, Request, data_bytes
from drivers.modbus.planner import Cost
from drivers.modbus.tcp import TcpFraming
from drivers.modbus.turnaround import Turnaround
from drivers.modbus.window import PROOFS, Allowed, Window, probes_of
from twin_wire.errors import LinkError

SLACK_S = 0.03  # what an operating system may hold back a byte, beside the turnaround
DAMAGED_SILENCE_S = 0.02  # after so much silence an answer's worth of bytes without an answer is a damaged one
SILENT_MAX = 3  # questions in a row without any byte: a TCP connection may be half open, so it is made anew
REQUEST_BYTES, ANSWER_BYTES = 8, 5  # on a serial line, beside the data
TCP_REQUEST_S, TCP_REGISTER_S = 0.0002, 0.000_002


class Answered(NamedTuple):
    """An answer and when: last byte of the question sent, first byte of the answer received (monotonic, in order)."""

    reply: Reply
    sent_s: float
    first_s: float
    question: bytes


class Bus:
    """The line, its framing and its memory of failures; one exchange at a time."""

    def __init__(self, line: Line, framing: Framing, clock: Clock, reconnects: bool, window: int = 1) -> None:
        self.clock = clock
        self.question = b""  # what the newest exchange sent last, for the raw view
        self._line = line
        self._framing = framing
        self._reconnects = reconnects
        self._byte_s = line.char_s * framing.chars_per_byte
        self._fence = Fence()
        self._lock = asyncio.Lock()
        self._last_byte_s = 0.0
        self._silent = 0
        self._window = Window(window)
        self._waiting_for: dict[int, Stats] = {}  # who gave up on a unit last

    @property
    def connected(self) -> bool:
        """Tell whether the port is open."""
        return self._line.connected

    def window(self, unit: int) -> int:
        """Return how many questions `unit` may be asked at once."""
        return self._window.of(unit) if isinstance(self._framing, TcpFraming) else 1

    def notes(self) -> list[str]:
        """Return what an installer should know beside the counters."""
        return self._window.notes()

    def quiet_until_s(self, unit: int) -> float:
        """Return when `unit` may be asked again."""
        return self._fence.quiet_until_s(unit)

    def cost(self, turnaround_s: float, bits: bool) -> Cost:
        """Return what a request, and one register or bit in it, occupies the line."""
        byte_s = self._byte_s
        if byte_s == 0:
            return Cost(TCP_REQUEST_S + turnaround_s, TCP_REGISTER_S / (16 if bits else 1))
        request_s = (REQUEST_BYTES + ANSWER_BYTES) * byte_s + 2 * self._line.gap_s + turnaround_s
        return Cost(request_s, byte_s / 8 if bits else 2 * byte_s)

    def budget_s(self, request: Request, turnaround: Turnaround) -> float:
        """Return the longest the exchange may take before it is given up, silences and doubt included."""
        one = REQUEST_BYTES * self._byte_s + turnaround.allowance_s + self._transfer_s(request) + self._line.gap_s
        doubted = self._fence.in_doubt(request.unit, self.clock.monotonic_s())
        return 2 * one + turnaround.allowance_s if doubted else one

    async def exchange(
        self,
        request: Request,
        turnaround: Turnaround,
        stats: Stats,
        deadline_s: float,
        allowed: Callable[[int, int], bool],
    ) -> Answered:
        """Return the answer to `request`, an exception included; LinkError if none can be trusted by `deadline_s`."""
        await self._acquire(deadline_s)
        try:
            return await self._exchange(request, turnaround, stats, deadline_s, allowed)
        finally:
            self._lock.release()

    async def exchange_ahead(
        self, requests: Sequence[Read], turnaround: Turnaround, stats: Stats, deadline_s: float, allowed: Allowed
    ) -> list[Answered | None]:
        """Ask one unit several questions, at most its window unanswered; None for all if one has no answer of its own.

        The unit first has to show that it keeps them apart; one that does not, or an answer that is missing, makes its
        window 1 from now on. LinkError when the connection is lost.
        """
        unit, nothing = requests[0].unit, [None] * len(requests)
        await self._acquire(deadline_s)
        try:
            self.question = b""
            await self._settle(requests[0], turnaround, stats, deadline_s)
            for turn in range(0 if self._window.is_proven(unit) else PROOFS):
                probes = probes_of(requests, self._window.size, allowed, turn)
                proof = await self._ask_ahead(probes, turnaround, deadline_s)
                if not proof or any(answer is None or answer.reply.code for answer in proof):
                    self._window.narrow(unit, "did not keep the answers to several questions apart")
                    return [*nothing]
            self._window.prove(unit)
            answers = await self._ask_ahead(requests, turnaround, deadline_s)
            if None in answers:  # half an answer may have been filled up with the beginning of the next one
                self._window.narrow(unit, "did not answer all of several questions")
                return [*nothing]
            return answers
        finally:
            self._lock.release()

    async def _ask_ahead(
        self, requests: Sequence[Read], turnaround: Turnaround, deadline_s: float
    ) -> list[Answered | None]:
        framing = self._framing
        assert isinstance(framing, TcpFraming), "only transactions tell several answers apart"
        try:
            answers: list[Answered | None] = [None] * len(requests)
            sent: dict[int, tuple[int, float, bytes]] = {}
            asked = 0
            while asked < len(requests) or sent:
                while asked < len(requests) and len(sent) < self._window.size:
                    transaction, frame = framing.begin_ahead(requests[asked])
                    self._line.write(frame)
                    sent[transaction] = asked, self.clock.monotonic_s(), frame
                    asked += 1
                oldest_s = min(sent_s for _, sent_s, _ in sent.values())
                chunk = await self._line.receive(min(oldest_s + turnaround.allowance_s + SLACK_S, deadline_s))
                if not chunk.data:
                    break
                for transaction, reply in framing.feed_ahead(chunk.data):
                    place, sent_s, question = sent.pop(transaction)
                    turnaround.answered(max(0.0, chunk.time_s - sent_s))
                    answers[place] = Answered(reply, min(sent_s, chunk.time_s), chunk.time_s, question)
            return answers
        finally:
            framing.end_ahead()
            if framing.broken():
                self._line.drop()

    async def _acquire(self, deadline_s: float) -> None:
        if not self._lock.locked():
            await self._lock.acquire()
            return
        try:
            async with asyncio.timeout(max(0.0, deadline_s - self.clock.monotonic_s())):
                await self._lock.acquire()
        except TimeoutError as error:
            raise LinkError("the line was busy until the deadline") from error

    def close(self) -> None:
        """Release the port."""
        self._line.close()

    async def _exchange(
        self,
        request: Request,
        turnaround: Turnaround,
        stats: Stats,
        deadline_s: float,
        allowed: Callable[[int, int], bool],
    ) -> Answered:
        self.question = b""
        await self._settle(request, turnaround, stats, deadline_s)
        first = request
        if self._framing.fenced and isinstance(request, Read):
            first = self._fence.first_read(request, allowed, self.clock.monotonic_s())
        if first is not request:
            await self._ask(first, turnaround, stats, deadline_s)
            self._fence.answered(first)
            await self._settle(request, turnaround, stats, deadline_s)
        answered = await self._ask(request, turnaround, stats, deadline_s)
        if self._framing.fenced:
            if self._fence.in_doubt(request.unit, answered.first_s):
                await self._listen(request, turnaround, stats, deadline_s, answered)
            self._fence.answered(request)
        return answered

    async def _settle(self, request: Request, turnaround: Turnaround, stats: Stats, deadline_s: float) -> None:
        """Open the port, wait until the unit may be asked and the line is silent, and drop what came meanwhile."""
        if not self._line.connected:
            await open_by(self._line, deadline_s, self.clock)
            self._framing.reset()
            self._silent = 0
        needed_s = self.budget_s(request, turnaround)
        while True:
            for chunk in self._line.take():
                self._stale(chunk.data, stats)
                self._last_byte_s = chunk.time_s
            ready_s = max(self._fence.quiet_until_s(request.unit), self._last_byte_s + self._line.gap_s)
            now_s = self.clock.monotonic_s()
            if max(ready_s, now_s) + needed_s > deadline_s:
                raise LinkError(f"unit {request.unit}: the line is not free in time", "read again when pace() says so")
            if now_s >= ready_s:
                return
            chunk = await self._line.receive(ready_s)
            if chunk.data:
                self._stale(chunk.data, stats)
                self._last_byte_s = chunk.time_s

    async def _ask(self, request: Request, turnaround: Turnaround, stats: Stats, deadline_s: float) -> Answered:
        frame = self._framing.begin(request)
        self.question = frame
        self._line.write(frame)
        sent_s = self._last_byte_s = self.clock.monotonic_s() + len(frame) * self._line.char_s
        noise = self._framing.noise_bytes
        try:
            answered = await self._hear(request, turnaround, sent_s, deadline_s)
        except (asyncio.CancelledError, LinkError):  # the read was abandoned, or the port went: it may still come
            self._give_up(request, turnaround, stats, sent_s)
            raise
        stats.noise_bytes += self._framing.noise_bytes - noise
        if answered is None:
            verdict = self._framing.verdict()
            self._give_up(request, turnaround, stats, sent_s)
            if verdict.kind == "timeout":
                stats.timeouts += 1
                turnaround.failed()
                self._silent += 1
            elif verdict.kind == "crc":
                stats.crc_errors += 1
            else:
                stats.rejected += 1
            if self._framing.broken() or (self._reconnects and self._silent >= SILENT_MAX):
                self._line.drop()
            raise LinkError(verdict.text)
        self._silent = 0
        turnaround.answered(max(0.0, answered.first_s - sent_s))
        return answered

    async def _hear(
        self, request: Request, turnaround: Turnaround, sent_s: float, deadline_s: float
    ) -> Answered | None:
        """Feed the framing until it has the answer; None when it cannot come any more or in time."""
        framing, line = self._framing, self._line
        noise = framing.noise_bytes
        transfer_s = self._transfer_s(request)
        longest_s = sent_s + turnaround.timeout_s + transfer_s  # once it speaks it may take its declared time
        limit_s = sent_s + turnaround.allowance_s + transfer_s
        first_s = 0.0
        while True:
            chunk = await line.receive(min(limit_s, deadline_s))
            if not chunk.data:
                return None
            self._last_byte_s = max(self._last_byte_s, chunk.time_s)
            reply = framing.feed(chunk.data)
            if not first_s and (reply is not None or framing.begun()):
                first_s = chunk.time_s
            if reply is not None:
                if framing.noise_bytes > noise:  # the first byte was not the answer's
                    first_s = max(first_s, chunk.time_s - len(reply.frame) * line.char_s)
                return Answered(reply, min(sent_s, first_s), first_s, self.question)
            if framing.hopeless():
                return None
            if first_s:
                silent_s = chunk.time_s + max(line.gap_s, DAMAGED_SILENCE_S)
                limit_s = min(longest_s, silent_s) if framing.complete() else longest_s

    async def _listen(
        self, request: Request, turnaround: Turnaround, stats: Stats, deadline_s: float, answered: Answered
    ) -> None:
        """Listen for a second answer to one question; LinkError if one comes: then neither can be trusted."""
        until_s = min(self.clock.monotonic_s() + turnaround.allowance_s, deadline_s)
        data = b""
        while True:
            if self._framing.feed(data) is not None:
                stats.late += 1
                self._give_up(request, turnaround, stats, answered.sent_s)
                raise LinkError(f"unit {request.unit}: two answers to one question; neither can be trusted")
            chunk = await self._line.receive(until_s)
            if not chunk.data:
                return
            data = chunk.data
            self._last_byte_s = chunk.time_s

    def _give_up(self, request: Request, turnaround: Turnaround, stats: Stats, sent_s: float) -> None:
        self._waiting_for[request.unit] = stats
        if self._framing.fenced:
            self._fence.failed(request, sent_s, self.clock.monotonic_s(), turnaround.timeout_s)

    def _stale(self, data: bytes, stats: Stats) -> None:
        noise = self._framing.noise_bytes
        for unit in self._framing.stale(data):
            self._fence.came_late(unit)
            self._waiting_for.get(unit, stats).late += 1
        stats.noise_bytes += self._framing.noise_bytes - noise

    def _transfer_s(self, request: Request) -> float:
        size = data_bytes(request) if isinstance(request, Read) else 250
        return (size + ANSWER_BYTES) * self._byte_s + SLACK_S
