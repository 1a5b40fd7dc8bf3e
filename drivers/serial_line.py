"""A serial port on the event loop: one to be heard is opened for reading alone, one to be asked by pyserial."""

import asyncio
import contextlib
import os
import termios
from typing import Annotated, Literal

import msgspec
import serial
from msgspec import Meta
from serial.rs485 import RS485Settings

from drivers.line import Chunk, Inbox, char_time_s, silence_s
from drivers.link import Clock
from drivers.serial_read import ReadOnlyPort
from twin_wire.errors import LinkError

READ_BYTES_MAX = 4096


class SerialOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one port; use a name under /dev/serial/by-path, which survives a re-plugged adapter."""

    port: Annotated[str, Meta(min_length=1)]
    baud: Annotated[int, Meta(ge=300, le=4_000_000)] = 9600
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1
    rs485: bool = False  # the kernel's driver switches the direction (TIOCSRS485)
    rs485_delay_before_ms: Annotated[float, Meta(ge=0, le=100)] = 0
    rs485_delay_after_ms: Annotated[float, Meta(ge=0, le=100)] = 0


class SerialListener:
    """A port that can only be heard; `quiet` also lets go of RTS, which may mean "transmit" to the adapter."""

    def __init__(self, options: SerialOptions, clock: Clock, quiet: bool = False) -> None:
        self.char_s = char_time_s(options.baud, options.parity, options.stop_bits)
        self.gap_s = silence_s(options.baud, self.char_s)
        self._options = options
        self._quiet = quiet
        self._inbox = Inbox(clock)
        self._port: serial.Serial | ReadOnlyPort | None = None
        self._fd = -1

    @property
    def lost_bytes(self) -> int:
        """Return how many bytes were given up because nobody fetched them in time."""
        return self._inbox.overflowed_bytes

    @property
    def connected(self) -> bool:
        """Tell whether the port is open."""
        return self._port is not None

    async def open(self) -> None:
        """Open the port, for this process alone, if it is not open; LinkError."""
        if self._port is not None:
            return
        port = self._open_port()
        # An FTDI adapter collects for 16 ms without it; a pseudo-terminal or other adapter refuses, and works as well.
        with contextlib.suppress(OSError, ValueError):
            port.set_low_latency_mode(True)
        self._inbox.clear()
        self._port, self._fd = port, port.fileno()
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    def _open_port(self) -> "serial.Serial | ReadOnlyPort":
        options = self._options
        try:
            port = ReadOnlyPort(options.port, options.baud, options.parity, options.stop_bits, self._quiet)
        except (OSError, ValueError, termios.error) as error:  # termios.error is no OSError
            raise _cannot_open(options.port, error) from error
        if options.rs485:
            try:
                port.set_rs485(options.rs485_delay_before_ms, options.rs485_delay_after_ms)
            except OSError as error:
                port.close()
                raise _no_rs485(options.port, error) from error
        return port

    async def receive(self, until_s: float) -> Chunk:
        """Return what arrives next, or NOTHING at `until_s`; LinkError when the port is gone."""
        return await self._inbox.receive(until_s)

    def take(self) -> list[Chunk]:
        """Return everything that arrived and was not received yet."""
        return self._inbox.take()

    def close(self) -> None:
        """Release the port."""
        self._lose(LinkError(f"{self._options.port} was closed"))

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(LinkError(f"{self._options.port} is gone: {error.strerror}", "unplugged?"))
            return
        if data:
            self._inbox.put(data)
        else:  # ready, yet empty: the other end hung up
            self._lose(LinkError(f"{self._options.port} is gone", "unplugged?"))

    def _lose(self, error: LinkError) -> None:
        port, self._port = self._port, None
        if port is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            with contextlib.suppress(OSError):
                port.close()
        self._inbox.fail(error)


class SerialLine(SerialListener):
    """A port that can also be written to."""

    def _open_port(self) -> serial.Serial:
        options = self._options
        try:
            port = serial.Serial(
                options.port,
                options.baud,
                serial.EIGHTBITS,
                options.parity,
                options.stop_bits,
                timeout=0,
                exclusive=True,
            )
        except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError, termios.error is not
            raise _cannot_open(options.port, error) from error
        try:
            set_direction(port, options)
        except LinkError:
            port.close()
            raise
        return port

    def write(self, data: bytes) -> None:
        """Send `data`; LinkError when the port is gone or takes no bytes."""
        if self._port is None:
            raise LinkError(f"{self._options.port} is not open")
        try:
            written = os.write(self._fd, data)
        except BlockingIOError:
            written = 0
        except OSError as error:
            self._lose(LinkError(f"{self._options.port} is gone: {error.strerror}", "unplugged?"))
            raise LinkError(f"{self._options.port} is gone: {error.strerror}", "unplugged?") from error
        if written != len(data):
            raise LinkError(f"{self._options.port} took {written} of {len(data)} bytes", "flow control held?")

    def drop(self) -> None:
        """Give up the port; the next `open` makes a new one."""
        self.close()


def set_direction(port: serial.Serial, options: SerialOptions) -> None:
    """Let the kernel switch the direction of a port that is asked to; LinkError if it cannot."""
    try:
        if options.rs485:
            port.rs485_mode = RS485Settings(
                delay_before_tx=options.rs485_delay_before_ms / 1e3,
                delay_before_rx=options.rs485_delay_after_ms / 1e3,
            )
    except (OSError, ValueError) as error:
        raise _no_rs485(options.port, error) from error


def _cannot_open(port: str, error: Exception) -> LinkError:
    return LinkError(f"cannot open {port}: {error}", "plugged in? used by another program?")


def _no_rs485(port: str, error: Exception) -> LinkError:
    return LinkError(
        f"{port} does not take the RS-485 setting: {error}",
        "set rs485 = false if the adapter switches its direction itself",
    )
