"""Every compiled loop of the detectors: arrays and scalars only, channels outside, time inside, state in place.

x is float64 [C, T] with NaN for a missing sample, time_us int64 [T]. A missing sample changes no state: it
neither raises nor clears anything. Each kernel has a slow twin in tests/naive.py.
"""

import math
from typing import Any

from numpy.typing import NDArray

from edge_agent.detect.compiled import jit

Array = NDArray[Any]  # the dtypes are in each docstring

TAU_FAST_US, TAU_SLOW_US = 8e6, 60e6
TAU_SCALE_US = 1800e6
CLIP = 4.0


@jit
def limits(
    x: Array,
    time_us: Array,
    column: Array,
    sign: Array,
    limit: Array,
    restore: Array,
    delay_us: Array,
    active: Array,
    since_us: Array,
    rule: Array,
    row: Array,
    change: Array,
) -> int:
    """Walk K limits with delay and hysteresis; write (rule, row, ±1) for every begin and end; return their number.

    column int64[K] into x; sign +1 high, -1 low; active uint8[K] and since_us int64[K] (0 = not beyond) are state.
    The outputs must hold K*(T+1) entries at the most; a begin is dated since_us, the first sample beyond.
    """
    n = 0
    for k in range(column.size):
        c, up = column[k], sign[k]
        for t in range(time_us.size):
            v = x[c, t]
            if math.isnan(v):
                continue
            if active[k]:
                if v * up < restore[k] * up:
                    active[k], since_us[k] = 0, 0
                    rule[n], row[n], change[n] = k, t, -1
                    n += 1
            elif v * up >= limit[k] * up:
                if since_us[k] == 0:
                    since_us[k] = time_us[t]
                if time_us[t] - since_us[k] >= delay_us[k]:
                    active[k] = 1
                    rule[n], row[n], change[n] = k, t, 1
                    n += 1
            else:
                since_us[k] = 0
    return n


@jit
def slope(x: Array, time_us: Array, last_us: Array, fast: Array, slow: Array, per_min: Array) -> None:
    """Write the slope per minute of each channel at each row into per_min [C, T] (NaN where the sample is missing).

    Two exponential means of 8 s and 60 s: on a ramp they lag by slope times tau, so their difference is the slope.
    State last_us int64[C] (0 = none yet), fast, slow float64[C].
    """
    for c in range(x.shape[0]):
        last, f, s = last_us[c], fast[c], slow[c]
        for t in range(time_us.size):
            v = x[c, t]
            per_min[c, t] = math.nan
            if math.isnan(v):
                continue
            if last == 0:
                f, s = v, v
            else:
                dt = max(time_us[t] - last, 0)
                f += (1.0 - math.exp(-dt / TAU_FAST_US)) * (v - f)
                s += (1.0 - math.exp(-dt / TAU_SLOW_US)) * (v - s)
            last = time_us[t]
            per_min[c, t] = (f - s) * 60e6 / (TAU_SLOW_US - TAU_FAST_US)
        last_us[c], fast[c], slow[c] = last, f, s


@jit
def robust_z(x: Array, time_us: Array, floor: Array, last_us: Array, mean: Array, spread: Array, z: Array) -> None:
    """Write each sample's distance from its slow clipped mean, in slow clipped standard deviations, into z [C, T].

    floor float64[C] is the least spread (the resolution); last_us, mean, spread are state; spread 0 = none yet.
    Clipping at 4 keeps one outlier from widening the scale (a Hampel filter at a ninetieth of its cost).
    """
    for c in range(x.shape[0]):
        last, m, s = last_us[c], mean[c], spread[c]
        for t in range(time_us.size):
            v = x[c, t]
            z[c, t] = math.nan
            if math.isnan(v):
                continue
            if last == 0:
                m, s = v, floor[c]
            z[c, t] = (v - m) / max(s, floor[c])
            clipped = min(max(z[c, t], -CLIP), CLIP)
            a = 1.0 - math.exp(-max(time_us[t] - last, 0) / TAU_SCALE_US) if last else 0.0
            width = max(s, floor[c])
            m += a * clipped * width
            s = math.sqrt(s * s + a * ((clipped * width) ** 2 - s * s))
            last = time_us[t]
        last_us[c], mean[c], spread[c] = last, m, s


@jit
def flat(x: Array, time_us: Array, value: Array, since_us: Array, longest_us: Array, run_us: Array) -> None:
    """Write how long each channel has held its present value, in µs, into run_us int64[C].

    State value float64[C] (NaN = none yet), since_us int64[C]; longest_us keeps the longest run that has ended.
    """
    for c in range(x.shape[0]):
        held, since, longest = value[c], since_us[c], longest_us[c]
        run_us[c] = 0
        for t in range(time_us.size):
            v = x[c, t]
            if math.isnan(v):
                continue
            if v != held:
                if not math.isnan(held):
                    longest = max(longest, time_us[t] - since)
                held, since = v, time_us[t]
            run_us[c] = time_us[t] - since
        value[c], since_us[c], longest_us[c] = held, since, longest
