"""Gates: two antennas beside each other tell which side of a boundary a tag is on, and so who is inside."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from twin_wire.graph import Graph
from twin_wire.manifest import Anchor
from twin_wire.structure import Structure

QUIET_US = 2_000_000  # a tag unread for this long has passed: the side read last holds
TAGS_MAX = 8_192
SURE_READS, ALONE_US = 3, 1_000_000  # an antenna holds a tag it reads so often in a row, or that no other reads


class Antenna(NamedTuple):
    """One antenna of a gate."""

    gate: str
    counts: str  # zone id the gate counts into, "" the whole site
    inside: bool
    zone: int  # of a tag that is here, -1 none


class Passage(NamedTuple):
    """A tag's change of side at a gate."""

    time_us: int
    tag: str
    gate: str
    counts: str
    inside: bool


class _Reading(NamedTuple):
    antenna: Antenna  # that read last
    run: int  # reads in a row by it
    time_us: int
    other_us: int  # when another antenna read the tag last


class Gates:
    """All gates of one gateway; remembers which tags are inside."""

    def __init__(self, structure: Structure, graph: Graph, anchors: Sequence[Anchor]) -> None:
        self._parents = {zone.id: zone.parent for zone in structure.zones}
        self._zones = [zone.id for zone in structure.zones]
        counts = {
            a.gate: a.zone for a in sorted(anchors, key=lambda a: a.zone) if a.gate
        }  # one antenna says it for all
        self._antennas = {
            n: self._antenna(a, counts[a.gate], graph.zone_of[graph.roadway_index[a.roadway]])
            for n, a in enumerate(anchors)
            if a.gate
        }
        self.inside: dict[str, set[str]] = {zone: set() for zone in counts.values()}
        self._at: dict[str, Antenna] = {}  # where each tag was last for sure
        self._reading: dict[str, _Reading] = {}

    def read(self, time_us: int, tag: str, anchor: int) -> list[Passage]:
        """Take note that an antenna of a gate read a tag; return the passages this completes."""
        held, here = self._reading.get(tag), self._antennas[anchor]
        done: list[Passage] = []
        if held is not None and (held.antenna.gate != here.gate or time_us - held.time_us > QUIET_US):
            done = self._settle(tag, held)
            held = None
        known = tag in self._at or tag in self._reading
        if not known and len(self._at) >= TAGS_MAX and not self._made_room():
            return done
        run, other_us = 1, 0
        if held is not None:
            run, other_us = (held.run + 1, held.other_us) if held.antenna == here else (1, held.time_us)
        reading = self._reading[tag] = _Reading(here, run, time_us, other_us)
        return done + self._settle(tag, reading) if run >= SURE_READS or time_us - other_us >= ALONE_US else done

    def quiet(self, now_us: int) -> list[Passage]:
        """Return the passages of tags that have gone from their gate."""
        gone = [(tag, each) for tag, each in self._reading.items() if now_us - each.time_us > QUIET_US]
        for tag, _ in gone:
            del self._reading[tag]
        return [passage for tag, each in gone for passage in self._settle(tag, each)]

    def zone_of(self, tag: str) -> int | None:
        """Return the zone a tag is in by the antenna that read it last, None when no gate has read it."""
        held = self._at.get(tag)
        return None if held is None else held.zone

    def memory(self) -> dict[str, list[str]]:
        """Return who is inside, JSON-able."""
        return {zone: sorted(tags) for zone, tags in self.inside.items()}

    def restore(self, memory: Mapping[str, Any]) -> None:
        """Take back what `memory` gave, as far as these gates still count there."""
        for zone, tags in memory.items():
            if zone in self.inside:
                self.inside[zone] |= set(tags)

    def _settle(self, tag: str, reading: _Reading) -> list[Passage]:
        here = reading.antenna
        self._at.pop(tag, None)
        self._at[tag] = here  # the longest unread first
        members = self.inside[here.counts]
        if here.inside == (tag in members):
            return []
        (members.add if here.inside else members.discard)(tag)
        return [Passage(reading.time_us, tag, here.gate, here.counts, here.inside)]

    def _made_room(self) -> bool:
        """Forget the tag outside that was not read for longest: goods carry tags too, and pass by for years."""
        inside = set().union(*self.inside.values())
        old = next((tag for tag in self._at if tag not in inside and tag not in self._reading), None)
        if old is not None:
            del self._at[old]
        return old is not None

    def _antenna(self, anchor: Anchor, counts: str, zone: int) -> Antenna:
        """Return the antenna; where its roadway's zone contradicts its side, the side decides."""
        inside = anchor.side == "inner"
        above = self._above(zone)
        if counts and inside and counts not in above:
            zone = self._zones.index(counts)
        elif counts and not inside and counts in above:
            parent = self._parents[counts]
            zone = self._zones.index(parent) if parent else -1
        return Antenna(anchor.gate, counts, inside, zone)

    def _above(self, zone: int) -> list[str]:
        found: list[str] = []
        name = self._zones[zone] if zone >= 0 else ""
        while name:
            found.append(name)
            name = self._parents[name]
        return found
