"""Reader of device profiles (TOML) for the device's side: what it shows where, and how it behaves when asked."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from twin_wire.errors import ConfigError

TYPES = {  # registers
    "bool": 1, "i16": 1, "u16": 1, "i32": 2, "u32": 2, "i64": 4, "u64": 4, "f32": 2, "f64": 4,
    "bcd16": 1, "bcd32": 2, "bcd48": 3, "bcd64": 4,
}  # fmt: skip
ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
UNMAPPED = ("zero", "ones", "exception", "silence")
PRINTED_BASES = {"4xxxx": (0, 1, 10_001, 40_001, 30_001), "4xxxxx": (0, 1, 100_001, 400_001, 300_001)}  # by function
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
    bits: tuple[int, int] | None = None  # lowest and highest bit it takes
    weights: tuple[int, ...] = ()  # of several numbers in a row
    offset: int = 0
    multiplier: int = 1
    exponent: str = ""  # the signal that holds the power of ten
    factors: tuple[str, ...] = ()  # the signals that hold factors

    @property
    def registers(self) -> int:
        """Return how many registers (or bits, for functions 1 and 2) the value takes."""
        return TYPES[self.type] * max(1, len(self.weights))

    @property
    def scales(self) -> tuple[str, ...]:
        """Return the signals without which its value is not known."""
        return (self.exponent, *self.factors) if self.exponent else self.factors


class Companion(NamedTuple):
    """A signal that tells how good others are: words by bit and by number, a heartbeat, or the age of their data."""

    signal: str
    of: tuple[str, ...]
    bits: Mapping[int, str]
    values: Mapping[int, str]
    other: str
    alive_s: float
    age: bool


class Fixed(NamedTuple):
    """What lies in some registers for ever: a text, or a number that is known beforehand."""

    function: int
    address: int
    registers: int
    content: str | float
    type: str  # text, or a number's
    order: str
    decimals: int


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
    unmapped: str = "zero"
    singles: bool = False
    deaf_s: float = 0.0
    companions: tuple[Companion, ...] = ()
    fixed: tuple[Fixed, ...] = ()


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
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise ConfigError(f"profile {path}: {error!r}", hint="see the schema in drivers/README.md") from error


def load_profile(directory: Path, name: str) -> Profile:
    """Return the profile `name` of a directory; ConfigError if there is none."""
    path = directory / f"{name}.toml"
    if not path.is_file():
        raise ConfigError(f"no profile {name!r} in {directory}", hint="--profiles names the folder of profiles")
    return read_profile(path)


def _profile(table: Mapping[str, object]) -> Profile:
    head, modbus = _table(table, "profile"), _table(table, "modbus", {})
    base = str(modbus.get("address_base", 0))
    bases = PRINTED_BASES[base] if base in PRINTED_BASES else (int(base),) * 5
    signals = [_signal(row, bases) for row in _rows(table, "signal")]
    unmapped = str(modbus.get("unmapped", "zero"))
    if unmapped not in UNMAPPED:
        raise ValueError(f"unmapped {unmapped!r} is not one of {', '.join(UNMAPPED)}")
    model = str(head.get("model", ""))
    texts = [_text(row, bases, model) for row in _rows(table, "text")]
    return Profile(
        id=str(head["id"]),
        vendor=str(head.get("vendor", "")),
        model=model,
        protocol=str(head["protocol"]),
        unit=int(str(modbus.get("unit", 1))),
        registers_max=int(str(modbus.get("registers_max", 125))),
        turnaround_s=float(str(modbus.get("turnaround_ms", 0))) / 1000,
        forbid=_ranges(modbus.get("forbid", [])),
        atomic=_ranges(modbus.get("atomic", [])),
        signals={signal.id: signal for signal in signals},
        golden=tuple(_golden(row) for row in _rows(table, "golden")),
        unmapped=unmapped,
        singles=bool(modbus.get("singles", False)),
        deaf_s=float(str(modbus.get("deaf_s", 0))),
        companions=tuple(_companions(_rows(table, "companion"), signals)),
        fixed=(*texts, *(_verify(row, bases) for row in _rows(table, "verify"))),  # what is known wins
    )


def _signal(row: Mapping[str, object], bases: tuple[int, ...]) -> Signal:
    low, high = (float(str(v)) for v in _list(row["range"])) if "range" in row else (None, None)
    function = int(str(row.get("function", 0)))
    bits = [int(str(v)) for v in _list([row["bit"]] * 2 if "bit" in row else row.get("bits", []))]
    signal = Signal(
        id=str(row["id"]),
        quantity=str(row.get("quantity", "")),
        unit=str(row.get("unit", "")),
        function=function,
        address=_address(row, bases, function),
        type=str(row.get("type", "u16")),
        order=str(row.get("order", "ABCD")),
        decimals=int(str(row.get("decimals", 0))),
        divisor=int(str(row.get("divisor", 1))),
        sentinels=tuple(int(str(v)) for v in _list(row.get("sentinels", []))),
        low=low,
        high=high,
        bits=(bits[0], bits[1]) if bits else None,
        weights=tuple(int(str(v)) for v in _list(row.get("weights", []))),
        offset=int(str(row.get("offset", 0))),
        multiplier=int(str(row.get("multiplier", 1))),
        exponent=str(row.get("exponent", "")),
        factors=_names(row.get("factor", [])),
    )
    if signal.type not in TYPES or signal.order not in ORDERS or not 0 <= signal.function <= 4:
        raise ValueError(f"signal {signal.id}: type, order or function is not known")
    if not 0 <= signal.address <= 65536 - signal.registers:
        raise ValueError(f"signal {signal.id}: address outside 0..65535")
    return signal


def _names(value: object) -> tuple[str, ...]:
    return tuple(str(name) for name in _list([value] if isinstance(value, str) and value else value or []))


def _address(row: Mapping[str, object], bases: tuple[int, ...], function: int) -> int:
    return int(str(row["address"])) - bases[function] if "address" in row else 0


def _companions(rows: list[Mapping[str, object]], signals: list[Signal]) -> list[Companion]:
    helpers = {str(row["signal"]) for row in rows} | {name for s in signals for name in s.scales}
    others = tuple(signal.id for signal in signals if signal.id not in helpers)
    return [
        Companion(
            signal=str(row["signal"]),
            of=tuple(str(name) for name in _list(row.get("of", []))) or others,
            bits={int(bit): str(word) for bit, word in _table(row, "bits", {}).items()},
            values={int(number): str(word) for number, word in _table(row, "values", {}).items()},
            other=str(row.get("other", "GOOD")),
            alive_s=float(str(row.get("alive_s", 0))),
            age=bool(row.get("age", False)),
        )
        for row in rows
    ]


def _text(row: Mapping[str, object], bases: tuple[int, ...], model: str) -> Fixed:
    function, order = int(str(row.get("function", 3))), str(row.get("order", "ABCD"))
    content = model if row["id"] == "model" else f"SIM {row['id']}"
    return Fixed(function, _address(row, bases, function), int(str(row["registers"])), content, "text", order, 0)


def _verify(row: Mapping[str, object], bases: tuple[int, ...]) -> Fixed:
    function, kind, expect = int(str(row.get("function", 3))), str(row.get("type", "u16")), row["expect"]
    if isinstance(expect, list):
        expect = expect[0]
    registers = int(str(row.get("registers", 1))) if kind == "text" else TYPES[kind]
    content = expect if isinstance(expect, str) else float(str(expect))
    order, decimals = str(row.get("order", "ABCD")), int(str(row.get("decimals", 0)))
    return Fixed(function, _address(row, bases, function), registers, content, kind, order, decimals)


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
