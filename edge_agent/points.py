"""points.csv: one line a point, as installers write it in a spreadsheet; every fault with its line and column."""

import csv
import io
import math
from collections.abc import Mapping
from typing import NamedTuple

from edge_agent.tables import Faults, nearest
from twin_wire.ids import is_id, is_name
from twin_wire.manifest import Limit

NUMBERS = ("chainage_m", "warn_high", "alarm_high", "warn_low", "alarm_low", "hysteresis", "delay_s")
COLUMNS = ("point", "device", "signal", "name", "zone", "roadway", "place", *NUMBERS, "raw")
REQUIRED = ("point", "device", "signal")
YES, NO = ("1", "true", "yes"), ("", "0", "false", "no")
LINES_MAX = 10_000
BYTES_MAX = 8 << 20
ALARM_SEVERITY, WARN_SEVERITY = 1, 3
HYSTERESIS_SHARE = 0.05  # where none is given: this share of the limit, at least one step of the resolution


class PointRow(NamedTuple):
    """One line of points.csv; None where a number is not given."""

    line: int
    point: str
    device: str
    signal: str
    name: str
    zone: str
    roadway: str
    place: str
    numbers: Mapping[str, float]
    raw: bool


def read_points(data: bytes, file: str, faults: Faults) -> list[PointRow]:
    """Return the lines that can be read; faults of the rest are added as (file:line:column, message)."""
    if len(data) > BYTES_MAX:
        faults.append((file, f"is larger than {BYTES_MAX} bytes"))
        return []
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        faults.append((file, f"is not UTF-8 at byte {error.start}; save it as 'CSV UTF-8'"))
        return []
    lines = csv.reader(io.StringIO(text, newline=""))
    rows: list[PointRow] = []
    try:
        header = [cell.strip() for cell in next(lines, [])]
        if not _check_header(header, file, faults):
            return []
        for cells in lines:
            if any(cell.strip() for cell in cells):
                row = _row(header, cells, f"{file}:{lines.line_num}", lines.line_num, faults)
                if row is not None:
                    rows.append(row)
            if len(rows) > LINES_MAX:
                faults.append((file, f"has more than {LINES_MAX} points"))
                break
    except csv.Error as error:
        faults.append((f"{file}:{lines.line_num}", f"is not CSV: {error}"))
    return rows


def _check_header(header: list[str], file: str, faults: Faults) -> bool:
    before = len(faults)
    faults += [(f"{file}:1:{c}", f"is not a known column{nearest(c, COLUMNS)}") for c in header if c not in COLUMNS]
    faults += [(f"{file}:1:{c}", "is there twice") for c in sorted({c for c in header if header.count(c) > 1})]
    faults += [(f"{file}:1", f"column {c!r} is missing") for c in REQUIRED if c not in header]
    return len(faults) == before


def _row(header: list[str], cells: list[str], path: str, line: int, faults: Faults) -> PointRow | None:
    before = len(faults)
    if len(cells) > len(header):
        faults.append((path, f"has {len(cells)} cells under {len(header)} columns"))
    given = {column: cell.strip() for column, cell in zip(header, cells, strict=False)}
    numbers: dict[str, float] = {}
    for column in NUMBERS:
        text = given.get(column, "")
        if text:
            number = _number(text)
            if number is None:
                faults.append((f"{path}:{column}", f"{text[:40]!r} is not a number"))
            else:
                numbers[column] = number
    for column in ("hysteresis", "delay_s", "chainage_m"):
        if numbers.get(column, 0.0) < 0:
            faults.append((f"{path}:{column}", "is negative"))
    if not is_id(given.get("point", "")):
        faults.append(
            (f"{path}:point", f"{given.get('point', '')[:80]!r} is not an identifier: letters, digits, _ . : -")
        )
    if not is_name(given.get("name", "")):
        faults.append((f"{path}:name", "is not a short printable text"))
    if given.get("raw", "").lower() not in (*YES, *NO):
        faults.append((f"{path}:raw", "is neither yes nor no"))
    if len(faults) > before:
        return None
    return PointRow(
        line=line,
        point=given["point"],
        device=given.get("device", ""),
        signal=given.get("signal", ""),
        name=given.get("name", ""),
        zone=given.get("zone", ""),
        roadway=given.get("roadway", ""),
        place=given.get("place", ""),
        numbers=numbers,
        raw=given.get("raw", "").lower() in YES,
    )


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def site_limits(row: PointRow, decimals: int, path: str, faults: Faults) -> list[Limit]:
    """Return the site's own limits of one line, as plain numbers with their restore values."""
    limits: list[Limit] = []
    for kind, sign in (("high", -1.0), ("low", 1.0)):
        for word, severity in (("alarm", ALARM_SEVERITY), ("warn", WARN_SEVERITY)):
            value = row.numbers.get(f"{word}_{kind}")
            if value is not None:
                step = row.numbers.get("hysteresis", max(abs(value) * HYSTERESIS_SHARE, 10.0**-decimals))
                restore = round(value + sign * step, decimals + 2)
                delay_s = row.numbers.get("delay_s", 0.0)
                limits.append(Limit("high" if sign < 0 else "low", severity, value, restore, delay_s, "site"))
    n = row.numbers
    for low, high in (("warn_high", "alarm_high"), ("alarm_low", "warn_low"), ("warn_low", "warn_high")):
        if low in n and high in n and n[low] > n[high]:
            faults.append((f"{path}:{low}", f"{n[low]:g} lies above {high} {n[high]:g}"))
    return limits


def merge_limits(own: list[Limit], ruled: tuple[Limit, ...]) -> tuple[Limit, ...]:
    """Return one limit per kind and severity: the stricter where site and ruleset both set it."""
    best: dict[tuple[str, int], Limit] = {}
    for limit in (*ruled, *own):
        known = best.get((limit.kind, limit.severity))
        stricter = known is None or (limit.value > known.value if limit.kind == "low" else limit.value < known.value)
        if stricter:
            best[limit.kind, limit.severity] = limit
    return tuple(sorted(best.values(), key=lambda limit: (limit.kind, limit.severity)))
