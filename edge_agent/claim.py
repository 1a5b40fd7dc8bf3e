"""Where instruments hang, and who else is there: a port or address as an installer types it, and its other users."""

import os
import socket
import termios
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import serial

import drivers
from edge_agent.config import Config
from twin_wire.errors import ConfigError, LinkError

TCP_PORT = 502
# Kinds of link on which no question of Modbus may ever be sent: they only listen, or say a few words of their own.
HEARD_ONLY = ("modbus-tap", "linktrack", "dwm1001", "ble-hci", "rfid", "nmea", "ascii-line")
ESTABLISHED = "01"  # /proc/net/tcp
COMMAND_CHARS_MAX = 60


class Target(NamedTuple):
    """A serial port by its path, or a TCP address; the other one is empty."""

    port: str = ""
    host: str = ""
    tcp_port: int = TCP_PORT

    def __str__(self) -> str:
        return self.port or f"{self.host}:{self.tcp_port}"


class Setting(NamedTuple):
    """How characters look on a serial line."""

    baud: int = 9600
    parity: str = "N"
    stop_bits: int = 1

    def __str__(self) -> str:
        return f"{self.baud} 8{self.parity}{self.stop_bits}"


def target_of(text: str) -> Target:
    """Return what a PORT or HOST[:PORT] means; ConfigError if it is neither."""
    if text.startswith(("/", ".")) or Path(text).exists():
        if not Path(text).exists():
            hint = "plugged in? look in /dev/serial/by-path"
            raise ConfigError(f"there is no port {text}", hint, ((text, "is not there"),))
        return Target(port=text)
    host, colon, number = text.rpartition(":")
    if not colon:
        host, number = text, str(TCP_PORT)
    if not host or not number.isdecimal() or not 0 < int(number) <= 65_535:
        raise ConfigError(f"{text!r} is neither a port nor HOST:PORT", faults=((text, "is not a place"),))
    return Target(host=host.strip("[]"), tcp_port=int(number))


def refuse_heard_only(target: Target, config: Config) -> None:
    """Refuse, with ConfigError, a target whose link the configuration marks as listen_only."""
    for link in config.links:
        silent = link.options.get("listen_only") or link.kind not in drivers.DRIVERS or link.kind in HEARD_ONLY
        if silent and is_at(link.options, target):
            text = f"link {link.id} is there, and nothing may be sent on it"
            raise ConfigError(text, "another master owns this bus: learn from its traffic", ((link.id, text),))


def is_at(options: Mapping[str, object], target: Target) -> bool:
    """Tell whether a link's options lead to a target, whatever name each has for it; this may wait for a resolver."""
    if target.port:
        port = str(options.get("port") or "")
        return port != "" and os.path.realpath(port) == os.path.realpath(target.port)
    host = str(options.get("host") or "")
    if not host or options.get("tcp_port", TCP_PORT) != target.tcp_port:
        return False
    return host.lower() == target.host.lower() or not _addresses(host).isdisjoint(_addresses(target.host))


def _addresses(host: str) -> set[str]:
    try:
        return {str(row[4][0]) for row in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):  # not known here now, or no name at all
        return set()


def open_alone(port: str, setting: Setting, timeout_s: float) -> serial.Serial:
    """Open a serial port for this process alone; LinkError that names who holds it."""
    others = [] if os.path.realpath(port).startswith("/dev/pts/") else list(holders(port))
    if others:
        raise _taken(port, others)
    try:
        return serial.Serial(
            port, setting.baud, 8, setting.parity, setting.stop_bits, timeout=timeout_s, exclusive=True
        )
    except (OSError, ValueError, termios.error) as error:  # termios.error is no OSError
        others = list(holders(port))
        if others or "lock" in str(error):
            raise _taken(port, others) from error
        raise LinkError(f"{port} cannot be opened: {error}", "may this user use it? group dialout") from error


def refuse_connected(target: Target) -> None:
    """Refuse, with LinkError, a TCP address that a process of this machine is connected to."""
    try:
        found = socket.getaddrinfo(target.host, target.tcp_port, socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise LinkError(f"{target.host} is not found: {error}", "right address?") from error
    wanted = {f"{socket.inet_aton(str(row[4][0]))[::-1].hex().upper()}:{target.tcp_port:04X}" for row in found}
    inodes = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[2] in wanted and fields[3] == ESTABLISHED:
            inodes.add(f"socket:[{fields[9]}]")
    others = [who for who, link in _open_files() if link in inodes]
    if others:
        raise _taken(str(target), others)


def holders(port: str) -> Iterator[str]:
    """Name the other processes that have a file open, as far as this user may see them."""
    path = os.path.realpath(port)
    return (who for who, link in _open_files() if link == path)


def _taken(where: str, others: list[str]) -> LinkError:
    who = ", ".join(dict.fromkeys(others)) or "another process"
    return LinkError(
        f"{where} is in use by {who}: two masters on one bus make wrong readings",
        "stop it first (systemctl stop edge-agent), or scan from the gateway's page, which pauses the link's polling",
    )


def _open_files() -> Iterator[tuple[str, str]]:
    """Yield (process, what one of its descriptors names) of every process but this one."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal() or int(folder.name) == os.getpid():
            continue
        try:
            links = [os.readlink(each) for each in (folder / "fd").iterdir()]
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:  # gone, or another user's
            continue
        who = f"process {folder.name} ({b' '.join(words).decode(errors='replace')[:COMMAND_CHARS_MAX].strip()})"
        yield from ((who, link) for link in links)
