"""The link kind `modbus-ascii`: a serial line of ASCII frames, carried by pymodbus and checked here."""

from collections.abc import Mapping

from drivers.link import Clock, Link
from drivers.modbus.ascii import AsciiFraming
from drivers.modbus.bus import Bus
from drivers.modbus.link import ModbusLink
from drivers.modbus.pymodbus_lines import AsciiSerialOptions, ascii_line
from drivers.modbus.rtu import UNIT_MAX
from drivers.modbus_rtu import EchoOptions
from drivers.options import split_options
from drivers.ports import address_of


def check_options(options: Mapping[str, object]) -> str:
    """Return the link's address; ConfigError with every fault."""
    return address_of(split_options(options, AsciiSerialOptions, EchoOptions)[0])


async def open_link(options: Mapping[str, object], clock: Clock) -> Link:
    """Return the link; the port is opened by the first read."""
    port, echo = split_options(options, AsciiSerialOptions, EchoOptions)
    return ModbusLink(Bus(ascii_line(port, clock), AsciiFraming(echo.echo), clock, reconnects=False), UNIT_MAX)
