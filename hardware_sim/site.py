"""Writes the folder a gateway starts from: structure.json, points.csv and gateway.toml of a simulated site."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hardware_sim.catalogue import DevicePlan, LinkPlan, PointPlan
from hardware_sim.nmea import HEIGHT_M, LATITUDE_DEG, LONGITUDE_DEG
from hardware_sim.plan import Anchor
from hardware_sim.profile import Profile, load_profile
from hardware_sim.sites import SITES, SitePlan
from twin_wire.errors import ConfigError

COAL = SITES["coal"]
SITE, SITE_NAME = COAL.site, COAL.name
COLUMNS = (
    *("point", "device", "signal", "name", "zone", "roadway", "chainage_m", "place"),
    *("warn_high", "alarm_high", "warn_low", "alarm_low", "hysteresis", "delay_s", "raw"),
)


class SiteOptions(NamedTuple):
    """What differs between two folders of the same site; no ruleset means the one of its kind."""

    gateway: str = "gw-1"
    tcp_port: int = 1502
    page: str = "127.0.0.1:8765"
    ruleset: str = ""


class Site(NamedTuple):
    """A site as built: its lines, instruments, anchors, the profiles they need and the plan behind it."""

    links: tuple[LinkPlan, ...]
    devices: tuple[DevicePlan, ...]
    anchors: tuple[Anchor, ...]
    profiles: dict[str, Profile]
    plan: SitePlan = COAL


def build_site(profiles: Path, kind: str = "coal") -> Site:
    """Return a site with the profiles of a directory; ConfigError with every signal a profile lacks."""
    if kind not in SITES:
        raise ConfigError(f"no site {kind!r}", hint=f"use one of {', '.join(SITES)}")
    plan = SITES[kind]
    planned = plan.devices()
    loaded = {name: load_profile(profiles, name) for name in sorted({device.profile for device in planned})}
    faults = [
        (f"{device.id}.{point.id}", f"profile {device.profile} has no signal {point.signal!r}")
        for device in planned
        for point in device.points
        if point.signal not in loaded[device.profile].signals
    ]
    if faults:
        raise ConfigError(f"{faults[0][0]}: {faults[0][1]}", faults=tuple(faults))
    return Site(plan.links, planned, plan.anchors, loaded, plan)


def write_site(site: Site, directory: Path, options: SiteOptions) -> None:
    """Write structure.json, points.csv and gateway.toml into a directory, made if it is not there."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "structure.json").write_text(_structure_of(site.plan), encoding="utf-8")
    (directory / "points.csv").write_text(points_text(site.devices), encoding="utf-8", newline="")
    (directory / "gateway.toml").write_text(gateway_text(site, directory.resolve(), options), encoding="utf-8")


def structure_text() -> str:
    """Return the structure document of the demo mine as JSON, one object a line."""
    return _structure_of(COAL)


def _structure_of(plan: SitePlan) -> str:
    layout = plan.layout
    curves = dict(layout.curves)
    tables: dict[str, list[dict[str, object]]] = {
        "junctions": [j._asdict() for j in layout.junctions],
        "roadways": [
            {
                "id": r.id,
                "from": r.start,
                "to": r.end,
                "length_m": layout.length_of(r),
                "area_m2": r.area_m2,
                "perimeter_m": r.perimeter_m,
                "zone": r.zone,
                "walkable": r.walkable,
                "name": r.name,
            }
            for r in layout.roadways
        ],
        "zones": [z._asdict() for z in layout.zones],
        "controls": [
            {"id": i, "kind": k, "roadway": r, "chainage_m": s, "serves": z, "name": n, "curve": curves.get(i, ())}
            for i, k, r, s, z, n in layout.controls
        ],
        "exits": [{"id": i, "junction": j, "name": n} for i, j, n in layout.exits],
        "refuges": [
            {"id": i, "roadway": r, "chainage_m": s, "capacity": c, "hours": h, "name": n}
            for i, r, s, c, h, n in layout.refuges
        ],
        "ponds": [pond._asdict() for pond in layout.ponds],
    }
    head: dict[str, object] = {"version": 1, "site": plan.site, "name": plan.name, "revision": 1}
    head |= {"kind": layout.kind, "datum": layout.datum}
    if plan is COAL:  # the receiver of the simulated satellites stands here; of the grid's origin
        head["georeference"] = {"latitude_deg": LATITUDE_DEG, "longitude_deg": LONGITUDE_DEG, "height_m": HEIGHT_M}
    lines = [f" {_json(key)}: {_json(value)}" for key, value in head.items()]
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
        "# Written by hardware-sim: the gateway of a site that does not exist.",
        "[gateway]",
        f"id = {_json(options.gateway)}",
        f"name = {_json(site.plan.gateway_name)}",
        f"site = {_json(site.plan.site)}",
        'state = "state"',
        'structure = "structure.json"',
        'points = "points.csv"',
        f"ruleset = {_json(options.ruleset or site.plan.ruleset)}",
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
