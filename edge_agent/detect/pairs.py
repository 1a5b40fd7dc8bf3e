"""Channels against those they went along with while learning: residuals of pairs, votes, and who of two is wrong."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.detect.compiled import jit
from edge_agent.detect.symptoms import F60, SEEN_S

Array = NDArray[Any]
PARTNERS = 6
SCALES = 3  # a partner's mean over 60, 300 or 1200 s stands for the lag of what it shows
GOOD = 0.7  # correlation from which on a pair is one
BEYOND = 1.35


@jit
def votes(now: float, state: Array, partner: Array, scale: Array, line: Array, unwell: Array, residual: Array) -> None:
    """Write the residuals of C channels against P partners into residual [C, P], in units of what is usual.

    partner int64[C, P] (-1 none), scale int64[C, P], line float64[C, P, 3] = offset, slope, usual size. NaN where a
    partner is missing or `unwell` (uint8[C]: it has symptoms of its own).
    """
    for c in range(partner.shape[0]):
        for k in range(partner.shape[1]):
            residual[c, k] = math.nan
            p = partner[c, k]
            if p < 0 or unwell[p] or state[c, SEEN_S] == 0.0 or state[p, SEEN_S] == 0.0:
                continue
            if now - state[c, SEEN_S] > 120.0 or now - state[p, SEEN_S] > 120.0:
                continue
            told = line[c, k, 0] + line[c, k, 1] * state[p, F60 + scale[c, k]]
            residual[c, k] = (state[c, F60] - told) / line[c, k, 2]


@jit
def tally(now: float, residual: Array, partner: Array, since_up: Array, since_down: Array, mean: Array) -> None:
    """From residuals to float64[C]: since when most partners say a channel reads too high, too low; the mean residual.

    Of two that disagree the one with clearly more votes against it is blamed: a vote of a partner that is itself voted
    down by more of its own partners counts half.
    """
    count = residual.shape[0]
    share = np.zeros(count)
    for c in range(count):
        n, bad = 0.0, 0.0
        for k in range(partner.shape[1]):
            if not math.isnan(residual[c, k]):
                n += 1.0
                bad += abs(residual[c, k]) > BEYOND
        share[c] = bad / n if n > 0.0 else 0.0
    for c in range(count):
        n, up, down, total = 0.0, 0.0, 0.0, 0.0
        for k in range(partner.shape[1]):
            r = residual[c, k]
            if math.isnan(r):
                continue
            weight = 0.5 if share[partner[c, k]] > share[c] else 1.0
            n += weight
            up += weight * (r > BEYOND)
            down += weight * (r < -BEYOND)
            total += weight * r
        mean[c] = total / n if n > 0.0 else 0.0
        for since, against in ((since_up, up), (since_down, down)):
            if n >= 1.0 and against >= 0.6 * n:
                if since[c] == 0.0:
                    since[c] = now
            else:
                since[c] = 0.0


def smooth(series: Array, interval_s: float, tau_s: float) -> Array:
    """Return the exponential mean over tau of [M, C] at a fixed interval; NaN is passed over."""
    keep = 1.0 - np.exp(-interval_s / tau_s)
    out = np.empty_like(series)
    now = np.nan_to_num(np.nanmean(series[:5], axis=0)) if len(series) else np.zeros(series.shape[1])
    for row, values in enumerate(series):
        now = np.where(np.isnan(values), now, now + keep * (values - now))
        out[row] = now
    return out


def learn_pairs(f60: Array, interval_s: float, steps: Array, usable: Array) -> tuple[Array, Array, Array, Array]:
    """Return partner, scale, line and correlation [C, P] learnt from 60 s means [M, C]; steps are resolutions."""
    count = f60.shape[1]
    partner, scale = np.full((count, PARTNERS), -1, np.int64), np.zeros((count, PARTNERS), np.int64)
    line, strength = np.zeros((count, PARTNERS, 3)), np.zeros((count, PARTNERS))
    line[:, :, 2] = 1.0
    kept = f60[np.isfinite(f60[:, usable]).all(axis=1)] if usable.any() else f60[:0]
    if len(kept) < 60:
        return partner, scale, line, strength
    sets = [kept, smooth(kept, interval_s, 300.0), smooth(kept, interval_s, 1200.0)]
    skip = len(kept) // 50
    own = _standard(kept[skip:])
    found = np.stack([own.T @ _standard(each[skip:]) / (len(kept) - skip) for each in sets], axis=2)
    for c in np.flatnonzero(usable):
        best = np.where(np.isnan(found[c]), 0.0, np.abs(found[c]))
        best[c] = 0.0
        best[~usable] = 0.0
        top, which = best.max(axis=1), best.argmax(axis=1)
        for k, p in enumerate(np.argsort(-top, kind="stable")[:PARTNERS]):
            if top[p] < GOOD:
                break
            x, y = sets[which[p]][skip:, p], kept[skip:, c]
            slope = np.cov(x, y)[0, 1] / max(x.var(ddof=1), 1e-30)
            offset = y.mean() - slope * x.mean()
            size = np.quantile(np.abs(y - offset - slope * x), 0.995)
            partner[c, k], scale[c, k], strength[c, k] = p, which[p], top[p]
            line[c, k] = offset, slope, max(size, 1.0 * steps[c], abs(slope) * steps[p]) * 1.15
    return partner, scale, line, strength


def _standard(series: Array) -> Array:
    low, high = np.nanquantile(series, (0.002, 0.998), axis=0)
    clipped = np.clip(series, low, high)
    spread = clipped.std(axis=0)
    return np.asarray((clipped - clipped.mean(axis=0)) / np.where(spread > 0, spread, np.inf))
