"""People and vehicles walking a mine drawn here, and what each kind of positioning source would hear of them.

Written apart from the estimator: its own geometry, its own motion, its own errors.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from drivers.link import Geodetic, Ranges, Sightings
from twin_wire.manifest import Anchor, Manifest
from twin_wire.structure import Exit, Georeference, Junction, Roadway, Structure, Zone

STEP_S = 0.25
START_US = 1_760_000_000_000_000
SPAN = 300.0  # between crosscuts
COLUMNS = 5
ORIGIN = Georeference(latitude_deg=34.8, longitude_deg=113.5, height_m=120.0, azimuth_deg=12.0, x_m=50.0, y_m=-20.0)


class Edge(NamedTuple):
    """One straight roadway; `line` joins those that lie in one straight line and see each other."""

    id: str
    start: str
    end: str
    line: str
    zone: str


# Two parallel roadways 60 m apart with a crosscut every 300 m, and headings of 280 m to the south of the first.
POINTS = {f"a{n}": (n * SPAN, 0.0, -n * 2.0) for n in range(COLUMNS)}
POINTS |= {f"b{n}": (n * SPAN, 60.0, -n * 2.0 + 1) for n in range(COLUMNS)}
POINTS |= {f"h{n}": (n * SPAN, -280.0, -n * 2.0 + 4) for n in (1, 3)}
EDGES = (
    *(Edge(f"ra{n}", f"a{n}", f"a{n + 1}", "A", f"z-a{n // 2}") for n in range(COLUMNS - 1)),
    *(Edge(f"rb{n}", f"b{n}", f"b{n + 1}", "B", "z-b") for n in range(COLUMNS - 1)),
    *(Edge(f"cross{n}", f"a{n}", f"b{n}", f"C{n}", "z-b") for n in range(COLUMNS)),
    *(Edge(f"head{n}", f"a{n}", f"h{n}", f"C{n}", f"z-h{n}") for n in (1, 3)),
)
ZONES = ("z-mine", "z-a0", "z-a1", "z-b", "z-h1", "z-h3")
XYZ = np.array([[POINTS[e.start], POINTS[e.end]] for e in EDGES])  # [E, 2, 3]
LENGTH = np.round(np.linalg.norm(XYZ[:, 1] - XYZ[:, 0], axis=1), 3)
INDEX = {edge.id: n for n, edge in enumerate(EDGES)}


def structure(kind: str = "underground") -> Structure:
    """Return the mine as a structure document."""
    return Structure(
        site="walks",
        kind=kind,  # type: ignore[arg-type]
        georeference=ORIGIN,
        junctions=tuple(Junction(name, *xyz) for name, xyz in POINTS.items()),
        roadways=tuple(
            Roadway(id=e.id, start=e.start, end=e.end, length_m=float(m), zone=e.zone)
            for e, m in zip(EDGES, LENGTH, strict=True)
        ),
        zones=tuple(Zone(each, kind="roadway", parent="" if each == "z-mine" else "z-mine") for each in ZONES),
        exits=(Exit("out", "a0"),),
    )


def manifest(anchors: tuple[Anchor, ...]) -> Manifest:
    """Return a manifest that holds these anchors and nothing else."""
    return Manifest(
        enterprise="e", site="walks", gateway="g", software="x", simulated=True, structure="", ruleset="", devices=(),
        groups=(), points=(), anchors=anchors,
    )  # fmt: skip


class Truth(NamedTuple):
    """Where N tags were at each of K quarter seconds."""

    edge: np.ndarray  # [K, N]
    s: np.ndarray
    side: np.ndarray  # metres beside the middle line

    def xyz(self, k: int) -> np.ndarray:
        """Return the places on the middle line [N, 3] at one moment."""
        share = (self.s[k] / LENGTH[self.edge[k]])[:, None]
        ends = XYZ[self.edge[k]]
        return ends[:, 0] * (1 - share) + ends[:, 1] * share


def time_us(k: int) -> int:
    """Return the time of a quarter second."""
    return START_US + round(k * STEP_S * 1e6)


class _Walker:
    def __init__(self, rng: np.random.Generator, vehicle: bool) -> None:
        self.rng, self.vehicle = rng, vehicle
        self.edge = int(rng.integers(len(EDGES)))
        self.s = float(rng.uniform(0, LENGTH[self.edge]))
        self.way = 1 if rng.random() < 0.5 else -1
        self.side, self.speed, self.aim, self.left = float(rng.uniform(-1.5, 1.5)), 0.0, 0.0, 0.0

    def step(self) -> None:
        self.left -= STEP_S
        if self.left <= 0:
            self._decide()
        change = 1.0 * STEP_S if self.vehicle else 4.0 * STEP_S  # m/s² a vehicle, a person stops within a step or two
        self.speed += float(np.clip(self.aim - self.speed, -change, change))
        self.side = float(np.clip(self.side + self.rng.normal(0, 0.05), -1.5, 1.5))
        self.s += self.way * self.speed * STEP_S
        while not 0 <= self.s <= LENGTH[self.edge]:
            self._pass()

    def _decide(self) -> None:
        draw = self.rng.random()
        if draw < 0.3:
            self.aim, self.left = 0.0, float(self.rng.exponential(60 if self.vehicle else 120))
            return
        if draw < 0.45 and self.speed < 1.5:
            self.way = -self.way
        self.left = float(self.rng.exponential(60))
        if self.vehicle:
            self.aim = 25 / 3.6 * float(self.rng.uniform(0.8, 1.0))
        else:
            self.aim = (
                float(self.rng.normal(3.0, 0.2)) if self.rng.random() < 0.1 else float(self.rng.normal(1.3, 0.12))
            )

    def _pass(self) -> None:
        here = EDGES[self.edge].start if self.s < 0 else EDGES[self.edge].end
        over = -self.s if self.s < 0 else self.s - LENGTH[self.edge]
        exits = [n for n, e in enumerate(EDGES) if here in (e.start, e.end) and n != self.edge]
        if not exits:
            self.way, self.s = -self.way, 0.0 if self.s < 0 else float(LENGTH[self.edge])
            if self.vehicle:  # people turn on the spot
                self.speed, self.aim, self.left = 0.0, 0.0, 10.0
            return
        self.edge = int(self.rng.choice(exits))
        begins = EDGES[self.edge].start == here
        self.way = 1 if begins else -1
        self.s = over if begins else LENGTH[self.edge] - over


def walk(seconds: int, tags: int, seed: int = 1, vehicle: bool = False) -> Truth:
    """Return the truth of so many tags over so many seconds."""
    steps = round(seconds / STEP_S)
    edge, s, side = np.zeros((steps, tags), np.int64), np.zeros((steps, tags)), np.zeros((steps, tags))
    for n in range(tags):
        walker = _Walker(np.random.default_rng([seed, n]), vehicle)
        for k in range(steps):
            walker.step()
            edge[k, n], s[k, n], side[k, n] = walker.edge, walker.s, walker.side
    return Truth(edge, s, side)


def placed(spacing_m: float, per_device: int = 8) -> tuple[Anchor, ...]:
    """Return anchors on every junction and no further apart than `spacing_m` along every roadway."""
    found: list[tuple[str, float]] = []
    seen: set[str] = set()
    for edge, length in zip(EDGES, LENGTH.tolist(), strict=True):
        parts = max(1, math.ceil(length / spacing_m - 0.01))
        for part in range(parts + 1):
            end = edge.start if part == 0 else edge.end if part == parts else ""
            if end not in seen:
                found.append((edge.id, length * part / parts))
            seen |= {end} - {""}
    return tuple(Anchor(n % per_device, f"d{n // per_device}", *place) for n, place in enumerate(found))


class Sight(NamedTuple):
    """How anchors see the roadways: in line with `open`, or round one corner through `corner`."""

    at: np.ndarray  # [A, 3]
    open: np.ndarray  # bool [E, A]
    corner: np.ndarray  # [E, A, 3] the corner between, NaN where there is none


def sight(anchors: tuple[Anchor, ...]) -> Sight:
    """Return what the anchors see: their own straight line, all lines of a junction they hang at, and round corners."""
    at = np.array([XYZ[INDEX[a.roadway], 0] + (XYZ[INDEX[a.roadway], 1] - XYZ[INDEX[a.roadway], 0]) * a.chainage_m
                   / LENGTH[INDEX[a.roadway]] for a in anchors])  # fmt: skip
    lines = {line: [n for n, e in enumerate(EDGES) if e.line == line] for line in {e.line for e in EDGES}}
    seen, corner = np.zeros((len(EDGES), len(anchors)), bool), np.full((len(EDGES), len(anchors), 3), np.nan)
    for a, anchor in enumerate(anchors):
        mine = {EDGES[INDEX[anchor.roadway]].line}
        for name, xyz in POINTS.items():
            if math.dist(xyz, at[a]) < 0.5:
                mine |= {e.line for e in EDGES if name in (e.start, e.end)}
        for line in mine:
            seen[lines[line], a] = True
        ends = {j: POINTS[j] for line in mine for n in lines[line] for j in (EDGES[n].start, EDGES[n].end)}
        for n, edge in enumerate(EDGES):
            near = [xyz for j, xyz in ends.items() if j in (edge.start, edge.end)]
            if not seen[n, a] and near:
                corner[n, a] = min(near, key=lambda xyz: math.dist(xyz, at[a]))
    return Sight(at, seen, corner)


def ranges(truth: Truth, anchors: tuple[Anchor, ...], seed: int = 2, late: float = 0.15, lost: float = 0.1,
           reach_m: float = 320.0) -> Iterator[tuple[int, Ranges]]:  # fmt: skip
    """Yield (quarter second, ranges) of every device once a second: 0.1 m noise, a share too long, a share lost."""
    rng, view = np.random.default_rng(seed), sight(anchors)
    devices = list(dict.fromkeys(a.device for a in anchors))
    for k in range(len(truth.edge)):
        xyz = truth.xyz(k)
        for number, device in enumerate(devices):
            if k % 4 != number % 4:
                continue
            mine = [n for n, a in enumerate(anchors) if a.device == device]
            straight = np.linalg.norm(xyz[:, None] - view.at[mine], axis=2)
            open_ = view.open[truth.edge[k]][:, mine]
            bent = np.linalg.norm(xyz[:, None] - view.corner[truth.edge[k]][:, mine], axis=2)
            heard = (open_ & (straight < reach_m)) | ((bent < 45.0) & (straight < 200.0))
            heard &= rng.random(heard.shape) >= lost
            value = np.hypot(straight, truth.side[k][:, None]) + rng.normal(0, 0.1, heard.shape)
            value += (~open_ | (rng.random(heard.shape) < late)) * rng.exponential(1.5, heard.shape)
            tag, at = np.nonzero(heard)
            if len(tag):
                mm = np.maximum(np.round(value[heard] * 1000), 1).astype(np.int32)
                ids = np.array([anchors[mine[n]].id for n in at], np.int32)
                yield k, Ranges(np.full(len(tag), time_us(k)), device, tag.astype(np.int32), ids, mm)


def strengths(truth: Truth, anchors: tuple[Anchor, ...], seed: int = 3) -> Iterator[tuple[int, Sightings]]:
    """Yield (quarter second, sightings): -59 dBm at 1 m, 22 dB a decade, 5 dB scatter, 15 dB a corner, down to -95."""
    rng, view = np.random.default_rng(seed), sight(anchors)
    owner = np.array([int(a.device[1:]) for a in anchors])
    for k in range(len(truth.edge)):
        mine = np.flatnonzero(owner % 4 == k % 4)
        xyz = truth.xyz(k)
        straight = np.linalg.norm(xyz[:, None] - view.at[mine], axis=2)
        open_ = view.open[truth.edge[k]][:, mine]
        corner = view.corner[truth.edge[k]][:, mine]
        bent = np.linalg.norm(xyz[:, None] - corner, axis=2) + np.linalg.norm(corner - view.at[mine], axis=2)
        way = np.maximum(np.where(open_, np.hypot(straight, truth.side[k][:, None]), bent), 1.0)
        rssi = -59 - 22 * np.log10(way) - np.where(open_, 0.0, 15.0) + rng.normal(0, 5, way.shape)
        rssi[np.isnan(way) | (rssi < -95)] = np.nan
        tag, at = np.nonzero(~np.isnan(rssi))
        for device in np.unique(owner[mine[at]]):
            one = owner[mine[at]] == device
            ids = np.array([anchors[mine[n]].id for n in at[one]], np.int32)
            nan = np.full(int(one.sum()), np.nan, np.float32)
            names = tuple(f"ble-{n}" for n in tag[one])
            yield k, Sightings(np.full(len(names), time_us(k)), f"d{device}", ids, names,
                               rssi[tag[one], at[one]].astype(np.float32), nan)  # fmt: skip


def gates() -> tuple[Anchor, ...]:
    """Return an antenna 8 m behind every mouth where zones meet; those about a heading make the heading's gate."""
    found: list[Anchor] = []
    for name in POINTS:
        here = [e for e in EDGES if name in (e.start, e.end)]
        if len({e.zone for e in here}) == 1:
            continue
        heading = next((e.zone for e in here if e.zone.startswith("z-h")), "")
        for edge in here:
            at = 8.0 if edge.start == name else float(LENGTH[INDEX[edge.id]]) - 8.0
            gate = (f"g-{heading}", "inner" if edge.zone == heading else "outer", heading) if heading else ("", "", "")
            found.append(Anchor(len(found), "rfid", edge.id, at, 6.0, *gate))  # type: ignore[arg-type]
    return tuple(found)


def reads(truth: Truth, anchors: tuple[Anchor, ...], seed: int = 4) -> Iterator[tuple[int, Sightings]]:
    """Yield (quarter second, sightings) of antennas that read a tag within 6 m in four quarter seconds of ten."""
    rng = np.random.default_rng(seed)
    for k in range(len(truth.edge)):
        names, ids = [], []
        for n, anchor in enumerate(anchors):
            near = (truth.edge[k] == INDEX[anchor.roadway]) & (np.abs(truth.s[k] - anchor.chainage_m) < 6.0)
            for tag in np.flatnonzero(near & (rng.random(len(near)) < 0.4)):
                names.append(f"E2-{tag}")
                ids.append(n)
        nan = np.full(len(names), np.nan, np.float32)
        if names:
            yield k, Sightings(np.full(len(names), time_us(k)), "rfid", np.array(ids, np.int32), tuple(names), nan, nan)


def satellites(truth: Truth, rtk: bool, seed: int = 5) -> Iterator[tuple[int, Geodetic]]:
    """Yield (quarter second, positions): 2.5 m that wanders over a minute, or 1.5 cm and at times 30 cm with RTK."""
    rng = np.random.default_rng(seed)
    tags = truth.edge.shape[1]
    wander = rng.normal(0, 2.5, (tags, 2))
    for k in range(0, len(truth.edge), 4):
        keep = math.exp(-1 / 60)
        wander = wander * keep + rng.normal(0, 2.5 * math.sqrt(1 - keep**2), (tags, 2))
        floats = rng.random(tags) < 0.02
        own = np.where(floats, 0.3, 0.015)
        error = rng.normal(0, 1, (tags, 2)) * own[:, None] if rtk else wander + rng.normal(0, 0.3, (tags, 2))
        xyz = truth.xyz(k)
        latitude, longitude, height = to_earth(xyz[:, 0] + error[:, 0], xyz[:, 1] + error[:, 1], xyz[:, 2])
        state = np.where(floats, 2, 3) if rtk else np.zeros(tags)
        sigma = own if rtk else np.full(tags, math.hypot(2.5, 0.3))
        names = tuple(f"gnss-{n}" for n in range(tags))
        yield k, Geodetic(np.full(tags, time_us(k)), "rx", names, latitude, longitude, height,
                          sigma.astype(np.float32), state.astype(np.uint8))  # fmt: skip


def to_earth(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return latitude, longitude, height of grid places, by Newton steps on the plane at the origin."""
    a, e2 = 6_378_137.0, 0.00669437999014
    azimuth = math.radians(ORIGIN.azimuth_deg)
    dx, dy = x - ORIGIN.x_m, y - ORIGIN.y_m
    east, north = dx * math.cos(azimuth) + dy * math.sin(azimuth), -dx * math.sin(azimuth) + dy * math.cos(azimuth)
    phi0, height = math.radians(ORIGIN.latitude_deg), ORIGIN.height_m + z - ORIGIN.z_m
    phi, lam = np.full(len(x), phi0), np.zeros(len(x))
    n0 = a / math.sqrt(1 - e2 * math.sin(phi0) ** 2)
    for _ in range(6):
        n = a / np.sqrt(1 - e2 * np.sin(phi) ** 2)
        across, up = (n + height) * np.cos(phi), (n * (1 - e2) + height) * np.sin(phi)
        gap_e = east - across * np.sin(lam)
        gap_n = north - (
            math.cos(phi0) * (up - (n0 * (1 - e2) + ORIGIN.height_m) * math.sin(phi0))
            - math.sin(phi0) * (across * np.cos(lam) - (n0 + ORIGIN.height_m) * math.cos(phi0))
        )
        lam, phi = lam + gap_e / across, phi + gap_n / (n + height)
    return np.degrees(phi), ORIGIN.longitude_deg + np.degrees(lam), height
