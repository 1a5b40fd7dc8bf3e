"""A mark: a person's word on why a point's readings are not the usual ones for a while; evidence, never an excuse."""

from typing import Literal

import msgspec

from twin_wire.errors import FormatError
from twin_wire.ids import is_id, is_name
from twin_wire.records import decode_record, encode_record

MARK_BYTES_MAX = 4_096  # inflated
SPAN_MS_MAX = 7 * 86_400_000  # longer is a change of the point map, not a mark


class Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One mark of one point; sealed when it begins and, with `end_ms`, when it ends. Times in ms since 1970 UTC."""

    version: int = 1
    point: str
    what: Literal["calibrating", "bypass", "blasting"]
    begin_ms: int
    until_ms: int  # when it ends by itself
    end_ms: int = 0  # 0 while it lasts
    by: str  # an opaque id of the person who said so, never a name
    reason: str


def encode_mark(mark: Mark) -> bytes:
    """Return the body of `mark`; a mark that a reader would refuse is a programmer's mistake."""
    found = mark_faults(mark)
    assert not found, found
    return encode_record(msgspec.to_builtins(mark))


def read_mark(body: bytes) -> Mark:
    """Return the mark in `body`; FormatError with every fault."""
    try:
        mark = msgspec.convert(decode_record(body, MARK_BYTES_MAX), Mark)
    except msgspec.ValidationError as error:
        raise FormatError(f"mark: {error}") from error
    found = mark_faults(mark)
    if found:
        raise FormatError(f"mark: {found[0][0]} {found[0][1]} ({len(found)} faults)", faults=found)
    return mark


def mark_faults(mark: Mark) -> tuple[tuple[str, str], ...]:
    """Return every fault of a mark as (field, message)."""
    found: list[tuple[str, str]] = []
    if mark.version != 1:
        found.append(("version", f"{mark.version} is not known"))
    found += [(field, "is not an identifier") for field in ("point", "by") if not is_id(getattr(mark, field))]
    if not mark.reason or not is_name(mark.reason):
        found.append(("reason", "is not a short printable text"))
    if mark.begin_ms < 0:
        found.append(("begin_ms", "lies before 1970"))
    if not mark.begin_ms < mark.until_ms <= mark.begin_ms + SPAN_MS_MAX:
        found.append(("until_ms", f"is not within {SPAN_MS_MAX} ms after the beginning"))
    if mark.end_ms and not mark.begin_ms <= mark.end_ms <= mark.until_ms:
        found.append(("end_ms", "is not between the beginning and the planned end"))
    return tuple(found)
