"""Rules for the instrument itself: broken, or made to lie."""

from collections.abc import Iterator

import numpy as np

import edge_agent.detect.symptoms as sy
from edge_agent.detect.rules import CALIBRATION_S, Finding, Scene, which

DISAGREE_S, QUIET_S = 420.0, 420.0
TOGETHER_S = 4.0
HAZARD_NEAR_S = 1500.0
DANGER_UP = ("CH4", "CO", "NO2", "H2S", "level", "flow")


def replays(s: Scene) -> Iterator[Finding]:
    """The very same readings again."""
    for c in which(s.e.replayed > 0):
        yield s.find(c, "tamper", "replay", s.e.replayed[c], 0.95)


def gone(s: Scene) -> Iterator[Finding]:
    """Nothing arrives, or too little."""
    for c in which(s.h[:, sy.SILENT] > 0):
        held = s.h[c, sy.SILENT]
        if held > max(60.0, 6.0 * s.table[c, sy.PACE_S]) and not s.masked[c]:
            yield s.find(c, "fault", "silent", held, 0.95)
    for c in which(s.h[:, sy.DROPOUT] > 45):
        if not s.masked[c] and not s.h[c, sy.SILENT]:
            yield s.find(c, "fault", "dropout", s.h[c, sy.DROPOUT], 0.9)


def textures(s: Scene) -> Iterator[Finding]:
    """Spikes, noise, an unchanging value, the end of the scale."""
    p = s.places
    calm = ~s.masked & ~s.marked & ~s.blasted
    for c in which((s.h[:, sy.SPIKY] > 0) & calm & ~p.works):
        yield s.find(c, "fault", "spikes", s.h[c, sy.SPIKY], 0.85)
    for c in which((s.h[:, sy.NOISY] > 60) & calm & ~p.works & ~p.rain):
        if not s.air_fails[c]:
            yield s.find(c, "fault", "noisy", s.h[c, sy.NOISY], 0.85)
    told = (s.e.up > 0) | (s.e.down > 0)
    aired = s.now - s.zero_s < CALIBRATION_S
    at_rest = (s.h[:, sy.OFF] > 0) | p.works
    for c in which((s.h[:, sy.FLAT] > 0) & calm & ~aired & ~at_rest):
        if s.decisive[c] or (told[c] and max(s.e.up[c], s.e.down[c]) > 60):
            pulled = p.gas[c] and s.value[c] < s.table[c, sy.LOW0]
            yield s.find(
                c, "tamper" if pulled else "fault", "below" if pulled else "stuck", s.h[c, sy.FLAT] + 60.0, 0.9
            )
    for c in which((s.h[:, sy.ENDED] > 60) & calm & ~aired & (s.h[:, sy.HIGH] + s.h[:, sy.LOW] > 0)):
        yield s.find(c, "fault", "scale_end", s.h[c, sy.ENDED], 0.8)
    zero = (s.h[:, sy.NOTHING] > CALIBRATION_S) & calm & ~p.works & ~s.h[:, sy.OFF].astype(bool)
    for c in which(zero & (p.gas | p.oxygen | p.air)):
        yield s.find(c, "fault", "zero", s.h[c, sy.NOTHING], 0.7)


def steps(s: Scene) -> Iterator[Finding]:
    """Faster than the sensor can follow: wires swapped, a reading moved, an electrical fault."""
    p = s.places
    place = which(s.stepped & ~s.masked & ~s.marked)
    for c in place:
        if s.h[c, sy.OFF] or (p.fan[c] and s.air_fails[p.air].any()) or p.rain[c] or p.current[c]:
            continue
        down = s.h[c, sy.STEP_DOWN] > 0
        held = s.h[c, sy.STEP_DOWN] if down else s.h[c, sy.STEP_UP]
        if s.blasted[c] or (p.air[c] and s.air_fails[p.fan].any()):
            continue
        slow = 10.0 ** (-s.table[c, sy.PACE_S] / max(s.table[c, sy.T90_S], 1e-9)) > 0.45
        if p.gas[c] and not down and not slow and s.supporters(c):
            continue  # rows so far apart that gas itself may leap
        if held > 300.0:
            continue
        twin = _swapped(s, int(c), place)
        if twin >= 0:
            yield s.find(c, "tamper", "swap", held, 0.9, (twin,))
        elif down and s.places.channels[c].quantity in DANGER_UP:
            if s.h[c, sy.NOTHING] > 0 and not s.table[c, sy.T90_S] > 0:
                continue  # zero air looks like this too: `zero` waits
            yield s.find(c, "tamper", "step_down", held, 0.8)
        else:
            yield s.find(c, "fault", "step", held, 0.85)


def _swapped(s: Scene, c: int, place: list[int]) -> int:
    """Return the channel whose readings c shows now and that shows those of c, -1 if there is none."""
    mine = s.e.state[c]
    for o in which(s.places.near[c] | (s.places.hops[c] == 0)):
        other, noise = s.e.state[o], 3.0 * s.table[o, sy.NOISE0] + 2.0 * s.table[o, sy.STEP]
        moved = abs(other[sy.F8] - other[sy.F1200])
        if (
            o != c
            and o not in place
            and moved > noise
            and s.places.channels[o].quantity != s.places.channels[c].quantity
        ):
            apart = abs(mine[sy.STEP_TO] - other[sy.F1200]) + abs(other[sy.F8] - mine[sy.STEP_FROM])
            if apart < 0.35 * max(abs(mine[sy.STEP_TO] - mine[sy.STEP_FROM]), moved) and moved > 0.3 * abs(
                mine[sy.STEP_TO] - mine[sy.STEP_FROM]
            ):
                return o
    for o in place:
        other = s.e.state[o]
        if o == c or abs(mine[sy.STEP_S] - other[sy.STEP_S]) > max(TOGETHER_S, 1.5 * s.table[c, sy.PACE_S]):
            continue
        tolerance = 0.3 * max(abs(mine[sy.STEP_TO] - mine[sy.STEP_FROM]), abs(other[sy.STEP_TO] - other[sy.STEP_FROM]))
        apart = abs(mine[sy.STEP_TO] - other[sy.STEP_FROM]) + abs(other[sy.STEP_TO] - mine[sy.STEP_FROM])
        if apart < tolerance:
            return int(o)
    return -1


def lowered(s: Scene) -> Iterator[Finding]:
    """Reads lower than its partners say, or too calm: covered or pulled down."""
    p = s.places
    guarded = np.array([ch.quantity in DANGER_UP for ch in p.channels])
    calm = ~s.masked & ~s.marked & (s.now - s.zero_s > 120.0) & ~s.blasted
    for c in which(guarded & calm):
        quiet = s.h[c, sy.QUIET] if p.gas[c] else 0.0
        below = max(s.e.down[c], s.h[c, sy.LOW])
        near = p.near[c] | p.same[c]
        troubled = bool((s.now - s.hazard_s[near] < HAZARD_NEAR_S).any())
        voted = s.e.down[c] > DISAGREE_S and not troubled and not s.alone[c]
        if quiet > QUIET_S or (quiet > 60 and below > 120) or voted:
            yield s.find(c, "tamper", "lowered", max(quiet, below), 0.75, _partners(s, int(c)))
        elif s.h[c, sy.LOW] > DISAGREE_S and p.gas[c]:
            yield s.find(c, "tamper", "below", s.h[c, sy.LOW], 0.6)


def disagreeing(s: Scene) -> Iterator[Finding]:
    """Partners disagree for long, or it leaves its envelope alone, and no danger is near."""
    p = s.places
    calm = ~s.masked & ~s.marked & (s.now - s.zero_s > CALIBRATION_S) & ~s.blasted
    for c in which(calm & ~p.works & ~p.rain & ~p.current):
        out = max(s.h[c, sy.HIGH], s.h[c, sy.LOW])
        voted = max(s.e.up[c], s.e.down[c])
        if s.alone[c] and not out:
            continue
        if voted < DISAGREE_S and (out < DISAGREE_S or p.gas[c] or p.ground[c] or p.water[c] or p.vibration[c]):
            continue
        near = p.near[c] | (p.hops[c] == 0)
        near[c] = p.oxygen[c] and s.h[c, sy.LOW] > 0
        if (s.now - s.hazard_s[near] < HAZARD_NEAR_S).any() or _moves_along(s, int(c)):
            continue
        yield s.find(c, "fault", "disagrees", max(out, voted), 0.6, _partners(s, int(c)))


def _moves_along(s: Scene, c: int) -> bool:
    """Return whether others of its quantity leave the usual as well."""
    p = s.places
    out = (np.abs(s.e.mean) > 0.9) & ~s.baro
    out |= (s.h[:, sy.HIGH] > 0) | (s.h[:, sy.LOW] > 0) | (s.h[:, sy.RISING] > 0) | (s.h[:, sy.FALLING] > 0)
    if s.baro[c]:
        return bool((out & s.baro & p.same[c]).any() or not (s.baro & p.same[c]).any())
    return bool((out & p.same[c] & ~s.ill).any())


def _partners(s: Scene, c: int) -> list[int]:
    return [int(o) for k, o in enumerate(s.model.partner[c]) if o >= 0 and not np.isnan(s.e.residual[c, k])][:3]


RULES = (replays, gone, steps, textures, lowered, disagreeing)
