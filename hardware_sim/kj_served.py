"""A KJ host for any gateway.toml: it drops files with the very codes that the configuration names."""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hardware_sim import kj_files
from hardware_sim.kj_files import MINE, Seen, Sensor, Shown, Style
from hardware_sim.profile import Profile, Signal

CROWD = 12  # people who are always in the mine
PEOPLE = ("headcount", "area_headcount")
STATES: Mapping[str, str] = {
    "substation": "FZSS",
    "substation_power": "FZSS",
    "station": "JZSS",
    "station_power": "JZSS",
}


class Dropper:
    """The folder of one link: definitions once, then readings, states and people, each at its device's period."""

    def __init__(self, inbox: Path, options: Mapping[str, Any]) -> None:
        self.inbox = inbox
        self._stations = [str(code) for code in options.get("stations", {})]
        charset = "gbk" if options.get("charset") == "gbk" else "utf-8"
        non_coal = options.get("dialect") == "non-coal"
        self._style = kj_files.STYLES["non-coal"] if non_coal else Style(charset=charset)
        self._sensors: list[Sensor] = []
        self._values: dict[str, tuple[float, int]] = {}  # code → value and decimals
        self._states: dict[str, set[str]] = {}
        self._areas: list[str] = []
        self._periods: dict[str, float] = {}  # type of file → period

    def add(self, profile: Profile, device: Mapping[str, Any], signals: Sequence[str]) -> list[Signal]:
        """Add the points of a device; return those whose value somebody has to show, each named by its code."""
        period_s = max(1.0, float(device.get("period_s", 1.0)))
        moving: list[Signal] = []
        for what, code in ((name.partition(":")[0], name.partition(":")[2]) for name in signals):
            if what in PEOPLE:
                self._areas += [code] if code else []
            if what in PEOPLE or what in STATES:
                kind = "RYSS" if what in PEOPLE else STATES[what]
                self._periods[kind] = min(period_s, self._periods.get(kind, period_s))
                self._states.setdefault(kind, set()).add(code)
            elif what in profile.signals and profile.signals[what].address:
                signal = profile.signals[what]._replace(id=code)
                self._periods["CDSS"] = min(period_s, self._periods.get("CDSS", period_s))
                unit = "" if signal.unit == "1" else signal.unit
                kind = "KG" if signal.unit == "1" else "MN"
                words = ("开", "停") if kind == "KG" else ("", "")
                self._sensors.append(Sensor("", signal.address, kind, what, unit, 0.0, 0.0, words, what, code, what))
                self._values[code] = (0.0, signal.decimals)
                moving.append(signal)
        if self._stations:
            self._periods.setdefault("RYSS", period_s)
        return moving

    def show(self, code: str, value: float) -> None:
        """Take a value, in the unit of the profile."""
        self._values[code] = value, self._values[code][1]

    async def plug(self) -> None:
        """Make the folder, empty."""
        await asyncio.to_thread(self.inbox.mkdir, parents=True, exist_ok=True)
        for path in await asyncio.to_thread(lambda: list(self.inbox.iterdir())):
            path.unlink()

    async def run(self) -> None:
        """Drop files until cancelled."""
        if self._sensors:
            now_s = math.floor(time.time()) - 1
            definitions = [_coded(sensor, kj_files.definition(sensor, now_s)) for sensor in self._sensors]
            self._drop("CDDY", now_s, kj_files.definition_header(now_s), definitions)
        due = dict.fromkeys(self._periods, time.time())
        while due:
            for kind, period_s in self._periods.items():
                if time.time() >= due[kind]:
                    due[kind] += period_s
                    now_s = math.floor(time.time())
                    self._drop(kind, now_s, kj_files.header(now_s), self._records(kind, now_s))
            await asyncio.sleep(max(0.01, min(due.values()) - time.time()))

    def _records(self, kind: str, now_s: float) -> list[list[str]]:
        if kind == "CDSS":
            return [_coded(s, kj_files.reading(s, self._shown(s), now_s)) for s in self._sensors]
        if kind != "RYSS":
            return [kj_files.station_state(code, 0, 1, now_s) for code in sorted(self._states[kind])]
        areas, stations = self._areas or [f"{MINE}0001"], self._stations or [f"{MINE}0001000001"]
        crowd = [
            Seen(tag, areas[tag % len(areas)], stations[int(now_s / 60 + tag) % len(stations)], 5.0 * tag, now_s)
            for tag in range(1, CROWD + 1)
        ]
        return [kj_files.person(seen, now_s - 3600, self._style) for seen in crowd]

    def _shown(self, sensor: Sensor) -> Shown:
        value, decimals = self._values[sensor.source]
        if sensor.value_type == "KG":
            return Shown(sensor.words[0 if value > 0.5 else 1])
        return Shown(f"{value:.{decimals}f}")

    def _drop(self, kind: str, now_s: float, head: list[str], records: list[list[str]]) -> None:
        path = self.inbox / kj_files.file_name(kind, now_s, self._style)
        aside = path.with_suffix(".tmp")
        aside.write_bytes(kj_files.whole(head, records, self._style))
        aside.replace(path)


def _coded(sensor: Sensor, fields: list[str]) -> list[str]:
    """Return a record under the code that the configuration names (`source`), without a range."""
    if len(fields) > 7:
        fields[6] = fields[7] = ""
    return [sensor.source, *fields[1:]]
