"""People of the demo mine walking its roadways: teams that work at their places, inspectors and drivers that roam.

Persons are tag numbers only. A position is (roadway, chainage); whoever walks follows the shortest way.
"""

import heapq
import random
from typing import NamedTuple

from hardware_sim.plan import ROADWAYS, length_of
from twin_wire.errors import ConfigError

GAS_WITHDRAW, GAS_RETURN = 0.010, 0.008  # fraction of methane at which people leave a heading and come back
SPOT_M = 12.0  # how far a working person wanders from the work place


class Place(NamedTuple):
    """A place on a roadway, chainage in m from its first junction."""

    roadway: str
    chainage_m: float


class Team(NamedTuple):
    """How many people with one task; `air` is the zone whose gas makes them leave, `haunts` where they work."""

    name: str
    people: int
    air: str
    haunts: tuple[Place, ...]
    stay_s: tuple[float, float]  # shortest and longest stay at one haunt


TEAMS = (
    Team("face", 14, "face", tuple(Place("face", float(s)) for s in range(15, 170, 25)), (300, 1200)),
    Team(
        "heading-a",
        7,
        "heading_a",
        (Place("heading-a", 405.0), Place("heading-a", 392.0), Place("heading-a", 350.0)),
        (300, 900),
    ),
    Team(
        "heading-b",
        6,
        "heading_b",
        (Place("heading-b", 365.0), Place("heading-b", 352.0), Place("heading-b", 300.0)),
        (300, 900),
    ),
    Team(
        "belt",
        5,
        "",
        (Place("belt-1", 90.0), Place("belt-2", 120.0), Place("belt-2", 430.0), Place("intake-gate", 60.0)),
        (120, 600),
    ),
    Team("pumps", 2, "", (Place("pump-chamber", 45.0), Place("pump-chamber", 20.0)), (600, 1800)),
    Team(
        "haulage",
        7,
        "",
        (
            Place("pit-link", 30.0),
            Place("main-1", 90.0),
            Place("main-3", 150.0),
            Place("main-4", 250.0),
            Place("aux-incline", 300.0),
        ),
        (20, 120),
    ),
    Team(
        "inspectors",
        5,
        "",
        (
            Place("main-4", 280.0),
            Place("return-gate", 300.0),
            Place("intake-gate", 500.0),
            Place("doors-2", 30.0),
            Place("b-mouth", 30.0),
        ),
        (60, 300),
    ),
    Team(
        "arriving",
        4,
        "",
        (Place("main-incline", 60.0), Place("aux-incline", 60.0), Place("main-2", 150.0), Place("pit-link", 20.0)),
        (30, 90),
    ),
)
WITHDRAWN = {
    "heading_a": Place("main-4", 290.0),
    "heading_b": Place("belt-2", 540.0),
    "face": Place("intake-gate", 300.0),
}
LENGTHS = {r.id: length_of(r) for r in ROADWAYS}
ENDS = {r.id: (r.start, r.end) for r in ROADWAYS}


class Person:
    """One worn tag: where it is, where it goes and how fast it walks."""

    def __init__(self, tag: int, team: Team, rng: random.Random) -> None:
        self.tag, self.team = tag, team
        self.place = rng.choice(team.haunts)
        self.pace_m_s = rng.uniform(0.9, 1.4)
        self.side_m = rng.uniform(-1.5, 1.5)  # from the middle of the roadway
        self.goal: Place | None = None
        self.route: list[str] = []  # junctions still to pass
        self.busy_s = rng.uniform(0.0, team.stay_s[1])
        self.spot = self.place
        self.lost = False  # its tag is not heard any more
        self.held = False  # it does not leave where it is


class People:
    """All people underground, stepped together with the world."""

    def __init__(self, seed: int = 1) -> None:
        self.random = random.Random(f"people/{seed}")  # noqa: S311
        self.ways = Ways()
        tags = iter(range(1, 255))
        self.persons = [Person(next(tags), team, self.random) for team in TEAMS for _ in range(team.people)]
        self.withdrawn: set[str] = set()  # air zones people have left because of gas

    def step(self, methane: dict[str, float], dt: float = 1.0) -> None:
        """Let everyone walk or work for `dt` seconds; people leave a zone at 1.0 % methane and return below 0.8 %."""
        self._gas(methane)
        for person in self.persons:
            if person.held:
                continue
            if person.goal is not None:
                self._walk(person, dt)
            else:
                self._work(person, dt)

    def lose(self, subject: str, amount: float) -> None:
        """Let a tag (by its number) fall silent with an amount of 1, be heard again with 0; ConfigError."""
        self._of(subject).lost = amount > 0

    def hold(self, subject: str, amount: float) -> None:
        """Let a person (by the tag's number) stay where it is with an amount of 1, go on with 0; ConfigError."""
        self._of(subject).held = amount > 0

    def _of(self, subject: str) -> Person:
        found = [person for person in self.persons if str(person.tag) == subject]
        if not found:
            raise ConfigError(f"no tag {subject!r}", hint="GET /people has them")
        return found[0]

    def headcount(self, roadways: set[str]) -> int:
        """Return how many people are on some roadways."""
        return sum(person.place.roadway in roadways for person in self.persons)

    def _gas(self, methane: dict[str, float]) -> None:
        for zone in WITHDRAWN:
            if zone not in self.withdrawn and methane[zone] >= GAS_WITHDRAW:
                self.withdrawn.add(zone)
                self._send(zone, WITHDRAWN[zone])
            elif zone in self.withdrawn and methane[zone] < GAS_RETURN:
                self.withdrawn.remove(zone)
                self._send(zone, None)

    def _send(self, zone: str, to: Place | None) -> None:
        for person in self.persons:
            if person.team.air == zone:
                self._go(person, to or self.random.choice(person.team.haunts))

    def _work(self, person: Person, dt: float) -> None:
        person.busy_s -= dt
        if person.busy_s <= 0:
            if person.team.air in self.withdrawn:
                person.busy_s = 60.0
            else:
                self._go(person, self.random.choice(person.team.haunts))
        elif self.random.random() < 0.2 * dt:
            moved = person.place.chainage_m + self.random.uniform(-1.5, 1.5)
            low = max(0.5, person.spot.chainage_m - SPOT_M)
            high = min(LENGTHS[person.place.roadway] - 0.5, person.spot.chainage_m + SPOT_M)
            person.place = Place(person.place.roadway, min(max(moved, low), high))

    def _go(self, person: Person, goal: Place) -> None:
        person.goal = goal
        person.route = self.ways.route(person.place, goal)

    def _walk(self, person: Person, dt: float) -> None:
        left = person.pace_m_s * dt
        while left > 0 and person.goal is not None:
            left = self._stretch(person, left)

    def _stretch(self, person: Person, left: float) -> float:
        """Move towards the next junction or the goal; return the metres not used up."""
        goal, (roadway, chainage) = person.goal, person.place
        assert goal is not None
        aim = goal.chainage_m if not person.route else _end(roadway, person.route[0])
        distance = abs(aim - chainage)
        if distance > left:
            person.place = Place(roadway, chainage + (left if aim > chainage else -left))
            return 0.0
        if not person.route:
            person.place = person.spot = goal
            person.goal, person.busy_s = None, self.random.uniform(*person.team.stay_s)
            return 0.0
        here = person.route.pop(0)
        ahead = self.ways.between(here, person.route[0]) if person.route else goal.roadway
        person.place = Place(ahead, _end(ahead, here))
        return left - distance


class Ways:
    """Shortest ways over the walkable roadways."""

    def __init__(self) -> None:
        self.next_to: dict[str, list[tuple[str, str]]] = {}  # junction: (roadway, junction behind it)
        for way in ROADWAYS:
            if way.walkable:
                self.next_to.setdefault(way.start, []).append((way.id, way.end))
                self.next_to.setdefault(way.end, []).append((way.id, way.start))

    def between(self, junction: str, other: str) -> str:
        """Return the roadway that joins two neighbouring junctions."""
        return next(way for way, end in self.next_to[junction] if end == other)

    def route(self, start: Place, goal: Place) -> list[str]:
        """Return the junctions on the shortest way between two places; empty on one roadway."""
        if start.roadway == goal.roadway:
            return []
        first, last = ENDS[start.roadway]
        heap = [(start.chainage_m, first, [first]), (LENGTHS[start.roadway] - start.chainage_m, last, [last])]
        ends = {
            ENDS[goal.roadway][0]: goal.chainage_m,
            ENDS[goal.roadway][1]: LENGTHS[goal.roadway] - goal.chainage_m,
        }
        best: tuple[float, list[str]] = (float("inf"), [])
        seen: set[str] = set()
        while heap:
            walked, junction, trail = heapq.heappop(heap)
            if walked >= best[0]:
                break
            if junction in seen:
                continue
            seen.add(junction)
            if junction in ends and walked + ends[junction] < best[0]:
                best = (walked + ends[junction], trail)
            for way, behind in self.next_to[junction]:
                heapq.heappush(heap, (walked + LENGTHS[way], behind, [*trail, behind]))
        return best[1]


def _end(roadway: str, junction: str) -> float:
    """Return the chainage of one of a roadway's junctions."""
    return 0.0 if ENDS[roadway][0] == junction else LENGTHS[roadway]
