"""Rate of rise, robust z and stuck: what the shape of one channel says, learned from that channel itself."""

import numpy as np

from edge_agent.detect import kernels
from edge_agent.detect.conditions import Conditions
from twin_wire.manifest import PointSpec
from twin_wire.readings import Block, Event

RATE_DEFAULT_PER_MIN = {
    "CH4": 0.05,
    "CO": 5.0,
}  # ours, plausible, not from a standard; a manifest limit of kind rate rules
RATE_SETTLE_US, RATE_HOLD_US = 120_000_000, 20_000_000
Z_RAISE, Z_CLEAR, Z_HOLD_US = 6.0, 3.0, 30_000_000
LEARN_US = (
    6 * 3600 * 1_000_000
)  # detection.md: a healthy methane head was flat for 706 min, so nothing is stuck unlearned
STUCK_LEAST_US = 120_000_000
NEIGHBOUR_STEPS = 3.0


class Shape:
    """The slow, learning detectors of one poll group; their state is bounded and survives a restart."""

    def __init__(self, points: tuple[PointSpec, ...], conditions: Conditions) -> None:
        count = len(points)
        self._points, self._conditions = points, conditions
        self._step = np.array([10.0 ** -(p.decimals or 0) for p in points], np.float64)
        rates = [next((lim for lim in p.limits if lim.kind == "rate"), None) for p in points]
        self._rate = np.array(
            [
                lim.value if lim else RATE_DEFAULT_PER_MIN.get(p.quantity, np.inf)
                for p, lim in zip(points, rates, strict=True)
            ]
        )
        self._rate_severity = [lim.severity if lim else 3 for lim in rates]
        self.state: dict[str, np.ndarray] = {
            **{name: np.zeros(count, np.int64) for name in ("slope_us", "z_us", "flat_us", "longest_us", "born_us")},
            **{name: np.zeros(count, np.int64) for name in ("rate_since_us", "z_since_us")},
            **{name: np.zeros(count) for name in ("fast", "slow", "mean", "spread")},
            "held": np.full(count, np.nan),
        }

    def feed(self, block: Block) -> list[Event]:
        """Return the begins and ends of rate, deviation and stuck that the block's last row settles."""
        if not len(block.time_us):
            return []
        s, x, t = self.state, block.value, block.time_us
        per_min, z, run_us = np.empty_like(x), np.empty_like(x), np.empty(x.shape[0], np.int64)
        np.copyto(s["born_us"], t[0], where=(s["born_us"] == 0) & np.isfinite(x).any(axis=1))
        kernels.slope(x, t, s["slope_us"], s["fast"], s["slow"], per_min)
        kernels.robust_z(x, t, self._step, s["z_us"], s["mean"], s["spread"], z)
        kernels.flat(x, t, s["held"], s["flat_us"], s["longest_us"], run_us)
        events: list[Event] = []
        for row in range(len(t)):
            now = int(t[row])
            events += self._rates(per_min[:, row], x[:, row], now)
            events += self._deviations(z[:, row], x[:, row], now)
        return events + self._stuck(run_us, x, int(t[-1]))

    def _rates(self, per_min: np.ndarray, value: np.ndarray, now: int) -> list[Event]:
        settled = now - self.state["born_us"] > RATE_SETTLE_US
        beyond = (per_min >= self._rate) & settled
        return self._held("rate", beyond, per_min < self._rate / 2, RATE_HOLD_US, per_min, value, now)

    def _deviations(self, z: np.ndarray, value: np.ndarray, now: int) -> list[Event]:
        learned = now - self.state["born_us"] > LEARN_US
        return self._held("deviation", (np.abs(z) >= Z_RAISE) & learned, np.abs(z) < Z_CLEAR, Z_HOLD_US, z, value, now)

    def _held(
        self,
        rule: str,
        beyond: np.ndarray,
        back: np.ndarray,
        hold_us: int,
        score: np.ndarray,
        value: np.ndarray,
        now: int,
    ) -> list[Event]:
        """Begin what stayed beyond for hold_us, end what is back; NaN scores leave all as it is."""
        since = self.state["rate_since_us" if rule == "rate" else "z_since_us"]
        known = ~np.isnan(score)
        np.copyto(since, now, where=beyond & (since == 0))
        np.copyto(since, 0, where=known & ~beyond & (since > 0) & back)
        events = []
        for c in np.flatnonzero(beyond & (now - since >= hold_us)):
            point = self._points[c].id
            if self._conditions.find(point, rule) is None:
                events.append(self._conditions.begin(self._event(rule, int(c), int(since[c]), score[c], value[c])))
        for c in np.flatnonzero(known & back):
            ended = self._conditions.end(self._points[c].id, rule, now, {"score_at_end": float(score[c])})
            events += [ended] if ended else []
        return events

    def _event(self, rule: str, c: int, begin_us: int, score: float, value: float) -> Event:
        p, name = self._points[c], self._points[c].name or self._points[c].id
        if rule == "rate":
            text = f"{name}: rising {score:.3g} {p.unit} per minute, limit {self._rate[c]:g}"
            numbers = {"per_min": float(score), "limit": float(self._rate[c]), "value": float(value)}
            return Event(rule, self._rate_severity[c], p.id, begin_us, 0, "rate/1", numbers, text)
        mean, spread = float(self.state["mean"][c]), float(self.state["spread"][c])
        text = f"{name}: {value:g} {p.unit}, {abs(score):.0f} times its usual spread from its usual {mean:.3g}"
        numbers = {"z": float(score), "mean": mean, "spread": spread, "value": float(value)}
        return Event(rule, 4, p.id, begin_us, 0, "robust-z/1", numbers, text)

    def _stuck(self, run_us: np.ndarray, x: np.ndarray, now: int) -> list[Event]:
        """Flat beyond three times its own longest run, while most others of its quantity moved: signal inconsistent."""
        s, events = self.state, []
        moving = np.isfinite(x[:, -1]) & (np.abs(s["fast"] - s["slow"]) > NEIGHBOUR_STEPS * self._step)
        threshold = np.maximum(3 * s["longest_us"] + 30_000_000, STUCK_LEAST_US)
        suspects = (run_us > threshold) & (now - s["born_us"] > LEARN_US)
        for c in np.flatnonzero(suspects):
            p = self._points[c]
            peers = [i for i, q in enumerate(self._points) if q.quantity == p.quantity and i != c]
            if (
                peers
                and 2 * sum(bool(moving[i]) for i in peers) > len(peers)
                and not self._conditions.find(p.id, "stuck")
            ):
                numbers = {"flat_s": run_us[c] / 1e6, "longest_s": s["longest_us"][c] / 1e6, "value": float(x[c, -1])}
                minutes = run_us[c] / 60e6
                text = f"{p.name or p.id}: unchanged for {minutes:.0f} min while its neighbours move; check on site"
                event = Event("stuck", 4, p.id, now - int(run_us[c]), 0, "stuck/1", numbers, text)
                events.append(self._conditions.begin(event))
        for c in np.flatnonzero(run_us < STUCK_LEAST_US):
            ended = self._conditions.end(self._points[c].id, "stuck", now, {}) if np.isfinite(x[c, -1]) else None
            events += [ended] if ended else []
        return events
