"""The parts of the agent that are built from its manifest: detectors of conditions, and the locator of tags."""

from collections.abc import Collection
from typing import Any, Protocol

import numpy as np

from drivers import Geodetic, Positions, Ranges, Sightings
from edge_agent.clock import PLAUSIBLE_US
from edge_agent.conditions import OwnConditions
from edge_agent.config import Config
from twin_wire.manifest import Manifest
from twin_wire.readings import Block, Event, Fixes, Quality
from twin_wire.structure import Structure


class Detector(Protocol):
    """What `edge_agent.detect.build` returns."""

    def feed(self, block: Block) -> list[Event]:
        """Return begin, update and end events caused by the block."""

    def active(self) -> list[dict[str, Any]]:
        """Return the active conditions, JSON-able."""

    def learned(self) -> dict[str, Any]:
        """Return what the channels taught, JSON-able."""


class Locator(Protocol):
    """What `edge_agent.position.Locator` is."""

    conditions: frozenset[str]  # the rules of its events that last

    def feed(self, arrival: Ranges | Positions | Sightings | Geodetic) -> Fixes:
        """Return positions on the roadways."""

    def look(self, now_us: int, down: Collection[str]) -> tuple[Fixes, list[Event]]:
        """Return positions that waited, and what began and ended with tags."""

    def memory(self) -> dict[str, Any]:
        """Return what has to survive a restart, JSON-able."""

    def warm_up(self) -> None:
        """Let the filter be compiled."""


def build_detector(
    manifest: Manifest, active: list[dict[str, Any]], learned: dict[str, Any], structure: Structure | None = None
) -> Detector:
    """Return the detectors of a manifest with what held and what was learned before, and where air can go."""
    from edge_agent.detect import build

    ways = structure.roadways if structure else ()
    edges = [(one.id, other.id) for one in ways for other in ways if one.end == other.start and one.id != other.id]
    return build(manifest, {"active": active, "learned": learned}, edges, background=True)


def warm_up(manifest: Manifest, locator: Locator | None) -> None:
    """Let the kernels be compiled before the first scan: later it would hold up every line for seconds."""
    if locator is not None:
        locator.warm_up()
    spare = build_detector(manifest, [], {})
    for group in manifest.groups[:1]:
        shape = (len(group.points), 1)
        time_us = np.array([PLAUSIBLE_US], np.int64)
        spare.feed(Block(group.points, time_us, np.full(shape, np.nan), np.full(shape, Quality.BAD, np.uint8)))


def build_locator(config: Config, manifest: Manifest, own: OwnConditions, inside: dict[str, Any]) -> Locator | None:
    """Return what puts tags on roadways, None where no plan or no station is configured."""
    structure = config.site.structure
    if structure is None or not (config.anchors or structure.georeference):
        return None
    from edge_agent.position import Locator as Located

    return Located(structure, manifest, [(each["rule"], each["point"]) for each in own.active()], inside)


def look_for_tags(locator: Locator, own: OwnConditions, now_us: int) -> Fixes:
    """Tell what began and ended with tags: zones, headcounts, silence; return the positions that waited."""
    fixes, events = locator.look(now_us, own.down_since())
    for event in events:
        if event.end_us and event.rule in locator.conditions:
            own.end(event.point, event.rule, event.numbers, event.end_us)
        else:
            own.begin(event)
    return fixes
