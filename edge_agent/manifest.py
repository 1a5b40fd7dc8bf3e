"""What this gateway is, as the manifest its batches refer to: devices, points with plain limits, its own points."""

from importlib import metadata

from edge_agent.config import Config
from edge_agent.health import HEALTH_GROUP, HEALTH_PERIOD_S, health_points
from edge_agent.site import Point
from twin_wire.errors import ConfigError
from twin_wire.manifest import Anchor, DeviceSpec, GroupSpec, Manifest, PointSpec, faults
from twin_wire.structure import structure_digest


def software() -> str:
    """Return the name and version of this program."""
    try:
        return f"mine-twin {metadata.version('mine-twin')}"
    except metadata.PackageNotFoundError:
        return "mine-twin (from a checkout)"


def _point(point: Point) -> PointSpec:
    row, signal = point.row, point.signal
    low, high = signal.range or (None, None)
    return PointSpec(
        id=row.point,
        quantity=signal.quantity,
        unit=signal.unit,
        decimals=signal.point_decimals,
        raw=row.raw,
        range_low=low,
        range_high=high,
        name=row.name,
        zone=row.zone,
        roadway=row.roadway,
        chainage_m=row.numbers.get("chainage_m"),
        device=row.device,
        limits=point.limits,
    )


def build_manifest(config: Config, enterprise: str, simulated: bool, program: str) -> Manifest:
    """Return the manifest of a checked configuration; ConfigError if it would be refused by a reader."""
    gateway = config.gateway.id
    own = health_points(gateway, [link.id for link in config.links])
    groups = [GroupSpec(g.id, g.device, g.period_s, g.points) for g in config.groups]
    groups.append(GroupSpec(HEALTH_GROUP, "", HEALTH_PERIOD_S, tuple(p.id for p in own)))
    ruleset = config.site.ruleset
    manifest = Manifest(
        enterprise=enterprise,
        site=config.gateway.site,
        gateway=gateway,
        software=program,
        simulated=simulated,
        structure=structure_digest(config.site.structure_body) if config.site.structure else "",
        ruleset=f"{ruleset.id}/{ruleset.version}" if ruleset else "",
        devices=tuple(DeviceSpec(d.id, config.profiles[d.profile].id, d.link, d.unit, d.name) for d in config.devices),
        groups=tuple(groups),
        points=(*(_point(p) for p in config.points), *own),
        anchors=tuple(
            Anchor(a.id, a.device, a.roadway, a.chainage_m, a.reach_m, a.gate, a.side, a.zone) for a in config.anchors
        ),
    )
    found = faults(manifest)
    if found:
        raise ConfigError(f"the manifest has {len(found)} fault(s)", "mend the configuration", found)
    return manifest
