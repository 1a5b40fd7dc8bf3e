"""A metal mine's air and water: diesel exhaust, blasting fumes and dust in zones, a sump; one Euler step a second.

V dC/dt = q + inflow - f C per zone, as in the coal mine. Exhaust 2.0 g of CO and 0.5 g of NO2 a kWh is of the size of
what engine standards allow (CO 3.5 g, NOx 4 g, a tenth of it NO2); 16 L of CO a kg of explosive is devices.md's; the
2 L of NO2 and the dust are plausible. Nothing is calibrated.
"""

import math
import random
from typing import NamedTuple

from hardware_sim.model import Look, Model, known
from hardware_sim.weather import Weather
from hardware_sim.world import Fan

CO_G_KWH, NO2_G_KWH = 2.0, 0.5
CO_M3_G, NO2_M3_G = 0.86e-3, 0.52e-3  # at 20 degrees Celsius
CO_M3_KG, NO2_M3_KG = 0.016, 0.002  # a kg of explosive
BLAST_DUST_MG_KG = 9000.0
SPRAY_SHARE, DUST_SETTLING = 0.7, 0.0015  # of the dust that water takes, and 1/s that settles
HEAT_K_KW, HEAT_LAG_S = 0.9, 600.0  # kW of diesel to K in a m³/s of air, slowly: rock takes and gives
DRAG_SPREAD, DRAG_S = 0.08, 1200.0  # how far and how slowly the mine's resistance wanders
TURN_S, CHANGE_S = 30.0, 900.0  # vehicles come and go
SUMP_AREA_M2, INFLOW_M3_H, PUMP_M3_H, SUMP_HIGH_M, SUMP_LOW_M = 180.0, 42.0, 130.0, 2.4, 0.9
WARM_S = 3600
PUMPS = ("pump-1", "pump-2")


class Zone(NamedTuple):
    """A well-mixed part: volume m³, share of the main flow, installed diesel kW, dust mg/s at work, its fan."""

    volume: float
    share: float
    diesel_kw: float
    dust_mg_s: float
    fan: str = ""


ZONES = {
    "decline": Zone(16_000.0, 1.0, 300.0, 40.0),
    "stope_1": Zone(4_200.0, 0.22, 260.0, 55.0, "s1"),
    "stope_2": Zone(3_600.0, 0.20, 220.0, 45.0, "s2"),
    "workshop": Zone(5_000.0, 0.12, 80.0, 4.0),
    "return": Zone(12_000.0, 1.0, 0.0, 2.0),
}
INNER = ("stope_1", "stope_2", "workshop")
FLOW_M3_S, LEAKAGE = 95.0, 0.3
State = dict[str, float]


class MetalMine(Model):
    """Zones fed by a decline, two stopes behind fans of their own, a return raise with the main fan, a sump."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__()
        self.sky = Weather(f"world/{seed}")
        self.random = random.Random(f"metal/{seed}")  # noqa: S311
        self.fans = {
            "main": Fan(30.0, 90.0, 740.0, 315.0),
            "s1": Fan(8.0, 8.0, 2950.0, 55.0),
            "s2": Fan(8.0, 8.0, 2950.0, 45.0),
        }
        self.co: State = dict.fromkeys(ZONES, 3.0e-6)
        self.no2: State = dict.fromkeys(ZONES, 4.0e-7)
        self.dust: State = dict.fromkeys(ZONES, 0.8)  # mg/m³
        self.work: State = dict.fromkeys(ZONES, 0.5)  # share of the diesel power at work
        self.extra_kw: State = dict.fromkeys(ZONES, 0.0)
        self.warm_k: State = dict.fromkeys(ZONES, 4.0)
        self.sprays = self.shift = self.drag = 1.0
        self.sump_m, self.inflow_m3_h = 1.6, INFLOW_M3_H
        self.pumping: set[str] = set()
        self.broken: set[str] = set()
        self._goal: State = dict(self.work)
        self._left_s = 0.0
        self._look = {**self._air(), **self._machines(), **self._outside()}
        self._verbs = {
            "fan": self._fan,
            "blast": self._blast,
            "diesel": self._diesel,
            "spray": lambda _, amount: setattr(self, "sprays", min(1.0, max(0.0, amount))),
            "shift": lambda _, amount: setattr(self, "shift", min(1.5, max(0.0, amount))),
            "pump": self._pump,
            "water": lambda _, amount: setattr(self, "inflow_m3_h", max(0.0, amount)),
            "rain": lambda _, amount: setattr(self.sky, "rain_mm_h", max(0.0, amount)),
            "front": lambda _, amount: setattr(self.sky, "front_goal_pa", amount),
        }

    @property
    def time_s(self) -> float:
        """Return the world's seconds since it began."""
        return self.sky.time_s

    @property
    def flow(self) -> float:
        """Return the air in m³/s through the main fan; a natural draught stays."""
        return FLOW_M3_S * max(0.09, self.fans["main"].n) / math.sqrt(self.drag)

    def flow_of(self, zone: str) -> float:
        """Return the air in m³/s through a zone."""
        spec = ZONES[zone]
        return spec.share * self.flow * (self.fans[spec.fan].n if spec.fan else 1.0) + LEAKAGE

    def step_things(self) -> None:
        """Advance by one second."""
        for fan in self.fans.values():
            fan.step(1.0)
        self.sky.pass_weather(1.0)
        self.sky.time_s += 1.0
        self._vehicles()
        flows = {zone: self.flow_of(zone) for zone in ZONES}
        power = {zone: (ZONES[zone].diesel_kw + self.extra_kw[zone]) * self.work[zone] for zone in ZONES}
        self.co = _mixed(self.co, {z: kw * CO_G_KWH / 3600.0 * CO_M3_G for z, kw in power.items()}, flows)
        self.no2 = _mixed(self.no2, {z: kw * NO2_G_KWH / 3600.0 * NO2_M3_G for z, kw in power.items()}, flows)
        wet = 1.0 - SPRAY_SHARE * self.sprays
        settled = {zone: self.dust[zone] * DUST_SETTLING * ZONES[zone].volume for zone in ZONES}
        raised = {zone: spec.dust_mg_s * (0.15 + self.work[zone]) * wet - settled[zone] for zone, spec in ZONES.items()}
        self.dust = {zone: max(0.0, value) for zone, value in _mixed(self.dust, raised, flows).items()}
        for zone, kw in power.items():
            self.warm_k[zone] += (HEAT_K_KW * kw / max(flows[zone], 1.0) - self.warm_k[zone]) / HEAT_LAG_S
        self._water()

    def warm(self) -> None:
        """Let it run for an hour."""
        for _ in range(WARM_S):
            self.step_things()

    def reseed(self, text: str, time_s: float) -> None:
        """Begin another stretch of the same mine's life."""
        self.sky.reseed(text, time_s)
        self.random = random.Random(f"metal/{text}")  # noqa: S311

    def _vehicles(self) -> None:
        self._left_s -= 1.0
        if self._left_s <= 0:
            self._left_s = TURN_S
            keep = math.exp(-TURN_S / DRAG_S)
            wander = DRAG_SPREAD * math.sqrt(1.0 - keep * keep) * self.random.gauss(0.0, 1.0)
            self.drag = max(0.5, 1.0 + (self.drag - 1.0) * keep + wander)
            for zone in ZONES:
                chance, goal = self.random.random(), self.random.uniform(0.1, 0.9)
                if chance < TURN_S / CHANGE_S:
                    self._goal[zone] = goal
        for zone, goal in self._goal.items():
            self.work[zone] += (goal * self.shift - self.work[zone]) / 120.0

    def _water(self) -> None:
        pumps = len(self.pumping - self.broken)
        self.sump_m = max(0.0, self.sump_m + (self.inflow_m3_h - PUMP_M3_H * pumps) / 3600.0 / SUMP_AREA_M2)
        if self.sump_m > SUMP_HIGH_M + 0.3:
            self.pumping = set(PUMPS)
        elif self.sump_m > SUMP_HIGH_M and not self.pumping:
            self.pumping = {PUMPS[0]}
        elif self.sump_m < SUMP_LOW_M:
            self.pumping = set()

    def _fan(self, name: str, amount: float) -> None:
        known(self.fans, name, "fan").asked = min(1.0, max(0.0, amount))

    def _blast(self, zone: str, amount: float) -> None:
        volume = known(ZONES, zone, "air zone").volume
        self.co[zone] += amount * CO_M3_KG / volume
        self.no2[zone] += amount * NO2_M3_KG / volume
        self.dust[zone] += amount * BLAST_DUST_MG_KG / volume
        self.sky.thump_pa += 8.0 * amount

    def _diesel(self, zone: str, amount: float) -> None:
        known(ZONES, zone, "air zone")
        self.extra_kw[zone] = max(0.0, amount)

    def _pump(self, name: str, amount: float) -> None:
        if name:
            known(dict.fromkeys(PUMPS, 0), name, "pump")
        names = {name} if name else set(PUMPS)
        self.broken = self.broken - names if amount > 0 else self.broken | names

    def _air(self) -> Look:
        look: Look = {}
        for zone in ZONES:
            look |= self._zone(zone)
        return look

    def _zone(self, zone: str) -> Look:
        def warmth() -> float:
            return 17.0 + 0.2 * (self.sky.temperature() - 8.0) + self.warm_k[zone]

        return {
            f"co.{zone}": lambda: 1e6 * self.co[zone],
            f"no2.{zone}": lambda: 1e6 * self.no2[zone],
            f"dust.{zone}": lambda: self.dust[zone],
            f"wind.{zone}": lambda: self.flow_of(zone) / (25.0 if zone in ("decline", "return") else 16.0),
            f"temperature.{zone}": warmth,
        }

    def _machines(self) -> Look:
        look: Look = {
            "sump.level": lambda: self.sump_m,
            "pump.flow": lambda: PUMP_M3_H * len(self.pumping - self.broken),
            "fan.main.pressure": lambda: 2200.0 * self.fans["main"].n ** 2,
        }
        for name, fan in self.fans.items():
            look |= _drive(name, fan)
        for pump in PUMPS:
            look |= self._drawn(pump)
        return look

    def _drawn(self, pump: str) -> Look:
        return {f"{pump}.current": lambda: 96.0 * (pump in self.pumping) * (0.3 if pump in self.broken else 1.0)}

    def _outside(self) -> Look:
        return {"barometer": lambda: (self.sky.barometer_pa() + 3600.0) / 1000.0}


def _drive(name: str, fan: Fan) -> Look:
    return {
        f"fan.{name}.speed": lambda: fan.rpm * fan.n,
        f"fan.{name}.frequency": lambda: 50.0 * fan.n,
        f"fan.{name}.current": lambda: 1.77 * fan.kw * fan.n**2,
    }


def _mixed(now: State, source: State, flows: State) -> State:
    """Return concentrations a second later: the decline feeds stopes and workshop, all of it ends in the return."""
    fresh = now["decline"]
    then = {"decline": fresh + (source["decline"] - flows["decline"] * fresh) / ZONES["decline"].volume}
    inflow, through = 0.0, 0.0
    for zone in INNER:
        leaving = flows[zone] * now[zone]
        then[zone] = now[zone] + (source[zone] + flows[zone] * fresh - leaving) / ZONES[zone].volume
        inflow, through = inflow + leaving, through + flows[zone]
    rest = max(0.0, flows["return"] - through) * fresh
    change = source["return"] + inflow + rest - max(flows["return"], through) * now["return"]
    then["return"] = now["return"] + change / ZONES["return"].volume
    return then
