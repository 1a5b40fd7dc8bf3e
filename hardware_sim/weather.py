"""The weather of a site: barometer with tides and fronts, temperature, humidity, wind, rain. Plausible numbers."""

import math
import random

DAY_S = 86_400.0
PRESSURE_PA = 101_325.0
FRONT_PA_S = 300.0 / 3600.0  # how fast a front moves the barometer
RAIN_DAMP, DAMP_LAG_S = 20.0, 900.0  # % of humidity that rain brings, and how slowly
THUMP_S = 3.0  # how long a blast's thump is felt


class Weather:
    """What passes over a site; Pa, degrees Celsius, m/s; `pass_weather` moves it on, the time is the owner's."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)  # noqa: S311  (a simulated mine needs no secrets)
        self.time_s = 0.0
        self.pressure = PRESSURE_PA
        self.rain_mm_h = 0.0
        self.front_pa = self.front_goal_pa = self.thump_pa = 0.0
        self._gust = self._turn = self._damp = 0.0

    def reseed(self, text: str, time_s: float) -> None:
        """Go on at another time of day with other chances."""
        self.random, self.time_s = random.Random(f"world/{text}"), time_s  # noqa: S311
        self.pressure = self._tide() + self.front_pa  # no leap that would suck gas out of the goaf

    def barometer_pa(self) -> float:
        """Return the pressure outside in Pa, a blast's thump in it."""
        return self.pressure + self.thump_pa

    def temperature(self) -> float:
        """Return the air temperature outside in degrees Celsius."""
        return 8.0 + 9.0 * math.sin(2 * math.pi * self.time_s / DAY_S - 2.2)

    def humidity(self) -> float:
        """Return the relative humidity outside in %."""
        return min(99.0, 58.0 - 18.0 * math.sin(2 * math.pi * self.time_s / DAY_S - 2.2) + self._damp)

    def wind(self) -> tuple[float, float]:
        """Return speed in m/s and direction in degrees of the wind outside."""
        return max(0.0, 3.2 + self._gust), (245.0 + self._turn) % 360.0

    def pass_weather(self, dt: float) -> float:
        """Move the barometer and the wind; return how fast the pressure falls in Pa/s, never below 0."""
        move = self.front_goal_pa - self.front_pa
        self.front_pa += max(-FRONT_PA_S * dt, min(FRONT_PA_S * dt, move))
        self.thump_pa *= math.exp(-dt / THUMP_S)
        pressure = self._tide() + self.front_pa
        falling = max(0.0, (self.pressure - pressure) / dt)
        self.pressure = pressure
        self._damp += dt * ((RAIN_DAMP if self.rain_mm_h > 0 else 0.0) - self._damp) / DAMP_LAG_S
        self._gust += dt * -self._gust / 60.0 + 0.16 * math.sqrt(dt) * self.random.gauss(0.0, 1.0)
        self._turn += dt * -self._turn / 300.0 + 1.5 * math.sqrt(dt) * self.random.gauss(0.0, 1.0)
        return falling

    def _tide(self) -> float:
        t = self.time_s
        tide, front = math.sin(2 * math.pi * t / 43_200), math.sin(2 * math.pi * t / (4 * DAY_S))
        return PRESSURE_PA + 180.0 * tide - 350.0 * front
