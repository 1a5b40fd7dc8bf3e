"""One point of a KJ host as the poll loop sees it: its counts, its pace, and the columns of its rows."""

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from drivers.kj_host import Row
from drivers.kj_records import Kind
from drivers.link import Arrival, Clock, Exchange, Group, History, Pace, Stats
from twin_wire.errors import LinkError
from twin_wire.readings import Block, Quality


class Host(Protocol):
    """The link a source belongs to."""

    newest: Exchange | None

    def begin_read(self) -> None:
        """Open again what was closed before."""

    async def collect(self) -> list[Arrival]:
        """Return everything new for all sources; LinkError if the folder cannot be used."""

    async def wait(self, until_s: float) -> bool:
        """Wait for the next look or `until_s`; False if the time is up."""

    def give_back(self, arrivals: list[Arrival]) -> None:
        """Keep what was collected for the next source."""

    def delivered(self) -> None:
        """Note that everything collected so far is handed over."""

    def count_of(self, fault: str) -> int:
        """Return how often a named fault has happened."""

    def fault_of(self, point: str) -> LinkError | None:
        """Return the newest fault of a point."""

    def overdue_s(self, kind: Kind | None, period_s: float) -> float:
        """Return for how long a file of a type is overdue, 0 if it is not."""


class KjSource:
    """A point that comes with files; a read hands over what is new for every point of the link.

    So many sources on one link find a new file soon after it came, whatever their own period is.
    """

    def __init__(
        self, host: Host, clock: Clock, group: Group, kind: Kind | None, wait_s: float, fault: str = ""
    ) -> None:
        self.group = group
        self.kind = kind
        self.stats = Stats()
        self.fault: LinkError | None = None
        self._host, self._clock = host, clock
        self._fault_name = fault  # a point that counts faults
        self._wait_s = wait_s
        self._half_width_us = 500_000  # the host writes whole seconds

    async def read(self, deadline_s: float) -> list[Arrival]:
        """Return every new row of all points of the link, nothing if no file came yet; LinkError if it is overdue."""
        until_s = min(deadline_s, self._clock.monotonic_s() + self._wait_s)
        self._host.begin_read()
        arrivals = await self._host.collect()
        while not arrivals and await self._host.wait(until_s):
            arrivals = await self._host.collect()
        point = self.group.points[0] if self.group.points else ""
        self.fault = self._host.fault_of(point)
        overdue_s = self._host.overdue_s(self.kind, self.group.period_s)
        if overdue_s:
            self._host.give_back(arrivals)
            self.stats.timeouts += 1
            hint = str(self.fault) if self.fault else "does the host still write, and as often as period_s says?"
            raise LinkError(f"{self.group.device}: no {self.kind or 'new'} file for {overdue_s:.0f} s", hint)
        if self._fault_name:
            count = float(self._host.count_of(self._fault_name))
            arrivals += self.arrivals([Row(point, self._clock.time_us(), count, Quality.GOOD, late=False)])
        self._host.delivered()
        self.stats.scans += bool(arrivals)
        return arrivals

    def arrivals(self, rows: Sequence[Row]) -> Iterator[Arrival]:
        """Yield rows of this point as columns, those of the past apart, and count them."""
        self.stats.answers += 1
        for late in (True, False):
            own = sorted((row for row in rows if row.late == late), key=lambda row: row.time_us)
            if own:
                good = [row for row in own if not math.isnan(row.value)]
                self.stats.samples += len(good)
                self.stats.late += len(good) if late else 0
                self.stats.rejected += sum(row.quality == Quality.DEVICE_FAULT for row in own)
                block = Block(
                    self.group.points,
                    np.array([row.time_us for row in own], np.int64),
                    np.array([[row.value for row in own]], np.float64),
                    np.array([[row.quality for row in own]], np.uint8),
                )
                yield History(block) if late else block

    def pace(self) -> Pace:
        """Return that it may be read at any time, occupies nothing, and waits a little for a file."""
        return Pace(0.0, 0.0, self._wait_s, 0.0, self._half_width_us)

    def exchanges(self) -> list[Exchange]:
        """Return the beginning of the newest file of the link; there is no question."""
        return [self._host.newest] if self._host.newest is not None else []
