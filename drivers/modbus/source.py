"""One poll group of one Modbus device: its requests, one scan of them, and the Block they make."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from drivers.link import Arrival, DeviceOptions, Exchange, Group, Pace, PointOptions, Stats
from drivers.modbus.bus import Answered, Bus
from drivers.modbus.decode import Decoder, Field
from drivers.modbus.pdu import BITS_MAX, Function, Read, exception_text
from drivers.modbus.planner import Cost, Rules, Span, may_read, plan, plan_cost_s, widen
from drivers.modbus.turnaround import Turnaround
from drivers.profile import Signal
from twin_wire.errors import DeviceError, LinkError
from twin_wire.readings import Block, Quality

TICK_US = 1000  # of a sample's time: finer is below what an answer can tell, and costs a quarter more bytes
REFUSED = (1, 2, 3)  # function, address, value: this request will never work, others may
DIVISIBLE = (2, 3)  # a part of it may
BITS = (Function.READ_COILS, Function.READ_DISCRETE_INPUTS)
EXCHANGES_MAX = 64
GATEWAY = (10, 11)  # a gateway speaks for a unit it cannot reach
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
        self._signals = [_signal(device, point) for point in points]
        self._raws = [point.raw for point in points]
        self._turnaround = turnaround
        self._half_width_us = 0
        self._cuts: set[tuple[int, int]] = set()  # learned: (function, address) no request may cross
        self._trial_cuts: set[tuple[int, int]] = set()
        self._cuts_known = 0  # counts changes of the two
        self._proven = False  # whether the device has answered a whole scan as planned
        self._newest: dict[Read, Exchange] = {}
        self._replan()

    async def read(self, deadline_s: float) -> list[Arrival]:
        """Return one Block of one row; DeviceError or LinkError if not one value came."""
        self.fault = None
        self._replan_if_due()
        scan = _Scan(self._size)
        for part in self._parts:
            try:
                await self._fetch(part, scan, deadline_s)
            except LinkError as error:
                self.fault = error
                break
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

    async def _fetch(self, part: Part, scan: _Scan, deadline_s: float) -> bool:
        """Read one part into `scan`; False if the device refused any of it. LinkError ends the scan."""
        try:
            allowed = self._allowed[part.request.function]
            answered = await self._bus.exchange(part.request, self._turnaround, self.stats, deadline_s, allowed)
        except LinkError:
            if self._bus.question:
                self._note(part.request, b"")
            raise
        reply = answered.reply
        self._note(part.request, reply.frame)
        if reply.code == 0:
            _store(part, reply.data, scan.data)
            scan.read.append(part.columns)
            scan.answers.append(answered)
            self.stats.answers += 1
            self.stats.samples += len(part.columns)
            return True
        self.stats.exceptions += 1
        error = DeviceError(
            f"unit {self._unit}: {exception_text(reply.code)} to {part.request.length} from {part.request.address} "
            f"with function {int(part.request.function)}",
            reply.code,
            HINTS.get(reply.code, ""),
        )
        if reply.code in DIVISIBLE and len(part.items) > 1:
            return await self._fetch_halves(part, scan, deadline_s)
        if reply.code not in GATEWAY:
            scan.refused.append(part.columns)
        if reply.code not in REFUSED:
            raise error
        self.fault = error
        if len(part.items) == 1:
            edges = part.request.address, part.request.address + part.request.length
            alone = {(int(part.request.function), edge) for edge in edges}
            self._cuts_known += not alone <= self._cuts
            self._cuts |= alone
        return False

    async def _fetch_halves(self, part: Part, scan: _Scan, deadline_s: float) -> bool:
        """Ask again for each half of a refused request: the hole between two halves that both work is found."""
        left, right = self._split(part)
        cut = (right.request.function, right.request.address)
        self._cuts_known += 1
        self._trial_cuts.add(cut)  # a scan that is cut off here goes on from here next time
        worked = [await self._fetch(half, scan, deadline_s) for half in (left, right)]
        self._trial_cuts.discard(cut)
        if all(worked):
            self._cuts.add(cut)
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
        columns = tuple(column for column in whole.columns if _holds(request, self._signals[column]))
        return Part(request, whole.offset + size * (first - whole.request.address), items, columns)

    def _replan_if_due(self) -> None:
        planned_s = self._planned_turnaround_s
        learned = self.stats.answers >= self._planned_answers + ANSWERS_TO_REPLAN
        changed_s = abs(self._turnaround.mean_s - planned_s)
        if (
            learned and changed_s > max(REPLAN_SHARE * planned_s, REPLAN_S_MIN)
        ) or self._cuts_planned != self._cuts_known:
            self._replan()

    def _replan(self) -> None:
        """Plan the requests of a scan anew and lay out its bytes; ConfigError if a signal cannot be read."""
        self._planned_turnaround_s = self._turnaround.mean_s
        self._planned_answers = self.stats.answers
        self._cuts_planned = self._cuts_known
        functions = sorted({Function(signal.function) for signal in self._signals})
        rules_of = {function: self._rules_of(function) for function in functions}
        self._allowed = {function: partial(may_read, rules) for function, rules in rules_of.items()}
        parts: list[Part] = []
        left = set(range(len(self._signals)))  # a signal that two requests hold is taken from the first
        self._size = 0
        for function, rules in rules_of.items():
            wanted = [(s.address, s.count) for s in self._signals if s.function == function]
            for address, length in plan(wanted, self._cost(function, self._planned_turnaround_s), rules):
                request = Read(self._unit, function, address, length)
                columns = tuple(c for c in sorted(left) if _holds(request, self._signals[c]))
                left -= set(columns)
                items = {widen((self._signals[c].address, self._signals[c].count), rules.atomic) for c in columns}
                parts.append(Part(request, self._size, tuple(sorted(items)), columns))
                self._size += length * (1 if function in BITS else 2)
        self._parts = parts
        self._newest = {part.request: self._newest[part.request] for part in parts if part.request in self._newest}
        offsets = {}
        for part in parts:
            for column in part.columns:
                step = self._signals[column].address - part.request.address
                offsets[column] = part.offset + step * (1 if part.request.function in BITS else 2)
        self._decoder = Decoder([Field(signal, offsets[c], self._raws[c]) for c, signal in enumerate(self._signals)])

    def _rules_of(self, function: int) -> Rules:
        learned = self._cuts | self._trial_cuts
        cuts = frozenset(address for cut_function, address in learned if cut_function == function)
        if function in BITS:
            return Rules(min(BITS_MAX, 16 * self._modbus.registers_max), cuts=cuts)
        return Rules(self._modbus.registers_max, self._modbus.forbid, self._modbus.atomic, cuts)

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
        begin_s, end_s = scan.answers[0].sent_s, max(answer.first_s for answer in scan.answers)
        middle_s = (begin_s + end_s) / 2
        self._half_width_us = round((end_s - begin_s) * 5e5) + TICK_US // 2
        clock = self._bus.clock
        time_us = round((clock.time_us() - (clock.monotonic_s() - middle_s) * 1e6) / TICK_US) * TICK_US
        return Block(self.group.points, np.array([time_us], np.int64), value, quality)

    def _note(self, request: Read, answer: bytes) -> None:
        self._newest[request] = Exchange(self._bus.clock.time_us(), self._bus.question, answer)
        while len(self._newest) > EXCHANGES_MAX:
            del self._newest[next(iter(self._newest))]


def _store(part: Part, data: bytes, scan: bytearray) -> None:
    if part.request.function in BITS:
        data = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: part.request.length].tobytes()
    scan[part.offset : part.offset + len(data)] = data


def _holds(request: Read, signal: Signal) -> bool:
    return (
        signal.function == request.function
        and request.address <= signal.address
        and signal.address + signal.count <= request.address + request.length
    )


def _signal(device: DeviceOptions, point: PointOptions) -> Signal:
    signal = device.profile.signal(point.signal)
    assert signal is not None, "poll_groups has checked it"
    return signal
