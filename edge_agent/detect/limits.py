"""Limits with hysteresis and delay: the unconditional path, which no other detector may delay or clear."""

import numpy as np

import edge_agent.detect.kernels as kernels
from edge_agent.detect.conditions import Conditions, rule_of
from twin_wire.manifest import PointSpec
from twin_wire.readings import Block, Event

NAME = "limits/1"
KINDS = {"high": 1, "low": -1}


class Limits:
    """All limits of one poll group, in C point order."""

    def __init__(self, points: tuple[PointSpec, ...], conditions: Conditions) -> None:
        self._points, self._conditions = points, conditions
        self._rules = [(c, lim) for c, p in enumerate(points) for lim in p.limits if lim.kind in KINDS]
        kinds = [(c, KINDS[lim.kind], lim) for c, lim in self._rules]
        self._column = np.array([c for c, _, _ in kinds], np.int64)
        self._sign = np.array([s for _, s, _ in kinds], np.float64)
        self._limit = np.array([lim.value for _, _, lim in kinds], np.float64)
        self._restore = np.array([lim.restore for _, _, lim in kinds], np.float64)
        self._delay_us = np.array([round(lim.delay_s * 1e6) for _, _, lim in kinds], np.int64)
        known = [conditions.find(points[c].id, rule_of(lim)) for c, lim in self._rules]
        self._active = np.array([e is not None for e in known], np.uint8)
        self._since_us = np.array([e.begin_us if e else 0 for e in known], np.int64)

    def feed(self, block: Block) -> list[Event]:
        """Return the begins and ends that the block's rows cause, in time order."""
        count, rows = len(self._rules), len(block.time_us)
        if not count or not rows:
            return []
        rule, row, change = (np.empty(count * (rows + 1), np.int64) for _ in range(3))
        found = kernels.limits(
            *(block.value, block.time_us, self._column, self._sign, self._limit, self._restore, self._delay_us),
            *(self._active, self._since_us, rule, row, change),
        )
        order = np.argsort(row[:found], kind="stable")
        events = [self._event(block, int(rule[i]), int(row[i]), int(change[i])) for i in order]
        return [e for e in events if e is not None]

    def _event(self, block: Block, k: int, t: int, change: int) -> Event | None:
        c, limit = self._rules[k]
        point, value, time_us = self._points[c], float(block.value[c, t]), int(block.time_us[t])
        if change < 0:
            return self._conditions.end(point.id, rule_of(limit), time_us, {"restored_at": value})
        side, begin_us = ("at or above", "at or below")[limit.kind == "low"], int(self._since_us[k])
        numbers = {"value": value, "limit": limit.value, "restore": limit.restore, "delay_s": limit.delay_s}
        text = f"{point.name or point.id}: {value:g} {point.unit} is {side} the limit {limit.value:g} ({limit.source})"
        return self._conditions.begin(Event(rule_of(limit), limit.severity, point.id, begin_us, 0, NAME, numbers, text))
