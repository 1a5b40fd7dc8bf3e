"""The link kind `modbus-tap`: a serial Modbus bus that another master polls; it is heard, and nothing is ever sent.

Behind a converter (`host`, `tcp_port`) it takes the bytes of the converter's monitor port, both voices in one stream.
"""

from collections.abc import Mapping

import msgspec

from drivers.link import Clock, Link
from drivers.modbus.tap_link import TapLink
from drivers.ports import address_of, listener_of, split_port
from twin_wire.errors import ConfigError


class TapOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tap has beside its port; `listen_only` may be written down, it is always true."""

    listen_only: bool = True


def check_options(options: Mapping[str, object]) -> str:
    """Return the link's address; ConfigError with every fault."""
    port, tap = split_port(options, TapOptions)
    if not tap.listen_only:
        text = "a tap has no transmitter: it always only listens"
        raise ConfigError(text, 'to ask yourself, use kind = "modbus-rtu"', (("listen_only", text),))
    return address_of(port)


async def open_link(options: Mapping[str, object], clock: Clock) -> Link:
    """Return the link; the port is opened, for reading alone, by the first read."""
    check_options(options)
    port, _ = split_port(options, TapOptions)
    return TapLink(listener_of(port, clock, quiet=True), clock)
