"""The link kind `nmea`: a satellite receiver that prints NMEA 0183 sentences; we only ever listen."""

from collections.abc import Mapping, Sequence

import numpy as np

from drivers.link import Arrival, Clock, Geodetic, Link
from drivers.nmea_frames import DAY_S, Frame, Stream
from drivers.pushed import Dialect, Heard, ListenOptions, address, open_pushed, read_options, rising

BAUD = 9600
CLOCK_SPLIT_S_MAX = 3600  # receiver and gateway further apart: one clock is wrong, and a fix must not leave its batch
DAY_US, SECOND_US = DAY_S * 1_000_000, 1_000_000


def check_options(options: Mapping[str, object]) -> str:
    """Return the link's address; ConfigError with every fault."""
    return address(options, BAUD, ListenOptions)


async def open_link(options: Mapping[str, object], clock: Clock) -> Link:
    """Return the link; the port is opened by the first read."""
    port, _ = read_options(options, BAUD, ListenOptions)
    return open_pushed(port, clock, DIALECT)


def time_of(frame: Frame, arrived_us: int) -> int:
    """Return when a fix holds: the receiver's UTC, or when it arrived if the two clocks are an hour apart.

    While the receiver told no date, it is the one that brings its time of day nearest to the arrival.
    """
    of_day_us = round(frame.time_s * SECOND_US)
    day = frame.day
    if day is None:
        day = round((arrived_us - of_day_us) / DAY_US)
    time_us = day * DAY_US + of_day_us
    return time_us if abs(time_us - arrived_us) <= CLOCK_SPLIT_S_MAX * SECOND_US else arrived_us


def _arrivals(device: str, heard: Sequence[Heard]) -> list[Arrival]:
    fixes = [(time_us, frame) for time_us, frame in heard if frame.rows]
    if not fixes:
        return []
    frames = [frame for _, frame in fixes]
    return [
        Geodetic(
            rising([time_of(frame, time_us) for time_us, frame in fixes]),
            device,
            (device,) * len(frames),
            np.array([frame.latitude_deg for frame in frames]),
            np.array([frame.longitude_deg for frame in frames]),
            np.array([frame.height_m for frame in frames]),
            np.array([frame.sigma_m for frame in frames], np.float32),
            np.array([frame.rtk for frame in frames], np.uint8),
        )
    ]


def _measure(heard: Sequence[Heard]) -> dict[str, float]:
    return {"satellites": heard[-1].frame.satellites}


DIALECT = Dialect(
    protocol="nmea",
    signals=("satellites",),
    hint="powered? baud rate? GGA sentences with checksum switched on?",
    stream=Stream,
    arrivals=_arrivals,
    measure=_measure,
)
