"""The coal mine's air: fans, flow, methane, carbon monoxide, dust and heat in zones, weather.

One Euler step a second, SI units, seeded. Parameters are plausible, not calibrated.
"""

import math
from typing import NamedTuple

from hardware_sim.weather import Weather

FRESH_OXYGEN = 20.93  # %


class FanCurve(NamedTuple):
    """Main fan H = h0 n² - a Q² against the mine's r Q² with a natural draught hn; pascals and m³/s."""

    h0: float = 2800.0
    a: float = 0.35
    r: float = 0.75
    hn: float = 60.0


class ZoneSpec(NamedTuple):
    """A well-mixed part of the mine: volume m³, share of the main flow, own methane m³/s, its usual warmth and dust."""

    volume: float
    share: float
    methane: float
    warm_k: float  # above the intake's temperature
    dust_mg_s: float  # while work goes on
    fan: str = ""  # its local fan; "" when the main flow reaches it by itself


ZONES: dict[str, ZoneSpec] = {
    "heading_a": ZoneSpec(900.0, 0.12, 0.010, 5.0, 16.0, "a"),
    "heading_b": ZoneSpec(900.0, 0.08, 0.008, 4.5, 11.0, "b"),
    "face": ZoneSpec(3500.0, 0.55, 0.075, 6.0, 110.0),
    "return": ZoneSpec(20000.0, 1.0, 0.022, 5.0, 4.0),
}
FEEDING = ("heading_a", "heading_b", "face")  # their air ends in the return
CURVE = FanCurve()
LEAKAGE = 0.02  # m³/s that reaches a heading without its fan
GOAF_BREATHING = 2.0  # m³/s methane per Pa/s of falling barometer
OUTBURST_DECAY_S = 600.0
CO_PER_KG = 0.016  # m³ per kg of explosive
CO_BACKGROUND = 3.0e-5  # m³/s from slow oxidation at the face
DUST_SETTLING = 0.002  # 1/s
THUMP_PA_PER_KG = 8.0
BLAST_DUST = 700.0  # mg of respirable dust per kg of explosive and m³ of the heading it fills, over its volume
FIRE_START, FIRE_GROWTH_S = 4.0e-5, 240.0  # m³/s of carbon monoxide that smoulders, and the time it grows e-fold in
FIRE_TO = {"heading_b": 0.40, "face": 0.40, "heading_a": 0.20}  # where the air of the second belt roadway goes
BELT_SHARE = 0.25  # of the main flow
SMOKE_PPM = 15.0  # of carbon monoxide in the belt's air at which the smoke detector trips
SEEP_LAG_S = 300.0  # how slowly a new inflow of gas opens
IDLE_EMISSION = 0.4  # share of the methane that comes while nothing is cut
HEAT_LAG_S = 900.0


class Fan:
    """A fan with inertia; speed n as a share of the rated one follows what is asked of it."""

    def __init__(self, up_s: float, down_s: float, rpm: float, kw: float) -> None:
        self.up_s, self.down_s, self.rpm, self.kw = up_s, down_s, rpm, kw
        self.asked = self.n = 1.0

    def step(self, dt: float) -> None:
        """Advance by `dt` seconds."""
        self.n += dt * (self.asked - self.n) / (self.down_s if self.asked < self.n else self.up_s)


class World(Weather):
    """The state of the mine's air and weather; fractions of volume, m³/s, Pa, degrees Celsius."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(f"world/{seed}")
        self.fans = {
            "main": Fan(25.0, 90.0, 990.0, 250.0),
            "a": Fan(8.0, 8.0, 2930.0, 30.0),
            "b": Fan(8.0, 8.0, 2930.0, 22.0),
        }
        self.flow = 0.0  # m³/s through the main fan
        self.drag = 1.0  # times the mine's resistance: cars, doors, falls
        self.methane = {"heading_a": 0.003, "heading_b": 0.003, "face": 0.004, "return": 0.0035}
        self.monoxide = dict.fromkeys(ZONES, 0.0)
        self.dust = dict.fromkeys(ZONES, 1.0)  # mg/m³
        self.warm_k = {zone: spec.warm_k for zone, spec in ZONES.items()}
        self.emission = {zone: spec.methane for zone, spec in ZONES.items()}
        self.working = dict.fromkeys(ZONES, True)
        self.production = dict.fromkeys(ZONES, 1.0)  # how much is being cut, 1: the usual
        self.burst = 0.0  # m³/s of an outburst at the face
        self.inflow = dict.fromkeys(ZONES, 0.0)  # m³/s of methane beyond the usual, and where it goes to
        self.inflow_goal = dict.fromkeys(ZONES, 0.0)
        self.fire = self.fire_goal = 0.0  # m³/s of carbon monoxide from a fire on the belt
        self.emitted = self.vented = 0.0  # m³ of methane, kept for the balance

    def step(self, dt: float = 1.0) -> None:
        """Advance the mine by `dt` seconds (made for 1 s)."""
        for fan in self.fans.values():
            fan.step(dt)
        n = self.fans["main"].n
        self.flow = math.sqrt(max(CURVE.h0 * n * n + CURVE.hn, 1.0) / (CURVE.r * self.drag + CURVE.a))
        falling = self.pass_weather(dt)
        flows = {zone: self.flow_of(zone) for zone in ZONES}
        self._methane(flows, falling, dt)
        self._monoxide(flows, dt)
        self._dust_and_heat(flows, dt)
        self.time_s += dt

    def flow_of(self, zone: str) -> float:
        """Return the air in m³/s that passes a zone."""
        spec = ZONES[zone]
        if not spec.fan:
            return spec.share * self.flow
        return spec.share * self.flow * self.fans[spec.fan].n + LEAKAGE

    def blast(self, zone: str, explosive_kg: float) -> None:
        """Add the carbon monoxide, the dust and the thump of a blast to a zone."""
        self.monoxide[zone] += explosive_kg * CO_PER_KG / ZONES[zone].volume
        self.dust[zone] += explosive_kg * BLAST_DUST / ZONES[zone].volume
        self.thump_pa += explosive_kg * THUMP_PA_PER_KG

    def belt_monoxide(self) -> float:
        """Return the carbon monoxide in the air of the second belt roadway as a fraction of volume."""
        return self.fire / max(BELT_SHARE * self.flow, 0.5)

    def smokes(self) -> bool:
        """Tell whether the smoke detector of the belt trips."""
        return 1e6 * self.belt_monoxide() > SMOKE_PPM

    def outburst(self, rate: float) -> None:
        """Begin an outburst of `rate` m³/s methane at the face, dying away by itself."""
        self.burst = rate

    def intake_temperature(self) -> float:
        """Return the temperature of the air that reaches the intake zones; rock damps the day."""
        return 15.0 + 0.25 * (self.temperature() - 8.0)

    def oxygen(self, zone: str) -> float:
        """Return the oxygen of a zone in %."""
        return FRESH_OXYGEN * (1.0 - self.methane[zone]) - 0.08 - 100.0 * self.monoxide[zone]

    def fan_pressure(self) -> float:
        """Return the main fan's pressure in Pa."""
        return max(0.0, CURVE.h0 * self.fans["main"].n ** 2 - CURVE.a * self.flow**2)

    def _methane(self, flows: dict[str, float], falling: float, dt: float) -> None:
        source = {}
        for zone, usual in self.emission.items():
            self.inflow[zone] += dt * (self.inflow_goal[zone] - self.inflow[zone]) / SEEP_LAG_S
            part = IDLE_EMISSION + (1.0 - IDLE_EMISSION) * self.production[zone]
            source[zone] = usual * part + self.inflow[zone]
        source["face"] += falling * GOAF_BREATHING + self.burst
        self.burst *= math.exp(-dt / OUTBURST_DECAY_S)
        self.emitted += dt * sum(source.values())
        self.vented += dt * flows["return"] * self.methane["return"]
        self.methane = _mixed(self.methane, source, flows, dt)

    def _monoxide(self, flows: dict[str, float], dt: float) -> None:
        source = dict.fromkeys(ZONES, 0.0)
        source["face"] = CO_BACKGROUND
        if self.fire_goal > 0.0:
            self.fire = min(self.fire_goal, max(self.fire, FIRE_START) * math.exp(dt / FIRE_GROWTH_S))
        else:
            self.fire *= math.exp(-dt / FIRE_GROWTH_S)
        for zone, part in FIRE_TO.items():
            source[zone] += part * self.fire
        self.monoxide = _mixed(self.monoxide, source, flows, dt)

    def _dust_and_heat(self, flows: dict[str, float], dt: float) -> None:
        source = {
            zone: (spec.dust_mg_s * max(0.1, self.production[zone]) if self.working[zone] else 0.1 * spec.dust_mg_s)
            - self.dust[zone] * DUST_SETTLING * spec.volume
            for zone, spec in ZONES.items()
        }
        self.dust = {zone: max(0.0, value) for zone, value in _mixed(self.dust, source, flows, dt).items()}
        for zone, spec in ZONES.items():
            usual = spec.share * 51.0
            goal = spec.warm_k * min(2.0, usual / max(flows[zone], 0.1)) ** 0.5
            self.warm_k[zone] += dt * (goal - self.warm_k[zone]) / HEAT_LAG_S


def _mixed(now: dict[str, float], source: dict[str, float], flows: dict[str, float], dt: float) -> dict[str, float]:
    """Return concentrations one step later: V dC/dt = source + inflow - f C; headings and face feed the return."""
    then: dict[str, float] = {}
    inflow = 0.0
    for zone in FEEDING:
        leaving = flows[zone] * now[zone]
        inflow += leaving
        then[zone] = now[zone] + dt * (source[zone] - leaving) / ZONES[zone].volume
    change = source["return"] + inflow - flows["return"] * now["return"]
    then["return"] = now["return"] + dt * change / ZONES["return"].volume
    return then
