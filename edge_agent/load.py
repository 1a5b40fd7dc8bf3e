"""What a plan would ask of each line before anybody polls it: its share of the line's time, and what period would fit.

The times are the drivers' own predictions (frames, silences, the answer time a profile declares), within a few percent
on a paced line; a device slower than its profile says is found by the running agent.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import drivers
from edge_agent.clock import SystemClock
from edge_agent.config import Config

FULL = 0.9  # the rest is for answers that have to be asked for twice


class Demand(NamedTuple):
    """One poll group: how long a scan occupies the line, and how often it is wanted."""

    scan_s: float
    period_s: float


class Load(NamedTuple):
    """The prediction for one line; `needs_s` is 0 if every period can be kept, else the shortest one that fits."""

    utilisation: float
    fastest_s: float
    needs_s: float


def predicted_load(demands: Iterable[Demand]) -> Load:
    """Return the load of one line; slower groups keep their period when the fast ones have to be slowed down."""
    waiting = sorted((d for d in demands if d.scan_s > 0), key=lambda demand: demand.period_s)
    utilisation = sum(d.scan_s / d.period_s for d in waiting)
    fastest_s = waiting[0].period_s if waiting else 0.0
    if utilisation <= FULL:
        return Load(utilisation, fastest_s, 0.0)
    slowed_s, needs_s = 0.0, math.inf
    for place, demand in enumerate(waiting):
        slowed_s += demand.scan_s
        rest = sum(d.scan_s / d.period_s for d in waiting[place + 1 :])
        needs_s = slowed_s / (FULL - rest) if rest < FULL else math.inf
        if place + 1 == len(waiting) or needs_s <= waiting[place + 1].period_s:
            break
    return Load(utilisation, fastest_s, math.ceil(needs_s * 10 - 1e-9) / 10)


async def link_loads(config: Config) -> list[tuple[str, Load]]:
    """Return (link, load) of every link that asks; opens no port. ConfigError if a driver cannot use its options."""
    loads = []
    for link in config.links:
        opened = await drivers.open_link(link.kind, link.options, SystemClock())
        try:
            sources = opened.sources(config.device_options(link.id), config.point_options(link.id))
            demands = [Demand(source.pace().scan_s, source.group.period_s) for source in sources]
            if not opened.listen_only:
                loads.append((link.id, predicted_load(demands)))
        finally:
            await opened.close()
    return loads


def load_text(load: Load) -> str:
    """Return the prediction in one sentence, for check, doctor and the page."""
    text = f"predicted {load.utilisation:.0%} of the line's time"
    if load.needs_s:
        text += f": this bus cannot do {load.fastest_s:g} s, it needs {load.needs_s:g} s"
    return text


def load_advice(load: Load) -> str:
    """Return what to do about a line that is too full, "" if it is not."""
    if not load.needs_s:
        return ""
    return f"set period_s = {load.needs_s:g} or more, raise the baud rate, or put some devices on another port"
