"""Rate of rise: what the slope of one channel says by itself, from the first minutes on."""

import numpy as np

import edge_agent.detect.kernels as kernels
from edge_agent.detect.conditions import Conditions
from twin_wire.manifest import PointSpec
from twin_wire.readings import Block, Event

RATE_DEFAULT_PER_MIN = {
    "CH4": 0.05,
    "CO": 5.0,
}  # ours, plausible, not from a standard; a manifest limit of kind rate rules
RATE_SETTLE_US, RATE_HOLD_US = 120_000_000, 20_000_000


class Shape:
    """The slope of every channel of one poll group; its state is bounded and survives a restart."""

    def __init__(self, points: tuple[PointSpec, ...], conditions: Conditions) -> None:
        count = len(points)
        self._points, self._conditions = points, conditions
        rates = [next((lim for lim in p.limits if lim.kind == "rate"), None) for p in points]
        usual = [RATE_DEFAULT_PER_MIN.get(p.quantity, np.inf) for p in points]
        self._rate = np.array([lim.value if lim else rate for lim, rate in zip(rates, usual, strict=True)])
        self._severity = [lim.severity if lim else 3 for lim in rates]
        self.state: dict[str, np.ndarray] = {
            **{name: np.zeros(count, np.int64) for name in ("slope_us", "born_us", "rate_since_us")},
            **{name: np.zeros(count) for name in ("fast", "slow")},
        }

    def feed(self, block: Block) -> list[Event]:
        """Return the begins and ends of rates, row by row."""
        if not len(block.time_us):
            return []
        s, x, t = self.state, block.value, block.time_us
        per_min = np.empty_like(x)
        np.copyto(s["born_us"], t[0], where=(s["born_us"] == 0) & np.isfinite(x).any(axis=1))
        kernels.slope(x, t, s["slope_us"], s["fast"], s["slow"], per_min)
        return [e for row in range(len(t)) for e in self._rates(per_min[:, row], x[:, row], int(t[row]))]

    def _rates(self, per_min: np.ndarray, value: np.ndarray, now: int) -> list[Event]:
        """Begin what stayed beyond for long enough, end what is back; a missing sample leaves all as it is."""
        since, known = self.state["rate_since_us"], ~np.isnan(per_min)
        beyond = (per_min >= self._rate) & (now - self.state["born_us"] > RATE_SETTLE_US)
        back = per_min < self._rate / 2
        np.copyto(since, now, where=beyond & (since == 0))
        np.copyto(since, 0, where=known & ~beyond & (since > 0) & back)
        due = np.flatnonzero(beyond & (now - since >= RATE_HOLD_US)).tolist()
        fresh = [c for c in due if self._conditions.find(self._points[c].id, "rate") is None]
        events = [self._conditions.begin(self._event(c, int(since[c]), per_min[c], value[c])) for c in fresh]
        for c in np.flatnonzero(known & back).tolist():
            ended = self._conditions.end(self._points[c].id, "rate", now, {"score_at_end": float(per_min[c])})
            events += [ended] if ended else []
        return events

    def _event(self, c: int, begin_us: int, per_min: float, value: float) -> Event:
        p, name = self._points[c], self._points[c].name or self._points[c].id
        text = f"{name}: rising {per_min:.3g} {p.unit} per minute, limit {self._rate[c]:g}"
        numbers = {"per_min": float(per_min), "limit": float(self._rate[c]), "value": float(value)}
        return Event("rate", self._severity[c], p.id, begin_us, 0, "rate/1", numbers, text)
