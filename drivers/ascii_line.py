"""The link kind `ascii-line`: an instrument that prints lines of text by itself; we only ever listen."""

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from drivers.line import INBOX_BYTES_MAX, NOTHING, Chunk, Listener, open_by
from drivers.line_pattern import Lines, Matched, compile_pattern, match
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
from drivers.ports import address_of, listener_of, split_port
from drivers.profile import Profile, Signal
from twin_wire.errors import ConfigError, LinkError
from twin_wire.readings import Block, Quality


class AsciiLineOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What such a link has beside its port; `listen_only` may be written down, it is always true."""

    listen_only: bool = True


def check_options(options: Mapping[str, object]) -> str:
    """Return the link's address; ConfigError with every fault."""
    return address_of(split_port(options, AsciiLineOptions)[0])


async def open_link(options: Mapping[str, object], clock: Clock) -> Link:
    """Return the link; the port is opened by the first read."""
    port, _ = split_port(options, AsciiLineOptions)
    return AsciiLineLink(listener_of(port, clock), clock)


class AsciiLineLink:
    """One instrument on one port."""

    listen_only = True

    def __init__(self, listener: Listener, clock: Clock) -> None:
        self._listener = listener
        self._clock = clock

    @property
    def connected(self) -> bool:
        """Tell whether the port is open."""
        return self._listener.connected

    def sources(self, devices: Sequence[DeviceOptions], points: Sequence[PointOptions]) -> list[Source]:
        """Return the one source of the one device; ConfigError with every fault."""
        faults: list[tuple[str, str]] = []
        groups = poll_groups(devices, points)
        if len(devices) != 1:
            faults.append(("devices", f"{len(devices)} devices: a port carries one instrument that prints lines"))
        for place, device in enumerate(devices):
            if device.profile.line is None:
                faults.append((f"devices[{place}].profile", f"{device.profile.id!r} does not print lines"))
        if len(groups) != 1:
            faults.append(("points", "a line has one time: the points of the instrument need one common period"))
        if faults:
            raise ConfigError(f"{faults[0][0]}: {faults[0][1]} ({len(faults)} faults)", faults=tuple(faults))
        signals = [devices[0].profile.signal(point.signal) for point in points]
        known = [signal for signal in signals if signal is not None]
        return [AsciiLineSource(self._listener, self._clock, groups[0], devices[0].profile, known)]

    def utilisation(self) -> float:
        """Return 0: nothing of ours occupies the line."""
        return 0.0

    async def close(self) -> None:
        """Release the port; a read in flight ends with LinkError."""
        self._listener.close()


class AsciiLineSource:
    """Turns every line printed since the last read into one row."""

    def __init__(
        self, listener: Listener, clock: Clock, group: Group, profile: Profile, signals: Sequence[Signal]
    ) -> None:
        assert profile.line is not None
        self.group = group
        self.stats = Stats()
        self.fault: LinkError | None = None
        self._listener = listener
        self._clock = clock
        self._form = profile.line
        self._places = compile_pattern(profile.line.pattern, [])
        self._signals = signals
        self._lines = Lines(profile.line)
        self._newest: Exchange | None = None

    async def read(self, deadline_s: float) -> list[Arrival]:
        """Return one row per line of the pattern since the last call; LinkError if there is none by the deadline."""
        if not self._listener.connected:
            await open_by(self._listener, deadline_s, self._clock)
            self._lines.reset()
        rows = self._rows(self._listener.take())
        while not rows:
            chunk = await self._listener.receive(deadline_s)
            if not chunk.data:
                self.stats.timeouts += 1
                raise self._silence()
            rows = self._rows([chunk])
        self.stats.scans += 1
        times = np.maximum.accumulate(np.array([time_us for time_us, _ in rows], np.int64))
        columns = [self._judge(matched) for _, matched in rows]
        value = np.array([[v for v, _ in column] for column in columns], np.float64).T
        quality = np.array([[q for _, q in column] for column in columns], np.uint8).T
        return [Block(self.group.points, times, np.ascontiguousarray(value), np.ascontiguousarray(quality))]

    def pace(self) -> Pace:
        """Return that it may be read at any time and occupies nothing."""
        size = len(self._newest.answer) if self._newest else 0
        return Pace(0.0, 0.0, self.group.period_s, 0.0, round(size * self._listener.char_s * 5e5))

    def exchanges(self) -> list[Exchange]:
        """Return the newest line of any kind; there is no question."""
        return [] if self._newest is None else [self._newest]

    def _silence(self) -> LinkError:
        if self._newest is None:
            return LinkError(f"{self.group.device}: no line came", "powered? baud rate? does it print by itself?")
        return LinkError(
            f"{self.group.device}: no line of the pattern came", "compare its newest line with the profile"
        )

    def _rows(self, chunks: Sequence[Chunk]) -> list[tuple[int, Matched]]:
        """Return (time, match) of every line of the pattern that ends in these chunks."""
        if sum(len(chunk.data) for chunk in chunks) > INBOX_BYTES_MAX // 2:
            # So much was never read in time: what was dropped may have joined two lines into a third.
            self.stats.noise_bytes += sum(len(chunk.data) for chunk in chunks)
            chunks = [NOTHING]
            self._lines.reset()
        rows: list[tuple[int, Matched]] = []
        for chunk in chunks:
            noise, damaged = self._lines.noise_bytes, self._lines.damaged
            arrived_us = self._clock.time_us() - round((self._clock.monotonic_s() - chunk.time_s) * 1e6)
            for raw, text in self._lines.feed(chunk.data, chunk.time_s) if chunk.data else []:
                # A line's time is when its first character left the instrument.
                time_us = arrived_us - round(len(raw) * self._listener.char_s * 1e6)
                self._newest = Exchange(time_us, b"", raw)
                matched = match(self._places, text)
                if matched is None:
                    self.stats.rejected += 1
                    continue
                self.stats.answers += 1
                self.stats.samples += len(self._signals)
                rows.append((time_us, matched))
            self.stats.noise_bytes += self._lines.noise_bytes - noise
            self.stats.crc_errors += self._lines.damaged - damaged
        return rows

    def _judge(self, matched: Matched) -> list[tuple[float, Quality]]:
        """Return value and quality of every point of one line."""
        good = self._form.status_good
        if good and matched.status not in good:
            return [(math.nan, Quality.DEVICE_FAULT)] * len(self._signals)
        return [judge_number(signal, matched.numbers[signal.id]) for signal in self._signals]


def judge_number(signal: Signal, digits: str) -> tuple[float, Quality]:
    """Return the value of printed digits and its quality; nothing printed, or a sentinel, is no number."""
    if not digits:
        return math.nan, Quality.SENTINEL
    value = float(digits) + 0.0
    if signal.sentinels and round(value * 10**signal.decimals) in signal.sentinels:
        return math.nan, Quality.SENTINEL
    if signal.range is not None and value > signal.range[1]:
        return value, Quality.OVER_RANGE
    if signal.range is not None and value < signal.range[0]:
        return value, Quality.UNDER_RANGE
    return value, Quality.GOOD
