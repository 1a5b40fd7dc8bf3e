"""The decision table: each rule looks at the scene and yields findings; the first ones are the most certain."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import edge_agent.detect.symptoms as sy
from edge_agent.detect.forecast import forecast
from edge_agent.detect.model import Model
from edge_agent.detect.place import Places

Array = NDArray[Any]
INSTRUMENT = ("fault", "tamper")
TWO_MEAN = {"fault": "tamper", "tamper": "fault"}
BLIP_MASK_S = 240.0
BLAST_S = 2400.0
CALIBRATION_S = 900.0
HORIZON_S = 900.0  # how far a hazard's forecast looks
RAIN_S = 6 * 3600.0  # water goes on coming after rain


def which(mask: Any) -> list[int]:
    """Return the channels of a boolean array."""
    found: list[int] = np.flatnonzero(mask).tolist()
    return found


class Finding(NamedTuple):
    """What a rule says of one point."""

    point: int
    kind: str
    score: float
    rule: str
    begin_s: float
    numbers: dict[str, float]
    others: tuple[int, ...] = ()


class Scene:
    """Everything the rules look at, brought up to date once per slot."""

    def __init__(self, model: Model, places: Places) -> None:
        count = len(places.channels)
        self.model, self.places = model, places
        self.table = model.table
        self.marks: list[tuple[float, float, int, str]] = []
        self.now = 0.0
        self.masked_s = np.full(count, -1e18)  # until when the restart after a power blip explains a channel
        self.zero_s = np.full(count, -1e18)  # when zero air was last seen
        self.hazard_s = np.full(count, -1e18)
        self.rain_s = self.fall_s = -1e18
        self.alone = (model.partner >= 0).sum(axis=1) < 2  # nobody can say which of two is wrong
        self.blast_s, self.blast_at = -1e18, -1
        self.baro = places.barometers(self.table[:, sy.MIDDLE])
        self.decisive = self.table[:, sy.NOISE0] > 0.6 * self.table[:, sy.STEP]

    @property
    def busy(self) -> bool:
        """Return whether a mark is open or comes."""
        return any(end + BLAST_S >= self.now for _, end, _, _ in self.marks)

    def look(self, evidence: Any, active: Mapping[tuple[int, str], Any]) -> None:
        """Take the evidence of a slot."""
        self.e, self.now, self.active = evidence, evidence.now, active
        h, p, now = evidence.held, self.places, evidence.now
        self.h = h
        self.value = evidence.state[:, sy.F8]
        silent = h[:, sy.SILENT] > 0
        for members in p.groups:
            off = silent[members]
            if off.sum() >= max(2, 0.8 * len(members)):
                self.masked_s[members] = now + BLIP_MASK_S
        self.masked = self.masked_s > now
        stepped = (h[:, sy.STEP_UP] > 0) | (h[:, sy.STEP_DOWN] > 0)
        stepped &= ~p.works
        self.stepped = stepped
        stuck = (h[:, sy.FLAT] > 0) & self.decisive
        self.ill = stepped | stuck | silent | (h[:, sy.SPIKY] > 0) | (h[:, sy.NOISY] > 60) | (evidence.replayed > 0)
        for key in active:
            if key[1] in INSTRUMENT:
                self.ill[key[0]] = True
        self.zero_s[(h[:, sy.NOTHING] > 45) & ~self.masked] = now
        self.marked = np.zeros(len(silent), bool)
        self.bypassed = np.zeros(len(silent), bool)
        for begin, end, point, kind in self.marks:
            if begin <= now <= end + 120.0 and point >= 0:
                self.marked[point] |= kind == "calibrating"
                self.bypassed[point] |= kind == "bypass"
            if kind == "blasting" and begin <= now <= begin + BLAST_S and begin > self.blast_s:
                self.blast_s, self.blast_at = begin, point
        wet = p.rain & (self.value > self.table[:, sy.HIGH0] + self.table[:, sy.STEP])
        if wet.any():
            self.rain_s = now
        self.raining = now - self.rain_s < RAIN_S
        self.excess = (self.value - self.table[:, sy.HIGH0]) / np.maximum(self.table[:, sy.MARGIN], 1e-12)
        if (self.baro & (h[:, sy.FALLING] > 0)).any():
            self.fall_s = now
        self._sources()
        blown = (p.toxic | p.pressure) & (now - self.blast_s < BLAST_S)
        near = (p.hops[:, self.blast_at] <= 3) | p.downstream[self.blast_at] | p.pressure
        self.blasted = blown & (near if self.blast_at >= 0 else True)

    def _sources(self) -> None:
        """Find which channels speak of danger in a way that cannot be their own fault."""
        h, p = self.h, self.places
        sound = ~self.ill & ~self.masked & ~self.marked
        rising, high, low = h[:, sy.RISING] > 0, h[:, sy.HIGH] > 0, h[:, sy.LOW] > 0
        self.hot = ((p.gas & high) | (p.oxygen & low)) & sound & ~self._cupped()
        warm = p.gas & (rising | (self.e.up > 60)) & sound
        warm |= p.oxygen & (h[:, sy.FALLING] > 0) & sound
        fans = p.fan & ((h[:, sy.OFF] > 0) | low) & ~(h[:, sy.SILENT] > 0)
        winds = p.air & ((h[:, sy.WEAK] > 0) | low) & sound
        heat = p.temperature & (high | rising) & sound
        self.air_fails = fans | winds
        self.danger = self.hot | warm | self.air_fails | heat
        wet = (p.water | p.ground | p.vibration) & high & sound
        self.hazard_s[self.hot | self.air_fails | wet] = self.now

    def _cupped(self) -> Array:
        """Return which heads were in zero air just now: what follows is test gas."""
        return np.asarray(self.now - self.zero_s < CALIBRATION_S)

    def supporters(self, c: int) -> list[int]:
        """Return the other channels near c that speak of danger."""
        p = self.places
        near = p.near[c] | (p.downstream[c] & p.gas) | (p.fan & (p.hops[c] <= 3))
        return which(self.danger & near & ~((p.temperature & ~p.gas[c]) & ~p.temperature[c]))

    def disturbed(self, c: int) -> bool:
        """Return whether channel c still shows what its verdict was for."""
        h = self.h[c]
        bits = (sy.SILENT, sy.DROPOUT, sy.SPIKY, sy.NOISY, sy.QUIET, sy.HIGH, sy.LOW, sy.STEP_UP, sy.STEP_DOWN)
        return bool(h[list(bits)].any() or self.e.up[c] or self.e.down[c] or self.e.replayed[c])

    def find(self, c: int, kind: str, rule: str, held_s: float, score: float, others: Any = ()) -> Finding:
        """Return a finding with the numbers everybody wants."""
        row = self.table[c]
        numbers = {
            "value": float(self.value[c]), "usual": float(row[sy.MIDDLE]), "low": float(row[sy.LOW0]),
            "high": float(row[sy.HIGH0]), "held_s": round(float(held_s), 1), "residual": float(self.e.mean[c]),
        }  # fmt: skip
        limit, state = float(self.places.limit[c]), self.e.state[c]
        if kind == "hazard" and np.isfinite(limit):
            usual = max(float(row[sy.RISE0]), float(row[sy.STEP]))
            ahead = forecast(float(state[sy.F60]), float(state[sy.F1200]), 1200.0, usual, limit, HORIZON_S)
            numbers |= {"limit": limit, "horizon_s": HORIZON_S, "cross_p": round(ahead.probability, 3)}
            numbers |= {"expected": ahead.expected, "expected_sd": ahead.deviation}
        score = float(min(max(score, 0.0), 1.0))
        return Finding(c, kind, score, rule, self.now - float(held_s), numbers, tuple(int(o) for o in others))


Rule = Callable[[Scene], Iterator[Finding]]


def _load() -> tuple[Rule, ...]:
    from edge_agent.detect import rules_hazard, rules_instrument

    return (*rules_hazard.RULES, *rules_instrument.RULES)


class _Rules:
    """The table in its order, loaded when first walked."""

    def __iter__(self) -> Iterator[Rule]:
        return iter(_load())


RULES = _Rules()
