"""Limits that a standard prescribes, as data: each with its source, its clause and how sure we are of the number.

The files beside this one are in `rulesets/`. A number RECALLED from memory arms nothing until a person of the site has
confirmed it in the site's own copy of the file (`approved_by`).
"""

import math
import tomllib
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from twin_wire.errors import ConfigError
from twin_wire.ids import is_id, is_name
from twin_wire.manifest import Limit
from twin_wire.quantity import QUANTITIES, UNITS, convert, fits

ANYWHERE = "*"
RULESET_CHARS_MAX = 1 << 20
Fault = tuple[str, str]


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where numbers come from."""

    id: str
    title: str
    found_at: str = ""  # address, or how the text was had
    note: str = ""


class PlaceKind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of place that the rules distinguish; `place` in points.csv names one."""

    id: str
    name_en: str
    name_zh: str
    note: str = ""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One prescribed limit; begins and ends as `manifest.Limit` says."""

    quantity: str
    place: str  # id of a place, or ANYWHERE: there unless the place has a rule of the same quantity, kind and role
    kind: Literal["high", "low"]
    role: Literal["warning", "alarm", "power_off"]  # what the standard asks for
    severity: int  # 1 red … 4 blue; our reading where the standard gives no colour
    value: float
    restore: float
    unit: str
    confidence: Literal["SEEN", "RECALLED"]
    source: str  # id of a source
    clause: str = ""
    delay_s: float = 0.0
    approved_by: str = ""  # opaque id of the person of the site who confirmed a RECALLED number
    note: str = ""


class Ruleset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All limits of one branch in one country, in one version."""

    id: str
    version: str
    title: str
    jurisdiction: str
    effective: str = ""  # date from which the standards apply, YYYY-MM-DD, "" unknown
    note: str = ""
    sources: tuple[Source, ...] = ()
    places: tuple[PlaceKind, ...] = ()
    rules: tuple[Rule, ...] = ()


def load_ruleset(text: str) -> Ruleset:
    """Return the ruleset in a TOML text; ConfigError that lists every fault as (path, message)."""
    if len(text) > RULESET_CHARS_MAX:
        raise ConfigError(f"a ruleset has at most {RULESET_CHARS_MAX} characters")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"ruleset: not TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError("ruleset: nested too deeply") from error
    found: list[Fault] = []
    sources = tuple(_rows("source", Source, document, found))
    places = tuple(_rows("place", PlaceKind, document, found))
    rules = tuple(_rows("rule", Rule, document, found))
    found += [(f"$.{key}", "unknown table") for key in document if key not in ("ruleset", "source", "place", "rule")]
    try:
        ruleset = msgspec.convert(document.get("ruleset", {}), Ruleset)
    except msgspec.ValidationError as error:
        raise _refusal([("$.ruleset", str(error)), *found]) from error
    ruleset = msgspec.structs.replace(ruleset, sources=sources, places=places, rules=rules)
    found += _faults(ruleset)
    if found:
        raise _refusal(found)
    return ruleset


def limits_for(ruleset: Ruleset, quantity: str, place: str, unit: str = "") -> tuple[Limit, ...]:
    """Return the armed limits of `quantity` at `place` in `unit` (default: the quantity's own), most severe first.

    ConfigError when the ruleset does not know the place or the unit does not measure the quantity.
    """
    target = unit or _own_unit(quantity)
    source = f"{ruleset.id}/{ruleset.version}"
    limits = [
        Limit(
            kind=rule.kind,
            severity=rule.severity,
            value=convert(rule.value, rule.unit, target),
            restore=convert(rule.restore, rule.unit, target),
            delay_s=rule.delay_s,
            source=source,
        )
        for rule in _rules_for(ruleset, quantity, place)
        if is_armed(rule)
    ]
    return tuple(sorted(limits, key=lambda limit: (limit.severity, limit.kind, limit.value)))


def unarmed_for(ruleset: Ruleset, quantity: str, place: str) -> tuple[Rule, ...]:
    """Return the rules of `quantity` at `place` that arm nothing until a person has confirmed them."""
    return tuple(rule for rule in _rules_for(ruleset, quantity, place) if not is_armed(rule))


def is_armed(rule: Rule) -> bool:
    """Tell whether a rule's number may be used: it was read in a source, or a person confirmed it."""
    return rule.confidence == "SEEN" or bool(rule.approved_by)


def _rules_for(ruleset: Ruleset, quantity: str, place: str) -> list[Rule]:
    if place != ANYWHERE and all(place != known.id for known in ruleset.places):
        known_places = ", ".join(known.id for known in ruleset.places)
        raise ConfigError(f"ruleset {ruleset.id} knows no place {place!r}", hint=f"use one of {known_places}")
    rules = [rule for rule in ruleset.rules if rule.quantity == quantity]
    here = [rule for rule in rules if rule.place == place]
    own = {(rule.kind, rule.role) for rule in here}
    return here + [rule for rule in rules if rule.place == ANYWHERE != place and (rule.kind, rule.role) not in own]


def _own_unit(quantity: str) -> str:
    if quantity not in QUANTITIES:
        raise ConfigError(f"quantity {quantity!r} is not known", hint=f"use one of {', '.join(QUANTITIES)}")
    return QUANTITIES[quantity].unit


def _rows(table: str, kind: type[Any], document: dict[str, Any], found: list[Fault]) -> Iterator[Any]:
    rows = document.get(table, [])
    if not isinstance(rows, list):
        found.append((f"$.{table}", "not a list of tables"))
        return
    for place, row in enumerate(rows):
        try:
            yield msgspec.convert(row, kind)
        except msgspec.ValidationError as error:
            found.append((f"$.{table}[{place}]", str(error)))


def _faults(ruleset: Ruleset) -> Iterator[Fault]:
    for field in ("id", "version"):
        if not is_id(getattr(ruleset, field)):
            yield f"$.ruleset.{field}", "not an identifier"
    if not is_name(ruleset.title):
        yield "$.ruleset.title", "not a printable name"
    sources = {source.id for source in ruleset.sources}
    places = {place.id for place in ruleset.places}
    for table, rows in (("source", ruleset.sources), ("place", ruleset.places)):
        ids = [row.id for row in rows]
        for number, text in enumerate(ids):
            if not is_id(text) or text in ids[:number]:
                yield f"$.{table}[{number}].id", "not an identifier, or there twice"
    for number, rule in enumerate(ruleset.rules):
        path = f"$.rule[{number}]"
        if rule.source not in sources:
            yield f"{path}.source", f"no source {rule.source!r}"
        if rule.place != ANYWHERE and rule.place not in places:
            yield f"{path}.place", f"no place {rule.place!r}"
        yield from _rule_faults(path, rule)


def _rule_faults(path: str, rule: Rule) -> Iterator[Fault]:
    if rule.quantity not in QUANTITIES:
        yield f"{path}.quantity", f"{rule.quantity!r} is not a quantity"
    elif rule.unit not in UNITS or not fits(rule.quantity, rule.unit):
        yield f"{path}.unit", f"{rule.unit!r} does not measure {rule.quantity}"
    if not 1 <= rule.severity <= 4:
        yield f"{path}.severity", "not within 1 to 4"
    if not all(map(math.isfinite, (rule.value, rule.restore, rule.delay_s))) or rule.delay_s < 0:
        yield path, "a number is not usable"
    if (rule.restore > rule.value) if rule.kind == "high" else (rule.restore < rule.value):
        yield f"{path}.restore", "on the wrong side of the limit"


def _refusal(found: list[Fault]) -> ConfigError:
    path, message = found[0]
    return ConfigError(f"ruleset: {message} at {path} ({len(found)} faults)", faults=tuple(found))
