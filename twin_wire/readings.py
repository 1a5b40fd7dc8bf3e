"""Readings as columns: what a driver hands over, what a batch carries, what the twin returns."""

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]
Values = NDArray[np.float64]
Qualities = NDArray[np.uint8]


class Quality(IntEnum):
    """Ordered: below BAD the value is a number, from BAD on it is NaN and the code says why."""

    GOOD = 0
    UNCERTAIN = 16
    CLOCK_UNSURE = 17
    CALIBRATING = 18
    BYPASSED = 19
    STUCK = 20
    OVER_RANGE = 21  # the device's number is kept: a limit still has to act on it
    UNDER_RANGE = 22
    BAD = 32
    NO_ANSWER = 33
    SENTINEL = 34
    DEVICE_FAULT = 35


class Block(NamedTuple):
    """The points that arrive in one answer, T rows of C points; times in µs since 1970 UTC."""

    points: tuple[str, ...]  # [C], the point ids of one poll group of the manifest, in its order
    time_us: Times  # [T], not falling
    value: Values  # [C, T], C order; NaN is the canonical one
    quality: Qualities  # [C, T]


class Fixes(NamedTuple):
    """Positions of tags, N rows in time order; lengths in mm; -1 in `roadway` or `zone` means none."""

    time_us: Times  # [N]
    tag: tuple[str, ...]  # [N] opaque tag ids, never a name
    roadway: NDArray[np.int32]  # [N] index into the structure's roadways
    chainage_mm: NDArray[np.int32]  # [N] from the roadway's first junction
    x_mm: NDArray[np.int32]
    y_mm: NDArray[np.int32]
    z_mm: NDArray[np.int32]
    sigma_mm: NDArray[np.int32]  # one standard deviation
    method: NDArray[np.uint8]  # see Method
    zone: NDArray[np.int32]  # [N] index into the structure's zones


class Method(IntEnum):
    """How a position came about."""

    NONE = 0
    NEAREST_ANCHOR = 1
    RANGES_PROJECTED = 2
    DEVICE = 3  # the positioning device computed x, y, z itself
    RANGES_PLANE = 4  # three ranges or more solved freely in an open area, then brought to the nearest roadway
    SIGNAL_STRENGTH = 5  # from how strongly fixed readers heard it
    READER = 6  # within the reach of a reader, nothing finer
    SATELLITE = 7  # a satellite receiver, autonomous or with differential corrections
    SATELLITE_RTK = 8  # a satellite receiver with carrier phase, float or fixed


class Event(NamedTuple):
    """Something that happened; identity is (gateway, point, rule, begin_us), a begin for an active one updates it."""

    rule: str  # "limit_high", "limit_low", "rate", "stuck", "deviation", "device_down", "clock_step", "restart" …
    severity: int  # 1 most urgent (red) … 4 (blue); 0 = for the record only
    point: str  # point or device id; "" for the gateway itself
    begin_us: int
    end_us: int  # 0 while active
    detector: str  # name and version of what decided, e.g. "limits/1"
    numbers: Mapping[str, float]  # what justifies it: value, limit, delay_s …
    text: str  # one English sentence for a person; never a name of a person


class Clock(NamedTuple):
    """The gateway's clock when the batch was cut."""

    sync: int  # 0 none, 1 NTP, 2 GNSS, 3 set by hand
    error_us: int  # bound on the error; -1 unknown
    offset_us: int  # correction applied to the raw wall clock


class Batch(NamedTuple):
    """All a gateway says in one sealing period; identity and order are in the statement."""

    manifest: bytes  # first 8 bytes of the manifest's digest
    clock: Clock
    blocks: tuple[Block, ...]
    fixes: Fixes
    events: tuple[Event, ...]


def no_fixes() -> Fixes:
    """Return the empty table of positions."""
    mm = np.zeros(0, np.int32)
    return Fixes(np.zeros(0, np.int64), (), mm, mm, mm, mm, mm, mm, np.zeros(0, np.uint8), mm)
