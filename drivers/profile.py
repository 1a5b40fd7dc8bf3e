"""Device profiles: what an instrument's registers mean, read from TOML with every fault at once.

One file in `profiles/` per instrument. Every field is explained where it is declared (`profile_schema.py`); this is
how they meet. Nothing is written down that no document says: each number has its `[[provenance]]`.

    [modbus]
    address_base = 40001       # the document's number of the first register: 0, 1, 40001 …; taken off every address.
                               # "4xxxx" (or "4xxxxx"): the first digit names the table: 30005 is function 4, address 4
    atomic = [[2000, 2003]]    # wire addresses read whole or not at all: a value and its status from one instant
    singles = true             # quirks: one signal a request; `deaf_s` after power-up; `unmapped` = what holes answer
    unmapped = "exception"

    [[signal]]                 # value = (integer + offset) × multiplier / 10**decimals / divisor, one rounding in all
    id = "gas"
    quantity = "CO"            # twin_wire/quantity.py; the unit is the device's own
    unit = "ppm"
    function = 3
    address = 40008
    type = "u32"               # bool (functions 1, 2) i16 u16 i32 u32 i64 u64 f32 f64 bcd16 bcd32 bcd48 bcd64
    order = "CDAB"             # A the most significant byte: CDAB swaps words, BADC bytes, DCBA both; any width
    decimals = 1               # negative: the register counts tens, hundreds …
    sentinels = [0xFFFFFFFF]   # "no value": quality SENTINEL, never a number
    words = { 0 = "off", 1 = "on" }          # an enumeration; the value stays the number

    bit = 3                    # one bit of the register; bits = [4, 7]: a field of it
    weights = [1000, 1]        # two numbers of `type` in a row, the first counts thousands (split energy)
    exponent = "scale"         # × 10**(the value of signal "scale"); `decimals` is then the resolution, as for floats
    factor = "ratio"           # × (the value of signal "ratio"), or ["pt", "ct"]. A scale is read with its value

    [[companion]]              # a signal that says how good others are; the worst word wins; from BAD on no number
    signal = "status"
    of = ["gas"]               # left out: every signal that is nobody's companion or scale
    bits = { 0 = "DEVICE_FAULT", 2 = "CALIBRATING" }     # while the bit is set
    values = { 1 = "GOOD" }    # by number; `other` for the rest: a validity register, or the display's unit code
    other = "BAD"
    alive_s = 5                # a heartbeat: it has to change within this time, else STUCK
    age = true                 # its value is the age of the data (unit s, min …): the sample's time moves back by it
    stale_s = 3600             # with age: older data is UNCERTAIN

    [[text]]                   # ASCII to know the instrument by; never a point
    id = "serial"
    address = 40100
    registers = 8

    [[verify]]                 # what a register is known to hold: `edge-agent identify` compares
    address = 774
    type = "f32"
    expect = 123456.125        # or [lowest, highest], or for type = "text" how it begins

    [line]                     # of an instrument that prints lines by itself: line_pattern.py
    pattern = "Q,{wind_direction?},{wind_speed?},M,{status},"

    [[golden]]                 # an exchange the document prints, and the signals it means
    request = "01 03 00 08 00 02 45 C9"
    answer = "01 03 04 00 00 00 D1 3A 6F"
    values = { gas = 20.9 }

Alarm limits are no matter of a profile: the ruleset has them by quantity and the place the site gives in points.csv.
"""

import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec

from drivers.line_pattern import LineFormat
from drivers.options import Faults, S, convert_table
from drivers.plugins import plugin_profile
from drivers.profile_checks import profile_faults
from drivers.profile_schema import (
    BITS,
    DECIMALS_MAX,
    REFERENCE_BASES,
    Companion,
    Golden,
    Head,
    Modbus,
    Profile,
    Provenance,
    Signal,
    Text,
    Verify,
)
from twin_wire.errors import ConfigError
from twin_wire.ids import is_id

__all__ = [
    "BITS",
    "DECIMALS_MAX",
    "PROFILES",
    "Companion",
    "Golden",
    "Modbus",
    "Profile",
    "Provenance",
    "Signal",
    "Text",
    "Verify",
    "load_profile",
    "profile_names",
    "read_profile",
]

PROFILES = Path(__file__).parent / "profiles"
PROFILE_BYTES_MAX = 1 << 20
SIGNALS_MAX = 4096
TABLES = ("signal", "provenance", "companion", "text", "verify", "golden")
Addressed = TypeVar("Addressed", Signal, Text, Verify)


def profile_names() -> list[str]:
    """Return the names of the profiles that come with the product."""
    return sorted(path.stem for path in PROFILES.glob("*.toml"))


def load_profile(name: str) -> Profile:
    """Return a profile of the product or of an installed driver, or a file's when `name` ends in .toml; ConfigError."""
    path: Path | None = Path(name) if name.endswith(".toml") else PROFILES / f"{name}.toml"
    if not name.endswith(".toml") and name not in profile_names():
        path = plugin_profile(name) if is_id(name) else None
    if path is None:
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
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:  # brackets in brackets in …
        raise ConfigError(f"{name}: {error}", faults=((name, str(error)),)) from error
    faults: Faults = []
    profile = _build(tree, name, faults)
    if profile is not None:
        faults += profile_faults(profile)
    if faults or profile is None:
        path, message = faults[0]
        raise ConfigError(f"{name}: {path}: {message} ({len(faults)} faults)", faults=tuple(faults))
    return profile


def _build(tree: dict[str, object], name: str, faults: Faults) -> Profile | None:
    faults += [(key, "unknown table") for key in sorted(tree.keys() - {"profile", "modbus", "line", *TABLES})]
    head = convert_table(tree.get("profile", {}), Head, "profile", faults)
    modbus = convert_table(tree.get("modbus", {}), Modbus, "modbus", faults)
    provenance = _convert_each(tree, "provenance", Provenance, faults)
    signals = _convert_each(tree, "signal", Signal, faults)
    companions = _convert_each(tree, "companion", Companion, faults)
    texts = _convert_each(tree, "text", Text, faults)
    verify = _convert_each(tree, "verify", Verify, faults)
    golden = _convert_each(tree, "golden", Golden, faults)
    line = convert_table(tree["line"], LineFormat, "line", faults) if "line" in tree else None
    if head is None or modbus is None or faults:
        return None
    if head.id != name:
        faults.append(("profile.id", f"{head.id!r} is not the file's name {name!r}"))
    if not provenance:
        faults.append(("provenance", "none: every number needs its document"))
    if not 0 < len(signals) <= SIGNALS_MAX and head.protocol == "modbus":
        faults.append(("signal", f"not within 1 to {SIGNALS_MAX} signals"))
    if head.protocol == "modbus":
        for place, signal in enumerate(signals):
            if signal.function == 0:
                faults.append((f"signal[{place}].function", "missing: 1 to 4"))
        signals = _on_the_wire(signals, "signal", modbus, faults)
        texts = _on_the_wire(texts, "text", modbus, faults)
        verify = _on_the_wire(verify, "verify", modbus, faults)
    return Profile(
        id=head.id,
        vendor=head.vendor,
        model=head.model,
        protocol=head.protocol,
        rung=head.rung,
        provenance=tuple(provenance),
        modbus=modbus,
        signals=tuple(signals),
        companions=_filled_in(companions, signals),
        texts=tuple(texts),
        verify=tuple(verify),
        golden=tuple(golden),
        line=line,
    )


def _on_the_wire(items: list[Addressed], kind: str, modbus: Modbus, faults: Faults) -> list[Addressed]:
    """Take `address_base` off every address."""
    moved = []
    for place, item in enumerate(items):
        base, end = modbus.address_base, 65_536
        if isinstance(base, str):
            end = 9_999 if base == "4xxxx" else end
            base = REFERENCE_BASES[base].get(item.function, 0)
        if not 0 <= item.address - base <= end - item.count:
            faults.append((f"{kind}[{place}].address", f"{item.address} is not on the wire after address_base"))
        moved.append(msgspec.structs.replace(item, address=max(0, item.address - base)))
    return moved


def _filled_in(companions: list[Companion], signals: list[Signal]) -> tuple[Companion, ...]:
    """Name the signals of a companion that names none."""
    helpers = {companion.signal for companion in companions}
    helpers |= {name for signal in signals for name in signal.scales}
    others = tuple(signal.id for signal in signals if signal.id not in helpers)
    return tuple(
        companion if companion.of else msgspec.structs.replace(companion, of=others) for companion in companions
    )


def _convert_each(tree: dict[str, object], path: str, kind: type[S], faults: Faults) -> list[S]:
    items = tree.get(path, [])
    if not isinstance(items, list):
        faults.append((path, "not an array of tables"))
        return []
    made = [convert_table(item, kind, f"{path}[{place}]", faults) for place, item in enumerate(items)]
    return [item for item in made if item is not None]
