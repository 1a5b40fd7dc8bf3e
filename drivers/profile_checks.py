"""What a profile has to keep to beyond its types: every fault with its path."""

import math
from itertools import pairwise

from drivers.line_pattern import line_faults
from drivers.options import Faults
from drivers.plugins import plugin_kinds
from drivers.profile_schema import (
    BITS,
    DECIMALS_MAX,
    PROTOCOLS,
    Companion,
    Modbus,
    Profile,
    Signal,
    Text,
    Verify,
)
from twin_wire.ids import is_id
from twin_wire.quantity import UNITS, fits

INTEGER_MAX = (1 << 63) - 1
FLOATS = ("f32", "f64")
EXACT_BITS = 53  # what a double holds one by one


def profile_faults(profile: Profile) -> Faults:
    """Return (path, message) of every fault of a profile whose tables are well formed."""
    found: Faults = []
    if not is_id(profile.id):
        found.append(("profile.id", "not an identifier"))
    if profile.protocol not in PROTOCOLS and profile.protocol not in plugin_kinds():
        found.append(("profile.protocol", f"{profile.protocol!r} is none of {', '.join(PROTOCOLS)}"))
    seen: set[str] = set()
    for place, signal in enumerate(profile.signals):
        if signal.id in seen:
            found.append((f"signal[{place}].id", f"{signal.id!r} is there twice"))
        seen.add(signal.id)
        faults = _signal_faults(signal, profile.modbus) + _scale_faults(signal, profile)
        found += [(f"signal[{place}].{field}", message) for field, message in faults]
    found += _range_faults(profile.modbus)
    found += line_faults(profile.line, profile.protocol, [signal.id for signal in profile.signals])
    for place, golden in enumerate(profile.golden):
        for field in ("request", "answer"):
            if not _is_hex(getattr(golden, field)):
                found.append((f"golden[{place}].{field}", "not hexadecimal bytes"))
        found += [(f"golden[{place}].values", f"no signal {key!r}") for key in golden.values if key not in seen]
    for place, companion in enumerate(profile.companions):
        faults = _companion_faults(companion, profile)
        found += [(f"companion[{place}].{field}", message) for field, message in faults]
    found += _age_faults(profile)
    for place, text in enumerate(profile.texts):
        if not is_id(text.id) or text.id in seen:
            found.append((f"text[{place}].id", "not an identifier of its own"))
        seen.add(text.id)
    for place, verify in enumerate(profile.verify):
        found += [(f"verify[{place}].{field}", message) for field, message in _verify_faults(verify)]
        found += [(f"verify[{place}].{field}", message) for field, message in _span_faults(verify, profile.modbus)]
    for place, text in enumerate(profile.texts):
        found += [(f"text[{place}].{field}", message) for field, message in _span_faults(text, profile.modbus)]
    return found


def _span_faults(item: Text | Verify, modbus: Modbus) -> Faults:
    found: Faults = []
    if item.count > modbus.registers_max:
        found.append(("registers", "more than registers_max"))
    if _forbidden(modbus, item.address, item.count):
        found.append(("address", "lies in a forbidden range"))
    return found


def _range_faults(modbus: Modbus) -> Faults:
    found: Faults = []
    for field in ("forbid", "atomic"):
        for place, (first, last) in enumerate(getattr(modbus, field)):
            if first > last:
                found.append((f"modbus.{field}[{place}]", "first is above last"))
    for place, (first, last) in enumerate(modbus.atomic):
        if last - first + 1 > modbus.registers_max:
            found.append((f"modbus.atomic[{place}]", "longer than registers_max"))
        if any(first <= high and low <= last for low, high in modbus.forbid):
            found.append((f"modbus.atomic[{place}]", "holds a forbidden register"))
    if any(high >= low for (_, high), (low, _) in pairwise(sorted(modbus.atomic))):
        found.append(("modbus.atomic", "two blocks overlap"))
    return found


def _signal_faults(signal: Signal, modbus: Modbus) -> Faults:
    found: Faults = []
    if not is_id(signal.id):
        found.append(("id", "not an identifier"))
    if not fits(signal.quantity, signal.unit):
        found.append(("unit", f"{signal.unit!r} does not express {signal.quantity!r} (twin_wire/quantity.py)"))
    if (signal.function in (1, 2)) != (signal.type == "bool") and signal.function:
        found.append(("type", "bool goes with functions 1 and 2, numbers with 3 and 4; a bit of a register is `bit`"))
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
        if _forbidden(modbus, signal.address, signal.count):
            found.append(("address", "lies in a forbidden range"))
    return found + _part_faults(signal, bits)


def _part_faults(signal: Signal, bits: int) -> Faults:
    """Return what is wrong with the bits, weights, words and whole-number scale of a signal."""
    found: Faults = []
    if signal.bit is not None and signal.bits is not None:
        found.append(("bit", "bit and bits exclude each other"))
    if signal.field is not None:
        low, high = signal.field
        if signal.type not in ("i16", "u16", "i32", "u32", "i64", "u64"):
            found.append(("bits", "only of whole-number registers"))
        if low > high or high >= bits:
            found.append(("bits", f"not [lowest, highest] within 0 to {bits - 1}"))
    if signal.weights:
        if signal.type in (*FLOATS, "bool") or signal.field is not None:
            found.append(("weights", "only for whole numbers without bits"))
        if not any(signal.weights) or sum(map(abs, signal.weights)) << bits > INTEGER_MAX:
            found.append(("weights", "all 0, or the sum can pass 64 bits"))
    if signal.multiplier == 0 or abs(signal.multiplier) > 10**9:
        found.append(("multiplier", "not within 1 to 10**9 either sign"))
    if abs(signal.offset) > INTEGER_MAX >> 16:
        found.append(("offset", "not within 48 bits"))
    found += [("words", f"{key!r} is not a whole number") for key in signal.words if not _is_integer(key)]
    return found


def _scale_faults(signal: Signal, profile: Profile) -> Faults:
    found: Faults = []
    for name in signal.scales:
        field, scale = "exponent" if name == signal.exponent else "factor", profile.signal(name)
        if scale is None or scale is signal:
            found.append((field, f"no other signal {name!r}"))
        elif scale.scales:
            found.append((field, f"{name!r} has a scale in a register itself"))
        elif field == "exponent" and (scale.type in FLOATS or scale.point_decimals):
            found.append((field, f"{name!r} is not a whole number"))
    return found


def _companion_faults(companion: Companion, profile: Profile) -> Faults:
    found: Faults = []
    signal = profile.signal(companion.signal)
    if signal is None:
        return [("signal", f"no signal {companion.signal!r}")]
    found += [("of", f"no signal {name!r}") for name in companion.of if profile.signal(name) is None]
    if companion.signal in companion.of:
        found.append(("of", "a signal cannot be its own companion"))
    whole = signal.type not in FLOATS and not signal.scales
    if (companion.bits or companion.values) and not (whole and signal.point_decimals == 0):
        found.append(("signal", f"{companion.signal!r} is not a whole number"))
    low, high = signal.field or (0, BITS[signal.type] * max(1, len(signal.weights)) - 1)
    if (companion.bits or companion.values) and high - low >= EXACT_BITS:
        found.append(("signal", f"{companion.signal!r} is wider than {EXACT_BITS} bits: use a field of it"))
    for key in companion.bits:
        if not _is_integer(key) or not 0 <= int(key) < BITS[signal.type]:
            found.append((f"bits.{key}", f"not a bit of {companion.signal!r}"))
        if companion.bits[key] == "GOOD":
            found.append((f"bits.{key}", "a bit that is set cannot make anything good"))
    found += [(f"values.{key}", "not a whole number") for key in companion.values if not _is_integer(key)]
    if not (companion.bits or companion.values or companion.other != "GOOD" or companion.alive_s or companion.age):
        found.append(("signal", "tells nothing: bits, values, other, alive_s or age"))
    if companion.stale_s and not companion.age:
        found.append(("stale_s", "only with age"))
    if companion.age and (signal.unit not in UNITS or UNITS[signal.unit].dimension != "time"):
        found.append(("age", f"{companion.signal!r} is not a time"))
    return found


def _age_faults(profile: Profile) -> Faults:
    aged = [name for companion in profile.companions if companion.age for name in companion.of]
    return [("companion", f"{name!r} has two ages") for name in sorted(set(aged)) if aged.count(name) > 1]


def _verify_faults(verify: Verify) -> Faults:
    found: Faults = []
    if isinstance(verify.expect, str) != (verify.type == "text"):
        found.append(("expect", "a text goes with type text, a number with the others"))
    if isinstance(verify.expect, str) and not (verify.expect.isascii() and verify.expect.strip()):
        found.append(("expect", "not ASCII, or empty"))
    if isinstance(verify.expect, tuple) and not verify.expect[0] <= verify.expect[1]:
        found.append(("expect", "low is above high"))
    if verify.type == "bool":
        found.append(("type", "registers only"))
    if verify.type == "text" and verify.order not in ("ABCD", "BADC"):
        found.append(("order", "of a text: ABCD or BADC"))
    return found


def _forbidden(modbus: Modbus, address: int, count: int) -> bool:
    return any(address <= high and low < address + count for low, high in modbus.forbid)


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and text.isascii() and len(text) <= 20


def _is_hex(text: str) -> bool:
    try:
        return bool(bytes.fromhex(text))
    except ValueError:
        return False
