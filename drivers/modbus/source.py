"""One poll group of one Modbus device: its requests, one scan of them, and the Block they make."""

from bisect import bisect_left
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from drivers.link import Arrival, DeviceOptions, Exchange, Group, Pace, PointOptions, Stats
from drivers.modbus.bus import Answered, Bus
from drivers.modbus.companions import Age, Companions, Scales, ages_of, helpers_of
from drivers.modbus.decode import Decoder, Field, brings
from drivers.modbus.learned import Learned
from drivers.modbus.pdu import BITS_MAX, Function, Read, exception_text
from drivers.modbus.planner import Cost, Rules, Span, complement, join, may_read, plan, plan_cost_s, widen
from drivers.modbus.turnaround import Turnaround
from drivers.profile import Profile, Signal
from drivers.refusal import Refusal, meaning
from twin_wire.errors import DeviceError, LinkError
from twin_wire.readings import Block, Quality

TICK_US = 1000  # of a sample's time: finer is below what an answer can tell, and costs a quarter more bytes
DIVISIBLE = (2, 3)  # address, value: a part of the request may work
BITS = (Function.READ_COILS, Function.READ_DISCRETE_INPUTS)
EXCHANGES_MAX = 64
SILENCES_TO_GUESS = 3  # scans in a row that end in silence: perhaps a register that is not there is met with it
LEARNING_S = 2.0  # room in the first scans to find the holes of a map
ANSWERS_TO_REPLAN, REPLAN_SHARE, REPLAN_S_MIN = 16, 0.5, 0.002  # the turnaround has to change by more

HINTS = {
    1: "wrong profile for this device?",
    2: "wrong profile or address_base? the register does not exist",
    3: "wrong profile, or registers_max too large?",
    4: "look at the device: it reports a failure of its own",
    6: "the device is busy: a longer period helps",
    11: "the gateway works, the device behind it is silent: power, unit number, wiring?",
}


class Part(NamedTuple):
    """One request of a scan: which items and columns it brings and where its data goes in the scan's bytes."""

    request: Read
    offset: int
    items: tuple[Span, ...]  # in order of address
    columns: tuple[int, ...]


class _Scan:
    """What one scan has gathered so far."""

    def __init__(self, size: int) -> None:
        self.data = bytearray(size)
        self.answers: list[Answered] = []
        self.read: list[tuple[int, ...]] = []  # columns that have a value
        self.refused: list[tuple[int, ...]] = []  # columns the device refused
        self.split = False  # whether a request was asked again in halves: what belongs together came apart


class ModbusSource:
    """Reads one poll group; whatever the device refuses or the line loses is a quality, not a guess."""

    def __init__(
        self, bus: Bus, group: Group, device: DeviceOptions, points: Sequence[PointOptions], turnaround: Turnaround
    ) -> None:
        self.group = group
        self.stats = Stats()
        self.fault: LinkError | None = None
        self._bus = bus
        self._unit = device.unit
        self._modbus = device.profile.modbus
        wanted = [_signal(device, point) for point in points]
        self._signals = wanted + helpers_of(device.profile, wanted)  # the points' columns come first
        self._raws = [point.raw for point in points] + [False] * (len(self._signals) - len(points))
        self._scales = Scales(self._signals)
        self._pairs = self._scales.pairs + ages_of(device.profile, self._signals)  # together wherever that may be
        self._companions = Companions(device.profile, self._signals, group.period_s)
        self._known = _known(device.profile)
        self._narrow = self._modbus.unmapped == "silence"  # read nothing but what the profile names
        self._silences = 0
        self._newest_us = 0  # of a sample with an age
        self._turnaround = turnaround
        self._half_width_us = 0
        self.learned = Learned()
        self._proven = False  # whether the device has answered a whole scan as planned
        self._newest: dict[Read, Exchange] = {}
        self._replan()

    async def read(self, deadline_s: float) -> list[Arrival]:
        """Return one Block of one row; DeviceError or LinkError if not one value came."""
        self._replan_if_due()
        self.fault = self._withheld_fault
        scan = _Scan(self._size)
        if self._withheld:
            scan.refused.append(self._withheld)
        ahead = await self._ask_ahead(deadline_s)
        for part in self._parts:
            try:
                await self._fetch(part, scan, deadline_s, ahead.get(part.request))
            except LinkError as error:
                self.fault = error
                self._silent(part, error)
                break
        else:
            self._silences = 0
        if not scan.answers:
            assert self.fault is not None
            raise self.fault
        self.stats.scans += 1
        self._proven |= len(scan.answers) == len(self._parts)
        return [self._block(scan)]

    def pace(self) -> Pace:
        """Return what the poll loop needs to plan the next read."""
        mean_s = self._turnaround.mean_s
        return Pace(
            quiet_until_s=self._bus.quiet_until_s(self._unit),
            scan_s=sum(
                plan_cost_s([(part.request.address, part.request.length)], self._cost(part.request.function, mean_s))
                for part in self._parts
            ),
            budget_s=sum(self._bus.budget_s(part.request, self._turnaround) for part in self._parts)
            + self._turnaround.timeout_s
            + (0.0 if self._proven else LEARNING_S),
            turnaround_s=mean_s,
            half_width_us=self._half_width_us,
        )

    def exchanges(self) -> list[Exchange]:
        """Return the newest question and answer of every request."""
        return list(self._newest.values())

    async def _ask_ahead(self, deadline_s: float) -> dict[Read, Answered]:
        """Return the answers to several questions asked at once, where the device is trusted to take them."""
        if self._bus.window(self._unit) == 1 or len(self._parts) == 1:
            return {}
        requests = [part.request for part in self._parts]
        try:
            answers = await self._bus.exchange_ahead(requests, self._turnaround, self.stats, deadline_s, self._allowed)
        except LinkError:  # each is asked alone, and says why
            return {}
        return {request: answer for request, answer in zip(requests, answers, strict=True) if answer is not None}

    async def _fetch(self, part: Part, scan: _Scan, deadline_s: float, ahead: Answered | None = None) -> bool:
        """Read one part into `scan`; False if the device refused any of it. LinkError ends the scan."""
        try:
            allowed = self._allowed[part.request.function]
            answered = ahead or await self._bus.exchange(
                part.request, self._turnaround, self.stats, deadline_s, allowed
            )
        except LinkError:
            if self._bus.question:
                self._note(part.request, self._bus.question, b"")
            raise
        reply = answered.reply
        self._note(part.request, answered.question, reply.frame)
        if reply.code == 0:
            _store(part, reply.data, scan.data)
            scan.read.append(part.columns)
            scan.answers.append(answered)
            self.stats.answers += 1
            self.stats.samples += bisect_left(part.columns, len(self.group.points))  # companions lie behind the points
            self.learned.accept(part.request.function, part.items)
            return True
        self.stats.exceptions += 1
        error = self._refusal(reply.code, part.request.function, part.request.address, part.request.length)
        if reply.code in DIVISIBLE and len(part.items) > 1:
            return await self._fetch_halves(part, scan, deadline_s)
        what = meaning(reply.code)
        if what is not Refusal.UNIT_DOWN:
            scan.refused.append(part.columns)
        if what is not Refusal.CONFIG:
            raise error
        self.fault = error
        for item in part.items:
            self.learned.refuse(part.request.function, item, reply.code, self._bus.clock.monotonic_s())
        return False

    def _refusal(self, code: int, function: int, address: int, length: int, others: int = 0) -> DeviceError:
        text = f"unit {self._unit}: {exception_text(code)} to {length} from {address} with function {int(function)}"
        more = f", and {others} more such places" if others else ""
        return DeviceError(text + more, code, HINTS.get(code, ""))

    async def _fetch_halves(self, part: Part, scan: _Scan, deadline_s: float) -> bool:
        """Ask again for each half of a refused request: the hole between two halves that both work is found."""
        scan.split = True
        left, right = self._split(part)
        cut = (int(right.request.function), right.request.address)
        self.learned.try_cut(*cut)  # a scan that is cut off here goes on from here next time
        worked = [await self._fetch(half, scan, deadline_s) for half in (left, right)]
        self.learned.end_trial(*cut)
        if all(worked):
            self.learned.cut(*cut, self._bus.clock.monotonic_s())
        return False

    def _split(self, part: Part) -> tuple[Part, Part]:
        middle = len(part.items) // 2
        left = self._part(part, part.items[:middle])
        right = self._part(part, part.items[middle:])
        return left, right._replace(columns=tuple(c for c in right.columns if c not in left.columns))

    def _part(self, whole: Part, items: tuple[Span, ...]) -> Part:
        first = items[0][0]
        length = max(address + count for address, count in items) - first
        size = 1 if whole.request.function in BITS else 2
        request = whole.request._replace(address=first, length=length)
        columns = tuple(column for column in whole.columns if brings(request, self._signals[column]))
        return Part(request, whole.offset + size * (first - whole.request.address), items, columns)

    def _replan_if_due(self) -> None:
        planned_s = self._planned_turnaround_s
        learned = self.stats.answers >= self._planned_answers + ANSWERS_TO_REPLAN
        changed_s = abs(self._turnaround.mean_s - planned_s)
        if (
            (learned and changed_s > max(REPLAN_SHARE * planned_s, REPLAN_S_MIN))
            or self._learned_planned != self.learned.version
            or self._bus.clock.monotonic_s() >= self._retry_s
        ):
            self._replan()

    def _replan(self) -> None:
        """Plan the requests of a scan anew and lay out its bytes; ConfigError if a signal cannot be read."""
        self._planned_turnaround_s = self._turnaround.mean_s
        self._planned_answers = self.stats.answers
        self._learned_planned = self.learned.version
        functions = sorted({Function(signal.function) for signal in self._signals})
        rules_of = {function: self._rules_of(function) for function in functions}
        self._allowed = {function: partial(may_read, rules) for function, rules in rules_of.items()}
        parts: list[Part] = []
        self._withhold(rules_of)
        left = set(range(len(self._signals))) - set(self._withheld)  # one that two requests hold is taken once
        self._size = 0
        for function, rules in rules_of.items():
            there = [c for c, signal in enumerate(self._signals) if signal.function == function and c in left]
            wanted = join(self._paired(there), [_span(self._signals[c]) for c in there], rules)
            for address, length in plan(wanted, self._cost(function, self._planned_turnaround_s), rules):
                request = Read(self._unit, function, address, length)
                columns = tuple(c for c in sorted(left) if brings(request, self._signals[c]))
                left -= set(columns)
                items = {widen(_span(self._signals[c]), rules.atomic) for c in columns}
                parts.append(Part(request, self._size, tuple(sorted(items)), columns))
                self._size += length * (1 if function in BITS else 2)
        part_of = {column: number for number, part in enumerate(parts) for column in part.columns}
        self._apart = {pair for pair in self._scales.pairs if part_of.get(pair[0]) != part_of.get(pair[1])}
        self._parts = sorted(parts, key=self._is_late)
        self._newest = {part.request: self._newest[part.request] for part in parts if part.request in self._newest}
        offsets = dict.fromkeys(self._withheld, self._size)  # decoded from nothing, and never shown
        if self._withheld:
            self._size += max(2 * signal.count for signal in self._signals)
        for part in parts:
            for column in part.columns:
                step = self._signals[column].address - part.request.address
                offsets[column] = part.offset + step * (1 if part.request.function in BITS else 2)
        self._decoder = Decoder([Field(signal, offsets[c], self._raws[c]) for c, signal in enumerate(self._signals)])

    def _is_late(self, part: Part) -> bool:
        """Tell whether a part brings scales of values in other parts: such a scale comes after its values."""
        return any(scale in part.columns for _, scale in self._apart)

    def _silent(self, part: Part, error: LinkError) -> None:
        """Put the part that was not answered behind the others, and after some such scans read narrowly, or widely."""
        if isinstance(error, DeviceError):
            return
        self._parts = sorted([*(other for other in self._parts if other is not part), part], key=self._is_late)
        self._silences += 1
        if self._silences == SILENCES_TO_GUESS and self._modbus.unmapped != "silence":
            self._silences, self._narrow = 0, not self._narrow
            self._learned_planned = -1  # planned anew before the next scan

    def _withhold(self, rules_of: dict[Function, Rules]) -> None:
        """Leave out what the device has refused, until it is time to ask again, and keep the reason."""
        now_s = self._bus.clock.monotonic_s()
        codes: dict[tuple[int, Span], int] = {}
        withheld: list[int] = []
        for column, signal in enumerate(self._signals):
            function = Function(signal.function)
            item = widen((signal.address, signal.count), rules_of[function].atomic)
            code = self.learned.withheld(function, item, now_s)
            if code:
                withheld.append(column)
                codes[function, item] = code
        self._withheld = tuple(withheld)
        self._retry_s = self.learned.next_retry_s(now_s)
        self._withheld_fault = None
        if codes:
            (refused, (address, length)), code = next(iter(codes.items()))
            self._withheld_fault = self._refusal(code, refused, address, length, len(codes) - 1)

    def _rules_of(self, function: int) -> Rules:
        cuts = self.learned.cuts(function, self._bus.clock.monotonic_s())
        modbus, bits = self._modbus, function in BITS
        atomic = () if bits else modbus.atomic
        forbid = [] if bits else list(modbus.forbid)
        if self._narrow:  # nobody answers for a register that is not there
            forbid += complement([(first, count) for known, first, count in self._known if known == function])
        spans = {widen(_span(signal), atomic) for signal in self._signals if signal.function == function}
        most = min(BITS_MAX, 16 * modbus.registers_max) if bits else modbus.registers_max
        return Rules(most, forbid, atomic, cuts, spans if modbus.singles else None)

    def _paired(self, columns: Sequence[int]) -> list[tuple[Span, Span]]:
        """Return the spans of the pairs that lie in `columns`, all of one function."""
        spans = {column: _span(self._signals[column]) for column in columns}
        return [(spans[one], spans[other]) for one, other in self._pairs if one in spans and other in spans]

    def _cost(self, function: int, turnaround_s: float) -> Cost:
        return self._bus.cost(turnaround_s, function in BITS)

    def _block(self, scan: _Scan) -> Block:
        value, quality = self._decoder.decode(np.frombuffer(scan.data, np.uint8).reshape(1, -1))
        if sum(map(len, scan.read)) < len(self._signals):
            lost = np.full(len(self._signals), Quality.NO_ANSWER, np.uint8)
            lost[[column for columns in scan.refused for column in columns]] = Quality.DEVICE_FAULT
            lost[[column for columns in scan.read for column in columns]] = Quality.GOOD
            quality[lost != Quality.GOOD, 0] = lost[lost != Quality.GOOD]
            value[lost != Quality.GOOD] = np.nan
        self._scales.check(value, quality, self._scales.pairs if scan.split else self._apart)
        begin_s, end_s = scan.answers[0].sent_s, max(answer.first_s for answer in scan.answers)
        middle_s = (begin_s + end_s) / 2
        self._half_width_us = round((end_s - begin_s) * 5e5) + TICK_US // 2
        clock = self._bus.clock
        age = self._companions.judge(value, quality, clock.monotonic_s())
        time_us = round((clock.time_us() - (clock.monotonic_s() - middle_s) * 1e6 - age.age_us) / TICK_US) * TICK_US
        if age.step_us:
            time_us = self._settled(time_us, age)
        width = len(self.group.points)
        return Block(self.group.points, np.array([time_us], np.int64), value[:width], quality[:width])

    def _settled(self, time_us: int, age: Age) -> int:
        """Return the time of the sample before if this is that one, heard again: its age counts in steps."""
        again = age.age_us > 0 and abs(time_us - self._newest_us) <= age.step_us + 2 * self._half_width_us
        self._half_width_us += age.step_us // 2
        self._newest_us = self._newest_us if again else time_us
        return self._newest_us

    def _note(self, request: Read, question: bytes, answer: bytes) -> None:
        self._newest[request] = Exchange(self._bus.clock.time_us(), question, answer)
        while len(self._newest) > EXCHANGES_MAX:
            del self._newest[next(iter(self._newest))]


def _store(part: Part, data: bytes, scan: bytearray) -> None:
    if part.request.function in BITS:
        data = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: part.request.length].tobytes()
    scan[part.offset : part.offset + len(data)] = data


def _span(signal: Signal) -> Span:
    return signal.address, signal.count


def _known(profile: Profile) -> list[tuple[int, int, int]]:
    """Return function, address and length of everything the profile says is there."""
    found = [(int(signal.function), signal.address, signal.count) for signal in profile.signals]
    found += [(text.function, text.address, text.count) for text in profile.texts]
    found += [(verify.function, verify.address, verify.count) for verify in profile.verify]
    return found + [(function, low, high - low + 1) for function in (3, 4) for low, high in profile.modbus.atomic]


def _signal(device: DeviceOptions, point: PointOptions) -> Signal:
    signal = device.profile.signal(point.signal)
    assert signal is not None, "poll_groups has checked it"
    return signal
