"""What other registers say about a value: status and validity words, heartbeats, the age of the data."""

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.profile import Companion, Profile, Signal
from twin_wire.errors import ConfigError
from twin_wire.quantity import UNITS
from twin_wire.readings import Qualities, Quality, Values

Pair = tuple[int, int]  # two columns
AGE_US_MAX = 366 * 86_400_000_000  # no gateway holds data so long: such a number is no age
GOOD, UNCERTAIN, STUCK = int(Quality.GOOD), int(Quality.UNCERTAIN), int(Quality.STUCK)


class Age(NamedTuple):
    """How old the data of a scan is, and the step in which the device counts that."""

    age_us: int
    step_us: int


class _Watch:
    """One companion at work: which column tells about which, and what it has told so far."""

    def __init__(self, companion: Companion, column: int, of: list[int]) -> None:
        self.companion, self.column, self.of = companion, column, np.array(of, np.intp)
        self.words = {int(number): int(Quality[word]) for number, word in companion.values.items()}
        self.flags = [(1 << int(bit), int(Quality[word])) for bit, word in companion.bits.items()]
        self.other = int(Quality[companion.other])
        self.tells = bool(self.words or self.flags or self.other)
        self.last = math.nan
        self.changed_s = math.nan  # monotonic

    def word(self, number: float) -> int:
        """Return the quality that the companion's value gives the others."""
        if not self.tells:
            return GOOD
        if math.isnan(number):
            return UNCERTAIN
        return max([self.words.get(int(number), self.other), *(w for mask, w in self.flags if int(number) & mask)])

    def beats(self, number: float, now_s: float) -> bool:
        """Tell whether the heartbeat has changed in time; a value that did not come is no change."""
        if math.isnan(self.changed_s):
            self.changed_s = now_s
        if number != self.last and not math.isnan(number):
            self.last, self.changed_s = number, now_s
        return now_s - self.changed_s <= self.companion.alive_s


class Companions:
    """The companions of one poll group; it remembers heartbeats from scan to scan."""

    def __init__(self, profile: Profile, signals: Sequence[Signal], period_s: float) -> None:
        place_of = {signal.id: column for column, signal in reversed(list(enumerate(signals)))}
        self._watches = []
        self._age: tuple[_Watch, int, int] | None = None
        for companion in profile.companions:
            of = [column for column, signal in enumerate(signals) if signal.id in companion.of]
            if not of or companion.signal not in place_of:
                continue
            watch = _Watch(companion, place_of[companion.signal], of)
            self._watches.append(watch)
            signal = signals[watch.column]
            if companion.alive_s and period_s > companion.alive_s / 2:
                raise ConfigError(
                    f"{profile.id}: {signal.id!r} beats within {companion.alive_s:g} s; {period_s:g} s is too rarely",
                    f"give these points a period of at most {companion.alive_s / 2:g} s",
                )
            if companion.age:
                unit_us = UNITS[signal.unit].numerator
                step_us = round(unit_us / 10**signal.point_decimals)
                self._age = watch, unit_us, max(1, step_us)

    def judge(self, value: Values, quality: Qualities, now_s: float) -> Age:
        """Lower the qualities of one scan [C, 1] in place, take away what is no number then, return the data's age."""
        age = Age(0, 0)
        for watch in self._watches:
            number = float(value[watch.column, 0])
            word = watch.word(number)
            if watch.companion.alive_s and not watch.beats(number, now_s):
                word = max(word, STUCK)
            if watch.companion.age:
                age, stale = self._age_of(watch, number)
                word = max(word, stale)
            if word != GOOD:
                _lower(value, quality, watch.of, word)
        return age

    def _age_of(self, watch: _Watch, number: float) -> tuple[Age, int]:
        assert self._age is not None
        _, unit_us, step_us = self._age
        if not 0 <= number * unit_us <= AGE_US_MAX:  # NaN too: nobody knows how old it is
            return Age(0, 0), UNCERTAIN
        stale_s = watch.companion.stale_s
        old = bool(stale_s) and number * unit_us > stale_s * 1e6
        return Age(round(number * unit_us), step_us), UNCERTAIN if old else GOOD


def helpers_of(profile: Profile, signals: Sequence[Signal]) -> list[Signal]:
    """Return the signals that have to be read with these: their scales and companions, each once, none of these."""
    wanted = {signal.id for signal in signals}
    names = [c.signal for c in profile.companions if wanted & set(c.of)]
    names += [name for signal in signals for name in signal.scales]
    found = [signal for name in dict.fromkeys(names) if name not in wanted and (signal := profile.signal(name))]
    return found + (helpers_of(profile, [*signals, *found]) if found else [])


def scales_of(signals: Sequence[Signal]) -> list[Pair]:
    """Return the columns of each value and a scale of it."""
    place_of = {signal.id: column for column, signal in reversed(list(enumerate(signals)))}
    return [(column, place_of[n]) for column, s in enumerate(signals) for n in s.scales if n in place_of]


def ages_of(profile: Profile, signals: Sequence[Signal]) -> list[Pair]:
    """Return the columns of each value and the age of its data."""
    place_of = {signal.id: column for column, signal in reversed(list(enumerate(signals)))}
    aged = [(column, profile.age_of(signal.id)) for column, signal in enumerate(signals)]
    return [(column, place_of[age]) for column, age in aged if age in place_of]


class Scales:
    """Whether each value was counted in the scale that was read: the two of some pairs come in different requests."""

    def __init__(self, signals: Sequence[Signal]) -> None:
        self.pairs = scales_of(signals)
        self._seen: dict[int, float] = {}  # column of a scale → what it held in the scan before

    def check(self, value: Values, quality: Qualities, apart: Collection[Pair]) -> None:
        """Take away, in place, numbers whose scale did not come or has just changed; doubt them in the first scan."""
        for column, scale in self.pairs:
            now = float(value[scale, 0])
            if math.isnan(now):
                _lower(value, quality, np.array([column]), max(int(quality[scale, 0]), int(Quality.BAD)))
            elif (column, scale) in apart and self._seen.get(scale) != now:
                _lower(value, quality, np.array([column]), int(Quality.BAD) if scale in self._seen else UNCERTAIN)
        for _, scale in self.pairs:
            self._seen[scale] = float(value[scale, 0])


def _lower(value: Values, quality: Qualities, of: NDArray[np.intp], word: int) -> None:
    quality[of] = np.maximum(quality[of], np.uint8(word))
    value[of] = np.where(quality[of] < Quality.BAD, value[of], np.nan)
