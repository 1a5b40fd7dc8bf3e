"""The running simulator: steps the mine at its speed, keeps the registers current, lives through a scenario."""

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import IO, NamedTuple

from hardware_sim.bus import Bus, TcpBus
from hardware_sim.devices import Floor, Line
from hardware_sim.faults import Rule
from hardware_sim.journal import Journal
from hardware_sim.model import Model, known
from hardware_sim.scenarios import FOR_THE_RECORD, ON_DEVICES, Action, Label, Labels, Story
from hardware_sim.sensors import FAULTS
from hardware_sim.site import Site
from hardware_sim.truth import Mine
from twin_wire.errors import ConfigError

TICK_S = 0.25
STEPS_MAX = 400  # world seconds caught up in one tick; a host that slept longer loses the rest
SPEED_MAX = 200.0
log = logging.getLogger(__name__)


class Options(NamedTuple):
    """How one run of the simulator differs from another."""

    directory: Path
    seed: int = 1
    scenario: str = "quiet"
    tcp_port: int = 1502
    dead: tuple[str, ...] = ()  # devices that never answer


class Simulator:
    """The mine with its lines; `run` serves until `stop` is called."""

    def __init__(self, site: Site, options: Options) -> None:
        self.options, self.site = options, site
        self.mine: Model = site.plan.model(options.seed)
        self.mine.warm()
        self._swapped: dict[str, str] = {}  # points whose wires were exchanged
        self.speed = 1.0
        self.labels = Labels()
        self.story = Story(options.scenario, 0.0, site.plan.scenarios())
        self.late_steps = 0  # world seconds given up because the host was too slow
        self.late_s = 0.0  # the longest this process was kept waiting: a device cannot be more punctual than that
        self.begun_us = time.time_ns() // 1000
        options.directory.mkdir(parents=True, exist_ok=True)
        self.journal = Journal(options.directory / "journal.csv")
        self.floor = Floor(site, options.directory, options.tcp_port, options.seed, self.mine.worn, self.journal.add)
        self._labels_file: IO[str] = (options.directory / "labels.jsonl").open("w", encoding="utf-8")
        self._stopped = asyncio.Event()
        for device in options.dead:
            self._set_alive(device, alive=False)
        self._update(0.0)

    async def run(self) -> None:
        """Serve all lines and let the mine live until `stop`; ports are unplugged at the end."""
        self.story = Story(self.story.name, asyncio.get_running_loop().time(), self.site.plan.scenarios())
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(line.run()) for line in self.floor.lines.values()]
                tasks.append(group.create_task(self._live()))
                await self._stopped.wait()
                for task in tasks:
                    task.cancel()
        finally:
            self.journal.close()
            self._labels_file.close()

    def stop(self) -> None:
        """Let `run` end."""
        self._stopped.set()

    def tell(self, scenario: str) -> None:
        """Begin a scenario now; ConfigError if there is none of that name."""
        self.story = Story(scenario, asyncio.get_running_loop().time(), self.site.plan.scenarios())
        log.info("scenario begins name=%s", scenario)

    def add_fault(self, link: str, rule: Rule) -> None:
        """Put a fault on a line; ConfigError if the line or the fault is not known."""
        self._line(link).faults.add(rule)

    def clear_faults(self, link: str) -> None:
        """Take all faults off a line."""
        line = self._line(link)
        line.faults.clear()
        if isinstance(line, TcpBus):
            line.line.half_open = False

    def half_open(self, link: str) -> None:
        """Let a TCP line accept and say nothing; ConfigError for other lines."""
        line = self._line(link)
        if not isinstance(line, TcpBus):
            raise ConfigError(f"{link} is not a TCP line")
        line.line.half_open = True

    async def act(self, action: Action) -> None:
        """Do one thing to the mine or its lines, and note its label; ConfigError if the subject is not known."""
        if action.verb == "speed":
            if not 0.0 < action.amount <= SPEED_MAX:
                raise ConfigError(f"speed {action.amount} is not within 0 to {SPEED_MAX:g}")
            self.speed = action.amount
        elif action.verb in ON_DEVICES:
            await self._act_on_devices(action)
        elif action.verb not in FOR_THE_RECORD:
            self.mine.act(action.verb, action.subject, action.amount)
        log.info("action verb=%s subject=%s amount=%g", action.verb, action.subject, action.amount)
        for label in self.labels.take(action, time.time_ns() // 1000):
            self._write(label)

    async def _act_on_devices(self, action: Action) -> None:
        if action.verb == "unplug":
            await self._line(action.subject).unplug()
        elif action.verb == "plug":
            await self._line(action.subject).plug()
        elif action.verb in ("dead", "alive"):
            self._set_alive(action.subject, alive=action.verb == "alive")
        else:
            instrument = known(self.floor.instruments, action.subject, "point")
            if action.verb == "repair":
                instrument.sensor.repair()
                self._swapped.pop(self._swapped.pop(action.subject, ""), None)
                return
            if action.verb == "swap":
                known(self.floor.instruments, action.detail, "point")
                self._swapped |= {action.subject: action.detail, action.detail: action.subject}
                return
            kind = next((kind for kind in FAULTS if kind == action.detail), None)
            if kind is None:
                raise ConfigError(
                    f"sensor fault {action.detail!r} is not known", hint=f"use one of {', '.join(FAULTS)}"
                )
            instrument.sensor.fail(kind, action.amount)

    async def _live(self) -> None:
        loop = asyncio.get_running_loop()
        last_s, due = loop.time(), 0.0
        while True:
            await asyncio.sleep(TICK_S)
            for action in self.story.due(loop.time()):
                await self.act(action)
            now_s = loop.time()
            self.late_s = max(self.late_s, now_s - last_s - TICK_S)
            due += (now_s - last_s) * self.speed
            last_s = now_s
            steps = int(due)
            due -= steps
            if steps > STEPS_MAX:
                self.late_steps += steps - STEPS_MAX
                steps = STEPS_MAX
            for _ in range(steps):
                self.mine.step()
            if steps:
                self._update(float(steps))

    def _update(self, elapsed_s: float) -> None:
        truth, instruments = self.mine.truth, self.floor.instruments
        for instrument in instruments.values():
            instrument.update(truth(instrument.plan.source), elapsed_s)
        for point, other in self._swapped.items():
            instruments[point].show(instruments[other].sensor.shown)

    def _line(self, link: str) -> Line:
        return known(self.floor.lines, link, "link")

    def _set_alive(self, device: str, alive: bool) -> None:
        plans = {plan.id: plan for plan in self.site.devices}
        plan = known(plans, device, "device")
        line = self._line(plan.link)
        if not isinstance(line, Bus):
            raise ConfigError(f"{device} cannot die alone: unplug {plan.link}")
        line.units[plan.unit].alive = alive

    def _write(self, label: Label) -> None:
        event = "stop" if label.stop_us else "start"
        at_us = label.stop_us or label.start_us
        row = {"event": event, "time_us": at_us, "kind": label.kind, "cause": label.cause, "points": label.points}
        self._labels_file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._labels_file.flush()


def warmed(seed: int) -> Mine:
    """Return a demo mine that has been running for four hours."""
    mine = Mine(seed)
    mine.warm()
    return mine
