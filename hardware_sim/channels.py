"""A site's points as columns of an episode: words, units, places, ranges and limits of a backtest's site.json."""

import random
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hardware_sim.catalogue import PointPlan
from hardware_sim.profile import Signal
from hardware_sim.sensor_bank import Head
from hardware_sim.site import Site
from hardware_sim.vibrating_wire import head_m

Columns = NDArray[np.float64]
WORDS: dict[tuple[str, str], tuple[str, str, float]] = {  # (quantity, unit) of a profile → word, unit and factor
    ("CH4", "%"): ("CH4", "%", 1.0), ("CO", "ppm"): ("CO", "ppm", 1.0), ("NO2", "ppm"): ("NO2", "ppm", 1.0),
    ("H2S", "ppm"): ("H2S", "ppm", 1.0), ("O2", "%"): ("O2", "%", 1.0), ("wind_speed", "m/s"): ("wind", "m/s", 1.0),
    ("pressure", "kPa"): ("pressure", "Pa", 1000.0), ("pressure", "hPa"): ("pressure", "Pa", 100.0),
    ("differential_pressure", "Pa"): ("pressure", "Pa", 1.0), ("temperature", "Cel"): ("temperature", "Cel", 1.0),
    ("humidity", "%"): ("humidity", "%", 1.0), ("dust", "mg/m3"): ("dust", "mg/m3", 1.0),
    ("pm10", "ug/m3"): ("dust", "mg/m3", 0.001), ("pm2_5", "ug/m3"): ("dust", "mg/m3", 0.001),
    ("current", "A"): ("current", "A", 1.0), ("vibration", "mm/s"): ("vibration", "mm/s", 1.0),
    ("displacement", "mm"): ("displacement", "mm", 1.0), ("level", "m"): ("level", "m", 1.0),
    ("flow", "m3/h"): ("flow", "L/s", 1.0 / 3.6), ("rain_intensity", "mm/h"): ("rain", "mm/h", 1.0),
    ("rain_intensity", "mm/min"): ("rain", "mm/h", 60.0), ("turbidity", "NTU"): ("turbidity", "NTU", 1.0),
    ("beach_length", "m"): ("position", "m", 1.0),
}  # fmt: skip
LIMITS: dict[str, dict[str, float]] = {  # of the rulesets coal-cn and noncoal-cn, as alarms
    "CH4": {"alarm_high": 1.0, "alarm_high_high": 1.5},
    "CO": {"alarm_high": 24.0},
    "NO2": {"alarm_high": 2.5},
    "O2": {"alarm_low": 18.0},
}
UNIT_SPREAD = 0.03  # two instruments of one kind differ so much in gain
STIRRED = ("CH4", "CO", "NO2", "dust")
STIRRING = 4.0  # times the mixing of the served instruments: two real heads of one longwall correlate by 0.72 only
SURFACE = "surface"  # the place of what stands on no roadway


class Channel(NamedTuple):
    """One column: the point, what it looks at, how its instrument errs, and what site.json says of it."""

    point: PointPlan
    head: Head
    quantity: str
    unit: str
    place: str
    resolution: float
    limits: dict[str, float]
    role: str
    convert: Callable[[Columns], Columns]  # from the point's unit to the column's

    @property
    def noise(self) -> float:
        """Return the instrument's noise in the column's unit."""
        middle = np.array([0.0, self.head.sensor.noise]) + (3000.0 if self.quantity == "head" else 0.0)
        return float(abs(np.diff(self.convert(middle))[0]))

    def document(self) -> dict[str, object]:
        """Return the point as site.json has it."""
        ends = [self.head.low, self.head.high]
        known = self.convert(np.array(ends)).tolist() if np.all(np.isfinite(ends)) else usual_range(self.quantity)
        return {
            "id": self.point.id,
            "quantity": self.quantity,
            "unit": self.unit,
            "place": self.place,
            "group": self.point.zone,
            "range": sorted(known),
            "resolution": self.resolution,
            "t90_s": self.head.sensor.t90_s,
            "limits": self.limits,
            "role": self.role,
        }


def channels(site: Site, seed: int) -> list[Channel]:
    """Return the columns of a site; the same seed fits it with the same instruments."""
    chance = random.Random(f"instruments/{seed}")  # noqa: S311
    found = []
    for device in site.devices:
        if device.id in site.plan.machines:
            continue
        for point in device.points:
            made = _channel(point, site.profiles[device.profile].signals[point.signal], chance)
            if made is not None:
                found.append(made)
    return found


def edges(site: Site, places: Iterable[str]) -> list[tuple[str, str]]:
    """Return which place the air or water goes to from which, stretches without a point passed over."""
    wanted = set(places)
    follow: dict[str, list[str]] = {}
    for one, other in (*site.plan.layout.flows(), *site.plan.edges):
        follow.setdefault(one, []).append(other)
    found = set()
    for place in wanted:
        ahead, seen = list(follow.get(place, ())), {place}
        while ahead:
            at = ahead.pop()
            if at in seen:
                continue
            seen.add(at)
            if at in wanted:
                found.add((place, at))
            else:
                ahead += follow.get(at, ())
    return sorted(found)


def usual_range(quantity: str) -> list[float]:
    """Return the ends of a scale where the instrument's document names none."""
    ends = {"CH4": 4.0, "CO": 500.0, "NO2": 50.0, "O2": 25.0, "wind": 15.0, "humidity": 100.0, "dust": 500.0}
    ends |= {"pressure": 120_000.0, "temperature": 100.0, "current": 1000.0, "level": 20.0, "head": 35.0}
    return [0.0, ends.get(quantity, 1000.0)]


def _channel(point: PointPlan, signal: Signal, chance: random.Random) -> Channel | None:
    sensor = point.sensor._replace(gain=point.sensor.gain * (1.0 + UNIT_SPREAD * chance.uniform(-1.0, 1.0)))
    if point.source.startswith("wire.") and point.source.endswith(".frequency"):
        sensor = point.sensor
        word, unit, factor = "head", "m", 1.0
    elif (signal.quantity, signal.unit) in WORDS:
        word, unit, factor = WORDS[signal.quantity, signal.unit]
    else:
        return None
    if word in STIRRED:
        sensor = sensor._replace(mixing=STIRRING * sensor.mixing)
    if word not in (*STIRRED, "wind", "current"):
        sensor = point.sensor  # a gain of their own would be an offset far beyond what these instruments have
    step = 10.0**-signal.decimals / signal.divisor
    low, high = (-np.inf if signal.low is None else signal.low), (np.inf if signal.high is None else signal.high)
    if signal.type.startswith("u"):
        low = max(low, 0.0)  # its registers hold nothing below
    convert: Callable[[Columns], Columns] = head_m if word == "head" else lambda value: value * factor
    start = 3000.0 if word == "head" else 0.0
    resolution = float(abs(np.diff(convert(np.array([start, start + (sensor.step or step)])))[0]))
    limits = dict(LIMITS.get(word, {}))
    named = {"alarm_high": point.alarm_high, "alarm_low": point.alarm_low}
    limits |= {name: value * factor for name, value in named.items() if value is not None}
    place = point.roadway or SURFACE
    return Channel(point, Head(sensor, step, low, high), word, unit, place, resolution, limits, _role(point), convert)


def _role(point: PointPlan) -> str:
    """Return what kind of load a point is the current of, "" for everything that is no load."""
    if not point.source.endswith(".current"):
        return ""
    if point.source.startswith("fan.main"):
        return "fan_main"
    if point.source.startswith("fan."):
        return "fan_aux"
    return "pump" if point.source.startswith("pump") else "machine"
