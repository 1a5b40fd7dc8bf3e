"""Work that comes and goes: cutting and pauses within a shift, a long pause between shifts; seeded."""

import math
import random
from typing import NamedTuple

from hardware_sim.plant import Plant
from hardware_sim.world import World

SHIFT_S, HANDOVER_S = 8 * 3600.0, 2400.0  # three shifts a day, and the pause at the end of each
TURN_S = 10.0  # how often anything is decided
DRAG_SPREAD, DRAG_S = 0.08, 1200.0  # how far and how slowly the mine's resistance wanders with what stands there


class Crew(NamedTuple):
    """Who cuts where: an air zone, the machines, and how long cutting and pausing last on average."""

    zone: str
    machines: tuple[str, ...]
    cut_s: float
    pause_s: float


CREWS = (
    Crew("face", ("shearer", "conveyor-head", "conveyor-tail", "loader", "crusher", "belt-gate"), 2100.0, 700.0),
    Crew("heading_a", ("roadheader-a",), 1500.0, 2100.0),
    Crew("heading_b", ("roadheader-b",), 1500.0, 2400.0),
)
SHIFT_MACHINES = tuple(machine for crew in CREWS for machine in crew.machines)


class Shifts:
    """Lets the crews of a mine begin and end cutting, and what stands in its roadways wander."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(f"shifts/{seed}")  # noqa: S311
        self.paused = False  # by an order from outside
        self._cutting = {crew.zone: True for crew in CREWS}
        self._left_s = 0.0

    def step(self, world: World, plant: Plant) -> None:
        """Advance by one second; every ten it is decided who cuts."""
        self._left_s -= 1.0
        if self._left_s > 0:
            return
        self._left_s = TURN_S
        keep = math.exp(-TURN_S / DRAG_S)
        wander = DRAG_SPREAD * math.sqrt(1.0 - keep * keep) * self.random.gauss(0.0, 1.0)
        world.drag = max(0.5, 1.0 + (world.drag - 1.0) * keep + wander)
        handover = world.time_s % SHIFT_S > SHIFT_S - HANDOVER_S
        for crew in CREWS:
            chance, strength = self.random.random(), self.random.uniform(0.85, 1.15)
            lasts_s = crew.cut_s if self._cutting[crew.zone] else crew.pause_s
            if chance < TURN_S / lasts_s:
                self._cutting[crew.zone] = not self._cutting[crew.zone]
            cuts = self._cutting[crew.zone] and not handover and not self.paused
            goal = strength if cuts else 0.0
            world.production[crew.zone] += 0.1 * (goal - world.production[crew.zone])
            world.working[crew.zone] = cuts
            for machine in crew.machines:
                plant.machines[machine].stopped = not cuts
