"""The signed description of a gateway that its batches refer to: devices, poll groups, points, limits, anchors."""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from twin_wire.errors import FormatError
from twin_wire.ids import is_id, is_name
from twin_wire.records import decode_record, encode_record

MANIFEST_BYTES_MAX = 4 << 20  # inflated
MANIFEST_PREFIX_BYTES = 8  # how much of the digest a data body carries
POINTS_MAX = 10_000
GROUPS_MAX = 4_000
DEVICES_MAX = 4_000
ANCHORS_MAX = 1_000
LIMITS_MAX = 16
REACH_M_MAX = 1_000.0
DECIMALS_MAX = 9
_DATE = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One limit of one point in the point's unit (`rate`: unit per minute), with hysteresis and delay.

    "high" and "rate" begin at value >= `value` and end at value < `restore`; "low" begins at value <= `value` and ends
    at value > `restore`.
    """

    kind: Literal["high", "low", "rate"]
    severity: int  # 1 red … 4 blue
    value: float
    restore: float
    delay_s: float  # how long the value has to stay past the limit before the condition begins
    source: str  # "site", or "<ruleset>/<version>"


class PointSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One measured quantity at one place; "" or None where something does not apply."""

    id: str
    quantity: str  # code of twin_wire.quantity
    unit: str
    decimals: int  # declared resolution: value = integer / 10**decimals
    raw: bool  # True: a float device whose exact float is kept
    range_low: float | None
    range_high: float | None
    name: str
    zone: str
    roadway: str
    chainage_m: float | None
    device: str  # "" for the gateway's own points
    limits: tuple[Limit, ...] = ()
    calibrated: str = ""  # date of the last calibration, YYYY-MM-DD


class DeviceSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One instrument on one link."""

    id: str
    profile: str
    link: str
    unit: int
    name: str


class GroupSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The points that arrive in one answer and share one time per row; its place in the list is its number."""

    id: str
    device: str
    period_s: float
    points: tuple[str, ...]


class Anchor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A fixed positioning station on a roadway: an anchor that ranges, a reader that hears, or a side of a gate."""

    id: int  # the anchor's number in its own network; of a reader, which antenna
    device: str
    roadway: str
    chainage_m: float
    reach_m: float = 0.0  # a reader that tells no strength hears tags this far; 0: by strength or by range
    gate: str = ""  # id of the gate it belongs to
    side: Literal["", "outer", "inner"] = ""  # of a gate
    zone: str = ""  # what the gate counts people into; "" for the whole site


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one gateway is; signed and logged whenever it changes."""

    version: int = 1
    enterprise: str
    site: str
    gateway: str
    software: str
    simulated: bool
    structure: str  # hex SHA-256 of the structure body, "" for none
    ruleset: str  # "<ruleset>/<version>", "" for none
    devices: tuple[DeviceSpec, ...]
    groups: tuple[GroupSpec, ...]
    points: tuple[PointSpec, ...]
    anchors: tuple[Anchor, ...] = ()


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the body of `manifest`; a manifest that a reader would refuse is a programmer's mistake."""
    found = faults(manifest)
    assert not found, found
    return encode_record(msgspec.to_builtins(manifest))


def read_manifest(body: bytes) -> Manifest:
    """Return the manifest in `body`; FormatError with every inconsistency as (path, message) in `faults`."""
    record = decode_record(body, MANIFEST_BYTES_MAX)
    try:
        manifest = msgspec.convert(record, Manifest)
    except msgspec.ValidationError as error:
        raise FormatError(f"manifest: {error}") from error
    found = faults(manifest)
    if found:
        path, message = found[0]
        raise FormatError(f"manifest: {message} at {path} ({len(found)} faults)", faults=found)
    return manifest


def digest(body: bytes) -> bytes:
    """Return the SHA-256 of a manifest body as sent; data bodies carry its first 8 bytes."""
    return hashlib.sha256(body).digest()


def groups_index(manifest: Manifest) -> dict[tuple[str, ...], int]:
    """Map each group's point ids to the group's number, as `encode_body` wants it."""
    return {group.points: number for number, group in enumerate(manifest.groups)}


def groups_of(manifest: Manifest) -> tuple[tuple[str, ...], ...]:
    """Return the point ids of every group in the order of their numbers, as `decode_body` wants it."""
    return tuple(group.points for group in manifest.groups)


def decimals_of(manifest: Manifest) -> dict[str, int | None]:
    """Map each point to its declared decimals, None where the exact float is kept."""
    return {point.id: None if point.raw else point.decimals for point in manifest.points}


def faults(manifest: Manifest) -> tuple[tuple[str, str], ...]:
    """Return every inconsistency inside `manifest` as (path, message)."""
    return (
        *_head_faults(manifest),
        *_device_faults(manifest),
        *_group_faults(manifest),
        *_point_faults(manifest),
        *_anchor_faults(manifest),
    )


def _head_faults(manifest: Manifest) -> Iterator[tuple[str, str]]:
    if manifest.version != 1:
        yield "$.version", f"version {manifest.version} is not known"
    for field in ("enterprise", "site", "gateway"):
        if not is_id(getattr(manifest, field)):
            yield f"$.{field}", "not an identifier"
    for field in ("software", "ruleset"):
        if not is_name(getattr(manifest, field)):
            yield f"$.{field}", "not a short printable text"
    if manifest.structure and not _is_digest(manifest.structure):
        yield "$.structure", "not 64 lower-case hexadecimal digits"
    for field, most in (
        ("devices", DEVICES_MAX),
        ("groups", GROUPS_MAX),
        ("points", POINTS_MAX),
        ("anchors", ANCHORS_MAX),
    ):
        if len(getattr(manifest, field)) > most:
            yield f"$.{field}", f"more than {most}"


def _device_faults(manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield from _id_faults("devices", [device.id for device in manifest.devices])
    for place, device in enumerate(manifest.devices):
        if not (is_id(device.profile) and is_id(device.link)):
            yield f"$.devices[{place}]", "profile or link is not an identifier"
        if not 0 <= device.unit <= 255:
            yield f"$.devices[{place}].unit", "not within 0 to 255"
        if not is_name(device.name):
            yield f"$.devices[{place}].name", "not a printable name"


def _group_faults(manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield from _id_faults("groups", [group.id for group in manifest.groups])
    devices = {device.id for device in manifest.devices}
    points = {point.id for point in manifest.points}
    taken: set[str] = set()
    for place, group in enumerate(manifest.groups):
        if group.device and group.device not in devices:
            yield f"$.groups[{place}].device", f"no device {group.device!r}"
        if not 0 <= group.period_s <= 86_400:
            yield f"$.groups[{place}].period_s", "not within 0 to 86400"
        if not group.points:
            yield f"$.groups[{place}].points", "empty"
        for point in group.points:
            if point not in points:
                yield f"$.groups[{place}].points", f"no point {point!r}"
            if point in taken:
                yield f"$.groups[{place}].points", f"point {point!r} is in a group already"
            taken.add(point)


def _point_faults(manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield from _id_faults("points", [point.id for point in manifest.points])
    devices = {device.id for device in manifest.devices}
    for place, point in enumerate(manifest.points):
        if point.device and point.device not in devices:
            yield f"$.points[{place}].device", f"no device {point.device!r}"
        yield from _one_point_faults(f"$.points[{place}]", point)


def _one_point_faults(path: str, point: PointSpec) -> Iterator[tuple[str, str]]:
    if not is_id(point.quantity):
        yield f"{path}.quantity", "not a quantity code"
    if not (is_name(point.unit) and is_name(point.name)):
        yield path, "unit or name is not a printable text"
    if not 0 <= point.decimals <= DECIMALS_MAX:
        yield f"{path}.decimals", f"not within 0 to {DECIMALS_MAX}"
    if point.calibrated and _DATE.fullmatch(point.calibrated) is None:
        yield f"{path}.calibrated", "not a date like 2026-11-24"
    if any(text and not is_id(text) for text in (point.zone, point.roadway)):
        yield path, "zone or roadway is not an identifier"
    numbers = [point.range_low, point.range_high, point.chainage_m]
    numbers += [number for limit in point.limits for number in (limit.value, limit.restore, limit.delay_s)]
    if not all(number is None or math.isfinite(number) for number in numbers):
        yield path, "a number is not finite"
    if len(point.limits) > LIMITS_MAX:
        yield f"{path}.limits", f"more than {LIMITS_MAX}"
    for number, limit in enumerate(point.limits):
        yield from _limit_faults(f"{path}.limits[{number}]", limit)


def _limit_faults(path: str, limit: Limit) -> Iterator[tuple[str, str]]:
    if not 1 <= limit.severity <= 4:
        yield f"{path}.severity", "not within 1 to 4"
    if not 0 <= limit.delay_s <= 86_400:
        yield f"{path}.delay_s", "not within 0 to 86400"
    if (limit.kind == "low" and limit.restore < limit.value) or (limit.kind != "low" and limit.restore > limit.value):
        yield f"{path}.restore", "on the wrong side of the limit"
    if not is_name(limit.source):
        yield f"{path}.source", "not a printable text"


def _anchor_faults(manifest: Manifest) -> Iterator[tuple[str, str]]:
    devices = {device.id for device in manifest.devices}
    for place, anchor in enumerate(manifest.anchors):
        if anchor.device not in devices:
            yield f"$.anchors[{place}].device", f"no device {anchor.device!r}"
        if not is_id(anchor.roadway) or not math.isfinite(anchor.chainage_m):
            yield f"$.anchors[{place}]", "roadway or chainage is not usable"
        if not 0 <= anchor.reach_m <= REACH_M_MAX:
            yield f"$.anchors[{place}].reach_m", f"not within 0 to {REACH_M_MAX:.0f}"
        if any(text and not is_id(text) for text in (anchor.gate, anchor.zone)):
            yield f"$.anchors[{place}]", "gate or zone is not an identifier"
        if bool(anchor.gate) != bool(anchor.side) or (anchor.zone and not anchor.gate):
            yield f"$.anchors[{place}]", "a gate needs a side, and only a gate has side and zone"
    for pair, times in Counter((anchor.device, anchor.id) for anchor in manifest.anchors).items():
        if times > 1:
            yield "$.anchors", f"anchor {pair[1]} of {pair[0]!r} twice"


def _id_faults(table: str, ids: Iterable[str]) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for place, text in enumerate(ids):
        if not is_id(text):
            yield f"$.{table}[{place}].id", f"{text[:80]!r} is not an identifier"
        if text in seen:
            yield f"$.{table}[{place}].id", f"{text[:80]!r} is there twice"
        seen.add(text)


def _is_digest(text: str) -> bool:
    return len(text) == 64 and all(character in "0123456789abcdef" for character in text)
