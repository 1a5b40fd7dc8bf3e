"""The filter of one tag on the roadways, compiled: a sum of Gaussians over (roadway, chainage, speed).

A step: each Gaussian walks on steadily, turns or stops, or speeds up; what passes a junction is shared among the
roadways there; the sum is taken at points laid over the roadways it reaches, weighed by the likelihood of the rows, and
gathered again into one Gaussian per roadway and peak. Points are laid finer until they resolve the sharpest row. No row
is linear and none is Gaussian here (two sides of an anchor, ranges that are too long): spread and weight come from the
points.
"""

import math
from typing import Any, NamedTuple

from numpy.typing import NDArray

from edge_agent.detect.compiled import jit
from edge_agent.position.field import Map
from edge_agent.position.likelihood import CORNER_M, LOSS_PER_DECADE_DB, RANGE, STRENGTH, SURE_DB, expected_dbm, log_row
from edge_agent.position.motion import (
    BRANCHES,
    HYPOTHESES,
    PIECES,
    POINTS,
    State,
    away,
    lay_prior,
    predict,
    spread_out,
    xyz_of,
)

Array = NDArray[Any]  # the dtypes are in each docstring

LEVELS = 5
FINE = 0.5  # points lie closer than this share of the sharpest sigma
FAINT, FAINT_MAX = 1e-5, 1e-3  # of the highest point: not laid finer; ten times more at each level
GAP_POINTS = 3  # so many faint points part a stretch
VALLEY = 0.05  # two peaks with less than this between them are two hypotheses
STILL_M = 0.03
ELSEWHERE = 5.0  # log likelihood by which another place has to be better


class Jobs(NamedTuple):
    """J steps of tags in order; the rows of step j are first[j] to first[j + 1]."""

    slot: Array  # int64 [J]
    step_s: Array  # float64 [J] since the tag's last step
    first: Array  # int64 [J + 1]


class Rows(NamedTuple):
    """What was heard of the tags, N rows."""

    kind: Array  # int64 [N]
    anchor: Array  # int64 [N]
    value: Array  # float64 [N]
    sigma: Array  # float64 [N]
    lag_s: Array  # float64 [N] how much older than its step a row is


@jit
def weigh(
    site: Map, rows: Rows, first: int, last: int, bias: Array, roadway: int, low: float, step: float, point: Array,
    log: Array,
) -> float:  # fmt: skip
    """Write the log of density times likelihood at each point into log float64 [POINTS]; return the greatest."""
    best = -1e300
    for i in range(POINTS):
        log[i] = -1e300
        if point[i, 0] < 1e-250:
            continue
        s, total = low + (i + 0.5) * step, math.log(point[i, 0])
        v = point[i, 1] / point[i, 0]
        scatter = max(point[i, 2] / point[i, 0] - v * v, 0.0)
        for k in range(first, last):
            straight, detour = away(site, rows.anchor[k], roadway, s - v * rows.lag_s[k])
            value, variance = rows.value[k], rows.sigma[k] ** 2
            if rows.kind[k] == STRENGTH:
                value, variance = value - bias[0], variance + bias[1]
            elif rows.kind[k] == RANGE:
                variance += scatter * rows.lag_s[k] ** 2
            total += log_row(rows.kind[k], value, math.sqrt(variance), straight, detour)
        log[i] = total
        best = max(best, total)
    return best


@jit
def gather(piece: Array, pieces: int, point: Array, mass: Array, found: Array) -> int:
    """Gather the points' masses float64 [PIECES, POINTS] into Gaussians, one a peak; rows of found like a branch's."""
    n = 0
    for p in range(pieces):
        step = (piece[p, 2] - piece[p, 1]) / POINTS
        begin, top, floor, lowest = 0, 0.0, 0.0, 0
        for i in range(POINTS + 1):
            height = mass[p, i] if i < POINTS else 0.0
            if height > top and floor >= VALLEY * top:
                top, floor, lowest = height, height, i
            elif height < floor:
                floor, lowest = height, i
            rises = height * VALLEY > floor and floor < VALLEY * top
            if (rises or i == POINTS) and n < BRANCHES:
                stop = POINTS if i == POINTS else lowest
                n = put_peak(piece[p], step, begin, stop, point[p], mass[p], found, n)
                begin, top, floor, lowest = stop, height, height, i
    return n


@jit
def put_peak(
    piece: Array, step: float, begin: int, stop: int, point: Array, mass: Array, found: Array, n: int
) -> int:  # fmt: skip
    """Write the Gaussian of the points from begin to stop as found[n], unless they hold nothing; return the number."""
    w = s1 = s2 = v1 = v2 = sv = 0.0
    for i in range(begin, stop):
        m = mass[i]
        if m > 0:
            s, v = piece[1] + (i + 0.5) * step, point[i, 1] / point[i, 0]
            w, s1, s2 = w + m, s1 + m * s, s2 + m * s * s
            v1, sv, v2 = v1 + m * v, sv + m * s * v, v2 + m * point[i, 2] / point[i, 0]
    if w <= 0:
        return n
    s, v = s1 / w, v1 / w
    b = found[n]
    b[0], b[1], b[2], b[3] = w, piece[0], s, v
    b[4] = max(s2 / w - s * s, 0.0) + step * step / 12 + STILL_M**2
    b[6] = max(v2 / w - v * v, 1e-4)
    limit = 0.99 * math.sqrt(b[4] * b[6])
    b[5] = min(max(sv / w - s * v, -limit), limit)
    return n + 1


@jit
def keep_best(state: State, slot: int, found: Array, n: int) -> None:
    """Take the heaviest of n Gaussians as the tag's hypotheses, heaviest first."""
    total = 0.0
    for k in range(n):
        total += found[k, 0]
    count, kept = 0, 0.0
    while count < min(n, HYPOTHESES):
        best = 0
        for k in range(n):
            if found[k, 0] > found[best, 0]:
                best = k
        b = found[best]
        if count and b[0] < 1e-4 * total:
            break
        state.weight[slot, count], state.roadway[slot, count] = b[0], int(b[1])
        state.mean[slot, count, 0], state.mean[slot, count, 1] = b[2], b[3]
        state.spread[slot, count, 0], state.spread[slot, count, 1], state.spread[slot, count, 2] = b[4], b[5], b[6]
        kept += b[0]
        b[0] = 0.0
        count += 1
    state.size[slot] = count
    for h in range(count):
        state.weight[slot, h] /= kept


@jit
def finer(piece: Array, pieces: int, mass: Array, faint: float, fresh: Array) -> int:
    """Write the stretches where the mass is not faint into piece, parted by gaps; return their number."""
    n = 0
    for p in range(pieces):
        step, start, begin, last = (piece[p, 2] - piece[p, 1]) / POINTS, piece[p, 1], -1, -1
        for i in range(POINTS + 1):
            if i < POINTS and mass[p, i] > faint:
                begin, last = i if begin < 0 else begin, i
            elif begin >= 0 and (i == POINTS or i - last > GAP_POINTS) and n < PIECES:
                fresh[n, 0] = piece[p, 0]
                fresh[n, 1], fresh[n, 2] = start + max(begin - 1, 0) * step, start + min(last + 2, POINTS) * step
                n, begin = n + 1, -1
    piece[:n] = fresh[:n]
    return n


@jit
def lay_points(
    site: Map, state: State, rows: Rows, first: int, last: int, slot: int, branch: Array, branches: int, piece: Array,
    fresh: Array, point: Array, mass: Array,
) -> int:  # fmt: skip
    """Lay points over all stretches, finer until they resolve the sharpest row; return the stretches left."""
    pieces = spread_out(site, branch, branches, piece)
    fine = 1e9
    for k in range(first, last):
        fine = min(fine, FINE * rows.sigma[k])
    for level in range(LEVELS):
        best, coarse = -1e300, False
        for p in range(pieces):
            step = (piece[p, 2] - piece[p, 1]) / POINTS
            start, roadway = piece[p, 1], int(piece[p, 0])
            lay_prior(site, branch, branches, roadway, start, step, point[p])
            best = max(best, weigh(site, rows, first, last, state.bias[slot], roadway, start, step, point[p], mass[p]))
            coarse |= step > fine
        for p in range(pieces):
            for i in range(POINTS):
                mass[p, i] = math.exp(mass[p, i] - best) if mass[p, i] > best - 28.0 else 0.0
        if not coarse or level == LEVELS - 1:
            break
        pieces = finer(piece, pieces, mass, min(FAINT * 10.0**level, FAINT_MAX), fresh)
    for p in range(pieces):
        mass[p] *= (piece[p, 2] - piece[p, 1]) / POINTS
    return pieces


@jit
def judge(site: Map, state: State, rows: Rows, first: int, last: int, slot: int) -> None:
    """Count a step in which the rows say that the tag is elsewhere; learn how strongly the tag sends.

    Of ranges most have to fit. Strengths are blunt: they are compared with the tag being right at the strongest reader.
    """
    fits, here, there, top = 0, 0.0, 0.0, first
    for k in range(first, last):
        if rows.value[k] > rows.value[top]:
            top = k
    for k in range(first, last):
        r, s = state.roadway[slot, 0], state.mean[slot, 0, 0] - state.mean[slot, 0, 1] * rows.lag_s[k]
        straight, detour = away(site, rows.anchor[k], r, s)
        variance = state.spread[slot, 0, 0]
        slack = 4 * math.sqrt(rows.sigma[k] ** 2 + variance)
        if rows.kind[k] == RANGE:
            fits += -slack - 1.0 < rows.value[k] - straight < slack + 10.0
        elif rows.kind[k] == STRENGTH:
            value, sigma = rows.value[k] - state.bias[slot, 0], math.sqrt(rows.sigma[k] ** 2 + state.bias[slot, 1])
            here += log_row(STRENGTH, value, sigma, straight, detour)
            a = rows.anchor[top]
            far, bend = away(site, rows.anchor[k], site.anchor_roadway[a], site.anchor_m[a])
            there += log_row(STRENGTH, value, sigma, far, bend)
            expected = expected_dbm(straight, detour)
            if detour <= CORNER_M and expected > SURE_DB:
                near = LOSS_PER_DECADE_DB / 2.3 * math.sqrt(variance) / max(straight, 3.0)
                gain = state.bias[slot, 1] / (state.bias[slot, 1] + rows.sigma[k] ** 2 + near**2)
                state.bias[slot, 0] += gain * min(max(value - expected, -10.0), 10.0)
                state.bias[slot, 1] = max(state.bias[slot, 1] * (1 - gain), 0.25)
        else:
            fits += straight + detour < 2 * rows.value[k] + slack
    lost = there > here + ELSEWHERE if rows.kind[first] == STRENGTH else 2 * fits < last - first
    state.misses[slot] = state.misses[slot] + 1 if lost else 0


@jit
def sigma_of(site: Map, state: State, slot: int) -> float:
    """Return the standard deviation in m about the heaviest hypothesis, the other hypotheses counted in."""
    x, y, z = xyz_of(site, state.roadway[slot, 0], state.mean[slot, 0, 0])
    variance = 0.0
    for h in range(state.size[slot]):
        a, b, c = xyz_of(site, state.roadway[slot, h], state.mean[slot, h, 0])
        variance += state.weight[slot, h] * (state.spread[slot, h, 0] + (a - x) ** 2 + (b - y) ** 2 + (c - z) ** 2)
    return math.sqrt(variance)


@jit
def track(site: Map, state: State, jobs: Jobs, rows: Rows, work: tuple[Array, ...], out: Array) -> None:
    """Take the steps of all jobs; write roadway, chainage, x, y, z, sigma after each into out float64 [J, 6].

    `work` is scratch: branch [BRANCHES, 7], piece and fresh [PIECES, 3], point [PIECES, POINTS, 3], mass [PIECES,
    POINTS].
    """
    branch, piece, fresh, point, mass = work
    for j in range(jobs.slot.size):
        slot, first, last = jobs.slot[j], jobs.first[j], jobs.first[j + 1]
        branches = predict(site, state, slot, jobs.step_s[j], branch)
        pieces = lay_points(site, state, rows, first, last, slot, branch, branches, piece, fresh, point, mass)
        n = gather(piece, pieces, point, mass, branch)
        if n:
            keep_best(state, slot, branch, n)
            judge(site, state, rows, first, last, slot)
        out[j, 0], out[j, 1] = state.roadway[slot, 0], state.mean[slot, 0, 0]
        out[j, 2], out[j, 3], out[j, 4] = xyz_of(site, state.roadway[slot, 0], state.mean[slot, 0, 0])
        out[j, 5] = sigma_of(site, state, slot)
