"""The state of one KJ host: files in, rows of points out; what is late, missing, twice or contradictory gets a name.

No I/O and no clock: `kj_file` brings the files, in the order of their times, and says what time it is.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from drivers.kj_judge import contradictions, judge
from drivers.kj_records import Definition, HostFile, Kind, Person, Reading, Station, of_kind
from drivers.profile import Signal
from twin_wire.readings import Quality

CLOCK_US_MAX = 300_000_000  # further behind ours than this, and one of the clocks is wrong or the delivery was held up
GAP_PERIODS = 1.5  # between two files: more, and one is missing
STEP_FILES, STEP_PERIODS = 3, 3.0  # so many old files, and no new one for so long: the host's clock went back
STALLED_PERIODS, STALLED_US_MIN = 10.0, 300_000_000
TIMES_KEPT = 64  # per point: a record's time is handed over once
DEFINITIONS_MAX = 50_000
CARDS_MAX = 50_000  # whose name is watched; above, those not in the newest file are forgotten

FAULTS = {
    "name": "a .txt file whose name is none of this dialect",
    "symlink": "a symlink or no regular file; never followed",
    "unreadable": "a file this program may not read",
    "oversize": "a file larger than any host writes",
    "crowded": "more names in the folder than can be looked through",
    "incomplete": "a file without its end mark, left alone",
    "abandoned": "still without end mark after ten minutes",
    "charset": "bytes of another character set, or full-width separators",
    "header": "a header that is none, or text behind the end mark",
    "mine": "the mine's code in the header is not that of the name",
    "future": "written more than five minutes in the future",
    "too_many_bad": "more than a fifth of the records bad: nothing of it counts",
    "bad_record": "records that could not be read",
    "repeated": "a file that was taken before",
    "rewritten": "another file under a name taken before",
    "old": "older than backlog_h: put away unread",
    "put_away": "a file that was taken could not be moved or written down; done has to be on the disk of the folder",
    "late": "a file older than the newest one: history, not the present",
    "missing": "files that should have come between two others",
    "clock": "the host's clock is more than five minutes behind, or went back",
    "stranger": "a file with none of the points of this link",
    "absent": "a point that is not in a file",
    "stalled": "a point whose time does not go on",
    "duplicate": "one code twice in a file",
    "undefined": "a value of a point that no definition file defined yet",
    "redefined": "a definition that changed",
    "type": "the sensor type is not the one the point was mapped as",
    "unit": "the unit is unknown, another quantity's, or not that of the definition",
    "value": "what stands for the value is none",
    "state": "state bits that are not known",
    "range": "a value outside its defined range that the state does not tell",
    "renamed_card": "one card with another name",
    "unknown_station": "a positioning station that `stations` does not number",
}
FAULT = "fault"  # the signal `fault:<name>`: how often that happened
KIND_OF: Mapping[str, Kind] = {
    "substation": "FZSS", "substation_power": "FZSS", "station": "JZSS", "station_power": "JZSS",
    "headcount": "RYSS", "area_headcount": "RYSS",
}  # fmt: skip


class Wanted(NamedTuple):
    """One configured point: what kind of signal, of which code in the host."""

    point: str
    signal: Signal
    period_s: float

    @property
    def what(self) -> str:
        """Return the kind of signal: "ch4", "state", "headcount" …"""
        return self.signal.id.partition(":")[0]

    @property
    def code(self) -> str:
        """Return the code in the host, "" if the signal needs none."""
        return self.signal.id.partition(":")[2]

    @property
    def kind(self) -> Kind | None:
        """Return the type of file it comes from; None for a count of faults."""
        return None if self.what == FAULT else KIND_OF.get(self.what, "CDSS")


class Row(NamedTuple):
    """One sample of one point; a late one says nothing about now."""

    point: str
    time_us: int
    value: float
    quality: Quality
    late: bool


class Snapshot(NamedTuple):
    """Who was where when a personnel file was written."""

    time_us: int
    persons: Sequence[Person]


class Host:
    """What is known of one host; `take` has to be called in the order of the files' times where that is possible."""

    def __init__(
        self, wanted: Sequence[Wanted], units: Mapping[str, str], by_file_time: bool, definitions: Iterable[Definition]
    ) -> None:
        self.faults: Counter[str] = Counter()
        self.told: dict[str, str] = {}  # point → its newest fault since someone looked; "" → of a file
        self.definitions = {definition.code: definition for definition in definitions}
        self.redefined = False  # the definitions have changed since someone stored them
        self.snapshot: Snapshot | None = None
        self._wanted: dict[Kind, list[Wanted]] = {}
        for want in wanted:
            if want.kind is not None:
                self._wanted.setdefault(want.kind, []).append(want)
        self._codes = {want.code: want for want in self._wanted.get("CDSS", []) if want.what != "state"}
        self._units, self._by_file_time = units, by_file_time
        self._newest: dict[tuple[str, Kind], int] = {}
        self._fresh_us: dict[tuple[str, Kind], int] = {}  # when the newest came
        self._late_run: dict[tuple[str, Kind], int] = {}  # older ones since
        self._last_us: dict[str, int] = {}
        self._times: dict[str, deque[int]] = {}
        self._name_marks: dict[str, int] = {}

    def note(self, fault: str, text: str, point: str = "", count: int = 1) -> None:
        """Count a fault and keep its text for the point, or for the whole link."""
        assert fault in FAULTS, fault
        self.faults[fault] += count
        self.told[point] = f"{fault}: {text}"

    def take(self, file: HostFile, now_us: int, newest: bool = True) -> list[Row] | None:
        """Return the rows of a file, None if it has nothing to do with this link; `newest`: no younger one waits."""
        name, key = file.name.text, (file.name.mine, file.name.kind)
        before = self._newest.get(key)
        late = before is not None and file.time_us < before and not self._has_stepped_back(file, now_us)
        if file.bad:
            self.note("bad_record", f"{file.bad} in {name}", count=file.bad)
        if late:
            self.note("late", name)
        else:
            self._newest[key], self._fresh_us[key], self._late_run[key] = file.time_us, now_us, 0
            self._look_for_gap(file, before)
        live = (
            file.name.kind != "CDDY"
        )  # definitions come when they change, and may come hours before the first reading
        doubted = live and newest and not late and now_us - file.time_us > CLOCK_US_MAX
        if doubted:
            self.note("clock", f"{name} is {(now_us - file.time_us) / 1e6:.0f} s behind")
        if file.name.kind == "CDDY":
            return [] if late else self._define(of_kind(file, Definition))
        rows = self._rows(file, late)
        if rows is not None and doubted:
            rows = [row._replace(quality=max(row.quality, Quality.CLOCK_UNSURE)) for row in rows]
        return rows

    def _has_stepped_back(self, file: HostFile, now_us: int) -> bool:
        """Tell whether a file older than the newest is the present: only such files come, so the host's clock was set.

        Otherwise nothing would be watched until the host's clock is where it had been.
        """
        key = (file.name.mine, file.name.kind)
        wanted = self._wanted.get(file.name.kind, [])
        self._late_run[key] = self._late_run.get(key, 0) + 1
        period_s = min((want.period_s for want in wanted), default=0.0)
        quiet = now_us - self._fresh_us.get(key, now_us) > STEP_PERIODS * period_s * 1e6
        if self._late_run[key] < STEP_FILES or not quiet or not period_s:
            return False
        self.note("clock", f"the host's clock went back: only files older than the newest come, now {file.name.text}")
        for want in wanted:
            self._last_us.pop(want.point, None)
            self._times.pop(want.point, None)
        return True

    def _rows(self, file: HostFile, late: bool) -> list[Row] | None:
        wanted = self._wanted.get(file.name.kind, [])
        if file.name.kind == "RYSS":
            return self._people(file, late, wanted)
        if file.name.kind == "CDSS":
            found: dict[str, list[Reading | Station]] = {}
            for reading in of_kind(file, Reading):
                found.setdefault(reading.code, []).append(reading)
        else:
            found = {}
            for station in of_kind(file, Station):
                found.setdefault(station.code, []).append(station)
        if wanted and not any(want.code in found for want in wanted):
            self.note("stranger", f"{file.name.text} has none of {len(wanted)} points")
            return None
        return [row for want in wanted for row in self._point(want, found.get(want.code, []), file, late)]

    def _point(self, want: Wanted, found: Sequence[Reading | Station], file: HostFile, late: bool) -> Iterable[Row]:
        """Yield the new rows of one point: one per record and time, without a value where records contradict."""
        if not found:
            if not late:
                self.note("absent", f"{want.code} is not in {file.name.text}", want.point)
                yield Row(want.point, file.time_us, math.nan, Quality.NO_ANSWER, late=False)
            return
        by_time: dict[int, list[Reading | Station]] = {}
        for record in found:
            by_time.setdefault(file.time_us if self._by_file_time else record.time_us, []).append(record)
        if len(found) > 1:
            self.note("duplicate", f"{want.code} is {len(found)} times in {file.name.text}", want.point)
        fresh = [time_us for time_us in sorted(by_time) if time_us not in self._times.get(want.point, ())]
        for time_us in fresh:
            value, quality = math.nan, Quality.DEVICE_FAULT
            if len(set(by_time[time_us])) == 1:
                value, quality = self._value(want, by_time[time_us][0])
            yield self._stamped(want.point, time_us, value, quality, late)
        if not fresh and not late:
            stalled_us = max(STALLED_US_MIN, STALLED_PERIODS * want.period_s * 1e6)
            if file.time_us - self._last_us.get(want.point, file.time_us) > stalled_us:
                self.note("stalled", f"{want.code} has had no new time for {stalled_us / 1e6:.0f} s", want.point)
                yield Row(want.point, file.time_us, math.nan, Quality.NO_ANSWER, late=False)

    def _stamped(self, point: str, time_us: int, value: float, quality: Quality, late: bool) -> Row:
        self._times.setdefault(point, deque(maxlen=TIMES_KEPT)).append(time_us)
        last_us = self._last_us.get(point)
        if last_us is None or time_us > last_us:
            self._last_us[point] = time_us
        return Row(point, time_us, value, quality, late or (last_us is not None and time_us < last_us))

    def _value(self, want: Wanted, record: Reading | Station) -> tuple[float, Quality]:
        if isinstance(record, Station):
            return float(record.power if want.what.endswith("_power") else record.run), Quality.GOOD
        verdict = judge(want.signal, record, self.definitions.get(record.code), self._units)
        if verdict.fault:
            self.note(verdict.fault, f"{record.code} says {record.value[:20]!r} {record.unit[:12]!r}", want.point)
        return verdict.value, verdict.quality

    def _define(self, definitions: Sequence[Definition]) -> list[Row]:
        """Take a definition file; what contradicts itself, the mapping or the former definition is named."""
        fresh: dict[str, Definition] = {}
        twice: set[str] = set()
        for definition in definitions:
            if fresh.setdefault(definition.code, definition) != definition:
                twice.add(definition.code)
        for code, definition in fresh.items():
            want = self._codes.get(code)
            if code in twice:
                self.note("duplicate", f"{code} is defined twice", want.point if want else "")
                self.redefined |= self.definitions.pop(code, None) is not None
                continue
            known = self.definitions.get(code)
            if known == definition or (known is None and len(self.definitions) >= DEFINITIONS_MAX):
                continue
            self.definitions[code], self.redefined = definition, True
            if want is None:
                continue
            if known is not None:
                self.note("redefined", f"{code} has changed", want.point)
            fault = contradictions(definition, want.signal, self._units)
            if fault:
                what = f"type {definition.type:04} in {definition.unit[:12]!r}"
                self.note(fault, f"{code} is defined as {what}, mapped as {want.what!r}", want.point)
        return []

    def _look_for_gap(self, file: HostFile, before_us: int | None) -> None:
        periods = [want.period_s for want in self._wanted.get(file.name.kind, [])]
        if before_us is None or not periods:
            return
        steps = (file.time_us - before_us) / (min(periods) * 1e6)
        if steps > GAP_PERIODS:
            lost = max(1, round(steps) - 1)
            self.note("missing", f"{lost} before {file.name.text}", count=lost)

    def _people(self, file: HostFile, late: bool, wanted: Sequence[Wanted]) -> list[Row]:
        """Return head counts, and keep who was where: the newest record of each card, no names."""
        cards: dict[str, Person] = {}
        for person in of_kind(file, Person):
            known = cards.get(person.card)
            if known is not None:
                self.note("duplicate", f"a card is twice in {file.name.text}")
            if known is None or person.station_us >= known.station_us:
                cards[person.card] = person
            if self._name_marks.setdefault(person.card, person.name_mark) != person.name_mark:
                self.note("renamed_card", f"a card has another name in {file.name.text}")
                self._name_marks[person.card] = person.name_mark
        if len(self._name_marks) > CARDS_MAX:
            self._name_marks = {card: mark for card, mark in self._name_marks.items() if card in cards}
        inside = [person for person in cards.values() if person.inside]
        if not late:
            self.snapshot = Snapshot(file.time_us, inside)
        rows = []
        for want in wanted:
            if file.time_us not in self._times.get(want.point, ()):
                count = sum(want.what == "headcount" or person.area == want.code for person in inside)
                rows.append(self._stamped(want.point, file.time_us, float(count), Quality.GOOD, late))
        return rows
