"""Machines, pumps and doors of the demo mine: loads that come and go, bearings that warm up, a sump that fills."""

import math
import random
from typing import NamedTuple

SUMP_AREA_M2, INFLOW_M3_H, PUMP_M3_H = 260.0, 55.0, 170.0
SUMP_HIGH_M, SUMP_LOW_M = 2.6, 1.0
DOOR_OPEN_S = 18.0
BEARING_LAG_S = 1800.0


class MachineSpec(NamedTuple):
    """One machine: where it stands, its rated current and what its bearings reach at full load."""

    id: str
    name: str
    zone: str
    roadway: str
    chainage_m: float
    amps: float
    warm_k: float
    vibration: float  # mm/s at full load
    load: float  # usual share of full load
    pressure_kpa: float = 0.0  # of spray water, cooling water or air; 0: none


MACHINES = (
    MachineSpec("belt-main", "Main belt drive 主井胶带机", "z-incline", "main-incline", 20.0, 180.0, 38.0, 3.2, 0.65),
    MachineSpec("belt-1", "Belt 1 drive 胶带机1", "z-belt", "belt-1", 20.0, 120.0, 36.0, 2.8, 0.60),
    MachineSpec("belt-2", "Belt 2 drive 胶带机2", "z-belt", "belt-2", 30.0, 120.0, 36.0, 2.9, 0.60),
    MachineSpec("belt-gate", "Gate belt drive 顺槽胶带机", "z-intake-gate", "intake-gate", 30.0, 95.0, 34.0, 2.7, 0.58),
    MachineSpec("shearer", "Shearer 采煤机", "z-face", "face", 90.0, 160.0, 45.0, 5.5, 0.55, 450.0),
    MachineSpec("conveyor-head", "Face conveyor head 刮板机机头", "z-face", "face", 8.0, 140.0, 42.0, 4.0, 0.60),
    MachineSpec("conveyor-tail", "Face conveyor tail 刮板机机尾", "z-face", "face", 172.0, 140.0, 42.0, 4.1, 0.60),
    MachineSpec("loader", "Stage loader 转载机", "z-intake-gate", "intake-gate", 600.0, 70.0, 34.0, 3.4, 0.55),
    MachineSpec("crusher", "Crusher 破碎机", "z-intake-gate", "intake-gate", 580.0, 60.0, 33.0, 4.6, 0.50),
    MachineSpec(
        "emulsion-1", "Emulsion pump 1 乳化液泵1", "z-intake-gate", "intake-gate", 540.0, 85.0, 35.0, 2.2, 0.70, 420.0
    ),
    MachineSpec(
        "emulsion-2", "Emulsion pump 2 乳化液泵2", "z-intake-gate", "intake-gate", 545.0, 85.0, 35.0, 2.2, 0.10, 420.0
    ),
    MachineSpec(
        "roadheader-a", "Roadheader A 掘进机A", "z-heading-a", "heading-a", 408.0, 110.0, 40.0, 4.8, 0.50, 380.0
    ),
    MachineSpec(
        "roadheader-b", "Roadheader B 掘进机B", "z-heading-b", "heading-b", 368.0, 110.0, 40.0, 4.8, 0.50, 380.0
    ),
    MachineSpec("compressor-1", "Compressor 1 空压机1", "z-surface", "", 0.0, 65.0, 48.0, 2.4, 0.75, 585.0),
    MachineSpec("compressor-2", "Compressor 2 空压机2", "z-surface", "", 0.0, 65.0, 48.0, 2.4, 0.10, 585.0),
    MachineSpec("hoist", "Service hoist 副井提升机", "z-surface", "", 0.0, 210.0, 30.0, 2.0, 0.35),
)
DOORS = ("door-1a", "door-1b", "door-2a", "door-2b")
PUMPS = ("pump-1", "pump-2", "pump-3")


class Machine:
    """A machine at work: load 0 to 1, bearing temperatures in K above the air, hours run."""

    def __init__(self, spec: MachineSpec, rng: random.Random) -> None:
        self.spec = spec
        self.load = spec.load
        self.warm_k = [spec.warm_k * spec.load * rng.uniform(0.85, 1.1) for _ in range(4)]
        self._share = [warm / max(spec.warm_k * spec.load, 1e-9) for warm in self.warm_k]
        self.starts = rng.randrange(200, 4000)
        self.stopped = False

    def step(self, rng: random.Random, dt: float) -> None:
        """Advance by `dt` seconds."""
        goal = 0.0 if self.stopped else self.spec.load
        chance = 0.05 * math.sqrt(dt) * rng.gauss(0.0, 1.0)  # drawn even if idle
        swing = 0.0 if self.stopped else chance
        self.load = min(1.0, max(0.0, self.load + dt * (goal - self.load) / 30.0 + swing * self.spec.load))
        for place, share in enumerate(self._share):
            self.warm_k[place] += dt * (self.spec.warm_k * self.load * share - self.warm_k[place]) / BEARING_LAG_S


class Plant:
    """Everything that is not air or people, stepped with the world."""

    def __init__(self, seed: int = 1) -> None:
        self.random = random.Random(f"plant/{seed}")  # noqa: S311
        self.machines = {spec.id: Machine(spec, self.random) for spec in MACHINES}
        self.sump_m = 1.8
        self.pumping: set[str] = set()
        self._next_pump = 0
        self.broken: set[str] = set()  # pumps that do not run
        self.inflow_m3_h = INFLOW_M3_H
        self.open_s = dict.fromkeys(DOORS, 0.0)  # seconds each door still stays open
        self.energy_kwh = 412_000.0

    def step(self, dt: float = 1.0) -> None:
        """Advance by `dt` seconds."""
        for machine in self.machines.values():
            machine.step(self.random, dt)
        self._water(dt)
        self._doors(dt)
        self.energy_kwh += dt / 3600.0 * (900.0 + 2.0 * sum(m.load * m.spec.amps for m in self.machines.values()))

    def _water(self, dt: float) -> None:
        self.sump_m += dt / 3600.0 * (self.inflow_m3_h - PUMP_M3_H * len(self.pumping - self.broken)) / SUMP_AREA_M2
        if self.sump_m > SUMP_HIGH_M and not self.pumping:
            self.pumping = {PUMPS[self._next_pump]}
            self._next_pump = (self._next_pump + 1) % len(PUMPS)
        elif self.sump_m < SUMP_LOW_M:
            self.pumping = set()

    def _doors(self, dt: float) -> None:
        """Open a door now and then; of two doors in one crosscut never both, as their interlock demands."""
        for door in DOORS:
            self.open_s[door] = max(0.0, self.open_s[door] - dt)
            other = door[:-1] + ("b" if door.endswith("a") else "a")
            chance = self.random.random()
            if not self.open_s[door] and not self.open_s[other] and chance < dt / 240.0:
                self.open_s[door] = DOOR_OPEN_S
