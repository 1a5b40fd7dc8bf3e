"""Ranges of worn tags become places on the roadways: nearest anchors projected on the graph, always with sigma."""

import math
from collections import Counter
from typing import NamedTuple

import numpy as np

from drivers.link import Geodetic, Positions, Ranges, Sightings
from twin_wire.graph import Graph, Metres, Place
from twin_wire.manifest import Manifest
from twin_wire.readings import Fixes, Method, no_fixes
from twin_wire.structure import Structure

FIX_PERIOD_US = 1_000_000
RANGE_AGE_US = 2_500_000  # ranges to several anchors within this time make one fix
TAG_AGE_US = 60_000_000  # a tag unheard for longer starts anew
RANGE_SIGMA_M, RANGE_SIGMA_SHARE = 0.3, 0.005
SPEED_MAX_M_S, SLACK_M = 3.0, 10.0
AROUND_CORNER_M = 15.0  # radio hardly bends: a way on foot this much longer than the range counts against a place
LEVEL_COST = 4.0  # candidates within this cost of the best are still possible (two standard deviations)
STEP_M = 2.0
COST_MAX = 25.0


class _Track(NamedTuple):
    """What is remembered of one tag: its newest range per anchor, its last place and how sure that was."""

    ranges: dict[int, tuple[int, float]]  # anchor -> (time_us, metres)
    place: Place | None
    time_us: int
    sigma_m: float


class _Row(NamedTuple):
    time_us: int
    tag: str
    place: Place
    sigma_m: float
    method: Method


class Locator:
    """Places tags on one structure; memory is bounded by the tags heard within a minute."""

    def __init__(self, structure: Structure, manifest: Manifest) -> None:
        self._graph = Graph(structure)
        roadways = self._graph.roadway_index
        known = [a for a in manifest.anchors if a.roadway in roadways]
        times = Counter(a.id for a in known)
        self._number = {(a.device, a.id): n for n, a in enumerate(known)}  # two networks may number alike
        self._alone = {a.id: n for n, a in enumerate(known) if times[a.id] == 1}
        self._anchors = {n: Place(roadways[a.roadway], a.chainage_m) for n, a in enumerate(known)}
        self._where = {a: np.array(self._graph.position_on(*p)) for a, p in self._anchors.items()}
        self._places, self._xyz = self._samples()
        ends = [(self._graph.junction_index[r.start], self._graph.junction_index[r.end]) for r in structure.roadways]
        self._roadway = np.array([p.roadway for p in self._places], np.int64)
        self._start, self._end = np.array(ends, np.int64).reshape(-1, 2)[self._roadway].T
        self._chainage = np.array([p.chainage_m for p in self._places])
        self._left = np.array(self._graph.length_m)[self._roadway] - self._chainage
        self._walks = {a: self._walk(place) for a, place in self._anchors.items()}
        self._straight = {a: np.linalg.norm(self._xyz - xyz, axis=1) for a, xyz in self._where.items()}
        self._tracks: dict[int, _Track] = {}

    def feed(self, arrival: Ranges | Positions | Sightings | Geodetic) -> Fixes:
        """Return at most one fix per tag and second from what one device heard; unknown anchors are passed over."""
        if isinstance(arrival, Sightings | Geodetic):
            return no_fixes()
        if isinstance(arrival, Positions):
            return self._fixes([row for row in map(self._projected, *self._columns(arrival)) if row])
        order: dict[int, int] = {}
        device = arrival.anchor_device
        for time_us, tag, anchor_id, distance_mm in zip(
            arrival.time_us.tolist(), arrival.tag.tolist(), arrival.anchor_id.tolist(), arrival.distance_mm.tolist(),
            strict=True,
        ):  # fmt: skip
            anchor = self._number.get((device, anchor_id), self._alone.get(anchor_id, -1))
            if anchor >= 0:
                track = self._tracks.setdefault(tag, _Track({}, None, 0, 0.0))
                track.ranges[anchor] = (time_us, distance_mm / 1000)
                order[tag] = time_us
        rows = [row for tag, time_us in order.items() if (row := self._located(tag, time_us)) is not None]
        newest = max(order.values(), default=0)
        for tag in [t for t, k in self._tracks.items() if max(u for u, _ in k.ranges.values()) < newest - TAG_AGE_US]:
            del self._tracks[tag]
        return self._fixes(rows)

    def _samples(self) -> tuple[list[Place], Metres]:
        """Return a place every two metres of every roadway, and its x, y, z."""
        places = [
            Place(index, float(s))
            for index, length in enumerate(self._graph.length_m)
            for s in np.linspace(0.0, length, max(2, math.ceil(length / STEP_M) + 1))
        ]
        xyz = np.array([self._graph.position_on(*p) for p in places]) if places else np.zeros((0, 3))
        return places, xyz

    def _walk(self, origin: Place) -> Metres:
        """Return metres on foot from a place to every sample; inf where no walkable way leads."""
        reach = np.array(self._graph.distances_m(origin))
        ways = np.minimum(reach[self._start] + self._chainage, reach[self._end] + self._left)
        same = self._roadway == origin.roadway
        walk: Metres = np.where(same, np.minimum(ways, np.abs(self._chainage - origin.chainage_m)), ways)
        return walk

    def _located(self, tag: int, now: int) -> _Row | None:
        track = self._tracks[tag]
        if now - track.time_us < FIX_PERIOD_US or not self._places:
            return None
        heard = {a: r for a, (t, r) in track.ranges.items() if now - t <= RANGE_AGE_US}
        costs = np.zeros(len(self._places))
        weight = 0.0
        for anchor, r in heard.items():
            sigma = max(RANGE_SIGMA_M + RANGE_SIGMA_SHARE * r, STEP_M / 2)
            costs += np.minimum(((self._straight[anchor] - r) / sigma) ** 2, COST_MAX)
            costs += np.minimum(np.maximum(self._walks[anchor] - r, 0.0) / AROUND_CORNER_M, COST_MAX)
            weight += (RANGE_SIGMA_M + RANGE_SIGMA_SHARE * r) ** -2
        if track.place is not None and now - track.time_us < TAG_AGE_US:
            way = SPEED_MAX_M_S * (now - track.time_us) / 1e6 + SLACK_M + 2 * track.sigma_m
            costs += np.minimum((self._walk(track.place) / way) ** 2, COST_MAX)
        best = int(np.argmin(costs))
        possible = np.flatnonzero(costs <= costs[best] + LEVEL_COST)
        spread = float(np.linalg.norm(self._xyz[possible] - self._xyz[best], axis=1).max()) / 2
        misfit = max(abs(float(self._straight[a][best]) - r) for a, r in heard.items())
        sigma_m = math.sqrt(1 / weight + max(spread - STEP_M, 0.0) ** 2 + max(misfit - STEP_M, 0.0) ** 2)
        place = self._refined(self._places[best], heard)
        self._tracks[tag] = _Track(track.ranges, place, now, sigma_m)
        method = Method.RANGES_PROJECTED if len(heard) > 1 else Method.NEAREST_ANCHOR
        return _Row(now, f"tag-{tag}", place, sigma_m, method)

    def _refined(self, place: Place, heard: dict[int, float]) -> Place:
        """Move the place along its roadway to where the ranges fit best: Gauss-Newton on the chainage."""
        s, length = place.chainage_m, self._graph.length_m[place.roadway]
        for _ in range(4):
            here = np.array(self._graph.position_on(place.roadway, s))
            ahead = np.array(self._graph.position_on(place.roadway, min(s + 0.5, length)))
            behind = np.array(self._graph.position_on(place.roadway, max(s - 0.5, 0.0)))
            along = (ahead - behind) / max(float(np.linalg.norm(ahead - behind)), 1e-9)
            top = bottom = 0.0
            for anchor, r in heard.items():
                gap = here - self._where[anchor]
                away = max(float(np.linalg.norm(gap)), 0.1)
                step = float(gap @ along) / away
                w = (RANGE_SIGMA_M + RANGE_SIGMA_SHARE * r) ** -2
                top, bottom = top + w * step * (r - away), bottom + w * step * step
            if bottom < 1e-6:
                break
            s = min(max(s + min(max(top / bottom, -STEP_M), STEP_M), 0.0), length)
        return Place(place.roadway, s)

    def _columns(self, p: Positions) -> tuple[list[int], ...]:
        return p.time_us.tolist(), p.tag.tolist(), p.x_mm.tolist(), p.y_mm.tolist(), p.z_mm.tolist()

    def _projected(self, time_us: int, tag: int, x_mm: int, y_mm: int, z_mm: int) -> _Row | None:
        found = self._graph.project(x_mm / 1000, y_mm / 1000, z_mm / 1000)
        track = self._tracks.get(tag)
        if found is None or (track and time_us - track.time_us < FIX_PERIOD_US):
            return None
        place = Place(found.roadway, found.chainage_m)
        sigma_m = max(found.distance_m, RANGE_SIGMA_M)
        self._tracks[tag] = _Track({-1: (time_us, 0.0)}, place, time_us, sigma_m)
        return _Row(time_us, f"tag-{tag}", place, sigma_m, Method.DEVICE)

    def _fixes(self, rows: list[_Row]) -> Fixes:
        if not rows:
            return no_fixes()
        rows.sort(key=lambda row: row.time_us)
        xyz = np.round(np.array([self._graph.position_on(*row.place) for row in rows]) * 1000).astype(np.int32)
        x_mm, y_mm, z_mm = (np.ascontiguousarray(xyz[:, axis]) for axis in range(3))
        roadway = np.array([row.place.roadway for row in rows], np.int32)
        return Fixes(
            np.array([row.time_us for row in rows], np.int64),
            tuple(row.tag for row in rows),
            roadway,
            np.array([round(row.place.chainage_m * 1000) for row in rows], np.int32),
            x_mm,
            y_mm,
            z_mm,
            np.array([round(row.sigma_m * 1000) for row in rows], np.int32),
            np.array([row.method for row in rows], np.uint8),
            np.array([self._graph.zone_of[r] for r in roadway], np.int32),
        )
