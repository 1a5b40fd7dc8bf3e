"""Serves the devices of any gateway.toml: each link a pseudo-terminal or TCP port, each point a value that moves.

No mine stands behind it: values swing around what is usual for their quantity, so that an installer sees the whole
way from register to screen before a single instrument is wired.
"""

import asyncio
import csv
import json
import math
import random
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from hardware_sim.ascii_line import WRITERS, Printer
from hardware_sim.bus import RtuBus, TcpBus, Unit
from hardware_sim.faults import FaultPlan
from hardware_sim.heard import HeardBus
from hardware_sim.kj_served import Dropper
from hardware_sim.profile import Profile, Signal, load_profile, read_profile
from hardware_sim.pusher import Pusher
from hardware_sim.registers import Registers
from hardware_sim.stand_ins import Stand, profile_beside, stand_in
from twin_wire.errors import ConfigError

TICK_S = 1.0
FILE_BYTES_MAX = 8 << 20
READY = "served.json"
USUAL: Mapping[tuple[str, str], tuple[float, float]] = {  # (quantity, unit) → middle and swing
    ("CH4", "%"): (0.35, 0.15), ("CO", "ppm"): (6.0, 3.0), ("O2", "%"): (20.7, 0.1), ("H2S", "ppm"): (0.6, 0.4),
    ("wind_speed", "m/s"): (2.4, 0.6), ("temperature", "Cel"): (23.0, 2.0), ("humidity", "%"): (68.0, 8.0),
    ("pressure", "hPa"): (1008.0, 3.0), ("pressure", "kPa"): (100.8, 0.3), ("pressure", "Pa"): (900.0, 60.0),
    ("frequency", "Hz"): (49.8, 0.2), ("voltage", "V"): (398.0, 4.0), ("dust", "mg/m3"): (2.1, 0.8),
}  # fmt: skip


Line = RtuBus | TcpBus | Pusher | Dropper


class Swinging:
    """One signal of a device, slowly up and down around its usual value, within what the device can show."""

    def __init__(self, registers: "Registers | Dropper | Stand", signal: Signal, key: str) -> None:
        self._registers, self._signal = registers, signal
        draw = random.Random(key)  # noqa: S311
        self._period_s, self._phase = draw.uniform(40.0, 180.0), draw.uniform(0.0, math.tau)
        self._middle, self._swing = _usual(signal)

    def move(self, now_s: float) -> None:
        """Show the value of now."""
        if self._signal.type == "bool" or self._signal.bits is not None:
            value = 1.0
        else:
            value = self._middle + self._swing * math.sin(self._phase + math.tau * now_s / self._period_s)
        self._registers.show(self._signal.id, value)


class Served:
    """The lines of one configuration; `run` serves until cancelled."""

    def __init__(self, config: Path, directory: Path, profiles: Path, seed: int) -> None:
        self.missing: list[str] = []  # links that nothing here can stand for, and why
        self.lines: dict[str, Line] = {}
        self._directory = directory
        (directory / READY).unlink(missing_ok=True)
        self._swinging: list[Swinging] = []
        tree = _toml(config)
        points = _points(config.parent / str(tree.get("gateway", {}).get("points", "points.csv")))
        devices = tree.get("device", [])
        for link in tree.get("link", []):
            name = str(link.get("id"))
            self._add_line(name, link, [str(d.get("profile")) for d in devices if d.get("link") == link.get("id")])
        for device in devices:
            line = self.lines.get(str(device.get("link")))
            if line is not None:
                signals = points.get(str(device.get("id")), [])
                self._add_device(line, device, _profile(config.parent, profiles, str(device["profile"])), signals, seed)

    def _add_line(self, name: str, link: Mapping[str, Any], profiles: list[str]) -> None:
        faults = FaultPlan(name)
        if link.get("kind") == "modbus-rtu" and "port" in link:
            path = self._directory / "dev" / name
            self.lines[name] = RtuBus(name, path, int(link.get("baud", 9600)), faults, lambda _: None)
        elif link.get("kind") == "modbus-tap":
            path = self._directory / "dev" / name
            self.lines[name] = HeardBus(name, path, int(link.get("baud", 9600)), faults, lambda _: None)
        elif link.get("kind") == "modbus-tcp":
            self.lines[name] = TcpBus(name, 0, faults, lambda _: None, gateway=True)
        elif link.get("kind") == "ascii-line" and profiles and profiles[0] in WRITERS:
            path, baud = self._directory / "dev" / name, int(link.get("baud", 9600))
            self.lines[name] = Pusher(name, path, baud, Printer(profiles[0]), faults, lambda _: None)
        elif link.get("kind") == "kj-file":
            self.lines[name] = Dropper(self._directory / "kj" / name, link)
        elif "port" in link and (maker := stand_in(str(link.get("kind")))) is not None:
            path, baud = self._directory / "dev" / name, int(link.get("baud", 9600))
            self.lines[name] = Pusher(name, path, baud, maker(), faults, lambda _: None)
        else:
            self.missing.append(f"{name} ({link.get('kind')})")

    def _add_device(
        self, line: Line, device: Mapping[str, Any], profile: Profile, signals: list[str], seed: int
    ) -> None:
        name, unit = str(device["id"]), int(device.get("unit", 1))
        if isinstance(line, Dropper):
            self._swinging += [Swinging(line, s, f"{seed}/{name}/{s.id}") for s in line.add(profile, device, signals)]
            return
        unknown = [signal for signal in signals if signal not in profile.signals]
        if unknown:
            raise ConfigError(f"{profile.id} has no signal {unknown[0]}")
        chosen = [profile.signals[signal] for signal in signals]
        if isinstance(line, Pusher):
            talker = cast("Stand", line.talker)  # a printer, or another package's
            self._swinging += [Swinging(talker, signal, f"{seed}/{name}/{signal.id}") for signal in chosen]
            return
        if unit in line.units:
            raise ConfigError(f"unit {unit} is on {line.link} twice")
        registers = Registers(profile, time.monotonic)
        self._swinging += [Swinging(registers, signal, f"{seed}/{name}/{signal.id}") for signal in chosen]
        served = Unit(unit, registers.image, min(profile.turnaround_s, 0.2))
        line.add(served)
        if isinstance(line, HeardBus):
            line.ask(served, profile)

    async def run(self) -> None:
        """Plug in, say so in READY, and let the values move until cancelled."""
        now_s = asyncio.get_running_loop().time
        for each in self._swinging:
            each.move(now_s())
        for line in self.lines.values():
            await line.plug()
        self._say_ready()
        async with asyncio.TaskGroup() as group:
            for line in self.lines.values():
                group.create_task(line.run())
            while True:
                await asyncio.sleep(TICK_S)
                for each in self._swinging:
                    each.move(now_s())

    def _address(self, name: str, line: Line) -> dict[str, Any]:
        if isinstance(line, TcpBus):
            return {"host": "127.0.0.1", "tcp_port": line.line.port}
        if isinstance(line, Dropper):
            return {"folder": str(line.inbox), "memory": f"{line.inbox}.memory"}
        return {"port": str(self._directory / "dev" / name)}

    def _say_ready(self) -> None:
        links = {name: self._address(name, line) for name, line in self.lines.items()}
        fresh = self._directory / f"{READY}.new"
        fresh.write_text(json.dumps({"links": links, "missing": self.missing}) + "\n", encoding="utf-8")
        fresh.rename(self._directory / READY)


def _usual(signal: Signal) -> tuple[float, float]:
    """Return middle and swing of a signal, within its range and what its registers hold."""
    low = 0.0 if signal.low is None else signal.low
    high = low + 100.0 if signal.high is None else signal.high
    middle, swing = USUAL.get((signal.quantity, signal.unit), (low + 0.4 * (high - low), 0.1 * (high - low)))
    if not low <= middle - swing <= middle + swing <= high:
        middle, swing = low + 0.4 * (high - low), 0.1 * (high - low)
    return middle, swing


def _profile(folder: Path, profiles: Path, name: str) -> Profile:
    if name.endswith(".toml"):
        return read_profile(folder / name)
    beside = None if (profiles / f"{name}.toml").is_file() else profile_beside(name)
    return load_profile(profiles, name) if beside is None else read_profile(beside)


def _toml(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
        if len(data) > FILE_BYTES_MAX:
            raise ConfigError(f"{path} is larger than {FILE_BYTES_MAX} bytes")
        return tomllib.loads(data.decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint="edge-agent check finds every fault") from error


def _points(path: Path) -> dict[str, list[str]]:
    """Return the signals of each device that points.csv names."""
    found: dict[str, list[str]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault((row.get("device") or "").strip(), []).append((row.get("signal") or "").strip())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: {error}", hint="edge-agent check finds every fault") from error
    return found
