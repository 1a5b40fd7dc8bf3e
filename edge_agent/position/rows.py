"""One fix as a value, and the columns made of many."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from twin_wire.graph import Place
from twin_wire.readings import Fixes, no_fixes

MM_MAX = 2_000_000_000


class Fix(NamedTuple):
    """Where a tag is; `place` None: on no roadway, x, y, z alone hold."""

    time_us: int
    tag: str
    place: Place | None
    xyz: tuple[float, float, float]
    sigma_m: float
    method: int
    zone: int  # -1 none


def to_fixes(rows: Sequence[Fix]) -> Fixes:
    """Return the rows as columns in time order."""
    if not rows:
        return no_fixes()
    rows = sorted(rows, key=lambda row: row.time_us)
    xyz = _mm([value for row in rows for value in row.xyz]).reshape(-1, 3)
    x_mm, y_mm, z_mm = (np.ascontiguousarray(xyz[:, axis]) for axis in range(3))
    return Fixes(
        np.array([row.time_us for row in rows], np.int64),
        tuple(row.tag for row in rows),
        np.array([row.place.roadway if row.place else -1 for row in rows], np.int32),
        _mm([row.place.chainage_m if row.place else 0.0 for row in rows]),
        x_mm,
        y_mm,
        z_mm,
        _mm([row.sigma_m for row in rows]),
        np.array([row.method for row in rows], np.uint8),
        np.array([row.zone for row in rows], np.int32),
    )


def _mm(metres: Sequence[float]) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    return np.clip(np.round(np.array(metres, np.float64) * 1000), -MM_MAX, MM_MAX).astype(np.int32)
