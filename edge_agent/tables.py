"""gateway.toml as frozen structs, and the one way to find a table's faults: all at once, with suggestions."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any, Literal, TypeVar

import msgspec

Faults = list[tuple[str, str]]
S = TypeVar("S", bound=msgspec.Struct)


class GatewayTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[gateway]`: what this box is, and where its files lie, relative to gateway.toml."""

    id: str
    name: str = ""
    site: str
    state: str = "state"  # folder of queue.db, state.db and the key
    structure: str = ""  # the site's plan, JSON; "" for none
    points: str = "points.csv"
    ruleset: str = ""  # a file of twin_wire/rulesets, or a path ending in .toml; "" for none


class PageTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[page]`: the installer's page; beyond loopback only with a PIN."""

    listen: str = "127.0.0.1:8765"  # "" for no page
    pin_file: str = ""


class QueueTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[queue]`: how much of the disk may be used, and how long what is safe at the server stays."""

    quota_mb: int = 512
    keep_days: float = 7.0


class UplinkTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[uplink]`: what the voucher cannot know."""

    ca_file: str = ""  # certificate of a private authority that signed the server's


class LinkTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[[link]]`: one serial line or connection; `options` are the driver's own keys."""

    id: str
    kind: str
    options: dict[str, Any] = {}


class DeviceTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[[device]]`: one instrument."""

    id: str
    link: str
    profile: str
    unit: int = 1
    period_s: float = 1.0
    name: str = ""
    timeout_ms: float = 0.0  # wait at least so long for an answer: raise behind a radio or a slow converter


class AnchorTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[[anchor]]`: a fixed positioning station: an anchor that ranges, a reader that hears, or a side of a gate."""

    id: int = 0  # its number in the device's frames; of a reader, which antenna
    device: str
    roadway: str
    chainage_m: float
    reach_m: float = 0.0  # of a reader without signal strength: how far it hears a tag
    gate: str = ""  # two antennas with one gate and the sides "outer" and "inner" count who goes in and out
    side: Literal["", "outer", "inner"] = ""
    zone: str = ""  # what the gate counts people into; "" for the whole site


def convert(kind: type[S], table: object, path: str, faults: Faults) -> S | None:
    """Return the table as a struct, None if a value cannot be used; every fault is added, unknown keys too."""
    if not isinstance(table, Mapping):
        faults.append((path, "is not a table"))
        return None
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    faults += [(f"{path}.{key}", f"is not a known key{nearest(str(key), fields)}") for key in table.keys() - fields]
    before = len(faults)
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in table:
            try:
                values[name] = msgspec.convert(table[name], field.type)
            except msgspec.ValidationError as error:
                faults.append((f"{path}.{name}", str(error)))
        elif field.required:
            faults.append((f"{path}.{name}", "is missing"))
    return kind(**values) if len(faults) == before else None


def convert_each(kind: type[S], tables: object, path: str, faults: Faults) -> list[tuple[int, S]]:
    """Return (place, struct) of every table of an array that has no fault."""
    if not isinstance(tables, list):
        faults.append((path, f"is not an array of tables; write [[{path}]]"))
        return []
    made = [(place, convert(kind, table, f"{path}[{place}]", faults)) for place, table in enumerate(tables)]
    return [(place, row) for place, row in made if row is not None]


def nearest(word: str, known: Collection[str]) -> str:
    """Return "; did you mean …?" for a near miss, "; known: …" for a short list, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(sorted(known))}" if 0 < len(known) <= 12 else ""
