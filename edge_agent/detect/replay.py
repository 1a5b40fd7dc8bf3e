"""Exact replays: a rolling digest of the last 64 values; one in 64 is remembered, every one is looked up."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.detect.compiled import jit

Array = NDArray[Any]
WINDOW, TABLE = 64, 512
PRIME, BASE, OLDEST = 2_147_483_647, 1_000_003, pow(1_000_003, 63, 2_147_483_647)
LIVELY = 26  # of 64 values that differ from the one before: a flat channel repeats itself honestly
HITS, TOGETHER = 3, 400  # so many within so many samples

COUNT, DIGEST, CHANGED, HIT_N, HIT_AT, PREVIOUS = range(6)
N_REPLAY = 6


@jit
def digests(now: float, x: Array, step: Array, ring: Array, table: Array, state: Array, since: Array) -> None:
    """Take one row of C samples; since float64[C] is when a replay was recognised, 0 if none is going on.

    ring int64[C, 64] holds quantised values with their changed-bit in bit 40, table int64[C, 512], state int64[C, 6].
    """
    for c in range(x.size):
        v = x[c]
        if not np.isfinite(v) or step[c] <= 0.0:
            continue
        q, own = int(np.floor(v / step[c] + 0.5)) % PRIME, state[c]
        place = own[COUNT] % WINDOW
        old, new = ring[c, place], q + (int(q != own[PREVIOUS]) << 40)
        own[PREVIOUS] = q
        own[CHANGED] += (new >> 40) - (old >> 40)
        short = own[DIGEST] - (old & ((1 << 40) - 1)) * OLDEST % PRIME
        own[DIGEST] = (short % PRIME * BASE + q) % PRIME
        ring[c, place] = new
        own[COUNT] += 1
        if own[COUNT] < WINDOW or own[CHANGED] < LIVELY:
            if since[c] > 0.0 and own[COUNT] - own[HIT_AT] > TOGETHER:
                since[c] = 0.0
            continue
        slot = own[DIGEST] % TABLE
        if table[c, slot] == own[DIGEST]:
            near = own[COUNT] - own[HIT_AT] <= TOGETHER
            own[HIT_N] = own[HIT_N] + 1 if near else 1
            own[HIT_AT] = own[COUNT]
            if own[HIT_N] >= HITS and since[c] == 0.0:
                since[c] = now
        elif own[COUNT] - own[HIT_AT] > TOGETHER:
            since[c] = 0.0
        if own[COUNT] % WINDOW == 0:
            table[c, slot] = own[DIGEST]


def fresh(count: int) -> tuple[Array, Array, Array, Array]:
    """Return ring, table, state and since of C channels."""
    table = np.full((count, TABLE), -1, np.int64)
    return np.zeros((count, WINDOW), np.int64), table, np.zeros((count, N_REPLAY), np.int64), np.zeros(count)
