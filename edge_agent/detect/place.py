"""Who is near whom: masks over the channels from the place graph, groups of one power supply, kinds of channel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.detect.sites import BAROMETER_PA, GROUND, WATER, Site, downstream, hops

Array = NDArray[Any]
TOXIC = ("CO", "NO2", "NO", "SO2", "H2S", "dust", "pm10", "pm2_5", "smoke")


class Places:
    """Boolean arrays over C channels."""

    def __init__(self, site: Site) -> None:
        ch = site.channels
        self.channels = ch
        self.hops = np.array(hops(site), np.int64).reshape(len(ch), len(ch))
        self.gas, self.air = np.array([c.gas for c in ch]), np.array([c.air for c in ch])
        self.fan, self.oxygen = np.array([c.fan for c in ch]), np.array([c.quantity == "O2" for c in ch])
        self.methane = np.array([c.quantity == "CH4" for c in ch])
        self.toxic = np.array([c.quantity in TOXIC for c in ch])
        self.pressure = np.array([c.quantity == "pressure" for c in ch])
        self.temperature = np.array([c.quantity == "temperature" for c in ch])
        self.water = np.array([c.quantity in WATER for c in ch])
        self.ground = np.array([c.quantity in GROUND for c in ch])
        self.vibration = np.array([c.quantity == "vibration" for c in ch])
        self.position = np.array([c.quantity == "position" for c in ch])
        self.rain = np.array([c.quantity in ("rain", "rain_intensity") for c in ch])
        self.works = np.array([c.role in ("load", "machine", "pump") for c in ch])
        self.current = np.array([c.quantity in ("current", "power") and not c.fan for c in ch])
        self.limit = np.array([c.limits.get("alarm_high", np.inf) for c in ch])
        groups: dict[str, list[int]] = {}
        for number, channel in enumerate(ch):
            if channel.group:
                groups.setdefault(channel.group, []).append(number)
        self.groups = [np.array(members) for members in groups.values() if len(members) > 1]
        ahead = downstream(site)
        self.downstream = np.array([[b.place in ahead[a.place] for b in ch] for a in ch]).reshape(len(ch), len(ch))
        self.same = np.array([[a.quantity == b.quantity for b in ch] for a in ch]).reshape(len(ch), len(ch))
        np.fill_diagonal(self.same, False)
        self.near = self.hops <= 2
        np.fill_diagonal(self.near, False)
        machine = self.works | self.vibration
        self.by_machine = np.array([bool(((self.hops[c] == 0) & machine).any()) for c in range(len(ch))])

    def barometers(self, middle: Array) -> Array:
        """Return which pressures are the air's own, from their usual values in Pa."""
        return np.asarray(self.pressure & (middle > BAROMETER_PA[0]) & (middle < BAROMETER_PA[1]))
