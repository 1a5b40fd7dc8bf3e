"""The link kind `modbus-rtu`: a serial line (`port`), or one behind a TCP converter (`host`, `tcp_port`)."""

from collections.abc import Mapping

import msgspec

from drivers.link import Clock, Link
from drivers.modbus.bus import Bus
from drivers.modbus.link import ModbusLink, ModbusListener
from drivers.modbus.rtu import UNIT_MAX, RtuFraming
from drivers.ports import address_of, line_of, listener_of, split_port
from drivers.tcp_line import TcpOptions


class EchoOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a shared pair of wires may do."""

    echo: bool = False  # the adapter returns what we send (two-wire RS-485 without suppression)


class RtuOptions(EchoOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a line of Modbus RTU has beside its port."""

    listen_only: bool = False  # another master owns this bus: nothing may ever be sent


def check_options(options: Mapping[str, object]) -> str:
    """Return the link's address; ConfigError with every fault."""
    return address_of(split_port(options, RtuOptions)[0])


async def open_link(options: Mapping[str, object], clock: Clock) -> Link:
    """Return the link; the port is opened by the first read."""
    port, rtu = split_port(options, RtuOptions)
    if rtu.listen_only:
        return ModbusListener(listener_of(port, clock))
    return ModbusLink(
        Bus(line_of(port, clock), RtuFraming(rtu.echo), clock, reconnects=isinstance(port, TcpOptions)), UNIT_MAX
    )
