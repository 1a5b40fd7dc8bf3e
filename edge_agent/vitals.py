"""Counts how the agent itself is doing: per period as points in the stream, at any time for page and /metrics."""

import math
from typing import TYPE_CHECKING

from edge_agent.health import (
    HEALTH_PERIOD_S,
    Health,
    cpu_s,
    disk_free_mb,
    health_block,
    health_points,
    memory_mb,
    offline_budget_s,
)
from twin_wire.readings import Block

if TYPE_CHECKING:
    from edge_agent.agent import Agent

RATE_S = 3_600.0  # memory of the write rate


class Vitals:
    """Rates and totals of one run; belongs to the event loop."""

    def __init__(self, agent: "Agent") -> None:
        self._agent = agent
        self._points = health_points(agent.config.gateway.id, [link.id for link in agent.config.links])
        self._looked_s = self._rated_s = agent.clock.monotonic_s()
        self._cpu_s = cpu_s()
        self._samples = 0
        self._busy_s = [0.0] * len(agent.config.links)
        self._written_bytes = 0
        self.bytes_per_s = 0.0  # written to the queue, an hour's average
        self.loads = [0.0] * len(agent.config.links)
        self.health = Health(*[math.nan] * len(Health._fields))

    def look(self) -> Block | None:
        """Return a row of the gateway's own points when a period has passed."""
        agent, now_s = self._agent, self._agent.clock.monotonic_s()
        passed_s = now_s - self._looked_s
        if passed_s < HEALTH_PERIOD_S:
            return None
        self._looked_s = now_s
        self._rate(now_s)
        busy_s = [poller.busy_s for poller in agent.pollers]
        self.loads = [min(1.0, (b - a) / passed_s) for a, b in zip(self._busy_s, busy_s, strict=True)]
        self._busy_s = busy_s
        used_s, samples = cpu_s(), agent.samples
        self.health = Health(
            queue_batches=float(agent.store.unsent),
            queue_size=agent.store.fill.used_bytes / 1e3,
            offline_budget=self.budget_s() / 3_600,
            cpu=100 * (used_s - self._cpu_s) / passed_s,
            memory=memory_mb(),
            disk_free=disk_free_mb(agent.config.state),
            clock_error=agent.watch.clock.error_us / 1e3 if agent.watch.clock.error_us >= 0 else math.nan,
            samples=(samples - self._samples) / passed_s,
            scans_missed=float(self.scans_missed()),
            answers_lost=float(self.answers_lost()),
            poll_late=1e3 * max((turn.late_s for p in agent.pollers for turn in p.turns), default=0.0),
            round_trip=agent.uplink.round_trip_ms,
            uptime=now_s - agent.started_s,
        )
        self._cpu_s, self._samples = used_s, samples
        for poller in agent.pollers:
            for turn in poller.turns:
                turn.late_s = 0.0
        return health_block(self._points, self.health, self.loads, agent.clock.time_us())

    def _rate(self, now_s: float) -> None:
        """Follow the write rate: quickly at first, then with an hour's memory."""
        passed_s, written = now_s - self._rated_s, self._agent.store.written_bytes
        fresh = (written - self._written_bytes) / passed_s
        share = passed_s / min(RATE_S, max(passed_s, now_s - self._agent.started_s))
        self.bytes_per_s += share * (fresh - self.bytes_per_s)
        self._rated_s, self._written_bytes = now_s, written

    def unsent_bytes(self) -> float:
        """Return about how many bytes the server lacks."""
        fill = self._agent.store.fill
        return fill.used_bytes * self._agent.store.unsent / max(1, fill.batches)

    def budget_s(self) -> float:
        """Return how long the queue could go on without the server."""
        return offline_budget_s(self._agent.store.fill.quota_bytes, self.unsent_bytes(), self.bytes_per_s)

    def scans_missed(self) -> int:
        """Return the scans skipped since the start because their period had passed."""
        return sum(turn.missed for poller in self._agent.pollers for turn in poller.turns)

    def answers_lost(self) -> int:
        """Return the answers that did not come, or came broken, since the start."""
        stats = [turn.source.stats for poller in self._agent.pollers for turn in poller.turns]
        return sum(s.timeouts + s.crc_errors + s.rejected + s.exceptions for s in stats)
