"""Device profiles: what an instrument's registers mean, read from TOML with every fault at once."""

import math
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from drivers.options import Faults, S, convert_table
from twin_wire.errors import ConfigError
from twin_wire.ids import is_id
from twin_wire.quantity import fits

PROFILES = Path(__file__).parent / "profiles"
PROFILE_BYTES_MAX = 1 << 20
SIGNALS_MAX = 4096
DECIMALS_MAX = 9  # what the wire can pack
BITS = {"bool": 1, "i16": 16, "u16": 16, "i32": 32, "u32": 32, "i64": 64, "u64": 64, "f32": 32, "f64": 64}

Address = Annotated[int, Meta(ge=0, le=65535)]
Span = tuple[Address, Address]


class Provenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a number of this profile comes from."""

    document: str
    page: str = ""
    note: str = ""


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which instrument this is and how far the profile has been proven."""

    id: str
    vendor: str
    model: str
    protocol: Literal["modbus", "linktrack"]
    rung: Literal["documented", "simulated", "interop", "bench", "field"]


class Modbus(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How to talk to the instrument; addresses in the file lie `address_base` above those on the wire."""

    baud: Annotated[int, Meta(ge=300, le=4_000_000)] = 9600
    parity: Literal["N", "E", "O"] = "E"
    stop_bits: Literal[1, 2] = 1
    unit: Annotated[int, Meta(ge=0, le=255)] = 1
    registers_max: Annotated[int, Meta(ge=1, le=125)] = 125  # Modbus Application Protocol 1.1b3, 6.3
    address_base: Annotated[int, Meta(ge=0, le=65535)] = 0
    turnaround_ms: Annotated[float, Meta(ge=0, le=120_000)] = 20
    timeout_ms: Annotated[float, Meta(gt=0, le=180_000)] = 300
    forbid: tuple[Span, ...] = ()  # wire addresses, both ends included
    atomic: tuple[Span, ...] = ()


class Signal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One quantity of the instrument; value = register integer / 10**decimals / divisor, or the float itself."""

    id: str
    quantity: str
    unit: str
    function: Literal[0, 1, 2, 3, 4] = 0  # 0: the protocol has no registers
    address: Annotated[int, Meta(ge=0, le=131_071)] = 0  # on the wire once read_profile has taken off address_base
    type: Literal["bool", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64"] = "u16"
    order: Literal["ABCD", "CDAB", "BADC", "DCBA"] = "ABCD"
    decimals: Annotated[int, Meta(ge=0, le=DECIMALS_MAX)] = 0
    divisor: Annotated[int, Meta(ge=1, le=10**9)] = 1
    sentinels: tuple[int, ...] = ()
    range: tuple[float, float] | None = None
    name: str = ""

    @property
    def count(self) -> int:
        """Return how many registers it takes (bits for coils and discrete inputs)."""
        return 1 if self.function in (1, 2) else max(1, BITS[self.type] // 16)

    @property
    def point_decimals(self) -> int:
        """Return the decimals of the value after the divisor: what the manifest declares."""
        return self.decimals + (len(str(self.divisor - 1)) if self.divisor > 1 else 0)


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question and answer on the wire (RTU, hex) and the values of signals they give; nan for a sentinel."""

    request: str
    answer: str
    values: dict[str, float]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument, checked; signal addresses are wire addresses."""

    id: str
    vendor: str
    model: str
    protocol: str
    rung: str
    provenance: tuple[Provenance, ...]
    modbus: Modbus
    signals: tuple[Signal, ...]
    golden: tuple[Golden, ...] = ()

    def signal(self, name: str) -> Signal | None:
        """Return the signal of that id, None if there is none."""
        return next((signal for signal in self.signals if signal.id == name), None)


def profile_names() -> list[str]:
    """Return the names of the profiles that come with the product."""
    return sorted(path.stem for path in PROFILES.glob("*.toml"))


def load_profile(name: str) -> Profile:
    """Return a profile that comes with the product, or the one in a file when `name` ends in .toml; ConfigError."""
    path = Path(name) if name.endswith(".toml") else PROFILES / f"{name}.toml"
    if not name.endswith(".toml") and name not in profile_names():
        raise ConfigError(f"no profile {name!r}", f"known: {', '.join(profile_names())}", (("profile", repr(name)),))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", faults=((str(path), str(error.strerror)),)) from error
    return read_profile(data, path.stem)


def read_profile(data: bytes, name: str) -> Profile:
    """Return the profile in TOML `data`; ConfigError with (path, message) of every fault in `faults`."""
    if len(data) > PROFILE_BYTES_MAX:
        raise ConfigError(f"{name}: larger than {PROFILE_BYTES_MAX} bytes", faults=((name, "too large"),))
    try:
        tree = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{name}: {error}", faults=((name, str(error)),)) from error
    faults: Faults = []
    profile = _build(tree, name, faults)
    if profile is not None:
        faults += _faults(profile)
    if faults or profile is None:
        path, message = faults[0]
        raise ConfigError(f"{name}: {path}: {message} ({len(faults)} faults)", faults=tuple(faults))
    return profile


def _build(tree: dict[str, object], name: str, faults: Faults) -> Profile | None:
    known = {"profile", "provenance", "modbus", "signal", "golden"}
    faults += [(key, "unknown table") for key in sorted(tree.keys() - known)]
    head = convert_table(tree.get("profile", {}), Head, "profile", faults)
    modbus = convert_table(tree.get("modbus", {}), Modbus, "modbus", faults)
    provenance = _convert_each(tree.get("provenance", []), Provenance, "provenance", faults)
    signals = _convert_each(tree.get("signal", []), Signal, "signal", faults)
    golden = _convert_each(tree.get("golden", []), Golden, "golden", faults)
    if head is None or modbus is None or faults:
        return None
    if head.id != name:
        faults.append(("profile.id", f"{head.id!r} is not the file's name {name!r}"))
    if not provenance:
        faults.append(("provenance", "none: every number needs its document"))
    if not 0 < len(signals) <= SIGNALS_MAX and head.protocol == "modbus":
        faults.append(("signal", f"not within 1 to {SIGNALS_MAX} signals"))
    if head.protocol == "modbus":
        moved = []
        for place, signal in enumerate(signals):
            if signal.function == 0:
                faults.append((f"signal[{place}].function", "missing: 1 to 4"))
            if not 0 <= signal.address - modbus.address_base <= 65536 - signal.count:
                faults.append((f"signal[{place}].address", f"{signal.address} is not on the wire after address_base"))
            moved.append(msgspec.structs.replace(signal, address=max(0, signal.address - modbus.address_base)))
        signals = moved
    return Profile(
        id=head.id,
        vendor=head.vendor,
        model=head.model,
        protocol=head.protocol,
        rung=head.rung,
        provenance=tuple(provenance),
        modbus=modbus,
        signals=tuple(signals),
        golden=tuple(golden),
    )


def _convert_each(items: object, kind: type[S], path: str, faults: Faults) -> list[S]:
    if not isinstance(items, list):
        faults.append((path, "not an array of tables"))
        return []
    made = [convert_table(item, kind, f"{path}[{place}]", faults) for place, item in enumerate(items)]
    return [item for item in made if item is not None]


def _faults(profile: Profile) -> Faults:
    found: Faults = []
    if not is_id(profile.id):
        found.append(("profile.id", "not an identifier"))
    seen: set[str] = set()
    for place, signal in enumerate(profile.signals):
        if signal.id in seen:
            found.append((f"signal[{place}].id", f"{signal.id!r} is there twice"))
        seen.add(signal.id)
        found += [(f"signal[{place}].{field}", message) for field, message in _signal_faults(signal, profile.modbus)]
    for field in ("forbid", "atomic"):
        for place, (first, last) in enumerate(getattr(profile.modbus, field)):
            if first > last:
                found.append((f"modbus.{field}[{place}]", "first is above last"))
    for place, (first, last) in enumerate(profile.modbus.atomic):
        if last - first + 1 > profile.modbus.registers_max:
            found.append((f"modbus.atomic[{place}]", "longer than registers_max"))
        if any(first <= high and low <= last for low, high in profile.modbus.forbid):
            found.append((f"modbus.atomic[{place}]", "holds a forbidden register"))
    for place, golden in enumerate(profile.golden):
        for field in ("request", "answer"):
            if not _is_hex(getattr(golden, field)):
                found.append((f"golden[{place}].{field}", "not hexadecimal bytes"))
        found += [(f"golden[{place}].values", f"no signal {key!r}") for key in golden.values if key not in seen]
    return found


def _signal_faults(signal: Signal, modbus: Modbus) -> Faults:
    found: Faults = []
    if not is_id(signal.id):
        found.append(("id", "not an identifier"))
    if not fits(signal.quantity, signal.unit):
        found.append(("unit", f"{signal.unit!r} does not express {signal.quantity!r} (twin_wire/quantity.py)"))
    if (signal.function in (1, 2)) != (signal.type == "bool") and signal.function:
        found.append(("type", "bool goes with functions 1 and 2, numbers with 3 and 4"))
    if signal.point_decimals > DECIMALS_MAX:
        found.append(("decimals", f"more than {DECIMALS_MAX} together with the divisor"))
    if signal.range is not None and not signal.range[0] < signal.range[1]:
        found.append(("range", "low is not below high"))
    if signal.range is not None and not all(map(math.isfinite, signal.range)):
        found.append(("range", "not finite"))
    bits = BITS[signal.type]
    for place, sentinel in enumerate(signal.sentinels):
        if not -(1 << (bits - 1)) <= sentinel < 1 << bits:
            found.append((f"sentinels[{place}]", f"does not fit {bits} bits"))
    if signal.function in (3, 4):
        if signal.count > modbus.registers_max:
            found.append(("type", "wider than registers_max"))
        last = signal.address + signal.count - 1
        if any(signal.address <= high and low <= last for low, high in modbus.forbid):
            found.append(("address", "lies in a forbidden range"))
    return found


def _is_hex(text: str) -> bool:
    try:
        return bool(bytes.fromhex(text))
    except ValueError:
        return False
