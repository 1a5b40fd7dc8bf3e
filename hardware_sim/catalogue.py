"""The instruments of the demo mine: which device sits where, what each point measures and how its sensor errs."""

from collections.abc import Mapping
from typing import NamedTuple


class Sensor(NamedTuple):
    """How an instrument differs from the truth; all in the point's unit, times in world seconds."""

    t90_s: float = 0.0  # first-order lag: 90 % of a step after this time
    noise: float = 0.0  # standard deviation
    mixing: float = 0.0  # relative slow deviation of the spot from its zone (imperfect mixing)
    gain: float = 1.0  # the spot's share of the zone's concentration
    drift_per_h: float = 0.0
    step: float = 0.0  # the instrument's own resolution, 0: the profile's
    deadband: float = 0.0  # what it shows stays until the value is so far from it


class PointPlan(NamedTuple):
    """One point: the profile's signal it reads, the world quantity behind it, where it is and its site limits."""

    id: str
    signal: str
    source: str
    name: str
    zone: str = ""
    roadway: str = ""
    chainage_m: float | None = None
    place: str = ""  # key into the ruleset
    warn_high: float | None = None
    alarm_high: float | None = None
    warn_low: float | None = None
    alarm_low: float | None = None
    hysteresis: float | None = None
    delay_s: float | None = None
    sensor: Sensor = Sensor()


class DevicePlan(NamedTuple):
    """One instrument on one link; `unmapped` says what it does with registers between its signals."""

    id: str
    link: str
    profile: str
    unit: int
    period_s: float
    name: str
    points: tuple[PointPlan, ...] = ()
    turnaround_s: float | None = None  # None: the profile's
    unmapped: str = ""  # zero | ones | exception | silence; "": the profile's
    fixed: tuple[tuple[str, float], ...] = ()  # signals that are no points and never change


class LinkPlan(NamedTuple):
    """One line: kind as in gateway.toml, its pace in bits per second (0: TCP) and the driver's further options."""

    id: str
    kind: str
    baud: int = 0
    options: tuple[tuple[str, str | int | bool | Mapping[str, str]], ...] = ()
