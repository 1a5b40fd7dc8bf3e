"""The demo mine on paper: junctions, roadways, zones, controls and the share of the air each roadway carries.

Metres; x east, y north, z up from the pit mouth. `share` is the part of the main fan's air that flows from the
roadway's first junction to its second; at every junction the shares add up, and a test says so.
"""

from functools import cache
from typing import NamedTuple


class Junction(NamedTuple):
    """A place where roadways meet or end."""

    id: str
    x_m: float
    y_m: float
    z_m: float


class Roadway(NamedTuple):
    """A straight roadway between two junctions; `air` names the zone of the air model that fills it."""

    id: str
    start: str
    end: str
    zone: str
    area_m2: float
    perimeter_m: float
    share: float
    air: str
    walkable: bool
    name: str


class Zone(NamedTuple):
    """A part of the mine with a kind and the most people allowed in it (0: no limit)."""

    id: str
    kind: str
    headcount_max: int
    name: str


class Pond(NamedTuple):
    """A tailings pond as the structure document tells of it; elevations in m, storage as (level, volume m³)."""

    id: str
    name: str
    zone: str
    crest_m: float
    freeboard_min_m: float
    beach_min_m: float
    storage: tuple[tuple[float, float], ...]


class Layout(NamedTuple):
    """A site on paper; controls, exits and refuges are rows as below."""

    kind: str  # of the structure document
    datum: str
    junctions: tuple[Junction, ...]
    roadways: tuple[Roadway, ...]
    zones: tuple[Zone, ...]
    controls: tuple[tuple[str, str, str, float, str, str], ...] = ()
    exits: tuple[tuple[str, str, str], ...] = ()
    refuges: tuple[tuple[str, str, float, int, float, str], ...] = ()
    ponds: tuple[Pond, ...] = ()
    curves: tuple[tuple[str, tuple[tuple[float, float], ...]], ...] = ()  # of fans: flow m³/s, pressure Pa

    def length_of(self, way: Roadway) -> float:
        """Return the length in m of a roadway, exact to the millimetre (roadways are straight)."""
        by_id = {j.id: j for j in self.junctions}
        return _apart(by_id[way.start], by_id[way.end])

    def flows(self) -> list[tuple[str, str]]:
        """Return pairs of roadways with the air going from the first into the second; dead ends breathe at one end."""
        comes: dict[str, list[str]] = {}
        goes: dict[str, list[str]] = {}
        for way in self.roadways:
            goes.setdefault(way.start, []).append(way.id)
            comes.setdefault(way.end if way.share else way.start, []).append(way.id)
        return [
            (one, other) for at, ways in comes.items() for one in ways for other in goes.get(at, ()) if one != other
        ]


class Anchor(NamedTuple):
    """A UWB anchor of one positioning network; `id` is its number in that network's frames."""

    id: int
    device: str
    roadway: str
    chainage_m: float


JUNCTIONS = (
    Junction("j-portal-main", 0, 0, 0),
    Junction("j-portal-aux", 0, 60, 0),
    Junction("j-shaft-top", 560, 180, 4),
    Junction("j-main-bottom", 520, 0, -180),
    Junction("j-aux-bottom", 520, 60, -180),
    Junction("j-pump-end", 520, -70, -180),
    Junction("j-shaft-bottom", 560, 180, -178),
    Junction("j-m1", 700, 60, -180),
    Junction("j-m2", 1000, 60, -182),
    Junction("j-m3", 1280, 60, -184),
    Junction("j-m4", 1600, 60, -186),
    Junction("j-a0", 1640, 60, -186),
    Junction("j-a-face", 2060, 60, -180),
    Junction("j-b1", 700, 0, -180),
    Junction("j-b3", 1280, 0, -184),
    Junction("j-b0", 1340, -30, -184),
    Junction("j-b-face", 1340, -410, -190),
    Junction("j-lw-in", 1280, 700, -178),
    Junction("j-lw-out", 1460, 700, -176),
    Junction("j-r1", 700, 120, -178),
    Junction("j-r2", 1000, 120, -180),
    Junction("j-r3", 1340, 120, -182),
    Junction("j-r3x", 1460, 120, -182),
    Junction("j-r4", 1640, 120, -184),
)

ZONES = (
    Zone("z-surface", "surface", 0, "Surface yard 地面工业广场"),
    Zone("z-incline", "roadway", 0, "Inclines 井筒"),
    Zone("z-pit", "chamber", 0, "Pit bottom 井底车场"),
    Zone("z-main", "intake", 0, "Main intake 轨道大巷"),
    Zone("z-belt", "roadway", 0, "Belt roadway 胶带大巷"),
    Zone("z-intake-gate", "intake", 0, "1101 intake gate 1101运输顺槽"),
    Zone("z-face", "face", 16, "1101 longwall face 1101综采工作面"),
    Zone("z-return-gate", "return", 0, "1101 return gate 1101回风顺槽"),
    Zone("z-heading-a", "heading", 9, "Heading A 掘进工作面A"),
    Zone("z-heading-b", "heading", 9, "Heading B 掘进工作面B"),
    Zone("z-return", "return", 0, "Main return 总回风巷"),
)

# (id, from, to, zone, area, perimeter, share of the air, air zone, walkable, name)
ROADWAYS = tuple(
    Roadway(*row)
    for row in (
        (
            "main-incline",
            "j-portal-main",
            "j-main-bottom",
            "z-incline",
            14,
            15.5,
            0.40,
            "intake",
            True,
            "Main incline 主斜井",
        ),
        (
            "aux-incline",
            "j-portal-aux",
            "j-aux-bottom",
            "z-incline",
            13,
            15,
            0.60,
            "intake",
            True,
            "Service incline 副斜井",
        ),
        (
            "return-shaft",
            "j-shaft-bottom",
            "j-shaft-top",
            "z-return",
            12,
            12.5,
            1.0,
            "return",
            False,
            "Return shaft 回风立井",
        ),
        (
            "pit-link",
            "j-main-bottom",
            "j-aux-bottom",
            "z-pit",
            14,
            15.5,
            0.05,
            "intake",
            True,
            "Pit bottom link 井底联络巷",
        ),
        (
            "pump-chamber",
            "j-main-bottom",
            "j-pump-end",
            "z-pit",
            16,
            16.5,
            0.0,
            "intake",
            True,
            "Pump chamber 中央水泵房",
        ),
        ("main-1", "j-aux-bottom", "j-m1", "z-main", 15, 16, 0.65, "intake", True, "Main intake 1 轨道大巷1"),
        ("main-2", "j-m1", "j-m2", "z-main", 15, 16, 0.71, "intake", True, "Main intake 2 轨道大巷2"),
        ("main-3", "j-m2", "j-m3", "z-main", 15, 16, 0.67, "intake", True, "Main intake 3 轨道大巷3"),
        ("main-4", "j-m3", "j-m4", "z-main", 14, 15.5, 0.27, "intake", True, "Main intake 4 轨道大巷4"),
        ("belt-1", "j-main-bottom", "j-b1", "z-belt", 14, 15.5, 0.35, "intake", True, "Belt roadway 1 胶带大巷1"),
        ("belt-2", "j-b1", "j-b3", "z-belt", 14, 15.5, 0.25, "intake", True, "Belt roadway 2 胶带大巷2"),
        ("cross-1", "j-b1", "j-m1", "z-belt", 12, 14, 0.10, "intake", True, "Crosscut 1 联络巷1"),
        ("cross-3", "j-b3", "j-m3", "z-belt", 12, 14, 0.15, "intake", True, "Crosscut 3 联络巷3"),
        ("doors-1", "j-m1", "j-r1", "z-main", 12, 14, 0.04, "intake", True, "Air doors 1 风门联络巷1"),
        ("doors-2", "j-m2", "j-r2", "z-main", 12, 14, 0.04, "intake", True, "Air doors 2 风门联络巷2"),
        (
            "intake-gate",
            "j-m3",
            "j-lw-in",
            "z-intake-gate",
            14,
            15.5,
            0.55,
            "intake",
            True,
            "1101 intake gate 运输顺槽",
        ),
        ("face", "j-lw-in", "j-lw-out", "z-face", 16, 17, 0.55, "face", True, "1101 face 综采工作面"),
        ("return-gate", "j-lw-out", "j-r3x", "z-return-gate", 13, 15, 0.55, "face", True, "1101 return gate 回风顺槽"),
        ("a-mouth", "j-m4", "j-a0", "z-main", 14, 15.5, 0.27, "intake", True, "Heading A mouth 掘进A巷口"),
        ("heading-a", "j-a0", "j-a-face", "z-heading-a", 12, 14, 0.0, "heading_a", True, "Heading A 掘进巷A"),
        ("a-return", "j-a0", "j-r4", "z-return", 12, 14, 0.27, "heading_a", True, "Heading A return 掘进A回风"),
        ("b-mouth", "j-b3", "j-b0", "z-belt", 12, 14, 0.10, "intake", True, "Heading B mouth 掘进B巷口"),
        ("heading-b", "j-b0", "j-b-face", "z-heading-b", 12, 14, 0.0, "heading_b", True, "Heading B 掘进巷B"),
        ("b-overcast", "j-b0", "j-r3", "z-return", 10, 12.7, 0.10, "heading_b", True, "Heading B overcast 掘进B风桥"),
        ("return-4", "j-r4", "j-r3x", "z-return", 13, 15, 0.27, "return", True, "Main return 4 总回风巷4"),
        ("return-3b", "j-r3x", "j-r3", "z-return", 13, 15, 0.82, "return", True, "Main return 3b 总回风巷3乙"),
        ("return-3", "j-r3", "j-r2", "z-return", 13, 15, 0.92, "return", True, "Main return 3 总回风巷3"),
        ("return-2", "j-r2", "j-r1", "z-return", 13, 15, 0.96, "return", True, "Main return 2 总回风巷2"),
        ("return-1", "j-r1", "j-shaft-bottom", "z-return", 13, 15, 1.0, "return", True, "Main return 1 总回风巷1"),
    )
)

# (id, kind, roadway, chainage_m, zone served, name)
CONTROLS = (
    ("fan-main", "fan", "return-shaft", 178.0, "", "Main fan 主通风机"),
    ("fan-a", "local_fan", "a-mouth", 10.0, "z-heading-a", "Local fan A 局部通风机A"),
    ("duct-a", "duct_end", "heading-a", 412.0, "z-heading-a", "Duct end A 风筒出口A"),
    ("fan-b", "local_fan", "b-mouth", 12.0, "z-heading-b", "Local fan B 局部通风机B"),
    ("duct-b", "duct_end", "heading-b", 372.0, "z-heading-b", "Duct end B 风筒出口B"),
    ("door-1a", "door", "doors-1", 20.0, "", "Door 1a 风门1甲"),
    ("door-1b", "door", "doors-1", 40.0, "", "Door 1b 风门1乙"),
    ("door-2a", "door", "doors-2", 20.0, "", "Door 2a 风门2甲"),
    ("door-2b", "door", "doors-2", 40.0, "", "Door 2b 风门2乙"),
    ("regulator-4", "regulator", "return-4", 40.0, "", "Regulator 4 调节风窗4"),
    ("seal-goaf", "seal", "return-gate", 2.0, "", "Goaf seal 采空区密闭"),
    ("pump-1", "pump", "pump-chamber", 40.0, "", "Pump 1 水泵1"),
    ("pump-2", "pump", "pump-chamber", 50.0, "", "Pump 2 水泵2"),
    ("pump-3", "pump", "pump-chamber", 60.0, "", "Pump 3 水泵3"),
)

# (id, junction, name) and (id, roadway, chainage_m, capacity, hours, name)
EXITS = (
    ("exit-main", "j-portal-main", "Main portal 主斜井井口"),
    ("exit-aux", "j-portal-aux", "Service portal 副斜井井口"),
)
REFUGES = (
    ("refuge-lw", "intake-gate", 560.0, 40, 96.0, "Refuge, intake gate 避难硐室1"),
    ("refuge-a", "main-4", 300.0, 20, 96.0, "Refuge, heading A 避难硐室2"),
)

# Near the ends of roadways: an anchor amid a roadway cannot tell its two sides apart by a single range.
ANCHORS = (
    Anchor(0, "uwb-1", "main-incline", 4.0),
    Anchor(1, "uwb-1", "main-incline", 545.0),
    Anchor(2, "uwb-1", "aux-incline", 4.0),
    Anchor(3, "uwb-1", "aux-incline", 545.0),
    Anchor(4, "uwb-1", "pump-chamber", 65.0),
    Anchor(5, "uwb-1", "main-2", 298.0),
    Anchor(6, "uwb-1", "belt-2", 290.0),
    Anchor(7, "uwb-1", "belt-2", 575.0),
    Anchor(0, "uwb-2", "main-3", 278.0),
    Anchor(1, "uwb-2", "heading-a", 20.0),
    Anchor(2, "uwb-2", "heading-a", 410.0),
    Anchor(3, "uwb-2", "heading-b", 20.0),
    Anchor(4, "uwb-2", "heading-b", 370.0),
    Anchor(5, "uwb-2", "intake-gate", 330.0),
    Anchor(6, "uwb-2", "face", 5.0),
    Anchor(7, "uwb-2", "face", 175.0),
)
FAN_CURVE = ((0.0, 2800.0), (20.0, 2660.0), (40.0, 2240.0), (60.0, 1540.0), (80.0, 560.0))  # H0 - a Q², world.py
COAL = Layout(
    "underground", "own grid, z from the pit mouth", JUNCTIONS, ROADWAYS, ZONES, CONTROLS, EXITS, REFUGES,
    curves=(("fan-main", FAN_CURVE),),
)  # fmt: skip


@cache
def roadway_by_id() -> dict[str, Roadway]:
    """Return the roadways by their ids."""
    return {r.id: r for r in ROADWAYS}


@cache
def junction_by_id() -> dict[str, Junction]:
    """Return the junctions by their ids."""
    return {j.id: j for j in JUNCTIONS}


@cache
def length_of(roadway: Roadway) -> float:
    """Return the length in m of a roadway, exact to the millimetre (roadways are straight)."""
    by_id = junction_by_id()
    return _apart(by_id[roadway.start], by_id[roadway.end])


def _apart(a: Junction, b: Junction) -> float:
    return float(round(((a.x_m - b.x_m) ** 2 + (a.y_m - b.y_m) ** 2 + (a.z_m - b.z_m) ** 2) ** 0.5, 3))


def place_of(roadway: str, chainage_m: float) -> tuple[float, float, float]:
    """Return x, y, z in m of the place `chainage_m` along a roadway."""
    by_id, way = junction_by_id(), roadway_by_id()[roadway]
    a, b, part = by_id[way.start], by_id[way.end], chainage_m / length_of(way)
    return a.x_m + part * (b.x_m - a.x_m), a.y_m + part * (b.y_m - a.y_m), a.z_m + part * (b.z_m - a.z_m)
