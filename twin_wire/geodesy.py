"""From latitude and longitude to the site's grid: a plane that touches the earth at the georeference, no map zones."""

import math

import numpy as np
from numpy.typing import NDArray

from twin_wire.structure import Georeference

Numbers = NDArray[np.float64]
_A, _F = 6_378_137.0, 1 / 298.257223563  # WGS 84
_E2 = _F * (2 - _F)


def grid_of(
    georeference: Georeference, latitude_deg: Numbers, longitude_deg: Numbers, height_m: Numbers
) -> tuple[Numbers, Numbers, Numbers]:
    """Return x, y, z in metres of N places; z is NaN where the height is.

    A level surface stays level: z is the difference of heights, not the distance from the plane, which falls away from
    the earth by 8 cm at 1 km. At the origin's height lengths are true to 1 mm within 5 km; 100 m higher or lower they
    differ by 16 mm per km.
    """
    flat = np.where(np.isnan(height_m), georeference.height_m, height_m)
    there = _earth(np.radians(latitude_deg), np.radians(longitude_deg), flat)
    latitude, longitude = math.radians(georeference.latitude_deg), math.radians(georeference.longitude_deg)
    here = _earth(np.array([latitude]), np.array([longitude]), np.array([georeference.height_m]))
    dx, dy, dz = there - here
    east = -math.sin(longitude) * dx + math.cos(longitude) * dy
    north = math.cos(latitude) * dz - math.sin(latitude) * (math.cos(longitude) * dx + math.sin(longitude) * dy)
    azimuth = math.radians(georeference.azimuth_deg)
    x = georeference.x_m + math.cos(azimuth) * east - math.sin(azimuth) * north
    y = georeference.y_m + math.sin(azimuth) * east + math.cos(azimuth) * north
    return x, y, georeference.z_m + height_m - georeference.height_m


def _earth(latitude: Numbers, longitude: Numbers, height_m: Numbers) -> Numbers:
    """Return earth-centred, earth-fixed coordinates [3, N] in metres; angles in radians."""
    curvature = _A / np.sqrt(1 - _E2 * np.sin(latitude) ** 2)
    across = (curvature + height_m) * np.cos(latitude)
    up = (curvature * (1 - _E2) + height_m) * np.sin(latitude)
    return np.stack([across * np.cos(longitude), across * np.sin(longitude), up])
