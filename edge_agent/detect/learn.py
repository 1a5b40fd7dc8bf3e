"""What hours to days of ordinary work teach: an accumulator that grows no further, and the model fitted from it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import edge_agent.detect.symptoms as sy
from edge_agent.detect.compiled import jit
from edge_agent.detect.model import Model
from edge_agent.detect.pairs import learn_pairs, smooth
from edge_agent.detect.sites import GROUND, WATER, Site

Array = NDArray[Any]
# columns of an hour's account
BENDS, SAMPLES, JUMP, RUN_S, SPIKE_N, MISS_N, LEAST, QUANTUM = range(8)
N_HOUR = 8
INTERVAL_S, HOUR_S = 60.0, 3600.0
ROWS_MAX = 1440  # intervals kept: beyond that every second one is dropped and the interval doubles
HOURS_MAX = 400
GO_ALONG = 0.6  # correlation of half-hour changes from which on a driver counts
RARE_SHARE, STRANGE = 0.06, 1.5  # an excursion is rare below, and strange beyond so many usual widths


@jit
def gather(now: float, x: Array, state: Array, hour: Array, low: Array, high: Array, bends: Array) -> None:
    """Account one row of C samples: textures into hour [C, 8], extremes of the 8 s mean into low and high [C]."""
    for c in range(x.size):
        v, row, own = x[c], state[c], hour[c]
        if not np.isfinite(v):
            own[MISS_N] += 1.0
            continue
        if row[sy.ROWS] >= 2.0:
            step = abs(v - row[sy.LAST])
            bend = abs(v - 2.0 * row[sy.LAST] + row[sy.BEFORE]) / 1.954
            usual = bends[c]
            bends[c] += 0.002 * (min(bend, 8.0 * usual + 1e-12 if own[SAMPLES] > 300.0 else bend) - usual)
            own[BENDS] += min(bend, 8.0 * usual) if own[SAMPLES] > 300.0 else bend
            own[SAMPLES] += 1.0
            own[JUMP] = max(own[JUMP], step)
            if step > 0.0:
                own[QUANTUM] = min(own[QUANTUM], step)
            own[RUN_S] = max(own[RUN_S], now - row[sy.FLAT_S])
            out, back = row[sy.LAST] - row[sy.BEFORE], v - row[sy.BEFORE]
            if abs(out) > 12.0 * usual and abs(back) < 0.4 * abs(out):
                own[SPIKE_N] += 1.0
            if step > 0.0:
                row[sy.FLAT_S] = now
        elif row[sy.FLAT_S] == 0.0:
            row[sy.FLAT_S] = now
        if now - row[sy.FIRST_S] > 30.0 and row[sy.ROWS] > 3.0:
            low[c], high[c] = min(low[c], row[sy.F8]), max(high[c], row[sy.F8])


class Learner:
    """Takes ordinary work in any split of rows; what it keeps is bounded."""

    def __init__(self, site: Site) -> None:
        self.site = site
        count = len(site.channels)
        self._state, self._since = sy.fresh(count)
        self._blank = np.zeros((count, sy.N_MODEL))
        self._bends = np.zeros(count)
        self._alone = np.full(count, -1, np.int64)
        self._hour = self._new_hour()
        self._low, self._high = np.full(count, np.inf), np.full(count, -np.inf)
        self._now = self._interval_at = self._hour_at = 0.0
        self.interval_s = INTERVAL_S
        self.hours: list[Array] = []
        self.times: list[float] = []
        self.rows: list[tuple[Array, Array, Array]] = []  # 60 s mean, least and most of the 8 s mean
        self._paces: list[float] = []

    def _new_hour(self) -> Array:
        hour = np.zeros((len(self.site.channels), N_HOUR))
        hour[:, QUANTUM] = np.inf
        return hour

    def feed(self, time_s: Array, values: Array) -> None:
        """Take rows float64 [T, C]; times that do not rise are passed over."""
        for now, x in zip(time_s.tolist(), np.ascontiguousarray(values, np.float64), strict=True):
            if not now > self._now:
                continue
            dt = min(now - self._now, 3600.0) if self._now else 0.0
            if len(self._paces) < 2000 and dt:
                self._paces.append(dt)
            gather(now, x, self._state, self._hour, self._low, self._high, self._bends)
            sy.observe(now, dt, x, self._alone, self._state, self._since, self._blank)
            self._now = now
            self._keep(now)

    def _keep(self, now: float) -> None:
        if now >= self._interval_at + self.interval_s:
            if self._interval_at:
                f60 = np.where(now - self._state[:, sy.SEEN_S] < 120.0, self._state[:, sy.F60], np.nan)
                young = now - self._state[:, sy.FIRST_S] < 180.0
                f60[young] = np.nan
                there = np.isfinite(self._low) & ~young
                row = (f60, np.where(there, self._low, np.nan), np.where(there, self._high, np.nan))
                self.rows.append(tuple(each.astype(np.float32) for each in row))  # type: ignore[arg-type]
                self.times.append(now)
                if len(self.rows) > ROWS_MAX:
                    self._thin()
            self._low[:], self._high[:] = np.inf, -np.inf
            self._interval_at = now
        if now >= self._hour_at + HOUR_S:
            if self._hour_at and len(self.hours) < HOURS_MAX:
                self.hours.append(self._hour)
            self._hour, self._hour_at = self._new_hour(), now

    def _thin(self) -> None:
        """Join two intervals into one."""
        pairs = zip(self.rows[0::2], self.rows[1::2], strict=False)
        self.rows = [(b[0], np.fmin(a[1], b[1]), np.fmax(a[2], b[2])) for a, b in pairs]
        self.times = self.times[1::2]
        self.interval_s *= 2.0

    @property
    def seconds(self) -> float:
        """Return how long it has learnt."""
        return self.times[-1] - self.times[0] if len(self.times) > 1 else 0.0

    def fit(self) -> Model:
        """Return the model; a channel that showed too little is not learnt and only its gaps are watched."""
        model = Model.blank(self.site)
        pace = float(np.median(self._paces)) if self._paces else 1.0
        model.table[:, sy.PACE_S] = pace
        hours = np.stack(self.hours or [self._hour])
        if len(self.rows) < 20:
            return model
        f60, low, high = (np.stack([row[part] for row in self.rows]).astype(np.float64) for part in range(3))
        _drive(model, f60, low, high)
        strange = _strange(f60)
        for c in range(len(self.site.channels)):
            if np.isfinite(f60[:, c]).sum() >= 20:
                self._fit_one(
                    model, c, hours[:, c], *(np.where(strange[:, c], np.nan, s[:, c]) for s in (f60, low, high))
                )
                if strange[:, c].any():
                    at = self.times[int(np.flatnonzero(strange[:, c])[0])]
                    model.notes.append(
                        f"{self.site.channels[c].id}: out of the usual at {at:.0f} s, left out of learning"
                    )
        usable = (model.table[:, sy.LEARNT] > 0) & (np.isfinite(f60).mean(axis=0) > 0.8)
        clean = np.where(strange, np.nan, f60)
        clean = np.where(np.isnan(clean), np.nanmedian(np.where(np.isfinite(f60), f60, 0.0), axis=0), clean)
        usable &= f60.std(axis=0, where=np.isfinite(f60)) > 0
        found = learn_pairs(clean, self.interval_s, model.table[:, sy.STEP], usable)
        model.partner, model.scale, model.line, model.strength = found
        model.learnt_s = self.seconds
        return model

    def _fit_one(self, model: Model, c: int, hours: Array, f60: Array, low: Array, high: Array) -> None:
        channel, row = self.site.channels[c], model.table[c]
        spoken = hours[hours[:, SAMPLES] > 30]
        if not len(spoken):
            return
        row[sy.NOISE0] = float(np.median(spoken[:, BENDS] / spoken[:, SAMPLES]))
        quantum = float(np.median(spoken[:, QUANTUM]))
        row[sy.STEP] = channel.resolution or (quantum if np.isfinite(quantum) else 0.0)
        noises = spoken[:, BENDS] / spoken[:, SAMPLES]
        row[sy.QUIET0], row[sy.LOUD0] = -_second(-noises), _second(noises)
        slow = smooth(f60[:, None], self.interval_s, 1200.0)[:, 0]
        change = (f60 - slow)[10:]
        row[sy.RISE0] = max(float(np.nanquantile(change, 0.999)), 0.0)
        row[sy.FALL0] = max(float(-np.nanquantile(change, 0.001)), 0.0)
        row[sy.RUN0_S], row[sy.JUMP0] = _second(spoken[:, RUN_S]), _second(spoken[:, JUMP])
        row[sy.SPIKES0] = _second(spoken[:, SPIKE_N]) * sy.SPIKE_TAU_S / HOUR_S
        row[sy.MISSED0] = _second(spoken[:, MISS_N] / (spoken[:, SAMPLES] + spoken[:, MISS_N]))
        row[sy.LOW0], row[sy.HIGH0] = float(np.nanmin(low)), float(np.nanmax(high))
        row[sy.MIDDLE] = float(np.nanmedian(f60))
        width = row[sy.HIGH0] - row[sy.LOW0]
        weather = channel.quantity in WATER | GROUND or channel.quantity in ("temperature", "position", "pressure")
        swing = self._swing(f60) / max(width, 1e-30)  # near 1: it shows all it has within hours
        short = 1.0 if self.seconds < 3 * 86_400 else 0.4  # a day says little of what weather and seasons do
        short = 0.22 + (short - 0.22) * min(max((0.7 - swing) / 0.4, 0.0), 1.0)
        row[sy.MARGIN] = max(
            (short if weather else 0.22) * width, 3.0 * row[sy.STEP], 4.0 * row[sy.NOISE0], 1e-9 * abs(row[sy.MIDDLE])
        )
        steady = float(np.nanquantile(f60, 0.02)) > 0.5 * row[sy.MIDDLE] > 0.0
        row[sy.FAN] = float(channel.fan and steady)
        row[sy.WIND] = float(channel.air and steady)
        if channel.role in ("pump", "machine", "load"):
            row[sy.IDLE0_S] = _longest(f60 < 0.3 * row[sy.HIGH0]) * self.interval_s
        if len(spoken) > 1:
            row[sy.PACE_S] = max(row[sy.PACE_S], HOUR_S / float(np.median(spoken[:, SAMPLES] + 1)))
        row[sy.LEARNT] = 1.0

    def _swing(self, f60: Array) -> float:
        """Return how far a channel usually goes within six hours."""
        rows = max(int(6 * HOUR_S / self.interval_s), 10)
        parts = [part for at in range(0, len(f60), rows) if np.isfinite(part := f60[at : at + rows]).sum() > rows // 2]
        return float(np.median([np.nanmax(part) - np.nanmin(part) for part in parts])) if parts else 0.0


def _drive(model: Model, f60: Array, low: Array, high: Array) -> None:
    """Learn which share of the barometer goes through heads, of the day's warmth through marks, and take it off."""
    channels = model.site.channels
    middle = np.nanmedian(np.where(np.isfinite(f60), f60, np.nan), axis=0, keepdims=False) if len(f60) else f60
    drivers = [c for c, ch in enumerate(channels) if ch.quantity in ("pressure", "temperature")]
    lag = max(1, len(f60) // 48)
    moved = f60[lag:] - f60[:-lag]
    original = f60.copy()
    for c, channel in enumerate(channels):
        if channel.quantity not in GROUND | {"head", "pore_pressure"}:
            continue
        best, share = GO_ALONG, 0.0
        for d in drivers:
            both = np.isfinite(moved[:, c]) & np.isfinite(moved[:, d])
            x, y = moved[both, d], moved[both, c]
            if both.sum() < 40 or not x.std() > 0 or not y.std() > 0:
                continue
            strength = abs(float(np.corrcoef(x, y)[0, 1]))
            if strength > best:
                best, share, model.driver[c] = strength, float((x * y).mean() / (x * x).mean()), d
        if share:
            d = int(model.driver[c])
            model.table[c, sy.SHARE], model.table[c, sy.DRIVER0] = share, middle[d]
            for series in (f60, low, high):
                series[:, c] -= share * np.nan_to_num(original[:, d] - middle[d])


def _strange(f60: Array) -> Array:
    """Return where [M, C] learning saw a rare excursion far out of the usual: an anomaly inside the window."""
    low, high = np.nanquantile(f60, (0.03, 0.97), axis=0)
    width = high - low
    out = (f60 > high + STRANGE * width) | (f60 < low - STRANGE * width)
    out &= width > 0
    rare = out.mean(axis=0) < RARE_SHARE
    runs = (out & np.roll(out, 1, axis=0)).any(axis=0)  # not a single blink
    return np.asarray(out & rare & runs)


def _longest(there: Array) -> int:
    """Return the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], there.astype(np.int8), [0]))))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0


def _second(numbers: Array) -> float:
    """Return the second largest: one accident does not widen what is usual."""
    return float(np.sort(numbers)[-2]) if len(numbers) > 3 else float(np.max(numbers))
