"""pytest plugin of the simulator, loaded by its entry point: a bus, its faults, a mine; nothing runs until it is used.

sim_bus      devices of any profile on a pseudo-terminal and a TCP port: sim_bus.add("pemtech-pt495", unit=3, ch4=0.8)
sim_faults   what the line does: sim_faults.add("flip", unit=3, probability=0.1)
sim_mine     a coal mine without wires: sim_mine.act("fan", "a", 0.0); sim_mine.run(300); sim_mine.truth("ch4.face")
make_sim_bus, make_sim_mine   the same, as many and as different as needed
The contract every driver has to keep is `hardware_sim.contract.DriverContract`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hardware_sim.fixtures import SimBus, SimFaults, SimMine


@pytest.fixture
def make_sim_bus(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Callable[..., SimBus]]":
    """Make buses: make_sim_bus(baud=9600, seed=2); each has a pseudo-terminal and a TCP port of its own."""
    from hardware_sim.fixtures import SimBus

    made: list[SimBus] = []

    def make(baud: int = 115_200, seed: int = 1) -> SimBus:
        made.append(SimBus(Path(tmp_path_factory.mktemp("sim-bus")), baud, seed))
        return made[-1]

    yield make
    for bus in made:
        bus.close()


@pytest.fixture
def sim_bus(make_sim_bus: "Callable[..., SimBus]") -> "SimBus":
    """Give an empty bus of simulated devices that runs beside the test."""
    return make_sim_bus()


@pytest.fixture
def sim_faults(sim_bus: "SimBus") -> "SimFaults":
    """Give the fault plan of `sim_bus`."""
    return sim_bus.faults


@pytest.fixture
def make_sim_mine() -> "Callable[..., SimMine]":
    """Make sites: make_sim_mine("tailings", seed=3)."""
    from hardware_sim.fixtures import SimMine

    return SimMine


@pytest.fixture
def sim_mine(make_sim_mine: "Callable[..., SimMine]") -> "SimMine":
    """Give a coal mine that has been running for four hours."""
    return make_sim_mine()
