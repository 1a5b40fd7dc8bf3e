"""Files of a KJ host, written by hand for tests: no code is shared with the driver or the simulator."""

import datetime as dt
from pathlib import Path

MINE = "140581001234"
EAST_8 = dt.timezone(dt.timedelta(hours=8))
CH4 = f"{MINE}01MN0001001A01"
CO = f"{MINE}01MN0004001A02"
FAN = f"{MINE}01KG1001001D01"


def stamp(time_s: float) -> str:
    return f"{dt.datetime.fromtimestamp(time_s, EAST_8):%Y-%m-%d %H:%M:%S}"


def name(kind: str, time_s: float, mine: str = MINE) -> str:
    return f"{mine}_{kind}_{dt.datetime.fromtimestamp(time_s, EAST_8):%Y%m%d%H%M%S}.txt"


def text(time_s: float, *records: str, mine: str = MINE, end: str = "~", last: str = "||") -> str:
    head = f"{mine};示范煤矿;{stamp(time_s)}{end}"
    return head + "".join(record + end for record in records) + last


def defined(
    code: str, kind: str, unit: str, low: str = "0", high: str = "4", words: str = ";", time_s: float = 0.0
) -> str:
    """24 fields: code; system; substation; type; value type; unit; high; low; 8 limits; on; off; 6 more; time."""
    limits = "1.0;0.9;;;1.5;0.9;;"
    return f"{code};01;{MINE}001;{kind};MN;{unit};{high};{low};{limits};{words};1101工作面;1;2;-3;;{stamp(time_s)}"


def definitions(time_s: float, *records: str) -> str:
    head = f"{MINE};示范煤矿;KJ90X;安全监控系统;某厂;2028-01-01;{stamp(time_s)}~"
    return head + "".join(record + "~" for record in records) + "||"


def reading(code: str, value: str, time_s: float, state: str = "0", unit: str = "%CH4", kind: str = "甲烷") -> str:
    return f"{code};{kind};1101工作面;{value};{unit};{state};{stamp(time_s)}"


def person(
    card: str, station: str, time_s: float, flag: str = "1", area: str = f"{MINE}0001", who: str = "张三", out: str = ""
) -> str:
    """15 fields: card, name, flag, in, out, area, since, station, since, shift, distance, state, 2 flags, trail."""
    since = stamp(time_s)
    return f"{card};{who};{flag};{since};{out};{area};{since};{station};{since};三班制;-12;正常;0;1;{station}&{since}"


def drop(folder: Path, file: str, content: str | bytes, charset: str = "utf-8") -> Path:
    """Write aside and rename, as a good host does."""
    aside = folder / f"{file}.tmp"
    aside.write_bytes(content if isinstance(content, bytes) else content.encode(charset))
    return aside.rename(folder / file)
