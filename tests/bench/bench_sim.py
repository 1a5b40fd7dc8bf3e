"""The simulator without wires: seconds lived a second, and what an episode with its truth costs, per kind of site."""

import time
from pathlib import Path

from hardware_sim.episodes import QUIET, Order, Studio
from hardware_sim.site import build_site
from hardware_sim.sites import SITES

PROFILES = Path(__file__).parents[2] / "drivers" / "profiles"
ROWS = 7200


def run() -> list[tuple[str, str, str, float]]:
    """Return (what, value, baseline, ratio)."""
    rows: list[tuple[str, str, str, float]] = []
    for kind in SITES:
        studio = Studio(build_site(PROFILES, kind), 1)
        lived_s = ROWS / _took(studio, Order("bench", QUIET, 1.0, 50_000.0, ROWS, ()))
        what = f"{kind}: {len(studio.channels)} channels at 1 Hz, one core"
        rows.append((what, f"{lived_s:.0f} s/s", "real time", lived_s))
    return rows


def _took(studio: Studio, order: Order) -> float:
    begun_s = time.process_time()
    studio.live(order)
    return time.process_time() - begun_s
