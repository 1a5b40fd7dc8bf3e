"""What a record of a KJ host is worth: its value in the point's unit, its quality, and what contradicts what. Pure."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from drivers.kj_records import Definition, Reading, number_of
from drivers.profile import Signal
from twin_wire.errors import ConfigError
from twin_wire.quantity import UNITS, convert
from twin_wire.readings import Quality

# The state of a point is a set of bits.
ALARM, POWER_OFF, CALIBRATION, OVER_RANGE, SUBSTATION, NOT_POLLED, SUSPENDED, SENSOR = (1 << n for n in range(8))
KNOWN_BITS = 0xFF
STATE = "state"  # the signal that is the bits themselves
ON, OFF = 1.0, 0.0

# How hosts write units; `units` of the link adds the site's own. Upper and lower case differ: mPa is not MPa.
SPELLINGS: Mapping[str, str] = {
    **{text: text for text in UNITS},
    **{f"%{gas}": "%" for gas in ("CH4", "O2", "CO2", "RH")},
    **dict.fromkeys(("Kpa", "KPa", "KPA"), "kPa"),
    **dict.fromkeys(("℃", "°C"), "Cel"),
    **dict.fromkeys(("PPM", "ppmCO"), "ppm"),
    **dict.fromkeys(("Mpa",), "MPa"),
    **{text.replace("3", "³"): text for text in UNITS if "m3" in text},
    **dict.fromkeys(("dB(A)",), "dB"),
}


class Verdict(NamedTuple):
    """The value in the point's unit (NaN from quality BAD on), its quality, and the fault that lies in it, if any."""

    value: float
    quality: Quality
    fault: str = ""  # "type" "unit" "value" "state" "range" "undefined"


def judge(signal: Signal, reading: Reading, definition: Definition | None, units: Mapping[str, str]) -> Verdict:
    """Return what one record says about one point; `signal.address` is the sensor type the point was mapped as."""
    kind = signal.id.partition(":")[0]
    if kind == STATE:
        return Verdict(float(reading.state), Quality.GOOD)
    if definition is not None and definition.type != signal.address:
        return Verdict(math.nan, Quality.DEVICE_FAULT, "type")
    unit = _unit(signal, reading, definition, units)
    if unit is None:
        return Verdict(math.nan, Quality.DEVICE_FAULT, "unit")
    quality = quality_of(reading.state)
    if quality >= Quality.BAD:
        return Verdict(math.nan, quality)
    number = _number(signal, reading.value, definition)
    if number is None:
        return Verdict(math.nan, Quality.BAD, "value")
    fault = "" if reading.state <= KNOWN_BITS else "state"
    if quality == Quality.GOOD:
        quality, fault = _range(number, quality, definition, fault)
    if quality == Quality.GOOD and (definition is None or fault == "state"):
        quality, fault = Quality.UNCERTAIN, fault or "undefined"
    return Verdict(convert(number, unit, signal.unit), quality, fault)


def quality_of(state: int) -> Quality:
    """Return what a set of state bits makes of a value; the worst bit wins, the host's own alarm changes nothing."""
    if state & (SUBSTATION | SENSOR):
        return Quality.DEVICE_FAULT
    if state & (NOT_POLLED | SUSPENDED):
        return Quality.NO_ANSWER
    if state & CALIBRATION:
        return Quality.CALIBRATING
    return Quality.OVER_RANGE if state & OVER_RANGE else Quality.GOOD


def contradictions(definition: Definition, signal: Signal, units: Mapping[str, str]) -> str:
    """Return which part of a definition ("type", "unit") contradicts the way a point was mapped, "" if none."""
    if signal.id.partition(":")[0] == STATE:
        return ""
    if definition.type != signal.address:
        return "type"
    wrong = signal.unit != "1" and _known(definition.unit, signal, units) is None
    return "unit" if wrong else ""


def propose(definition: Definition, signals: Iterable[Signal], units: Mapping[str, str]) -> tuple[str, str]:
    """Return (signal for points.csv, "") for a defined point, ("", why not) where none of the profile fits."""
    of_type = [signal for signal in signals if signal.address == definition.type]
    if not of_type:
        return "", f"sensor type {definition.type:04} has no signal"
    if contradictions(definition, of_type[0], units):
        return "", f"unit {definition.unit[:20]!r} does not express {of_type[0].quantity}: teach it with units"
    return f"{of_type[0].id}:{definition.code}", ""


def check_units(units: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return (path, message) of the site's spellings that mean no unit of ours."""
    return [(f"units.{text}", f"{unit!r} is not a unit") for text, unit in units.items() if unit not in UNITS]


def _unit(signal: Signal, reading: Reading, definition: Definition | None, units: Mapping[str, str]) -> str | None:
    """Return the unit of a record, None if it is unknown, measures something else, or is not that of the definition."""
    if signal.unit == "1":
        return "1"
    defined = definition.unit if definition is not None else ""
    if reading.unit and defined and _spelled(reading.unit, units) != _spelled(defined, units):
        return None
    return _known(reading.unit or defined, signal, units)


def _spelled(text: str, units: Mapping[str, str]) -> str:
    return units.get(text) or SPELLINGS.get(text) or text


def _known(text: str, signal: Signal, units: Mapping[str, str]) -> str | None:
    unit = _spelled(text, units)
    try:
        convert(0.0, unit, signal.unit)
    except ConfigError:
        return None
    return unit


def _number(signal: Signal, text: str, definition: Definition | None) -> float | None:
    number = number_of(text)
    if number is None and signal.unit == "1" and definition is not None and definition.on_text != definition.off_text:
        words = {definition.on_text: ON, definition.off_text: OFF}
        number = words.get(text) if text else None
    return number


def _range(number: float, quality: Quality, definition: Definition | None, fault: str) -> tuple[Quality, str]:
    """Return the quality of a number against the defined range (in the definition's own unit, as the record's)."""
    low, high = (definition.low, definition.high) if definition is not None else (None, None)
    if low is None or high is None or low >= high:
        return quality, fault
    if number > high:
        return Quality.OVER_RANGE, "range"
    return (Quality.UNDER_RANGE, "range") if number < low else (quality, fault)
