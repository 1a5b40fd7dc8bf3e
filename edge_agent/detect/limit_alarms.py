"""Statutory limits over plain arrays for a backtest: the kernel of the live path with the limits of site.json."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import edge_agent.detect.kernels as kernels
from edge_agent.detect.sites import Site

Array = NDArray[Any]
SIGNS = {"alarm_high": 1.0, "alarm_high_high": 1.0, "warn_high": 1.0, "alarm_low": -1.0, "warn_low": -1.0}


class Begun(NamedTuple):
    """A limit that begins to be passed."""

    time_s: float
    point: int
    text: str


class LimitAlarms:
    """All limits of a site."""

    def __init__(self, site: Site) -> None:
        self._rules = [
            (c, SIGNS[name], value, name)
            for c, channel in enumerate(site.channels)
            for name, value in channel.limits.items()
            if name in SIGNS
        ]
        self._site = site
        self._column = np.array([rule[0] for rule in self._rules], np.int64)
        self._sign = np.array([rule[1] for rule in self._rules], np.float64)
        self._limit = np.array([rule[2] for rule in self._rules], np.float64)
        self._restore = self._limit * (1.0 - 0.05 * self._sign)
        self._delay = np.zeros(len(self._rules), np.int64)
        self._active, self._since = np.zeros(len(self._rules), np.uint8), np.zeros(len(self._rules), np.int64)

    def feed(self, time_s: Array, values: Array) -> list[Begun]:
        """Return the limits that begin to be passed in rows [T, C], in time order."""
        if not self._rules or not len(time_s):
            return []
        x = np.ascontiguousarray(values.T, np.float64)
        time_us = np.round(time_s * 1e6).astype(np.int64)
        rule, row, change = (np.empty(len(self._rules) * (len(time_s) + 1), np.int64) for _ in range(3))
        count = kernels.limits(
            *(x, time_us, self._column, self._sign, self._limit, self._restore, self._delay),
            *(self._active, self._since, rule, row, change),
        )
        order = np.lexsort((rule[:count], row[:count]))
        return [self._begun(int(rule[i]), float(time_s[row[i]]), float(x[self._column[rule[i]], row[i]]))
                for i in order if change[i] > 0]  # fmt: skip

    def _begun(self, k: int, time_s: float, value: float) -> Begun:
        c, sign, limit, name = self._rules[k]
        channel = self._site.channels[c]
        side = "at or above" if sign > 0 else "at or below"
        return Begun(time_s, c, f"{channel.id}: {value:.4g} {channel.unit} is {side} the limit {limit:g} ({name})")
