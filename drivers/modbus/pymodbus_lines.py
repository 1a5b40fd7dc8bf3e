"""The one place that imports pymodbus: its transports for TLS, UDP and ASCII lines, and its ASCII codec.

Only bytes come from here. What they mean is decided by our framings, which check unit, function and length of every
answer; pymodbus' own client accepts answers of another function or length. A carrier serves one connection only, so
that nothing of an old one can reach a new one.
"""

import contextlib
import ssl
import termios
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from pymodbus.framer import FramerAscii
from pymodbus.pdu import DecodePDU
from pymodbus.transport import CommParams, CommType, ModbusProtocol

from drivers.line import INBOX_BYTES_MAX, Chunk, Inbox, char_time_s
from drivers.link import Clock
from drivers.serial_line import SerialOptions, set_direction
from drivers.tcp_line import CONNECT_S_MAX, TcpOptions, set_tcp_options
from twin_wire.errors import LinkError

_ASCII = FramerAscii(DecodePDU(False))


def ascii_frame(unit: int, pdu: bytes) -> bytes:
    """Return ':', the hexadecimal digits of unit, PDU and LRC, and the end of line."""
    return bytes(_ASCII.encode(pdu, unit, 0))


def read_ascii_frame(frame: bytes) -> tuple[int, bytes] | None:
    """Return (unit, PDU) of one frame from ':' to its end of line; None if its digits or its LRC are wrong."""
    try:
        used, unit, _, pdu = _ASCII.decode(frame)
    except ValueError:  # the unit's two characters are no digits
        return None
    return (unit, pdu) if pdu and used == len(frame) else None


class UdpOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where datagrams go; only datagrams from there are taken."""

    host: Annotated[str, Meta(min_length=1)]
    udp_port: Annotated[int, Meta(ge=1, le=65535)] = 502


class AsciiSerialOptions(SerialOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A serial port with the seven data bits of Modbus over Serial Line 1.02, 2.5.2; some devices use eight."""

    data_bits: Annotated[int, Meta(ge=7, le=8)] = 7


class PymodbusLine:
    """A line on one of pymodbus' transports."""

    def __init__(
        self, params: CommParams, where: str, clock: Clock, prepare: Callable[[Any], object] = lambda _: None
    ) -> None:
        self.char_s = 0.0
        self.gap_s = 0.0  # neither datagrams, nor records, nor ASCII frames need a silence between them
        self.server_name = ""  # what a certificate has to be for
        self._prepare = prepare  # takes the opened transport
        self._params = params
        self._where = where
        self._inbox = Inbox(clock)
        self._carrier: _Carrier | None = None

    @property
    def connected(self) -> bool:
        """Tell whether the port or connection is open."""
        return self._carrier is not None

    async def open(self) -> None:
        """Open the port or connection if it is not open; LinkError."""
        if self._carrier is not None:
            return
        self._inbox.clear()
        carrier = _Carrier(self._params, self)
        try:
            opened = await carrier.connect()
        except (ValueError, OSError, termios.error) as error:
            raise LinkError(f"cannot open {self._where}: {error}", "look at its settings") from error
        if not opened or carrier.lost:
            carrier.drop()
            raise LinkError(f"cannot open {self._where}: {carrier.why_not()}", "powered? cable? used by another?")
        try:
            self._prepare(carrier.transport)
        except LinkError:
            carrier.drop()
            raise
        self._carrier = carrier

    async def receive(self, until_s: float) -> Chunk:
        """Return what arrives next, a whole datagram on UDP, or NOTHING at `until_s`; LinkError when it is gone."""
        return await self._inbox.receive(until_s)

    def take(self) -> list[Chunk]:
        """Return everything that arrived and was not received yet."""
        return self._inbox.take()

    def write(self, data: bytes) -> None:
        """Send `data`; LinkError when the port or connection is gone."""
        if self._carrier is None:
            raise LinkError(f"{self._where} is not open")
        self._carrier.send(data)

    def drop(self) -> None:
        """Give up the connection; the next `open` makes a new one."""
        self.close()

    def close(self) -> None:
        """Release the port or connection."""
        self._lose(LinkError(f"{self._where} was closed"))

    def _lose(self, error: LinkError) -> None:
        carrier, self._carrier = self._carrier, None
        if carrier is not None:
            carrier.drop()
        self._inbox.fail(error)

    def arrived(self, carrier: "_Carrier", data: bytes) -> None:
        """Take bytes of the current connection."""
        if carrier is self._carrier:
            self._inbox.put(data)

    def gone(self, carrier: "_Carrier", exc: Exception | None) -> None:
        """Note that a connection is lost."""
        if carrier is self._carrier:
            self._lose(LinkError(f"{self._where} is gone: {exc or 'closed by the peer'}", "unplugged?"))


class _Carrier(ModbusProtocol):
    """One connection of pymodbus' transport layer; it never connects again by itself."""

    def __init__(self, params: CommParams, line: PymodbusLine) -> None:
        super().__init__(params, False)
        self.max_buffer_size = INBOX_BYTES_MAX
        self.lost = False
        self._line = line
        self._failure: BaseException | None = None
        call_create: Any = self.call_create
        if line.server_name:
            call_create = partial(call_create, server_hostname=line.server_name)

        async def create() -> object:
            try:
                return await call_create()
            except (OSError, ssl.SSLError) as error:
                self._failure = error  # pymodbus logs it and returns False
                raise

        self.call_create = create

    def why_not(self) -> str:
        """Return why there is no connection."""
        if isinstance(self._failure, ssl.SSLCertVerificationError):
            return f"the certificate is not the one expected: {self._failure.verify_message}"
        return str(self._failure or "no answer")

    def drop(self) -> None:
        """End the connection without waiting for the peer."""
        transport = self.transport
        self.close()
        abort = getattr(transport, "abort", None)
        if abort is not None and self.comm_params.comm_type is not CommType.SERIAL:
            abort()

    def callback_new_connection(self) -> ModbusProtocol:
        """Return nothing new: a client's transport never asks."""
        return self

    def callback_connected(self) -> None:
        """Nothing to do: `open` returns."""

    def callback_disconnected(self, exc: Exception | None) -> None:
        """Tell the line."""
        self.lost = True
        self._line.gone(self, exc)

    def callback_data(self, data: bytes, addr: tuple[object, ...] | None = None) -> int:  # noqa: ARG002 (theirs)
        """Hand everything on; nothing stays in pymodbus' buffer."""
        self._line.arrived(self, data)
        return len(data)


def udp_line(options: UdpOptions, clock: Clock) -> PymodbusLine:
    """Return a line of datagrams to one peer."""
    params = _params(CommType.UDP, options.host, options.udp_port)
    return PymodbusLine(params, f"udp {options.host}:{options.udp_port}", clock)


def tls_line(options: TcpOptions, context: ssl.SSLContext, server_name: str, clock: Clock) -> PymodbusLine:
    """Return a TLS connection checked by `context` for `server_name`."""
    params = _params(CommType.TLS, options.host, options.tcp_port)
    params.sslctx, params.timeout_connect = context, options.connect_timeout_s
    where = f"tls {options.host}:{options.tcp_port}"
    line = PymodbusLine(params, where, clock, lambda transport: set_tcp_options(transport.get_extra_info("socket")))
    line.server_name = server_name
    return line


def ascii_line(options: AsciiSerialOptions, clock: Clock) -> PymodbusLine:
    """Return a serial port for ASCII frames."""
    params = _params(CommType.SERIAL, options.port, 0)
    params.baudrate, params.parity, params.stopbits = options.baud, options.parity, options.stop_bits
    params.bytesize = options.data_bits
    line = PymodbusLine(params, options.port, clock, lambda transport: _prepare_port(transport.sync_serial, options))
    line.char_s = char_time_s(options.baud, options.parity, options.stop_bits) - (8 - options.data_bits) / options.baud
    return line


def _prepare_port(port: Any, options: AsciiSerialOptions) -> None:
    set_direction(port, options)
    with contextlib.suppress(OSError, ValueError):
        port.set_low_latency_mode(True)


def _params(kind: CommType, host: str, port: int) -> CommParams:
    return CommParams(
        comm_name="mine-twin", comm_type=kind, reconnect_delay=0.0, timeout_connect=CONNECT_S_MAX, host=host, port=port
    )
