"""The link kind `modbus-dial-in`: a device, often behind a 4G unit, connects to us; then it is asked as on any line."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from drivers.dial_in_line import DialInLine
from drivers.line import char_time_s, silence_s
from drivers.link import Clock, Link
from drivers.modbus.bus import Bus
from drivers.modbus.framing import Framing
from drivers.modbus.link import ModbusLink
from drivers.modbus.rtu import UNIT_MAX, RtuFraming
from drivers.modbus.tcp import TcpFraming
from drivers.modbus_tcp import UNIT_MAX as TCP_UNIT_MAX
from drivers.options import split_options
from twin_wire.errors import ConfigError

NAME_BYTES_MAX = 64
HEARTBEAT_BYTES_MIN = 4  # with TCP framing: what a header can never begin with


class DialInOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to listen and how the device says who it is; texts are sent as they are, `hex:` gives bytes."""

    listen: Annotated[str, Meta(min_length=3)]  # ADDRESS:PORT on this machine
    registration: str = ""  # the first bytes of each connection; without it the port is this device's alone
    heartbeat: str = ""  # what the unit sends between answers
    framing: Literal["rtu", "tcp"] = "rtu"
    baud: Annotated[int, Meta(ge=300, le=4_000_000)] = 9600  # of the serial line behind the unit
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1


class _Read(msgspec.Struct, frozen=True):
    """The options with their texts as bytes."""

    where: tuple[str, int]
    name: bytes
    heartbeat: bytes


def check_options(options: Mapping[str, object]) -> str:
    """Return the link's address; ConfigError with every fault."""
    (dial_in,) = split_options(options, DialInOptions)
    read = _read(dial_in)
    return f"listen {read.where[0]}:{read.where[1]} {read.name.hex()}".rstrip()


async def open_link(options: Mapping[str, object], clock: Clock) -> Link:
    """Return the link; the first read begins to listen."""
    (dial_in,) = split_options(options, DialInOptions)
    read = _read(dial_in)
    serial = dial_in.framing == "rtu"
    line = DialInLine(read.where, read.name, read.heartbeat, clock)
    if serial:
        line.char_s = char_time_s(dial_in.baud, dial_in.parity, dial_in.stop_bits)
        line.gap_s = silence_s(dial_in.baud, line.char_s)
        line.drops_heartbeats = True
    framing: Framing = RtuFraming() if serial else TcpFraming(read.heartbeat)
    return ModbusLink(Bus(line, framing, clock, reconnects=True), UNIT_MAX if serial else TCP_UNIT_MAX)


def _read(options: DialInOptions) -> _Read:
    found: list[tuple[str, str]] = []
    host, _, port = options.listen.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65_535:
        found.append(("listen", f"{options.listen!r} is not ADDRESS:PORT such as 10.8.0.1:5020"))
    texts = []
    for key in ("registration", "heartbeat"):
        text = getattr(options, key)
        try:
            data = bytes.fromhex(text[4:]) if text.startswith("hex:") else text.encode("ascii")
        except ValueError:
            found.append((key, "is neither ASCII text nor hex: and pairs of hexadecimal digits"))
            data = b""
        if len(data) > NAME_BYTES_MAX:
            found.append((key, f"has more than {NAME_BYTES_MAX} bytes"))
        texts.append(data)
    name, beat = texts
    if options.framing == "tcp" and beat and (len(beat) < HEARTBEAT_BYTES_MIN or beat[2:4] == b"\0\0"):
        found.append(("heartbeat", "could be the beginning of a Modbus TCP answer; set another in the unit"))
    if found:
        raise ConfigError(f"{found[0][0]}: {found[0][1]} ({len(found)} faults)", faults=tuple(found))
    return _Read((host, int(port)), name, beat)
