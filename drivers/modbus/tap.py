"""A serial Modbus line that another master polls, heard from outside: which answer belongs to which question.

No I/O, no clock, and nothing that could be sent. Given out is an answer that directly follows its question and can be
the answer to nothing else; whatever is ambiguous is counted and gives no values (`tap_doubt.py` says what can be).
"""

from typing import NamedTuple

import msgspec

from drivers.modbus.pdu import Function, Read, data_bytes
from drivers.modbus.tap_doubt import Ask, Order, UnitMemory
from drivers.modbus.tap_frames import Expected, Frame, Junk, Splitter

CONFIRM_S = 0.03  # a silence after an answer that says as much as a whole frame
POLLS_MAX = 1024  # different questions; more are counted, not remembered
WRITES_MAX = 256
ORPHANS_MAX = 32
QUESTION_BYTES_MIN, QUESTION_BYTES_MAX = 5, 11  # what a damaged question still looks like
ALIKE_BYTES = 5


class Heard(NamedTuple):
    """An answer and its question: last byte of the one, first byte of the other (monotonic); `code` an exception."""

    request: Read
    data: bytes
    code: int
    sent_s: float
    first_s: float
    question: bytes
    answer: bytes


class Written(NamedTuple):
    """Another master's write to a device (unit 0: to all of them)."""

    unit: int
    function: int
    address: int
    registers: int  # or bits
    time_s: float
    frame: bytes


class Counts(msgspec.Struct):
    """What a line has been heard to say; only ever growing."""

    requests: int = 0
    answers: int = 0  # whole answers to reads, tied to a question or not
    exceptions: int = 0
    paired: int = 0  # given out
    unanswered: int = 0  # the next question came before anything whole
    orphans: int = 0  # an answer without its question
    late: int = 0  # an answer to a question given up before
    ambiguous: int = 0  # it can belong to two questions, or two answers came
    unclean: int = 0  # question or answer may be a part of something damaged
    slow: int = 0  # an answer and a question could have been missed in between
    skipped: int = 0  # a question that always comes was not heard
    damaged: int = 0  # answers with bytes lost, changed or added
    writes: int = 0
    broadcasts: int = 0
    other: int = 0  # frames of other functions
    noise_bytes: int = 0
    losses: int = 0  # times the stream had a hole


class Poll(msgspec.Struct):
    """How often one question is asked and answered."""

    frame: bytes
    first_s: float
    last_s: float
    asked: int = 0
    answered: int = 0
    refused: int = 0
    period_s: float = 0.0  # between two of them, of late; 0 unknown


class _Held(NamedTuple):
    heard: Heard
    last_s: float
    quick: bool


class Tap:
    """One line; feed it what arrives, and settle it when nothing does."""

    def __init__(self, char_s: float, gap_s: float) -> None:
        self.counts = Counts()
        self.polls: dict[Read, Poll] = {}
        self.damaged_of: dict[int, int] = {}  # unit → damaged answers
        self.untied_of: dict[int, int] = {}  # unit → whole answers that gave no values
        self._char_s, self._gap_s = char_s, gap_s
        self._splitter = Splitter(char_s, gap_s)
        self._order = Order()
        self._writes: list[Written] = []
        self._out: list[Heard] = []
        self._begin()

    def _begin(self) -> None:
        self._units: dict[int, UnitMemory] = {}
        self._doubt_s: float | None = None  # when something unheard may have been asked last
        self._last: Ask | None = None  # the question directly before
        self._previous: Ask | None = None  # the newest question
        self._orphans: list[Expected] = []  # since then
        self._held: _Held | None = None
        self._write = b""
        self._suspect: Junk | None = None  # unknown bytes just heard, as many as a question has

    def feed(self, data: bytes, time_s: float) -> list[Heard]:
        """Take bytes, the last of which arrived at `time_s`; return the answers that are certain by now."""
        if self._doubt_s is None:
            self._doubt_s = time_s
        out = self.settle(time_s - (len(data) - 1) * self._char_s)
        self._splitter.push(data, time_s)
        self._drain(final=False)
        return out + self._take()

    def settle(self, now_s: float) -> list[Heard]:
        """Take that nothing arrived until `now_s`; return the answers that this makes certain."""
        if self._splitter.waiting and now_s > self._splitter.stale_s:
            self._drain(final=True)
        held = self._held
        if held is not None and held.quick and now_s - held.last_s > CONFIRM_S and not self._splitter.waiting:
            self._release()
        return self._take()

    def lost(self) -> None:
        """Bytes are missing from here on: nothing before can be tied to anything after."""
        self.counts.losses += 1
        self._splitter.lost()
        self._begin()

    def take_writes(self) -> list[Written]:
        """Return the writes heard since the last call, oldest first."""
        writes, self._writes = self._writes, []
        return writes

    def _take(self) -> list[Heard]:
        out, self._out = self._out, []
        return out

    def _drain(self, final: bool) -> None:
        while (piece := self._splitter.next(self._expected(), final)) is not None:
            self._suspect_all(piece)
            if isinstance(piece, Junk):
                self._on_junk(piece)
            elif piece.kind in ("request", "either"):
                self._on_request(piece)
            elif piece.kind in ("answer", "exception"):
                self._on_answer(piece)
            else:
                self._on_other(piece)
            self._write = piece.data if isinstance(piece, Frame) and piece.kind == "write" else b""

    def _expected(self) -> Expected | None:
        if self._last is None or self._last.request is None:
            return None
        request = self._last.request
        return request.unit, int(request.function), data_bytes(request)

    def _unit(self, number: int) -> UnitMemory:
        if number not in self._units:
            self._units[number] = UnitMemory(self._doubt_s or 0.0)
        return self._units[number]

    def _on_request(self, frame: Frame) -> None:
        unit, function = frame.data[0], frame.data[1]
        address, length = int.from_bytes(frame.data[2:4], "big"), int.from_bytes(frame.data[4:6], "big")
        if unit == 0:
            self._on_other(frame)  # nobody answers a read that is sent to all
            return
        request = Read(unit, Function(function), address, length)
        clean = frame.clean
        if frame.kind == "either" and self._may_be_answer(frame, request):
            self.counts.ambiguous += 1
            self._unit(unit).answered(function, frame.data[2], frame.first_s, True)
            clean = False
        self.counts.requests += 1
        self._follow(request, frame)
        ask = Ask(request, frame.data, frame.last_s, clean, frame.reads[1])
        self._unit(unit).ask(ask, frame.first_s)
        self._last = self._previous = ask
        self._orphans = []
        poll = self.polls.get(request)
        if poll is None and len(self.polls) < POLLS_MAX:
            poll = self.polls[request] = Poll(frame.data, frame.last_s, frame.last_s)
        if poll is not None:
            gap_s = frame.last_s - poll.last_s
            poll.period_s = gap_s if poll.asked <= 1 else poll.period_s + 0.2 * (gap_s - poll.period_s)
            poll.asked += 1
            poll.last_s = frame.last_s

    def _may_be_answer(self, frame: Frame, request: Read) -> bool:
        """Tell whether a frame that reads both ways can be an answer: somebody asks for three bytes of bits."""
        known = [*self.polls, *(ask.request for ask in self._unit(request.unit).open if ask.request is not None)]
        return any(
            r.unit == request.unit and r.function == request.function and data_bytes(r) == frame.data[2] for r in known
        )

    def _follow(self, request: Read, frame: Frame) -> None:
        """Judge the answer held by the question that comes next, and learn or miss one in the usual order."""
        before, unanswered = self._previous, self._last is not None
        self.counts.unanswered += unanswered
        missing, in_turn = None, False
        if before is not None and before.request is not None and not (unanswered and before.request == request):
            after_s = frame.first_s - before.last_s
            in_turn = self._order.in_turn(before.request, request, after_s)
            usual = self._order.usual(before.request)
            self._order.saw(before.request, request, after_s)
            missing = usual if usual not in (None, request) else None
        if self._held is not None:
            if not self._held.quick and not in_turn:
                self._drop("slow")
            elif missing is not None and _shape(missing) == _shape(self._held.heard.request):
                self._drop("skipped")
            else:
                self._release()
        if missing is not None:
            self.counts.skipped += 1
            if _shape(missing) not in self._orphans:
                self._unit(missing.unit).doubt(Ask(missing, b"", frame.first_s))

    def _on_answer(self, frame: Frame) -> None:
        unit, function = frame.data[0], frame.data[1] & 0x7F
        code = frame.data[2] if frame.kind == "exception" else 0
        size = None if frame.kind == "exception" else frame.data[2]
        if function > 4:
            self._on_other(frame)  # the refusal of something that is not a read
            return
        self.counts.answers += size is not None
        self.counts.exceptions += size is None
        if self._held is not None:
            if self._held.heard.request.unit == unit:
                self._drop("ambiguous")  # two answers: either may be the late one
            elif self._held.quick:
                self._release()
            else:
                self._drop("slow")
        ask, self._last = self._last, None
        memory = self._unit(unit)
        candidates = memory.candidates(function, size)
        direct = ask is not None and ask.request is not None and ask.request.unit == unit and ask.fits(function, size)
        memory.answered(function, size, frame.first_s, direct)
        if ask is None or ask.request is None or not direct:
            self._orphans = [*self._orphans[1 - ORPHANS_MAX :], (unit, function, size or 0)]
            self._untied(unit, "late" if any(a.frame for a in candidates) else "orphans")
            return
        turnaround_s = frame.first_s - ask.last_s
        quick = turnaround_s <= memory.quick_s(self._char_s, self._gap_s)
        if frame.reads[0] != ask.read:  # what is read together has no times of its own
            memory.took(turnaround_s)
        if any(candidate.request != ask.request for candidate in candidates):
            self._untied(unit, "ambiguous")
        elif memory.behind(frame.first_s):
            self._untied(unit, "late")
        elif not (ask.clean and frame.clean):
            self._untied(unit, "unclean")
        elif not quick and turnaround_s > memory.slow_s(self._char_s, self._gap_s):
            self._untied(unit, "slow")
        else:
            data = b"" if code else frame.data[3:-2]
            heard = Heard(ask.request, data, code, ask.last_s, frame.first_s, ask.frame, frame.data)
            self._held = _Held(heard, frame.last_s, quick)

    def _on_other(self, frame: Frame) -> None:
        self.counts.unanswered += self._last is not None
        self._last = None
        if self._held is not None:
            if self._held.quick:
                self._release()
            else:
                self._drop("slow")
        if frame.kind != "write" or (frame.data == self._write and frame.data[0]):
            self.counts.other += 1  # the answer to a write of one register repeats the question
            return
        self.counts.writes += 1
        self.counts.broadcasts += frame.data[0] == 0
        if frame.clean and len(self._writes) < WRITES_MAX:
            self._writes.append(_written(frame))

    def _on_junk(self, junk: Junk) -> None:
        self.counts.noise_bytes += len(junk.data)
        if self._held is not None and not junk.silent:
            self.counts.damaged += 1
            self._drop("unclean")
        ask, self._last = self._last, None
        if ask is not None and ask.request is not None and _is_damaged_answer(junk.data, ask.request):
            self._on_damaged(ask.request, junk.first_s, True)
            return
        self.counts.unanswered += ask is not None
        if len(junk.data) < QUESTION_BYTES_MIN or junk.data[:1] == self._write[:1]:
            return  # too short for a question, or the damaged answer to a write
        for request in self.polls:
            if _is_damaged_answer(junk.data, request):
                self._on_damaged(request, junk.first_s, False)
                return
        asked = [r for r, poll in self.polls.items() if _is_damaged_question(junk.data, poll.frame)]
        for request in asked:
            self._unit(request.unit).doubt(Ask(request, b"", junk.last_s))
        if not asked:
            self._suspect = junk

    def _suspect_all(self, piece: Frame | Junk) -> None:
        """Judge junk that may have been a question by what follows: an answer shows whom it asked, else it was any."""
        junk, self._suspect = self._suspect, None
        if junk is None:
            return
        if isinstance(piece, Frame) and piece.kind in ("answer", "exception"):
            self._unit(piece.data[0]).doubt(Ask(None, b"", junk.last_s))
            return
        self._doubt_s = junk.last_s
        for memory in self._units.values():
            memory.doubt(Ask(None, b"", junk.last_s))

    def _on_damaged(self, request: Read, first_s: float, direct: bool) -> None:
        self.counts.damaged += 1
        self.damaged_of[request.unit] = self.damaged_of.get(request.unit, 0) + 1
        self._orphans = [*self._orphans[1 - ORPHANS_MAX :], _shape(request)]
        self._unit(request.unit).answered(request.function, data_bytes(request), first_s, direct)

    def _release(self) -> None:
        assert self._held is not None
        heard, self._held = self._held.heard, None
        self.counts.paired += 1
        poll = self.polls.get(heard.request)
        if poll is not None:
            poll.answered += heard.code == 0
            poll.refused += heard.code > 0
        self._out.append(heard)

    def _drop(self, why: str) -> None:
        assert self._held is not None
        unit, self._held = self._held.heard.request.unit, None
        self._untied(unit, why)

    def _untied(self, unit: int, why: str) -> None:
        setattr(self.counts, why, getattr(self.counts, why) + 1)
        self.untied_of[unit] = self.untied_of.get(unit, 0) + 1


def _shape(request: Read) -> Expected:
    return request.unit, int(request.function), data_bytes(request)


def _is_damaged_answer(data: bytes, request: Read) -> bool:
    """Tell whether junk begins like the answer to a request, or nearly so and has its length."""
    hits = sum(a == b for a, b in zip(data, _shape(request), strict=False))
    return hits == 3 or (hits == 2 and abs(len(data) - 5 - data_bytes(request)) <= 1)


def _is_damaged_question(data: bytes, frame: bytes) -> bool:
    """Tell whether junk has most bytes of a known question, one lost, added or changed somewhere."""
    if not QUESTION_BYTES_MIN <= len(data) <= QUESTION_BYTES_MAX:
        return False
    front = next((n for n, (a, b) in enumerate(zip(data, frame, strict=False)) if a != b), len(frame))
    pairs = zip(reversed(data), reversed(frame), strict=False)
    back = next((n for n, (a, b) in enumerate(pairs) if a != b), len(frame))
    return front + back >= ALIKE_BYTES


def _written(frame: Frame) -> Written:
    data, function = frame.data, frame.data[1]
    where = 6 if function == 23 else 2
    address = int.from_bytes(data[where : where + 2], "big")
    count = int.from_bytes(data[where + 2 : where + 4], "big") if function in (15, 16, 23) else 1
    return Written(data[0], function, address, count, frame.first_s, data)
