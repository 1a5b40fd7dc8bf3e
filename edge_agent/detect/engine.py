"""The detection engine of one site: rows in, verdicts out; strictly causal, the same for any split of the rows."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import edge_agent.detect.pairs as pairs
import edge_agent.detect.replay as replay
import edge_agent.detect.symptoms as sy
from edge_agent.detect.compiled import jit
from edge_agent.detect.fuse import Evidence, Fuse, Mark, Verdict
from edge_agent.detect.model import Model

Array = NDArray[Any]
SLOT_S = 5.0  # how often residuals are formed and evidence is judged
DOUBT_S = 60.0  # how long neighbours disagree before anybody is asked


class Arrays(NamedTuple):
    """All state and all that was learnt, as the walk takes it."""

    state: Array
    since: Array
    table: Array
    ring: Array
    digest_table: Array
    digest_state: Array
    digest_since: Array
    driver: Array
    partner: Array
    scale: Array
    line: Array
    residual: Array
    unwell: Array  # uint8 [C]: verdicts of fuse
    up: Array
    down: Array
    mean: Array
    clock: Array  # float64 [3]: time of the last row, of the last slot; 1 if somebody waits for every slot


@jit
def walk(time_s: Array, x: Array, begin: int, a: Any) -> int:
    """Take rows from `begin` on until evidence wants judging; return the row after, negative if there was none."""
    step = a.table[:, sy.STEP].copy()
    ill = np.zeros(x.shape[1], np.uint8)
    for t in range(begin, time_s.size):
        now = time_s[t]
        if not now > a.clock[0]:
            continue
        dt = min(now - a.clock[0], 3600.0) if a.clock[0] > 0.0 else 0.0
        a.clock[0] = now
        evidence = sy.observe(now, dt, x[t], a.driver, a.state, a.since, a.table)
        replay.digests(now, x[t], step, a.ring, a.digest_table, a.digest_state, a.digest_since)
        slot = np.floor(now / SLOT_S)
        if slot == a.clock[1]:
            continue
        a.clock[1] = slot
        for c in range(ill.size):
            own = a.since[c]
            told = own[sy.STEP_UP] + own[sy.STEP_DOWN] + own[sy.NOISY] + own[sy.SILENT] + own[sy.NOTHING]
            ill[c] = a.unwell[c] or told + a.digest_since[c] > 0.0 or a.table[c, sy.LEARNT] == 0.0
        pairs.votes(now, a.state, a.partner, a.scale, a.line, ill, a.residual)
        pairs.tally(now, a.residual, a.partner, a.up, a.down, a.mean)
        for c in range(ill.size):
            doubted = (a.up[c] > 0.0 and now - a.up[c] > DOUBT_S) or (a.down[c] > 0.0 and now - a.down[c] > DOUBT_S)
            if evidence or doubted or a.digest_since[c] > 0.0 or a.clock[2] > 0.0:
                return t + 1
    return -1


class Engine:
    """State of every channel of a site, and the verdicts that stand."""

    def __init__(self, model: Model) -> None:
        self.model = model
        count = len(model.site.channels)
        state, since = sy.fresh(count)
        ring, table, digest_state, digest_since = replay.fresh(count)
        self.arrays = Arrays(
            *(state, since, model.table, ring, table, digest_state, digest_since),
            *(model.driver, model.partner, model.scale, model.line, np.full(model.partner.shape, np.nan)),
            *(np.zeros(count, np.uint8), np.zeros(count), np.zeros(count), np.zeros(count), np.zeros(3)),
        )
        self.fuse = Fuse(model)

    def feed(self, time_s: Array, values: Array, marks: Iterable[Mark] = ()) -> list[Verdict]:
        """Take rows float64 [T], [T, C] (NaN: no sample) and marks; return the verdicts that begin, in time order."""
        self.fuse.note(marks)
        self.arrays.clock[2] = float(self.fuse.waiting)
        x, times = np.ascontiguousarray(values, np.float64), np.ascontiguousarray(time_s, np.float64)
        found: list[Verdict] = []
        row = 0
        while row < len(times):
            row = int(walk(times, x, row, self.arrays))
            if row < 0:
                break
            found += self._judge(float(self.arrays.clock[0]))
        return found

    def _judge(self, now: float) -> list[Verdict]:
        a = self.arrays
        since = a.since
        held = np.where(since > 0.0, now - since + 1e-9, 0.0)
        up, down, again = (np.where(s > 0.0, now - s + 1e-9, 0.0) for s in (a.up, a.down, a.digest_since))
        found = self.fuse.judge(Evidence(now, held, up, down, again, a.mean, a.residual, a.state))
        a.unwell[:] = self.fuse.unwell
        a.clock[2] = float(self.fuse.waiting)
        return found
