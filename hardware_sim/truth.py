"""What is really so in the simulated mine, by name: the quantities that instruments look at."""

import math
from collections.abc import Callable

from hardware_sim.people import People
from hardware_sim.plan import ROADWAYS, roadway_by_id
from hardware_sim.plant import DOORS, PUMPS, Machine, Plant
from hardware_sim.world import ZONES, Fan, World

RATED_HZ, MAINS_V, POWER_FACTOR = 50.0, 380.0, 0.86
DEPTH_PA = 2180.0  # what 180 m of air add to the barometer
ON_LOAD = 0.02  # a machine below this share of its load stands still
Look = dict[str, Callable[[], float]]


class Mine:
    """The world, the plant and the people, stepped together second by second; `truth` looks at any of it."""

    def __init__(self, seed: int = 1) -> None:
        self.world, self.plant, self.people = World(seed), Plant(seed), People(seed)
        self._look: Look = {**_outside(self.world), **_intake(self.world), **self._yard()}
        for zone in ZONES:
            self._look |= _zone(self.world, zone)
        for name, fan in self.world.fans.items():
            self._look |= _fan(name, fan)
        for name, machine in self.plant.machines.items():
            self._look |= self._machine(name, machine)
        for way in ROADWAYS:
            self._look |= self._wind(way.id)
        self._look |= self._water_and_doors()

    def step(self) -> None:
        """Advance everything by one second."""
        self.world.step(1.0)
        self.plant.step(1.0)
        self.people.step(self.world.methane, 1.0)

    def truth(self, source: str) -> float:
        """Return a quantity by name, in the unit people use (%, ppm, m/s, degrees Celsius); KeyError if unknown."""
        return self._look[source]()

    def sources(self) -> list[str]:
        """Return the names that `truth` knows."""
        return sorted(self._look)

    def air_speed(self, roadway: str) -> float:
        """Return the speed of the air in a roadway in m/s."""
        way = roadway_by_id()[roadway]
        own = way.id in ("heading-a", "heading-b")
        flow = self.world.flow_of(way.air) if own else way.share * self.world.flow
        return flow / way.area_m2

    def _wind(self, roadway: str) -> Look:
        return {f"wind.{roadway}": lambda: self.air_speed(roadway)}

    def _yard(self) -> Look:
        world, machines = self.world, self.plant.machines
        return {
            "yard.pm10": lambda: 55.0 + 16.0 * world.wind()[0],
            "yard.pm2_5": lambda: 28.0 + 5.0 * world.wind()[0],
            "energy": lambda: self.plant.energy_kwh,
            "voltage": lambda: 10_150.0 - 0.4 * sum(m.load * m.spec.amps for m in machines.values()),
            "belt.on": lambda: float(machines["belt-2"].load > ON_LOAD),
            "belt.speed": lambda: 3.15 * (machines["belt-2"].load > ON_LOAD),
            "shearer.on": lambda: float(machines["shearer"].load > ON_LOAD),
        }

    def _machine(self, name: str, machine: Machine) -> Look:
        spec = machine.spec
        air = roadway_by_id()[spec.roadway].air if spec.roadway else ""
        look: Look = {
            f"machine.{name}.current": lambda: spec.amps * (0.25 + 0.75 * machine.load) * (machine.load > ON_LOAD),
            f"machine.{name}.starts": lambda: float(machine.starts),
            f"machine.{name}.pressure": lambda: spec.pressure_kpa * (0.9 + 0.1 * machine.load),
            f"machine.{name}.vibration-1": lambda: spec.vibration * (0.15 + machine.load),
            f"machine.{name}.vibration-2": lambda: 0.8 * spec.vibration * (0.15 + machine.load),
        }
        for place in range(len(machine.warm_k)):
            look |= self._bearing(machine, f"machine.{name}.bearing-{place + 1}", place, air)
        return look

    def _bearing(self, machine: Machine, name: str, place: int, air: str) -> Look:
        return {name: lambda: self._ambient(air) + machine.warm_k[place]}

    def _ambient(self, air: str) -> float:
        if not air:
            return self.world.temperature()
        return self.world.intake_temperature() + (0.0 if air == "intake" else self.world.warm_k[air])

    def _water_and_doors(self) -> Look:
        plant = self.plant
        look: Look = {"sump.level": lambda: plant.sump_m, "pump.flow": lambda: 168.0 * len(plant.pumping)}
        for pump in PUMPS:
            look |= _pump(plant, pump)
        for door in DOORS:
            look |= _door(plant, door)
        look["door.1.pressure"] = lambda: self._door_pressure("1")
        look["door.2.pressure"] = lambda: self._door_pressure("2")
        look["fan.main.pressure"] = self.world.fan_pressure
        return look

    def _door_pressure(self, number: str) -> float:
        """Return the pressure over two doors in Pa: a quarter of the fan's, less while one of them is open."""
        ajar = any(self.plant.open_s[door] > 0 for door in DOORS if door[5] == number)
        return 0.25 * self.world.fan_pressure() * (0.55 if ajar else 1.0)


def _zone(world: World, zone: str) -> Look:
    return {
        f"ch4.{zone}": lambda: 100.0 * world.methane[zone],
        f"co.{zone}": lambda: 1e6 * world.monoxide[zone],
        f"o2.{zone}": lambda: world.oxygen(zone),
        f"dust.{zone}": lambda: world.dust[zone],
        f"temperature.{zone}": lambda: world.intake_temperature() + world.warm_k[zone],
        f"humidity.{zone}": lambda: 84.0 + 1.5 * world.warm_k[zone],
    }


def _intake(world: World) -> Look:
    return {
        "co.intake": lambda: 0.4,
        "smoke": lambda: 0.0,
        "temperature.intake": world.intake_temperature,
        "temperature.pumps": lambda: world.intake_temperature() + 7.0,
        "humidity.intake": lambda: 76.0,
        "barometer": lambda: (world.pressure + DEPTH_PA) / 1000.0,
    }


def _fan(name: str, fan: Fan) -> Look:
    amps = fan.kw * 1000.0 / (math.sqrt(3.0) * MAINS_V * POWER_FACTOR)
    return {
        f"fan.{name}.speed": lambda: fan.rpm * fan.n,
        f"fan.{name}.frequency": lambda: RATED_HZ * fan.n,
        f"fan.{name}.current": lambda: amps * fan.n**2,
        f"fan.{name}.torque": lambda: 92.0 * fan.n**2,
        f"fan.{name}.power": lambda: 0.92 * fan.kw * fan.n**3,
        f"fan.{name}.voltage": lambda: MAINS_V * min(1.0, fan.n),
        f"fan.{name}.on": lambda: float(fan.n > 0.05),
    }


def _outside(world: World) -> Look:
    return {
        "weather.temperature": world.temperature,
        "weather.humidity": world.humidity,
        "weather.pressure": lambda: world.pressure / 100.0,
        "weather.wind_speed": lambda: world.wind()[0],
        "weather.wind_direction": lambda: world.wind()[1],
        "weather.rain": lambda: world.rain_mm_h,
    }


def _pump(plant: Plant, pump: str) -> Look:
    return {
        f"{pump}.on": lambda: float(pump in plant.pumping),
        f"{pump}.current": lambda: 58.0 * (pump in plant.pumping),
    }


def _door(plant: Plant, door: str) -> Look:
    return {door: lambda: float(plant.open_s[door] > 0)}
