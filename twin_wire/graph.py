"""Arithmetic on a structure: where (roadway, chainage) is, which roadway is nearest, how far it is on foot."""

import heapq
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin_wire.structure import Structure

Metres = NDArray[np.float64]


class Place(NamedTuple):
    """A place on a roadway: index into the structure's roadways, and metres from the roadway's first junction."""

    roadway: int
    chainage_m: float


class Projection(NamedTuple):
    """The nearest place on any roadway, and how far from it the point was."""

    roadway: int
    chainage_m: float
    distance_m: float


class Graph:
    """A structure prepared for arithmetic; indices are those of the structure's own lists."""

    def __init__(self, structure: Structure) -> None:
        self.roadway_index = {roadway.id: index for index, roadway in enumerate(structure.roadways)}
        self.zone_index = {zone.id: index for index, zone in enumerate(structure.zones)}
        self.junction_index = {junction.id: index for index, junction in enumerate(structure.junctions)}
        self.length_m = [roadway.length_m for roadway in structure.roadways]
        self.zone_of = [self.zone_index.get(roadway.zone, -1) for roadway in structure.roadways]
        self.walkable = [roadway.walkable for roadway in structure.roadways]
        self._ends = [(self.junction_index[r.start], self.junction_index[r.end]) for r in structure.roadways]
        self._lines = [_line(structure, self.junction_index, index) for index in range(len(structure.roadways))]
        self._along = [_chainages(line, length) for line, length in zip(self._lines, self.length_m, strict=True)]
        self._neighbours: list[list[tuple[int, int]]] = [[] for _ in structure.junctions]
        for index, (start, end) in enumerate(self._ends):
            if self.walkable[index]:
                self._neighbours[start].append((end, index))
                self._neighbours[end].append((start, index))
        self._segments = _segments(self._lines, self._along)

    def position_on(self, roadway: int | str, chainage_m: float) -> tuple[float, float, float]:
        """Return x, y, z in metres of a place; chainage is held within the roadway; KeyError for an unknown id."""
        index = self.roadway_index[roadway] if isinstance(roadway, str) else roadway
        line, along = self._lines[index], self._along[index]
        x, y, z = (float(np.interp(chainage_m, along, line[:, axis])) for axis in range(3))
        return x, y, z

    def project(self, x_m: float, y_m: float, z_m: float) -> Projection | None:
        """Return the place on a roadway nearest to a point; None when there is no roadway."""
        start, step, squared, chainage, span, owner = self._segments
        if not len(owner):
            return None
        offset = np.array([x_m, y_m, z_m]) - start
        share = np.clip(np.einsum("ij,ij->i", offset, step) / squared, 0.0, 1.0)
        gap = offset - share[:, None] * step
        distance = np.einsum("ij,ij->i", gap, gap)
        best = int(np.argmin(distance))
        return Projection(
            int(owner[best]), float(chainage[best] + share[best] * span[best]), float(np.sqrt(distance[best]))
        )

    def projections(self, x_m: float, y_m: float, z_m: float | None) -> tuple[Metres, Metres]:
        """Return the nearest chainage on every roadway, and how far away it is; z None: heights are left out."""
        start, step, _, chainage, span, owner = self._segments
        if not len(owner):
            return np.zeros(0), np.zeros(0)
        axes = 2 if z_m is None else 3
        offset, along = (np.array([x_m, y_m, z_m or 0.0]) - start)[:, :axes], step[:, :axes]
        squared = np.einsum("ij,ij->i", along, along)
        share = np.clip(np.einsum("ij,ij->i", offset, along) / np.where(squared > 0, squared, 1.0), 0.0, 1.0)
        distance = np.linalg.norm(offset - share[:, None] * along, axis=1)
        first = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
        order = np.lexsort((distance, owner))[first]  # of each roadway the nearest piece
        return chainage[order] + share[order] * span[order], distance[order]

    def positions_on(self, roadway: NDArray[np.int32], chainage_m: Metres) -> Metres:
        """Return x, y, z in metres [N, 3] of N places given by roadway index and chainage."""
        places = zip(roadway.tolist(), chainage_m.tolist(), strict=True)
        return np.array([self.position_on(*place) for place in places], np.float64).reshape(-1, 3)

    def line(self, roadway: int) -> tuple[Metres, Metres]:
        """Return the bends of a roadway as x, y, z [B, 3] and the chainage of each [B]."""
        return self._lines[roadway], self._along[roadway]

    def ends(self, roadway: int) -> tuple[int, int]:
        """Return the junctions at chainage 0 and at the end, as indices."""
        return self._ends[roadway]

    def distance_m(self, origin: Place, target: Place) -> float:
        """Return the shortest way on foot between two places in metres; inf when no walkable way joins them."""
        if not (self.walkable[origin.roadway] and self.walkable[target.roadway]):
            return float("inf")
        ends = self._ends[target.roadway]
        reach = self.distances_m(origin, until=ends)
        there = self._held(target)
        ways = [reach[ends[0]] + there, reach[ends[1]] + self.length_m[target.roadway] - there]
        if origin.roadway == target.roadway:
            ways.append(abs(self._held(origin) - there))
        return min(ways)

    def distances_m(self, origin: Place, until: Iterable[int] = ()) -> list[float]:
        """Return metres on foot from a place to every junction, inf without a way; stops once all `until` are known."""
        reach = [float("inf")] * len(self._neighbours)
        if not self.walkable[origin.roadway]:
            return reach
        here = self._held(origin)
        start, end = self._ends[origin.roadway]
        queue = [(here, start), (self.length_m[origin.roadway] - here, end)]
        heapq.heapify(queue)
        wanted = set(until)
        stop_early = bool(wanted)
        while queue:
            way, junction = heapq.heappop(queue)
            if way >= reach[junction]:
                continue
            reach[junction] = way
            wanted.discard(junction)
            if stop_early and not wanted:
                break
            for other, roadway in self._neighbours[junction]:
                further = way + self.length_m[roadway]
                if further < reach[other]:
                    heapq.heappush(queue, (further, other))
        return reach

    def _held(self, place: Place) -> float:
        return min(max(place.chainage_m, 0.0), self.length_m[place.roadway])


def _line(structure: Structure, junctions: dict[str, int], index: int) -> Metres:
    """Return the roadway's bends with both junctions as rows of x, y, z."""
    roadway = structure.roadways[index]
    start, end = (structure.junctions[junctions[end]] for end in (roadway.start, roadway.end))
    rows = [(start.x_m, start.y_m, start.z_m), *roadway.path, (end.x_m, end.y_m, end.z_m)]
    return np.array(rows, np.float64)


def _chainages(line: Metres, length_m: float) -> Metres:
    """Return the chainage of every bend: the surveyed length shared out by the drawn length of each piece."""
    drawn = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))))
    if drawn[-1] == 0.0:  # a shaft drawn as one dot: its length still counts
        return np.linspace(0.0, length_m, len(line))
    along: Metres = drawn * (length_m / drawn[-1])
    return along


def _segments(
    lines: list[Metres], along: list[Metres]
) -> tuple[Metres, Metres, Metres, Metres, Metres, NDArray[np.int64]]:
    """Return start, step, squared length, first chainage, chainage span and roadway of every straight piece."""
    if not lines:
        none, flat = np.zeros((0, 3)), np.zeros(0)
        return none, none, flat, flat, flat, np.zeros(0, np.int64)
    start = np.concatenate([line[:-1] for line in lines])
    step = np.concatenate([np.diff(line, axis=0) for line in lines])
    squared = np.einsum("ij,ij->i", step, step)
    squared[squared == 0.0] = 1.0  # a piece without length: the share is 0 whatever we divide by
    chainage = np.concatenate([each[:-1] for each in along])
    span = np.concatenate([np.diff(each) for each in along])
    owner = np.repeat(np.arange(len(lines)), [len(line) - 1 for line in lines])
    return start, step, squared, chainage, span, owner
