"""A profile for an instrument nobody has described: registers that an installer compared with its display.

It lies in `profiles/` beside gateway.toml and belongs to the site. Its provenance says who compared it and when; it
claims no vendor's document.
"""

import json
from pathlib import Path
from typing import Literal

import msgspec

from drivers import Profile, load_profile
from drivers.profile import read_profile
from twin_wire.errors import ConfigError, StoreError
from twin_wire.ids import is_id, is_name

FOLDER = "profiles"
SIGNALS_MAX = 200


class Register(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One signal: what it measures, and where and how it lies on the wire."""

    id: str
    quantity: str
    unit: str
    function: Literal[3, 4] = 3
    address: int  # on the wire
    type: str = "u16"
    order: str = "ABCD"
    decimals: int = 0


class ProfileOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The instrument, who compared it with its display, and its signals."""

    id: str
    vendor: str
    model: str
    by: str
    baud: int = 9600
    parity: str = "N"
    stop_bits: int = 1
    unit: int = 1
    signals: tuple[Register, ...]


def load_site_profile(folder: Path, name: str) -> Profile:
    """Return a profile of the product, or one beside gateway.toml when `name` ends in .toml; ConfigError."""
    return load_profile(str(folder / name) if name.endswith(".toml") else name)


def site_profiles(folder: Path) -> list[str]:
    """Return the names of the profiles beside gateway.toml, as a `[[device]]` writes them."""
    return sorted(f"{FOLDER}/{path.name}" for path in (folder / FOLDER).glob("*.toml"))


def profile_text(order: ProfileOrder, date: str) -> str:
    """Return the TOML of a profile that a reader accepts; ConfigError with every fault."""
    faults = [(name, "is not an identifier") for name in ("id", "by") if not is_id(getattr(order, name))]
    faults += [(name, "is not a short text") for name in ("vendor", "model") if not is_name(getattr(order, name))]
    if not 0 < len(order.signals) <= SIGNALS_MAX:
        faults.append(("signals", f"are not 1 to {SIGNALS_MAX}"))
    if faults:
        raise ConfigError(f"{faults[0][0]} {faults[0][1]}", "give an id, not a name", tuple(faults))
    note = f"guessed from its registers and compared with its display by {order.by} on {date}; no vendor's table"
    lines = [
        *("[profile]", f"id = {_t(order.id)}", f"vendor = {_t(order.vendor)}", f"model = {_t(order.model)}"),
        *('protocol = "modbus"', 'rung = "field"', "", "[[provenance]]", 'document = "comparison on site"'),
        *(f"note = {_t(note)}", "", "[modbus]", f"baud = {order.baud}", f"parity = {_t(order.parity)}"),
        *(f"stop_bits = {order.stop_bits}", f"unit = {order.unit}"),
    ]
    for signal in order.signals:
        lines += ["", "[[signal]]"]
        lines += [f"{name} = {_t(value)}" for name, value in msgspec.to_builtins(signal).items()]
    text = "\n".join(lines) + "\n"
    read_profile(text.encode(), order.id)
    return text


def write_profile(folder: Path, order: ProfileOrder, date: str) -> str:
    """Write a new profile beside gateway.toml; return its name for `[[device]]`. ConfigError if there is one."""
    text = profile_text(order, date)
    path = folder / FOLDER / f"{order.id}.toml"
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        told = f"{path} is there already"
        raise ConfigError(told, "take another id, or edit the file", (("id", told),)) from error
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror}", "whose folder is it? is the disk full?"
        ) from error
    return f"{FOLDER}/{path.name}"


def _t(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)  # a JSON string or number is one of TOML
