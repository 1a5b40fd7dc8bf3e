"""Worn tags on the roadways: ranges, sightings and satellite positions become fixes, and fixes become events."""

from edge_agent.position.locator import Locator
from edge_agent.position.presence import RULES, active_of

__all__ = ["RULES", "Locator", "active_of"]
