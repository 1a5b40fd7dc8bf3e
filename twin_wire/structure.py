"""The structure document of a site: junctions, roadways, zones, controls, exits, refuges, ponds; strictly read."""

import hashlib
import json
import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal, NoReturn

import msgspec

from twin_wire.errors import FormatError
from twin_wire.ids import is_id, is_name
from twin_wire.records import decode_record, encode_record

STRUCTURE_BYTES_MAX = 4 << 20  # of the JSON text, and of the body inflated
ROWS_MAX = 20_000  # in any one table
CURVE_POINTS_MAX = 1_000
COORDINATE_M_MAX = 1e7  # keeps lengths and millimetres exact wherever they are computed
FAULTS_MAX = 200  # a file of the wrong kind is not worth more lines
DEPTH_MAX = 8


class Junction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place where roadways meet or end, in metres of the site's own grid; z upward."""

    id: str
    x_m: float
    y_m: float
    z_m: float
    name: str = ""


class Roadway(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stretch between two junctions; a place on it is its chainage in metres from `start`."""

    id: str
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    length_m: float
    area_m2: float = 0.0  # 0: not known
    perimeter_m: float = 0.0
    zone: str = ""
    walkable: bool = True
    name: str = ""
    path: tuple[tuple[float, float, float], ...] = ()  # x, y, z of bends between the junctions
    k_factor: float = 0.0  # Atkinson friction factor, N s²/m⁴ at 1.2 kg/m³; 0: not known


class Zone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An area that people and alarms are counted in; zones may lie in one another."""

    id: str
    name: str = ""
    kind: Literal["face", "heading", "roadway", "intake", "return", "chamber", "substation", "surface", "pond"] = (
        "roadway"
    )
    headcount_max: int = 0  # 0: no limit
    restricted: bool = False
    parent: str = ""


class Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that acts on the air, the water or the power of a roadway."""

    id: str
    kind: Literal["fan", "local_fan", "door", "regulator", "seal", "pump", "cutoff", "duct_end"]
    roadway: str
    chainage_m: float = 0.0
    name: str = ""
    curve: tuple[tuple[float, float], ...] = ()  # of a fan: air flow m³/s, pressure Pa
    resistance: float = 0.0  # of a door, regulator or seal when closed, N s²/m⁸; 0: not known
    serves: str = ""  # zone that a local fan, pump or cut-off serves


class Exit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A way to the open air."""

    id: str
    junction: str
    name: str = ""


class Refuge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place to wait in safety."""

    id: str
    roadway: str
    chainage_m: float
    capacity: int = 0
    hours: float = 0.0  # how long its air lasts
    name: str = ""


class Pond(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tailings pond or water store; elevations in metres of the site's grid."""

    id: str
    name: str = ""
    zone: str = ""
    crest_m: float = 0.0
    freeboard_min_m: float = 0.0
    beach_min_m: float = 0.0
    storage: tuple[tuple[float, float], ...] = ()  # level m, volume m³


class Structure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One version of a site; ids are stable across versions, names may be in any script."""

    version: int = 1
    site: str
    name: str = ""
    revision: int = 1
    kind: Literal["underground", "open_pit", "tailings"] = "underground"
    datum: str = ""  # what the grid means, e.g. "CGCS2000, 1985 height"
    junctions: tuple[Junction, ...] = ()
    roadways: tuple[Roadway, ...] = ()
    zones: tuple[Zone, ...] = ()
    controls: tuple[Control, ...] = ()
    exits: tuple[Exit, ...] = ()
    refuges: tuple[Refuge, ...] = ()
    ponds: tuple[Pond, ...] = ()


TABLES: dict[str, type[msgspec.Struct]] = {
    "junctions": Junction,
    "roadways": Roadway,
    "zones": Zone,
    "controls": Control,
    "exits": Exit,
    "refuges": Refuge,
    "ponds": Pond,
}


def read_structure(data: bytes) -> Structure:
    """Return the structure in the JSON text `data`; FormatError that lists every fault as (path, message)."""
    if len(data) > STRUCTURE_BYTES_MAX:
        raise FormatError(f"a structure document has at most {STRUCTURE_BYTES_MAX} bytes")
    try:
        document = json.loads(data, object_pairs_hook=_object, parse_constant=_no_constant)
    except RecursionError as error:
        raise FormatError("structure: nested too deeply") from error
    except ValueError as error:
        raise FormatError(f"structure: not JSON: {error}") from error
    return _build(document)


def encode_structure(structure: Structure) -> bytes:
    """Return the structure's body: a record whose SHA-256 the manifest names."""
    return encode_record(msgspec.to_builtins(structure))


def open_structure(body: bytes) -> Structure:
    """Return the structure in a body made by `encode_structure`; FormatError that lists every fault."""
    return _build(decode_record(body, STRUCTURE_BYTES_MAX))


def structure_json(structure: Structure) -> bytes:
    """Return the structure as the JSON text that `read_structure` reads."""
    return msgspec.json.encode(structure)


def structure_digest(body: bytes) -> str:
    """Return the hex SHA-256 of a structure body, as the manifest carries it."""
    return hashlib.sha256(body).hexdigest()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice in one object")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _build(document: object) -> Structure:
    """Return the checked structure of a plain document; all faults are collected before it raises."""
    if not isinstance(document, dict):
        raise FormatError("structure: not an object")
    found: list[tuple[str, str]] = []
    tables: dict[str, tuple[msgspec.Struct, ...]] = {}
    for table, kind in TABLES.items():
        tables[table] = tuple(_rows(table, kind, document.get(table, ()), found))
    head = {key: value for key, value in document.items() if key not in TABLES}
    try:
        structure = msgspec.convert(head, Structure)
    except msgspec.ValidationError as error:
        raise _refusal([("$", str(error)), *found]) from error
    structure = msgspec.structs.replace(structure, **tables)
    found.extend(faults(structure))
    if found:
        raise _refusal(found)
    return structure


def _refusal(found: list[tuple[str, str]]) -> FormatError:
    path, message = found[0]
    listed = tuple(found[:FAULTS_MAX])
    return FormatError(f"structure: {message} at {path} ({len(found)} faults)", faults=listed)


def _rows(
    table: str, kind: type[msgspec.Struct], rows: object, found: list[tuple[str, str]]
) -> Iterator[msgspec.Struct]:
    if not isinstance(rows, list | tuple):
        found.append((f"$.{table}", "not a list"))
        return
    if len(rows) > ROWS_MAX:
        found.append((f"$.{table}", f"more than {ROWS_MAX} rows"))
        return
    for place, row in enumerate(rows):
        try:
            yield msgspec.convert(row, kind)
        except msgspec.ValidationError as error:
            found.append((f"$.{table}[{place}]", str(error)))


def faults(structure: Structure) -> Iterator[tuple[str, str]]:
    """Yield every inconsistency inside `structure` as (path, message)."""
    if structure.version != 1:
        yield "$.version", f"version {structure.version} is not known"
    if not is_id(structure.site):
        yield "$.site", "not an identifier"
    if not (is_name(structure.name) and is_name(structure.datum)):
        yield "$.name", "name or datum is not a printable text"
    for table in TABLES:
        yield from _table_faults(table, getattr(structure, table))
    yield from _roadway_faults(structure)
    yield from _reference_faults(structure)
    yield from _zone_cycle_faults(structure)


def _table_faults(table: str, rows: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for place, row in enumerate(rows):
        path = f"$.{table}[{place}]"
        if not is_id(row.id):
            yield f"{path}.id", f"{row.id[:80]!r} is not an identifier"
        if row.id in seen:
            yield f"{path}.id", f"{row.id[:80]!r} is there twice"
        seen.add(row.id)
        if not is_name(row.name):
            yield f"{path}.name", "not a printable name"
        for field, value in msgspec.structs.asdict(row).items():
            yield from _number_faults(f"{path}.{field}", field, value)


def _number_faults(path: str, field: str, value: object) -> Iterator[tuple[str, str]]:
    signed = field in ("x_m", "y_m", "z_m", "crest_m", "path", "curve", "storage")
    if isinstance(value, float | int) and not isinstance(value, bool):
        if not math.isfinite(value) or abs(value) > COORDINATE_M_MAX:
            yield path, f"not within ±{COORDINATE_M_MAX:.0f}"
        elif value < 0 and not signed:
            yield path, "negative"
    elif isinstance(value, tuple):
        if len(value) > CURVE_POINTS_MAX:
            yield path, f"more than {CURVE_POINTS_MAX} points"
        if not all(math.isfinite(number) and abs(number) <= 1e12 for row in value for number in row):
            yield path, "a number is not usable"
        if field in ("curve", "storage") and any(a[0] >= b[0] for a, b in pairwise(value)):
            yield path, "the first numbers of the pairs have to rise"


def _roadway_faults(structure: Structure) -> Iterator[tuple[str, str]]:
    junctions = {junction.id for junction in structure.junctions}
    for place, roadway in enumerate(structure.roadways):
        for field, end in (("from", roadway.start), ("to", roadway.end)):
            if end not in junctions:
                yield f"$.roadways[{place}].{field}", f"no junction {end[:80]!r}"
        if not roadway.length_m > 0:
            yield f"$.roadways[{place}].length_m", "not above 0"


def _reference_faults(structure: Structure) -> Iterator[tuple[str, str]]:
    ids = {table: {row.id for row in getattr(structure, table)} for table in TABLES}
    lengths = {roadway.id: roadway.length_m for roadway in structure.roadways}
    named: list[tuple[str, str, str, str]] = []
    for table, field, target in (
        ("roadways", "zone", "zones"),
        ("zones", "parent", "zones"),
        ("controls", "serves", "zones"),
        ("ponds", "zone", "zones"),
        ("exits", "junction", "junctions"),
        ("controls", "roadway", "roadways"),
        ("refuges", "roadway", "roadways"),
    ):
        rows = getattr(structure, table)
        named += [(f"$.{table}[{n}].{field}", getattr(row, field), target, field) for n, row in enumerate(rows)]
    for path, text, target, field in named:
        optional = field in ("zone", "parent", "serves")
        if text not in ids[target] and not (optional and text == ""):
            yield path, f"no {target[:-1]} {text[:80]!r}"
    for table in ("controls", "refuges"):
        for place, row in enumerate(getattr(structure, table)):
            if row.chainage_m > lengths.get(row.roadway, math.inf):
                yield f"$.{table}[{place}].chainage_m", "beyond the end of the roadway"


def _zone_cycle_faults(structure: Structure) -> Iterator[tuple[str, str]]:
    parents = {zone.id: zone.parent for zone in structure.zones}
    for place, zone in enumerate(structure.zones):
        above, steps = zone.parent, 0
        while above and steps <= DEPTH_MAX:
            above, steps = parents.get(above, ""), steps + 1
        if steps > DEPTH_MAX:
            yield f"$.zones[{place}].parent", f"more than {DEPTH_MAX} zones in one another, or a circle"
