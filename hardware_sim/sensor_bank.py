"""Many instruments at once, second by second: the equations of `sensors.SensorState` over columns, a test says so."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hardware_sim.catalogue import Sensor
from hardware_sim.sensors import (
    COVER_NOISE,
    COVER_SLOWER,
    DROPOUT_SHARE,
    HISTORY,
    MIXING_S,
    SPIKE_SHARE,
    T90,
    FaultKind,
)

Columns = NDArray[np.float64]


class Head(NamedTuple):
    """One instrument: how its sensor errs, what its registers resolve (0: all), and the ends of its scale."""

    sensor: Sensor
    step: float
    low: float = -np.inf
    high: float = np.inf


class SensorBank:
    """C instruments; each `read` is one second. The same seed draws the same chances whatever is done to them."""

    def __init__(self, heads: Sequence[Head], seed: str) -> None:
        self._random = np.random.default_rng(np.frombuffer(hashlib.sha256(seed.encode()).digest(), np.uint32))
        sensors = [head.sensor for head in heads]
        self._count = len(sensors)
        t90_s = np.array([s.t90_s for s in sensors])
        self._follow = np.where(t90_s > 0, -np.expm1(-T90 / np.maximum(t90_s, 1e-9)), 1.0)
        self._follow_slowly = np.where(t90_s > 0, -np.expm1(-T90 / np.maximum(t90_s * COVER_SLOWER, 1e-9)), 1.0)
        self._gain = np.array([s.gain for s in sensors])
        keep = float(np.exp(-1.0 / MIXING_S))
        self._keep, self._stir = keep, np.array([s.mixing for s in sensors]) * np.sqrt(1.0 - keep * keep)
        self._noise = np.array([s.noise for s in sensors])
        self._own_drift = np.array([s.drift_per_h for s in sensors]) / 3600.0
        self._step = np.array([head.sensor.step or head.step for head in heads])
        self._deadband = np.array([s.deadband for s in sensors])
        self._low, self._high = np.array([h.low for h in heads]), np.array([h.high for h in heads])
        self._spot = np.array([s.mixing for s in sensors]) * self._random.standard_normal(self._count)
        self._drift = np.zeros(self._count)
        self._value = np.full(self._count, np.nan)
        self._shown = np.full(self._count, np.nan)
        self._faults: dict[int, tuple[FaultKind, float]] = {}
        self._swapped: dict[int, int] = {}
        self._tapes: dict[int, tuple[Columns, int]] = {}
        self._arrange()

    def fail(self, channel: int, kind: FaultKind, amount: float, past: Columns) -> None:
        """Begin a fault, as `SensorState.fail`; `past` is what the channel has shown so far, for a replay."""
        self._faults[channel] = kind, amount
        if kind == "replay":
            tape = past[-min(max(1, int(amount)), HISTORY) :].copy()
            self._tapes[channel] = tape, 0
        self._arrange()

    def repair(self, channel: int) -> None:
        """End any fault and any swap of a channel; a drift is zeroed as by a calibration."""
        self._faults.pop(channel, None)
        self._tapes.pop(channel, None)
        self._drift[channel] = 0.0
        other = self._swapped.pop(channel, None)
        if other is not None:
            self._swapped.pop(other, None)
        self._arrange()

    def swap(self, channel: int, other: int) -> None:
        """Exchange the wires of two channels."""
        self._swapped |= {channel: other, other: channel}

    def read(self, truth: Columns) -> Columns:
        """Return what C instruments show one second later; NaN where one shows nothing."""
        chance = self._random.standard_normal((2, self._count))
        fate = self._random.random((3, self._count))
        self._spot = self._spot * self._keep + self._stir * chance[0]
        there = np.where(self._cupped, self._cup, truth * self._gain * (1.0 + self._spot) * self._let_in)
        self._value = np.where(np.isnan(self._value), there, self._value + (there - self._value) * self._speed)
        self._drift += self._drifting
        value = (self._value + self._drift + self._loud * chance[1]) * self._scale + self._offset
        if self._faults:
            self._spoil(value, fate)
        if self._swapped:
            ours, theirs = list(self._swapped), list(self._swapped.values())
            value[ours] = value[theirs]
        value = np.minimum(np.maximum(value, self._low), self._high)
        shown: Columns = np.where(self._steps > 0, np.round(value / self._fine) * self._fine, value)
        shown = np.where(np.abs(value - self._shown) < self._deadband, self._shown, shown)
        if self._faults:
            self._hold(shown, fate)
        self._shown = shown
        return shown

    def _arrange(self) -> None:
        """Lay the faults out as columns."""
        ones, none = np.ones(self._count), np.zeros(self._count)
        self._let_in, self._scale = ones.copy(), ones.copy()
        self._offset, self._cup = none.copy(), none.copy()
        self._cupped = np.zeros(self._count, bool)
        self._speed, self._loud = self._follow.copy(), self._noise.copy()
        self._drifting, self._steps = self._own_drift.copy(), self._step.copy()
        for channel, (kind, amount) in self._faults.items():
            if kind == "drift":
                self._drifting[channel] += amount / 3600.0
            elif kind == "coarse":
                self._steps[channel] = amount
            elif kind == "offset":
                self._offset[channel] = amount
            elif kind == "scaled":
                self._scale[channel] = amount
            elif kind == "gas":
                self._cupped[channel], self._cup[channel] = True, amount
            elif kind == "noisy":
                self._loud[channel] *= amount
            elif kind == "covered":
                self._let_in[channel], self._speed[channel] = amount, self._follow_slowly[channel]
                self._loud[channel] *= COVER_NOISE
        self._fine = np.where(self._steps > 0, self._steps, 1.0)

    def _spoil(self, value: Columns, fate: Columns) -> None:
        for channel, (kind, amount) in self._faults.items():
            if kind == "spikes" and fate[0, channel] < SPIKE_SHARE:
                value[channel] += amount * (0.4 + 0.6 * fate[1, channel]) * (1 if fate[2, channel] < 0.5 else -1)

    def _hold(self, shown: Columns, fate: Columns) -> None:
        for channel, (kind, _) in self._faults.items():
            if kind == "dead" or (kind == "dropout" and fate[0, channel] < DROPOUT_SHARE):
                shown[channel] = np.nan
            elif kind == "stuck" and not np.isnan(self._shown[channel]):
                shown[channel] = self._shown[channel]
            elif kind == "replay" and len(self._tapes[channel][0]):
                tape, place = self._tapes[channel]
                shown[channel] = tape[place]
                self._tapes[channel] = tape, (place + 1) % len(tape)
