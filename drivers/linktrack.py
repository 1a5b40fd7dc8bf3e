"""The link kind `linktrack`: a Nooploop LinkTrack anchor or tag that pushes frames; we only ever listen."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from drivers.line import Chunk, Listener
from drivers.link import (
    Arrival,
    Clock,
    DeviceOptions,
    Exchange,
    Group,
    Link,
    Pace,
    PointOptions,
    Positions,
    Ranges,
    Source,
    Stats,
    poll_groups,
)
from drivers.linktrack_frames import Frame, Stream
from drivers.ports import address_of, listener_of, split_port
from drivers.profile import Signal
from twin_wire.errors import ConfigError, LinkError
from twin_wire.readings import Block, Quality

BAUD = 921_600  # the maker's default
SIGNALS = ("supply_voltage", "tags_heard")  # what a frame says beside ranges and positions


class LinkTrackOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a LinkTrack link has beside its port; `listen_only` may be written down, it is always true."""

    listen_only: bool = True


def check_options(options: Mapping[str, object]) -> str:
    """Return the link's address; ConfigError with every fault."""
    return address_of(split_port({"baud": BAUD, **options}, LinkTrackOptions)[0])


async def open_link(options: Mapping[str, object], clock: Clock) -> Link:
    """Return the link; the port is opened by the first read."""
    port, _ = split_port({"baud": BAUD, **options}, LinkTrackOptions)
    return LinkTrackLink(listener_of(port, clock), clock)


class LinkTrackLink:
    """One positioning device on one port."""

    listen_only = True

    def __init__(self, listener: Listener, clock: Clock) -> None:
        self._listener = listener
        self._clock = clock

    @property
    def connected(self) -> bool:
        """Tell whether the port is open."""
        return self._listener.connected

    def sources(self, devices: Sequence[DeviceOptions], points: Sequence[PointOptions]) -> list[Source]:
        """Return the one source of the one device, with or without points; ConfigError with every fault."""
        faults: list[tuple[str, str]] = []
        groups = poll_groups(devices, points)
        if len(devices) != 1:
            faults.append(("devices", f"{len(devices)} devices: a LinkTrack port carries exactly one"))
        for place, device in enumerate(devices):
            if device.profile.protocol != "linktrack":
                faults.append((f"devices[{place}].profile", f"{device.profile.id!r} does not speak LinkTrack"))
        if len(groups) > 1:
            faults.append(("points", "a LinkTrack device has one period"))
        faults += [
            (f"points[{place}].signal", f"a LinkTrack frame has no {point.signal!r}, only {', '.join(SIGNALS)}")
            for place, point in enumerate(points)
            if point.signal not in SIGNALS
        ]
        if faults:
            raise ConfigError(f"{faults[0][0]}: {faults[0][1]} ({len(faults)} faults)", faults=tuple(faults))
        device = devices[0]
        group = groups[0] if groups else Group(device.id, device.id, device.period_s, ())
        signals = [device.profile.signal(point.signal) for point in points]
        return [LinkTrackSource(self._listener, self._clock, group, [signal for signal in signals if signal])]

    def utilisation(self) -> float:
        """Return 0: nothing of ours occupies the line."""
        return 0.0

    async def close(self) -> None:
        """Release the port; a read in flight ends with LinkError."""
        self._listener.close()


class LinkTrackSource:
    """Drains what the device has pushed since the last read."""

    def __init__(self, listener: Listener, clock: Clock, group: Group, signals: Sequence[Signal]) -> None:
        self.group = group
        self.stats = Stats()
        self.fault: LinkError | None = None
        self._listener = listener
        self._clock = clock
        self._signals = signals
        self._stream = Stream(listener.char_s)
        self._newest: tuple[int, Frame] | None = None

    async def read(self, deadline_s: float) -> list[Arrival]:
        """Return the ranges, positions and points of every frame since the last call; LinkError if there is none."""
        if not self._listener.connected:
            try:
                async with asyncio.timeout(max(0.0, deadline_s - self._clock.monotonic_s())):
                    await self._listener.open()
            except TimeoutError as error:
                raise LinkError("the port did not open before the deadline") from error
            self._stream.reset()
        frames = [frame for chunk in self._listener.take() for frame in self._feed(chunk)]
        while not frames:
            chunk = await self._listener.receive(deadline_s)
            if not chunk.data:
                self.stats.timeouts += 1
                raise LinkError(f"{self.group.device}: no frame came", "powered? protocol set to Anchor0 or Node2?")
            frames = self._feed(chunk)
        self._newest = frames[-1]
        self.stats.scans += 1
        return self._arrivals(frames)

    def pace(self) -> Pace:
        """Return that it may be read at any time and occupies nothing."""
        size = len(self._newest[1].raw) if self._newest else 0
        half_width_us = round(size * self._listener.char_s * 5e5)
        return Pace(0.0, 0.0, self.group.period_s, 0.0, half_width_us)

    def exchanges(self) -> list[Exchange]:
        """Return the newest frame; there is no question."""
        return [] if self._newest is None else [Exchange(self._newest[0], b"", self._newest[1].raw)]

    def _feed(self, chunk: Chunk) -> list[tuple[int, Frame]]:
        stream = self._stream
        noise, damaged = stream.noise_bytes, stream.damaged
        age_s = self._clock.monotonic_s() - chunk.time_s
        arrived_us = self._clock.time_us() - round(age_s * 1e6)
        frames = stream.feed(chunk.data, chunk.time_s)
        self.stats.noise_bytes += stream.noise_bytes - noise
        self.stats.crc_errors += stream.damaged - damaged
        self.stats.answers += len(frames)
        self.stats.samples += sum(len(frame.ranges) for frame in frames)
        # A frame's time is when its first byte left the device.
        return [(arrived_us - round(len(frame.raw) * self._listener.char_s * 1e6), frame) for frame in frames]

    def _arrivals(self, frames: list[tuple[int, Frame]]) -> list[Arrival]:
        arrivals: list[Arrival] = []
        times = np.maximum.accumulate(np.array([time_us for time_us, _ in frames], np.int64))
        ranges = np.concatenate([frame.ranges for _, frame in frames])
        places = np.concatenate([frame.positions for _, frame in frames])
        if len(ranges):
            each = np.repeat(times, [len(frame.ranges) for _, frame in frames])
            arrivals.append(Ranges(each, self.group.device, ranges[:, 0], ranges[:, 1], ranges[:, 2]))
        if len(places):
            each = np.repeat(times, [len(frame.positions) for _, frame in frames])
            arrivals.append(Positions(each, self.group.device, *places.T))
        if self._signals:
            frame = frames[-1][1]
            of_frame = {"supply_voltage": frame.voltage_mv / 1000, "tags_heard": float(frame.tags)}
            value = np.array([[of_frame[signal.id]] for signal in self._signals])
            quality = np.full(value.shape, Quality.GOOD, np.uint8)
            arrivals.append(Block(self.group.points, times[-1:], value, quality))
        return arrivals
