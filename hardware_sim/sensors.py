"""What an instrument makes of the truth: lag, imperfect mixing, drift, noise, its own resolution, and faults."""

import math
import random
from typing import Literal

from hardware_sim.catalogue import Sensor

T90 = math.log(10.0)  # a first-order lag reaches 90 % after this many time constants
MIXING_S = 240.0  # how slowly the air at a spot changes against its zone
FaultKind = Literal["stuck", "drift", "coarse", "offset", "dead"]
FAULTS: tuple[FaultKind, ...] = ("stuck", "drift", "coarse", "offset", "dead")


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

    def fail(self, kind: FaultKind, amount: float = 0.0) -> None:
        """Begin a fault: `amount` is unit/h for drift, a step for coarse, a difference for offset."""
        self._fault, self._amount = kind, amount

    def repair(self) -> None:
        """End any fault; a drift is zeroed as by a calibration."""
        self._fault, self._amount, self._drift = None, 0.0, 0.0

    def read(self, truth: float, elapsed_s: float) -> float:
        """Return what the instrument shows; NaN when it is dead or the truth is NaN."""
        spec, fault = self.spec, self._fault
        if fault == "dead" or math.isnan(truth):
            self.shown = math.nan
            return self.shown
        self._follow(truth, elapsed_s)
        if fault == "stuck" and not math.isnan(self.shown):
            return self.shown
        per_h = spec.drift_per_h + (self._amount if fault == "drift" else 0.0)
        self._drift += per_h * elapsed_s / 3600.0
        value = self.value + self._drift
        if spec.noise:
            value += spec.noise * self.random.gauss(0.0, 1.0)
        if fault == "offset":
            value += self._amount
        step = self._amount if fault == "coarse" else spec.step
        self.shown = round(value / step) * step if step else value
        return self.shown

    def _follow(self, truth: float, elapsed_s: float) -> None:
        spec = self.spec
        if spec.mixing:
            keep = math.exp(-elapsed_s / MIXING_S)
            self._spot = self._spot * keep + spec.mixing * math.sqrt(1.0 - keep * keep) * self.random.gauss(0.0, 1.0)
        there = truth * spec.gain * (1.0 + self._spot)
        if math.isnan(self.value) or not spec.t90_s:
            self.value = there
        else:
            self.value += (there - self.value) * -math.expm1(-elapsed_s * T90 / spec.t90_s)
