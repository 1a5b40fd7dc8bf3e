"""Files that the KJ host of a coal mine drops: names, grammar, dialects, records; bytes in, records out, no I/O.

    <mine code>_<TYPE>_<yyyyMMddHHmmss>.txt
    header~record~record~…||          fields parted by ";", an empty field keeps its ";"

Grammar, field order, state bits and codes are those that independent public programs agree on, which write or read such
files (`profiles/kj-host.toml` names them); the printed text of MT/T 1201 was not to be had. The first record is the
header: mine code first, time of writing last. Nothing of a file is used that does not end with its end mark.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, TypeVar

from twin_wire.errors import FormatError

FILE_BYTES_MAX = 8 << 20
RECORDS_MAX = 20_000
FIELD_CHARS_MAX = 512
BAD_SHARE_MAX = 0.2  # more bad records than this, and none of the file counts
FUTURE_US_MAX = 300_000_000
FULL_WIDTH = "；"
OUT_TIMES = ("", "xxxx-xx-xx xx:xx:xx")  # a person who is still in has no time of leaving
PADDING = b"\r\n \t\0"

_NAME = re.compile(r"([0-9A-Za-z]{1,42})_([A-Z]{3,8})_([0-9]{14})\.(?:txt|TXT)")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_CODE = re.compile(r"[0-9A-Za-z_.\-#]{1,64}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,9})?")

Kind = Literal["CDDY", "CDSS", "FZSS", "RYSS", "JZSS"]
FIELDS: Mapping[Kind, int] = {"CDDY": 24, "CDSS": 7, "FZSS": 4, "RYSS": 15, "JZSS": 4}
HEADER_FIELDS: Mapping[Kind, int] = {"CDDY": 7, "CDSS": 3, "FZSS": 3, "RYSS": 3, "JZSS": 3}
ORDER: tuple[Kind, ...] = ("CDDY", "FZSS", "JZSS", "CDSS", "RYSS")  # of one second: definitions come first
# Seen beside them; none carries a reading of its own.
PASSED_OVER = ("FZDY", "TJSJ", "YCBJ", "RYQY", "RYJZ", "RYXX", "ZKYL", "ZKSS", "RYCS", "RYCY", "RYXZ", "RYQJ")


class Dialect(NamedTuple):
    """How one family of hosts writes."""

    record_end: str
    file_end: str
    kinds: Mapping[str, Kind]  # type as printed in the name → what it holds


DIALECTS: Mapping[str, Dialect] = {
    "mt-1201": Dialect("~", "||", {kind: kind for kind in FIELDS}),
    "non-coal": Dialect("^", "]]]", {"NRYSS": "RYSS"}),  # of this variant only the personnel file was seen
}


class Style(NamedTuple):
    """What the installer says about a host: dialect, character set and time zone."""

    dialect: Dialect
    charset: str  # "utf-8" or "gb18030"
    utc_offset_h: float = 8.0


class FileName(NamedTuple):
    """What a file's name says."""

    text: str
    mine: str
    kind: Kind
    stamp: str  # yyyyMMddHHmmss


class Definition(NamedTuple):
    """One measuring point as the host defines it; None where a number is left out."""

    code: str
    type: int  # sensor type code
    unit: str
    high: float | None
    low: float | None
    on_text: str
    off_text: str
    place: str = ""  # where it hangs, in the host's words


class Reading(NamedTuple):
    """One measuring point now."""

    code: str
    value: str
    unit: str
    state: int  # a set of bits
    time_us: int


class Station(NamedTuple):
    """One substation or positioning station now; the codes are the host's own."""

    code: str
    run: int
    power: int
    time_us: int


class Person(NamedTuple):
    """One card in a snapshot; the name is not here: a mark of this process alone tells that it changed."""

    card: str
    inside: bool
    area: str
    station: str
    station_us: int  # since when at this station
    name_mark: int


Record = Definition | Reading | Station | Person
R = TypeVar("R", bound=Record)


class HostFile(NamedTuple):
    """A whole file: its header's time, its records, and how many records could not be read."""

    name: FileName
    time_us: int
    records: list[Record]
    bad: int


def read_name(text: str, dialect: Dialect) -> FileName | None:
    """Return what a name says; None if it is no name of this dialect."""
    found = _NAME.fullmatch(text)
    kind = dialect.kinds.get(found[2]) if found else None
    return FileName(text, found[1], kind, found[3]) if found and kind else None


def is_passed_over(text: str) -> bool:
    """Tell whether a name is that of a file which holds no readings."""
    found = _NAME.fullmatch(text)
    return found is not None and found[2].removeprefix("N") in (*PASSED_OVER, *FIELDS)


def is_code(text: str) -> bool:
    """Tell whether a text can be the code of a point, station, area or card."""
    return _CODE.fullmatch(text) is not None


def is_whole(data: bytes, style: Style) -> bool:
    """Tell whether a file ends with its end mark; without it, it is still being written."""
    return data.rstrip(PADDING).endswith(style.dialect.file_end.encode())


def read_file(data: bytes, name: FileName, style: Style, now_us: int) -> HostFile:
    """Return a whole file; FormatError whose first fault names what is wrong, and then nothing of it counts."""
    text = _text(data, style)
    rows = text[: -len(style.dialect.file_end)].split(style.dialect.record_end)
    unfinished = rows.pop()
    if not rows or len(rows) > RECORDS_MAX:
        raise _refusal("header", "no record" if not rows else f"more than {RECORDS_MAX} records")
    header = rows.pop(0).split(";")
    time_us = _time_us(header[-1], style)
    if len(header) != HEADER_FIELDS[name.kind] or time_us is None:
        raise _refusal("header", f"the header has {len(header)} fields and ends with {header[-1][:30]!r}")
    if header[0] != name.mine:
        raise _refusal("mine", f"the header is of mine {header[0][:42]!r}")
    if time_us > now_us + FUTURE_US_MAX:
        raise _refusal("future", f"written {(time_us - now_us) / 1e6:.0f} s in the future: whose clock is wrong?")
    make = MAKERS[name.kind]
    records: list[Record] = []
    bad = int(bool(unfinished.strip()))
    for row in rows:
        fields = row.split(";")
        fits = len(fields) == FIELDS[name.kind] and max(map(len, fields)) <= FIELD_CHARS_MAX
        record = make(fields, style) if fits else None
        if record is None or getattr(record, "time_us", 0) > time_us + FUTURE_US_MAX:
            bad += 1
        else:
            records.append(record)
    if bad > BAD_SHARE_MAX * (len(rows) + int(bool(unfinished.strip()))):
        raise _refusal("too_many_bad", f"{bad} of {len(rows)} records cannot be read")
    return HostFile(name, time_us, records, bad)


def of_kind(file: HostFile, kind: type[R]) -> list[R]:
    """Return the records of a file as what its type says they are."""
    return [record for record in file.records if isinstance(record, kind)]


def number_of(text: str) -> float | None:
    """Return a printed number, None for anything else."""
    return float(text) + 0.0 if _NUMBER.fullmatch(text) else None


def _text(data: bytes, style: Style) -> str:
    if not is_whole(data, style):
        raise _refusal("incomplete", f"does not end with {style.dialect.file_end}")
    try:
        text = data.rstrip(PADDING).removeprefix(b"\xef\xbb\xbf").decode(style.charset)
    except UnicodeDecodeError as error:
        raise _refusal("charset", f"byte {error.start} is not {style.charset}") from error
    text = text.replace("\r", "").replace("\n", "")
    if FULL_WIDTH in text:
        raise _refusal("charset", f"{FULL_WIDTH} where ; has to stand")
    if style.dialect.file_end in text[: -len(style.dialect.file_end)]:
        raise _refusal("header", "goes on behind its end mark")
    return text


def _refusal(fault: str, message: str) -> FormatError:
    return FormatError(message, faults=((fault, message),))


def _time_us(text: str, style: Style) -> int | None:
    if not _TIME.fullmatch(text):
        return None
    try:
        local = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    since = local - timedelta(hours=style.utc_offset_h) - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1) if local.year >= 2000 else None


def _definition(fields: list[str], style: Style) -> Definition | None:
    del style
    code, kind, unit, high, low = fields[0], fields[3], fields[5], fields[6], fields[7]
    numbers = [number_of(text) if text else None for text in (high, low)]
    unreadable = any(text and number is None for text, number in zip((high, low), numbers, strict=True))
    if not is_code(code) or not (kind.isascii() and kind.isdecimal() and len(kind) == 4) or unreadable:
        return None
    return Definition(code, int(kind), unit, numbers[0], numbers[1], *fields[16:19])


def _reading(fields: list[str], style: Style) -> Reading | None:
    code, _type, _place, value, unit, state, time = fields
    time_us, bits = _time_us(time, style), _small(state)
    return Reading(code, value, unit, bits, time_us) if is_code(code) and time_us and bits is not None else None


def _station(fields: list[str], style: Style) -> Station | None:
    code, run, power, time = fields
    time_us, states = _time_us(time, style), (_small(run), _small(power))
    if not is_code(code) or time_us is None or states[0] is None or states[1] is None:
        return None
    return Station(code, states[0], states[1], time_us)


def _person(fields: list[str], style: Style) -> Person | None:
    card, name, flag, _entered, out, area, _area_time, station, station_time = fields[:9]
    codes = all(is_code(code) or code in ("", "null") for code in (area, station))
    station_us = _time_us(station_time, style) or 0
    if not is_code(card) or flag not in ("0", "1", "2") or not codes:
        return None
    if out not in OUT_TIMES and _time_us(out, style) is None:
        return None
    # hash() of text has a key of its own in every process: the mark leads back to no name.
    return Person(card, flag == "1", area.replace("null", ""), station.replace("null", ""), station_us, hash(name))


def _small(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else None


MAKERS: Mapping[Kind, Callable[[list[str], Style], Record | None]] = {
    "CDDY": _definition,
    "CDSS": _reading,
    "FZSS": _station,
    "JZSS": _station,
    "RYSS": _person,
}
