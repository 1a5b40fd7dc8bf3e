"""A device of a profile: shows physical values in its registers, with the scales, status words and quirks it has.

Where several signals mean one register (a detector with one of several sensors), the one shown last is the one fitted.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import TypeVar

from hardware_sim.encoding import FLOATS, bounds, encode, fixed_words, held, mask_of, raw_of
from hardware_sim.modbus import Image, Read
from hardware_sim.profile import Companion, Profile, Signal

T = TypeVar("T")
EXPONENT_MAX = 18
BEATS_PER_LIMIT = 4  # a heartbeat changes so often within the time its profile allows
NUMBERS_MAX = 9999
BAD_WORDS = ("BAD", "SENTINEL", "DEVICE_FAULT")
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}


class Registers:
    """Keeps the image of one device current; `clock` returns seconds (monotonic) for heartbeats and ages."""

    def __init__(self, profile: Profile, clock: Callable[[], float], unmapped: str = "") -> None:
        self.profile, self._clock = profile, clock
        self._signals = profile.signals
        spans = [(signal.function, signal.address, signal.registers) for signal in profile.signals.values()]
        self.image = Image(
            unmapped or profile.unmapped,
            profile.registers_max,
            profile.forbid,
            profile.atomic,
            (profile.vendor, profile.model, "1.0"),
            spans if profile.singles else None,
        )
        self.image.before_read = self._refresh
        self.frozen = False  # the device's own program has stopped: its heartbeat too
        self._values: dict[str, float] = {}
        self._fresh_s: dict[str, float] = {}  # age signal → when its data was new
        self._sharing = _grouped((s.exponent, s) for s in profile.signals.values())
        self._with_factor = _grouped((name, s) for s in profile.signals.values() for name in s.factors)
        self._tellers = _grouped((c.signal, c) for c in profile.companions if _tells(c))
        self._told_by = _grouped((name, c.signal) for c in profile.companions if _tells(c) for name in c.of)
        self._aged_by = {name: c.signal for c in profile.companions if c.age for name in c.of}
        self._moving = [companion for companion in profile.companions if companion.alive_s or companion.age]
        self._rivals = _rivals(profile)
        self._absent: set[str] = set()  # signals whose registers mean something else in this device
        self._power_up()

    def show(self, name: str, value: float) -> None:
        """Show a physical value (NaN: none) with the scale it needs, and its status beside it."""
        signal = self._signals[name]
        tells = name in self._absent or math.isnan(value) != math.isnan(self._values[name])
        self._values[name] = value
        self._absent.discard(name)
        self._absent |= self._rivals[name]
        if signal.exponent:
            self._rescale(signal.exponent)
        else:
            self._write(signal)
        for user in self._with_factor.get(name, []):
            if user.id not in self._absent:
                self._write(user)
        if name in self._aged_by:
            self._fresh_s[self._aged_by[name]] = self._clock()
        for teller in dict.fromkeys(self._told_by.get(name, [])) if tells else ():
            self._tell(teller)

    def shown(self, name: str) -> float:
        """Return the value that stands in the registers of a signal, a scale or a status word."""
        return self._values[name]

    def age(self, name: str, age_s: float) -> None:
        """Make the data whose age the signal `name` counts so old."""
        self._fresh_s[name] = self._clock() - age_s

    def _power_up(self) -> None:
        for fixed in self.profile.fixed:
            self.image.write(fixed.function, fixed.address, fixed_words(fixed))
        for function in {signal.function for signal in self._signals.values()} & {3, 4}:
            for low, high in self.profile.atomic:  # a block is there whole
                if any(low <= s.address <= high for s in self._signals.values() if s.function == function):
                    self.image.write(function, low, [0] * (high - low + 1))
        for name in self._with_factor:
            scale = self._signals[name]
            self._values[name] = max(scale.low or 0.0, 1.0 if scale.decimals <= 0 else 10.0**-scale.decimals)
        for name, signal in self._signals.items():
            self._values.setdefault(name, _first(signal))
            if name not in self._absent:
                self._absent |= self._rivals[name]
        for name, signal in self._signals.items():
            if name not in self._sharing and name not in self._absent and not signal.exponent:
                self._write(signal)
        for name in self._sharing:
            self._rescale(name)
        for name in self._tellers:
            self._tell(name)
        for companion in self._moving:
            self._fresh_s[companion.signal] = self._clock()

    def _write(self, signal: Signal) -> None:
        exponent = round(self._values[signal.exponent]) if signal.exponent else 0
        raw = raw_of(signal, self._values[signal.id], exponent, self._factor(signal))
        words = encode(signal, raw)
        if signal.bits is not None:
            table = self.image.tables[signal.function]
            before = [table.get(place, 0) for place in _places(signal)]
            words = tuple(w | old & ~mask for w, old, mask in zip(words, before, mask_of(signal), strict=True))
        self.image.write(signal.function, signal.address, words)

    def _factor(self, signal: Signal) -> Fraction:
        return math.prod((Fraction(repr(self._values[name])) for name in signal.factors), start=Fraction(1))

    def _rescale(self, name: str) -> None:
        """Choose the finest exponent with which all that share it fit their registers, and write them all."""
        sharing = [signal for signal in self._sharing[name] if signal.id not in self._absent]
        for exponent in _exponents(self._signals[name], max((s.decimals for s in sharing), default=0)):
            self._values[name] = float(exponent)
            if all(self._fits(signal, exponent) for signal in sharing):
                break
        for signal in (self._signals[name], *sharing):
            self._write(signal)

    def _fits(self, signal: Signal, exponent: int) -> bool:
        value = self._values[signal.id]
        if math.isnan(value) or signal.type in FLOATS:
            return True
        low, high = bounds(signal)
        steps = Fraction(signal.multiplier, signal.divisor) * Fraction(10) ** exponent * self._factor(signal)
        return not steps or low <= Fraction(repr(value)) / steps - signal.offset <= high

    def _tell(self, name: str) -> None:
        """Set a status word so that it is good about every value there is, and bad where only it can say so."""
        signal = self._signals[name]
        telling = [c for c in self._tellers[name] if not self._absent.issuperset(c.of)]
        failing = [self._fails(companion) for companion in telling]
        now = held(signal, [self.image.tables[signal.function].get(p, 0) for p in _places(signal)])
        flags = sum({1 << bit for c, bad in zip(telling, failing, strict=True) for bit in _bad(c) if bad})
        clear = now & ~sum({1 << bit for companion in telling for bit in companion.bits})
        named = [number for companion in telling for number in companion.values]
        for number in (now, clear | flags, flags, *(n | flags for n in named), *range(256)):
            said = [_word(companion, number) for companion in telling]
            if all((word in BAD_WORDS) if bad else word == "GOOD" for word, bad in zip(said, failing, strict=True)):
                self._values[name] = float(number)
                self._write(signal)
                return

    def _fails(self, companion: Companion) -> bool:
        """Tell whether one of its values is none and has no other way to say so."""
        words = (*companion.bits.values(), *companion.values.values(), companion.other)
        present = [self._signals[name] for name in companion.of if name not in self._absent]
        lost = [signal for signal in present if math.isnan(self._values[signal.id])]
        mute = [signal for signal in lost if not signal.sentinels and signal.type not in FLOATS]
        return bool(mute or len(lost) == len(present)) and any(word in BAD_WORDS for word in words)

    def _refresh(self, read: Read) -> None:
        """Move heartbeats and ages on just before they are read."""
        for companion in self._moving:
            signal = self._signals[companion.signal]
            if signal.function != read.function or not _touches(signal, read):
                continue
            now_s = self._clock()
            if companion.age:
                age_s = now_s - self._fresh_s[signal.id]
                step_s = SECONDS[signal.unit] * 10.0**-signal.decimals
                self._values[signal.id] = math.floor(age_s / step_s) * 10.0**-signal.decimals
            elif not self.frozen:
                states = min(bounds(signal)[1], NUMBERS_MAX) + 1
                self._values[signal.id] = float(int(now_s * BEATS_PER_LIMIT / companion.alive_s) % states)
            self._write(signal)


def _first(signal: Signal) -> float:
    """Return what a device without a world shows: nothing of it, or the least it can."""
    low, high = (0.0 if signal.low is None else signal.low), (0.0 if signal.high is None else signal.high)
    return 0.0 if low <= 0.0 <= high else low


def _grouped(pairs: Iterator[tuple[str, T]]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = {}
    for name, item in pairs:
        if name:
            found.setdefault(name, []).append(item)
    return found


def _places(signal: Signal) -> range:
    return range(signal.address, signal.address + signal.registers)


def _rivals(profile: Profile) -> dict[str, set[str]]:
    """Return for each signal those that take bits of the same registers, scales and companions apart."""
    helpers = {companion.signal for companion in profile.companions}
    helpers |= {name for signal in profile.signals.values() for name in signal.scales}
    takers: dict[tuple[int, int], list[tuple[str, int]]] = {}
    for signal in profile.signals.values():
        for place, mask in zip(_places(signal), mask_of(signal), strict=True):
            takers.setdefault((signal.function, place), []).append((signal.id, mask))
    found: dict[str, set[str]] = {name: set() for name in profile.signals}
    for sharing in takers.values():
        for name, mask in sharing if len(sharing) > 1 else ():
            found[name] |= {other for other, theirs in sharing if other != name and mask & theirs} - helpers
    return found


def _tells(companion: Companion) -> bool:
    return bool(companion.bits or companion.values or companion.other != "GOOD")


def _bad(companion: Companion) -> Sequence[int]:
    return [bit for bit, word in companion.bits.items() if word in BAD_WORDS]


def _touches(signal: Signal, read: Read) -> bool:
    return read.address < signal.address + signal.registers and signal.address < read.address + read.size


def _word(companion: Companion, number: int) -> str:
    """Return what a number of the companion says: the worst of its bits and of the number itself."""
    said = [word for bit, word in companion.bits.items() if number >> bit & 1]
    said.append(companion.values.get(number, companion.other))
    return next((word for word in said if word in BAD_WORDS), next((word for word in said if word != "GOOD"), "GOOD"))


def _exponents(scale: Signal, decimals: int) -> Iterator[int]:
    """Yield the powers of ten a scale register can hold, from the finest that the values are read with."""
    low, high = bounds(scale)
    lowest = -EXPONENT_MAX if scale.low is None else scale.low
    highest = EXPONENT_MAX if scale.high is None else scale.high
    for exponent in range(-decimals, EXPONENT_MAX + 1):
        raw = Fraction(exponent * scale.divisor, scale.multiplier) * Fraction(10) ** scale.decimals - scale.offset
        if raw.denominator == 1 and low <= raw <= high and lowest <= exponent <= highest:
            yield exponent
