"""A satellite receiver on a truck that drives round the surface yard: NMEA sentences once a second, with RTK.

Errors hang together from second to second. Most of the time the ambiguities are fixed; now and then they float, and
rarely there is only the code.
"""

import math
import random
import time
from typing import NamedTuple

from hardware_sim.plan import junction_by_id
from hardware_sim.pusher import Said

LATITUDE_DEG, LONGITUDE_DEG, HEIGHT_M = 36.0700, 120.3300, 125.0  # of the mine's own origin
AXIS_M, FLATTENING = 6_378_137.0, 1 / 298.257223563  # WGS 84
CENTRE, RADIUS_M, SPEED_M_S = "j-portal-main", 45.0, 3.0
KEPT = 0.9  # of an error from one second to the next
SIGMA_M = {4: 0.014, 5: 0.3, 1: 1.5}  # of each axis, by GGA quality
MODES = {1: "A", 2: "D", 4: "R", 5: "F"}  # the same in RMC
CHANGES = {4: ((5, 0.02),), 5: ((4, 0.15), (1, 0.05)), 1: ((5, 0.2),)}


class Place(NamedTuple):
    """A place in the mine's grid (x east, y north, z up from the origin) in m."""

    x_m: float
    y_m: float
    z_m: float


def truck(now_s: float) -> Place:
    """Return where the truck is at a time of the world's clock."""
    centre, angle = junction_by_id()[CENTRE], SPEED_M_S * now_s / RADIUS_M
    return Place(centre.x_m + RADIUS_M * math.cos(angle), centre.y_m + RADIUS_M * math.sin(angle), centre.z_m)


def geodetic(place: Place) -> tuple[float, float, float]:
    """Return latitude and longitude in degrees and height in m; good to a millimetre within a kilometre."""
    latitude = math.radians(LATITUDE_DEG)
    e2 = FLATTENING * (2 - FLATTENING)
    w = math.sqrt(1 - e2 * math.sin(latitude) ** 2)
    meridian, across = AXIS_M * (1 - e2) / w**3 + HEIGHT_M, AXIS_M / w + HEIGHT_M
    bend = math.tan(latitude) * place.x_m**2 / (2 * across)  # a parallel bends away from the tangent to the east
    north = place.y_m - bend
    east_deg = math.degrees(place.x_m / (across * math.cos(latitude) - north * math.sin(latitude)))
    return LATITUDE_DEG + math.degrees(north / meridian), LONGITUDE_DEG + east_deg, HEIGHT_M + place.z_m


def sentence(body: str) -> bytes:
    """Return a sentence with its checksum and line end."""
    check = 0
    for character in body:
        check ^= ord(character)
    return f"${body}*{check:02X}\r\n".encode("ascii")


def sentences(latitude: float, longitude: float, height: float, quality: int, sigma_m: float, now_s: float) -> bytes:
    """Return RMC, GGA and GST of one second (UTC seconds since 1970)."""
    at = time.gmtime(now_s)
    clock = f"{time.strftime('%H%M%S', at)}.{int(now_s % 1 * 100):02d}"
    where = f"{_angle(latitude, 2)},{'NS'[latitude < 0]},{_angle(longitude, 3)},{'EW'[longitude < 0]}"
    satellites, age = (17, "1.0") if quality > 1 else (9, "")
    return (
        sentence(f"GNRMC,{clock},A,{where},5.8,90.0,{time.strftime('%d%m%y', at)},,,{MODES[quality]}")
        + sentence(f"GNGGA,{clock},{where},{quality},{satellites},0.7,{height:.3f},M,8.100,M,{age},")
        + sentence(f"GNGST,{clock},1.2,{sigma_m:.3f},{sigma_m:.3f},0.0,{sigma_m:.3f},{sigma_m:.3f},{1.5 * sigma_m:.3f}")
    )


class Receiver:
    """One receiver on the truck."""

    def __init__(self, seed: str) -> None:
        self.quality = 4
        self._random = random.Random(seed)  # noqa: S311
        self._errors = [0.0, 0.0, 0.0]

    def due(self, _now_s: float) -> list[Said]:
        """Return the sentences of now."""
        now_s = time.time()
        draw = self._random.random()
        for quality, share in CHANGES[self.quality]:
            if draw < share:
                self.quality, self._errors = quality, [0.0, 0.0, 0.0]
                break
            draw -= share
        sigma = SIGMA_M[self.quality]
        fresh = math.sqrt(1 - KEPT**2) * sigma
        self._errors = [KEPT * error + self._random.gauss(0.0, fresh) for error in self._errors]
        x, y, z = (a + e for a, e in zip(truck(now_s), self._errors, strict=True))
        return [Said(sentences(*geodetic(Place(x, y, z)), self.quality, sigma, now_s), 1)]

    def hear(self, data: bytes, now_s: float) -> list[Said]:
        """Return nothing: corrections come another way."""
        del data, now_s
        return []


def _angle(degrees: float, width: int) -> str:
    whole, minutes = divmod(round(abs(degrees) * 60 * 10**7), 60 * 10**7)
    return f"{whole:0{width}d}{minutes // 10**7:02d}.{minutes % 10**7:07d}"
