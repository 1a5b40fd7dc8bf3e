"""The link kind `modbus-udp`: one question and one answer per datagram, carried by pymodbus and checked here."""

from collections.abc import Mapping

from drivers.link import Clock, Link
from drivers.modbus.bus import Bus
from drivers.modbus.link import ModbusLink
from drivers.modbus.pymodbus_lines import UdpOptions, udp_line
from drivers.modbus.tcp import DatagramFraming
from drivers.modbus_tcp import UNIT_MAX
from drivers.options import split_options


def check_options(options: Mapping[str, object]) -> str:
    """Return the link's address; ConfigError with every fault."""
    (udp,) = split_options(options, UdpOptions)
    return f"udp {udp.host.lower()}:{udp.udp_port}"


async def open_link(options: Mapping[str, object], clock: Clock) -> Link:
    """Return the link; the socket is made by the first read."""
    (udp,) = split_options(options, UdpOptions)
    return ModbusLink(Bus(udp_line(udp, clock), DatagramFraming(), clock, reconnects=True), UNIT_MAX)
