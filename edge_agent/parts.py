"""The parts of the agent that are built from its manifest: detectors of conditions, and the locator of tags."""

from typing import Any, Protocol

import numpy as np

from drivers import Geodetic, Positions, Ranges, Sightings
from edge_agent.clock import PLAUSIBLE_US
from edge_agent.config import Config
from twin_wire.manifest import Manifest
from twin_wire.readings import Block, Event, Fixes, Quality


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

    def feed(self, arrival: Ranges | Positions | Sightings | Geodetic) -> Fixes:
        """Return positions on the roadways."""


def build_detector(manifest: Manifest, active: list[dict[str, Any]], learned: dict[str, Any]) -> Detector:
    """Return the detectors of a manifest with what held and what was learned before."""
    from edge_agent.detect import build

    return build(manifest, {"active": active, "learned": learned})


def warm_up(manifest: Manifest) -> None:
    """Let the kernels be compiled before the first scan: later it would hold up every line for seconds."""
    spare = build_detector(manifest, [], {})
    for group in manifest.groups[:1]:
        shape = (len(group.points), 1)
        time_us = np.array([PLAUSIBLE_US], np.int64)
        spare.feed(Block(group.points, time_us, np.full(shape, np.nan), np.full(shape, Quality.BAD, np.uint8)))


def build_locator(config: Config, manifest: Manifest) -> Locator | None:
    """Return what puts tags on roadways, None where no plan or no station is configured."""
    if config.site.structure is None or not config.anchors:
        return None
    from edge_agent.position import Locator as Located

    return Located(config.site.structure, manifest)
