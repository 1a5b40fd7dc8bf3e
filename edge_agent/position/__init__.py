"""Worn tags on the roadways: ranges, sightings and satellite positions become fixes, and fixes become events."""

from edge_agent.position.locator import Locator

__all__ = ["Locator"]
