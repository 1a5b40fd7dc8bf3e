"""From the plan of a line to the positioning device on it; kinds and options are those of the gateway's [[link]]."""

from collections.abc import Callable, Iterable

from hardware_sim.ble import Controller
from hardware_sim.catalogue import LinkPlan
from hardware_sim.dwm1001 import Module
from hardware_sim.linktrack import Frames, Network
from hardware_sim.nmea import Receiver
from hardware_sim.plan import Anchor
from hardware_sim.pusher import Talker
from hardware_sim.rfid import Reader
from hardware_sim.sight import Worn
from twin_wire.errors import ConfigError

PERIOD_S = {"rfid": 0.25}  # between what a device says by itself, where it is not a second


def talker_of(link: LinkPlan, anchors: Iterable[Anchor], worn: Callable[[], Iterable[Worn]], seed: str) -> Talker:
    """Return the device of a link; ConfigError for a kind that is none here.

    With `start` among the options it is silent until the gateway has told it to begin.
    """
    options = dict(link.options)
    asked = bool(options.get("start", False))
    if link.kind == "linktrack":
        return Frames(Network(anchors, seed), worn)
    if link.kind == "dwm1001":
        report = str(options.get("report", "lec"))
        return Module(anchors, worn, seed, int(str(options.get("tag", 0))), "" if asked else report)
    if link.kind == "ble-hci":
        return Controller(anchors, worn, seed, scanning=not asked)
    if link.kind == "rfid":
        return Reader(anchors, worn, seed, str(options.get("family", "r2000")))
    if link.kind == "nmea":
        return Receiver(seed)
    raise ConfigError(f"no simulated device for a link of kind {link.kind!r}")
