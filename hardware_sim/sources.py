"""Positioning sources of every kind along one roadway of the demo mine, and a truck above ground: `--positioning`."""

from pathlib import Path

from hardware_sim.ble import NAMESPACE, NETWORK
from hardware_sim.catalogue import DevicePlan, LinkPlan, PointPlan
from hardware_sim.plan import Anchor
from hardware_sim.profile import load_profile
from hardware_sim.site import COAL, Site
from twin_wire.errors import ConfigError

ROADWAY = "main-2"
TAG = 30  # who wears the module that is itself a tag
LINKS = (
    LinkPlan("dwm-worn", "dwm1001", 115_200, (("start", True), ("tag", TAG))),
    LinkPlan("dwm-ears", "dwm1001", 115_200, (("report", "lep"),)),
    *(
        LinkPlan(f"ble-{n}", "ble-hci", 115_200, (("start", True), ("networks", {"mine": NETWORK, "uid": NAMESPACE})))
        for n in (1, 2, 3)
    ),
    LinkPlan("rfid-gate", "rfid", 115_200, (("family", "r2000"), ("start", True), ("antennas", 2))),
    LinkPlan("rfid-door", "rfid", 57_600, (("family", "ur"),)),
    LinkPlan("truck", "nmea", 9_600),
)
ANCHORS = (
    *(Anchor(0x0C00 + n, device, ROADWAY, 20.0 + 130.0 * n) for device in ("dwm-worn", "dwm-ears") for n in range(3)),
    *(Anchor(0, f"ble-{n}", ROADWAY, 140.0 + 30.0 * (n - 1)) for n in (1, 2, 3)),
    Anchor(0, "rfid-gate", ROADWAY, 99.0),
    Anchor(1, "rfid-gate", ROADWAY, 162.0),
    Anchor(0, "rfid-door", ROADWAY, 149.0),
)
_OF_KIND = {  # kind: profile, signal, name
    "dwm1001": ("dwm1001", "tags_heard", "UWB module 定位模块"),
    "ble-hci": ("ble-hci", "tags_heard", "Beacon reader 蓝牙读卡器"),
    "rfid": ("rfid-uhf", "tags_heard", "UHF reader 射频读卡器"),
    "nmea": ("nmea-gnss", "satellites", "Truck 卡车"),
}


def with_sources(site: Site, profiles: Path) -> Site:
    """Return the demo mine with every positioning source added; ConfigError for another site or a profile missing."""
    if site.plan is not COAL:
        raise ConfigError("positioning sources stand in the coal mine only", hint="leave --site or --positioning out")
    planned = source_devices()
    loaded = {device.profile: load_profile(profiles, device.profile) for device in planned}
    return site._replace(
        links=(*site.links, *LINKS),
        devices=(*site.devices, *planned),
        anchors=(*site.anchors, *ANCHORS),
        profiles=site.profiles | loaded,
    )


def source_devices() -> tuple[DevicePlan, ...]:
    """Return the one device of every line, each with the one number it tells beside tags."""
    planned = []
    for link in LINKS:
        profile, signal, name = _OF_KIND[link.kind]
        point = PointPlan(f"{link.id}.{signal}", signal, "", f"{name} {link.id}")
        planned.append(DevicePlan(link.id, link.id, profile, 0, 1.0, f"{name} {link.id}", (point,)))
    return tuple(planned)
