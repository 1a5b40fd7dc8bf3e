"""The register map of a bus learned from its traffic: what the master asks, and what the answers may mean.

    survey = Survey(char_s, gap_s)
    for piece in capture.pieces: survey.feed(piece.data, piece.offset_us / 1e6)
    survey.asked()            # which questions, how often, how well answered
    survey.readings(unit)     # for each register the likeliest meaning, with the evidence for it
    match_profile(survey, unit, profile)  # whether a known instrument would answer like this

A meaning is a guess: it comes with what speaks for it, to be compared with the instrument's display.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.modbus.decode import BIG_ENDIAN_BYTES, Decoder, Field, brings
from drivers.modbus.pdu import Read
from drivers.modbus.tap import Counts, Heard, Tap
from drivers.profile import Profile, Signal
from twin_wire.readings import Quality

SAMPLES_MAX = 512  # of a question; then every second one is left out, and so on
EVERYDAY = (1e-3, 1e6)  # a measured float lies within, or is exactly 0
SMOOTH, JUMPY = 0.5, 0.85  # step between neighbours over step between any two: 1 is noise
WHOLE_USUAL = 10_000
UNUSED = (0xFFFF, 0x7FFF, 0x8000)
SAMPLES_TO_JUDGE = 8
BITS = (1, 2)
ORDERS = tuple(BIG_ENDIAN_BYTES)
Words = NDArray[np.uint8]  # [T, bytes] of one question's answers


class Asked(NamedTuple):
    """One question of the master: how often, how regularly, and how well it was answered."""

    request: Read
    asked: int
    answered: int
    refused: int
    period_s: float


class Meaning(NamedTuple):
    """One reading of one or two registers (or bits): lowest and highest value seen, and what speaks for it."""

    function: int
    address: int
    size: int  # registers, or 1 bit
    type: str
    order: str
    low: float
    high: float
    newest: float
    score: int
    evidence: tuple[str, ...]


class Match(NamedTuple):
    """A profile that could be a unit's: signals whose registers are asked, of all; and what speaks for or against."""

    profile: str
    asked: int
    signals: int
    good: int  # of those asked: every value within its range, or a sentinel
    score: float  # 0 to 1
    evidence: tuple[str, ...]


class _Samples:
    """The answers to one question, thinned out so that the whole time is covered."""

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self._every = 1
        self._seen = 0

    def add(self, data: bytes) -> None:
        self._seen += 1
        if self._seen % self._every:
            return
        self.rows.append(data)
        if len(self.rows) > SAMPLES_MAX:
            self.rows = self.rows[1::2]
            self._every *= 2


class Survey:
    """Listens and remembers; nothing it says is more certain than the pairs of the tap."""

    def __init__(self, char_s: float, gap_s: float) -> None:
        self._tap = Tap(char_s, gap_s)
        self._samples: dict[Read, _Samples] = {}

    @property
    def counts(self) -> Counts:
        """Return what the line was heard to say."""
        return self._tap.counts

    def feed(self, data: bytes, time_s: float) -> None:
        """Take bytes, the last of which came at `time_s`."""
        self._take(self._tap.feed(data, time_s))

    def settle(self, now_s: float) -> None:
        """Take that nothing came until `now_s`."""
        self._take(self._tap.settle(now_s))

    def lost(self) -> None:
        """Bytes are missing from here."""
        self._tap.lost()

    def units(self) -> list[int]:
        """Return the units the master asks."""
        return sorted({request.unit for request in self._tap.polls})

    def asked(self) -> list[Asked]:
        """Return every question of the master, by unit and address."""
        polls = sorted(self._tap.polls.items())
        return [Asked(r, poll.asked, poll.answered, poll.refused, poll.period_s) for r, poll in polls]

    def samples(self, request: Read) -> Words:
        """Return the answers to a question [T, bytes], oldest first."""
        rows = self._samples[request].rows if request in self._samples else []
        return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1) if rows else np.zeros((0, 0), np.uint8)

    def readings(self, unit: int) -> list[Meaning]:
        """Return the likeliest meaning of every register and bit of a unit that was read, without overlaps."""
        found: list[Meaning] = []
        taken: set[tuple[int, int]] = set()
        ours = [request for request in self._samples if request.unit == unit]
        for request in sorted(ours, key=lambda r: (r.function, -len(self._samples[r].rows), r.address)):
            for meaning in meanings(request, self.samples(request)):
                places = {(meaning.function, meaning.address + n) for n in range(meaning.size)}
                if not places & taken:
                    taken |= places
                    found.append(meaning)
        return sorted(found, key=lambda m: (m.function, m.address))

    def _take(self, pairs: Sequence[Heard]) -> None:
        for heard in pairs:
            if not heard.code and heard.request in self._tap.polls:  # bounded, however many questions a line holds
                self._samples.setdefault(heard.request, _Samples()).add(heard.data)


def meanings(request: Read, samples: Words) -> list[Meaning]:
    """Return what the registers of one question may hold, each register once."""
    if not len(samples):
        return []
    function = int(request.function)
    if function in BITS:
        bits = np.unpackbits(samples, axis=1, bitorder="little")[:, : request.length]
        return [_bit(function, request.address + place, bits[:, place]) for place in range(request.length)]
    found: list[Meaning] = []
    place = 0
    while place < request.length:
        singles = candidates(function, request.address + place, samples[:, 2 * place : 2 * place + 2])
        best = singles[0]
        if place + 1 < request.length:
            pair = candidates(function, request.address + place, samples[:, 2 * place : 2 * place + 4])[0]
            if request.length == 2:
                pair = pair._replace(score=pair.score + 1, evidence=(*pair.evidence, "the two are asked alone"))
            second = candidates(function, request.address + place + 1, samples[:, 2 * place + 2 : 2 * place + 4])[0]
            if pair.score > max(best.score, 0) + max(second.score, 0):
                best = pair
        found.append(best)
        place += best.size
    return found


def candidates(function: int, address: int, raw: Words) -> list[Meaning]:
    """Return every reading of one register [T, 2] or of two [T, 4], the likeliest first."""
    if raw.shape[1] == 2:
        made = [_whole(function, address, raw, kind, "ABCD") for kind in ("u16", "i16")]
    else:
        floats = [_float(function, address, raw, order) for order in ORDERS]
        usual = [meaning for meaning in floats if meaning.score > 0]
        if len(usual) == 1:
            only = usual[0]
            told = (*only.evidence, "no other order gives an everyday number")
            floats[floats.index(only)] = only._replace(score=only.score + 1, evidence=told)
        made = floats + [_long(function, address, raw, order) for order in ("ABCD", "CDAB")]
    return sorted(made, key=lambda meaning: -meaning.score)


def _bit(function: int, address: int, values: NDArray[np.uint8]) -> Meaning:
    numbers = values.astype(np.float64)
    changes = int((np.diff(numbers) != 0).sum())
    told: tuple[str, ...] = (f"changed {changes} times" if changes else "did not change",)
    return _meaning(function, address, 1, "bool", "ABCD", numbers, 1 + (changes > 0), told)


def _whole(function: int, address: int, raw: Words, kind: str, order: str) -> Meaning:
    numbers = _numbers(raw, kind, order)
    unsigned = _numbers(raw, "u16", order)
    distinct = np.unique(unsigned)
    if len(distinct) == 1 and int(distinct[0]) in UNUSED:
        unused = ("always holds what unused registers hold",)
        return _meaning(function, address, 1, kind, order, numbers, 3 if kind == "u16" else 0, unused)
    if not unsigned.any():
        return _meaning(function, address, 1, kind, order, numbers, 2 if kind == "u16" else 0, ("always 0",))
    score, told = _movement(numbers)
    high = unsigned > 32_767
    if kind == "i16":
        signed = bool(high.any()) and float(np.abs(numbers).max()) < WHOLE_USUAL
        return _meaning(
            function, address, 1, kind, order, numbers, score + (2 if signed else -1),
            (*told, "small in two's complement") if signed else told,
        )  # fmt: skip
    usual = not high.any() and float(unsigned.max()) < WHOLE_USUAL
    return _meaning(
        function, address, 1, kind, order, numbers, score + int(usual), (*told, "of everyday size") if usual else told
    )


def _float(function: int, address: int, raw: Words, order: str) -> Meaning:
    numbers = _numbers(raw, "f32", order)
    sizes = np.abs(numbers)
    with np.errstate(invalid="ignore"):
        everyday = np.isfinite(numbers) & ((sizes == 0) | ((sizes >= EVERYDAY[0]) & (sizes <= EVERYDAY[1])))
    if not everyday.all() or not numbers.any():
        share = float(everyday.mean())
        return _meaning(function, address, 2, "f32", order, numbers, -3, (f"everyday in {share:.0%} of the answers",))
    score, told = _movement(numbers)
    return _meaning(function, address, 2, "f32", order, numbers, 4 + score, ("always an everyday number", *told))


def _long(function: int, address: int, raw: Words, order: str) -> Meaning:
    numbers = _numbers(raw, "u32", order)
    steps = np.diff(numbers)
    high_used = bool((numbers > 0xFFFF).all())
    if len(numbers) >= 2 and high_used and (steps >= 0).all() and 0 < steps.max() < 1e5 and numbers.max() < 1 << 31:
        return _meaning(function, address, 2, "u32", order, numbers, 6, ("only ever counted up, past 65535",))
    return _meaning(function, address, 2, "u32", order, numbers, -3, ("does not count up",))


def _movement(numbers: NDArray[np.float64]) -> tuple[int, tuple[str, ...]]:
    """Judge a series by its steps: what is measured moves little from one look to the next, a wrong reading jumps."""
    distinct = len(np.unique(numbers))
    if distinct == 1:
        return 0, ("did not change",)
    if len(numbers) < SAMPLES_TO_JUDGE:
        return 0, (f"{distinct} different values in {len(numbers)} answers",)
    step = float(np.abs(np.diff(numbers)).mean())
    ordered = np.sort(numbers)
    ranks = 2 * np.arange(len(ordered)) - len(ordered) + 1  # mean distance of any two, from the sorted series
    spread = 2 * float((ranks * ordered).sum()) / len(ordered) / (len(ordered) - 1)
    ratio = step / spread if spread > 0 and math.isfinite(spread) else math.inf
    told = f"steps {ratio:.2f} of those of noise, {distinct} different values in {len(numbers)} answers"
    if ratio < SMOOTH:
        return 2, (f"smooth: {told}",)
    return (-2, (f"jumps: {told}",)) if ratio > JUMPY else (0, (told,))


def _numbers(raw: Words, kind: str, order: str) -> NDArray[np.float64]:
    size = int(kind[1:]) // 8
    places = list(reversed(BIG_ENDIAN_BYTES[order](size)))
    with np.errstate(invalid="ignore"):
        return np.ascontiguousarray(raw[:, places]).view(f"<{kind[0]}{size}")[:, 0].astype(np.float64)


def _meaning(
    function: int,
    address: int,
    size: int,
    kind: str,
    order: str,
    numbers: NDArray[np.float64],
    score: int,
    told: tuple[str, ...],
) -> Meaning:
    finite = numbers[np.isfinite(numbers)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (math.nan, math.nan)
    return Meaning(function, address, size, kind, order, low, high, float(numbers[-1]), score, told)


def match_profile(survey: Survey, unit: int, profile: Profile) -> Match | None:
    """Compare what a unit answers with a profile; None if the master asks for none of its registers."""
    asked = good = 0
    told: list[str] = []
    moving: list[str] = []
    requests = [item.request for item in survey.asked() if item.request.unit == unit and item.answered]
    for signal in profile.signals:
        request = next((r for r in requests if brings(r, signal)), None)
        if request is None:
            continue
        asked += 1
        fault, moves = _judge(signal, request, survey.samples(request))
        good += not fault
        if fault:
            told.append(f"{signal.id}: {fault}")
        elif moves:
            moving.append(signal.id)
    if not asked:
        return None
    exact = sum(
        any(s.function == r.function and s.address == r.address for s in profile.signals)
        and any(s.function == r.function and s.address + s.count == r.address + r.length for s in profile.signals)
        for r in requests
    )
    if exact:
        told.insert(0, f"{exact} of {len(requests)} questions begin and end where its registers do")
    if moving:
        told.insert(0, f"within range and moving: {', '.join(moving[:8])}")
    read = sum(r.length for r in requests)
    explained = sum(s.count for s in profile.signals if any(brings(r, s) for r in requests))
    told.insert(0, f"explains {min(explained, read)} of the {read} registers read")
    covered, used = min(1.0, explained / read), asked / len(profile.signals)
    right = max(0.0, (good - 2 * (asked - good)) / asked)
    score = 2 * covered * used / (covered + used) * right * (1.0 if exact else 0.8)
    return Match(profile.id, asked, len(profile.signals), good, score, tuple(told))


def _judge(signal: Signal, request: Read, samples: Words) -> tuple[str, bool]:
    """Return what is wrong with a signal's values ("" nothing), and whether they move."""
    place = signal.address - request.address
    if request.function in BITS:
        bits = np.unpackbits(samples, axis=1, bitorder="little")
        return "", len(np.unique(bits[:, place])) > 1
    raw = np.ascontiguousarray(samples[:, 2 * place : 2 * (place + signal.count)])
    plain = signal if not signal.exponent and not signal.factor else None
    if plain is None:
        return "", False
    value, quality = Decoder([Field(plain, 0, raw=True)]).decode(raw)
    if (quality[0] == Quality.SENTINEL).all():
        return "", False
    out = (quality[0] >= Quality.BAD) & (quality[0] != Quality.SENTINEL)
    out |= (quality[0] == Quality.OVER_RANGE) | (quality[0] == Quality.UNDER_RANGE)
    if out.any():
        return f"{out.mean():.0%} of the values outside {signal.range}", False
    numbers = value[0][np.isfinite(value[0])]
    if signal.type[0] == "f" and len(numbers) and (np.abs(numbers[numbers != 0]) < EVERYDAY[0]).any():
        return "no everyday numbers", False
    return "", len(np.unique(numbers)) > 1
