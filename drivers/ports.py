"""From the options of a link to its transport: a serial port, or a serial line behind a TCP converter."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from drivers.line import Line
from drivers.link import Clock
from drivers.options import split_options
from drivers.serial_line import SerialLine, SerialListener, SerialOptions
from drivers.tcp_line import ConverterOptions, TcpLine, TcpListener, TcpOptions

Port = SerialOptions | TcpOptions


def split_port(options: Mapping[str, object], *others: type[msgspec.Struct]) -> tuple[Any, ...]:
    """Return (port, *others) from one table: with `host` a converter, else a serial port; ConfigError, all faults."""
    return split_options(options, ConverterOptions if "host" in options else SerialOptions, *others)


def address_of(port: Port) -> str:
    """Return what two links may not share."""
    if isinstance(port, SerialOptions):
        return str(Path(port.port).resolve())
    return f"{port.host.lower()}:{port.tcp_port}"


def listener_of(port: Port, clock: Clock, quiet: bool = False) -> SerialListener | TcpListener:
    """Return a transport that can only hear; `quiet`: on a line that others speak on."""
    return SerialListener(port, clock, quiet) if isinstance(port, SerialOptions) else TcpListener(port, clock)


def line_of(port: Port, clock: Clock) -> Line:
    """Return a transport that can also transmit."""
    return SerialLine(port, clock) if isinstance(port, SerialOptions) else TcpLine(port, clock)
