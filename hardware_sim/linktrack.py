"""UWB positioning devices that speak LinkTrack: a console's Anchor0, a tag's Tag0 and an anchor's Node2 frames.

Ranging: 0.1 m noise in sight, 15 % outliers that are exponentially too long, 10 % losses; round a corner only near it.
"""

import random
import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from hardware_sim.faults import FaultPlan
from hardware_sim.journal import Answer
from hardware_sim.plan import Anchor
from hardware_sim.pusher import Pusher, Said
from hardware_sim.sight import Sight, Worn

FRAME_BYTES = 896
TAGS_MAX = 30  # places for tags in one Anchor0 frame
ANCHORS_MAX = 8
EMPTY, ROLE_ANCHOR, ROLE_TAG, TAIL = 0xFF, 1, 2, 0xEE
DISTANCE_M_MAX = 655.0  # u16 centimetres
SIGHT_M, CORNER_M = 400.0, 45.0  # how far a range carries in sight, and beyond a corner
NOISE_M, OUTLIER_SHARE, OUTLIER_MEAN_M, LOST_SHARE = 0.1, 0.15, 1.5, 0.10
_TAG = struct.Struct("<BB9s8H")
_TAIL = struct.Struct("<67xI4xHIBBB")


class Tag(NamedTuple):
    """One tag as a console reports it: its number and its distance in m to each anchor, 0 where none was heard."""

    id: int
    distances_m: tuple[float, ...]


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


def tag0(tag: Tag, local_ms: int, volts: float = 3.7) -> bytes:
    """Return one Tag0 frame: what a tag says of itself, its position left 0."""
    distances = b"".join(_i24(metres) for metres in tag.distances_m).ljust(24, b"\0")
    motion = struct.pack("<6f12x3h4f", 0, 0, 0, 0, 0, 9.81, 0, 0, 0, 1, 0, 0, 0)
    now = local_ms & 0xFFFFFFFF
    head = bytes((0x55, 0x01, tag.id, ROLE_TAG)) + bytes(18) + distances + motion
    body = head.ljust(108, b"\0") + struct.pack("<II4xH5x", now, now, round(volts * 1000))
    return body + bytes((sum(body) & 0xFF,))


def node2(own: int, ranges: Sequence[tuple[int, float]], local_ms: int, volts: float = 12.0) -> bytes:
    """Return one Node2 frame of an anchor: (tag, metres) of up to 255 tags it hears."""
    now = local_ms & 0xFFFFFFFF
    size = 119 + 13 * len(ranges) + 1
    head = struct.pack("<BBHBBI", 0x55, 0x04, size, ROLE_ANCHOR, own, now).ljust(116, b"\0")
    body = head + struct.pack("<HB", round(volts * 1000), len(ranges))
    body += b"".join(struct.pack("<BB3sBBI2x", ROLE_TAG, tag, _i24(metres), 160, 158, now) for tag, metres in ranges)
    return body + bytes((sum(body) & 0xFF,))


def _i24(metres: float) -> bytes:
    return (round(metres * 1000) & 0xFFFFFF).to_bytes(3, "little")


class Network:
    """One positioning network of at most eight anchors; measures worn tags with the errors of UWB in a mine."""

    def __init__(self, anchors: Iterable[Anchor], seed: str) -> None:
        self.anchors = {anchor.id: anchor for anchor in anchors}
        assert all(0 <= number < ANCHORS_MAX for number in self.anchors)
        self._ranging = Ranging(self.anchors.values(), seed)

    def measure(self, worn: Iterable[Worn]) -> list[Tag]:
        """Return every tag that at least one anchor hears."""
        heard = []
        for person in worn:
            distances = [0.0] * ANCHORS_MAX
            for number, metres in self._ranging.measure(person).items():
                distances[number] = metres
            if any(distances):
                heard.append(Tag(person.tag, tuple(distances)))
        return heard


class Ranging:
    """Distances by ultra-wide band: right in sight, too long by reflection, lost now and then."""

    def __init__(self, anchors: Iterable[Anchor], seed: str) -> None:
        self.random = random.Random(seed)  # noqa: S311
        self._sight = Sight(anchors, SIGHT_M, CORNER_M)

    def measure(self, person: Worn) -> dict[int, float]:
        """Return the distance in m to every anchor that hears a tag."""
        found: dict[int, float] = {}
        for path in self._sight.paths(person):
            if self.random.random() < LOST_SHARE:
                continue
            distance = path.metres + self.random.gauss(0.0, NOISE_M)
            if not path.sighted or self.random.random() < OUTLIER_SHARE:
                distance += self.random.expovariate(1.0 / OUTLIER_MEAN_M)
            distance = min(max(distance, 0.05), DISTANCE_M_MAX)
            found[path.anchor.id] = max(found.get(path.anchor.id, 0.0), distance)
        return found


class Frames:
    """What one device says a period: `form` anchor0, or node2 of the anchor or tag0 of the tag `own`."""

    def __init__(
        self, network: Network, worn: Callable[[], Iterable[Worn]], form: str = "anchor0", own: int = 0
    ) -> None:
        self._network, self._worn, self._form, self._own, self._turn = network, worn, form, own, 0

    def due(self, now_s: float) -> list[Said]:
        """Return the frame of now."""
        heard = self._network.measure(self._worn())
        millis = int(now_s * 1000)
        if self._form == "node2":
            mine = [(tag.id, tag.distances_m[self._own]) for tag in heard if tag.distances_m[self._own]]
            return [Said(node2(self._own, mine, millis), len(mine))]
        if self._form == "tag0":
            return [Said(tag0(tag, millis), 1) for tag in heard if tag.id == self._own]
        if len(heard) > TAGS_MAX:  # a frame is full at 30: the rest comes in turn
            self._turn = (self._turn + TAGS_MAX) % len(heard)
            heard = (heard + heard)[self._turn : self._turn + TAGS_MAX]
        return [Said(anchor0(0, heard, millis, millis), len(heard))]

    def hear(self, data: bytes, now_s: float) -> list[Said]:
        """Return nothing: a console is told by its own program only."""
        del data, now_s
        return []


class Console(Pusher):
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
        super().__init__(link, path, baud, Frames(network, worn), faults, record, period_s, phase_s)
