"""People stay on the roadways, keep to the limits of their zones and leave when gas comes."""

import random

from hardware_sim.people import ENDS, LENGTHS, TEAMS, People, Place, Ways
from hardware_sim.plan import ZONES, roadway_by_id

CLEAN = {"heading_a": 0.0016, "heading_b": 0.0019, "face": 0.004, "return": 0.003}


def test_there_are_at_least_forty_people_underground() -> None:
    assert len(People().persons) >= 40
    assert len({p.tag for p in People().persons}) == len(People().persons)


def test_people_walk_along_roadways_and_never_jump() -> None:
    people = People(seed=3)
    before = {p.tag: p.place for p in people.persons}
    for _ in range(2000):
        people.step(CLEAN)
        for person in people.persons:
            assert 0.0 <= person.place.chainage_m <= LENGTHS[person.place.roadway]
            assert walked(before[person.tag], person.place) <= 1.6
            before[person.tag] = person.place


def walked(one: Place, other: Place) -> float:
    """Return metres between two places on one roadway or on two that meet."""
    if one.roadway == other.roadway:
        return abs(one.chainage_m - other.chainage_m)
    shared = set(ENDS[one.roadway]) & set(ENDS[other.roadway])
    assert shared, f"{one} to {other}"
    return min(to_end(one, junction) + to_end(other, junction) for junction in shared)


def to_end(place: Place, junction: str) -> float:
    return place.chainage_m if ENDS[place.roadway][0] == junction else LENGTHS[place.roadway] - place.chainage_m


def test_no_zone_holds_more_people_than_it_may() -> None:
    people, ways = People(seed=5), roadway_by_id()
    for second in range(3000):
        people.step(CLEAN)
        if second % 20:
            continue
        for zone in ZONES:
            inside = people.headcount({w for w, way in ways.items() if way.zone == zone.id})
            assert not zone.headcount_max or inside <= zone.headcount_max, zone.id


def test_people_leave_a_heading_at_one_percent_and_come_back_when_it_is_clean() -> None:
    people = People(seed=1)
    for _ in range(600):
        people.step(CLEAN)
    assert people.headcount({"heading-a"}) > 0
    for _ in range(900):
        people.step(CLEAN | {"heading_a": 0.0101})
    assert people.headcount({"heading-a"}) == 0
    for _ in range(2400):
        people.step(CLEAN)
    assert people.headcount({"heading-a"}) > 0


def test_the_same_seed_moves_people_the_same_way() -> None:
    one, other = People(seed=9), People(seed=9)
    for _ in range(700):
        one.step(CLEAN)
        other.step(CLEAN)
    assert [p.place for p in one.persons] == [p.place for p in other.persons]


def test_a_route_is_the_shortest_one() -> None:
    ways = Ways()
    assert ways.route(Place("main-1", 10.0), Place("main-1", 90.0)) == []
    assert ways.route(Place("main-2", 299.0), Place("main-3", 1.0)) == ["j-m2"]
    assert ways.route(Place("pump-chamber", 30.0), Place("main-1", 5.0)) == ["j-main-bottom", "j-aux-bottom"]


def test_every_place_of_every_team_can_be_reached() -> None:
    ways, rng = Ways(), random.Random(1)
    haunts = [place for team in TEAMS for place in team.haunts]
    for _ in range(200):
        start, goal = rng.choice(haunts), rng.choice(haunts)
        assert start.roadway == goal.roadway or ways.route(start, goal)
