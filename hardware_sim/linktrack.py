"""UWB positioning consoles that speak LinkTrack Anchor0 frames: distances from worn tags to eight fixed anchors.

Ranging: 0.1 m noise in sight, 15 % outliers that are exponentially too long, 10 % losses; round a corner only near it.
"""

import asyncio
import math
import random
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from hardware_sim.faults import FaultPlan
from hardware_sim.journal import Answer
from hardware_sim.line import PtyLine
from hardware_sim.plan import Anchor, junction_by_id, length_of, place_of, roadway_by_id

FRAME_BYTES = 896
TAGS_MAX = 30  # places for tags in one Anchor0 frame
ANCHORS_MAX = 8
EMPTY, ROLE_ANCHOR, ROLE_TAG, TAIL = 0xFF, 1, 2, 0xEE
DISTANCE_M_MAX = 655.0  # u16 centimetres
SIGHT_M, CORNER_M = 400.0, 45.0  # how far a range carries in sight, and beyond a corner
NEAR_JUNCTION_M = 6.0  # an anchor this close to a junction looks into every roadway there
STRAIGHT = math.cos(math.radians(20.0))  # two roadways this nearly in line see each other
NOISE_M, OUTLIER_SHARE, OUTLIER_MEAN_M, LOST_SHARE = 0.1, 0.15, 1.5, 0.10
_TAG = struct.Struct("<BB9s8H")
_TAIL = struct.Struct("<67xI4xHIBBB")


class Tag(NamedTuple):
    """One tag as a console reports it: its number and its distance in m to each anchor, 0 where none was heard."""

    id: int
    distances_m: tuple[float, ...]


class Worn(NamedTuple):
    """Where a tag really is: roadway, chainage, and metres beside the middle line."""

    tag: int
    roadway: str
    chainage_m: float
    side_m: float


def anchor0(console: int, tags: Sequence[Tag], local_ms: int, system_ms: int, volts: float = 12.0) -> bytes:
    """Return one Anchor0 frame of at most 30 tags; positions are left 0, a tunnel gives a console no 3-D fix."""
    assert len(tags) <= TAGS_MAX
    parts = [b"\x55\x00"]
    for tag in tags:
        centimetres = [min(65535, round(d * 100)) for d in tag.distances_m]
        parts.append(_TAG.pack(tag.id, ROLE_TAG, bytes(9), *centimetres, *[0] * (ANCHORS_MAX - len(centimetres))))
    parts.append(bytes((EMPTY,)) * (27 * (TAGS_MAX - len(tags))))
    millivolts = round(volts * 1000)
    now = local_ms & 0xFFFFFFFF, system_ms & 0xFFFFFFFF
    parts.append(_TAIL.pack(now[0], millivolts, now[1], console, ROLE_ANCHOR, TAIL))
    return b"".join(parts)


class View(NamedTuple):
    """How an anchor hears a roadway: `via_m` is the anchor's chainage or, round a corner, the corner's."""

    anchor: Anchor
    at: tuple[float, float, float]
    via_m: float
    reach_m: float
    sighted: bool


class Network:
    """One positioning network of at most eight anchors; measures worn tags with the errors of UWB in a mine."""

    def __init__(self, anchors: Iterable[Anchor], seed: str) -> None:
        self.anchors = {anchor.id: anchor for anchor in anchors}
        assert all(0 <= number < ANCHORS_MAX for number in self.anchors)
        self.random = random.Random(seed)  # noqa: S311
        self._views: dict[str, list[View]] = {way: [] for way in roadway_by_id()}
        for anchor in self.anchors.values():
            self._look(anchor)

    def measure(self, worn: Iterable[Worn]) -> list[Tag]:
        """Return every tag that at least one anchor hears."""
        heard = []
        for person in worn:
            distances = [0.0] * ANCHORS_MAX
            for view in self._views[person.roadway]:
                distances[view.anchor.id] = max(distances[view.anchor.id], self._range(view, person))
            if any(distances):
                heard.append(Tag(person.tag, tuple(distances)))
        return heard

    def _range(self, view: View, person: Worn) -> float:
        if abs(person.chainage_m - view.via_m) > view.reach_m or self.random.random() < LOST_SHARE:
            return 0.0
        x, y, z = place_of(person.roadway, person.chainage_m)
        true = math.dist((x, y, z), view.at)
        distance = math.hypot(true, person.side_m) + self.random.gauss(0.0, NOISE_M)
        if not view.sighted or self.random.random() < OUTLIER_SHARE:
            distance += self.random.expovariate(1.0 / OUTLIER_MEAN_M)
        return min(max(distance, 0.05), DISTANCE_M_MAX)

    def _look(self, anchor: Anchor) -> None:
        """Note how the anchor hears its own roadway and what lies behind its two ends."""
        at, own = place_of(anchor.roadway, anchor.chainage_m), roadway_by_id()[anchor.roadway]
        self._views[own.id].append(View(anchor, at, anchor.chainage_m, SIGHT_M, sighted=True))
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
            reach = (SIGHT_M if sighted else CORNER_M) - distance_m
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


class Console:
    """An anchor console on a serial line that pushes one frame a period, whether anyone reads or not."""

    def __init__(
        self,
        link: str,
        path: Path,
        baud: int,
        network: Network,
        worn: Callable[[], Iterable[Worn]],
        faults: FaultPlan,
        record: Callable[[Answer], None],
        period_s: float = 1.0,
        phase_s: float = 0.0,
    ) -> None:
        self.link, self.network, self.faults = link, network, faults
        self.line = PtyLine(path, baud, lambda _: None)
        self.frames = self.lost = self.tags = 0
        self.disturbed: Counter[str] = Counter()
        self._worn, self._record, self._period_s, self._phase_s = worn, record, period_s, phase_s
        self._turn = 0

    async def run(self) -> None:
        """Push frames until cancelled."""
        loop = asyncio.get_running_loop()
        self.line.plug()
        due_s = loop.time() + self._phase_s
        try:
            while True:
                due_s = max(due_s + self._period_s, loop.time())
                await asyncio.sleep(due_s - loop.time())
                await self._push(loop.time())
        finally:
            self.line.unplug()

    async def unplug(self) -> None:
        """Pull the port out."""
        self.line.unplug()

    async def plug(self) -> None:
        """Plug the port in again."""
        self.line.plug()

    async def _push(self, now_s: float) -> None:
        heard = self.network.measure(self._worn())
        if len(heard) > TAGS_MAX:  # a frame is full at 30: the rest comes in turn
            self._turn = (self._turn + TAGS_MAX) % len(heard)
            heard = (heard + heard)[self._turn : self._turn + TAGS_MAX]
        millis = int(now_s * 1000)
        frame = anchor0(0, heard, millis, millis)
        sent = self.faults.disturb(_bare, b"", 0, frame, 0, now_s)
        if not self.line.plugged or self.line.unread() > 2 * FRAME_BYTES:
            self.lost += 1  # nobody listens: a serial line does not wait
            return
        if sent.delay_s:
            await asyncio.sleep(sent.delay_s)
        if sent.data and not await self.line.send(sent.data):
            self.lost += 1
        elif sent.fault:
            self.disturbed[sent.fault] += 1
        else:
            self.frames += 1
            self.tags += len(heard)
            self._record(Answer(self.link, 0, 0, 0, len(heard), frame))


def _bare(unit: int, pdu: bytes, transaction: int) -> bytes:
    del unit, transaction
    return pdu
