"""The two kinds of line: a pseudo-terminal behind a symlink, paced as by its baud rate, and a TCP listener.

A pty has neither baud rate nor parity: pace is kept here by waiting, parity errors cannot be simulated.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
import termios
import tty
from collections.abc import Callable
from pathlib import Path

from twin_wire.errors import ConfigError, LinkError

CHARACTER_BITS = 10  # 8N1; a pty knows no parity
CHUNK_S = 0.008  # bytes written together: what a USB adapter's latency timer would join
READ_BYTES = 4096
CONNECTIONS_MAX = 8  # what a small PLC or gateway accepts


class PtyLine:
    """The far end of a serial port at `path`, a symlink to the pseudo-terminal now plugged in."""

    def __init__(self, path: Path, baud: int, on_bytes: Callable[[bytes], None]) -> None:
        self.path, self.baud, self._on_bytes = path, baud, on_bytes
        self._ends: tuple[int, int] | None = None

    @property
    def plugged(self) -> bool:
        """Tell whether the port exists."""
        return self._ends is not None

    def wire_s(self, size: int) -> float:
        """Return how long `size` bytes take on the wire."""
        return size * CHARACTER_BITS / self.baud

    def plug(self) -> None:
        """Make a pseudo-terminal and point the symlink at it; LinkError if there is none left."""
        if self._ends is not None:
            return
        try:
            near, far = os.openpty()
        except OSError as error:
            raise LinkError(f"no pseudo-terminal: {error}", hint="see kernel.pty.max") from error
        tty.setraw(near)
        tty.setraw(far)
        os.set_blocking(near, False)
        self._ends = near, far
        self._point(os.ttyname(far))
        asyncio.get_running_loop().add_reader(near, self._readable, near)

    def unplug(self) -> None:
        """Pull the adapter out: the port vanishes and whoever has it open gets an error."""
        if self._ends is None:
            return
        near, far = self._ends
        self._ends = None
        asyncio.get_running_loop().remove_reader(near)
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        os.close(far)
        os.close(near)

    def unread(self) -> int:
        """Return how many bytes lie in the port that nobody has fetched."""
        if self._ends is None:
            return 0
        return int(struct.unpack("i", fcntl.ioctl(self._ends[1], termios.FIONREAD, b"\0" * 4))[0])

    async def send(self, data: bytes) -> bool:
        """Put bytes on the line at its pace; False if the port went away or nobody makes room for them."""
        loop = asyncio.get_running_loop()
        begin, done = loop.time(), 0
        size = max(1, int(CHUNK_S * self.baud / CHARACTER_BITS))
        while done < len(data):
            upto = 1 if done == 0 and len(data) < READ_BYTES and size < len(data) else min(len(data), done + size)
            await asyncio.sleep(begin + self.wire_s(upto) - loop.time())
            if not self._write(data[done:upto]):
                return False
            done = upto
        return True

    def put(self, data: bytes) -> bool:
        """Put bytes on the line at once; False if the port went away or nobody makes room for them."""
        return self._write(data)

    def _write(self, data: bytes) -> bool:
        if self._ends is None:
            return False
        try:
            return os.write(self._ends[0], data) == len(data)
        except OSError:  # EAGAIN: the far side reads nothing; EIO: gone
            return False

    def _readable(self, near: int) -> None:
        try:
            data = os.read(near, READ_BYTES)
        except OSError:
            return
        if data:
            self._on_bytes(data)

    def _point(self, target: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f".{self.path.name}.new")
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        fresh.symlink_to(target)
        fresh.replace(self.path)


class TcpLine:
    """A listener on 127.0.0.1; `half_open` accepts and then says nothing."""

    def __init__(self, port: int, on_bytes: Callable[["Connection", bytes], None]) -> None:
        self.port, self._on_bytes = port, on_bytes
        self.half_open = False
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    @property
    def plugged(self) -> bool:
        """Tell whether the port is open."""
        return self._server is not None

    async def plug(self) -> None:
        """Listen; ConfigError if the port is taken. Port 0 takes a free one and keeps it."""
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", self.port)
        except OSError as error:
            raise ConfigError(
                f"TCP port {self.port}: {error.strerror}", hint="choose another with --tcp-port"
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def unplug(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for connection in list(self.connections):
            connection.cut()
        await server.wait_closed()

    def received(self, connection: "Connection", data: bytes) -> None:
        """Hand bytes on, unless the line is half-open."""
        if not self.half_open:
            self._on_bytes(connection, data)


class Connection(asyncio.Protocol):
    """One master on a TCP line; `buffer` and `ended` belong to whoever serves it."""

    def __init__(self, line: TcpLine) -> None:
        self._line = line
        self._transport: asyncio.Transport | None = None
        self.buffer = bytearray()
        self.ended: Callable[[], None] = _nothing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept, or hang up on one master too many."""
        assert isinstance(transport, asyncio.Transport)
        if len(self._line.connections) >= CONNECTIONS_MAX:
            transport.abort()
            return
        found = transport.get_extra_info("socket")
        if found is not None:
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport = transport
        self._line.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Pass what came to the line."""
        if self._transport is not None:
            self._line.received(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        del exc
        self._transport = None
        self._line.connections.discard(self)
        self.ended()

    def write(self, data: bytes) -> bool:
        """Send bytes; False if the master is gone."""
        if self._transport is None or self._transport.is_closing():
            return False
        self._transport.write(data)
        return True

    def cut(self) -> None:
        """Reset the connection."""
        if self._transport is not None:
            self._transport.abort()


def _nothing() -> None:
    return
