"""The link kind `modbus-tls`: Modbus/TCP Security; the peer's certificate is always checked, ours is shown if named."""

import ssl
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from drivers.link import Clock, Link
from drivers.modbus.bus import Bus
from drivers.modbus.link import ModbusLink
from drivers.modbus.pymodbus_lines import tls_line
from drivers.modbus.tcp import TcpFraming
from drivers.modbus_tcp import UNIT_MAX
from drivers.options import split_options
from drivers.tcp_line import TcpOptions
from twin_wire.errors import ConfigError


class TlsOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to trust; a device that signed its own certificate is trusted by naming that certificate."""

    ca_file: Annotated[str, Meta(min_length=1)]  # PEM: the authority, or the device's own certificate
    server_name: str = ""  # the name in its certificate, if that is not `host`
    check_name: bool = True  # false: any name, for a certificate that carries none; ca_file must be its own then
    cert_file: str = ""  # PEM, ours, where the device wants one
    key_file: str = ""


class PortOptions(TcpOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to connect."""

    tcp_port: Annotated[int, Meta(ge=1, le=65535)] = 802  # the registered port of Modbus/TCP Security


def check_options(options: Mapping[str, object]) -> str:
    """Return the link's address; ConfigError with every fault, unreadable certificates included."""
    tcp, tls = split_options(options, PortOptions, TlsOptions)
    _context(tls)
    return f"{tcp.host.lower()}:{tcp.tcp_port}"


async def open_link(options: Mapping[str, object], clock: Clock) -> Link:
    """Return the link; the connection is made by the first read."""
    tcp, tls = split_options(options, PortOptions, TlsOptions)
    line = tls_line(tcp, _context(tls), tls.server_name or tcp.host, clock)
    return ModbusLink(Bus(line, TcpFraming(), clock, reconnects=True), UNIT_MAX)


def _context(tls: TlsOptions) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks the chain and the name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = tls.check_name
    found: list[tuple[str, str]] = []
    try:
        context.load_verify_locations(tls.ca_file)
    except (OSError, ssl.SSLError) as error:
        found.append(("ca_file", f"{tls.ca_file}: {error}"))
    if bool(tls.cert_file) != bool(tls.key_file):
        found.append(("key_file", "cert_file and key_file belong together"))
    elif tls.cert_file:
        try:
            context.load_cert_chain(tls.cert_file, tls.key_file)
        except (OSError, ssl.SSLError) as error:
            found.append(("cert_file", f"{tls.cert_file}, {tls.key_file}: {error}"))
    if found:
        raise ConfigError(f"{found[0][0]}: {found[0][1]} ({len(found)} faults)", faults=tuple(found))
    return context
