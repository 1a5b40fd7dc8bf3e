"""One poll group of one device on a bus that is only heard: what the master's answers say about its points."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from drivers.link import Arrival, DeviceOptions, Exchange, Group, Pace, PointOptions, Stats
from drivers.modbus.companions import Companions, Scales, helpers_of
from drivers.modbus.decode import Decoder, Field, brings
from drivers.modbus.pdu import BITS_MAX, Function, Read, exception_text
from drivers.modbus.tap import Heard
from drivers.modbus.tap_reasons import why_missing, why_nothing
from drivers.refusal import Refusal, meaning
from twin_wire.errors import ConfigError, DeviceError, LinkError
from twin_wire.readings import Block, Quality

if TYPE_CHECKING:
    from drivers.modbus.tap_link import TapLink

TICK_US = 1000
BITS = (Function.READ_COILS, Function.READ_DISCRETE_INPUTS)
START_S = 5.0  # after opening: the first rounds only teach who is there, in which order and how fast
PATIENCE = 1.5  # periods without a value before one is called missing: two clocks drift past each other
SOONEST = 0.75  # of a period between two rows: a master that asks more often is sampled
APART = 0.6  # of a round of the master: a pause as long lies between two rounds, not in one
ROWS_MAX, EXCHANGES_MAX, QUESTIONS_MAX = 256, 64, 1024


class _Row(NamedTuple):
    """One scan as far as it was heard: its bytes, from which answer each column came, what was refused."""

    data: bytearray
    of: dict[int, int]  # column → which answer
    times_s: list[float]  # of the answers, monotonic
    refused: set[int]


class TapSource:
    """Collects one poll group from what the master reads; it never asks."""

    def __init__(self, link: "TapLink", group: Group, device: DeviceOptions, points: Sequence[PointOptions]) -> None:
        self.group = group
        self.unit = device.unit
        self.stats = Stats()
        self.fault: LinkError | None = None
        self._link = link
        wanted = [signal for point in points if (signal := device.profile.signal(point.signal)) is not None]
        self.signals = wanted + helpers_of(device.profile, wanted)  # the points' columns come first
        raws = [point.raw for point in points] + [False] * (len(self.signals) - len(points))
        if any(s.count > BITS_MAX for s in self.signals):
            raise ConfigError(f"{device.id}: a signal is longer than a request can be")
        self._scales = Scales(self.signals)
        self._companions = Companions(device.profile, self.signals, group.period_s)
        sizes = [1 if s.function in BITS else 2 * s.count for s in self.signals]
        self._offsets = [sum(sizes[:column]) for column in range(len(sizes))]
        self._size = sum(sizes)
        fields = zip(self.signals, self._offsets, raws, strict=True)
        self._decoder = Decoder([Field(signal, offset, raw) for signal, offset, raw in fields])
        self._columns: dict[Read, tuple[int, ...]] = {}  # which columns a request brings
        self._row: _Row | None = None
        self._rows: list[_Row] = []
        self._next_s = 0.0  # no row begins before
        self._since_s: float | None = None  # of the newest read
        self._row_s = -1.0  # when the newest row began
        self._refusal: Heard | None = None
        self._newest: dict[Read, Exchange] = {}
        self._half_width_us = TICK_US // 2

    async def read(self, deadline_s: float) -> list[Arrival]:
        """Return one Block per row heard since the last call; DeviceError or LinkError if there is not one value."""
        clock = self._link.clock
        if self._since_s is None:
            self._since_s = clock.monotonic_s()
        await self._link.hear(0.0 if self._link.connected else deadline_s)
        while not self._rows:
            now_s = clock.monotonic_s()
            limit_s = min(deadline_s, self._limit_s())
            if now_s >= limit_s:
                self._close_row()
                break
            await self._link.hear(limit_s)
        self._since_s = clock.monotonic_s()
        rows, self._rows = self._rows, []
        self.fault = why_missing(self._link, self)
        if not rows:
            self.stats.timeouts += 1
            refusal, self._refusal = self._refusal, None
            if refusal is not None:
                text = f"unit {self.unit}: {exception_text(refusal.code)} to the master's question"
                raise DeviceError(text, refusal.code, "the master asks for what the device does not have?")
            raise self.fault or why_nothing(self._link, self)
        self.stats.scans += 1
        return [*(self._block(row) for row in rows), *self._link.events()]

    def pace(self) -> Pace:
        """Return that it may be read at any time and occupies nothing."""
        budget_s = max(PATIENCE * self.group.period_s, START_S if self._starts() else 0.0)
        return Pace(0.0, 0.0, budget_s, 0.0, self._half_width_us)

    def exchanges(self) -> list[Exchange]:
        """Return the newest question of the master and its answer, for every question that brings points."""
        return list(self._newest.values())

    def offer(self, heard: Heard) -> None:
        """Take an answer of this unit, if it brings anything that is configured."""
        request = heard.request
        columns = self._columns.get(request)
        if columns is None:
            columns = tuple(c for c, signal in enumerate(self.signals) if brings(request, signal))
            if len(self._columns) < QUESTIONS_MAX:
                self._columns[request] = columns
        if not columns:
            return
        self._note(heard)
        if heard.code:
            self.stats.exceptions += 1
        else:
            self.stats.answers += 1
        row = self._row
        if row is not None and heard.first_s - row.times_s[-1] > APART * self._cycle_s(request):
            self._close_row()  # what is left of a round that lost its beginning
            row = None
        elif row is not None and any(c in row.of or c in row.refused for c in columns):
            if heard.first_s < self._next_s:
                return
            self._close_row()
            row = None
        if row is None:
            if heard.first_s < self._next_s:
                return
            row = self._row = _Row(bytearray(self._size), {}, [], set())
            self._row_s = heard.first_s
            self._next_s = heard.first_s + SOONEST * self.group.period_s
        self._enter(row, heard, columns)
        if len(row.of) + len(row.refused) == len(self.signals):
            self._close_row()

    def _cycle_s(self, request: Read) -> float:
        """Return the time of one round of the master, as far as it is known, but at most the period."""
        poll = self._link.tap.polls.get(request)
        return min(self.group.period_s, poll.period_s or self.group.period_s if poll else self.group.period_s)

    def _enter(self, row: _Row, heard: Heard, columns: tuple[int, ...]) -> None:
        row.times_s.append(heard.first_s)
        if heard.code:
            self._refusal = heard
            if meaning(heard.code) in (Refusal.CONFIG, Refusal.FAULT):
                row.refused.update(columns)
            return
        self.stats.samples += sum(column < len(self.group.points) for column in columns)
        for column in columns:
            place, size = self.signals[column].address - heard.request.address, 2 * self.signals[column].count
            if heard.request.function in BITS:
                row.data[self._offsets[column]] = heard.data[place // 8] >> place % 8 & 1
            else:
                row.data[self._offsets[column] : self._offsets[column] + size] = heard.data[
                    2 * place : 2 * place + size
                ]
            row.of[column] = len(row.times_s) - 1

    def _limit_s(self) -> float:
        """Return when to give what there is."""
        patience_s = PATIENCE * self.group.period_s
        if self._row is not None and self._row.of:
            return self._row.times_s[0] + patience_s
        start_s = self._link.open_s + START_S if self._starts() else 0.0
        return max((self._since_s or 0.0) + patience_s, start_s)

    def _starts(self) -> bool:
        """Tell whether nothing of this group was heard since the port was opened."""
        return self._row_s < self._link.open_s or not self._link.connected

    def _close_row(self) -> None:
        row, self._row = self._row, None
        if row is not None and row.of:
            self._rows = [*self._rows[1 - ROWS_MAX :], row]

    def _block(self, row: _Row) -> Block:
        clock = self._link.clock
        value, quality = self._decoder.decode(np.frombuffer(row.data, np.uint8).reshape(1, -1))
        for column in range(len(self.signals)):
            if column not in row.of:
                quality[column] = Quality.DEVICE_FAULT if column in row.refused else Quality.NO_ANSWER
                value[column] = np.nan
        apart = {pair for pair in self._scales.pairs if row.of.get(pair[0]) != row.of.get(pair[1])}
        self._scales.check(value, quality, apart)
        first_s, last_s = row.times_s[0], row.times_s[-1]
        age = self._companions.judge(value, quality, last_s)
        self._half_width_us = round((last_s - first_s) * 5e5) + age.step_us // 2 + TICK_US // 2
        heard_us = clock.time_us() - (clock.monotonic_s() - (first_s + last_s) / 2) * 1e6
        time_us = round((heard_us - age.age_us) / TICK_US) * TICK_US
        width = len(self.group.points)
        return Block(self.group.points, np.array([time_us], np.int64), value[:width], quality[:width])

    def _note(self, heard: Heard) -> None:
        clock = self._link.clock
        time_us = clock.time_us() - round((clock.monotonic_s() - heard.first_s) * 1e6)
        self._newest[heard.request] = Exchange(time_us, heard.question, heard.answer)
        while len(self._newest) > EXCHANGES_MAX:
            del self._newest[next(iter(self._newest))]
