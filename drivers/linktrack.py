"""The link kind `linktrack`: a Nooploop LinkTrack anchor or tag that pushes frames; we only ever listen."""

from collections.abc import Mapping, Sequence

import numpy as np

from drivers.link import Arrival, Clock, Link, Positions, Ranges
from drivers.linktrack_frames import Stream
from drivers.pushed import Dialect, Heard, ListenOptions, address, open_pushed, read_options, rising

BAUD = 921_600  # the maker's default


def check_options(options: Mapping[str, object]) -> str:
    """Return the link's address; ConfigError with every fault."""
    return address(options, BAUD, ListenOptions)


async def open_link(options: Mapping[str, object], clock: Clock) -> Link:
    """Return the link; the port is opened by the first read."""
    port, _ = read_options(options, BAUD, ListenOptions)
    return open_pushed(port, clock, DIALECT)


def _arrivals(device: str, heard: Sequence[Heard]) -> list[Arrival]:
    arrivals: list[Arrival] = []
    times = rising([time_us for time_us, _ in heard])
    ranges = np.concatenate([frame.ranges for _, frame in heard])
    places = np.concatenate([frame.positions for _, frame in heard])
    if len(ranges):
        each = np.repeat(times, [len(frame.ranges) for _, frame in heard])
        arrivals.append(Ranges(each, device, ranges[:, 0], ranges[:, 1], ranges[:, 2]))
    if len(places):
        each = np.repeat(times, [len(frame.positions) for _, frame in heard])
        arrivals.append(Positions(each, device, *places.T))
    return arrivals


def _measure(heard: Sequence[Heard]) -> dict[str, float]:
    newest = heard[-1].frame
    return {"supply_voltage": newest.voltage_mv / 1000, "tags_heard": float(newest.tags)}


DIALECT = Dialect(
    protocol="linktrack",
    signals=("supply_voltage", "tags_heard"),  # what a frame says beside ranges and positions
    hint="powered? protocol set to Anchor0, Tag0 or Node2?",
    stream=Stream,
    arrivals=_arrivals,
    measure=_measure,
)
