"""From plans to things on lines: register images, units and consoles, and the instruments that keep them current."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from hardware_sim.ascii_line import Printer
from hardware_sim.bus import Bus, RtuBus, TcpBus, Unit
from hardware_sim.catalogue import DevicePlan, PointPlan
from hardware_sim.faults import FaultPlan
from hardware_sim.journal import Answer
from hardware_sim.modbus import Read
from hardware_sim.profile import Profile, Signal
from hardware_sim.pusher import Pusher
from hardware_sim.registers import Registers
from hardware_sim.sensors import SensorState
from hardware_sim.sight import Worn
from hardware_sim.site import Site
from hardware_sim.talkers import PERIOD_S, talker_of

Line = RtuBus | TcpBus | Pusher


class Instrument:
    """One point at work: looks at the truth through its sensor and keeps its registers current."""

    def __init__(self, plan: PointPlan, signal: Signal, registers: Registers | Printer, seed: int) -> None:
        self.plan, self.signal, self.sensor = plan, signal, SensorState(plan.sensor, f"{seed}/{plan.id}")
        self._registers = registers

    def update(self, truth: float, elapsed_s: float) -> None:
        """Read the truth `elapsed_s` world seconds after the last time and show it."""
        self.show(self.sensor.read(truth, elapsed_s))

    def show(self, value: float) -> None:
        """Put a value into the registers, whatever the sensor reads."""
        self._registers.show(self.signal.id, value)


class Floor:
    """All lines of a site with the devices on them, and the instruments behind the points."""

    def __init__(
        self,
        site: Site,
        directory: Path,
        tcp_port: int,
        seed: int,
        worn: Callable[[], Iterable[Worn]],
        record: Callable[[Answer], None],
    ) -> None:
        self.lines: dict[str, Line] = {}
        self.instruments: dict[str, Instrument] = {}
        self._points: dict[tuple[str, int], list[Instrument]] = {}
        self._samples: dict[tuple[str, int, Read], int] = {}
        for place, link in enumerate(site.links):
            faults = FaultPlan(f"{seed}/{link.id}")
            path = directory / "dev" / link.id
            if link.kind == "modbus-rtu":
                self.lines[link.id] = RtuBus(link.id, path, link.baud, faults, record)
            elif link.kind == "modbus-tcp":
                self.lines[link.id] = TcpBus(link.id, tcp_port, faults, record)
            elif link.kind == "ascii-line":
                printer = Printer(next(device.profile for device in site.devices if device.link == link.id))
                self.lines[link.id] = Pusher(link.id, path, link.baud, printer, faults, record, 1.0, 0.37 * place)
            else:
                anchors = [anchor for anchor in site.anchors if anchor.device == link.id]
                talker = talker_of(link, anchors, worn, f"{seed}/{link.id}")
                period_s = PERIOD_S.get(link.kind, 1.0)
                phase_s = 0.37 * place % period_s
                self.lines[link.id] = Pusher(link.id, path, link.baud, talker, faults, record, period_s, phase_s)
        for device in site.devices:
            line = self.lines[device.link]
            if isinstance(line, Bus):
                self._install(line, device, site.profiles[device.profile], seed)
            elif isinstance(line.talker, Printer):
                signals = site.profiles[device.profile].signals
                made = [Instrument(p, signals[p.signal], line.talker, seed) for p in device.points]
                self.instruments |= {instrument.plan.id: instrument for instrument in made}

    def samples(self, link: str, unit: int, read: Read) -> int:
        """Return how many configured points lie whole in one read."""
        known = self._samples.get((link, unit, read))
        if known is None:
            signals = (instrument.signal for instrument in self._points.get((link, unit), []))
            last = read.address + read.size
            known = sum(
                signal.function == read.function
                and read.address <= signal.address
                and signal.address + signal.registers <= last
                for signal in signals
            )
            self._samples[link, unit, read] = known
        return known

    def _install(self, line: Bus, plan: DevicePlan, profile: Profile, seed: int) -> None:
        registers = Registers(profile, time.monotonic, plan.unmapped)
        for name, value in plan.fixed:
            registers.show(name, value)
        instruments = [Instrument(point, profile.signals[point.signal], registers, seed) for point in plan.points]
        self.instruments |= {instrument.plan.id: instrument for instrument in instruments}
        self._points[plan.link, plan.unit] = instruments
        turnaround_s = profile.turnaround_s if plan.turnaround_s is None else plan.turnaround_s
        line.add(Unit(plan.unit, registers.image, turnaround_s, profile.deaf_s))
