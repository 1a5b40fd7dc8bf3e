"""Who is on this bus? Asks unit after unit at one setting after another, the likely ones first; it only ever reads.

On serial lines minimalmodbus asks, a second implementation of Modbus; on TCP our own. Function 3 of address 0, then
function 4: a device that has no such register says so with an exception, and that is an answer too.
"""

import asyncio
import termios
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import minimalmodbus
import serial

from edge_agent.claim import Setting, Target, open_alone, refuse_connected
from edge_agent.identify import usable_profiles
from edge_agent.probe import Probe
from twin_wire.errors import ConfigError, LinkError

SETTINGS = tuple(
    Setting(baud, parity, stop_bits)
    for baud, parity, stop_bits in (
        *((9600, "N", 1), (9600, "E", 1), (19200, "E", 1), (19200, "N", 1), (4800, "N", 1), (38400, "N", 1)),
        *((115200, "N", 1), (2400, "N", 1), (57600, "N", 1), (9600, "O", 1), (9600, "N", 2), (4800, "E", 1)),
        *((38400, "E", 1), (19200, "O", 1), (115200, "E", 1), (1200, "N", 1), (2400, "E", 1), (19200, "N", 2)),
    )
)
UNITS = range(1, 248)  # Modbus over Serial Line 1.02, 2.2
TCP_UNITS = (1, 255, 0, *range(2, 248))  # a device without units behind it often wants 255 or 0
LIKELY = range(1, 11)
LISTEN_S = 3.0
WAIT_S = 0.2  # for an answer; slower devices need --wait
SAME_MIN = 5  # so many units with one and the same answer are one device that does not look at the unit


class Progress(NamedTuple):
    """How far a scan is; `left_s` is for what is planned now and falls to nothing once units were found."""

    done: int
    planned: int
    left_s: float
    setting: str
    unit: int


class Found(NamedTuple):
    """A unit that answered, at what setting, to what, and how: "data", or the exception it sent."""

    unit: int
    setting: Setting | None
    function: int
    said: str


class Plan(NamedTuple):
    """What to try."""

    settings: Sequence[Setting] = SETTINGS
    units: Sequence[int] = ()  # none: all, the likely ones first
    wait_s: float = WAIT_S
    listen_s: float = LISTEN_S
    only_master: bool = False  # the installer vouches that no other master is on the bus
    rtu: bool = False  # on TCP: a serial line behind a converter


class Scan:
    """One scan with what it found so far; `run` blocks, `stop` may be called from anywhere."""

    def __init__(self, target: Target, plan: Plan, tell: Callable[[Progress], None] = lambda _: None) -> None:
        self.found: list[Found] = []
        self.noise: list[str] = []  # settings at which bytes came that were no answer
        self.ignores_unit = False  # one device answers whatever the unit is
        self._target, self._plan, self._tell = target, plan, tell
        self._stopped = threading.Event()
        self._done = self._planned = 0
        self._begun_s = time.monotonic()

    def stop(self) -> None:
        """End after the question in flight; what was found stays."""
        self._stopped.set()

    def run(self) -> None:
        """Scan to the end or until stopped; LinkError if the bus is in use or another master is heard."""
        self._begun_s = time.monotonic()
        if self._target.port:
            self._scan_serial()
        else:
            refuse_connected(self._target)
            asyncio.run(self._scan_tcp())

    def _scan_serial(self) -> None:
        plan = self._plan
        port = open_alone(self._target.port, plan.settings[0], plan.wait_s)
        try:
            if not plan.only_master:
                self._listen(port)
            instrument = minimalmodbus.Instrument(port, 1)
            for units in (self._likely, self._others):  # all devices of a bus have one setting: the first that works
                settings = [found.setting for found in self.found[:1]] or list(plan.settings)
                for place, setting in enumerate(settings):
                    self._ask_units(instrument, setting or Setting(), units, len(settings) - place)
                    if self.found or self._stopped.is_set():
                        break
        except (OSError, ValueError, termios.error) as error:  # termios.error is no OSError
            raise LinkError(f"{self._target} is gone: {error}", "unplugged?") from error
        finally:
            port.close()

    @property
    def _likely(self) -> list[int]:
        if self._plan.units:
            return list(self._plan.units)
        return list(dict.fromkeys([*LIKELY, *_default_units()]))

    @property
    def _others(self) -> list[int]:
        likely = set(self._likely)
        return [] if self._plan.units else [unit for unit in UNITS if unit not in likely]

    def _listen(self, port: serial.Serial) -> None:
        """Hear whether somebody talks on the bus: bytes come, whatever the setting, also as garbage."""
        end_s = time.monotonic() + self._plan.listen_s
        heard = 0
        while time.monotonic() < end_s and not self._stopped.is_set():
            heard += len(port.read(256))
        if heard:
            raise LinkError(
                f"{heard} bytes came in {self._plan.listen_s:g} s that nobody here asked for: another master may be on "
                f"{self._target}",
                "two masters spoil each other's readings; only if it is noise on open wires: --i-am-the-only-master",
            )

    def _ask_units(self, instrument: minimalmodbus.Instrument, setting: Setting, units: list[int], rounds: int) -> None:
        line = instrument.serial
        line.baudrate, line.parity, line.stopbits = setting
        self._planned = self._done + len(units) * rounds
        for unit in units:
            if self._stopped.is_set():
                return
            self._progress(str(setting), unit)
            instrument.address = unit
            for function in (3, 4):
                said = self._question(instrument, setting, function)
                if said:
                    self.found.append(Found(unit, setting, function, said))
                    break
            self._done += 1
        self._progress(str(setting), units[-1] if units else 0)

    def _question(self, instrument: minimalmodbus.Instrument, setting: Setting, function: int) -> str:
        """Return what the unit said, "" for silence or noise."""
        try:
            instrument.read_register(0, functioncode=function)
        except minimalmodbus.SlaveReportedException as error:
            return str(error)
        except minimalmodbus.NoResponseError:
            return ""
        except minimalmodbus.ModbusException:  # bytes, but not this unit's answer
            if str(setting) not in self.noise:
                self.noise.append(str(setting))
            time.sleep(self._plan.wait_s)
            return ""
        return "data"

    async def _scan_tcp(self) -> None:
        units = self._plan.units or (UNITS if self._plan.rtu else TCP_UNITS)
        setting = self._plan.settings[0] if self._plan.rtu else None
        answers: list[bytes] = []
        self._planned = len(units)
        async with Probe(self._target, setting, self._plan.wait_s, rtu=self._plan.rtu) as probe:
            await probe.open()
            for unit in units:
                if self._stopped.is_set():
                    return
                self._progress(str(self._target), unit)
                for function in (3, 4):
                    seen = await probe.read(unit, function, 0, 1)
                    if seen.code not in (None, 10, 11):  # 10, 11: the gateway says that nobody is there
                        said = "data" if not seen.code else seen.text
                        self.found.append(Found(unit, setting, function, said))
                        answers.append(seen.data or bytes((seen.code,)))
                        break
                self._done += 1
                if self._one_for_all(answers, len(units)):
                    return

    def _one_for_all(self, answers: list[bytes], units: int) -> bool:
        """Tell whether one device answers for every unit: then the rest need not be asked."""
        if len(answers) == SAME_MIN == self._done and units > SAME_MIN and len(set(answers)) == 1:
            self.ignores_unit, self.found = True, self.found[:1]
        return self.ignores_unit

    def _progress(self, setting: str, unit: int) -> None:
        spent_s = time.monotonic() - self._begun_s
        each_s = spent_s / self._done if self._done else 2 * self._plan.wait_s
        self._tell(Progress(self._done, self._planned, each_s * (self._planned - self._done), setting, unit))


def settings_of(baud: int | None, parity: str | None) -> tuple[Setting, ...]:
    """Return the settings to try, narrowed to what the installer knows; ConfigError if none is left."""
    kept = tuple(s for s in SETTINGS if (not baud or s.baud == baud) and (not parity or s.parity == parity))
    if kept:
        return kept
    if baud and 300 <= baud <= 4_000_000:
        return tuple(Setting(baud, each) for each in (parity or "NEO"))
    raise ConfigError(f"no setting has {baud} baud and parity {parity}", faults=(("--baud", str(baud)),))


def units_of(text: str) -> tuple[int, ...]:
    """Return the units of "3", "1-20" or "1-20,126"; ConfigError otherwise."""
    units: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        if len(part) > 7 or not first.strip().isdecimal() or not (last or first).strip().isdecimal():
            raise ConfigError(f"{text!r} are no units", "write 3, 1-20 or 1-20,126", (("--units", repr(part)),))
        if max(int(first), int(last or first)) > 255:
            raise ConfigError(f"{text!r}: a unit is 0 to 255", faults=(("--units", text),))
        units += range(int(first), int(last or first) + 1)
    return tuple(dict.fromkeys(units))


def _default_units() -> list[int]:
    """Return the units that the profiles' instruments have when they are delivered."""
    return [profile.modbus.unit for profile in usable_profiles() if profile.modbus.unit]
