"""Reads a source as the poll loop does, and the sources of one device whose registers hold their addresses."""

import asyncio

from drivers import DeviceOptions, Link, PointOptions, Source
from drivers.profile import Profile
from tests.support.modbus_peer import SystemClock
from twin_wire.errors import LinkError
from twin_wire.readings import Block

CLOCK = SystemClock()


async def read(source: Source) -> Block | None:
    """Read once as the poll loop does; None for a LinkError."""
    pace = source.pace()
    await asyncio.sleep(max(0.0, pace.quiet_until_s - CLOCK.monotonic_s()))
    try:
        [block] = await source.read(CLOCK.monotonic_s() + source.pace().budget_s)
    except LinkError:
        return None
    assert isinstance(block, Block)
    return block


def sources_of(link: Link, profile: Profile, unit: int = 1, period_s: float = 1.0, device: str = "d") -> list[Source]:
    """Return the source of one device with every signal of its profile as a point."""
    points = [
        PointOptions(id=s.id if device == "d" else f"{device}.{s.id}", device=device, signal=s.id)
        for s in profile.signals
    ]
    return link.sources([DeviceOptions(id=device, profile=profile, unit=unit, period_s=period_s)], points)
