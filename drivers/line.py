"""What carries bytes: a Listener has no way to transmit, a Line has one more method; Inbox holds what arrived."""

import asyncio
from typing import NamedTuple, Protocol

from drivers.link import Clock
from twin_wire.errors import LinkError

SILENCE_CHARS = 3.5  # Modbus over Serial Line 1.02, 2.5.1.1
SILENCE_FIXED_S = 0.00175  # the same clause: above 19,200 baud
INBOX_BYTES_MAX = 1 << 18  # about three seconds at 921,600 baud


class Chunk(NamedTuple):
    """Bytes that arrived together and when (monotonic); empty when the time ran out."""

    data: bytes
    time_s: float


NOTHING = Chunk(b"", 0.0)


class Listener(Protocol):
    """A transport that can only hear: there is no method by which a byte could leave."""

    char_s: float  # one character on the wire, 0 where bytes have no pace
    gap_s: float  # silence that must precede a request

    @property
    def connected(self) -> bool:
        """Tell whether the port or connection is open."""

    async def open(self) -> None:
        """Open the port or connection if it is not open; LinkError if that fails now."""

    async def receive(self, until_s: float) -> Chunk:
        """Return what arrives next, or NOTHING at the monotonic `until_s`; LinkError when the port is gone."""

    def take(self) -> list[Chunk]:
        """Return everything that arrived and was not received yet, without waiting."""

    def close(self) -> None:
        """Release the port; a waiting `receive` ends with LinkError."""


class Line(Listener, Protocol):
    """A transport that can also transmit."""

    def write(self, data: bytes) -> None:
        """Send `data` at once; LinkError when the port is gone."""

    def drop(self) -> None:
        """Give up the connection, so that the next `open` makes a new one."""


async def open_by(listener: Listener, deadline_s: float, clock: Clock) -> None:
    """Open a port or connection by the monotonic `deadline_s`; LinkError."""
    try:
        async with asyncio.timeout(max(0.0, deadline_s - clock.monotonic_s())):
            await listener.open()
    except TimeoutError as error:
        raise LinkError("the port did not open before the deadline") from error


def char_time_s(baud: int, parity: str, stop_bits: int) -> float:
    """Return the time of one character on a serial line: start, 8 data, parity and stop bits."""
    return (9 + (parity != "N") + stop_bits) / baud


def silence_s(baud: int, char_s: float) -> float:
    """Return the silence that must precede a frame of Modbus RTU."""
    return SILENCE_FIXED_S if baud > 19_200 else SILENCE_CHARS * char_s


class Inbox:
    """Chunks in order of arrival, bounded in bytes (the oldest go first), with one waiter."""

    def __init__(self, clock: Clock) -> None:
        self.overflowed_bytes = 0
        self._clock = clock
        self._chunks: list[Chunk] = []
        self._bytes = 0
        self._error: LinkError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._until_s = 0.0  # of the waiter, by the loop's clock
        self._timer: asyncio.TimerHandle | None = None  # outlives a wait: most waits end long before their time

    def put(self, data: bytes) -> None:
        """Add bytes that arrived now."""
        self._chunks.append(Chunk(data, self._clock.monotonic_s()))
        self._bytes += len(data)
        while self._bytes > INBOX_BYTES_MAX:
            lost = len(self._chunks.pop(0).data)
            self._bytes -= lost
            self.overflowed_bytes += lost
        self._wake()

    def fail(self, error: LinkError) -> None:
        """Let the waiter, and everyone after what is left has been taken, end with `error`."""
        self._error = error
        self._wake()

    def clear(self) -> None:
        """Forget everything: a new connection begins."""
        self._chunks.clear()
        self._bytes = 0
        self._error = None

    def take(self) -> list[Chunk]:
        """Return all chunks that wait, oldest first."""
        chunks, self._chunks = self._chunks, []
        self._bytes = 0
        return chunks

    async def receive(self, until_s: float) -> Chunk:
        """Return the oldest chunk, waiting for it until `until_s`; NOTHING then; LinkError after `fail`."""
        if not self._chunks and self._error is None:
            await self._wait(until_s - self._clock.monotonic_s())
        if self._chunks:
            chunk = self._chunks.pop(0)
            self._bytes -= len(chunk.data)
            return chunk
        if self._error is not None:
            raise self._error
        return NOTHING

    async def _wait(self, seconds: float) -> None:
        if seconds <= 0:
            return
        loop = asyncio.get_running_loop()
        assert self._waiter is None, "one reader per line"
        self._until_s = loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._until_s:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = loop.call_at(self._until_s, self._time_up)
        self._waiter = loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _time_up(self) -> None:
        """Wake a waiter whose time is over; a timer left by an earlier wait is set anew for the one that waits now."""
        self._timer = None
        if self._waiter is None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._until_s:
            self._timer = loop.call_at(self._until_s, self._time_up)
        else:
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
