"""The engine at work on a gateway: blocks as they arrive become rows of a second, verdicts become events.

It learns by itself from the first hours, once; what it has learnt stays until an operator lets it learn anew.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from edge_agent.detect.conditions import Conditions
from edge_agent.detect.engine import Engine
from edge_agent.detect.fuse import Mark, Verdict
from edge_agent.detect.learn import Learner
from edge_agent.detect.model import Model
from edge_agent.detect.sentences import sentence
from edge_agent.detect.sites import AIR, Channel, Site
from twin_wire.manifest import PointSpec
from twin_wire.readings import Block, Event, Quality

FIRST_S, WHOLE_S = 6 * 3600.0, 24 * 3600.0  # learnt enough to begin, and for good
LATE_S = 3  # seconds a group may lag behind another
RULES = {"hazard": "hazard", "fault": "sensor_fault", "tamper": "inconsistent", "benign": "benign"}
KINDS = {rule: kind for kind, rule in RULES.items()}
SEVERITY = {"hazard": 2, "fault": 3, "tamper": 3, "benign": 4}
MARK_QUALITY = {Quality.CALIBRATING: "calibrating", Quality.BYPASSED: "bypass"}


def site_of(points: Sequence[PointSpec], edges: Iterable[tuple[str, str]] = ()) -> Site:
    """Return the site that a manifest describes; what drives what is taken from the words of the points."""
    return Site(tuple(_channel(point) for point in points), tuple(edges))


def _channel(point: PointSpec) -> Channel:
    words = f"{point.id} {point.device} {point.name}".lower()
    role = ""
    if point.quantity in ("current", "power"):
        fan = "fan" in words or "风机" in words
        role = ("fan_main" if "main" in words or "主" in words else "fan_aux") if fan else ""
        role = role or ("pump" if "pump" in words or "泵" in words else "machine")
    quantity = "wind" if point.quantity in AIR else point.quantity
    factor = {"kPa": 1000.0, "hPa": 100.0}.get(point.unit, 1.0) if quantity == "pressure" else 1.0
    limits = {f"{lim.kind}_{lim.severity}": lim.value for lim in point.limits}
    alarm = min((lim.value for lim in point.limits if lim.kind == "high"), default=float("inf"))
    return Channel(
        *(point.id, quantity, "Pa" if factor != 1.0 else point.unit, point.roadway or point.zone, point.device),
        low=float("-inf") if point.range_low is None else point.range_low * factor,
        high=float("inf") if point.range_high is None else point.range_high * factor,
        resolution=0.0 if point.raw or point.decimals is None else factor * 10.0**-point.decimals,
        limits={**limits, "alarm_high": alarm},
        role=role,
    )


_compiling: list[threading.Thread] = []  # one for the process


def _compile() -> None:
    """Run every kernel once over one channel."""
    site, blank = Site((Channel("warm-up"),)), np.full((1, 1), np.nan)
    Learner(site).feed(np.ones(1), blank)
    Engine(Model.blank(site)).feed(np.ones(1), blank)


class Verdicts:
    """Rows of all points, the model that is learnt from them, and the events of the verdicts."""

    def __init__(
        self, site: Site, points: Sequence[PointSpec], conditions: Conditions, background: bool = False
    ) -> None:
        self._background = background
        self.site, self._points, self._conditions = site, points, conditions
        self._number = {point.id: c for c, point in enumerate(points)}
        units = [("kPa", 1000.0), ("hPa", 100.0)]
        self._factor = np.array([dict(units).get(p.unit, 1.0) if c.quantity == "pressure" else 1.0
                                 for p, c in zip(points, site.channels, strict=True)])  # fmt: skip
        self._waiting: dict[int, np.ndarray] = {}
        self._done_s = 0
        self._marked: dict[tuple[str, str], float] = {}
        self._learner: Learner | None = Learner(site)
        self.engine: Engine | None = None
        self._warm = False

    def model_document(self) -> dict[str, Any] | None:
        """Return what was learnt, JSON-able; None before there is anything."""
        return {**self.engine.model.document(), "whole": self._learner is None} if self.engine else None

    def restore(self, document: Mapping[str, Any]) -> None:
        """Go on with a model learnt before."""
        self._start(Model.from_document(self.site, document))
        if document.get("whole"):
            self._learner = None

    def relearn(self) -> None:
        """Forget nothing yet, but learn anew: the new model takes over when it has seen enough."""
        self._learner = Learner(self.site)

    def feed(self, block: Block) -> list[Event]:
        """Take a block of one group; rows are judged once every group has had its chance to arrive."""
        if not self._warm and not self._warm_up():
            return []
        places = [self._number[point] for point in block.points]
        for t, time_us in enumerate(block.time_us.tolist()):
            second = time_us // 1_000_000
            if second <= self._done_s:
                continue
            row = self._waiting.setdefault(second, np.full(len(self._points), np.nan))
            values = block.value[:, t] * self._factor[places]
            row[places] = np.where(np.isfinite(values), values, row[places])
        marks = self._marks(block)
        newest = int(block.time_us[-1]) // 1_000_000
        due = sorted(second for second in self._waiting if second < newest - LATE_S)
        if not due:
            return []
        self._done_s = due[-1]
        return self._row(np.array(due, float), np.stack([self._waiting.pop(second) for second in due]), marks)

    def _warm_up(self) -> bool:
        """Return whether the kernels are compiled; in the background no line waits for it, and rows pass unjudged."""
        if not self._background:
            _compile()
        elif not _compiling:
            _compiling.append(threading.Thread(target=_compile, name="kernels", daemon=True))
            _compiling[0].start()
        self._warm = not self._background or not _compiling[0].is_alive()
        return self._warm

    def _marks(self, block: Block) -> list[Mark]:
        """Return marks that show in the quality of the readings for the first time in ten minutes."""
        found = []
        for quality, kind in MARK_QUALITY.items():
            for c in np.flatnonzero((block.quality == quality).any(axis=1)).tolist():
                now = float(block.time_us[-1]) / 1e6
                key = block.points[c], kind
                if now - self._marked.get(key, -1e18) > 60.0:
                    self._marked[key] = now
                    found.append(Mark(now, now + 60.0, block.points[c], kind))
        return found

    def _row(self, time_s: np.ndarray, values: np.ndarray, marks: list[Mark]) -> list[Event]:
        events: list[Event] = []
        if self.engine is not None:
            begun = self.engine.feed(time_s, values, marks)
            events += [self._conditions.begin(self._event(verdict)) for verdict in begun]
            for verdict in self.engine.fuse.take_ended():
                numbers = {"held_s": verdict.end_s - verdict.time_s}
                point, rule = self._points[verdict.point].id, RULES[verdict.kind]
                ended = self._conditions.end(point, rule, round(verdict.end_s * 1e6), numbers)
                events += [ended] if ended else []
        if self._learner is not None:
            self._learn(time_s, values)
        return events

    def _learn(self, time_s: np.ndarray, values: np.ndarray) -> None:
        learner = self._learner
        if learner is None:
            return
        learner.feed(time_s, values)
        if learner.seconds >= WHOLE_S:
            self._start(learner.fit())
            self._learner = None
        elif self.engine is None and learner.seconds >= FIRST_S:
            self._start(learner.fit())

    def _start(self, model: Model) -> None:
        self.engine = Engine(model)
        for c, point in enumerate(self._points):
            for kind, rule in RULES.items():
                event = self._conditions.find(point.id, rule)
                if event is not None:
                    begin_s = event.begin_us / 1e6
                    self.engine.fuse.adopt(Verdict(begin_s, c, kind, 0.0, "", begin_s, dict(event.numbers)))

    def _event(self, verdict: Verdict) -> Event:
        channels, engine = self.site.channels, self.engine
        version = engine.model.version if engine else ""
        text = f"{sentence(verdict, channels)} / {sentence(verdict, channels, chinese=True)}"
        numbers = {**verdict.numbers, "score": verdict.score}
        begin_us = round(min(verdict.begin_s, verdict.time_s) * 1e6)
        return Event(
            *(RULES[verdict.kind], SEVERITY[verdict.kind], self._points[verdict.point].id, begin_us, 0),
            *(f"{verdict.rule}/1+{version}", numbers, text),
        )
