"""A commissioning certificate: who put what into operation, and what each instrument said at that moment."""

import re
from typing import Literal

import msgspec

from twin_wire.errors import FormatError
from twin_wire.ids import is_id
from twin_wire.records import decode_record, encode_record

CERTIFICATE_BYTES_MAX = 1 << 20  # inflated; 4,096 points with limits are about 600 kB
PHOTOS_MAX = 64
DEVICES_MAX, POINTS_MAX = 1_000, 10_000
FRAME_HEX_MAX = 2 * 300  # the longest Modbus frame has 260 bytes
_HASH, _FRAME = re.compile(r"[0-9a-f]{64}"), re.compile(r"([0-9a-f]{2})*")


class Word(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question and its answer as they were on the line, in hex."""

    at_ms: int
    request: str
    answer: str


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a point showed; null where there was no number."""

    point: str
    value: float | None
    quality: int
    at_ms: int


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One instrument: what it is, its newest words on the line, and the values they gave."""

    id: str
    profile: str
    rung: str
    link: str
    unit: int
    words: tuple[Word, ...]
    values: tuple[Value, ...]


class Test(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest alarm test before it: the number of its batch, and its place in the log as the receipt proved it."""

    epoch: int
    seq: int
    index: int  # −1: no receipt had come yet
    size: int


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The record; points, limits and places are those of the manifest named by its digest."""

    version: int = 1
    by: str  # an opaque id of the installer, never a name
    role: Literal["installer", "technician", "inspector", "vendor"]
    at_ms: int
    manifest: str  # hex SHA-256 of the manifest body in force
    software: str
    points: int
    limits: int
    devices: tuple[Device, ...]
    test: Test | None = None
    photos: tuple[str, ...] = ()  # hex SHA-256 of each file; the files stay with the installer


def encode_certificate(certificate: Certificate) -> bytes:
    """Return the body; FormatError with every fault."""
    found = certificate_faults(certificate)
    if found:
        raise FormatError(f"certificate: {found[0][0]} {found[0][1]} ({len(found)} faults)", faults=found)
    return encode_record(msgspec.to_builtins(certificate))


def read_certificate(body: bytes) -> Certificate:
    """Return the certificate in `body`; FormatError with every fault."""
    try:
        certificate = msgspec.convert(decode_record(body, CERTIFICATE_BYTES_MAX), Certificate)
    except msgspec.ValidationError as error:
        raise FormatError(f"certificate: {error}") from error
    found = certificate_faults(certificate)
    if found:
        raise FormatError(f"certificate: {found[0][0]} {found[0][1]} ({len(found)} faults)", faults=found)
    return certificate


def certificate_faults(certificate: Certificate) -> tuple[tuple[str, str], ...]:
    """Return every fault as (field, message)."""
    found: list[tuple[str, str]] = []
    if certificate.version != 1:
        found.append(("version", f"{certificate.version} is not known"))
    if not is_id(certificate.by):
        found.append(("by", "is not an identifier"))
    if certificate.at_ms < 0:
        found.append(("at_ms", "lies before 1970"))
    if not _HASH.fullmatch(certificate.manifest):
        found.append(("manifest", "is not a SHA-256 in hex"))
    if len(certificate.photos) > PHOTOS_MAX or not all(_HASH.fullmatch(photo) for photo in certificate.photos):
        found.append(("photos", f"are not up to {PHOTOS_MAX} SHA-256 in hex"))
    values = [value for device in certificate.devices for value in device.values]
    if len(certificate.devices) > DEVICES_MAX or len(values) > POINTS_MAX:
        found.append(("devices", f"are more than {DEVICES_MAX}, or their points more than {POINTS_MAX}"))
    frames = [text for device in certificate.devices for word in device.words for text in (word.request, word.answer)]
    if not all(len(text) <= FRAME_HEX_MAX and _FRAME.fullmatch(text) for text in frames):
        found.append(("devices.words", "hold something that is no frame in hex"))
    if not all(is_id(device.id) for device in certificate.devices) or not all(is_id(value.point) for value in values):
        found.append(("devices", "hold something that is no identifier"))
    return tuple(found)
