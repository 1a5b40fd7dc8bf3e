"""Gates: two antennas beside each other tell which side of a boundary a tag is on, and so who is inside."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from twin_wire.graph import Graph
from twin_wire.manifest import Anchor
from twin_wire.structure import Structure

QUIET_US = 2_000_000  # a tag unread for this long has passed: the side read last holds
SURE_READS = 3  # so many reads in a row on one side hold at once


class Gate(NamedTuple):
    """One gate: what it counts into, and the zones (indices, -1 none) of its two sides."""

    id: str
    counts: str  # zone id, "" the whole site
    inner: int
    outer: int


class Passage(NamedTuple):
    """A tag's change of side at a gate."""

    time_us: int
    tag: str
    gate: Gate
    inside: bool


class _Reading(NamedTuple):
    gate: Gate
    inside: bool  # side read last
    run: int  # reads in a row on it
    time_us: int


class Gates:
    """All gates of one gateway; remembers which tags are inside."""

    def __init__(self, structure: Structure, graph: Graph, anchors: Sequence[Anchor]) -> None:
        self._parents = {zone.id: zone.parent for zone in structure.zones}
        self._zones = [zone.id for zone in structure.zones]
        self.gates = {
            a.gate: self._gate(a.gate, [b for b in anchors if b.gate == a.gate], graph) for a in anchors if a.gate
        }
        self.inside: dict[str, set[str]] = {gate.counts: set() for gate in self.gates.values()}
        self._side: dict[str, tuple[Gate, bool]] = {}  # of each tag, the side that holds
        self._reading: dict[str, _Reading] = {}

    def read(self, time_us: int, tag: str, gate: str, inside: bool) -> list[Passage]:
        """Take note that an antenna of a gate read a tag; return the passage it completes."""
        held = self._reading.get(tag)
        done: list[Passage] = []
        here = self.gates[gate]
        if held is not None and (held.gate != here or time_us - held.time_us > QUIET_US):
            done = self._settle(tag, held)
            held = None
        run = held.run + 1 if held is not None and held.inside == inside else 1
        reading = self._reading[tag] = _Reading(here, inside, run, time_us)
        return done + self._settle(tag, reading) if run >= SURE_READS or tag not in self._side else done

    def quiet(self, now_us: int) -> list[Passage]:
        """Return the passages of tags that have gone from their gate."""
        gone = [(tag, each) for tag, each in self._reading.items() if now_us - each.time_us > QUIET_US]
        for tag, _ in gone:
            del self._reading[tag]
        return [passage for tag, each in gone for passage in self._settle(tag, each)]

    def zone_of(self, tag: str) -> int | None:
        """Return the zone of the side a tag was last read on, None when no gate has read it."""
        held = self._side.get(tag)
        return None if held is None else (held[0].inner if held[1] else held[0].outer)

    def memory(self) -> dict[str, list[str]]:
        """Return who is inside, JSON-able."""
        return {zone: sorted(tags) for zone, tags in self.inside.items()}

    def restore(self, memory: Mapping[str, Any]) -> None:
        """Take back what `memory` gave, as far as these gates still count there."""
        for zone, tags in memory.items():
            if zone in self.inside:
                self.inside[zone] |= set(tags)

    def _settle(self, tag: str, reading: _Reading) -> list[Passage]:
        gate, inside = reading.gate, reading.inside
        self._side[tag] = gate, inside
        members = self.inside[gate.counts]
        if inside == (tag in members):
            return []
        (members.add if inside else members.discard)(tag)
        return [Passage(reading.time_us, tag, gate, inside)]

    def _gate(self, name: str, anchors: Sequence[Anchor], graph: Graph) -> Gate:
        counts = next((a.zone for a in anchors if a.zone), "")
        side = {a.side: graph.zone_of[graph.roadway_index[a.roadway]] for a in anchors}
        inner, outer = side.get("inner", -1), side.get("outer", -1)
        if counts and counts not in self._above(inner):
            inner = self._zones.index(counts)
        if counts and counts in self._above(outer):
            parent = self._parents[counts]
            outer = self._zones.index(parent) if parent else -1
        return Gate(name, counts, inner, outer)

    def _above(self, zone: int) -> Iterable[str]:
        name = self._zones[zone] if zone >= 0 else ""
        while name:
            yield name
            name = self._parents[name]
