"""The structure document of a site: junctions, roadways, zones, controls, exits, refuges, ponds; strictly read."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Literal, NoReturn

import msgspec

from twin_wire.errors import FormatError
from twin_wire.ids import is_id, is_name
from twin_wire.records import decode_record, encode_record
from twin_wire.structure_faults import COORDINATE_M_MAX, Fault, Table, find_faults

STRUCTURE_BYTES_MAX = 4 << 20  # of the JSON text, and of the body inflated
ROWS_MAX = 20_000  # in any one table
FAULTS_MAX = 200  # a file of the wrong kind is not worth more lines
REVISION_MAX = 1_000_000


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


class Georeference(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the site's grid lies on the earth: one point known in both, WGS 84, and the direction of the grid's y."""

    latitude_deg: float
    longitude_deg: float
    height_m: float = 0.0  # as the site's receivers give heights
    azimuth_deg: float = 0.0  # of the grid's y axis, clockwise from true north
    x_m: float = 0.0  # the same point in the grid
    y_m: float = 0.0
    z_m: float = 0.0


class Structure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One version of a site; ids are stable across versions, names may be in any script."""

    version: int = 1
    site: str
    name: str = ""
    revision: int = 1
    kind: Literal["underground", "open_pit", "tailings"] = "underground"
    datum: str = ""  # what the grid means, e.g. "CGCS2000, 1985 height"
    georeference: Georeference | msgspec.UnsetType = msgspec.UNSET  # left out: a document without it keeps its digest
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
        # A byte order mark is what Windows editors leave; other encodings than UTF-8 are refused.
        document = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_no_constant)
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
    found: list[Fault] = []
    tables = {name: _read_table(name, kind, document.get(name, ()), found) for name, kind in TABLES.items()}
    head: Structure | None = None
    try:
        head = msgspec.convert({key: value for key, value in document.items() if key not in TABLES}, Structure)
    except msgspec.ValidationError as error:
        found.insert(0, ("$", str(error)))
    if head is not None:
        found += _head_faults(head)
    found += find_faults(tables)
    if found or head is None:
        path, message = found[0]
        raise FormatError(f"structure: {message} at {path} ({len(found)} faults)", faults=tuple(found[:FAULTS_MAX]))
    return msgspec.structs.replace(head, **{name: table.rows for name, table in tables.items()})


def _read_table(name: str, kind: type[msgspec.Struct], rows: object, found: list[Fault]) -> Table:
    if not isinstance(rows, list | tuple) or len(rows) > ROWS_MAX:
        found.append((f"$.{name}", f"not a list of at most {ROWS_MAX} rows"))
        return Table((), (), frozenset())
    sound: list[msgspec.Struct] = []
    places: list[int] = []
    ids = [row["id"] for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]
    for place, row in enumerate(rows):
        try:
            sound.append(msgspec.convert(row, kind))
        except msgspec.ValidationError as error:
            found.append((f"$.{name}[{place}]", str(error)))
            continue
        places.append(place)
    return Table(tuple(sound), tuple(places), frozenset(ids))


def _head_faults(structure: Structure) -> Iterator[Fault]:
    if structure.version != 1:
        yield "$.version", f"version {structure.version} is not known"
    if not is_id(structure.site):
        yield "$.site", "not an identifier"
    if not (is_name(structure.name) and is_name(structure.datum)):
        yield "$.name", "name or datum is not a printable text"
    if not 0 <= structure.revision <= REVISION_MAX:
        yield "$.revision", f"not within 0 to {REVISION_MAX}"
    if structure.georeference:
        yield from _georeference_faults(structure.georeference)


def _georeference_faults(georeference: Georeference) -> Iterator[Fault]:
    most = {"latitude_deg": 89.0, "longitude_deg": 180.0, "height_m": 12_000.0, "azimuth_deg": 360.0}
    for field in georeference.__struct_fields__:
        limit = most.get(field, COORDINATE_M_MAX)
        if not abs(getattr(georeference, field)) <= limit:
            yield f"$.georeference.{field}", f"not within ±{limit:.0f}"
