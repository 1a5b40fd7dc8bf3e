"""One TCP connection on the event loop, made again after it was lost, with a half-open peer found out by the kernel."""

import asyncio
import contextlib
import socket
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from drivers.line import Chunk, Inbox, char_time_s, silence_s
from drivers.link import Clock
from twin_wire.errors import LinkError

CONNECT_S_MAX = 3.0
KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_PROBES = 15, 5, 3
UNACKNOWLEDGED_MS_MAX = 10_000  # TCP_USER_TIMEOUT


class TcpOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to connect; one connection per host and port carries every unit behind it."""

    host: Annotated[str, Meta(min_length=1)]
    tcp_port: Annotated[int, Meta(ge=1, le=65535)] = 502
    connect_timeout_s: Annotated[float, Meta(gt=0, le=60)] = CONNECT_S_MAX


class ConverterOptions(TcpOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A serial line behind a TCP converter; its settings say how long bytes take there."""

    baud: Annotated[int, Meta(ge=300, le=4_000_000)] = 9600
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1


class TcpListener:
    """A connection that can only be heard."""

    def __init__(self, options: TcpOptions, clock: Clock) -> None:
        self.char_s = self.gap_s = 0.0
        if isinstance(options, ConverterOptions):
            self.char_s = char_time_s(options.baud, options.parity, options.stop_bits)
            self.gap_s = silence_s(options.baud, self.char_s)
        self._options = options
        self._inbox = Inbox(clock)
        self._transport: asyncio.Transport | None = None

    @property
    def connected(self) -> bool:
        """Tell whether the connection stands."""
        return self._transport is not None

    @property
    def lost_bytes(self) -> int:
        """Return how many bytes were given up because nobody fetched them in time."""
        return self._inbox.overflowed_bytes

    async def open(self) -> None:
        """Connect if not connected; LinkError if that fails or takes too long."""
        if self._transport is not None:
            return
        where = f"{self._options.host}:{self._options.tcp_port}"
        loop = asyncio.get_running_loop()
        self._inbox.clear()
        try:
            async with asyncio.timeout(self._options.connect_timeout_s):
                transport, _ = await loop.create_connection(
                    lambda: _Receiver(self), self._options.host, self._options.tcp_port
                )
        except TimeoutError as error:
            raise LinkError(f"cannot connect to {where}: no answer", "powered? right address?") from error
        except OSError as error:
            raise LinkError(f"cannot connect to {where}: {error.strerror or error}", "powered? cable?") from error
        if transport.is_closing():  # lost before we knew it: its connection_lost has nobody to tell
            raise LinkError(f"{where} hung up at once", "too many connections to it?")
        set_tcp_options(transport.get_extra_info("socket"))
        self._transport = transport

    async def receive(self, until_s: float) -> Chunk:
        """Return what arrives next, or NOTHING at `until_s`; LinkError when the connection is gone."""
        return await self._inbox.receive(until_s)

    def take(self) -> list[Chunk]:
        """Return everything that arrived and was not received yet."""
        return self._inbox.take()

    def close(self) -> None:
        """Drop the connection at once."""
        self._lose(LinkError(f"{self._options.host}:{self._options.tcp_port} was closed"))

    def _lose(self, error: LinkError) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        self._inbox.fail(error)


class TcpLine(TcpListener):
    """A connection that can also be written to."""

    def write(self, data: bytes) -> None:
        """Send `data`; LinkError when there is no connection or the peer takes nothing."""
        if self._transport is None:
            raise LinkError(f"{self._options.host}:{self._options.tcp_port} is not connected")
        if self._transport.get_write_buffer_size() > 0:
            self.close()
            raise LinkError(f"{self._options.host}:{self._options.tcp_port} takes no bytes", "half-open connection?")
        self._transport.write(data)

    def drop(self) -> None:
        """Give up the connection; the next `open` makes a new one."""
        self.close()


class _Receiver(asyncio.Protocol):
    """Hands the bytes of one connection to its listener, as long as it is the current one."""

    def __init__(self, listener: TcpListener) -> None:
        self._listener = listener
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._listener._inbox.put(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._listener._transport is self._transport:
            options = self._listener._options
            reason = getattr(exc, "strerror", None) or "closed by the peer"
            self._listener._lose(LinkError(f"{options.host}:{options.tcp_port} is gone: {reason}"))


def set_tcp_options(connection: socket.socket) -> None:
    """Let the kernel find a half-open peer, and send without delay."""
    # Not every platform has every option; none of them is needed for a healthy line.
    for level, name, value in (
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", KEEPALIVE_INTERVAL_S),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", KEEPALIVE_PROBES),
        (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", UNACKNOWLEDGED_MS_MAX),
        (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
    ):
        if hasattr(socket, name):
            with contextlib.suppress(OSError):
                connection.setsockopt(level, getattr(socket, name), value)
