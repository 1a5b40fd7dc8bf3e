"""A tailings pond: rain, level, dry beach, water in the dam at vibrating wires, seepage, movement; a step a second.

Of devices.md: the level rises six times the rain and the phreatic line follows with a lag of days; the wires are
`vibrating_wire.py`. Lags, infiltration, piping and creep are plausible, not calibrated.
"""

import math
import random

from hardware_sim.model import Look, Model, known
from hardware_sim.vibrating_wire import frequency_hz
from hardware_sim.weather import PRESSURE_PA, Weather

CREST_M, LEVEL_M, RUNOFF = 100.0, 96.0, 6.0
SLURRY_M_H, DECANT_M_H = 0.010, 0.024  # what the pipe brings, and what the decant pump takes while it runs
DECANT_BAND_M = 0.02
BEACH_SLOPE, BEACH_M = 0.012, 160.0  # of the beach, and its length at the usual level
SECTIONS, DEPTHS = ("s1", "s2", "s3"), ("up", "mid", "low")
HEAD_M = {"up": 9.0, "mid": 6.2, "low": 3.4}  # of water above the instrument at the usual level
SHARE = {"up": 0.85, "mid": 0.5, "low": 0.22}  # of a rise of the level that comes through
LAG_S = {"up": 0.4 * 86_400.0, "mid": 86_400.0, "low": 3 * 86_400.0}
RAIN_M, RAIN_LAG_S = 0.05, 7200.0  # of head a mm/h of rain goes to, and how slowly
LOW_RAIN = {"up": 0.4, "mid": 0.8, "low": 1.0}
CLOGGED_M, CLOG_LAG_S = 1.6, 7200.0  # of head at the toe when no drain works
SEEP_M3_H, SEEP_LAG_S, PIPING_S = 14.0, 900.0, 1800.0
PIPING_HEAD_M, PIPING_HEAD_S = 0.03, 1200.0  # per m³/h, at the toe of the section that seeps
CLEAR_NTU, MURKY_NTU = 4.0, 9.0
CREEP_RAIN_MM = 0.01
SHOWER_TURN_S, SHOWER_EVERY_S, SHOWER_LASTS_S, SHOWER_MM_H = 60.0, 28_800.0, 1800.0, (0.5, 5.0)
SHRINK_MM_K = 0.08  # what a degree of the day moves a mark
WARM_S = 7200


class TailingsPond(Model):
    """A pond behind a dam of three sections with three wires each; section 2 is where it seeps and moves."""

    def __init__(self, seed: int = 1, showers: bool = False) -> None:
        super().__init__()
        self.showers = showers  # ordinary rain now and then, as in any week; for episodes
        self.ordered_mm_h = self.shower_mm_h = 0.0
        self._left_s = 0.0
        self._chance = random.Random(f"showers/{seed}")  # noqa: S311
        self.sky = Weather(f"world/{seed}")
        own = random.Random(f"tailings/{seed}")  # noqa: S311
        self.level_m, self.decants = LEVEL_M, True
        self.seep_m3_h, self.piping_m3_h, self.piping_goal = SEEP_M3_H, 0.0, 0.0
        self.drains, self.clogged_m = 1.0, 0.0
        self.soaked_m = self.piping_m = 0.0
        self.creep_mm_h, self.creep_goal = 0.0, 0.0
        self.rain_mm = 0.0  # since it began
        self.places = [f"{section}.{depth}" for section in SECTIONS for depth in DEPTHS]
        self._base = {place: HEAD_M[place[3:]] + own.uniform(-0.4, 0.4) for place in self.places}
        self.rise_m = dict.fromkeys(self.places, 0.0)
        self.moved_mm = {f"m{number}": own.uniform(2.0, 9.0) for number in range(1, 5)}
        self._look = {**self._water(), **self._dam(), **self._outside()}
        self._verbs = {
            "rain": lambda _, amount: setattr(self, "ordered_mm_h", max(0.0, amount)),
            "front": lambda _, amount: setattr(self.sky, "front_goal_pa", amount),
            "seepage": lambda _, amount: setattr(self, "piping_goal", max(0.0, amount)),
            "drains": lambda _, amount: setattr(self, "drains", min(1.0, max(0.0, amount))),
            "creep": lambda _, amount: setattr(self, "creep_goal", amount),
            "pump": lambda _, amount: setattr(self, "broken", amount <= 0),
        }
        self.broken = False

    @property
    def time_s(self) -> float:
        """Return the world's seconds since it began."""
        return self.sky.time_s

    @property
    def beach_m(self) -> float:
        """Return the length of the dry beach in m."""
        return max(0.0, BEACH_M - (self.level_m - LEVEL_M) / BEACH_SLOPE)

    def head_m(self, place: str) -> float:
        """Return the head of water in m over the instrument at a place like s2.low."""
        depth = place[3:]
        found = self._base[place] + self.rise_m[place] + LOW_RAIN[depth] * self.soaked_m
        if depth == "low":
            found += self.clogged_m
        if place.startswith("s2"):
            found += self.piping_m * (1.0 if depth == "low" else 0.3)
        return found

    def step_things(self) -> None:
        """Advance by one second."""
        self.sky.pass_weather(1.0)
        self.sky.time_s += 1.0
        if self.showers:
            self._shower()
        rain = self.sky.rain_mm_h = self.ordered_mm_h + self.shower_mm_h
        self.rain_mm += rain / 3600.0
        taken = DECANT_M_H if self.decants and not self.broken else 0.0
        self.level_m += (rain / 1000.0 * RUNOFF + SLURRY_M_H - taken) / 3600.0
        if self.level_m > LEVEL_M + DECANT_BAND_M:
            self.decants = True
        elif self.level_m < LEVEL_M - DECANT_BAND_M:
            self.decants = False
        over = self.level_m - LEVEL_M
        for place in self.places:
            depth = place[3:]
            self.rise_m[place] += (SHARE[depth] * over - self.rise_m[place]) / LAG_S[depth]
        self.soaked_m += (RAIN_M * rain - self.soaked_m) / RAIN_LAG_S
        self.clogged_m += (CLOGGED_M * (1.0 - self.drains) - self.clogged_m) / CLOG_LAG_S
        self._pipe(rain)
        self.creep_mm_h += (self.creep_goal - self.creep_mm_h) / 1200.0
        for mark, share in (("m1", 0.3), ("m2", 1.0), ("m3", 0.7), ("m4", 0.05)):
            self.moved_mm[mark] += share * (self.creep_mm_h + CREEP_RAIN_MM * rain) / 3600.0

    def warm(self) -> None:
        """Let it run for two hours."""
        for _ in range(WARM_S):
            self.step_things()

    def reseed(self, text: str, time_s: float) -> None:
        """Begin another stretch of the same pond's life."""
        self.sky.reseed(text, time_s)
        self._chance = random.Random(f"showers/{text}")  # noqa: S311

    def _shower(self) -> None:
        self._left_s -= 1.0
        if self._left_s > 0:
            return
        self._left_s = SHOWER_TURN_S
        begins, ends, amount = self._chance.random(), self._chance.random(), self._chance.uniform(*SHOWER_MM_H)
        if self.shower_mm_h:
            self.shower_mm_h *= ends > SHOWER_TURN_S / SHOWER_LASTS_S
        elif begins < SHOWER_TURN_S / SHOWER_EVERY_S:
            self.shower_mm_h = amount

    def _pipe(self, rain: float) -> None:
        """Let water find a way through section 2: slowly, then faster, up to what was ordered."""
        if self.piping_goal > 0:
            self.piping_m3_h = min(self.piping_goal, max(self.piping_m3_h, 0.5) * math.exp(1.0 / PIPING_S))
        else:
            self.piping_m3_h *= math.exp(-1.0 / PIPING_S)
        self.piping_m += (PIPING_HEAD_M * self.piping_m3_h - self.piping_m) / PIPING_HEAD_S
        usual = SEEP_M3_H * (1.0 + 0.5 * (self.level_m - LEVEL_M)) * (0.4 + 0.6 * self.drains) + 0.3 * rain
        self.seep_m3_h += (usual - self.seep_m3_h) / SEEP_LAG_S

    def _water(self) -> Look:
        return {
            "pond.level": lambda: self.level_m - 90.0,  # a gauge's zero lies at 90 m
            "pond.freeboard": lambda: CREST_M - self.level_m,
            "beach.1": lambda: self.beach_m,
            "beach.2": lambda: 0.93 * self.beach_m,
            "decant.current": lambda: 74.0 * self.decants * (0.0 if self.broken else 1.0),
            "seepage.1": lambda: 0.55 * self.seep_m3_h,
            "seepage.2": lambda: 0.45 * self.seep_m3_h + self.piping_m3_h,
            "turbidity.2": lambda: CLEAR_NTU + MURKY_NTU * self.piping_m3_h + 0.4 * self.sky.rain_mm_h,
        }

    def _dam(self) -> Look:
        look: Look = {}
        for place in self.places:
            look |= self._wire(place)
        for mark in self.moved_mm:
            look |= self._mark(mark)
        return look

    def _wire(self, place: str) -> Look:
        def presses() -> float:
            return (self.sky.barometer_pa() - PRESSURE_PA) / 1000.0

        return {
            f"wire.{place}.frequency": lambda: frequency_hz(self.head_m(place), presses()),
            f"wire.{place}.head": lambda: self.head_m(place),
        }

    def _mark(self, mark: str) -> Look:
        known(self.moved_mm, mark, "mark")
        return {f"moved.{mark}": lambda: self.moved_mm[mark] + SHRINK_MM_K * (self.sky.temperature() - 8.0)}

    def _outside(self) -> Look:
        sky = self.sky
        return {
            "weather.temperature": sky.temperature,
            "weather.humidity": sky.humidity,
            "weather.pressure": lambda: sky.barometer_pa() / 100.0,
            "weather.wind_speed": lambda: sky.wind()[0],
            "weather.wind_direction": lambda: sky.wind()[1],
            "rain.sum": lambda: self.rain_mm % 1000.0,
            "rain.intensity": lambda: sky.rain_mm_h / 60.0,  # mm/min, as gauges say it
        }
