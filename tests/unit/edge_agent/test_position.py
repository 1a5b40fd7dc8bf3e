"""Tags walk a small mine drawn here; the fixes stay near the truth and say how sure they are."""

import json
import math

import numpy as np
import pytest

from drivers.link import Positions, Ranges
from edge_agent.position import Locator
from twin_wire.graph import Graph, Place
from twin_wire.manifest import Anchor, Manifest
from twin_wire.readings import Method
from twin_wire.structure import read_structure

SECOND = 1_000_000
STRUCTURE = read_structure(
    json.dumps(
        {
            "site": "s",
            "junctions": [
                {"id": "a", "x_m": 0, "y_m": 0, "z_m": 0},
                {"id": "b", "x_m": 300, "y_m": 0, "z_m": 0},
                {"id": "c", "x_m": 600, "y_m": 0, "z_m": 0},
                {"id": "d", "x_m": 300, "y_m": 200, "z_m": 0},
            ],
            "zones": [{"id": "z-main"}, {"id": "z-side"}],
            "roadways": [
                {"id": "ab", "from": "a", "to": "b", "length_m": 300, "zone": "z-main"},
                {"id": "bc", "from": "b", "to": "c", "length_m": 300, "zone": "z-main"},
                {"id": "bd", "from": "b", "to": "d", "length_m": 200, "zone": "z-side"},
            ],
        }
    ).encode()
)
GRAPH = Graph(STRUCTURE)
ANCHORS = (Anchor(0, "u0", "ab", 100.0), Anchor(1, "u1", "bc", 150.0))


def locator(*anchors: Anchor) -> Locator:
    manifest = Manifest(
        enterprise="e", site="s", gateway="g", software="x", simulated=True, structure="", ruleset="", devices=(),
        groups=(), points=(), anchors=anchors,
    )  # fmt: skip
    return Locator(STRUCTURE, manifest)


def heard(
    place: Place, second: int, tag: int = 7, noise_m: float = 0.0, anchors: tuple[Anchor, ...] = ANCHORS
) -> Ranges:
    here = np.array(GRAPH.position_on(*place))
    there = [np.array(GRAPH.position_on(GRAPH.roadway_index[a.roadway], a.chainage_m)) for a in anchors]
    mm = [max(1, round((float(np.linalg.norm(here - t)) + noise_m) * 1000)) for t in there]
    n = len(anchors)
    ids = np.array([a.id for a in anchors], np.int32)
    return Ranges(np.full(n, second * SECOND, np.int64), "u0", np.full(n, tag, np.int32), ids, np.array(mm, np.int32))


def error_m(fixes, place: Place) -> float:
    assert len(fixes.tag) == 1
    return math.dist(np.array([fixes.x_mm[0], fixes.y_mm[0], fixes.z_mm[0]]) / 1000, GRAPH.position_on(*place))


@pytest.mark.parametrize("place", [Place(0, 20.0), Place(0, 250.0), Place(1, 10.0), Place(1, 290.0), Place(2, 120.0)])
def test_two_anchors_place_a_tag_within_a_metre(place: Place) -> None:
    fixes = locator(*ANCHORS).feed(heard(place, 100))
    assert error_m(fixes, place) < 1.0
    assert fixes.method[0] == Method.RANGES_PROJECTED
    assert fixes.tag == ("tag-7",)
    assert STRUCTURE.zones[fixes.zone[0]].id == STRUCTURE.roadways[place.roadway].zone


def test_one_anchor_alone_says_how_unsure_it_is() -> None:
    truth = Place(0, 160.0)
    fixes = locator(ANCHORS[0]).feed(heard(truth, 100, anchors=ANCHORS[:1]))
    assert fixes.method[0] == Method.NEAREST_ANCHOR
    assert error_m(fixes, truth) <= 3 * fixes.sigma_mm[0] / 1000
    assert fixes.sigma_mm[0] > 10_000


def test_a_walk_around_a_corner_is_followed_and_sigma_covers_the_error() -> None:
    here, rng = locator(*ANCHORS), np.random.default_rng(4)
    way = [Place(0, 200 + 1.3 * t) for t in range(76)] + [Place(2, 1.3 * t) for t in range(100)]
    errors, covered = [], 0
    for second, place in enumerate(way):
        fixes = here.feed(heard(place, 1000 + second, noise_m=float(rng.normal(0, 0.2))))
        errors.append(error_m(fixes, place))
        covered += errors[-1] <= 3 * fixes.sigma_mm[0] / 1000
    assert np.median(errors) < 0.6
    assert covered / len(way) > 0.9


def test_a_tag_gives_one_fix_a_second_however_often_it_is_heard() -> None:
    here = locator(*ANCHORS)
    counts = [len(here.feed(heard(Place(0, 50.0), 100)).tag) for _ in range(5)]
    assert counts == [1, 0, 0, 0, 0]


def test_ranges_to_unknown_anchors_place_nobody() -> None:
    ranges = heard(Place(0, 50.0), 100)._replace(anchor_id=np.array([8, 9], np.int32))
    assert locator(*ANCHORS).feed(ranges).tag == ()


def test_positions_of_the_device_itself_are_projected_on_the_nearest_roadway() -> None:
    mm = [np.array([v], np.int32) for v in (7, 150_000, 2_000, 0)]
    fixes = locator().feed(Positions(np.array([SECOND]), "u0", *mm))
    assert (fixes.roadway[0], fixes.chainage_mm[0], fixes.sigma_mm[0]) == (0, 150_000, 2_000)
    assert fixes.method[0] == Method.DEVICE


def test_a_range_that_fits_two_places_stays_unsure_until_a_second_anchor_decides() -> None:
    here, truth = locator(*ANCHORS), Place(0, 160.0)
    alone = [here.feed(heard(truth, 100 + n, anchors=ANCHORS[:1])) for n in range(30)]
    for fixes in alone:
        assert error_m(fixes, truth) <= 3 * fixes.sigma_mm[0] / 1000
        assert fixes.sigma_mm[0] > 10_000
    both = here.feed(heard(truth, 131))
    assert error_m(both, truth) < 1.0
    assert both.sigma_mm[0] < 5_000
