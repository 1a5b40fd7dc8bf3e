"""Level and slope: how likely a limit is crossed within a horizon; an estimate with its uncertainty, no instruction."""

import math
from typing import NamedTuple


class Forecast(NamedTuple):
    """The expected value at the horizon with its standard deviation, and the probability of being over the limit."""

    expected: float
    deviation: float
    probability: float


def forecast(level: float, slow: float, lag_s: float, usual: float, limit: float, horizon_s: float) -> Forecast:
    """Look ahead from an exponential mean and a slower one that lags `lag_s` behind it on a ramp.

    `usual` is the largest difference of the two in ordinary work: a third of it is taken as the slope's deviation.
    """
    slope, uncertain = (level - slow) / lag_s, usual / 3.0 / lag_s
    expected = level + slope * horizon_s
    deviation = max(uncertain * horizon_s, 1e-9 * abs(limit), 1e-12)
    return Forecast(expected, deviation, 0.5 * math.erfc((limit - expected) / deviation / math.sqrt(2.0)))
