"""The link kind `modbus-tcp`: one connection to a device or gateway, shared by every unit behind it."""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from drivers.link import Clock, Link
from drivers.modbus.bus import Bus
from drivers.modbus.link import ModbusLink, ModbusListener
from drivers.modbus.tcp import TcpFraming
from drivers.options import split_options
from drivers.ports import address_of
from drivers.tcp_line import TcpLine, TcpListener, TcpOptions

UNIT_MAX = 255  # a device without units behind it often wants 255 or 0


class ListenOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a Modbus TCP link has beside its address."""

    listen_only: bool = False
    window: Annotated[int, Meta(ge=1, le=16)] = 1  # questions at once; many devices drop or mix up all but the first


def check_options(options: Mapping[str, object]) -> str:
    """Return the link's address; ConfigError with every fault."""
    return address_of(split_options(options, TcpOptions, ListenOptions)[0])


async def open_link(options: Mapping[str, object], clock: Clock) -> Link:
    """Return the link; the connection is made by the first read."""
    tcp, listen = split_options(options, TcpOptions, ListenOptions)
    if listen.listen_only:
        return ModbusListener(TcpListener(tcp, clock))
    return ModbusLink(Bus(TcpLine(tcp, clock), TcpFraming(), clock, True, listen.window), UNIT_MAX)
