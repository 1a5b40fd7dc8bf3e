"""What the pytest fixtures give: a bus of simulated devices in a thread of its own, and a site lived without wires."""

import asyncio
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hardware_sim.bus import RtuBus, TcpBus, Unit
from hardware_sim.faults import FaultPlan, Kind, Rule
from hardware_sim.journal import Answer
from hardware_sim.model import Model
from hardware_sim.profile import Profile, load_profile, read_profile
from hardware_sim.registers import Registers
from hardware_sim.sites import SITES
from twin_wire.errors import ConfigError

PROFILES = Path(__file__).parents[1] / "drivers" / "profiles"
START_S = 5.0
ANSWERS_MAX = 100_000
T = TypeVar("T")


class SimFaults:
    """The faults of one simulated line; the same seed and the same requests give the same faults."""

    def __init__(self, plan: FaultPlan) -> None:
        self._plan = plan

    def add(
        self,
        kind: Kind,
        unit: int | None = None,
        probability: float = 1.0,
        times: int | None = None,
        amount: float = 0.5,
    ) -> None:
        """Add a fault (faults.py has the kinds); `amount` is in seconds for late and hang; ConfigError."""
        self._plan.add(Rule(kind, unit, probability, times, amount))

    def clear(self) -> None:
        """Take all faults off the line."""
        self._plan.clear()


class SimBus:
    """Devices on a pseudo-terminal (`port`) and, the same ones, behind a TCP port (`host`, `tcp_port`).

    They live in a thread of their own, so that a test may block as it likes.
    """

    def __init__(self, directory: Path, baud: int = 115_200, seed: int = 1) -> None:
        self._plan = FaultPlan(f"{seed}/sim-bus")
        self.faults = SimFaults(self._plan)
        self.answers: list[Answer] = []  # every whole, undisturbed read
        self.port, self.host = str(directory / "sim-bus"), "127.0.0.1"
        self._devices: dict[int, Registers] = {}
        self._units: dict[int, list[Unit]] = {}
        self._serial = RtuBus("sim-bus", Path(self.port), baud, self._plan, self._note)
        self._network = TcpBus("sim-bus", 0, self._plan, self._note)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sim-bus", daemon=True)
        self._tasks: list[asyncio.Task[None]] = []
        self._thread.start()
        self._call(self._start())

    @property
    def tcp_port(self) -> int:
        """Return the TCP port the devices are behind too."""
        return self._network.line.port

    def add(self, profile: str | Path, unit: int = 1, **values: float) -> None:
        """Put a device on the bus: a profile's name, or its file; `values` are shown as by `show`; ConfigError."""
        if unit in self._devices:
            raise ConfigError(f"unit {unit} is on the bus already")
        found = _profile(profile)
        registers = Registers(found, time.monotonic)
        units = [Unit(unit, registers.image, found.turnaround_s) for _ in range(2)]
        self._devices[unit], self._units[unit] = registers, units

        def install() -> None:
            self._serial.add(units[0])
            self._network.add(units[1])

        self._run(install)
        self.show(unit, **values)

    def show(self, unit: int, **values: float) -> None:
        """Let a device show physical values by signal, NaN for none; ConfigError if there is no such one."""
        registers = self._devices.get(unit)
        if registers is None:
            raise ConfigError(f"no unit {unit} on the bus")
        unknown = set(values) - set(registers.profile.signals)
        if unknown:
            raise ConfigError(f"{registers.profile.id} has no signal {min(unknown)!r}")
        for name, value in values.items():
            self._run(lambda name=name, value=value: registers.show(name, float(value)))

    def power(self, unit: int, on: bool) -> None:
        """Switch a device off or on."""

        def switch() -> None:
            for each in self._units[unit]:
                each.alive = on

        self._run(switch)

    def unplug(self) -> None:
        """Take the pseudo-terminal and the TCP port away."""
        self._call(self._serial.unplug())
        self._call(self._network.unplug())

    def plug(self) -> None:
        """Bring them back; the pseudo-terminal is another one under the same name."""
        self._call(self._serial.plug())
        self._call(self._network.plug())

    def close(self) -> None:
        """End the devices and their thread."""
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        self._tasks = [asyncio.create_task(bus.run()) for bus in (self._serial, self._network)]
        ends_s = time.monotonic() + START_S
        while not (self._serial.line.plugged and self._network.line.plugged):
            assert time.monotonic() < ends_s, "the simulated bus does not start"
            await asyncio.sleep(0.002)

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _note(self, answer: Answer) -> None:
        if len(self.answers) < ANSWERS_MAX:
            self.answers.append(answer)

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_S)

    def _run(self, work: Any) -> None:
        """Do something in the devices' own thread, between two of their answers."""

        async def inside() -> None:
            work()

        self._call(inside())


class SimMine:
    """A simulated site that lives as fast as it can; `model` is the whole of it, see model.py."""

    def __init__(self, site: str = "coal", seed: int = 1) -> None:
        if site not in SITES:
            raise ConfigError(f"no site {site!r}", hint=f"use one of {', '.join(SITES)}")
        self.plan = SITES[site]
        self.model: Model = self.plan.model(seed)
        self.model.warm()

    def run(self, seconds: int) -> None:
        """Let seconds pass."""
        for _ in range(seconds):
            self.model.step()

    def truth(self, source: str) -> float:
        """Return what is really so, as `ch4.heading_a`; KeyError for an unknown name."""
        return self.model.truth(source)

    def act(self, verb: str, subject: str = "", amount: float = 0.0) -> None:
        """Do one thing to the site, as act("fan", "a", 0.0); ConfigError."""
        self.model.act(verb, subject, amount)


def _profile(profile: str | Path) -> Profile:
    return load_profile(PROFILES, profile) if isinstance(profile, str) else read_profile(profile)
