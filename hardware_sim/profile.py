"""Reader of device profiles (TOML) for the device's side: from a physical value to the registers the device shows."""

import math
import struct
import tomllib
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import NamedTuple

from twin_wire.errors import ConfigError

TYPES = {"bool": 1, "i16": 1, "u16": 1, "i32": 2, "u32": 2, "i64": 4, "u64": 4, "f32": 2, "f64": 4}  # registers
FORMATS = {"i16": ">h", "u16": ">H", "i32": ">i", "u32": ">I", "i64": ">q", "u64": ">Q", "f32": ">f", "f64": ">d"}
ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
BIT_FUNCTIONS = (1, 2)
FILE_BYTES_MAX = 1 << 20


class Signal(NamedTuple):
    """One value of a device and how it lies in its registers; `address` is the one on the wire."""

    id: str
    quantity: str
    unit: str
    function: int
    address: int
    type: str
    order: str
    decimals: int
    divisor: int
    sentinels: tuple[int, ...]
    low: float | None
    high: float | None

    @property
    def registers(self) -> int:
        """Return how many registers (or bits, for functions 1 and 2) the value takes."""
        return TYPES[self.type]


class Golden(NamedTuple):
    """One exchange printed in the vendor's document, with the values it means."""

    request: bytes
    answer: bytes
    values: Mapping[str, float]


class Profile(NamedTuple):
    """What the simulator needs to know of one kind of device."""

    id: str
    vendor: str
    model: str
    protocol: str
    unit: int
    registers_max: int
    turnaround_s: float
    forbid: tuple[tuple[int, int], ...]
    atomic: tuple[tuple[int, int], ...]
    signals: Mapping[str, Signal]
    golden: tuple[Golden, ...]


def read_profile(path: Path) -> Profile:
    """Return the profile in a TOML file; ConfigError with the place of the first fault."""
    try:
        data = path.read_bytes()
        assert len(data) <= FILE_BYTES_MAX
        table = tomllib.loads(data.decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"profile {path}: {error}") from error
    try:
        return _profile(table)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"profile {path}: {error!r}", hint="see the schema in drivers/README.md") from error


def load_profile(directory: Path, name: str) -> Profile:
    """Return the profile `name` of a directory; ConfigError if there is none."""
    path = directory / f"{name}.toml"
    if not path.is_file():
        raise ConfigError(f"no profile {name!r} in {directory}", hint="--profiles names the folder of profiles")
    return read_profile(path)


def raw_of(signal: Signal, value: float) -> int | float:
    """Return what the device would hold for a physical value: a clamped integer, or a float at its resolution.

    A value that is not a number becomes the first sentinel, or NaN for floats without one.
    """
    if math.isnan(value):
        return math.nan if signal.type in ("f32", "f64") and not signal.sentinels else _sentinel(signal)
    scaled = Decimal(repr(value)).scaleb(signal.decimals).quantize(Decimal(1), ROUND_HALF_EVEN)
    if signal.type in ("f32", "f64"):
        return float(scaled.scaleb(-signal.decimals)) * signal.divisor
    if signal.type == "bool":
        return int(scaled != 0)
    raw = int((Decimal(repr(value)) * signal.divisor).scaleb(signal.decimals).quantize(Decimal(1), ROUND_HALF_EVEN))
    low, high = _bounds(signal.type)
    raw = min(max(raw, low), high)
    while raw in signal.sentinels:  # a measured value never looks like the error code
        raw += -1 if raw > 0 else 1
    return raw


def encode(signal: Signal, raw: int | float) -> tuple[int, ...]:
    """Return the 16-bit registers of a raw value in the device's byte and word order."""
    if signal.type == "bool":
        return (int(bool(raw)),)
    kind = signal.type
    if isinstance(raw, int) and kind in ("f32", "f64"):  # a sentinel given as a bit pattern
        kind = "u32" if kind == "f32" else "u64"
    elif isinstance(raw, int) and raw > _bounds(kind)[1]:  # 0x8000 as the sentinel of an i16
        kind = "u" + kind[1:]
    data = struct.pack(FORMATS[kind], raw)
    words = [data[i : i + 2] for i in range(0, len(data), 2)]
    if signal.order in ("CDAB", "DCBA"):
        words.reverse()
    if signal.order in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    return tuple(int.from_bytes(word) for word in words)


def _sentinel(signal: Signal) -> int:
    return signal.sentinels[0] if signal.sentinels else _bounds(signal.type)[1]


def _bounds(kind: str) -> tuple[int, int]:
    if kind == "bool":
        return 0, 1
    bits = 16 * TYPES[kind]
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if kind[0] == "i" else (0, (1 << bits) - 1)


def _profile(table: Mapping[str, object]) -> Profile:
    head, modbus = _table(table, "profile"), _table(table, "modbus", {})
    base = int(str(modbus.get("address_base", 0)))
    signals = [_signal(row, base) for row in _rows(table, "signal")]
    return Profile(
        id=str(head["id"]),
        vendor=str(head.get("vendor", "")),
        model=str(head.get("model", "")),
        protocol=str(head["protocol"]),
        unit=int(str(modbus.get("unit", 1))),
        registers_max=int(str(modbus.get("registers_max", 125))),
        turnaround_s=float(str(modbus.get("turnaround_ms", 0))) / 1000,
        forbid=_ranges(modbus.get("forbid", [])),
        atomic=_ranges(modbus.get("atomic", [])),
        signals={signal.id: signal for signal in signals},
        golden=tuple(_golden(row) for row in _rows(table, "golden")),
    )


def _signal(row: Mapping[str, object], base: int) -> Signal:
    low, high = (float(str(v)) for v in _list(row["range"])) if "range" in row else (None, None)
    signal = Signal(
        id=str(row["id"]),
        quantity=str(row.get("quantity", "")),
        unit=str(row.get("unit", "")),
        function=int(str(row.get("function", 0))),
        address=int(str(row.get("address", base))) - base,
        type=str(row.get("type", "u16")),
        order=str(row.get("order", "ABCD")),
        decimals=int(str(row.get("decimals", 0))),
        divisor=int(str(row.get("divisor", 1))),
        sentinels=tuple(int(str(v)) for v in _list(row.get("sentinels", []))),
        low=low,
        high=high,
    )
    if signal.type not in TYPES or signal.order not in ORDERS or not 0 <= signal.function <= 4:
        raise ValueError(f"signal {signal.id}: type, order or function is not known")
    if not 0 <= signal.address <= 65536 - signal.registers:
        raise ValueError(f"signal {signal.id}: address outside 0..65535")
    return signal


def _golden(row: Mapping[str, object]) -> Golden:
    values = {str(k): float(str(v)) for k, v in _table(row, "values", {}).items()}
    return Golden(bytes.fromhex(str(row["request"])), bytes.fromhex(str(row["answer"])), values)


def _table(table: Mapping[str, object], key: str, otherwise: object = None) -> Mapping[str, object]:
    found = table.get(key, otherwise)
    if not isinstance(found, dict):
        raise TypeError(f"[{key}] is missing or not a table")
    return found


def _rows(table: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    rows = _list(table.get(key, []))
    if not all(isinstance(row, dict) for row in rows):
        raise TypeError(f"[[{key}]] holds something else than tables")
    return [row for row in rows if isinstance(row, dict)]


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list")
    return value


def _ranges(value: object) -> tuple[tuple[int, int], ...]:
    pairs = [_list(pair) for pair in _list(value)]
    return tuple((int(str(low)), int(str(high))) for low, high in pairs)
