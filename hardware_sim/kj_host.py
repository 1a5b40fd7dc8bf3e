"""A KJ host that drops files of the simulated mine into a folder, well or with each fault on order.

hardware-sim kj-host --dir DIR [--dialect NAME] [--period S]     # and a gateway's folder that reads it
"""

import asyncio
import math
import random
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from hardware_sim import kj_files
from hardware_sim.kj_files import MINE, STYLES, Seen, Sensor, Shown, Style
from hardware_sim.plan import place_of
from hardware_sim.sight import Worn
from twin_wire.errors import ConfigError

Fault = Literal[
    "half",  # half of the file under its final name; the rest `amount` s later, never if 0
    "late",  # dropped `amount` s after its time
    "skip",  # not written at all
    "repeat",  # the same file once more, `amount` s later
    "copy",  # the same content under the name of the next second
    "charset",  # the other character set than agreed
    "full_width",  # ； in place of ;
    "clock",  # the host's clock is `amount` s wrong
    "mine",  # another mine's code in the header
    "bad_record",  # the share `amount` of the records is garbled
    "state",  # the state bits `amount` on point `subject`
    "twice",  # point `subject` is there twice, with another value
    "absent",  # point `subject` is left out
    "type",  # point `subject` is defined as type `amount`
    "link",  # a symlink of that name to something else
]
FAULTS: tuple[Fault, ...] = get_args(Fault)
REALTIME, PEOPLE = ("FZSS", "CDSS"), ("JZSS", "RYSS")

_ANALOGUE, _SWITCH = ("", ""), ("开", "停")
SENSORS = (
    Sensor("001A01", 1, "MN", "甲烷", "%CH4", 0, 4, _ANALOGUE, "1101工作面T1", "ch4.face", "ch4"),
    Sensor("001A02", 1, "MN", "甲烷", "%CH4", 0, 4, _ANALOGUE, "掘进A工作面T1", "ch4.heading_a", "ch4"),
    Sensor("001A03", 4, "MN", "一氧化碳", "ppm", 0, 500, _ANALOGUE, "总回风", "co.return", "co"),
    Sensor("001A04", 3, "MN", "温度", "℃", -10, 60, _ANALOGUE, "1101工作面", "temperature.face", "temperature"),
    Sensor("002A01", 2, "MN", "风速", "m/s", 0, 15, _ANALOGUE, "总回风", "wind.return-shaft", "wind_speed"),
    Sensor("002A02", 12, "MN", "氧气", "%", 0, 25, _ANALOGUE, "1101工作面", "o2.face", "o2"),
    Sensor("002A03", 14, "MN", "粉尘", "mg/m3", 0, 1000, _ANALOGUE, "1101工作面", "dust.face", "dust"),
    Sensor("002A04", 5, "MN", "风压", "kPa", 0, 5, _ANALOGUE, "风门1", "door.1.pressure", "wind_pressure"),
    Sensor("003D01", 1001, "KG", "局扇", "", 0, 1, _SWITCH, "掘进A", "fan.a.on", "local_fan"),
    Sensor("003D02", 1002, "KG", "风门", "", 0, 1, ("开", "关"), "风门1甲", "door-1a", "air_door"),
)
SCALES = {"wind_pressure": 1e-3}  # the truth is in Pa, this host shows kPa


class Station(NamedTuple):
    """A positioning station; `number` is what a gateway calls it."""

    number: int
    area: str
    roadway: str
    chainage_m: float

    @property
    def code(self) -> str:
        """Return the station code: its area's code and six digits."""
        return f"{self.area}{self.number:06}"


STATIONS = (
    Station(1, f"{MINE}0001", "main-incline", 300.0),
    Station(2, f"{MINE}0001", "pump-chamber", 40.0),
    Station(3, f"{MINE}0002", "main-2", 150.0),
    Station(4, f"{MINE}0002", "belt-2", 290.0),
    Station(5, f"{MINE}0003", "heading-a", 380.0),
    Station(6, f"{MINE}0003", "heading-b", 340.0),
    Station(7, f"{MINE}0004", "face", 90.0),
    Station(8, f"{MINE}0004", "intake-gate", 330.0),
)


class Order(NamedTuple):
    """A fault: on which type of file, how many times, how much, on which point."""

    kind: Fault
    file: str = "CDSS"
    times: int = 1
    amount: float = 0.0
    subject: str = ""  # native id of a point


class Written(NamedTuple):
    """What left: the file, its time, what its records say by code, and the fault on it ("" for a good one)."""

    name: str
    kind: str
    time_s: float
    shown: Mapping[str, Shown]
    fault: str


class KjHost:
    """One host with one inbox; `truth` and `worn` are the mine it watches."""

    def __init__(
        self,
        inbox: Path,
        truth: Callable[[str], float],
        worn: Callable[[], Iterable[Worn]],
        dialect: str = "mt-1201",
        seed: int = 1,
    ) -> None:
        if dialect not in STYLES:
            raise ConfigError(f"no dialect {dialect!r}", hint=f"known: {', '.join(STYLES)}")
        self.inbox, self.style = inbox, STYLES[dialect]
        self.written: list[Written] = []
        self._truth, self._worn = truth, worn
        self._orders: list[Order] = []
        self._random = random.Random(seed)  # noqa: S311
        self._tasks: set[asyncio.Task[None]] = set()
        self._since: dict[int, tuple[str, float]] = {}

    def order(self, order: Order) -> None:
        """Put a fault on the next files; ConfigError if there is none of that kind or no such point."""
        if order.kind not in FAULTS:
            raise ConfigError(f"fault {order.kind!r} is not known", hint=f"use one of {', '.join(FAULTS)}")
        if order.kind in ("state", "twice", "absent", "type") and not any(s.native == order.subject for s in SENSORS):
            raise ConfigError(f"no point {order.subject!r}", hint=", ".join(s.native for s in SENSORS))
        self._orders.append(order)

    async def run(self, now_s: Callable[[], float], period_s: float, people_s: float) -> None:
        """Drop definitions, then files every period, until cancelled; `now_s` is the wall clock."""
        kinds = ("CDDY",) if not self.style.prefix else ()
        for kind in kinds:
            await self.drop(kind, math.floor(now_s()) - 1.0)
        due = {REALTIME: now_s(), PEOPLE: now_s()}
        try:
            while True:
                for group, step_s in ((REALTIME, period_s), (PEOPLE, people_s)):
                    if now_s() >= due[group]:
                        due[group] += step_s
                        for kind in self._of_style(group):
                            await self.drop(kind, math.floor(now_s()))
                await asyncio.sleep(max(0.01, min(due.values()) - now_s()))
        finally:
            for task in self._tasks:
                task.cancel()

    async def drop(self, kind: str, time_s: float) -> Written | None:
        """Write one file of a type for a time, bent by the order that is due; None if it was left out."""
        order = self._due(kind)
        fault = order.kind if order else ""
        if order and fault == "clock":
            time_s += order.amount
        shown = self._shown(order) if kind == "CDSS" else {}
        style = self.style
        if fault == "charset":
            style = style._replace(charset="utf-8" if style.charset == "gbk" else "gbk", mark=b"")
        data = self._bend(self._content(kind, time_s, shown, style, order), order, style)
        written = Written(kj_files.file_name(kind, time_s, self.style), kind, time_s, shown, fault)
        if fault == "skip":
            return None
        self.written.append(written)
        await self._put(written, data, order)
        return written

    def _of_style(self, kinds: tuple[str, ...]) -> tuple[str, ...]:
        return kinds if not self.style.prefix else tuple(kind for kind in kinds if kind == "RYSS")

    def _due(self, kind: str) -> Order | None:
        for place, order in enumerate(self._orders):
            if order.file == kind:
                if order.times > 1:
                    self._orders[place] = order._replace(times=order.times - 1)
                else:
                    del self._orders[place]
                return order
        return None

    def _shown(self, order: Order | None) -> dict[str, Shown]:
        """Return what each point shows: the truth at the resolution of the host, and its state."""
        shown: dict[str, Shown] = {}
        for sensor in SENSORS:
            value = self._truth(sensor.source) * SCALES.get(sensor.signal, 1.0)
            text = f"{value:.2f}" if sensor.value_type == "MN" else sensor.words[0 if value > 0.5 else 1]
            over = sensor.value_type == "MN" and value > sensor.high
            state = 8 if over else 1 if sensor.type == 1 and value >= 1.0 else 0
            if order and order.kind == "state" and order.subject == sensor.native:
                state = int(order.amount)
            shown[sensor.code] = Shown(text, state)
        if order and order.kind == "absent":
            shown = {code: each for code, each in shown.items() if not code.endswith(order.subject)}
        return shown

    def _content(
        self, kind: str, time_s: float, shown: Mapping[str, Shown], style: Style, order: Order | None
    ) -> bytes:
        records: list[list[str]] = []
        head = kj_files.header(time_s)
        if kind == "CDDY":
            head = kj_files.definition_header(time_s)
            for sensor in SENSORS:
                bent = order and order.kind == "type" and order.subject == sensor.native
                fields = kj_files.definition(sensor, time_s)
                records.append([*fields[:3], f"{int(order.amount):04}", *fields[4:]] if order and bent else fields)
        elif kind == "CDSS":
            for sensor in SENSORS:
                if sensor.code in shown:
                    records.append(kj_files.reading(sensor, shown[sensor.code], time_s))
                    if order and order.kind == "twice" and order.subject == sensor.native:
                        records.append(kj_files.reading(sensor, Shown("3.33"), time_s))
        elif kind == "FZSS":
            codes = sorted({sensor.substation for sensor in SENSORS})
            records = [kj_files.station_state(code, 0, 1, time_s) for code in codes]
        elif kind == "JZSS":
            records = [kj_files.station_state(station.code, 0, 1, time_s) for station in STATIONS]
        else:
            records = [kj_files.person(seen, time_s - 3600, style) for seen in self._seen(time_s)]
        if order and order.kind == "mine":
            head[0] = "999999999999"
        if order and order.kind == "bad_record":
            for fields in self._random.sample(records, math.ceil(order.amount * len(records))):
                del fields[-1]
        return kj_files.whole(head, records, style)

    def _seen(self, time_s: float) -> list[Seen]:
        """Return everybody at the nearest station, with the time since when."""
        found: list[Seen] = []
        for worn in self._worn():
            here = place_of(worn.roadway, worn.chainage_m)
            distances = [(math.dist(here, place_of(s.roadway, s.chainage_m)), s) for s in STATIONS]
            distance_m, station = min(distances, key=lambda pair: pair[0])
            if self._since.get(worn.tag, ("", 0.0))[0] != station.code:
                self._since[worn.tag] = station.code, time_s
            found.append(Seen(worn.tag, station.area, station.code, distance_m, self._since[worn.tag][1]))
        return found

    def _bend(self, data: bytes, order: Order | None, style: Style) -> bytes:
        if order and order.kind == "full_width":
            return data.replace(b";", "；".encode(style.charset), 7)
        return data

    async def _put(self, written: Written, data: bytes, order: Order | None) -> None:
        """Put a file into the inbox: aside and renamed, unless the order wants it otherwise."""
        kind, amount = (order.kind, order.amount) if order else ("", 0.0)
        path = self.inbox / written.name
        if kind == "half":
            path.write_bytes(data[: len(data) // 2])
            if amount:
                self._later(amount, lambda: _append(path, data[len(data) // 2 :]))
        elif kind == "late":
            self._later(amount, lambda: _rename_in(path, data))
        elif kind == "link":
            path.symlink_to("/etc/hostname")
        else:
            _rename_in(path, data)
            if kind == "repeat":
                self._later(amount, lambda: _rename_in(path, data))
            elif kind == "copy":
                _rename_in(self.inbox / kj_files.file_name(written.kind, written.time_s + 1, self.style), data)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            act()

        task = asyncio.create_task(wait())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _rename_in(path: Path, data: bytes) -> None:
    aside = path.with_suffix(".tmp")
    aside.write_bytes(data)
    aside.replace(path)


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
