"""Writes the folder a gateway starts from: structure.json, points.csv and gateway.toml of the demo mine."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hardware_sim.catalogue import DevicePlan, LinkPlan, PointPlan
from hardware_sim.instruments import LINKS, devices
from hardware_sim.nmea import HEIGHT_M, LATITUDE_DEG, LONGITUDE_DEG
from hardware_sim.plan import ANCHORS, CONTROLS, EXITS, JUNCTIONS, REFUGES, ROADWAYS, ZONES, Anchor, length_of
from hardware_sim.profile import Profile, load_profile
from twin_wire.errors import ConfigError

SITE = "demo-mine"
SITE_NAME = "Demo mine (simulated) 示范煤矿（模拟）"
COLUMNS = (
    *("point", "device", "signal", "name", "zone", "roadway", "chainage_m", "place"),
    *("warn_high", "alarm_high", "warn_low", "alarm_low", "hysteresis", "delay_s", "raw"),
)
FAN_CURVE = ((0.0, 2800.0), (20.0, 2660.0), (40.0, 2240.0), (60.0, 1540.0), (80.0, 560.0))  # H0 - a Q², mine.py


class SiteOptions(NamedTuple):
    """What differs between two folders of the same mine."""

    gateway: str = "gw-1"
    tcp_port: int = 1502
    page: str = "127.0.0.1:8765"
    ruleset: str = "coal-cn"


class Site(NamedTuple):
    """The demo mine as built: its lines, instruments, anchors and the profiles they need."""

    links: tuple[LinkPlan, ...]
    devices: tuple[DevicePlan, ...]
    anchors: tuple[Anchor, ...]
    profiles: dict[str, Profile]


def build_site(profiles: Path) -> Site:
    """Return the demo mine with the profiles of a directory; ConfigError with every signal a profile lacks."""
    planned = devices()
    loaded = {name: load_profile(profiles, name) for name in sorted({device.profile for device in planned})}
    faults = [
        (f"{device.id}.{point.id}", f"profile {device.profile} has no signal {point.signal!r}")
        for device in planned
        for point in device.points
        if point.signal not in loaded[device.profile].signals
    ]
    if faults:
        raise ConfigError(f"{faults[0][0]}: {faults[0][1]}", faults=tuple(faults))
    return Site(LINKS, planned, ANCHORS, loaded)


def write_site(site: Site, directory: Path, options: SiteOptions) -> None:
    """Write structure.json, points.csv and gateway.toml into a directory, made if it is not there."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "structure.json").write_text(structure_text(), encoding="utf-8")
    (directory / "points.csv").write_text(points_text(site.devices), encoding="utf-8", newline="")
    (directory / "gateway.toml").write_text(gateway_text(site, directory.resolve(), options), encoding="utf-8")


def structure_text() -> str:
    """Return the structure document as JSON, one object a line."""
    curves = {"fan-main": FAN_CURVE}
    tables: dict[str, list[dict[str, object]]] = {
        "junctions": [j._asdict() for j in JUNCTIONS],
        "roadways": [
            {
                "id": r.id,
                "from": r.start,
                "to": r.end,
                "length_m": length_of(r),
                "area_m2": r.area_m2,
                "perimeter_m": r.perimeter_m,
                "zone": r.zone,
                "walkable": r.walkable,
                "name": r.name,
            }
            for r in ROADWAYS
        ],
        "zones": [z._asdict() for z in ZONES],
        "controls": [
            {"id": i, "kind": k, "roadway": r, "chainage_m": s, "serves": z, "name": n, "curve": curves.get(i, ())}
            for i, k, r, s, z, n in CONTROLS
        ],
        "exits": [{"id": i, "junction": j, "name": n} for i, j, n in EXITS],
        "refuges": [
            {"id": i, "roadway": r, "chainage_m": s, "capacity": c, "hours": h, "name": n}
            for i, r, s, c, h, n in REFUGES
        ],
        "ponds": [],
    }
    head = {"version": 1, "site": SITE, "name": SITE_NAME, "revision": 1, "kind": "underground"}
    head["datum"] = "own grid, z from the pit mouth"
    here = {"latitude_deg": LATITUDE_DEG, "longitude_deg": LONGITUDE_DEG, "height_m": HEIGHT_M}  # of the grid's origin
    lines = [f" {_json(key)}: {_json(value)}" for key, value in (head | {"georeference": here}).items()]
    for key, rows in tables.items():
        body = ",\n".join(f"  {_json(row)}" for row in rows)
        lines.append(f" {_json(key)}: [\n{body}\n ]" if rows else f" {_json(key)}: []")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def points_text(planned: Sequence[DevicePlan]) -> str:
    """Return points.csv: one line a point, empty where something does not apply."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for device in planned:
        for point in device.points:
            writer.writerow(_point_row(device, point))
    return out.getvalue()


def gateway_text(site: Site, directory: Path, options: SiteOptions) -> str:
    """Return gateway.toml for a folder whose lines lie in its `dev` directory."""
    lines = [
        "# Written by hardware-sim: the gateway of a mine that does not exist.",
        "[gateway]",
        f"id = {_json(options.gateway)}",
        'name = "North wing gateway 北翼网关"',
        f"site = {_json(SITE)}",
        'state = "state"',
        'structure = "structure.json"',
        'points = "points.csv"',
        f"ruleset = {_json(options.ruleset)}",
        "",
        "[page]",
        f"listen = {_json(options.page)}",
    ]
    for link in site.links:
        lines += ["", "[[link]]", f"id = {_json(link.id)}", f"kind = {_json(link.kind)}"]
        if link.kind == "modbus-tcp":
            lines += ['host = "127.0.0.1"', f"tcp_port = {options.tcp_port}"]
        else:
            lines += [f"port = {_json(str(directory / 'dev' / link.id))}", f"baud = {link.baud}"]
            lines += ['parity = "N"', "stop_bits = 1"]
        lines += [f"{key} = {_toml(value)}" for key, value in link.options]
    for device in site.devices:
        lines += ["", "[[device]]", f"id = {_json(device.id)}", f"link = {_json(device.link)}"]
        lines += [f"profile = {_json(device.profile)}", f"unit = {device.unit}", f"period_s = {device.period_s}"]
        lines += [f"name = {_json(device.name)}"]
    for anchor in site.anchors:
        lines += ["", "[[anchor]]", f"id = {anchor.id}", f"device = {_json(anchor.device)}"]
        lines += [f"roadway = {_json(anchor.roadway)}", f"chainage_m = {anchor.chainage_m}"]
    return "\n".join(lines) + "\n"


def _point_row(device: DevicePlan, point: PointPlan) -> list[str]:
    numbers = (
        point.warn_high,
        point.alarm_high,
        point.warn_low,
        point.alarm_low,
        point.hysteresis,
        point.delay_s,
    )
    texts = [point.id, device.id, point.signal, point.name, point.zone, point.roadway]
    chainage = "" if point.chainage_m is None else f"{point.chainage_m:g}"
    return [*texts, chainage, point.place, *("" if n is None else f"{n:g}" for n in numbers), ""]


def _toml(value: object) -> str:
    """Return a text, number, truth value or table of texts as TOML writes it in one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_json(text)}" for key, text in value.items()) + " }"
    return _json(value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
