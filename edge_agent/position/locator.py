"""What positioning devices say becomes places on the roadways: the one door of this package."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from drivers.link import Geodetic, Positions, Ranges, Sightings
from edge_agent.position.field import Field
from edge_agent.position.gates import Gates, Passage
from edge_agent.position.kernel import track
from edge_agent.position.likelihood import PRESENCE, RANGE, STRENGTH
from edge_agent.position.plane import Plane
from edge_agent.position.presence import RULES, Presence
from edge_agent.position.rows import Fix, to_fixes
from edge_agent.position.satellite import Satellite
from edge_agent.position.sightings import Strengths
from edge_agent.position.tracks import BACK_US, Epoch, Heard, Located, Tracks
from twin_wire.graph import Graph, Place
from twin_wire.ids import is_id
from twin_wire.manifest import Anchor, Manifest
from twin_wire.readings import Event, Fixes, Method
from twin_wire.structure import Structure

FIX_PERIOD_US, EARLY_US = 1_000_000, 200_000  # one fix a tag and second; a device's own second may waver
EPOCH_US = 250_000  # rows this close in time are one step
HEARD_US = 2_500_000  # anchors heard within this time count for the method
RANGE_SIGMA_M, RANGE_SIGMA_SHARE = 0.1, 0.0001  # in sight; the plan's own errors grow with the distance
DEVICE_SIGMA_M = 0.3
GATE_REACH_M, READER_REACH_M = 8.0, 40.0  # where the configuration tells none
PLAIN_PERIOD_US = 5_000_000  # a step of the filter as plain Python takes milliseconds: each tag then has one in 5 s
OPEN_KINDS = ("surface", "pond", "chamber")


class Locator:
    """Places tags on one structure; memory is bounded by the tags there can be.

    `active` are the (rule, point) of conditions that were active before a restart, `memory` what `memory()` gave.
    """

    conditions = frozenset(RULES)  # the rules of events that last; all others are for the record

    def __init__(
        self, structure: Structure, manifest: Manifest, active: Collection[tuple[str, str]] = (),
        memory: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self._graph = graph = Graph(structure)
        self._field = Field(graph, manifest.anchors)
        self._tracks = Tracks(self._field)
        anchors = self._field.anchors
        self._number = {(a.device, a.id): n for n, a in enumerate(anchors)}  # two networks may number alike
        ids = [a.id for a in anchors]
        self._alone = {a.id: n for n, a in enumerate(anchors) if ids.count(a.id) == 1}
        self._gates = Gates(structure, graph, anchors)
        self._gates.restore(memory or {})
        self._presence = Presence(structure, graph, anchors, self._gates, active)
        self._satellite = Satellite(graph, structure.georeference) if structure.georeference else None
        self._strengths = Strengths()
        self._plane = Plane(self._field)
        self._open = {z for z, zone in enumerate(structure.zones) if zone.kind in OPEN_KINDS}
        if structure.kind == "open_pit":
            self._open.add(-1)
        self.pace_us = 0 if hasattr(track, "py_func") else PLAIN_PERIOD_US
        self._stepped_us: dict[str, int] = {}
        self._due_us: dict[str, int] = {}
        self._shown: dict[str, int] = {}  # zone of the last fix given out
        self._heard: dict[str, dict[int, int]] = {}  # tag -> anchor -> time
        self._waiting: list[Fix] = []

    def feed(self, arrival: Ranges | Positions | Sightings | Geodetic) -> Fixes:
        """Return at most one fix per tag and second from what one device heard; unknown anchors are passed over."""
        if isinstance(arrival, Ranges):
            self._take(self._ranged(arrival), frozenset((arrival.anchor_device,)))
        elif isinstance(arrival, Sightings):
            self._sighted(arrival)
        elif isinstance(arrival, Positions):
            self._show(self._projected(arrival), frozenset((arrival.anchor_device,)))
        elif self._satellite is not None:
            self._show(self._satellite.locate(arrival), frozenset((arrival.anchor_device,)))
        return self._given()

    def look(self, now_us: int, down: Collection[str] = ()) -> tuple[Fixes, list[Event]]:
        """Return fixes that waited, and events since the last look; call it about once a second.

        `down` are the devices that do not answer: their silence makes no tag lost.
        """
        self._take(self._strengths.due(now_us), frozenset())
        for passage in self._gates.quiet(now_us):
            self._passed(passage)
        for tag in [t for t, due in self._due_us.items() if due < now_us - 600_000_000]:
            for table in (self._due_us, self._shown, self._heard, self._stepped_us):
                table.pop(tag, None)
        return self._given(), self._presence.look(now_us, down)

    def memory(self) -> dict[str, Any]:
        """Return what has to survive a restart, JSON-able: who is inside the gates."""
        return self._gates.memory()

    def warm_up(self) -> None:
        """Let the filter be compiled, on tracks that are thrown away."""
        if self._field.anchors and len(self._field.sample_m):
            Tracks(self._field).step([Epoch("tag-0", 1, [Heard(RANGE, 0, 1.0, 1.0, 1)])])

    def _given(self) -> Fixes:
        rows, self._waiting = self._waiting, []
        return to_fixes(rows)

    def _ranged(self, arrival: Ranges) -> list[Epoch]:
        """Sort ranges into one epoch per tag and moment."""
        open_epochs: dict[int, Epoch] = {}
        epochs: list[Epoch] = []
        columns = (arrival.time_us, arrival.tag, arrival.anchor_id, arrival.distance_mm)
        for time_us, number, anchor_id, mm in zip(*(c.tolist() for c in columns), strict=True):
            anchor = self._number.get((arrival.anchor_device, anchor_id), self._alone.get(anchor_id, -1))
            if anchor < 0 or mm <= 0:
                continue
            epoch = open_epochs.get(number)
            if epoch is None or time_us - epoch.time_us > EPOCH_US:
                epoch = open_epochs[number] = Epoch(f"tag-{number}", time_us, [])
                epochs.append(epoch)
            sigma_m = RANGE_SIGMA_M + RANGE_SIGMA_SHARE * mm / 1000
            epoch.rows.append(Heard(RANGE, anchor, mm / 1000, sigma_m, time_us))
        return [Epoch(e.tag, max(row.time_us for row in e.rows), e.rows) for e in epochs]

    def _sighted(self, arrival: Sightings) -> None:
        """Sort sightings: strengths wait until the second is full, readers and gates act at once."""
        device = frozenset((arrival.anchor_device,))
        columns = (arrival.time_us, arrival.anchor_id, arrival.rssi_dbm, arrival.reference_dbm)
        rows = zip(arrival.tag, *(c.tolist() for c in columns), strict=True)
        for tag, time_us, anchor_id, rssi_dbm, reference_dbm in rows:
            anchor = self._number.get((arrival.anchor_device, anchor_id), -1)
            if anchor < 0 or not is_id(tag):
                continue
            spec = self._field.anchors[anchor]
            if spec.gate or spec.reach_m or rssi_dbm != rssi_dbm:  # NaN
                reach_m = spec.reach_m or (GATE_REACH_M if spec.gate else READER_REACH_M)
                self._read(tag, time_us, anchor, spec, reach_m, device)
            else:
                self._take(self._strengths.add(tag, anchor, time_us, rssi_dbm, reference_dbm), device)

    def _read(self, tag: str, time_us: int, anchor: int, spec: Anchor, reach_m: float, device: frozenset[str]) -> None:
        passages = self._gates.read(time_us, tag, anchor) if spec.gate else []
        # Ten reads in a second tell no more of the place than one.
        if abs(time_us - self._heard.get(tag, {}).get(anchor, 0)) >= FIX_PERIOD_US - EARLY_US:
            self._take([Epoch(tag, time_us, [Heard(PRESENCE, anchor, reach_m, 0.3 * reach_m, time_us)])], device)
        for passage in passages:
            self._passed(passage)

    def _passed(self, passage: Passage) -> None:
        """Tell of a passage at once, and of the zone: nothing may be heard of the tag until the next gate."""
        self._presence.passed(passage)
        held = self._presence.last(passage.tag)
        zone = self._gates.zone_of(passage.tag)
        if held is not None and held.method == Method.READER and zone is not None and zone != held.zone:
            fix = held._replace(time_us=max(held.time_us, passage.time_us), zone=zone)
            self._show([fix], self._presence.devices(passage.tag))

    def _take(self, epochs: list[Epoch], devices: frozenset[str]) -> None:
        if self.pace_us:
            epochs = [e for e in epochs if abs(e.time_us - self._stepped_us.get(e.tag, 0)) >= self.pace_us]
            self._stepped_us |= {e.tag: e.time_us for e in epochs}
        if epochs:
            self._show(map(self._to_fix, self._tracks.step(epochs)), devices)

    def _to_fix(self, located: Located) -> Fix:
        epoch, place = located.epoch, located.place
        zone = self._graph.zone_of[place.roadway]
        anchors = self._heard.setdefault(epoch.tag, {})
        for row in epoch.rows:
            anchors[row.anchor] = row.time_us
        recent = [a for a, t in anchors.items() if epoch.time_us - t <= HEARD_US]
        if len(anchors) > 2 * len(recent) + 8:
            self._heard[epoch.tag] = {a: anchors[a] for a in recent}
        kind = min(row.kind for row in epoch.rows)
        if kind == RANGE:
            method = Method.RANGES_PROJECTED if len(recent) > 1 else Method.NEAREST_ANCHOR
        elif kind == STRENGTH:
            method = Method.SIGNAL_STRENGTH if len(recent) > 1 else Method.NEAREST_ANCHOR
        else:
            method = Method.READER
            side = (
                self._gates.zone_of(epoch.tag) if any(self._field.anchors[r.anchor].gate for r in epoch.rows) else None
            )
            zone = zone if side is None else side
        fix = Fix(epoch.time_us, epoch.tag, place, located.xyz, located.sigma_m, method, zone)
        return self._plane.refine(fix, epoch) if kind == RANGE and zone in self._open else fix

    def _projected(self, p: Positions) -> Iterator[Fix]:
        """Yield the places of positions the device computed itself: on the nearest roadway, as unsure as it is far."""
        columns = (p.time_us, p.tag, p.x_mm, p.y_mm, p.z_mm)
        for time_us, number, *mm in zip(*(np.asarray(c).tolist() for c in columns), strict=True):
            found = self._graph.project(*(each / 1000 for each in mm))
            if found is not None:
                place = Place(found.roadway, found.chainage_m)
                sigma_m = max(found.distance_m, DEVICE_SIGMA_M)
                xyz = self._graph.position_on(*place)
                zone = self._graph.zone_of[place.roadway]
                yield Fix(time_us, f"tag-{number}", place, xyz, sigma_m, Method.DEVICE, zone)

    def _show(self, fixes: "Iterator[Fix] | list[Fix] | map[Fix]", devices: frozenset[str]) -> None:
        """Settle the zone of each fix; give out one a second, and at once what tells of another zone."""
        for fix in fixes:
            settled = self._presence.settle(fix, devices)
            ahead_us = self._due_us.get(fix.tag, 0) - fix.time_us
            if EARLY_US < ahead_us < BACK_US:  # further ahead, the clock was set back
                if self._shown.get(fix.tag) == settled.zone:
                    continue
            else:
                late_us = -EARLY_US if ahead_us >= BACK_US else max(ahead_us, -EARLY_US)
                self._due_us[fix.tag] = fix.time_us + late_us + FIX_PERIOD_US
            self._shown[fix.tag] = settled.zone
            self._waiting.append(settled)
