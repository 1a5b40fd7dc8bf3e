"""Who can be heard from where: lines of sight along straight roadways, and a little way round corners."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hardware_sim.plan import Anchor, junction_by_id, length_of, place_of, roadway_by_id

NEAR_JUNCTION_M = 6.0  # an anchor this close to a junction looks into every roadway there
STRAIGHT = math.cos(math.radians(20.0))  # two roadways this nearly in line see each other


class Worn(NamedTuple):
    """Where a tag really is: roadway, chainage, and metres beside the middle line."""

    tag: int
    roadway: str
    chainage_m: float
    side_m: float


class Path(NamedTuple):
    """How radio gets from a tag to an anchor: the metres of the straight line, and whether rock is in it."""

    anchor: Anchor
    metres: float
    sighted: bool


class View(NamedTuple):
    """How an anchor hears a roadway: `via_m` is the anchor's chainage or, round a corner, the corner's."""

    anchor: Anchor
    at: tuple[float, float, float]
    via_m: float
    reach_m: float
    sighted: bool


class Sight:
    """What fixed anchors hear: `sight_m` far along their line of sight, `corner_m` from round a corner."""

    def __init__(self, anchors: Iterable[Anchor], sight_m: float, corner_m: float) -> None:
        self._sight_m, self._corner_m = sight_m, corner_m
        self._views: dict[str, list[View]] = {way: [] for way in roadway_by_id()}
        for anchor in anchors:
            self._look(anchor)

    def paths(self, person: Worn) -> Iterator[Path]:
        """Yield every way to an anchor; one that is seen through two roadways comes twice."""
        for view in self._views[person.roadway]:
            if abs(person.chainage_m - view.via_m) <= view.reach_m:
                true = math.dist(place_of(person.roadway, person.chainage_m), view.at)
                yield Path(view.anchor, math.hypot(true, person.side_m), view.sighted)

    def _look(self, anchor: Anchor) -> None:
        """Note how the anchor hears its own roadway and what lies behind its two ends."""
        at, own = place_of(anchor.roadway, anchor.chainage_m), roadway_by_id()[anchor.roadway]
        self._views[own.id].append(View(anchor, at, anchor.chainage_m, self._sight_m, sighted=True))
        self._look_on(anchor, at, own.id, own.start, anchor.chainage_m)
        self._look_on(anchor, at, own.id, own.end, length_of(own) - anchor.chainage_m)

    def _look_on(
        self, anchor: Anchor, at: tuple[float, float, float], through: str, junction: str, distance_m: float
    ) -> None:
        """Note the roadways behind a junction that is `distance_m` away; straight on, sight carries further still."""
        for way in roadway_by_id().values():
            if way.id == through or junction not in (way.start, way.end):
                continue
            straight = _straight_on(through, way.id, junction)
            sighted = straight or distance_m <= NEAR_JUNCTION_M
            reach = (self._sight_m if sighted else self._corner_m) - distance_m
            if reach <= 0:
                continue
            length = length_of(way)
            self._views[way.id].append(View(anchor, at, 0.0 if way.start == junction else length, reach, sighted))
            if straight:
                other = way.end if way.start == junction else way.start
                self._look_on(anchor, at, way.id, other, distance_m + length)


def _heading(roadway: str, junction: str) -> tuple[float, float]:
    """Return the unit vector in plan along a roadway, away from one of its junctions."""
    way, by_id = roadway_by_id()[roadway], junction_by_id()
    here, other = by_id[junction], by_id[way.end if way.start == junction else way.start]
    x, y = other.x_m - here.x_m, other.y_m - here.y_m
    size = math.hypot(x, y) or 1.0
    return x / size, y / size


def _straight_on(one: str, other: str, junction: str) -> bool:
    """Tell whether two roadways that meet at a junction are nearly one line."""
    a, b = _heading(one, junction), _heading(other, junction)
    return -(a[0] * b[0] + a[1] * b[1]) >= STRAIGHT
