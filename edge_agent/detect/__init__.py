"""Hazards and faults seen on the gateway: limits first and always, then what the shape of a channel says."""

import importlib
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from edge_agent.detect.conditions import Conditions, rule_of
from edge_agent.detect.live import RULES, Verdicts, site_of
from twin_wire.manifest import Manifest, PointSpec
from twin_wire.readings import Block, Event

OFF = "verdicts_off"  # the rule that says that only limits are watched
MODEL = "#model"  # beside the points in what was learned
DETECTORS = {"limits": "edge_agent.detect.limits:Limits", "shape": "edge_agent.detect.shape:Shape"}


log = logging.getLogger(__name__)


class GroupDetector(Protocol):
    """Watches one poll group; a class in DETECTORS is called with (points, conditions)."""

    def feed(self, block: Block) -> list[Event]:
        """Return begins, updates and ends caused by the block."""


def _load(name: str) -> Any:
    module, _, attribute = DETECTORS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


class Detector:
    """All detectors of a gateway; blocks whose points are no group of the manifest pass unwatched."""

    def __init__(
        self,
        manifest: Manifest,
        state: Mapping[str, Any] | None = None,
        edges: Iterable[tuple[str, str]] = (),
        background: bool = False,
    ) -> None:
        state = state or {}
        self._conditions = Conditions()
        self._conditions.load(state.get("active", ()))
        self._retired = not state.get("active")
        self._points = manifest.points
        by_id = {p.id: p for p in manifest.points}
        self._groups: dict[tuple[str, ...], dict[str, GroupDetector]] = {}
        for group in manifest.groups:
            points: tuple[PointSpec, ...] = tuple(by_id[p] for p in group.points)
            self._groups[group.points] = {name: _load(name)(points, self._conditions) for name in DETECTORS}
        self._verdicts = Verdicts(site_of(manifest.points, edges), manifest.points, self._conditions, background)
        learned = dict(state.get("learned", {}))
        model = learned.pop(MODEL, None)
        self._broken = ""  # why there are no verdicts; limits go on alone
        if model:
            self.restore_model(model)
        self._restore(learned)

    def feed(self, block: Block) -> list[Event]:
        """Return begin and end events; a begin repeats the begin_us of a condition that was active before a restart."""
        if block.points not in self._groups or not len(block.time_us):
            return []
        events = [] if self._retired else self._retire(int(block.time_us[-1]))
        block = block._replace(value=np.ascontiguousarray(block.value, np.float64))
        events += [e for watcher in self._groups[block.points].values() for e in watcher.feed(block)]
        return events + self._judged(block)

    def restore_model(self, document: Mapping[str, Any]) -> None:
        """Go on with a model learnt before; one that cannot be read ends the verdicts, never the limits."""
        try:
            self._verdicts.restore(document)
        except Exception as error:  # the boundary: see _judged
            self._broken = f"what was learnt cannot be read: {error!r}"
            log.exception("the model cannot be read, limits go on alone")

    def _judged(self, block: Block) -> list[Event]:
        """Return the events of verdicts; a failure ends the verdicts until a restart and is told once."""
        if not self._broken:
            try:
                return self._verdicts.feed(block)
            except Exception as error:  # the boundary: what only advises must not hold up a limit or a line
                self._broken = repr(error)
                log.exception("verdicts failed, limits go on alone")
        if self._conditions.find("", OFF):
            return []
        text = f"verdicts are off until the agent is started again, limits go on: {self._broken}"[:500]
        return [self._conditions.begin(Event(OFF, 4, "", int(block.time_us[-1]), 0, "rule/1", {}, text))]

    def relearn(self) -> None:
        """Learn anew what is usual; what was learnt goes on judging until the new model has seen enough."""
        self._verdicts.relearn()

    def _retire(self, time_us: int) -> list[Event]:
        """End the conditions of an earlier configuration that none of today's rules can end."""
        self._retired = True
        known = {(p, rule) for points in self._groups for p in points for rule in ("rate", *RULES.values())}
        known |= {(p.id, rule_of(lim)) for p in self._points for lim in p.limits}
        orphans = [d for d in self._conditions.dump() if (d["point"], d["rule"]) not in known]
        ends = [self._conditions.end(d["point"], d["rule"], time_us, {"no_longer_configured": 1.0}) for d in orphans]
        return [e for e in ends if e is not None]

    def active(self) -> list[dict[str, Any]]:
        """Return the active conditions as JSON-able documents; they belong into the queue's transaction."""
        return self._conditions.dump()

    def learned(self) -> dict[str, Any]:
        """Return what the channels taught, JSON-able, keyed by point: {point: {name: number}}."""
        out: dict[str, Any] = {}
        for points, watchers in self._groups.items():
            arrays: dict[str, np.ndarray] = getattr(watchers["shape"], "state", {})
            for c, point in enumerate(points):
                out[point] = {n: (None if a[c] != a[c] else a[c].item()) for n, a in arrays.items()}
        model = None if self._broken else self._verdicts.model_document()
        return {**out, MODEL: model} if model else out

    def _restore(self, learned: Mapping[str, Mapping[str, float | None]]) -> None:
        for points, watchers in self._groups.items():
            arrays: dict[str, np.ndarray] = getattr(watchers["shape"], "state", {})
            for c, point in enumerate(points):
                for name, number in learned.get(point, {}).items():
                    if name in arrays:
                        arrays[name][c] = np.nan if number is None else number


def build(
    manifest: Manifest,
    state: Mapping[str, Any] | None = None,
    edges: Iterable[tuple[str, str]] = (),
    background: bool = False,
) -> Detector:
    """Return the detector for the manifest; state is {"active": active(), "learned": learned()} of an earlier run.

    edges are pairs of places: air or water flows from the first to the second. In the background kernels of verdicts
    are compiled beside the work, which goes unjudged until then; limits never wait.
    """
    return Detector(manifest, state, edges, background)
