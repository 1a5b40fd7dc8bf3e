"""How likely a row is where a tag may be: ranges with long outliers, signal strengths, presence at a reader; compiled.

An ultra-wide-band range is good to 0.1 m in sight and otherwise too long, hardly ever too short; strength falls by
22 dB a decade in a roadway and scatters by 5 dB.
"""

import math

from edge_agent.detect.compiled import jit

RANGE, STRENGTH, PRESENCE = 0, 1, 2  # kinds of row
BESIDE_M, BESIDE_SIGMA_M = 1.2, 0.8  # how far from the straight line between them tag and anchor are, across
LATE_SHARE, LATE_CORNER_SHARE, LATE_MEAN_M = (
    0.15,
    0.75,
    1.8,
)  # ranges that came by a reflection: in sight, round a corner
WILD_SHARE, WILD_SPAN_M = 0.01, 200.0  # ranges that mean nothing
CORNER_M = 3.0  # a way on foot this much longer than the straight line: round a corner
AROUND_M = 15.0  # radio hardly bends: each further 15 m of detour costs half a unit of log likelihood
DETOUR_COST_MAX = 12.0
LOSS_PER_DECADE_DB = 22.0
CORNER_LOSS_DB, CORNER_SIGMA_DB = 10.0, 5.0
WILD_SPAN_DB, UPWARD_DB = 80.0, 3.0  # a body or a machine between takes away any strength, nothing adds much
SURE_DB = -28.0  # weaker than this at 1 m, a reader hears only what happens to come in strong
EDGE_SHARE = 0.15  # of a reader's reach over which hearing fades


@jit
def log_range(value_m: float, sigma_m: float, straight_m: float, detour_m: float) -> float:
    """Return the log likelihood of a range where the anchor is `straight_m` away: right, too long, or meaningless."""
    d = math.sqrt(straight_m * straight_m + BESIDE_M * BESIDE_M)
    across = BESIDE_M * BESIDE_SIGMA_M / d
    variance = sigma_m * sigma_m + across * across
    sigma = math.sqrt(variance)
    error = value_m - d
    late_share = LATE_CORNER_SHARE if detour_m > CORNER_M else LATE_SHARE
    near = math.exp(-0.5 * error * error / variance) / (2.5066282746 * sigma) if abs(error) < 9 * sigma else 0.0
    rate = 1.0 / LATE_MEAN_M
    bend = (rate * variance - error) / (1.41421356237 * sigma)
    late = 0.0
    if bend < 5.0:
        late = 0.5 * rate * math.exp(0.5 * rate * (rate * variance - 2 * error)) * math.erfc(bend)
    likelihood = (1 - late_share - WILD_SHARE) * near + late_share * late + WILD_SHARE / WILD_SPAN_M
    return math.log(likelihood) - min(0.5 * detour_m / AROUND_M, DETOUR_COST_MAX)


@jit
def expected_dbm(straight_m: float, detour_m: float) -> float:
    """Return the strength to expect relative to 1 m: what is lost along the roadway, and round a corner."""
    loss = LOSS_PER_DECADE_DB * math.log10(max(math.sqrt(straight_m * straight_m + BESIDE_M * BESIDE_M), 1.0))
    return -loss - (CORNER_LOSS_DB if detour_m > CORNER_M else 0.0)


@jit
def log_strength(value_db: float, sigma_db: float, straight_m: float, detour_m: float) -> float:
    """Return the log likelihood of a strength relative to that at 1 m."""
    error = value_db - expected_dbm(straight_m, detour_m)
    variance = sigma_db * sigma_db + (CORNER_SIGMA_DB * CORNER_SIGMA_DB if detour_m > CORNER_M else 0.0)
    near = math.exp(-0.5 * error * error / variance) / (2.5066282746 * math.sqrt(variance))
    wild = WILD_SHARE / WILD_SPAN_DB
    if error > 0:
        wild *= math.exp(-error / UPWARD_DB)
    return math.log((1 - WILD_SHARE) * near + wild) - min(0.5 * detour_m / AROUND_M, DETOUR_COST_MAX)


@jit
def log_presence(reach_m: float, straight_m: float, detour_m: float) -> float:
    """Return the log likelihood of having been heard by a reader that hears `reach_m` far."""
    beyond = (straight_m + detour_m - reach_m) / (EDGE_SHARE * reach_m)
    return -beyond if beyond > 30.0 else -math.log1p(math.exp(beyond))


@jit
def log_row(kind: int, value: float, sigma: float, straight_m: float, detour_m: float) -> float:
    """Return the log likelihood of a row of any kind; of presence, `value` is the reader's reach."""
    if kind == RANGE:
        return log_range(value, sigma, straight_m, detour_m)
    if kind == STRENGTH:
        return log_strength(value, sigma, straight_m, detour_m)
    return log_presence(value, straight_m, detour_m)
