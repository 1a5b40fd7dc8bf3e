"""What an instrument makes of the truth: lag, imperfect mixing, drift, noise, its own resolution, and faults."""

import math
import random
from collections import deque
from typing import Literal

from hardware_sim.catalogue import Sensor

T90 = math.log(10.0)  # a first-order lag reaches 90 % after this many time constants
MIXING_S = 240.0  # how slowly the air at a spot changes against its zone
COVER_SLOWER = 12.0  # gas gets through a bag or a film so much more slowly
COVER_NOISE = 0.25  # and the air behind it is calm
SPIKE_SHARE, DROPOUT_SHARE = 0.01, 0.3
HISTORY = 3600  # readings a replay can draw on
FaultKind = Literal[
    "stuck",  # the last value for ever
    "drift",  # amount a hour
    "coarse",  # amount is the step
    "offset",  # amount more, at once: electrical
    "scaled",  # times amount, at once
    "dead",  # no value
    "covered",  # the share `amount` of the gas gets in, slowly; the air behind is calm
    "gas",  # a cup with gas of `amount` over the head: calibration, with 0 zero air
    "noisy",  # amount times the noise
    "spikes",  # one reading in a hundred jumps, up to `amount`
    "dropout",  # three readings in ten are missing
    "replay",  # the readings of the last `amount` seconds again and again
]
FAULTS: tuple[FaultKind, ...] = (
    *("stuck", "drift", "coarse", "offset", "scaled", "dead"),
    *("covered", "gas", "noisy", "spikes", "dropout", "replay"),
)


class SensorState:
    """One instrument's reading over time; `read` is called with the truth and the world seconds gone by."""

    def __init__(self, spec: Sensor, seed: str) -> None:
        self.spec = spec
        self.random = random.Random(seed)  # noqa: S311
        self.value = math.nan  # after the lag
        self.shown = math.nan
        self._spot = self._drift = 0.0
        self._fault: FaultKind | None = None
        self._amount = 0.0
        self._history: deque[float] = deque(maxlen=HISTORY)
        self._tape: list[float] = []

    def fail(self, kind: FaultKind, amount: float = 0.0) -> None:
        """Begin a fault; what `amount` means is said at FaultKind."""
        self._fault, self._amount = kind, amount
        if kind == "replay":
            self._tape = list(self._history)[-max(1, int(amount)) :][::-1]  # popped from its end

    def repair(self) -> None:
        """End any fault; a drift is zeroed as by a calibration."""
        self._fault, self._amount, self._drift = None, 0.0, 0.0

    def read(self, truth: float, elapsed_s: float) -> float:
        """Return what the instrument shows; NaN when it is dead or the truth is NaN."""
        self.shown = self._see(truth, elapsed_s)
        self._history.append(self.shown)
        return self.shown

    def _see(self, truth: float, elapsed_s: float) -> float:
        spec, fault = self.spec, self._fault
        if math.isnan(truth):
            return math.nan
        self._follow(truth, elapsed_s)
        if fault == "dead":
            return math.nan
        if fault == "stuck" and not math.isnan(self.shown):
            return self.shown
        if fault == "replay" and self._tape:
            self._tape.insert(0, self._tape.pop())
            return self._tape[0]
        if fault == "dropout" and self.random.random() < DROPOUT_SHARE:
            return math.nan
        value = self._electric(elapsed_s)
        if spec.deadband and abs(value - self.shown) < spec.deadband:
            return self.shown
        step = self._amount if fault == "coarse" else spec.step
        return round(value / step) * step if step else value

    def _electric(self, elapsed_s: float) -> float:
        """Return the value behind the lag with drift, noise and what is done to it on its way."""
        spec, fault, amount = self.spec, self._fault, self._amount
        self._drift += (spec.drift_per_h + (amount if fault == "drift" else 0.0)) * elapsed_s / 3600.0
        value = self.value + self._drift
        if spec.noise:
            value += spec.noise * self._loud() * self.random.gauss(0.0, 1.0)
        if fault == "scaled":
            value *= amount
        elif fault == "offset":
            value += amount
        elif fault == "spikes" and self.random.random() < SPIKE_SHARE:
            value += amount * self.random.uniform(0.4, 1.0) * self.random.choice((-1, 1))
        return value

    def _loud(self) -> float:
        if self._fault == "noisy":
            return self._amount
        return COVER_NOISE if self._fault == "covered" else 1.0

    def _follow(self, truth: float, elapsed_s: float) -> None:
        spec = self.spec
        if spec.mixing:
            keep = math.exp(-elapsed_s / MIXING_S)
            self._spot = self._spot * keep + spec.mixing * math.sqrt(1.0 - keep * keep) * self.random.gauss(0.0, 1.0)
        there, t90_s = truth * spec.gain * (1.0 + self._spot), spec.t90_s
        if self._fault == "gas":
            there = self._amount
        elif self._fault == "covered":
            there, t90_s = there * self._amount, t90_s * COVER_SLOWER
        if math.isnan(self.value) or not t90_s:
            self.value = there
        else:
            self.value += (there - self.value) * -math.expm1(-elapsed_s * T90 / t90_s)
