"""The site as flat arrays: what the compiled filter walks on, and coarse places every few metres to begin a track."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin_wire.graph import Graph, Metres, Place
from twin_wire.manifest import Anchor

SAMPLES_MAX = 20_000  # beyond, the coarse places of a large site lie further apart
STEP_M = 2.0
DETOUR_M_MAX = 255

Indices = NDArray[np.int64]


class Map(NamedTuple):
    """Roadways, their junctions and the anchors; R roadways, B bends, J junctions, S samples, A anchors."""

    length_m: Metres  # [R]
    ends: Indices  # [R, 2] junction at chainage 0 and at the end
    bend_first: Indices  # [R + 1] into the bends
    bend_m: Metres  # [B] chainage
    bend_xyz: Metres  # [B, 3]
    exit_first: Indices  # [J + 1] into the exits: the walkable roadways of each junction
    exit_roadway: Indices
    exit_end: Indices  # 0 the roadway begins at the junction, 1 it ends there
    sample_first: Indices  # [R + 1]
    step_m: Metres  # [R] between the samples of a roadway
    anchor_roadway: Indices  # [A]
    anchor_m: Metres  # [A]
    anchor_xyz: Metres  # [A, 3]
    detour_m: NDArray[np.uint8]  # [A, S] how much longer the way on foot is than the straight line; 255 or more


class Field:
    """One structure with its anchors; A anchors are those of the manifest that stand on its roadways, in its order."""

    def __init__(self, graph: Graph, anchors: tuple[Anchor, ...]) -> None:
        self.graph = graph
        self.anchors = tuple(a for a in anchors if a.roadway in graph.roadway_index)
        self.anchor_place = [Place(graph.roadway_index[a.roadway], a.chainage_m) for a in self.anchors]
        length = np.array(graph.length_m, np.float64)
        step = max(STEP_M, float(length.sum()) / SAMPLES_MAX)
        count = [max(2, math.ceil(each / step) + 1) for each in graph.length_m]
        self.sample_roadway = np.repeat(np.arange(len(count)), count)
        parts = [np.linspace(0.0, each, n) for each, n in zip(graph.length_m, count, strict=True)]
        self.sample_m = np.concatenate(parts) if parts else np.zeros(0)
        self.sample_xyz = graph.positions_on(self.sample_roadway.astype(np.int32), self.sample_m)
        ends = np.array([graph.ends(r) for r in range(len(count))], np.int64).reshape(-1, 2)
        self._start, self._end = ends[self.sample_roadway].T
        self._left = length[self.sample_roadway] - self.sample_m
        xyz = np.array([graph.position_on(*place) for place in self.anchor_place]).reshape(-1, 3)
        detour = np.zeros((len(self.anchors), len(self.sample_m)), np.uint8)
        for row, place in enumerate(self.anchor_place):
            more = self.walk_m(place) - np.linalg.norm(self.sample_xyz - xyz[row], axis=1)
            detour[row] = np.clip(more, 0, DETOUR_M_MAX)
        lines = [graph.line(r) for r in range(len(count))]
        self.map = Map(
            length,
            ends,
            _firsts([len(along) for _, along in lines]),
            np.concatenate([along for _, along in lines]) if lines else np.zeros(0),
            np.concatenate([line for line, _ in lines]) if lines else np.zeros((0, 3)),
            *_exits(graph, ends),
            _firsts(count),
            length / (np.array(count, np.float64) - 1),
            np.array([place.roadway for place in self.anchor_place], np.int64),
            np.array([place.chainage_m for place in self.anchor_place], np.float64),
            xyz,
            detour,
        )

    def walk_m(self, origin: Place) -> Metres:
        """Return metres on foot from a place to every sample; inf where no walkable way leads."""
        reach = np.array(self.graph.distances_m(origin))
        ways = np.minimum(reach[self._start] + self.sample_m, reach[self._end] + self._left)
        same = self.sample_roadway == origin.roadway
        walk: Metres = np.where(same, np.minimum(ways, np.abs(self.sample_m - origin.chainage_m)), ways)
        return walk


def _firsts(counts: list[int]) -> Indices:
    return np.concatenate(([0], np.cumsum(np.array(counts, np.int64)))).astype(np.int64)


def _exits(graph: Graph, ends: Indices) -> tuple[Indices, Indices, Indices]:
    found: list[list[tuple[int, int]]] = [[] for _ in graph.junction_index]
    for roadway, pair in enumerate(ends.tolist()):
        if graph.walkable[roadway]:
            for end, junction in enumerate(pair):
                found[junction].append((roadway, end))
    flat = np.array([each for exits in found for each in exits], np.int64).reshape(-1, 2)
    return _firsts([len(exits) for exits in found]), flat[:, 0].copy(), flat[:, 1].copy()
