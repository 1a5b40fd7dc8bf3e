"""Lines that call us: devices behind 4G units connect to a port here and say by their first bytes who they are.

A name is no proof: whoever reaches the port and knows a name takes its place. Open the port to the operator's private
network only. What a stranger can cost is bounded: connections without a name, their bytes and their time.
"""

import asyncio
from weakref import WeakKeyDictionary

from drivers.line import Chunk, Inbox
from drivers.link import Clock
from drivers.tcp_line import set_tcp_options
from twin_wire.errors import LinkError

STRANGERS_MAX = 32  # connections that have not said who they are; the oldest goes first
STRANGER_BYTES_MAX = 256
STRANGER_S_MAX = 10.0
NAME_SILENCE_S = 0.3  # after it the name is complete: the name of another unit may begin with it
CALL_S_MAX = 1.0  # how long an opening waits for the call


class DialInLine:
    """The connection that a device with one name made to us, replaced whenever it calls again."""

    def __init__(self, where: tuple[str, int], name: bytes, heartbeat: bytes, clock: Clock) -> None:
        self.char_s = self.gap_s = 0.0
        self.drops_heartbeats = False  # where a frame can be found again without them
        self.name = name  # empty: whoever calls
        self._where = where
        self._heartbeat = heartbeat
        self._inbox = Inbox(clock)
        self._hub: _Hub | None = None
        self._caller: _Caller | None = None  # the connection in use
        self._next: _Caller | None = None  # one that came since
        self._called = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Tell whether the device's connection stands."""
        return self._caller is not None

    async def open(self) -> None:
        """Take the device's newest connection, waiting a moment for it; LinkError if it has not called."""
        if self._caller is not None:
            return
        if self._hub is None:
            self._hub = await _hub_of(self._where, self)
        if self._next is None:
            try:
                async with asyncio.timeout(CALL_S_MAX):
                    await self._called.wait()
            except TimeoutError:
                pass
        self._called.clear()
        if self._next is None:
            host, port = self._where
            raise LinkError(f"{self._said()} has not called {host}:{port}", "power, SIM, signal, its server address?")
        self._inbox.clear()
        self._caller, self._next = self._next, None

    async def receive(self, until_s: float) -> Chunk:
        """Return what arrives next, or NOTHING at `until_s`; LinkError when the connection is gone."""
        return await self._inbox.receive(until_s)

    def take(self) -> list[Chunk]:
        """Return everything that arrived and was not received yet."""
        return self._inbox.take()

    def write(self, data: bytes) -> None:
        """Send `data`; LinkError when there is no connection or the peer takes nothing."""
        if self._caller is None:
            raise LinkError(f"{self._said()} is not connected")
        if self._caller.transport.get_write_buffer_size() > 0:
            self.drop()
            raise LinkError(f"{self._said()} takes no bytes", "half-open connection?")
        self._caller.transport.write(data)

    def drop(self) -> None:
        """Give up the connection; the port stays open for the next call."""
        self._lose(LinkError(f"{self._said()} was dropped"))

    def close(self) -> None:
        """Release the connection, and the port if nobody else uses it."""
        if self._hub is not None:
            self._hub.leave(self)
            self._hub = None
        if self._next is not None:
            self._next.transport.abort()
            self._next = None
        self._lose(LinkError(f"{self._said()} was closed"))

    def is_named(self, data: bytes) -> bool:
        """Tell whether the first bytes of a connection are this device's name and no longer one."""
        rest = data[len(self.name) :].strip(b"\r\n\0")
        beat = self._heartbeat
        return data.startswith(self.name) and (not rest or (bool(beat) and not rest.replace(beat, b"")))

    def called(self, caller: "_Caller") -> None:
        """Take a new connection of the device: the old one, if any, is dead or about to be."""
        if self._next is not None:
            self._next.transport.abort()
        self._next = caller
        self._called.set()
        if self._caller is not None:
            self._lose(LinkError(f"{self._said()} called again"))

    def arrived(self, caller: "_Caller", data: bytes) -> None:
        """Take bytes of the connection in use; a packet of nothing but heartbeats is dropped."""
        beat = self._heartbeat if self.drops_heartbeats else b""
        if caller is self._caller and not (beat and data == beat * (len(data) // len(beat))):
            self._inbox.put(data)

    def gone(self, caller: "_Caller", reason: str) -> None:
        """Note that a connection is lost."""
        if caller is self._next:
            self._next = None
        elif caller is self._caller:
            self._lose(LinkError(f"{self._said()} is gone: {reason}"))

    def _lose(self, error: LinkError) -> None:
        caller, self._caller = self._caller, None
        if caller is not None:
            caller.transport.abort()
        self._inbox.fail(error)

    def _said(self) -> str:
        return f"the device {self.name.decode('ascii', 'backslashreplace')!r}" if self.name else "the device"


class _Hub:
    """One listening port and the lines that expect calls on it."""

    def __init__(self, where: tuple[str, int]) -> None:
        self.lines: dict[bytes, DialInLine] = {}
        self.strangers: list[_Caller] = []
        self._where = where
        self._server: asyncio.Server | None = None
        self._opening = asyncio.Lock()  # the lines of all links open at once

    async def join(self, line: DialInLine) -> None:
        """Expect calls for `line`; LinkError if the port or the name is taken."""
        other = self.lines.get(line.name)
        if (other is not None and other is not line) or (self.lines and (not line.name or b"" in self.lines)):
            raise LinkError(
                f"two links on {self._where[0]}:{self._where[1]} cannot be told apart", "give each a registration"
            )
        self.lines[line.name] = line
        for caller in [*self.strangers]:
            if caller.waits:
                caller.look()
        try:
            async with self._opening:
                if self._server is None:
                    loop = asyncio.get_running_loop()
                    self._server = await loop.create_server(lambda: _Caller(self), *self._where)
        except OSError as error:
            self.leave(line)
            text = f"cannot listen on {self._where[0]}:{self._where[1]}: {error.strerror or error}"
            raise LinkError(text, "used by another program? address of this machine?") from error
        except asyncio.CancelledError:
            self.leave(line)
            raise

    def leave(self, line: DialInLine) -> None:
        """Expect no more calls for `line`; the last one closes the port."""
        if self.lines.get(line.name) is line:
            del self.lines[line.name]
        if not self.lines:
            if self._server is not None:
                self._server.close()
                self._server = None
            for caller in [*self.strangers]:
                caller.transport.abort()

    def owner_of(self, data: bytes) -> DialInLine | None:
        """Return the line whose name is `data`, heartbeats and ends of line behind it apart."""
        return next((line for line in self.lines.values() if line.is_named(data)), None)


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, int], _Hub]] = WeakKeyDictionary()


async def _hub_of(where: tuple[str, int], line: DialInLine) -> _Hub:
    hub = _hubs.setdefault(asyncio.get_running_loop(), {}).setdefault(where, _Hub(where))
    await hub.join(line)
    return hub


class _Caller(asyncio.Protocol):
    """One connection made to us; a stranger until its first bytes name a line."""

    transport: asyncio.Transport

    def __init__(self, hub: _Hub) -> None:
        self._hub = hub
        self._line: DialInLine | None = None
        self._heard = b""
        self._timer: asyncio.TimerHandle | None = None
        self._silence: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        set_tcp_options(transport.get_extra_info("socket"))
        strangers = self._hub.strangers
        strangers.append(self)
        if len(strangers) > STRANGERS_MAX:
            strangers[0].transport.abort()
            del strangers[0]
        self._timer = asyncio.get_running_loop().call_later(STRANGER_S_MAX, transport.abort)
        if b"" in self._hub.lines:
            self._become(self._hub.lines[b""])

    def data_received(self, data: bytes) -> None:
        if self._line is not None:
            self._line.arrived(self, data)
            return
        self._heard += data
        possible = any(name.startswith(self._heard[: len(name)]) for name in self._hub.lines)
        if len(self._heard) > STRANGER_BYTES_MAX or not possible:
            self.transport.abort()
            return
        if self._silence is not None:
            self._silence.cancel()
        self._silence = asyncio.get_running_loop().call_later(NAME_SILENCE_S, self._named)

    def connection_lost(self, exc: Exception | None) -> None:
        self._quiet()
        if self._line is not None:
            self._line.gone(self, getattr(exc, "strerror", None) or "closed by the device")

    @property
    def waits(self) -> bool:
        """Tell whether it has said a whole name that nobody knew."""
        return bool(self._heard) and self._silence is None

    def _named(self) -> None:
        self._silence = None
        self.look()

    def look(self) -> None:
        """Find out whose connection this is, now that it has told its name."""
        line = self._hub.owner_of(self._heard)
        if line is not None and not self.transport.is_closing():
            self._become(line)  # what follows the name is no answer: nothing was asked yet

    def _become(self, line: DialInLine) -> None:
        self._quiet()
        self._line, self._heard = line, b""
        line.called(self)

    def _quiet(self) -> None:
        if self in self._hub.strangers:
            self._hub.strangers.remove(self)
        for timer in (self._timer, self._silence):
            if timer is not None:
                timer.cancel()
