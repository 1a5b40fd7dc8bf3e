"""Slow, obvious versions of the detection kernels, one sample at a time with plain Python numbers."""

import math


def limits(rows, rules, state):
    """rows: [(time_us, [value per channel])]; rules: [(channel, sign, limit, restore, delay_us)]; state: a dict a rule.

    Returns {(rule, row): +1 or -1} and leaves {"active", "since"} in the state.
    """
    found = {}
    for t, (now, values) in enumerate(rows):
        for k, (channel, sign, limit, restore, delay_us) in enumerate(rules):
            value, mine = values[channel], state[k]
            if math.isnan(value):
                continue
            beyond = value >= limit if sign > 0 else value <= limit
            back = value < restore if sign > 0 else value > restore
            if mine["active"]:
                if back:
                    mine.update(active=False, since=0)
                    found[k, t] = -1
            elif not beyond:
                mine["since"] = 0
            else:
                mine["since"] = mine["since"] or now
                if now - mine["since"] >= delay_us:
                    mine["active"] = True
                    found[k, t] = 1
    return found


def slope(samples):
    """samples: [(time_us, value)] of one channel; the slope per minute after each."""
    out, fast, slow, last = [], None, None, None
    for now, value in samples:
        if math.isnan(value):
            out.append(math.nan)
            continue
        if last is None:
            fast = slow = value
        else:
            dt = max(now - last, 0)
            fast = fast + (1 - math.exp(-dt / 8e6)) * (value - fast)
            slow = slow + (1 - math.exp(-dt / 60e6)) * (value - slow)
        last = now
        out.append((fast - slow) * 60e6 / 52e6)
    return out


def robust_z(samples, floor):
    """samples: [(time_us, value)] of one channel; the clipped-mean z of each."""
    out, mean, spread, last = [], None, None, None
    for now, value in samples:
        if math.isnan(value):
            out.append(math.nan)
            continue
        if last is None:
            mean, spread = value, floor
        width = max(spread, floor)
        z = (value - mean) / width
        out.append(z)
        a = 1 - math.exp(-max(now - last, 0) / 1800e6) if last is not None else 0
        clipped = max(-4.0, min(4.0, z))
        mean = mean + a * clipped * width
        spread = math.sqrt(spread**2 + a * ((clipped * width) ** 2 - spread**2))
        last = now
    return out


def flat(samples):
    """samples: [(time_us, value)] of one channel; (present run in µs, longest ended run in µs)."""
    known = [(t, v) for t, v in samples if not math.isnan(v)]
    runs, begin = [], 0
    for i in range(1, len(known) + 1):
        if i == len(known) or known[i][1] != known[begin][1]:
            runs.append((known[begin][0], known[min(i, len(known) - 1)][0]))
            begin = i
    if not runs:
        return 0, 0
    ended = [end - start for start, end in runs[:-1]]
    return known[-1][0] - runs[-1][0], max(ended, default=0)
