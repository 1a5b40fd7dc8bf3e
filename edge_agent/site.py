"""What the configuration refers to outside gateway.toml: structure, ruleset, and the points joined with both."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import msgspec

from drivers import Profile, Signal
from edge_agent.points import PointRow, merge_limits, read_points, site_limits
from edge_agent.tables import AnchorTable, DeviceTable, Faults, GatewayTable, nearest
from twin_wire.errors import ConfigError, FormatError
from twin_wire.ids import is_id
from twin_wire.manifest import REACH_M_MAX, Limit
from twin_wire.ruleset import Ruleset, limits_for, load_ruleset
from twin_wire.structure import Structure, encode_structure, read_structure

FILE_BYTES_MAX = 8 << 20


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One line of points.csv with its signal and its limits as plain numbers."""

    row: PointRow
    signal: Signal
    limits: tuple[Limit, ...]


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """The mine around the gateway: its plan, and the rules that hold there."""

    structure: Structure | None
    structure_body: bytes
    ruleset: Ruleset | None


def read_file(path: Path, name: str, faults: Faults) -> bytes | None:
    """Return a file's bytes, None after adding the fault."""
    try:
        data = path.read_bytes()
    except OSError as error:
        faults.append((name, f"{path} cannot be read: {error.strerror or error}"))
        return None
    if len(data) > FILE_BYTES_MAX:
        faults.append((name, f"{path} is larger than {FILE_BYTES_MAX} bytes"))
        return None
    return data


def read_site(folder: Path, gateway: GatewayTable, faults: Faults) -> Site:
    """Read the structure document and the ruleset the gateway names."""
    structure = None
    if gateway.structure:
        data = read_file(folder / gateway.structure, "gateway.structure", faults)
        try:
            structure = read_structure(data) if data is not None else None
        except FormatError as error:
            found = error.faults or (("$", str(error)),)
            faults += [(f"{gateway.structure}:{path}", message) for path, message in found]
    if structure is not None and structure.site != gateway.site:
        faults.append(("gateway.site", f"is {gateway.site!r}, the structure is of {structure.site!r}"))
    body = encode_structure(structure) if structure else b""
    return Site(structure=structure, structure_body=body, ruleset=_ruleset(folder, gateway, faults))


def _ruleset(folder: Path, gateway: GatewayTable, faults: Faults) -> Ruleset | None:
    name = gateway.ruleset
    if not name:
        return None
    if name.endswith(".toml"):
        data = read_file(folder / name, "gateway.ruleset", faults)
    else:
        folder_of_all = resources.files("twin_wire").joinpath("rulesets")
        shipped = {p.name[:-5]: p for p in folder_of_all.iterdir() if p.name.endswith(".toml")}
        if name not in shipped:
            faults.append(("gateway.ruleset", f"there is no ruleset {name!r}{nearest(name, shipped)}"))
            return None
        data = shipped[name].read_bytes()
    try:
        return load_ruleset(data.decode()) if data is not None else None
    except UnicodeDecodeError:
        faults.append(("gateway.ruleset", "is not UTF-8"))
    except ConfigError as error:
        faults += [(f"{name}:{path}", message) for path, message in error.faults or (("", str(error)),)]
    return None


def check_anchors(anchors: list[tuple[int, AnchorTable]], devices: set[str], site: Site, faults: Faults) -> None:
    """Add the faults of anchors that stand nowhere."""
    lengths = {r.id: r.length_m for r in site.structure.roadways} if site.structure else {}
    seen: set[tuple[str, int]] = set()
    for place, anchor in anchors:
        path = f"anchor[{place}]"
        if anchor.device not in devices:
            faults.append((f"{path}.device", f"there is no device {anchor.device!r}{nearest(anchor.device, devices)}"))
        _check_place(path, anchor.roadway, anchor.chainage_m, lengths, site, faults)
        if (anchor.device, anchor.id) in seen:
            faults.append((f"{path}.id", f"anchor {anchor.id} of {anchor.device!r} is there twice"))
        seen.add((anchor.device, anchor.id))
        _check_gate(path, anchor, site, faults)
    for gate, sides in _sides(anchors).items():
        if sides != {"outer", "inner"}:
            faults.append(("anchor", f'gate {gate!r} needs an antenna on each side: side = "outer" and "inner"'))


def _check_gate(path: str, anchor: AnchorTable, site: Site, faults: Faults) -> None:
    zones = {zone.id for zone in site.structure.zones} if site.structure else set()
    if not 0 <= anchor.reach_m <= REACH_M_MAX:
        faults.append((f"{path}.reach_m", f"is not within 0 to {REACH_M_MAX:g} m"))
    if anchor.gate and not is_id(anchor.gate):
        faults.append((f"{path}.gate", "is not an identifier: letters, digits, _ . : -"))
    if anchor.side and not anchor.gate:
        faults.append((f"{path}.side", "needs a gate"))
    if anchor.zone and not anchor.gate:
        faults.append((f"{path}.zone", "needs a gate: an anchor's own zone is its roadway's"))
    elif anchor.zone and anchor.zone not in zones:
        faults.append((f"{path}.zone", f"there is no zone {anchor.zone!r}{nearest(anchor.zone, zones)}"))


def _sides(anchors: list[tuple[int, AnchorTable]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for _, anchor in anchors:
        if anchor.gate:
            found.setdefault(anchor.gate, set()).add(anchor.side)
    return found


def _check_place(
    path: str, roadway: str, chainage_m: float, lengths: Mapping[str, float], site: Site, faults: Faults
) -> None:
    if site.structure is None:
        faults.append((f"{path}.roadway", "needs a structure: name one in gateway.structure"))
    elif roadway not in lengths:
        faults.append((f"{path}.roadway", f"there is no roadway {roadway!r}{nearest(roadway, lengths)}"))
    elif not 0 <= chainage_m <= lengths[roadway]:
        faults.append((f"{path}.chainage_m", f"{chainage_m:g} is not within 0 to {lengths[roadway]:g} m"))


def read_site_points(
    folder: Path,
    file: str,
    devices: Mapping[str, DeviceTable],
    profiles: Mapping[str, Profile],
    site: Site,
    faults: Faults,
) -> tuple[Point, ...]:
    """Return the points of points.csv, each with its signal and its limits; faults with line and column."""
    data = read_file(folder / file, "gateway.points", faults)
    rows = read_points(data, file, faults) if data is not None else []
    seen: dict[str, int] = {}
    points: list[Point] = []
    for row in rows:
        path = f"{file}:{row.line}"
        if row.point in seen:
            faults.append((f"{path}:point", f"{row.point!r} is in line {seen[row.point]} already"))
        seen.setdefault(row.point, row.line)
        _check_row_place(row, path, site, faults)
        signal = _signal(row, path, devices, profiles, faults)
        if signal is not None:
            points.append(Point(row=row, signal=signal, limits=_limits(row, signal, path, site.ruleset, faults)))
    return tuple(points)


def _check_row_place(row: PointRow, path: str, site: Site, faults: Faults) -> None:
    zones = {zone.id for zone in site.structure.zones} if site.structure else set()
    if row.zone and site.structure is None:
        faults.append((f"{path}:zone", "needs a structure: name one in gateway.structure"))
    elif row.zone and row.zone not in zones:
        faults.append((f"{path}:zone", f"there is no zone {row.zone!r}{nearest(row.zone, zones)}"))
    if row.roadway:
        lengths = {r.id: r.length_m for r in site.structure.roadways} if site.structure else {}
        chainage_m = row.numbers.get("chainage_m", 0.0)
        before = len(faults)
        _check_place(path, row.roadway, chainage_m, lengths, site, faults)
        faults[before:] = [(where.replace(f"{path}.", f"{path}:"), message) for where, message in faults[before:]]
    elif "chainage_m" in row.numbers:
        faults.append((f"{path}:chainage_m", "needs a roadway"))


def _signal(
    row: PointRow, path: str, devices: Mapping[str, DeviceTable], profiles: Mapping[str, Profile], faults: Faults
) -> Signal | None:
    device = devices.get(row.device)
    if device is None:
        faults.append((f"{path}:device", f"there is no device {row.device!r}{nearest(row.device, devices)}"))
        return None
    profile = profiles.get(device.profile)
    if profile is None:  # the device's own fault is listed already
        return None
    signal = profile.signal(row.signal)
    if signal is None:
        known = [s.id for s in profile.signals]
        faults.append((f"{path}:signal", f"{profile.id!r} has no signal {row.signal!r}{nearest(row.signal, known)}"))
    return signal


def _limits(row: PointRow, signal: Signal, path: str, ruleset: Ruleset | None, faults: Faults) -> tuple[Limit, ...]:
    own = site_limits(row, signal.point_decimals, path, faults)
    if not row.place:
        return merge_limits(own, ())
    if ruleset is None:
        faults.append((f"{path}:place", "needs a ruleset: name one in gateway.ruleset"))
        return ()
    places = {place.id for place in ruleset.places}
    if row.place not in places:
        faults.append((f"{path}:place", f"{row.place!r} is not a place of the ruleset{nearest(row.place, places)}"))
        return ()
    return merge_limits(own, limits_for(ruleset, signal.quantity, row.place, signal.unit))
