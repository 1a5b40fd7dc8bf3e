"""What a driver is to the agent: the protocols, the options it is given, and the columns it hands back."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from drivers.profile import Profile
from twin_wire.errors import ConfigError, LinkError
from twin_wire.readings import Block, Event, Times


class Clock(Protocol):
    """The two clocks a driver needs, injected so that a test or a replay owns the time."""

    def time_us(self) -> int:
        """Return the wall time in µs since 1970 UTC."""

    def monotonic_s(self) -> float:
        """Return seconds that never step, in the same scale as the event loop's timers."""


class DeviceOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One instrument on a link; `unit` is its Modbus address (ignored where the protocol has none)."""

    id: str
    profile: Profile
    unit: int = 1
    period_s: float = 1.0
    timeout_ms: float = 0.0  # wait at least so long for an answer: raise behind a radio or a slow converter


class PointOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One point: a signal of a device's profile; `period_s` None means the device's; `raw` keeps a float unrounded."""

    id: str
    device: str
    signal: str
    period_s: float | None = None
    raw: bool = False


class Group(NamedTuple):
    """The points of one device read together: one source, one GroupSpec of the manifest, one Block per scan."""

    id: str
    device: str
    period_s: float
    points: tuple[str, ...]


class History(NamedTuple):
    """Rows older than some handed over before: for the record only, they say nothing about now."""

    block: Block


class Ranges(NamedTuple):
    """Distances between worn tags and fixed anchors, N rows, all heard through one device."""

    time_us: Times  # [N], not falling
    anchor_device: str  # the device (gateway.toml id) whose frames carried them
    tag: NDArray[np.int32]  # [N] the tag's number in its own network
    anchor_id: NDArray[np.int32]  # [N] the anchor's number in its own network
    distance_mm: NDArray[np.int32]  # [N], greater than 0


class Positions(NamedTuple):
    """Positions the device computed itself in its own coordinates, N rows; NaN or none never appears."""

    time_us: Times  # [N], not falling
    anchor_device: str
    tag: NDArray[np.int32]  # [N]
    x_mm: NDArray[np.int32]
    y_mm: NDArray[np.int32]
    z_mm: NDArray[np.int32]


class Sightings(NamedTuple):
    """Worn tags that a fixed reader or antenna heard, N rows; no distance is known, at most a signal strength."""

    time_us: Times  # [N], not falling
    anchor_device: str  # the device (gateway.toml id) that heard them
    anchor_id: NDArray[np.int32]  # [N] which antenna of the device, 0 where it has one
    tag: tuple[str, ...]  # [N] the tag's own number as text: an identifier (twin_wire.ids), never a name
    rssi_dbm: NDArray[np.float32]  # [N], NaN where the reader tells none
    reference_dbm: NDArray[np.float32]  # [N] strength at 1 m that the tag announces, NaN where it does not


class Geodetic(NamedTuple):
    """Positions on the earth (WGS 84), N rows, as a satellite receiver computed them."""

    time_us: Times  # [N], not falling: the receiver's own UTC where its sentence carries it
    anchor_device: str
    tag: tuple[str, ...]  # [N] an identifier: the receiver's device id unless it reports for others
    latitude_deg: NDArray[np.float64]
    longitude_deg: NDArray[np.float64]
    height_m: NDArray[np.float64]  # above the ellipsoid or the geoid, as the device says; NaN unknown
    sigma_m: NDArray[np.float32]  # horizontal standard deviation, NaN unknown
    rtk: NDArray[np.uint8]  # 0 autonomous, 1 differential, 2 RTK float, 3 RTK fixed


# An Event is something seen on the line itself, for the record: it has an end, and its point is a device or "".
Arrival = Block | History | Ranges | Positions | Sightings | Geodetic | Event


class Stats(msgspec.Struct):
    """What one source has counted since it was made; only ever growing."""

    scans: int = 0  # reads that returned at least one value
    answers: int = 0  # complete answers accepted
    samples: int = 0  # complete answers accepted × the points in them (range rows for positioning)
    timeouts: int = 0  # nothing, or not enough, came in time
    crc_errors: int = 0  # an answer's worth of bytes came and no frame in it was whole
    rejected: int = 0  # a whole frame that answers something else: unit, function, length, transaction
    exceptions: int = 0  # the device refused
    late: int = 0  # answers that came after their request was given up; none of them became a value
    noise_bytes: int = 0  # bytes thrown away


class Pace(NamedTuple):
    """What the poll loop needs to plan; all in seconds, `quiet_until_s` on the injected monotonic clock."""

    quiet_until_s: float  # do not read before: an answer given up may still come
    scan_s: float  # predicted time one scan occupies the link
    budget_s: float  # the longest one read can take with the time-outs learned so far
    turnaround_s: float  # learned: last byte sent to first byte received
    half_width_us: int  # uncertainty of the last block's time


class Exchange(NamedTuple):
    """The newest question and answer of one request, for the installer's page; `answer` is empty after silence."""

    time_us: int
    request: bytes
    answer: bytes


class Source(Protocol):
    """The points of one poll group of one device."""

    @property
    def group(self) -> Group:
        """Return what it reads."""

    @property
    def stats(self) -> Stats:
        """Return what it has counted."""

    @property
    def fault(self) -> LinkError | None:
        """Return why a part of the last scan is missing, None if nothing is."""

    async def read(self, deadline_s: float) -> list[Arrival]:
        """Return everything since the last call by the monotonic `deadline_s`; LinkError when there is nothing."""

    def pace(self) -> Pace:
        """Return what the poll loop needs to plan the next read."""

    def exchanges(self) -> list[Exchange]:
        """Return the newest raw question and answer of every request."""


class Link(Protocol):
    """One serial line or one connection; everything on it takes turns."""

    @property
    def listen_only(self) -> bool:
        """Tell whether the link has no transmitter."""

    @property
    def connected(self) -> bool:
        """Tell whether its port or connection is open."""

    def sources(self, devices: Sequence[DeviceOptions], points: Sequence[PointOptions]) -> list[Source]:
        """Return one source per poll group, in the order of `poll_groups`; ConfigError with every fault."""

    def utilisation(self) -> float:
        """Return the predicted share of the link's time its sources need; above 1 they cannot all be on time."""

    async def close(self) -> None:
        """Release the port; a read in flight ends with LinkError."""


@runtime_checkable
class Learner(Protocol):
    """A link that learns about its devices; the agent keeps it across restarts and shows the notes."""

    def learned(self) -> dict[str, object]:
        """Return what was learned, JSON-able."""

    def recall(self, document: Mapping[str, object]) -> None:
        """Take back what `learned` gave in an earlier run; what does not fit is ignored."""

    def notes(self) -> list[str]:
        """Return what an installer should know beside the counters, the same text as long as it holds."""


def poll_groups(devices: Sequence[DeviceOptions], points: Sequence[PointOptions]) -> tuple[Group, ...]:
    """Sort points into groups of one device and one period, keeping their order; ConfigError with every fault.

    Points whose data has an age of its own are a group for each age; where every signal has its own time, each alone.
    """
    found: list[tuple[str, str]] = []
    known = {device.id: device for device in devices}
    if len(known) < len(devices):
        found.append(("devices", "two devices have one id"))
    members: dict[tuple[str, float, str], list[str]] = {}
    seen: set[str] = set()
    for place, point in enumerate(points):
        path = f"points[{place}]"
        if point.id in seen:
            found.append((f"{path}.id", f"point {point.id!r} is there twice"))
        seen.add(point.id)
        device = known.get(point.device)
        if device is None:
            found.append((f"{path}.device", f"no device {point.device!r} on this link"))
            continue
        if device.profile.signal(point.signal) is None:
            found.append((f"{path}.signal", f"profile {device.profile.id!r} has no signal {point.signal!r}"))
        period_s = device.period_s if point.period_s is None else point.period_s
        if not 0 < period_s <= 86_400:
            found.append((f"{path}.period_s", "not within 0 to 86400 s"))
        alone = point.id if device.profile.own_times else device.profile.age_of(point.signal)
        members.setdefault((device.id, period_s, alone), []).append(point.id)
    if found:
        raise ConfigError(f"{found[0][0]}: {found[0][1]} ({len(found)} faults)", faults=tuple(found))
    groups: list[Group] = []
    counts = Counter(owner for owner, _, _ in members)
    for (owner, period_s, alone), ids in members.items():
        name = f"{owner}:{period_s:g}" if counts[owner] > 1 else owner
        if alone and not known[owner].profile.own_times:
            name = f"{owner}:{alone}:{period_s:g}"
        elif alone:
            name = f"{owner}:{sum(group.device == owner for group in groups)}"
        groups.append(Group(name, owner, period_s, tuple(ids)))
    return tuple(groups)
