"""Every tag's hypotheses in arrays: where a track begins, its steps in order, and when it is forgotten."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edge_agent.position.field import Field
from edge_agent.position.kernel import Jobs, Rows, track
from edge_agent.position.likelihood import (
    BESIDE_M,
    CORNER_LOSS_DB,
    CORNER_M,
    EDGE_SHARE,
    LATE_MEAN_M,
    LATE_SHARE,
    LOSS_PER_DECADE_DB,
    RANGE,
    STRENGTH,
    WILD_SHARE,
    WILD_SPAN_M,
)
from edge_agent.position.motion import BRANCHES, HYPOTHESES, PIECES, POINTS, State
from twin_wire.graph import Metres, Place

TAGS_MAX = 4_096  # a flood of invented tags ends here; the longest unheard makes room
FRESH_US = 60_000_000  # a tag heard within this never makes room
GAP_US = 20_000_000  # unheard for longer: the track begins anew, near where the walk can have led
MEMORY_US = 600_000_000  # unheard for longer: where it was says nothing
LAG_US = 3_000_000  # rows older than this against the tag's newest are left out
BACK_US = 60_000_000  # older still: the clock was set back
MISSES = 3  # steps without a row that fits: the track is somewhere else
SPEED_M_S, SLACK_M = 3.0, 10.0
BIAS_SIGMA_DB = 3.0  # how differently tags send
DEPTH = 8.0  # log likelihood below the best place that still begins a hypothesis
CLIMB = 4.0


class Heard(NamedTuple):
    """One row about one tag."""

    kind: int
    anchor: int
    value: float  # m, dB relative to 1 m, or the reach in m
    sigma: float
    time_us: int


class Epoch(NamedTuple):
    """What was heard of one tag at about one time."""

    tag: str
    time_us: int
    rows: list[Heard]


class Located(NamedTuple):
    """Where a tag is after an epoch."""

    epoch: Epoch
    place: Place
    xyz: tuple[float, float, float]
    sigma_m: float


class Tracks:
    """The tags of one gateway on one field."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.late = 0  # rows left out because they came too late
        self.refused = 0  # tags left out because there are too many
        self._slots: dict[str, int] = {}
        self._time_us: list[int] = []
        self._last: list[tuple[Place, float] | None] = []
        self._state = _state(64)
        self._work = (
            np.zeros((BRANCHES, 7)),
            np.zeros((PIECES, 3)),
            np.zeros((PIECES, 3)),
            np.zeros((PIECES, POINTS, 3)),
            np.zeros((PIECES, POINTS)),
        )

    def step(self, epochs: Sequence[Epoch]) -> list[Located]:
        """Take epochs in order; return where each tag is after each of its own, those that taught nothing left out."""
        taken: list[Epoch] = []
        slots, steps, rows, firsts = [], [], [], [0]
        for epoch in epochs:
            slot = self._slot(epoch.tag, epoch.time_us)
            if slot < 0 or not len(self.field.sample_m):
                continue
            last_us = self._time_us[slot]
            if epoch.time_us < last_us - BACK_US:
                last_us, self._last[slot] = 0, None
            now = max(epoch.time_us, last_us)
            fresh = [row for row in epoch.rows if now - row.time_us <= LAG_US]
            self.late += len(epoch.rows) - len(fresh)
            if not fresh:
                continue
            gap = now - last_us
            anew = not last_us or gap > GAP_US or self._state.misses[slot] >= MISSES
            if anew:
                missed = self._state.misses[slot] >= MISSES
                self._begin(slot, fresh, MEMORY_US if missed else gap)
            self._time_us[slot] = now
            taken.append(Epoch(epoch.tag, now, fresh))
            slots.append(slot)
            steps.append(0.0 if anew else gap / 1e6)
            rows += [(row.kind, row.anchor, row.value, row.sigma, (now - row.time_us) / 1e6) for row in fresh]
            firsts.append(len(rows))
        if not taken:
            return []
        out = self._run(slots, steps, rows, firsts)
        found = []
        for epoch, slot, (roadway, s, x, y, z, sigma) in zip(taken, slots, out.tolist(), strict=True):
            place = Place(int(roadway), s)
            self._last[slot] = place, sigma
            found.append(Located(epoch, place, (x, y, z), sigma))
        return found

    def _run(
        self, slots: list[int], steps: list[float], rows: list[tuple[int, int, float, float, float]], firsts: list[int]
    ) -> Metres:
        jobs = Jobs(np.array(slots, np.int64), np.array(steps), np.array(firsts, np.int64))
        table = np.array(rows, np.float64)
        kind, anchor = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
        columns = (np.ascontiguousarray(table[:, column]) for column in (2, 3, 4))
        out = np.zeros((len(slots), 6))
        track(self.field.map, self._state, jobs, Rows(kind, anchor, *columns), self._work, out)
        return out

    def _slot(self, tag: str, time_us: int) -> int:
        """Return the tag's slot, -1 when there is no room."""
        slot = self._slots.get(tag)
        if slot is not None:
            return slot
        slot = len(self._slots)
        if slot >= TAGS_MAX:
            oldest = min(self._slots, key=lambda each: self._time_us[self._slots[each]])
            if self._time_us[self._slots[oldest]] > time_us - FRESH_US:
                self.refused += 1
                return -1
            slot = self._slots.pop(oldest)
            self._time_us[slot], self._last[slot] = 0, None
        else:
            if slot >= len(self._state.size):
                self._state = _grown(self._state, _state(len(self._state.size)))
            self._time_us.append(0)
            self._last.append(None)
        self._slots[tag] = slot
        self._state.size[slot] = 0
        self._state.bias[slot] = 0.0, BIAS_SIGMA_DB**2
        return slot

    def _begin(self, slot: int, rows: list[Heard], gap_us: int) -> None:
        """Lay hypotheses on every place that the rows, and the walk since the last place, allow."""
        field, state = self.field, self._state
        log = np.zeros(len(field.sample_m))
        for row in rows:
            log += _log_likelihood(field, row)
        last = self._last[slot]
        if last is not None and gap_us < MEMORY_US:
            way = SPEED_M_S * gap_us / 1e6 + SLACK_M + 2 * last[1]
            log -= np.minimum((field.walk_m(last[0]) / way) ** 2, 25.0) / 2
        count, best = 0, float(log.max())
        taken = np.zeros(len(log), bool)
        for peak in np.argsort(-log, kind="stable").tolist():
            if log[peak] < best - DEPTH or count == HYPOTHESES:
                break
            if taken[peak]:
                continue
            low, high = _slopes(log, peak, field.map.sample_first, int(field.sample_roadway[peak]))
            taken[low:high] = True
            weight = np.exp(log[low:high] - log[peak])
            s = field.sample_m[low:high]
            mean = float((weight * s).sum() / weight.sum())
            variance = 4 * (float((weight * (s - mean) ** 2).sum() / weight.sum()) + field.map.step_m.max() ** 2)
            # The kernel weighs the same rows again, finer: here all places count alike, whatever their width.
            state.weight[slot, count] = np.sqrt(variance)
            state.roadway[slot, count] = field.sample_roadway[peak]
            state.mean[slot, count] = mean, 0.0
            state.spread[slot, count] = variance, 0.0, 1.5**2
            count += 1
        state.size[slot], state.misses[slot] = count, 0


def _log_likelihood(field: Field, row: Heard) -> Metres:
    """Return a row's log likelihood at every sample, as blunt as the samples are coarse."""
    straight = np.hypot(np.linalg.norm(field.sample_xyz - field.map.anchor_xyz[row.anchor], axis=1), BESIDE_M)
    detour = field.map.detour_m[row.anchor].astype(np.float64)
    if row.kind == RANGE:
        sigma = np.hypot(row.sigma, field.map.step_m.max() / 2)
        error = row.value - straight
        near = -0.5 * (error / sigma) ** 2 - np.log(2.5 * sigma)
        late = np.where(error > 0, np.log(LATE_SHARE / LATE_MEAN_M) - error / LATE_MEAN_M, -np.inf)
        log: Metres = np.logaddexp(np.logaddexp(near, late), np.log(WILD_SHARE / WILD_SPAN_M)) - detour / 30
    elif row.kind == STRENGTH:
        loss = LOSS_PER_DECADE_DB * np.log10(np.maximum(straight, 1.0)) + np.where(detour > CORNER_M, CORNER_LOSS_DB, 0)
        log = -0.5 * np.minimum((row.value + loss) ** 2 / (row.sigma**2 + BIAS_SIGMA_DB**2), 25.0) - detour / 30
    else:
        log = -np.logaddexp(0.0, (straight + detour - row.value) / (EDGE_SHARE * row.value))
    return log


def _slopes(
    log: Metres, peak: int, firsts: "np.ndarray[tuple[int], np.dtype[np.int64]]", roadway: int
) -> tuple[int, int]:
    """Return the samples around a peak, on its roadway, that are less than CLIMB below it."""
    low, high = int(firsts[roadway]), int(firsts[roadway + 1])
    below = np.flatnonzero(log[low:high] < log[peak] - CLIMB) + low
    at = int(np.searchsorted(below, peak))
    return (int(below[at - 1]) + 1 if at else low), (int(below[at]) if at < len(below) else high)


def _state(size: int) -> State:
    h = HYPOTHESES
    return State(
        np.zeros(size, np.int64), np.zeros((size, h)), np.zeros((size, h), np.int64), np.zeros((size, h, 2)),
        np.zeros((size, h, 3)), np.zeros((size, 2)), np.zeros(size, np.int64),
    )  # fmt: skip


def _grown(state: State, more: State) -> State:
    return State(*(np.concatenate(pair) for pair in zip(state, more, strict=True)))
