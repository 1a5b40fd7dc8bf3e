"""A Modbus bus that is only heard: its sources share one listener and what it has learned of the master's habits."""

from collections.abc import Sequence
from typing import Protocol

from drivers.line import Chunk, Listener, open_by
from drivers.link import Clock, DeviceOptions, PointOptions, Source, poll_groups
from drivers.modbus.rtu import UNIT_MAX
from drivers.modbus.tap import Heard, Tap
from drivers.modbus.tap_source import TapSource
from drivers.modbus.tap_writes import Writes
from twin_wire.errors import ConfigError
from twin_wire.readings import Event

BUFFER_BYTES = 4095  # of a kernel's terminal: with so many at once, more may have been dropped


class Ear(Listener, Protocol):
    """A listener that says when it could not keep everything."""

    @property
    def lost_bytes(self) -> int:
        """Return how many bytes were given up because nobody fetched them in time."""


class TapLink:
    """One bus; it has a listener and no transmitter."""

    listen_only = True

    def __init__(self, ear: Ear, clock: Clock) -> None:
        self.clock = clock
        self.tap = Tap(ear.char_s, ear.gap_s)
        self.heard_bytes = 0
        self.open_s = 0.0  # since when it listens without a hole
        self._ear = ear
        self._lost_bytes = 0
        self._sources: dict[int, list[TapSource]] = {}
        self._devices: dict[int, str] = {}
        self._writes = Writes()

    @property
    def connected(self) -> bool:
        """Tell whether the port is open."""
        return self._ear.connected

    def sources(self, devices: Sequence[DeviceOptions], points: Sequence[PointOptions]) -> list[Source]:
        """Return one source per device and period; ConfigError with every fault."""
        groups = poll_groups(devices, points)
        faults: list[tuple[str, str]] = []
        for place, device in enumerate(devices):
            if device.profile.protocol != "modbus":
                faults.append((f"devices[{place}].profile", f"{device.profile.id!r} does not speak Modbus"))
            if not 1 <= device.unit <= UNIT_MAX:
                faults.append((f"devices[{place}].unit", f"{device.unit} is not a unit number of a serial line"))
        by_id = {device.id: device for device in devices}
        by_point = {point.id: point for point in points}
        made: list[TapSource] = []
        for group in groups:
            try:
                made.append(TapSource(self, group, by_id[group.device], [by_point[point] for point in group.points]))
            except ConfigError as error:
                faults.append((f"device {group.device!r}", str(error)))
        if faults:
            raise ConfigError(f"{faults[0][0]}: {faults[0][1]} ({len(faults)} faults)", faults=tuple(faults))
        for source in made:
            self._sources.setdefault(source.unit, []).append(source)
        self._devices |= {device.unit: device.id for device in devices}
        return list(made)

    def utilisation(self) -> float:
        """Return 0: nothing of ours occupies the bus."""
        return 0.0

    async def close(self) -> None:
        """Release the port; a read in flight ends with LinkError."""
        self._ear.close()

    async def hear(self, until_s: float) -> None:
        """Take everything that has arrived, or wait for something until `until_s`; LinkError when the port is gone."""
        if not self._ear.connected:
            await open_by(self._ear, until_s, self.clock)
            self._lose()
        chunks = self._ear.take()
        if not chunks and until_s > self.clock.monotonic_s():
            chunks = [await self._ear.receive(until_s)]
        if self._ear.lost_bytes != self._lost_bytes:
            self._lost_bytes = self._ear.lost_bytes
            self._lose()
        for chunk in chunks:
            self._take(chunk)
        for heard in self.tap.settle(self.clock.monotonic_s()):
            self._deal(heard)
        self._count()

    def events(self) -> list[Event]:
        """Return what the master has been heard to write since the last call."""
        mono_s, now_us = self.clock.monotonic_s(), self.clock.time_us()
        for write in self.tap.take_writes():
            self._writes.add(write, now_us - round((mono_s - write.time_s) * 1e6))
        return self._writes.due(now_us, self._devices)

    def _lose(self) -> None:
        self.tap.lost()
        self.open_s = self.clock.monotonic_s()

    def _take(self, chunk: Chunk) -> None:
        if not chunk.data:
            return
        self.heard_bytes += len(chunk.data)
        for heard in self.tap.feed(chunk.data, chunk.time_s):
            self._deal(heard)
        if len(chunk.data) >= BUFFER_BYTES:
            self._lose()

    def _deal(self, heard: Heard) -> None:
        for source in self._sources.get(heard.request.unit, ()):
            source.offer(heard)

    def _count(self) -> None:
        """Hand counts of the bus to the first source of each unit, those of nobody to the first of all."""
        counts = self.tap.counts
        for unit, sources in self._sources.items():
            sources[0].stats.crc_errors = self.tap.damaged_of.get(unit, 0)
            sources[0].stats.rejected = self.tap.untied_of.get(unit, 0)
        if self._sources:
            next(iter(self._sources.values()))[0].stats.noise_bytes = counts.noise_bytes
