"""The demo mine's plan is one a ventilation engineer could walk: air balances, places exist, the twin can read it."""

import pytest

from hardware_sim.plan import (
    ANCHORS,
    CONTROLS,
    EXITS,
    JUNCTIONS,
    REFUGES,
    ROADWAYS,
    ZONES,
    length_of,
    place_of,
    roadway_by_id,
)
from hardware_sim.site import structure_text
from twin_wire.structure import read_structure

OPEN_AIR = {"j-portal-main", "j-portal-aux", "j-shaft-top"}


def test_at_every_junction_as_much_air_leaves_as_comes() -> None:
    for junction in JUNCTIONS:
        balance = sum(w.share for w in ROADWAYS if w.end == junction.id)
        balance -= sum(w.share for w in ROADWAYS if w.start == junction.id)
        if junction.id not in OPEN_AIR:
            assert balance == pytest.approx(0.0, abs=1e-9), junction.id


def test_all_the_air_comes_in_by_the_inclines_and_leaves_by_the_shaft() -> None:
    ways = roadway_by_id()
    assert ways["main-incline"].share + ways["aux-incline"].share == pytest.approx(1.0)
    assert ways["return-shaft"].share == 1.0


def test_the_twin_reads_the_structure_without_a_fault() -> None:
    structure = read_structure(structure_text().encode())
    assert {w.id for w in structure.roadways} == {w.id for w in ROADWAYS}
    assert {z.id for z in structure.zones} == {z.id for z in ZONES}
    assert len(structure.exits) == len(EXITS) == 2
    assert {c.id for c in structure.controls} == {c[0] for c in CONTROLS}
    fan = next(c for c in structure.controls if c.id == "fan-main")
    assert fan.curve[0] == (0.0, 2800.0)


def test_everything_sits_on_a_roadway() -> None:
    ways = roadway_by_id()
    places = [(a.roadway, a.chainage_m) for a in ANCHORS]
    places += [(c[2], c[3]) for c in CONTROLS] + [(r[1], r[2]) for r in REFUGES]
    for roadway, chainage_m in places:
        assert 0.0 <= chainage_m <= length_of(ways[roadway])


def test_a_place_lies_between_the_ends_of_its_roadway() -> None:
    assert place_of("main-2", 0.0) == pytest.approx((700.0, 60.0, -180.0))
    assert place_of("main-2", length_of(roadway_by_id()["main-2"])) == pytest.approx((1000.0, 60.0, -182.0))


def test_each_positioning_network_has_at_most_eight_anchors() -> None:
    for device in ("uwb-1", "uwb-2"):
        ids = [a.id for a in ANCHORS if a.device == device]
        assert sorted(ids) == list(range(len(ids)))
        assert len(ids) <= 8
