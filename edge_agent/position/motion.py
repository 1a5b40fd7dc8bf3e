"""How a tag moves on the roadways, compiled: steadily, turning, speeding up, and on through the junctions."""

import math
from typing import Any, NamedTuple

from numpy.typing import NDArray

from edge_agent.detect.compiled import jit
from edge_agent.position.field import Map

Array = NDArray[Any]  # the dtypes are in each docstring

HYPOTHESES, BRANCHES, PIECES, POINTS = 8, 24, 16, 48
STEADY_S, STEADY_M2_S3 = 60.0, 0.05  # how long a pace is kept, and how it wavers
TURN_S, WALK_M_S = 15.0, 1.2  # after this long on average a walker stops, starts or turns
HASTE_SHARE_S, HASTE_M_S2 = 0.03, 1.5  # a vehicle speeding up or braking
WIDE = 4.5  # standard deviations a Gaussian is followed


class State(NamedTuple):
    """Of T tags, each with up to HYPOTHESES Gaussians."""

    size: Array  # int64 [T]
    weight: Array  # float64 [T, H]
    roadway: Array  # int64 [T, H]
    mean: Array  # float64 [T, H, 2] chainage m, speed m/s
    spread: Array  # float64 [T, H, 3] variance of chainage, covariance, variance of speed
    bias: Array  # float64 [T, 2] how much stronger than announced the tag sends, dB, and the variance
    misses: Array  # int64 [T] steps in a row in which nothing fitted


@jit
def xyz_of(site: Map, roadway: int, s: float) -> tuple[float, float, float]:
    """Return x, y, z of a place within the roadway."""
    i, last = site.bend_first[roadway], site.bend_first[roadway + 1] - 2
    while i < last and site.bend_m[i + 1] < s:
        i += 1
    span = site.bend_m[i + 1] - site.bend_m[i]
    share = min(max((s - site.bend_m[i]) / span, 0.0), 1.0) if span > 0 else 0.0
    a, b = site.bend_xyz[i], site.bend_xyz[i + 1]
    return a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2])


@jit
def away(site: Map, anchor: int, roadway: int, s: float) -> tuple[float, float]:
    """Return the straight distance of a place from an anchor, and how much longer the way on foot is."""
    s = min(max(s, 0.0), site.length_m[roadway])
    x, y, z = xyz_of(site, roadway, s)
    a = site.anchor_xyz[anchor]
    straight = math.sqrt((x - a[0]) ** 2 + (y - a[1]) ** 2 + (z - a[2]) ** 2)
    sample = site.sample_first[roadway] + int(s / site.step_m[roadway] + 0.5)
    return straight, float(site.detour_m[anchor, sample])


@jit
def predict(site: Map, state: State, slot: int, dt: float, branch: Array) -> int:
    """Write weight, roadway, s, v, P_ss, P_sv, P_vv of each branch into branch float64 [BRANCHES, 7]; their number."""
    n = 0
    turned, hasty = 1 - math.exp(-dt / TURN_S), min(HASTE_SHARE_S * dt, 0.1)
    keep = math.exp(-dt / STEADY_S)
    way = STEADY_S * (1 - keep)
    roam = 2 * WALK_M_S**2 * TURN_S * max(dt - TURN_S * turned, 0.0)
    for h in range(state.size[slot]):
        w, s, v = state.weight[slot, h], state.mean[slot, h, 0], state.mean[slot, h, 1]
        pss, psv, pvv = state.spread[slot, h]
        r = state.roadway[slot, h]
        steady_ss = pss + 2 * way * psv + way * way * pvv + STEADY_M2_S3 * dt**3 / 3
        steady_sv = keep * (psv + way * pvv) + STEADY_M2_S3 * dt * dt / 2
        steady_vv = keep * keep * pvv + STEADY_M2_S3 * dt
        for kind in range(3 if dt > 0 else 1):
            b = branch[n]
            b[1] = r
            if kind == 0:
                b[0] = w * (1 - turned) * (1 - hasty)
                b[2], b[3], b[4], b[5], b[6] = s + way * v, keep * v, steady_ss, steady_sv, steady_vv
            elif kind == 1:
                b[0] = w * turned * (1 - hasty)
                b[2], b[3] = s + v * min(dt, TURN_S) / 2, 0.0
                b[4] = pss + dt * psv + dt * dt / 4 * pvv + v * v * min(dt, TURN_S) ** 2 / 12 + roam
                b[5], b[6] = WALK_M_S**2 * min(dt, TURN_S) / 2, WALK_M_S**2
            else:
                b[0], b[2], b[3] = w * hasty, s + way * v, keep * v
                more = HASTE_M_S2**2 * min(dt, 10.0)
                b[4], b[5], b[6] = steady_ss + more * dt**3 / 3, steady_sv + more * dt * dt / 2, steady_vv + more * dt
            for end in range(2):  # a dead end holds whoever walks into it
                j = site.ends[r, end]
                if site.exit_first[j + 1] - site.exit_first[j] <= 1:
                    b[2] = max(b[2], 0.0) if end == 0 else min(b[2], site.length_m[r])
            n += 1
    return n


@jit
def put_piece(piece: Array, n: int, roadway: int, low: float, high: float) -> int:
    """Add a stretch of roadway to piece float64 [PIECES, 3], joined with those it overlaps; return their number."""
    if high <= low:
        return n
    p = 0
    while p < n:
        if piece[p, 0] == roadway and piece[p, 1] <= high and piece[p, 2] >= low:
            low, high = min(piece[p, 1], low), max(piece[p, 2], high)
            n -= 1
            piece[p] = piece[n]
        else:
            p += 1
    if n < PIECES:
        piece[n, 0], piece[n, 1], piece[n, 2] = roadway, low, high
        n += 1
    return n


@jit
def spread_out(site: Map, branch: Array, branches: int, piece: Array) -> int:
    """Lay stretches wherever a branch may be, round the junctions too; return their number."""
    n = 0
    for b in range(branches):
        r = int(branch[b, 1])
        length, reach = site.length_m[r], WIDE * math.sqrt(branch[b, 4])
        low, high = branch[b, 2] - reach, branch[b, 2] + reach
        n = put_piece(piece, n, r, max(low, 0.0), min(high, length))
        for end in range(2):
            far, near = (-low, max(-high, 0.0)) if end == 0 else (high - length, max(low - length, 0.0))
            if far <= 0:
                continue
            j = site.ends[r, end]
            for e in range(site.exit_first[j], site.exit_first[j + 1]):
                other = site.exit_roadway[e]
                if other == r:
                    continue
                other_length = site.length_m[other]
                if site.exit_end[e] == 0:
                    n = put_piece(piece, n, other, near, min(far, other_length))
                else:
                    n = put_piece(piece, n, other, max(other_length - far, 0.0), other_length - near)
    return n


@jit
def add_prior(b: Array, offset: float, sign: float, share: float, low: float, step: float, point: Array) -> None:
    """Add a branch, seen along a roadway as offset + sign × s, to point float64 [POINTS, 3]: density, × v, × v²."""
    variance = max(b[4], 1e-9)
    slope = b[5] / variance
    rest = max(b[6] - b[5] * slope, 1e-6)
    height = share * b[0] / math.sqrt(6.283185307 * variance)
    for i in range(POINTS):
        gap = offset + sign * (low + (i + 0.5) * step) - b[2]
        q = gap * gap / variance
        if q < 60.0:
            density = height * math.exp(-0.5 * q)
            v = b[3] + slope * gap
            point[i, 0] += density
            point[i, 1] += density * sign * v
            point[i, 2] += density * (v * v + rest)


@jit
def lay_prior(site: Map, branch: Array, branches: int, roadway: int, low: float, step: float, point: Array) -> None:
    """Sum all branches at the points of one stretch; what passed a junction is shared among the roadways there."""
    point[:, :] = 0.0
    own = site.length_m[roadway]
    for n in range(branches):
        b = branch[n]
        r = int(b[1])
        if r == roadway:
            add_prior(b, 0.0, 1.0, 1.0, low, step, point)
            continue
        for end in range(2):
            j = site.ends[r, end]
            shared = max(site.exit_first[j + 1] - site.exit_first[j] - 1, 1)
            for other in range(2):
                if site.ends[roadway, other] != j:
                    continue
                base = site.length_m[r] if end == 1 else 0.0
                sign = 1.0 if end == 1 else -1.0
                if other == 0:
                    add_prior(b, base, sign, 1.0 / shared, low, step, point)
                else:
                    add_prior(b, base + sign * own, -sign, 1.0 / shared, low, step, point)
