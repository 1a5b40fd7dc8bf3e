"""Vibrating-wire piezometers: the frequency f a wire rings at, and the water head it stands for.

P = G (R0 - R) with R = f²/1000 in digits, the linear equation printed on such instruments' calibration sheets
(GEOKON 4500 instruction manual); G and R0 here are plausible for a 350 kPa instrument, not one instrument's.
"""

import numpy as np
from numpy.typing import NDArray

GAUGE_KPA, ZERO_DIGITS = 0.12, 9200.0
WATER_KPA_M = 9.81


def frequency_hz(head_m: float, barometer_kpa: float = 0.0) -> float:
    """Return what a wire under a head of water rings at; `barometer_kpa` beyond the usual presses too."""
    digits = ZERO_DIGITS - (head_m * WATER_KPA_M + barometer_kpa) / GAUGE_KPA
    return float((max(digits, 100.0) * 1000.0) ** 0.5)


def head_m(frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the head of water in m that a frequency in Hz stands for, not corrected for the barometer."""
    return GAUGE_KPA * (ZERO_DIGITS - frequency**2 / 1000.0) / WATER_KPA_M
