"""What can be wrong in a structure document whose rows have the right fields: every fault found, with its path."""

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from twin_wire.ids import is_id, is_name

CURVE_POINTS_MAX = 1_000
COORDINATE_M_MAX = 1e7  # keeps lengths and millimetres exact wherever they are computed
DEPTH_MAX = 8  # zones inside one another
_SIGNED = ("x_m", "y_m", "z_m", "crest_m")
_REFERENCES = (  # table, field, field as written, table it names, may be ""
    ("roadways", "start", "from", "junctions", False),
    ("roadways", "end", "to", "junctions", False),
    ("roadways", "zone", "zone", "zones", True),
    ("zones", "parent", "parent", "zones", True),
    ("controls", "roadway", "roadway", "roadways", False),
    ("controls", "serves", "serves", "zones", True),
    ("exits", "junction", "junction", "junctions", False),
    ("refuges", "roadway", "roadway", "roadways", False),
    ("ponds", "zone", "zone", "zones", True),
)
Fault = tuple[str, str]


class Table(NamedTuple):
    """The sound rows of one table, their places in the document, and the ids of all rows, the unsound ones too."""

    rows: tuple[Any, ...]
    places: tuple[int, ...]
    ids: frozenset[str]


def find_faults(tables: Mapping[str, Table]) -> Iterator[Fault]:
    """Yield every inconsistency within and between the tables as (path, message)."""
    for name, table in tables.items():
        yield from _row_faults(name, table)
    for place, roadway in _placed(tables["roadways"]):
        if roadway.length_m == 0:
            yield f"$.roadways[{place}].length_m", "not above 0"
    for name, field, written, target, optional in _REFERENCES:
        for place, row in _placed(tables[name]):
            text = getattr(row, field)
            if text not in tables[target].ids and not (optional and text == ""):
                yield f"$.{name}[{place}].{written}", f"no {target[:-1]} {text[:80]!r}"
    lengths = {roadway.id: roadway.length_m for roadway in tables["roadways"].rows}
    for name in ("controls", "refuges"):
        for place, row in _placed(tables[name]):
            if row.chainage_m > lengths.get(row.roadway, math.inf):
                yield f"$.{name}[{place}].chainage_m", "beyond the end of the roadway"
    yield from _circles(tables["zones"])


def _placed(table: Table) -> Iterator[tuple[int, Any]]:
    return zip(table.places, table.rows, strict=True)


def _row_faults(name: str, table: Table) -> Iterator[Fault]:
    seen: set[str] = set()
    for place, row in _placed(table):
        path = f"$.{name}[{place}]"
        if not is_id(row.id):
            yield f"{path}.id", f"{row.id[:80]!r} is not an identifier"
        if row.id in seen:
            yield f"{path}.id", f"{row.id[:80]!r} is there twice"
        seen.add(row.id)
        if not is_name(row.name):
            yield f"{path}.name", "not a printable name"
        for field in row.__struct_fields__:
            value = getattr(row, field)
            if isinstance(value, float | int) and not isinstance(value, bool):
                yield from _number_faults(f"{path}.{field}", value, field in _SIGNED)
            elif isinstance(value, tuple):
                yield from _curve_faults(f"{path}.{field}", value, rising=field != "path")


def _number_faults(path: str, value: float, signed: bool) -> Iterator[Fault]:
    if not abs(value) <= COORDINATE_M_MAX:
        yield path, f"not within ±{COORDINATE_M_MAX:.0f}"
    elif value < 0 and not signed:
        yield path, "negative"


def _curve_faults(path: str, value: tuple[tuple[float, ...], ...], rising: bool) -> Iterator[Fault]:
    if len(value) > CURVE_POINTS_MAX:
        yield path, f"more than {CURVE_POINTS_MAX} points"
    most = math.inf if rising else COORDINATE_M_MAX
    if not all(math.isfinite(number) and abs(number) <= most for row in value for number in row):
        yield path, "a number is not usable"
    if rising and any(one[0] >= next_one[0] for one, next_one in pairwise(value)):
        yield path, "the first numbers of the pairs have to rise"


def _circles(zones: Table) -> Iterator[Fault]:
    parents = {zone.id: zone.parent for zone in zones.rows}
    for place, zone in _placed(zones):
        above, steps = zone.parent, 0
        while above and steps < DEPTH_MAX:
            above, steps = parents.get(above, ""), steps + 1
        if above:
            yield f"$.zones[{place}].parent", f"more than {DEPTH_MAX} zones in one another, or a circle"
