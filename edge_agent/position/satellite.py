"""Satellite receivers: latitude and longitude to the site's grid, and to a roadway where one is near."""

import math
from collections.abc import Iterator

import numpy as np

from drivers.link import Geodetic
from edge_agent.position.rows import Fix
from edge_agent.position.tracks import BACK_US
from twin_wire.geodesy import grid_of
from twin_wire.graph import Graph, Place
from twin_wire.readings import Method
from twin_wire.structure import Georeference

SIGMA_M = (5.0, 1.5, 0.4, 0.03)  # autonomous, differential, RTK float, RTK fixed, where the receiver tells none
OFF_ROAD_M = 25.0  # further from every roadway, and further than three standard deviations: on none
JUMP_M_S, JUMP_US = 40.0, 10_000_000  # nothing on a site moves faster: a jump makes the fix as unsure as it is wide


class Satellite:
    """Places the tags of satellite receivers; remembers the last place of each."""

    def __init__(self, graph: Graph, georeference: Georeference) -> None:
        self._graph, self._georeference = graph, georeference
        self._last: dict[str, Fix] = {}

    def locate(self, arrival: Geodetic) -> Iterator[Fix]:
        """Yield a fix for every row; a row older than the tag's last is left out."""
        columns = (np.asarray(c, np.float64) for c in (arrival.latitude_deg, arrival.longitude_deg, arrival.height_m))
        x, y, z = grid_of(self._georeference, *columns)
        for n, (time_us, tag) in enumerate(zip(arrival.time_us.tolist(), arrival.tag, strict=True)):
            last = self._last.get(tag)
            if not math.isfinite(x[n] + y[n]) or (last is not None and last.time_us - BACK_US < time_us < last.time_us):
                continue
            rtk = min(max(int(arrival.rtk[n]), 0), 3)
            sigma_m = float(arrival.sigma_m[n])
            sigma_m = max(sigma_m, 0.01) if math.isfinite(sigma_m) else SIGMA_M[rtk]
            yield self._fix(time_us, tag, (float(x[n]), float(y[n]), float(z[n])), sigma_m, rtk)

    def _fix(self, time_us: int, tag: str, xyz: tuple[float, float, float], sigma_m: float, rtk: int) -> Fix:
        last = self._last.get(tag)
        if last is not None and 0 <= time_us - last.time_us < JUMP_US:
            jump_m = math.dist(xyz[:2], last.xyz[:2])
            if jump_m > JUMP_M_S * (time_us - last.time_us) / 1e6 + 3 * (sigma_m + last.sigma_m):
                sigma_m = max(sigma_m, jump_m)
        place = self._place(xyz, sigma_m, last.place if last else None)
        if not math.isfinite(xyz[2]):
            height = self._graph.position_on(*place)[2] if place else self._georeference.z_m
            xyz = (*xyz[:2], height)
        method = Method.SATELLITE_RTK if rtk >= 2 else Method.SATELLITE
        zone = self._graph.zone_of[place.roadway] if place else -1
        fix = self._last[tag] = Fix(time_us, tag, place, xyz, sigma_m, method, zone)
        return fix

    def _place(self, xyz: tuple[float, float, float], sigma_m: float, held: Place | None) -> Place | None:
        """Return the nearest place; the roadway held is kept while another is not clearly nearer."""
        chainage, distance = self._graph.projections(xyz[0], xyz[1], None)
        if not len(distance):
            return None
        best = int(np.argmin(distance))
        if held is not None and distance[held.roadway] ** 2 <= distance[best] ** 2 + 4 * sigma_m**2:
            best = held.roadway
        if distance[best] > max(OFF_ROAD_M, 3 * sigma_m):
            return None
        return Place(best, float(chainage[best]))
