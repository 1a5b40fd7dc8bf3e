"""What is really so in the simulated mine, by name: the quantities that instruments look at."""

import math
import random
from collections.abc import Sequence

from hardware_sim.model import Look, Model, known
from hardware_sim.people import People, Person
from hardware_sim.plan import ROADWAYS, roadway_by_id
from hardware_sim.plant import DOORS, PUMPS, Machine, Plant
from hardware_sim.shifts import SHIFT_MACHINES, Shifts
from hardware_sim.world import ZONES, Fan, World

RATED_HZ, MAINS_V, POWER_FACTOR = 50.0, 380.0, 0.86
DEPTH_PA = 2180.0  # what 180 m of air add to the barometer
ON_LOAD = 0.02  # a machine below this share of its load stands still
WARM_AIR_S, WARM_S = 4 * 3600, 900  # the mine has been running when anybody looks at it


class Mine(Model):
    """The coal mine: the air, the plant and the people, stepped together; with `shifts` work comes and goes."""

    def __init__(self, seed: int = 1, shifts: bool = False) -> None:
        super().__init__()
        self.shifts = Shifts(f"{seed}") if shifts else None
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
        self._verbs = {
            "fan": self._fan,
            "outburst": lambda _, amount: self.world.outburst(amount),
            "blast": self._blast,
            "rain": lambda _, amount: setattr(self.world, "rain_mm_h", max(0.0, amount)),
            "front": lambda _, amount: setattr(self.world, "front_goal_pa", amount),
            "fire": lambda _, amount: setattr(self.world, "fire_goal", max(0.0, amount)),
            "inflow": self._inflow,
            "stop_machine": lambda name, _: self._run(name, on=False),
            "start_machine": lambda name, _: self._run(name, on=True),
            "shift": self._shift,
            "pump": self._pump,
            "water": lambda _, amount: setattr(self.plant, "inflow_m3_h", max(0.0, amount)),
            "lose_tag": self.people.lose,
            "hold_person": self.people.hold,
        }

    @property
    def time_s(self) -> float:
        """Return the world's seconds since it began."""
        return self.world.time_s

    @property
    def persons(self) -> Sequence[Person]:
        """Return everybody underground."""
        return self.people.persons

    def step(self) -> None:
        """Advance everything by one second."""
        self.step_things()
        self.people.step(self.world.methane, 1.0)

    def step_things(self) -> None:
        """Advance everything but people by one second."""
        if self.shifts is not None:
            self.shifts.step(self.world, self.plant)
        self.world.step(1.0)
        self.plant.step(1.0)

    def warm(self) -> None:
        """Let it run for four hours, machines and people for a quarter of one."""
        for _ in range(WARM_AIR_S):
            self.world.step()
        for _ in range(WARM_S):
            self.plant.step()
            self.people.step(self.world.methane)

    def reseed(self, text: str, time_s: float) -> None:
        """Begin another stretch of the same mine's life: other chances, another time of day."""
        self.world.reseed(text, time_s)
        self.plant.random = random.Random(f"plant/{text}")  # noqa: S311
        if self.shifts is not None:
            self.shifts = Shifts(text)

    def _fan(self, name: str, amount: float) -> None:
        known(self.world.fans, name, "fan").asked = min(1.0, max(0.0, amount))

    def _blast(self, zone: str, amount: float) -> None:
        known(self.world.monoxide, zone, "air zone")
        self.world.blast(zone, amount)

    def _inflow(self, zone: str, amount: float) -> None:
        known(self.world.inflow, zone, "air zone")
        self.world.inflow_goal[zone] = max(0.0, amount)

    def _run(self, name: str, on: bool) -> None:
        known(self.plant.machines, name, "machine").stopped = not on

    def _shift(self, _name: str, amount: float) -> None:
        """Let production pause with an amount of 0, go on with 1."""
        for zone in self.world.production:
            self.world.production[zone] = min(1.5, max(0.0, amount))
        for machine in SHIFT_MACHINES:
            self._run(machine, on=amount > 0)
        if self.shifts is not None:
            self.shifts.paused = amount <= 0

    def _pump(self, name: str, amount: float) -> None:
        """Break the pumps with an amount of 0 (all without a name), mend them with 1."""
        names = {name} if name else set(PUMPS)
        if not names <= set(PUMPS):
            known(dict.fromkeys(PUMPS, 0), name, "pump")
        self.plant.broken = self.plant.broken - names if amount > 0 else self.plant.broken | names

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
        look: Look = {
            "sump.level": lambda: plant.sump_m,
            "pump.flow": lambda: 168.0 * len(plant.pumping - plant.broken),
        }
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
        "co.belt": lambda: 0.4 + 1e6 * world.belt_monoxide(),
        "smoke": lambda: float(world.smokes()),
        "temperature.intake": world.intake_temperature,
        "temperature.pumps": lambda: world.intake_temperature() + 7.0,
        "humidity.intake": lambda: 76.0,
        "barometer": lambda: (world.barometer_pa() + DEPTH_PA) / 1000.0,
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
        f"{pump}.current": lambda: 58.0 * (pump in plant.pumping) * (0.3 if pump in plant.broken else 1.0),
    }


def _door(plant: Plant, door: str) -> Look:
    return {door: lambda: float(plant.open_s[door] > 0)}
