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


def sources_of(link: Link, profile: Profile, unit: int = 1) -> list[Source]:
    points = [PointOptions(id=s.id, device="d", signal=s.id) for s in profile.signals]
    return link.sources([DeviceOptions(id="d", profile=profile, unit=unit)], points)
