"""Rules for danger, and for what only looks like it: fans, air, gas, heat, ground, water; blasting and test gas."""

import math
from collections.abc import Iterator

import numpy as np

import edge_agent.detect.symptoms as sy
from edge_agent.detect.rules import BLAST_S, CALIBRATION_S, Finding, Scene, which

RAIN_EXCESS = 6.0  # margins over the envelope: rain lifts all water somewhat
NEAR_S, FAR_S, TEST_S, ALONE_S, SLOW_S = 6.0, 20.0, 170.0, 240.0, 240.0


def fans(s: Scene) -> Iterator[Finding]:
    """A fan that always ran draws less than a third of its current."""
    for c in which(s.h[:, sy.OFF] > 3.5):
        if not s.h[c, sy.SILENT] and not s.masked[c]:
            yield s.find(c, "hazard", "fan", s.h[c, sy.OFF], 1.0)


def air(s: Scene) -> Iterator[Finding]:
    """The air slows: far below usual, or somewhat while its fan does too."""
    p = s.places
    for c in which(p.air & (s.h[:, sy.LOW] > 0) & (s.table[:, sy.WIND] > 0)):
        fan = which(p.fan & ((s.h[:, sy.OFF] > 0) | (s.h[:, sy.LOW] > 0)))
        if s.masked[c] or (s.ill[c] and not (fan and s.stepped[c])):
            continue
        gas = [o for o in s.supporters(c) if o != c and (p.gas[o] or p.oxygen[o])]
        other = which(p.air & (s.h[:, sy.LOW] > 20) & ~s.ill & (np.arange(len(p.air)) != c))
        if s.h[c, sy.WEAK] > 60 or (s.h[c, sy.LOW] > 45 and (len(fan) or len(gas) or len(other) >= 2)):
            yield s.find(c, "hazard", "ventilation", s.h[c, sy.LOW], 0.9, [*fan, *gas, *other][:3])
    for c in which(p.fan & (s.h[:, sy.LOW] > 30) & (s.table[:, sy.FAN] > 0)):
        slow = which(p.air & (s.h[:, sy.LOW] > 20) & ~s.ill)
        if len(slow) and not s.h[c, sy.SILENT]:
            yield s.find(c, "hazard", "fan_slow", s.h[c, sy.LOW], 0.9, slow[:3])


def calibration(s: Scene) -> Iterator[Finding]:
    """Zero air, then test gas, nobody else moves: a calibration, marked or not. A mark over rising gas is none."""
    p = s.places
    moved = (s.h[:, sy.HIGH] > 0) | (s.h[:, sy.LOW] > 0) | (s.h[:, sy.NOTHING] > 20) | s.stepped
    for c in which(s.marked):
        near = [o for o in s.supporters(c) if o != c]
        hot = [o for o in near if s.hot[o] or s.air_fails[o]]
        slow = [o for o in near if p.gas[o] and s.h[o, sy.RISING] > 120]
        if hot or slow:
            yield s.find(c, "tamper", "mark", 0.0, 0.9, (hot or slow)[:3])
            if s.h[c, sy.HIGH] > NEAR_S and s.now - s.zero_s[c] > CALIBRATION_S:
                yield s.find(c, "hazard", "gas_near", s.h[c, sy.HIGH], 0.9, (hot or slow)[:3])
        elif moved[c]:
            yield s.find(c, "benign", "calibration", 0.0, 0.9)
    cup = (s.now - s.zero_s < CALIBRATION_S) & ~s.marked & (p.gas | p.oxygen) & (s.h[:, sy.HIGH] > 20)
    for c in which(cup):
        if not len(s.supporters(c)):
            yield s.find(c, "benign", "calibration", s.h[c, sy.HIGH], 0.7)


def blasting(s: Scene) -> Iterator[Finding]:
    """Fumes, dust and the thump of a blast, as long as the air moves and methane stays."""
    p = s.places
    if s.now - s.blast_s > BLAST_S:
        return
    for c in which((p.toxic | p.pressure) & (s.h[:, sy.HIGH] > 5)):
        if _blasted(s, int(c)):
            yield s.find(c, "benign", "blasting", s.h[c, sy.HIGH], 0.8)


def _blasted(s: Scene, c: int) -> bool:
    """Return whether a blast explains a channel out of the usual."""
    if s.now - s.blast_s > BLAST_S or s.places.methane[c]:
        return False
    near = s.blast_at < 0 or s.places.hops[c, s.blast_at] <= 3 or s.places.downstream[s.blast_at, c]
    return bool(near and not s.air_fails.any())


def gas(s: Scene) -> Iterator[Finding]:
    """Gas over its envelope: with a neighbour, far over, or alone for long."""
    p = s.places
    out = np.where(p.oxygen, s.h[:, sy.LOW], s.h[:, sy.HIGH])
    for c in which((p.gas | p.oxygen) & (out > NEAR_S)):
        far = s.h[c, sy.FAR]
        if s.masked[c] or s.h[c, sy.SILENT] or _blasted(s, int(c)):
            continue
        near = [o for o in s.supporters(c) if o != c]
        tested = s.active.get((c, "benign"))
        testing = s.now - s.zero_s[c] < CALIBRATION_S or s.marked[c]
        testing |= tested is not None and tested.rule == "calibration" and s.now - tested.time_s < CALIBRATION_S
        own = s.stepped[c] or s.e.replayed[c] or s.h[c, sy.SPIKY] or s.h[c, sy.NOISY] > 60
        own = own or any((c, kind) in s.active for kind in ("fault", "tamper"))
        if _breathing(s, c):
            yield s.find(c, "benign", "weather", out[c], 0.5)
        elif near and not (testing and not s.hot[near].any()):
            yield s.find(c, "hazard", "gas_near", out[c], 0.95, near[:3])
        elif own or testing:
            continue
        elif far > 150.0 and _plateau(s, c):
            yield s.find(c, "benign", "calibration", far, 0.5)
        elif far > (TEST_S if _watched(s, c) else FAR_S):
            yield s.find(c, "hazard", "gas_far", far, 0.85)
        elif out[c] > ALONE_S and not _plateau(s, c):
            yield s.find(c, "hazard", "gas_alone", out[c], 0.6)


def _plateau(s: Scene, c: int) -> bool:
    """Return whether a head went at once to a flat level far from all it ever saw, as in a cup of test gas."""
    f8, f60, usual = s.e.state[c, sy.F8], s.e.state[c, sy.F60], s.table[c, sy.MIDDLE]
    flat = 0.03 + math.exp(-s.h[c, sy.FAR] / 60.0)
    at_once = s.h[c, sy.HIGH] - s.h[c, sy.FAR] < 60.0
    return bool(at_once and 0.0 < s.h[c, sy.FAR] < 420.0 and abs(f8 - f60) < flat * abs(f8 - usual) and _watched(s, c))


def _watched(s: Scene, c: int) -> bool:
    """Return whether a sound neighbour would see real gas too."""
    p = s.places
    return bool((p.near[c] & (p.gas | p.oxygen) & ~s.ill).any())


def _breathing(s: Scene, c: int) -> bool:
    """Return whether a falling barometer explains a little more methane, far from the limit."""
    falling = s.now - s.fall_s < 3600.0 and not s.air_fails.any()
    return bool(s.places.methane[c] and falling and s.value[c] < 0.8 * s.places.limit[c] and not s.h[c, sy.FAR])


def weather(s: Scene) -> Iterator[Finding]:
    """A barometer that falls or rises faster than it ever did while learning."""
    moving = s.baro & ((s.h[:, sy.FALLING] > 300) | (s.h[:, sy.RISING] > 300)) & ~s.ill
    if moving.sum() >= min(2, s.baro.sum()) > 0:
        c = int(which(moving)[0])
        yield s.find(c, "benign", "weather", max(s.h[c, sy.FALLING], s.h[c, sy.RISING]), 0.6)


def slow(s: Scene) -> Iterator[Finding]:
    """Heat, vibration, ground and water over the envelope, or moving faster than ever."""
    p = s.places
    high = np.where(p.ground, np.maximum(s.h[:, sy.HIGH], s.h[:, sy.LOW]), s.h[:, sy.HIGH])
    high = np.where(p.position, s.h[:, sy.LOW], high)
    fast = np.where(p.ground, np.maximum(s.h[:, sy.RISING], s.h[:, sy.FALLING]), s.h[:, sy.RISING])
    watched = p.water | p.ground | p.vibration | p.position | p.temperature | (p.current & p.works)
    for c in which(watched & ((high > 0) | (fast > 0)) & ~s.masked):
        if s.stepped[c] or s.h[c, sy.SILENT] or any((c, kind) in s.active for kind in ("fault", "tamper")):
            continue
        held = high[c]
        if s.raining and p.water[c] and s.excess[c] < RAIN_EXCESS:
            continue
        joined = [o for o in which((high > 0) | (fast > 0)) if o != c and watched[o] and _same_body(s, c, o)]
        if p.temperature[c] and not p.by_machine[c] and not joined and not len(_burning(s, int(c))):
            continue
        if held > SLOW_S or (fast[c] > SLOW_S and (joined or p.ground[c] or p.water[c])):
            yield s.find(c, "hazard", "slow", max(held, fast[c]), 0.7, joined[:3])


def _burning(s: Scene, c: int) -> list[int]:
    return [int(o) for o in which((s.places.toxic & s.danger) | s.air_fails) if s.places.hops[c, o] <= 3]


def _same_body(s: Scene, c: int, o: int) -> bool:
    return bool(s.places.near[c, o] and not s.ill[o])


def idle(s: Scene) -> Iterator[Finding]:
    """A pump beside water stands still for longer than it ever did."""
    p = s.places
    for c in which((s.h[:, sy.IDLE] > 60) & p.works):
        role, water = p.channels[c].role, p.water | p.position
        if not s.h[c, sy.SILENT] and (role == "pump" or (role == "machine" and (water & (p.hops[c] == 0)).any())):
            yield s.find(c, "hazard", "idle", s.h[c, sy.IDLE], 0.6)


def outage(s: Scene) -> Iterator[Finding]:
    """A whole group silent at once: its power supply, not its sensors."""
    for members in s.places.groups:
        off = s.h[members, sy.SILENT]
        if (off > 0).sum() >= max(2, 0.8 * len(members)):
            kind = "benign" if off.max() < 240.0 else "fault"
            yield s.find(int(members[0]), kind, "power", off.max(), 0.9, members[1:4])


RULES = (fans, air, calibration, blasting, gas, slow, idle, outage, weather)
