"""What devices that talk by themselves have in common: one device on one port, drained at every read.

A module per kind gives a Dialect: how to find frames in bytes, and what a list of them says. With a Starter the link
has a transmitter and the device is told to begin; without one there is no method by which a byte could leave.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np

from drivers.line import INBOX_BYTES_MAX, Chunk, Line, Listener, open_by
from drivers.link import (
    Arrival,
    Clock,
    DeviceOptions,
    Exchange,
    Group,
    Link,
    Pace,
    PointOptions,
    Source,
    Stats,
    poll_groups,
)
from drivers.ports import address_of, line_of, listener_of, split_port
from twin_wire.errors import ConfigError, DeviceError, LinkError
from twin_wire.readings import Block, Quality


class Frame(Protocol):
    """One whole frame, sentence or line, and as many rows of tags as it says."""

    @property
    def raw(self) -> bytes:
        """Return its bytes."""

    @property
    def rows(self) -> int:
        """Return how many ranges, positions or sightings it holds; 0 for a sign of life."""


class Stream(Protocol):
    """Finds frames in bytes as they come; pure, holds at most one unfinished frame."""

    noise_bytes: int  # belonged to no frame
    damaged: int  # looked like a frame and was none
    due_s: float  # when feeding nothing may complete a frame (monotonic), infinite if never

    def reset(self) -> None:
        """Forget what came: a new connection begins."""

    def feed(self, data: bytes, now_s: float) -> Sequence[Any]:
        """Take bytes that came at `now_s`, or none when time has passed; return the frames they complete."""


class Starter(Protocol):
    """What has to be said to a device so that it talks; pure, asked again and again."""

    def opened(self, now_s: float) -> None:
        """The port was opened: begin."""

    def begin_read(self, now_s: float) -> None:
        """A read begins: a device that may be silent for a good reason can be asked whether it lives."""

    def heard(self, data: bytes, frames: Sequence[Any], now_s: float) -> None:
        """Take note of bytes that came and of the frames they completed."""

    def due(self, now_s: float) -> tuple[bytes, float]:
        """Return what to send now, empty for nothing, and when to ask again (monotonic, may be infinite)."""

    def budget_s(self) -> float:
        """Return how long a start can take."""


class Heard(NamedTuple):
    """A frame and when its first byte left the device."""

    time_us: int
    frame: Any


class Dialect(NamedTuple):
    """What differs between kinds."""

    protocol: str  # of the profiles it reads
    signals: tuple[str, ...]
    hint: str  # when nothing comes
    stream: Callable[[float], Stream]  # from the time of one character
    arrivals: Callable[[str, Sequence[Heard]], list[Arrival]]  # of one device
    measure: Callable[[Sequence[Heard]], Mapping[str, float]]  # value of every signal, NaN for none
    fault: Callable[[Sequence[Heard]], LinkError | None] = lambda _frames: None  # a DeviceError if nothing works


class ListenOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of a kind that never transmits; `listen_only` may be written down, it is always true."""

    listen_only: bool = True


class StartOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of a kind that can tell its device to begin: only with `start = true` has the link a transmitter."""

    start: bool = False
    listen_only: bool = False


def read_options(options: Mapping[str, object], baud: int, *kinds: type[msgspec.Struct]) -> tuple[Any, ...]:
    """Return (port, *kinds) from the table of a link with the maker's `baud` as default; ConfigError, all faults."""
    made = split_port({"baud": baud, **options}, *kinds)
    clash = [own for own in made[1:] if isinstance(own, StartOptions) and own.start and own.listen_only]
    if clash:
        message = "a link that listens only cannot tell its device to start"
        raise ConfigError(f"start: {message}", faults=(("start", message),))
    return made


def address(options: Mapping[str, object], baud: int, *kinds: type[msgspec.Struct]) -> str:
    """Return what two links may not share; ConfigError with every fault."""
    return address_of(read_options(options, baud, *kinds)[0])


def open_pushed(port: Any, clock: Clock, dialect: Dialect, starter: Starter | None = None) -> Link:
    """Return the link; the port is opened by the first read."""
    if starter is None:
        return PushedLink(listener_of(port, clock), clock, dialect, None)
    line = line_of(port, clock)
    return PushedLink(line, clock, dialect, Speaker(line, starter))


class Speaker(NamedTuple):
    """The transmitter of a link and what it may say."""

    line: Line
    starter: Starter


class PushedLink:
    """One device on one port."""

    def __init__(self, listener: Listener, clock: Clock, dialect: Dialect, speaker: Speaker | None) -> None:
        self._listener = listener
        self._clock = clock
        self._dialect = dialect
        self._speaker = speaker

    @property
    def listen_only(self) -> bool:
        """Tell whether the link has no transmitter."""
        return self._speaker is None

    @property
    def connected(self) -> bool:
        """Tell whether the port is open."""
        return self._listener.connected

    def sources(self, devices: Sequence[DeviceOptions], points: Sequence[PointOptions]) -> list[Source]:
        """Return the one source of the one device, with or without points; ConfigError with every fault."""
        faults: list[tuple[str, str]] = []
        protocol, signals = self._dialect.protocol, self._dialect.signals
        groups = poll_groups(devices, points)
        if len(devices) != 1:
            faults.append(("devices", f"{len(devices)} devices: a {protocol} port carries exactly one"))
        for place, device in enumerate(devices):
            if device.profile.protocol != protocol:
                faults.append((f"devices[{place}].profile", f"{device.profile.id!r} does not speak {protocol}"))
        if len(groups) > 1:
            faults.append(("points", f"a {protocol} device has one period"))
        faults += [
            (f"points[{place}].signal", f"{protocol} tells no {point.signal!r}, only {', '.join(signals)}")
            for place, point in enumerate(points)
            if point.signal not in signals
        ]
        if faults:
            raise ConfigError(f"{faults[0][0]}: {faults[0][1]} ({len(faults)} faults)", faults=tuple(faults))
        device = devices[0]
        group = groups[0] if groups else Group(device.id, device.id, device.period_s, ())
        wanted = [point.signal for point in points]
        return [PushedSource(self._listener, self._clock, self._dialect, self._speaker, group, wanted)]

    def utilisation(self) -> float:
        """Return 0: nothing of ours occupies the line."""
        return 0.0

    async def close(self) -> None:
        """Release the port; a read in flight ends with LinkError."""
        self._listener.close()


class PushedSource:
    """Drains what the device has said since the last read."""

    def __init__(
        self,
        listener: Listener,
        clock: Clock,
        dialect: Dialect,
        speaker: Speaker | None,
        group: Group,
        signals: Sequence[str],
    ) -> None:
        self.group = group
        self.stats = Stats()
        self.fault: LinkError | None = None
        self._listener = listener
        self._clock = clock
        self._dialect = dialect
        self._speaker = speaker
        self._signals = signals
        self._stream = dialect.stream(listener.char_s)
        self._newest: Heard | None = None
        self._sent = b""

    async def read(self, deadline_s: float) -> list[Arrival]:
        """Return the rows and points of every frame since the last call; LinkError if there is none."""
        if not self._listener.connected:
            await self._open(deadline_s)
        if self._speaker is not None:
            self._speaker.starter.begin_read(self._clock.monotonic_s())
        frames = [heard for chunk in self._waiting() for heard in self._feed(chunk)]
        again_s = self._say()
        while not frames:
            chunk = await self._listener.receive(min(deadline_s, again_s, self._stream.due_s))
            now_s = self._clock.monotonic_s()
            frames = self._feed(chunk if chunk.data else Chunk(b"", now_s))
            if not frames and not chunk.data and now_s >= deadline_s:
                self.stats.timeouts += 1
                raise LinkError(f"{self.group.device}: no frame came", self._dialect.hint)
            again_s = self._say()
        self._newest = frames[-1]
        self.fault = self._dialect.fault(frames)
        if isinstance(self.fault, DeviceError):
            self.stats.exceptions += 1
            raise self.fault
        self.stats.scans += 1
        return self._arrivals(frames)

    def pace(self) -> Pace:
        """Return that it may be read at any time and occupies nothing."""
        size = len(self._newest.frame.raw) if self._newest else 0
        half_width_us = round(size * self._listener.char_s * 5e5)
        budget_s = self.group.period_s
        if self._speaker is not None:
            budget_s = max(budget_s, self._speaker.starter.budget_s())
        return Pace(0.0, 0.0, budget_s, 0.0, half_width_us)

    def exchanges(self) -> list[Exchange]:
        """Return what was said last, if anything, and the newest frame."""
        if self._newest is None:
            return []
        return [Exchange(self._newest.time_us, self._sent, self._newest.frame.raw)]

    async def _open(self, deadline_s: float) -> None:
        await open_by(self._listener, deadline_s, self._clock)
        self._stream.reset()
        if self._speaker is not None:
            self._speaker.starter.opened(self._clock.monotonic_s())

    def _waiting(self) -> list[Chunk]:
        """Return what came since the last read and, to let time pass for an unfinished frame, nothing that comes now.

        So much that some of it was dropped was never read in time: the ends of what is left could join to a frame.
        """
        chunks, nothing = self._listener.take(), Chunk(b"", self._clock.monotonic_s())
        size = sum(len(chunk.data) for chunk in chunks)
        if size > INBOX_BYTES_MAX // 2:
            self.stats.noise_bytes += size
            self._stream.reset()
            return [nothing]
        return [*chunks, nothing]

    def _say(self) -> float:
        """Send what is due; return when to ask again."""
        if self._speaker is None:
            return math.inf
        data, again_s = self._speaker.starter.due(self._clock.monotonic_s())
        if data:
            self._speaker.line.write(data)
            self._sent = data
        return again_s

    def _feed(self, chunk: Chunk) -> list[Heard]:
        stream = self._stream
        noise, damaged = stream.noise_bytes, stream.damaged
        now_s = self._clock.monotonic_s()
        arrived_us = self._clock.time_us() - round((now_s - chunk.time_s) * 1e6)
        frames = stream.feed(chunk.data, chunk.time_s)
        rows = sum(frame.rows for frame in frames)
        if self._speaker is not None:
            self._speaker.starter.heard(chunk.data, frames, now_s)
        self.stats.noise_bytes += stream.noise_bytes - noise
        self.stats.crc_errors += stream.damaged - damaged
        self.stats.answers += len(frames)
        self.stats.samples += rows
        return [Heard(arrived_us - round(len(f.raw) * self._listener.char_s * 1e6), f) for f in frames]

    def _arrivals(self, frames: list[Heard]) -> list[Arrival]:
        arrivals = self._dialect.arrivals(self.group.device, frames)
        if self._signals:
            measured = self._dialect.measure(frames)
            value = np.array([[measured[signal]] for signal in self._signals])
            quality = np.where(np.isnan(value), Quality.SENTINEL, Quality.GOOD).astype(np.uint8)
            time_us = np.array([max(heard.time_us for heard in frames)], np.int64)
            arrivals.append(Block(self.group.points, time_us, value, quality))
        return arrivals


def rising(times: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return times as a column that does not fall: arrivals of one read can be a millisecond out of order."""
    return np.maximum.accumulate(np.array(times, np.int64)) if times else np.zeros(0, np.int64)
