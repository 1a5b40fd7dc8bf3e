"""What one channel says by itself, row by row: means, noise, flat runs, spikes, steps, gaps, envelope, fan and wind.

Time is outside and channels inside, so any split of the rows into calls gives the same states bit by bit. `state` is
float64 [C, N_STATE], `since` float64 [C, N_BITS] holds when a piece of evidence began to hold without a break (0: it
does not hold now), `model` float64 [C, N_MODEL] what was learnt. Times are seconds.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.detect.compiled import jit

Array = NDArray[Any]

# columns of state
SEEN_S, LAST, BEFORE, F8, F60, F300, F1200, NOISE, FLAT_S, SPIKES, MISSED = range(11)
JUMP_S, JUMP_FROM, JUMP_TO, JUMP_SUM, JUMP_N, STEP_S, STEP_FROM, STEP_TO, FIRST_S, ROWS, BUSY_S = range(11, 22)
N_STATE = 22
# columns of since
SILENT, DROPOUT, FLAT, SPIKY, NOISY, QUIET, STEP_UP, STEP_DOWN, HIGH, LOW, FAR, OFF, WEAK, ENDED, NOTHING = range(15)
RISING, FALLING, IDLE = 15, 16, 17
N_BITS = 18
# columns of model
NOISE0, RUN0_S, JUMP0, SPIKES0, MISSED0, LOW0, HIGH0, MARGIN, MIDDLE, STEP, END_LOW, END_HIGH, T90_S, PACE_S = range(14)
FAN, WIND, LEARNT, RISE0, FALL0, QUIET0, LOUD0, SHARE, DRIVER0, IDLE0_S = range(14, 24)
N_MODEL = 24

STEP_WAIT_S, STEP_HELD_S = 14.0, 900.0
SILENT_S, SILENT_STEPS = 60.0, 6.0
SPIKES_LEAST, SPIKE_TAU_S = 2.4, 600.0


@jit
def _gap(row: Array, model: Array, since: Array, now: float, share: float) -> None:
    """Note a missing sample."""
    row[MISSED] += share * (1.0 - row[MISSED])
    if row[SEEN_S] == 0.0:
        return
    gap = now - row[SEEN_S]
    if gap >= max(10.0, 3.0 * model[PACE_S]) and since[SILENT] == 0.0:
        since[SILENT] = row[SEEN_S]


@jit
def _begin(row: Array, v: float, level: float, now: float, noise: float) -> None:
    """Set a channel's memory to its first value, or to the first after a long gap."""
    row[LAST] = row[BEFORE] = v
    row[F8] = row[F60] = row[F300] = row[F1200] = level
    row[FLAT_S] = now
    row[JUMP_S] = 0.0
    row[ROWS] = 0.0
    if row[FIRST_S] == 0.0:
        row[FIRST_S] = now
        row[NOISE] = noise


@jit
def _hold(since: Array, bit: int, holds: bool, now: float) -> None:
    """Keep since when a piece of evidence holds."""
    if not holds:
        since[bit] = 0.0
    elif since[bit] == 0.0:
        since[bit] = now


@jit
def _jump(row: Array, model: Array, since: Array, v: float, shift: float, now: float, dt: float) -> None:
    """Find steps faster than the sensor can follow: nearly all of the change in one sample, and it stays."""
    if row[JUMP_S] > 0.0:
        row[JUMP_SUM] += v - shift
        row[JUMP_N] += 1.0
        if now - row[JUMP_S] >= max(STEP_WAIT_S, 2.5 * dt) and row[JUMP_N] >= 3.0:
            first, whole = row[JUMP_TO] - row[JUMP_FROM], row[JUMP_SUM] / row[JUMP_N] - row[JUMP_FROM]
            if first * whole > 0.0 and 0.72 * abs(whole) <= abs(first) <= 1.5 * abs(whole):
                row[STEP_S], row[STEP_FROM], row[STEP_TO] = row[JUMP_S], row[JUMP_FROM], row[JUMP_SUM] / row[JUMP_N]
                since[STEP_UP if whole > 0.0 else STEP_DOWN] = row[JUMP_S]
                since[STEP_DOWN if whole > 0.0 else STEP_UP] = 0.0
            row[JUMP_S] = 0.0
    else:
        limit = max(9.0 * max(row[NOISE], model[NOISE0]), 4.0 * model[STEP], 1.3 * model[JUMP0])
        leap = abs(v - row[LAST]) > limit  # the power is asked for only then
        follows = leap and model[T90_S] > 0.0 and 10.0 ** (-dt / model[T90_S]) > 0.45
        if leap and not follows:
            limit = max(12.0 * max(row[NOISE], model[NOISE0]), 6.0 * model[STEP], 2.0 * model[JUMP0])
        if leap and abs(v - row[LAST]) > limit and dt < 3.5 * model[PACE_S]:
            row[JUMP_S], row[JUMP_FROM], row[JUMP_TO] = now, row[F8], v - shift
            row[JUMP_SUM], row[JUMP_N] = 0.0, 0.0
    for bit in (STEP_UP, STEP_DOWN):
        if since[bit] > 0.0 and now - since[bit] > STEP_HELD_S:
            since[bit] = 0.0


@jit
def _texture(row: Array, model: Array, since: Array, v: float, now: float, calm: float, fade: float) -> None:
    """Follow noise, spikes and flat runs."""
    floor = max(model[NOISE0], 0.3 * model[STEP])
    bend = abs(v - 2.0 * row[LAST] + row[BEFORE]) / 1.954
    row[NOISE] += calm * (min(bend, 8.0 * floor) - row[NOISE])
    row[SPIKES] *= fade
    out, back = row[LAST] - row[BEFORE], v - row[BEFORE]
    if abs(out) > max(10.0 * floor, 3.0 * model[STEP], 0.8 * model[JUMP0]) and abs(back) < 0.4 * abs(out):
        row[SPIKES] += 1.0
        row[JUMP_S] = 0.0
    if v != row[LAST]:
        row[FLAT_S] = now
    warm = row[ROWS] > 60.0
    _hold(since, NOISY, warm and row[NOISE] > max(2.5 * model[NOISE0], 1.5 * model[LOUD0]) + 0.3 * model[STEP], now)
    _hold(
        since,
        QUIET,
        warm and model[NOISE0] > 0.6 * model[STEP] and row[NOISE] < min(0.5 * model[NOISE0], 0.7 * model[QUIET0]),
        now,
    )
    _hold(since, SPIKY, row[SPIKES] > max(SPIKES_LEAST, 2.0 * model[SPIKES0] + 1.0), now)
    _hold(since, FLAT, now - row[FLAT_S] > max(2.0 * model[RUN0_S] + 30.0, 90.0, 20.0 * model[PACE_S]), now)
    _hold(since, DROPOUT, warm and row[MISSED] > 0.12 + 2.0 * model[MISSED0], now)


@jit
def _level(row: Array, model: Array, since: Array, v: float, now: float) -> None:
    """Compare with the envelope learnt, the ends of the scale, and what a fan and its wind usually are."""
    f8, margin = row[F8], model[MARGIN]
    _hold(since, HIGH, f8 > model[HIGH0] + margin, now)
    _hold(since, LOW, f8 < model[LOW0] - margin, now)
    _hold(since, FAR, f8 > model[HIGH0] + 3.0 * margin or f8 < model[LOW0] - 3.0 * margin, now)
    change = row[F60] - row[F1200]
    _hold(since, RISING, change > 1.5 * model[RISE0] + 0.1 * margin + 2.0 * model[STEP], now)
    _hold(since, FALLING, change < -1.5 * model[FALL0] - 0.1 * margin - 2.0 * model[STEP], now)
    if row[BUSY_S] == 0.0 or v > 0.3 * model[HIGH0]:
        row[BUSY_S] = now
    _hold(since, IDLE, model[IDLE0_S] > 0.0 and now - row[BUSY_S] > 1.5 * model[IDLE0_S] + 300.0, now)
    _hold(since, OFF, model[FAN] > 0.0 and v < 0.35 * model[MIDDLE], now)
    _hold(since, WEAK, model[WIND] > 0.0 and row[F8] < 0.6 * model[LOW0], now)
    _hold(since, ENDED, v == row[BEFORE] and (v >= model[END_HIGH] or v <= model[END_LOW]), now)
    _hold(since, NOTHING, abs(v) <= 1.01 * model[STEP] and model[LOW0] > 5.0 * model[STEP] + 4.0 * model[NOISE0], now)


@jit
def observe(now: float, dt: float, x: Array, driver: Array, state: Array, since: Array, model: Array) -> bool:
    """Take one row of C samples (NaN: none) at `now`, `dt` after the row before; True if any evidence holds.

    driver int64[C]: the barometer or thermometer whose learnt share is taken off a channel's level, -1 none.
    """
    a8, a60 = 1.0 - math.exp(-dt / 8.0), 1.0 - math.exp(-dt / 60.0)
    share = 1.0 - math.exp(-dt / 120.0)
    a300, a1200 = 1.0 - math.exp(-dt / 300.0), 1.0 - math.exp(-dt / 1200.0)
    calm, fade = min(1.0 - math.exp(-dt / 200.0), 0.02), math.exp(-dt / SPIKE_TAU_S)
    evidence = False
    for c in range(x.size):
        v, row, own = x[c], state[c], since[c]
        if not math.isfinite(v):
            _gap(row, model[c], own, now, share)
        else:
            gap, d, shift = now - row[SEEN_S], driver[c], 0.0
            if d >= 0 and state[d, SEEN_S] > 0.0 and since[d, FAR] == 0.0 and now - state[d, SEEN_S] < 300.0:
                level = max(state[d, F60], model[d, LOW0] - model[d, MARGIN])  # no broken barometer moves a dam
                level = min(level, model[d, HIGH0] + model[d, MARGIN])
                shift = model[c, SHARE] * (level - model[c, DRIVER0])
            row[MISSED] -= share * row[MISSED]
            if row[SEEN_S] == 0.0 or gap > max(600.0, 10.0 * model[c, PACE_S]):
                _begin(row, v, v - shift, now, model[c, NOISE0])
            own[SILENT] = 0.0
            row[SEEN_S] = now
            row[ROWS] += 1.0
            if model[c, LEARNT] > 0.0 and gap > 0.0:
                _jump(row, model[c], own, v, shift, now, gap)
                _texture(row, model[c], own, v, now, calm, fade)
            row[BEFORE], row[LAST] = row[LAST], v
            row[F8] += a8 * (v - shift - row[F8])
            row[F60] += max(a60, 1.0 / row[ROWS]) * (v - shift - row[F60])
            young = 1.0 / row[ROWS]  # at first a plain mean: one noisy sample is no level
            row[F300] += max(a300, young) * (row[F60] - row[F300])
            row[F1200] += max(a1200, young) * (row[F60] - row[F1200])
            if model[c, LEARNT] > 0.0:
                _level(row, model[c], own, v, now)
        if not evidence and model[c, LEARNT] > 0.0:
            for bit in range(N_BITS):
                if own[bit] > 0.0 and bit != ENDED and (bit != FLAT or model[c, NOISE0] > 0.6 * model[c, STEP]):
                    evidence = True
                    break
    return evidence


def fresh(count: int) -> tuple[Array, Array]:
    """Return state and since of C channels that have seen nothing."""
    return np.zeros((count, N_STATE)), np.zeros((count, N_BITS))
