"""Writes the text of a KJ host's files: header, records, end mark, in each dialect; shares nothing with any reader.

Point code = mine (12) + system (2) + value type (2) + sensor type (4) + native id; station = area (16) + 6;
card = mine (12) + 5. Field orders: `drivers/profiles/kj-host.toml` and `kj-people.toml` name where they were seen.
"""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

EAST_8 = dt.timezone(dt.timedelta(hours=8))
MINE, MINE_NAME = "140581001234", "示范煤矿（模拟）"
SYSTEM, VENDOR, MODEL, EXPIRY = "安全监控系统", "模拟厂", "KJ90X", "2028-12-31"


class Style(NamedTuple):
    """How a family of hosts writes."""

    record_end: str = "~"
    file_end: str = "||"
    prefix: str = ""  # before the type in the name
    charset: str = "utf-8"
    line_break: str = ""  # after each record
    mark: bytes = b""  # byte order mark
    none_time: str = ""  # for a time that is none


STYLES = {
    "mt-1201": Style(),
    "mt-1201-gbk": Style(charset="gbk"),
    "mt-1201-lines": Style(line_break="\r\n", mark=b"\xef\xbb\xbf"),
    "non-coal": Style("^", "]]]", "N", none_time="xxxx-xx-xx xx:xx:xx"),
}


class Sensor(NamedTuple):
    """One measuring point of the host and the truth behind it."""

    native: str
    type: int
    value_type: str  # MN analogue, KG switch
    name: str
    unit: str
    low: float
    high: float
    words: tuple[str, str]  # "on", "off" of a switch
    place: str
    source: str
    signal: str  # what a gateway's points.csv calls it

    @property
    def code(self) -> str:
        """Return the point code."""
        return f"{MINE}01{self.value_type}{self.type:04}{self.native}"

    @property
    def substation(self) -> str:
        """Return the code of the substation it hangs on."""
        return f"{MINE}{self.native[:3]}"


class Shown(NamedTuple):
    """What a record says: value as text, and the state bits."""

    value: str
    state: int = 0


def stamp(time_s: float) -> str:
    """Return a time as the files print it."""
    return f"{dt.datetime.fromtimestamp(time_s, EAST_8):%Y-%m-%d %H:%M:%S}"


def file_name(kind: str, time_s: float, style: Style) -> str:
    """Return the name of a file written at a time."""
    return f"{MINE}_{style.prefix}{kind}_{dt.datetime.fromtimestamp(time_s, EAST_8):%Y%m%d%H%M%S}.txt"


def whole(header: Sequence[str], records: Sequence[Sequence[str]], style: Style) -> bytes:
    """Return a file: header, records, end mark."""
    end = style.record_end + style.line_break
    text = "".join(";".join(fields) + end for fields in (header, *records)) + style.file_end
    return style.mark + text.encode(style.charset)


def header(time_s: float, *more: str) -> list[str]:
    """Return a header: mine, its name, what a type adds, and the time."""
    return [MINE, MINE_NAME, *more, stamp(time_s)]


def definition_header(time_s: float) -> list[str]:
    """Return the header of a definition file."""
    return header(time_s, MODEL, SYSTEM, VENDOR, EXPIRY)


def definition(sensor: Sensor, time_s: float) -> list[str]:
    """Return the 24 fields of a point's definition; a switch has no unit and no range."""
    analogue = sensor.value_type == "MN"
    span = [f"{sensor.high:g}", f"{sensor.low:g}"] if analogue else ["", ""]
    limits = ["1.00", "0.99", "", "", "1.50", "0.99", "", ""] if sensor.type == 1 else [""] * 8
    where = [sensor.place, "1840.5", "62.0", "-183.2", ""]
    head = [sensor.code, "01", sensor.substation, f"{sensor.type:04}", sensor.value_type, sensor.unit]
    return [*head, *span, *limits, *sensor.words, *where, stamp(time_s)]


def reading(sensor: Sensor, shown: Shown, time_s: float) -> list[str]:
    """Return the 7 fields of a point now."""
    return [sensor.code, sensor.name, sensor.place, shown.value, sensor.unit, str(shown.state), stamp(time_s)]


def station_state(code: str, run: int, power: int, time_s: float) -> list[str]:
    """Return the 4 fields of a substation or positioning station now."""
    return [code, str(run), str(power), stamp(time_s)]


class Seen(NamedTuple):
    """One person in a snapshot."""

    tag: int
    area: str
    station: str
    distance_m: float
    since_s: float
    left: bool = False


def person(seen: Seen, entered_s: float, style: Style) -> list[str]:
    """Return the 15 fields of a person; the names are as made up as the people."""
    flag, out = ("2", stamp(seen.since_s)) if seen.left else ("1", style.none_time)
    since = stamp(seen.since_s)
    who = [f"{MINE}{seen.tag:05}", f"矿工{seen.tag:03}", flag, stamp(entered_s), out]
    where = [seen.area, since, seen.station, since, "三八制", f"{seen.distance_m:.0f}"]
    return [*who, *where, "正常", "0", "0", f"{seen.station}&{since}"]
