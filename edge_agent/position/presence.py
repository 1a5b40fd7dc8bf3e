"""Who is in which zone: entry and exit with hysteresis, too many, lost tags, and gates against beacons, as events."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from edge_agent.position.gates import Gates, Passage
from edge_agent.position.rows import Fix
from twin_wire.graph import Graph, Place
from twin_wire.manifest import Anchor
from twin_wire.readings import Event, Method
from twin_wire.structure import Structure, Zone

DETECTOR = "position/1"
SECOND = 1_000_000
CLEAR_M, CLEAR_M_MAX = 2.0, 15.0  # this far past a junction, or two standard deviations, counts as in the next zone
STAY_US = 10 * SECOND  # or this long
PRESENT_US = 600 * SECOND  # a tag unheard for longer is counted nowhere, as on the server's pages
LIVE_US = 120 * SECOND  # beacons heard within this are compared with the gates
OVER_US = 10 * SECOND
DIFFER_US = 120 * SECOND
LOST_US = 180 * SECOND
JUMP_US = 30 * SECOND  # between two looks: the clock was set, and no silence before counts
FORGET_US = 24 * 3_600 * SECOND
EXIT_M = 30.0  # last heard this near an exit: gone out, not lost
COVERED_M = 60.0
TAGS_MAX = 8_192
RULES = ("tag_lost", "headcount", "headcount_mismatch", "zone_restricted")
CONTINUOUS = {m for m in Method if m not in (Method.NONE, Method.READER, Method.SATELLITE, Method.SATELLITE_RTK)}


class _Tag(NamedTuple):
    """What is remembered of one tag."""

    fix: Fix
    zone: int
    turned_us: int  # since when it seems to be in another zone, 0 not
    devices: frozenset[str]  # that heard it last
    gone: bool = False  # it has left by an exit


class Presence:
    """The tags of one gateway and where they count."""

    def __init__(
        self, structure: Structure, graph: Graph, anchors: Collection[Anchor], gates: Gates,
        active: Collection[tuple[str, str]] = (),
    ) -> None:  # fmt: skip
        self._structure, self._graph, self._gates = structure, graph, gates
        self._chain = [tuple(_chain(structure.zones, index)) for index in range(len(structure.zones))]
        self._tags: dict[str, _Tag] = {}
        self._active = {key: 0 for key in active if key[0] in RULES}
        self._events: list[Event] = []
        self._looked_us = self._steady_us = 0
        self._over: dict[int, int] = {}
        self._differs: dict[str, int] = {}
        self._exits = [graph.junction_index[each.junction] for each in structure.exits]
        places = [Place(graph.roadway_index[a.roadway], a.chainage_m) for a in anchors]
        self._covers_exit = any(self._to_exit(place) <= COVERED_M for place in places)
        beacons = [a for a in anchors if not a.gate]
        zones = {each for a in beacons for each in self._above(graph.zone_of[graph.roadway_index[a.roadway]])}
        self._comparable = [c for c in gates.inside if beacons and (c == "" or graph.zone_index[c] in zones)]

    def settle(self, fix: Fix, devices: frozenset[str]) -> Fix:
        """Return the fix with the zone it counts in, and take note of it."""
        held = self._tags.get(fix.tag)
        zone, turned_us = fix.zone, 0
        if held is not None and zone != held.zone and fix.method != Method.READER:
            turned_us = held.turned_us or fix.time_us
            if not self._is_clear(fix) and fix.time_us - turned_us < STAY_US:
                zone = held.zone
            else:
                turned_us = 0
        if held is None and len(self._tags) >= TAGS_MAX:
            return fix
        if held is not None and fix.time_us - held.fix.time_us > PRESENT_US:
            held = held._replace(zone=-1)
        fix = fix._replace(zone=zone)
        devices = devices or (held.devices if held is not None else devices)
        self._tags[fix.tag] = _Tag(fix, zone, turned_us, devices)
        self._moved(fix.tag, held.zone if held else -1, zone, fix.time_us)
        self._end("tag_lost", fix.tag, fix.time_us, {"heard": 1.0})
        if not any(self._structure.zones[z].restricted for z in self._above(zone)):
            self._end("zone_restricted", fix.tag, fix.time_us, {})
        return fix

    def last(self, tag: str) -> Fix | None:
        """Return the last fix of a tag."""
        held = self._tags.get(tag)
        return held.fix if held else None

    def devices(self, tag: str) -> frozenset[str]:
        """Return which devices heard a tag last."""
        held = self._tags.get(tag)
        return held.devices if held else frozenset()

    def passed(self, passage: Passage) -> None:
        """Take note of a passage at a gate."""
        inside = len(self._gates.inside[passage.counts])
        rule, word = ("zone_enter", "entered") if passage.inside else ("zone_exit", "left")
        text = f"{passage.tag} {word} {passage.counts or 'the site'} through gate {passage.gate}"
        self._record(rule, passage.tag, passage.time_us, {"headcount": float(inside)}, text)

    def look(self, now_us: int, down: Collection[str]) -> list[Event]:
        """Return what has happened since the last look; tags whose devices are all `down` are not lost."""
        if abs(now_us - self._looked_us) > JUMP_US:
            self._steady_us = now_us
        self._looked_us = now_us
        for tag in [t for t, each in self._tags.items() if now_us - each.fix.time_us > FORGET_US]:
            del self._tags[tag]
            self._end("tag_lost", tag, now_us, {"forgotten": 1.0})
        for tag, held in list(self._tags.items()):
            self._look_for(tag, held, now_us, down)
        self._count(now_us)
        self._compare(now_us)
        events, self._events = self._events, []
        return events

    def _look_for(self, tag: str, held: _Tag, now_us: int, down: Collection[str]) -> None:
        fix = held.fix
        age_us = now_us - fix.time_us
        if age_us > PRESENT_US:
            self._end("zone_restricted", tag, now_us, {"unheard": 1.0})
        silent_us = now_us - max(fix.time_us, self._steady_us)
        if silent_us <= LOST_US or held.gone or ("tag_lost", tag) in self._active:
            return
        if fix.method not in CONTINUOUS or not fix.place or self._structure.kind != "underground":
            return
        if held.devices and held.devices <= set(down):
            return
        surface = held.zone >= 0 and self._structure.zones[held.zone].kind == "surface"
        if surface or self._to_exit(fix.place) <= EXIT_M + 2 * fix.sigma_m:
            self._tags[tag] = held._replace(gone=True)
            return
        numbers = {"age_s": age_us / 1e6, "chainage_m": fix.place.chainage_m, "sigma_m": fix.sigma_m}
        roadway = self._structure.roadways[fix.place.roadway].id
        text = f"{tag} not heard for {age_us / 6e7:.0f} min, last on {roadway} at {fix.place.chainage_m:.0f} m"
        severity = 3
        if not self._covers_exit:
            severity, text = 4, text + "; it may be where this gateway has no anchors"
        self._begin("tag_lost", tag, fix.time_us, severity, numbers, text)

    def _count(self, now_us: int) -> None:
        """Begin and end what holds of a zone's headcount."""
        for zone, spec in enumerate(self._structure.zones):
            if not spec.headcount_max:
                continue
            count = len(self._within(zone, now_us, PRESENT_US) | self._gates.inside.get(spec.id, set()))
            numbers = {"headcount": float(count), "headcount_max": float(spec.headcount_max)}
            if count <= spec.headcount_max:
                self._over.pop(zone, None)
                self._end("headcount", spec.id, now_us, numbers)
            elif now_us - self._over.setdefault(zone, now_us) >= OVER_US:
                text = f"{count} people in {spec.id}, at most {spec.headcount_max} allowed"
                self._begin("headcount", spec.id, self._over[zone], 2, numbers, text)

    def _compare(self, now_us: int) -> None:
        """Begin and end the disagreement of gates and beacons; both numbers are told."""
        for counts in self._comparable:
            zone = self._graph.zone_index[counts] if counts else -1
            gates, beacons = len(self._gates.inside[counts]), len(self._within(zone, now_us, LIVE_US))
            point = counts or self._structure.site
            numbers = {"gate_count": float(gates), "beacon_count": float(beacons), "difference": float(gates - beacons)}
            if gates == beacons:
                self._differs.pop(counts, None)
                self._end("headcount_mismatch", point, now_us, numbers)
                continue
            since_us = self._differs.setdefault(counts, now_us)
            if now_us - since_us >= DIFFER_US:
                text = f"the gates count {gates} people in {counts or 'the site'}, beacons are heard of {beacons}"
                self._begin("headcount_mismatch", point, since_us, 3, numbers, text)

    def _within(self, zone: int, now_us: int, age_us: int) -> set[str]:
        """Return the tags heard by beacons within a time, in a zone or those inside it; -1 the whole site."""
        return {
            tag
            for tag, each in self._tags.items()
            if now_us - each.fix.time_us <= age_us
            and each.fix.method != Method.READER
            and (zone < 0 or zone in self._above(each.zone))
        }

    def _moved(self, tag: str, old: int, new: int, time_us: int) -> None:
        """Tell of the zones that limit people: who limits nobody is not told of, fixes carry the zone anyway."""
        if old == new:
            return
        for zone in (z for z in self._above(old) if z not in self._above(new)):
            spec = self._structure.zones[zone]
            if spec.restricted or spec.headcount_max:
                self._record("zone_exit", tag, time_us, {}, f"{tag} left {spec.id}")
        for zone in (z for z in self._above(new) if z not in self._above(old)):
            spec = self._structure.zones[zone]
            if spec.restricted or spec.headcount_max:
                self._record("zone_enter", tag, time_us, {}, f"{tag} entered {spec.id}")
            if spec.restricted:
                self._begin("zone_restricted", tag, time_us, 2, {}, f"{tag} is in {spec.id}, where nobody may be")

    def _is_clear(self, fix: Fix) -> bool:
        if fix.place is None:
            return True
        length_m = self._graph.length_m[fix.place.roadway]
        past_m = min(fix.place.chainage_m, length_m - fix.place.chainage_m)
        return past_m >= min(max(CLEAR_M, 2 * fix.sigma_m), CLEAR_M_MAX)

    def _to_exit(self, place: Place) -> float:
        if not self._exits:
            return float("inf")
        reach = self._graph.distances_m(place)
        return min(reach[junction] for junction in self._exits)

    def _above(self, zone: int) -> tuple[int, ...]:
        return self._chain[zone] if zone >= 0 else ()

    def _record(self, rule: str, tag: str, time_us: int, numbers: Mapping[str, float], text: str) -> None:
        self._events.append(Event(rule, 0, tag, time_us, time_us + 1, DETECTOR, numbers, text))

    def _begin(
        self, rule: str, point: str, begin_us: int, severity: int, numbers: Mapping[str, float], text: str
    ) -> None:  # fmt: skip
        if (rule, point) not in self._active:
            self._active[rule, point] = begin_us
            self._events.append(Event(rule, severity, point, begin_us, 0, DETECTOR, numbers, text))

    def _end(self, rule: str, point: str, time_us: int, numbers: Mapping[str, float]) -> None:
        begin_us = self._active.pop((rule, point), None)
        if begin_us is not None:
            self._events.append(Event(rule, 0, point, begin_us, max(time_us, begin_us + 1), DETECTOR, numbers, ""))


def _chain(zones: tuple[Zone, ...], index: int) -> Iterable[int]:
    """Yield a zone and those it lies in."""
    by_id = {zone.id: number for number, zone in enumerate(zones)}
    yield index
    while zones[index].parent:
        index = by_id[zones[index].parent]
        yield index
