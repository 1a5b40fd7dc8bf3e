"""The link kind `kj-file`: a folder into which the KJ host of a coal mine drops its files; nothing is ever asked.

How the files come there (SFTP, FTP, a share) is the host's or the site's matter: we read a local folder. One link is
one folder; its devices are `kj-host` (sensors) and `kj-people` (head counts, who is at which station).
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta

from drivers.kj_folder import Dropped, Folder
from drivers.kj_host import FAULT, FAULTS, KIND_OF, Host, Row, Wanted
from drivers.kj_judge import STATE, check_units
from drivers.kj_memory import Tags, load_definitions, save_definitions
from drivers.kj_records import DIALECTS, HostFile, Kind, Person, Style, is_code, of_kind, read_file
from drivers.kj_source import KjSource
from drivers.link import (
    Arrival,
    Clock,
    DeviceOptions,
    Exchange,
    Group,
    Link,
    PointOptions,
    Sightings,
    Source,
    poll_groups,
)
from drivers.options import Faults, split_options
from twin_wire.errors import ConfigError, FormatError, LinkError

COUNTED = ("headcount", FAULT)  # signals that need no code, or one that is no code of a point
OVERDUE_PERIODS = 3.0
EXCERPT_BYTES = 256  # of the newest file, for the installer's page


class KjOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The folder of a host and how it writes."""

    folder: Annotated[str, Meta(min_length=1)]
    done: str = ""  # where files go that were taken (`refused` in it: those that could not be); "": they stay
    memory: str = ""  # our own notes: files taken, definitions, tags; "": beside the folder, named <folder>.memory
    dialect: Literal["mt-1201", "non-coal"] = "mt-1201"
    charset: Literal["utf-8", "gbk"] = "utf-8"
    utc_offset_h: Annotated[float, Meta(ge=-12, le=14)] = 8.0
    sample_time: Literal["record", "file"] = "record"  # whose time a sample has: its record's, or its file's
    backlog_h: Annotated[float, Meta(gt=0, le=8_760)] = 48.0  # older files are put away unread
    scan_s: Annotated[float, Meta(ge=0.02, le=60)] = 1.0
    units: dict[str, str] = {}  # the host's spelling of a unit → ours
    stations: dict[str, int] = {}  # positioning station code → id of its [[anchor]]


def check_options(options: Mapping[str, object]) -> str:
    """Return the folder, which two links may not share; ConfigError with every fault."""
    return str(_options(options).folder)


async def open_link(options: Mapping[str, object], clock: Clock) -> Link:
    """Return the link; the folder is looked into by the first read."""
    return KjLink(_options(options), clock)


def _options(options: Mapping[str, object]) -> KjOptions:
    known: KjOptions = split_options(options, KjOptions)[0]
    faults: Faults = check_units(known.units)
    for field in ("folder", "done", "memory"):
        path = getattr(known, field)
        if path and (not Path(path).is_absolute() or "\0" in path):
            faults.append((field, f"{path!r} is not an absolute path"))
    if known.done and Path(known.done) == Path(known.folder):
        faults.append(("done", "is the folder itself"))
    faults += [(f"stations.{code}", "is no code of a station") for code in known.stations if not is_code(code)]
    if faults:
        raise ConfigError(f"{faults[0][0]}: {faults[0][1]} ({len(faults)} faults)", faults=tuple(faults))
    return msgspec.structs.replace(known, folder=str(Path(known.folder).resolve()))


class Read(NamedTuple):
    """One file as the thread read it."""

    dropped: Dropped
    content: HostFile | FormatError


class Seen(NamedTuple):
    """What a look at the folder gave."""

    reads: list[Read]
    faults: list[tuple[str, str]]
    more: bool  # younger files wait
    tags: dict[str, str]


class KjLink:
    """One folder of one host, shared by its sources: whoever reads gets what is new for all of them."""

    listen_only = True

    def __init__(self, options: KjOptions, clock: Clock) -> None:
        self.connected = False
        self.newest: Exchange | None = None
        self._options, self._clock = options, clock
        self._style = Style(DIALECTS[options.dialect], _codec(options.charset), options.utc_offset_h)
        self._memory = Path(options.memory or f"{options.folder}.memory")
        done = Path(options.done) if options.done else None
        self._folder = Folder(Path(options.folder), done, self._memory, self._style)
        self._tags = Tags(self._memory)
        self._known_tags: dict[str, str] = {}
        self._host = Host([], options.units, options.sample_time == "file", ())
        self._sources: dict[str, KjSource] = {}
        self._people = ""  # the device whose people are seen
        self._heard_s: dict[Kind | None, float] = {}
        self._next_look_s = -math.inf
        self._given_back: list[Arrival] = []
        self._undelivered: list[Dropped] = []
        self._closed = asyncio.Event()

    @property
    def faults(self) -> Mapping[str, int]:
        """Return how often each named fault has happened since the start."""
        return self._host.faults

    def sources(self, devices: Sequence[DeviceOptions], points: Sequence[PointOptions]) -> list[Source]:
        """Return one source per point, and one for people seen by a device without points; ConfigError."""
        groups = list(poll_groups(devices, points))
        profiles = {device.id: device.profile for device in devices}
        faults = [
            (f"devices[{place}].profile", f"{device.profile.id!r} is not for files of a KJ host")
            for place, device in enumerate(devices)
            if device.profile.protocol != "kj-file"
        ]
        wanted: list[Wanted] = []
        periods = {point: group.period_s for group in groups for point in group.points}
        for place, point in enumerate(points):
            signal = profiles[point.device].signal(point.signal)
            assert signal is not None, "poll_groups has looked"
            wanted.append(Wanted(point.id, signal, periods[point.id]))
            faults += [(f"points[{place}].signal", message) for message in _signal_faults(wanted, wanted[-1])]
        people = [device for device in devices if device.profile.signal("headcount") is not None]
        if len(people) > 1:
            faults.append(("devices", "a folder has the people of one system: two devices of them"))
        if faults:
            raise ConfigError(f"{faults[0][0]}: {faults[0][1]} ({len(faults)} faults)", faults=tuple(faults))
        with_points = {group.device for group in groups}
        idle = [device for device in devices if device.id not in with_points]
        groups += [Group(device.id, device.id, device.period_s, ()) for device in idle]
        definitions = load_definitions(self._memory)
        self._host = Host(wanted, self._options.units, self._options.sample_time == "file", definitions)
        self._people = people[0].id if people else ""
        kinds = {want.point: want.kind for want in wanted}
        counts = {want.point: want.code for want in wanted if want.what == FAULT}
        made = []
        for group in groups:
            kind = kinds[group.points[0]] if group.points else "RYSS" if group.device == self._people else None
            wait_s = 0.8 * group.period_s / len(groups)
            fault = counts.get(group.points[0], "") if group.points else ""
            made.append(KjSource(self, self._clock, group, kind, wait_s, fault))
        self._sources = {source.group.points[0]: source for source in made if source.group.points}
        return list(made)

    def utilisation(self) -> float:
        """Return 0: nothing of ours occupies the host."""
        return 0.0

    async def close(self) -> None:
        """Let go of the files whose rows were handed over; a read in flight ends with LinkError."""
        self._closed.set()
        self.connected = False
        await asyncio.to_thread(self._keep, math.inf)

    def begin_read(self) -> None:
        """Open again what was closed before."""
        self._closed.clear()

    async def wait(self, until_s: float) -> bool:
        """Wait for the next look at the folder or `until_s`; False if the time is up; LinkError if it was closed."""
        try:
            async with asyncio.timeout(max(0.0, min(until_s, self._next_look_s) - self._clock.monotonic_s())):
                await self._closed.wait()
        except TimeoutError:
            return self._clock.monotonic_s() < until_s
        self.connected = False
        raise LinkError(f"{self._options.folder} was closed")

    async def collect(self) -> list[Arrival]:
        """Return everything new for all sources, looking into the folder if it is time to; LinkError."""
        await self._look_again()
        arrivals, self._given_back = self._given_back, []
        return arrivals

    def give_back(self, arrivals: list[Arrival]) -> None:
        """Keep what was collected for the next source: this one has to say that its own file is overdue."""
        self._given_back = [*arrivals, *self._given_back]

    def delivered(self) -> None:
        """Note that what was collected has been handed over: its files may be let go once it is sealed."""
        for dropped in self._undelivered:
            self._folder.hold(dropped, self._clock.monotonic_s())
        self._undelivered = []

    async def _look_again(self) -> None:
        """Add what is new to what waits to be handed over; a read that is cancelled here loses nothing."""
        now_s = self._clock.monotonic_s()
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + self._options.scan_s
        try:
            await asyncio.to_thread(self._keep, now_s)
            seen = await asyncio.to_thread(self._look, self._clock.time_us())
        except LinkError:
            self.connected = False
            raise
        self.connected, self._known_tags = True, seen.tags
        for fault, text in seen.faults:
            self._host.note(fault, text)
        newest = {read.dropped.name.kind: read for read in seen.reads} if not seen.more else {}
        for read in seen.reads:
            self._given_back += self._take(read, newest.get(read.dropped.name.kind) is read)
            await asyncio.sleep(0)  # a backlog takes seconds: other links have their turns

    def count_of(self, fault: str) -> int:
        """Return how often a named fault has happened."""
        return self._host.faults[fault]

    def fault_of(self, point: str) -> LinkError | None:
        """Return the newest fault of a point or of a file since someone asked."""
        text = self._host.told.pop(point, "") or self._host.told.pop("", "")
        return LinkError(text, FAULTS[text.partition(":")[0]]) if text else None

    def overdue_s(self, kind: Kind | None, period_s: float) -> float:
        """Return for how long files of a type (None: any) should have come and did not, 0 if they are on time."""
        now_s = self._clock.monotonic_s()
        heard_s = max(self._heard_s.values(), default=None) if kind is None else self._heard_s.get(kind)
        if heard_s is None:
            heard_s = self._heard_s.setdefault(kind, now_s)
        late_s = now_s - heard_s
        return late_s if late_s > OVERDUE_PERIODS * period_s else 0.0

    def _keep(self, now_s: float) -> None:
        """Put away what has settled, and store definitions that changed; in a thread."""
        if self._host.redefined:
            self._host.redefined = False
            save_definitions(self._memory, list(self._host.definitions.values()))
        self._folder.let_go(now_s)

    def _look(self, now_us: int) -> Seen:
        """Read what is new; in a thread."""
        look = self._folder.look(now_us / 1e6)
        reads: list[Read] = []
        for dropped in look.files:
            try:
                reads.append(Read(dropped, read_file(dropped.data, dropped.name, self._style, now_us)))
            except FormatError as error:
                reads.append(Read(dropped, error))
        cards = [p.card for read in reads if isinstance(read.content, HostFile) for p in of_kind(read.content, Person)]
        tags = self._known_tags
        try:
            tags = self._tags.learn(cards) if cards else tags
        except LinkError as error:  # sensors do not wait for the tag of a new card
            look.faults.append(("put_away", str(error)))
        return Seen(reads, look.faults, look.more, tags)

    def _take(self, read: Read, newest: bool) -> list[Arrival]:
        dropped, file = read
        name, now_us = dropped.name, self._clock.time_us()
        self.newest = Exchange(now_us, b"", dropped.data[:EXCERPT_BYTES] if name.kind != "RYSS" else name.text.encode())
        if dropped.rewritten:
            self._host.note("rewritten", name.text)
        if isinstance(file, FormatError):
            self._host.note(file.faults[0][0], f"{name.text}: {file}")
            self._folder.hold(dropped, -math.inf, file.faults[0][0])
            for source in self._sources.values():
                source.stats.crc_errors += source.kind == name.kind
            return []
        if now_us - file.time_us > self._options.backlog_h * 3.6e9:
            self._host.note("old", name.text)
            self._folder.hold(dropped, -math.inf)
            return []
        rows = self._host.take(file, now_us, newest)
        self._folder.hold(dropped, math.inf)
        self._undelivered.append(dropped)
        if rows is None:
            return []
        self._heard_s[name.kind] = self._clock.monotonic_s()
        return [*self._blocks(rows), *self._sightings()]

    def _blocks(self, rows: Sequence[Row]) -> list[Arrival]:
        by_source: dict[str, list[Row]] = {}
        for row in rows:
            by_source.setdefault(row.point, []).append(row)
        return [arrival for point, own in by_source.items() for arrival in self._sources[point].arrivals(own)]

    def _sightings(self) -> list[Arrival]:
        """Return who is at which station according to the newest personnel file."""
        snapshot, self._host.snapshot = self._host.snapshot, None
        if snapshot is None or not self._people:
            return []
        stations = self._options.stations
        for code in {person.station for person in snapshot.persons} - stations.keys() - {""}:
            self._host.note("unknown_station", f"{code} is not in stations of this link")
        seen = [p for p in snapshot.persons if p.station in stations and p.card in self._known_tags]
        if not seen:
            return []
        time_us = np.full(len(seen), snapshot.time_us, np.int64)
        anchors = np.array([stations[person.station] for person in seen], np.int32)
        nothing = np.full(len(seen), np.nan, np.float32)
        tags = tuple(self._known_tags[person.card] for person in seen)
        return [Sightings(time_us, self._people, anchors, tags, nothing, nothing)]


def _signal_faults(wanted: Sequence[Wanted], want: Wanted) -> list[str]:
    """Return what is wrong with the signal of a point, given those before it."""
    if want.what == FAULT:
        return [] if want.code in FAULTS else [f"there is no fault {want.code!r}: {', '.join(FAULTS)}"]
    if want.what in COUNTED:
        return [f"{want.what} stands alone, without a code"] if want.code else []
    if not is_code(want.code):
        return [f"needs the code in the host behind it: {want.what}:CODE"]
    others = [w for w in wanted if w.code == want.code and w is not want and w.kind == want.kind]
    clash = [w for w in others if w.what not in (STATE, want.what) and want.what != STATE and want.what not in KIND_OF]
    return [f"{want.code} is mapped as {clash[0].what!r} already"] if clash else []


def _codec(charset: str) -> str:
    return "gb18030" if charset == "gbk" else charset
