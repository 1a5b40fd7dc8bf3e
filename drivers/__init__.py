"""Field drivers: bytes from a line become Blocks (and Ranges of worn tags), and nothing else.

A driver holds no loop, no retry, no pacing, no threshold and no log line: `edge_agent.poll` keeps the pace and reacts
to LinkError and DeviceError. It only ever reads: of Modbus, functions 1 to 4 and 43/14 can be expressed, no other.

    link = await open_link("modbus-rtu", {"port": "/dev/ttyUSB0", "baud": 9600, "parity": "E"}, clock)
    for source in link.sources(devices, points):       # one per device and period
        blocks = await source.read(clock.monotonic_s() + 1.0)

To add a driver: one module with `check_options(options)` and `async open_link(options, clock) -> Link`, one row in
DRIVERS, a device in `hardware_sim`, and its case in `tests/contract/test_drivers.py`. In a package of your own:
`plugins.py` and `hardware_sim/TUTORIAL.md`. To add an instrument: one file in
`profiles/`, every number with its document and page.
"""

import importlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from drivers.link import (
    Arrival,
    Clock,
    DeviceOptions,
    Exchange,
    Geodetic,
    Group,
    History,
    Learner,
    Link,
    Pace,
    PointOptions,
    Positions,
    Ranges,
    Sightings,
    Source,
    Stats,
    poll_groups,
)
from drivers.plugins import load_plugin, plugin_kinds
from drivers.profile import Profile, Signal, load_profile, profile_names
from drivers.refusal import Refusal, meaning
from twin_wire.errors import ConfigError

__all__ = [
    "DRIVERS",
    "Arrival",
    "Clock",
    "DeviceOptions",
    "Exchange",
    "Geodetic",
    "Group",
    "History",
    "Learner",
    "Link",
    "Pace",
    "PointOptions",
    "Positions",
    "Profile",
    "Ranges",
    "Refusal",
    "Sightings",
    "Signal",
    "Source",
    "Stats",
    "check_options",
    "kinds",
    "load_profile",
    "meaning",
    "open_link",
    "poll_groups",
    "profile_names",
]

DRIVERS = {
    "modbus-rtu": "drivers.modbus_rtu",
    "modbus-tcp": "drivers.modbus_tcp",
    "modbus-tls": "drivers.modbus_tls",
    "modbus-udp": "drivers.modbus_udp",
    "modbus-ascii": "drivers.modbus_ascii",
    "modbus-dial-in": "drivers.modbus_dial_in",
    "modbus-tap": "drivers.modbus_tap",
    "linktrack": "drivers.linktrack",
    "dwm1001": "drivers.dwm1001",
    "ble-hci": "drivers.ble_hci",
    "rfid": "drivers.rfid",
    "nmea": "drivers.nmea",
    "ascii-line": "drivers.ascii_line",
    "kj-file": "drivers.kj_file",
}


def kinds() -> tuple[str, ...]:
    """Return every kind of link there is: ours, and those of installed packages."""
    return (*DRIVERS, *(kind for kind in plugin_kinds() if kind not in DRIVERS))


def check_options(kind: str, options: Mapping[str, object]) -> str:
    """Return the link's address (two links may not share one) if `options` are usable; ConfigError, all faults."""
    check: Callable[[Mapping[str, object]], str] = _attribute(kind, "check_options")
    return check(options)


async def open_link(kind: str, options: Mapping[str, object], clock: Clock) -> Link:
    """Return the link for a `[[link]]` table without its id and kind; the port itself is opened by the first read."""
    opener: Callable[[Mapping[str, object], Clock], Awaitable[Link]] = _attribute(kind, "open_link")
    return await opener(options, clock)


def _attribute(kind: str, name: str) -> Any:
    path = DRIVERS.get(kind)
    if path is None:
        plugin = load_plugin(kind)
        if plugin is None:
            raise ConfigError(f"no driver {kind!r}", f"known: {', '.join(kinds())}", (("kind", f"no driver {kind!r}"),))
        return getattr(plugin, name)
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"driver {kind!r} needs {error.name}", "install mine-twin[edge]", (("kind", str(error)),)
        ) from error
    return getattr(module, name)
