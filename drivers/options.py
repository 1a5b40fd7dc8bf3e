"""Tables of a configuration file into structs, with every fault of a table and its path, not only the first."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from twin_wire.errors import ConfigError

Faults = list[tuple[str, str]]
S = TypeVar("S", bound=msgspec.Struct)


def convert_table(table: object, kind: type[S], path: str, faults: Faults) -> S | None:
    """Return `table` as `kind`; None if it has faults, each added to `faults` as (path, message)."""
    if not isinstance(table, Mapping):
        faults.append((path, "not a table"))
        return None
    before = len(faults)
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    faults += [(_join(path, str(key)), "unknown key") for key in table if key not in fields]
    values: dict[str, Any] = {}
    for key, field in fields.items():
        if key in table:
            try:
                values[field.name] = msgspec.convert(table[key], field.type)
            except msgspec.ValidationError as error:
                message, _, where = str(error).partition(" - at `$")
                faults.append((_join(path, key) + where.rstrip("`"), message))
        elif field.required:
            faults.append((_join(path, key), "missing"))
    return kind(**values) if len(faults) == before else None


def split_options(options: Mapping[str, object], *kinds: type[msgspec.Struct]) -> tuple[Any, ...]:
    """Deal the keys of one table out to several structs, by their fields; ConfigError with every fault."""
    faults: Faults = []
    names = {kind: {field.encode_name for field in msgspec.structs.fields(kind)} for kind in kinds}
    known = set().union(*names.values())
    faults += [(key, "unknown key") for key in options if key not in known]
    made = [
        convert_table({key: value for key, value in options.items() if key in names[kind]}, kind, "", faults)
        for kind in kinds
    ]
    if faults:
        raise ConfigError(f"{faults[0][0]}: {faults[0][1]} ({len(faults)} faults)", faults=tuple(faults))
    return tuple(made)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
