"""Latitude and longitude to the site's grid: against arcs on the ellipsoid, and an inverse written apart."""

import math

import numpy as np
import pytest

from tests.support import walks
from twin_wire.geodesy import grid_of
from twin_wire.structure import Georeference


@pytest.mark.parametrize(
    ("azimuth_deg", "x_m", "y_m"), [(0.0, 0.0, 1109.41), (90.0, -1109.41, 0.0), (180.0, 0.0, -1109.41)]
)
def test_a_hundredth_of_a_degree_to_the_north_is_its_arc_of_the_meridian(
    azimuth_deg: float, x_m: float, y_m: float
) -> None:
    origin = Georeference(latitude_deg=35.0, longitude_deg=110.0, azimuth_deg=azimuth_deg)
    x, y, z = grid_of(origin, np.array([35.01]), np.array([110.0]), np.array([7.0]))
    radius = 6_378_137.0 * (1 - 0.00669437999014) / (1 - 0.00669437999014 * math.sin(math.radians(35.005)) ** 2) ** 1.5
    assert math.hypot(x[0], y[0]) == pytest.approx(radius * math.radians(0.01), abs=0.005)
    assert (x[0], y[0], z[0]) == pytest.approx((x_m, y_m, 7.0), abs=0.05)


def test_places_come_back_from_the_earth_to_the_grid() -> None:
    x, y, z = np.array([-2000.0, 50.0, 3000.0]), np.array([1500.0, -20.0, -2500.0]), np.array([-300.0, 0.0, 40.0])
    back = grid_of(walks.ORIGIN, *walks.to_earth(x, y, z))
    assert np.abs(np.array(back) - [x, y, z]).max() < 1e-4


def test_a_place_without_a_height_has_none_in_the_grid() -> None:
    x, _, z = grid_of(walks.ORIGIN, np.array([34.8]), np.array([113.5]), np.array([np.nan]))
    assert x[0] == pytest.approx(walks.ORIGIN.x_m)
    assert math.isnan(z[0])
