"""Which answers can be tied to their question by somebody who only listens: what is open, how fast, in which order.

An RTU answer names no register, so a listener that misses one frame could give one register's number to another. Two
memories stand against it: per unit, the questions that may still be answered (a device answers in order), and for the
line, which question the master usually asks after which.
"""

import math
from collections import deque
from typing import NamedTuple

import msgspec

from drivers.modbus.pdu import Read, data_bytes

LATE_S, LATE_FACTOR = 3.0, 10.0  # an answer later than this, or ten times the slowest seen, does not come any more
QUIET_S, QUIET_FACTOR = 0.25, 2.0  # a unit silent for so long after an answer owes none
UNKNOWN_LATENESS_S = 0.5
BEHIND_S = 0.2  # an answer so long after its question, and not next to it, is late and no accident of listening
OPEN_MAX = 8
QUESTIONS_MAX = 1024
ANSWERS_TO_TRUST, ANSWERS_KEPT = 3, 16
ROUND_CHARS = 13  # the shortest answer (5) and a question (8): what must at least be missed for a wrong pair
TURNS = 1.8  # of two turnarounds, of the quicker quarter: the very shortest are a program's that read late
SLOW_TURNS = 3.0
STREAK, STREAK_MAX = 3, 8
AS_USUAL, PACE_WEIGHT = 1.5, 0.2


class Ask(NamedTuple):
    """A question that was heard, or must have been asked: `request` None if nobody knows which, `frame` empty then."""

    request: Read | None
    frame: bytes
    last_s: float
    clean: bool = False
    read: int = 0  # of the port, in which its last byte came
    answered: bool = False  # by something that may have been the answer to an older one

    def fits(self, function: int, size: int | None) -> bool:
        """Tell whether an answer of that function and byte count (None: an exception) can be to this."""
        if self.request is None:
            return True
        return self.request.function == function and size in (None, data_bytes(self.request))


class UnitMemory:
    """The questions to one unit that may still be answered, oldest first, and how fast it answers."""

    def __init__(self, doubt_s: float) -> None:
        self.open = [Ask(None, b"", doubt_s)]  # before we listened somebody may have asked
        self._turnarounds: deque[float] = deque(maxlen=ANSWERS_KEPT)
        self._answer_s = 0.0
        self._lateness_s = 0.0
        self._behind_s = -math.inf  # when it last answered a question long given up

    def doubt(self, ask: Ask) -> None:
        """Remember a question that was not heard whole."""
        if ask.request is None:
            self.open = [a for a in self.open if a.request is not None]
        self.open = [*self.open, ask]
        self._shorten(ask.last_s)

    def ask(self, ask: Ask, first_s: float) -> None:
        """Take a question heard now; forget those that cannot be answered any more."""
        late_s = max(LATE_S, LATE_FACTOR * max(self._turnarounds, default=0.0))
        quiet_s = max(QUIET_S, QUIET_FACTOR * self._lateness_s)
        settled_s = self._answer_s if first_s - self._answer_s >= quiet_s else 0.0
        self.open = [a for a in self.open if a.last_s > max(first_s - late_s, settled_s)]
        self.open.append(ask)
        self._shorten(ask.last_s)

    def candidates(self, function: int, size: int | None) -> list[Ask]:
        """Return the questions an answer of that shape can belong to, oldest first."""
        return [ask for ask in self.open if ask.fits(function, size)]

    def answered(self, function: int, size: int | None, first_s: float, direct: bool) -> None:
        """Take an answer off: the oldest question it fits, and everything older, is done with.

        One that does not follow a question of its shape (`direct`) proves that the unit is behind: what is still open
        then is owed, however long the unit rests.
        """
        self._answer_s = first_s
        for place, ask in enumerate(self.open):
            if ask.fits(function, size):
                if not direct:
                    self._lateness_s = LATE_S
                    if ask.request is not None and not ask.answered and first_s - ask.last_s > BEHIND_S:
                        self._behind_s = first_s
                elif ask.answered:
                    self._lateness_s = 0.0
                else:
                    self._lateness_s = UNKNOWN_LATENESS_S if ask.request is None else first_s - ask.last_s
                del self.open[: place + 1]
                break
        if self.open and self.open[-1].frame:
            self.open[-1] = self.open[-1]._replace(answered=True)

    def behind(self, now_s: float) -> bool:
        """Tell whether it was seen to answer old questions lately: how many it still owes is not known."""
        return now_s - self._behind_s < LATE_S

    def took(self, turnaround_s: float) -> None:
        """Learn from an answer that followed its question directly."""
        self._turnarounds.append(max(0.0, turnaround_s))

    def quick_s(self, char_s: float, gap_s: float) -> float:
        """Return the turnaround below which no answer and question can have been missed in between."""
        return ROUND_CHARS * char_s + gap_s + TURNS * self._usual_s(0.25)

    def slow_s(self, char_s: float, gap_s: float) -> float:
        """Return the turnaround above which an answer is not like this unit, whatever else speaks for it."""
        usual_s = self._usual_s(0.5)
        return ROUND_CHARS * char_s + gap_s + SLOW_TURNS * usual_s if usual_s else 0.0

    def _usual_s(self, share: float) -> float:
        """Return what so many of its turnarounds are below, 0 if too few are known."""
        if len(self._turnarounds) < ANSWERS_TO_TRUST:
            return 0.0
        return sorted(self._turnarounds)[int(len(self._turnarounds) * share)]

    def _shorten(self, now_s: float) -> None:
        if len(self.open) > OPEN_MAX:
            self.open = [Ask(None, b"", now_s), *self.open[-OPEN_MAX + 1 :]]


class _Next(msgspec.Struct):
    request: Read
    streak: int
    after_s: float  # of late


class Order:
    """Which question follows which on this line and how soon, as far as the master keeps an order."""

    def __init__(self) -> None:
        self._next: dict[Read, _Next] = {}

    def usual(self, request: Read) -> Read | None:
        """Return the question that regularly follows, None if there is no rule."""
        found = self._next.get(request)
        return found.request if found is not None and found.streak >= STREAK else None

    def in_turn(self, before: Read, request: Read, after_s: float) -> bool:
        """Tell whether `request` came as it usually does after `before`, and as soon."""
        found = self._next.get(before)
        return self.usual(before) == request and found is not None and after_s <= AS_USUAL * found.after_s

    def saw(self, before: Read, request: Read, after_s: float) -> None:
        """Learn one succession."""
        found = self._next.get(before)
        if found is None and len(self._next) >= QUESTIONS_MAX:
            return
        if found is None or (found.request != request and found.streak <= 1):
            self._next[before] = _Next(request, 1, after_s)
        elif found.request == request:
            found.streak = min(found.streak + 1, STREAK_MAX)
            found.after_s += PACE_WEIGHT * (after_s - found.after_s)
        else:
            found.streak -= 1
