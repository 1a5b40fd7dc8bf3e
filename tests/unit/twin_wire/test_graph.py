"""Places on roadways: where they are, what is nearest, how far it is on foot."""

import math

import numpy as np
import pytest

from twin_wire.graph import Graph, Place
from twin_wire.structure import Junction, Roadway, Structure, Zone

# A square of 100 m with a shaft in one corner and a blind roadway; r4 is not walkable, r5 bends.
STRUCTURE = Structure(
    site="s",
    junctions=(
        Junction("a", 0.0, 0.0, 0.0),
        Junction("b", 100.0, 0.0, 0.0),
        Junction("c", 100.0, 100.0, 0.0),
        Junction("d", 0.0, 100.0, 0.0),
        Junction("top", 0.0, 0.0, 300.0),
        Junction("end", 140.0, 30.0, 0.0),
        Junction("far", 900.0, 900.0, 0.0),
        Junction("farther", 900.0, 950.0, 0.0),
    ),
    roadways=(
        Roadway("r1", "a", "b", 110.0, zone="z1"),
        Roadway("r2", "b", "c", 100.0),
        Roadway("r3", "c", "d", 100.0),
        Roadway("r4", "d", "a", 100.0, walkable=False),
        Roadway("r5", "b", "end", 70.0, path=((140.0, 0.0, 0.0),)),
        Roadway("shaft", "top", "a", 300.0),
        Roadway("island", "far", "farther", 50.0),
        Roadway("loop", "c", "c", 30.0),
    ),
    zones=(Zone("z0"), Zone("z1")),
)
GRAPH = Graph(STRUCTURE)
R = GRAPH.roadway_index


@pytest.mark.parametrize(
    ("roadway", "chainage_m", "position"),
    [
        ("r1", 0.0, (0, 0, 0)),
        ("r1", 55.0, (50, 0, 0)),
        ("r1", 110.0, (100, 0, 0)),
        ("r1", -5.0, (0, 0, 0)),
        ("r1", 1e9, (100, 0, 0)),
        ("r5", 40.0, (140, 0, 0)),
        ("r5", 55.0, (140, 15, 0)),
        ("shaft", 100.0, (0, 0, 200)),
        ("loop", 10.0, (100, 100, 0)),
    ],
)
def test_chainage_is_shared_out_along_the_drawn_line(
    roadway: str, chainage_m: float, position: tuple[float, float, float]
) -> None:
    assert GRAPH.position_on(roadway, chainage_m) == pytest.approx(position)
    assert GRAPH.position_on(R[roadway], chainage_m) == pytest.approx(position)


@pytest.mark.parametrize(
    ("point", "roadway", "chainage_m", "distance_m"),
    [
        ((50, 3, 0), "r1", 55.0, 3.0),
        ((-4, -3, 0), "r1", 0.0, 5.0),
        ((143, 20, 4), "r5", 60.0, 5.0),
        ((3, 0, 150), "shaft", 150.0, 3.0),
        ((900, 925, 0), "island", 25.0, 0.0),
        ((2, 50, 0), "r4", 50.0, 2.0),
    ],
)
def test_a_point_belongs_to_the_nearest_roadway(
    point: tuple[float, float, float], roadway: str, chainage_m: float, distance_m: float
) -> None:
    found = GRAPH.project(*point)
    assert found is not None
    assert (found.roadway, found.chainage_m, found.distance_m) == pytest.approx((R[roadway], chainage_m, distance_m))


def test_projecting_a_place_gives_the_place_back() -> None:
    for roadway in ("r1", "r2", "r3", "r5", "shaft", "island"):
        for share in (0.25, 0.5, 0.9):
            chainage_m = share * GRAPH.length_m[R[roadway]]
            found = GRAPH.project(*GRAPH.position_on(roadway, chainage_m))
            assert found is not None
            assert (found.roadway, found.chainage_m) == pytest.approx((R[roadway], chainage_m))


def test_without_roadways_nothing_is_near() -> None:
    empty = Graph(Structure(site="s"))
    assert empty.project(0, 0, 0) is None


def distance(roadway: str, chainage_m: float, other: str, other_m: float) -> float:
    return GRAPH.distance_m(Place(R[roadway], chainage_m), Place(R[other], other_m))


@pytest.mark.parametrize(
    ("one", "other", "metres"),
    [
        (("r1", 20.0), ("r1", 50.0), 30.0),
        (("r1", 100.0), ("r2", 30.0), 40.0),
        (("r1", 10.0), ("r3", 60.0), 260.0),  # the short way back over r4 is not walkable
        (("shaft", 290.0), ("r1", 10.0), 20.0),
        (("r5", 70.0), ("r3", 0.0), 170.0),
        (("loop", 2.0), ("loop", 29.0), 3.0),  # round the other way
        (("r2", -7.0), ("r2", 1e9), 100.0),
        (("r1", 0.0), ("island", 0.0), math.inf),
        (("r4", 50.0), ("r4", 60.0), math.inf),
        (("r1", 0.0), ("r4", 60.0), math.inf),
    ],
)
def test_the_way_on_foot_is_the_shortest_walkable_one(
    one: tuple[str, float], other: tuple[str, float], metres: float
) -> None:
    assert distance(*one, *other) == pytest.approx(metres)
    assert distance(*other, *one) == pytest.approx(metres)


def test_distances_to_all_junctions_are_known() -> None:
    reach = GRAPH.distances_m(Place(R["r1"], 10.0))
    by_id = {junction: reach[index] for junction, index in GRAPH.junction_index.items()}
    assert by_id == {
        "a": 10.0,
        "b": 100.0,
        "c": 200.0,
        "d": 300.0,
        "top": 310.0,
        "end": 170.0,
        "far": math.inf,
        "farther": math.inf,
    }
    assert GRAPH.distances_m(Place(R["r4"], 10.0)) == [math.inf] * 8


def test_a_roadway_knows_its_zone() -> None:
    assert GRAPH.zone_of[R["r1"]] == GRAPH.zone_index["z1"] == 1
    assert GRAPH.zone_of[R["r2"]] == -1


def test_every_roadway_has_its_own_nearest_place() -> None:
    chainage, distance = GRAPH.projections(50.0, 30.0, 0.0)
    assert (chainage[R["r1"]], distance[R["r1"]]) == pytest.approx((55.0, 30.0))
    assert (chainage[R["r3"]], distance[R["r3"]]) == pytest.approx((50.0, 70.0))
    assert distance[R["loop"]] == pytest.approx(math.hypot(50, 70))
    best = GRAPH.project(50.0, 30.0, 0.0)
    assert best is not None
    assert (best.roadway, best.distance_m) == (int(np.argmin(distance)), pytest.approx(float(distance.min())))
    _, level = GRAPH.projections(50.0, 0.0, None)
    _, deep = GRAPH.projections(50.0, 0.0, -40.0)
    assert (level[R["r1"]], deep[R["r1"]]) == pytest.approx((0.0, 40.0))
