"""One picture of the twin as bytes: the binary message of live, replay and `GET frame`; layout in SPEC.md."""

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin_wire.errors import FormatError

MAGIC = b"MTF1"
POINTS_MAX = 1_000_000
PEOPLE_MAX = 100_000
AGE_S_MAX = 65_535  # "never" or longer
SEVERITY_MASK = 0b111
UNACKNOWLEDGED = 0b1000
RETURNED_UNACKNOWLEDGED = 0b1_0000
_HEAD = struct.Struct("<4sIqII")
_POINT_BYTES = 8 + 2 + 1 + 1
_PERSON_BYTES = 4 + 4 + 4 + 2 + 2 + 2


class Frame(NamedTuple):
    """The state of P points and N people at one event time; ids are in the layout message of the same number."""

    layout: int
    time_us: int
    value: NDArray[np.float64]  # [P] NaN: none
    tag: NDArray[np.uint32]  # [N] index into the layout's tags
    chainage_m: NDArray[np.float32]  # [N]
    sigma_m: NDArray[np.float32]  # [N]
    roadway: NDArray[np.int16]  # [N] index into the layout's roadways, -1 none
    zone: NDArray[np.int16]  # [N] index into the layout's zones, -1 none
    point_age_s: NDArray[np.uint16]  # [P] AGE_S_MAX: never, or longer
    person_age_s: NDArray[np.uint16]  # [N]
    quality: NDArray[np.uint8]  # [P] see readings.Quality
    alarm: NDArray[np.uint8]  # [P] severity 0 to 4, UNACKNOWLEDGED, RETURNED_UNACKNOWLEDGED


_COLUMNS: tuple[tuple[str, str, bool], ...] = (  # name, little-endian type, True for points and False for people
    ("value", "<f8", True),
    ("tag", "<u4", False),
    ("chainage_m", "<f4", False),
    ("sigma_m", "<f4", False),
    ("roadway", "<i2", False),
    ("zone", "<i2", False),
    ("point_age_s", "<u2", True),
    ("person_age_s", "<u2", False),
    ("quality", "u1", True),
    ("alarm", "u1", True),
)


def encode_frame(frame: Frame) -> bytes:
    """Return the frame's bytes; columns are cast to the types of the layout, their lengths must agree."""
    points, people = len(frame.value), len(frame.tag)
    parts = [_HEAD.pack(MAGIC, frame.layout, frame.time_us, points, people)]
    for name, kind, of_points in _COLUMNS:
        column = np.ascontiguousarray(getattr(frame, name), np.dtype(kind))
        assert column.shape == (points if of_points else people,), name
        parts.append(column.tobytes())
    return b"".join(parts)


def decode_frame(data: bytes) -> Frame:
    """Return the frame in `data`, columns read-only; FormatError unless counts and length agree exactly."""
    if len(data) < _HEAD.size:
        raise FormatError("frame: shorter than its head")
    magic, layout, time_us, points, people = _HEAD.unpack_from(data)
    if magic != MAGIC:
        raise FormatError("frame: does not begin with MTF1")
    if points > POINTS_MAX or people > PEOPLE_MAX:
        raise FormatError("frame: too many points or people")
    if len(data) != _HEAD.size + points * _POINT_BYTES + people * _PERSON_BYTES:
        raise FormatError("frame: length does not fit its counts")
    columns: dict[str, NDArray[np.generic]] = {}
    at = _HEAD.size
    for name, kind, of_points in _COLUMNS:
        column = np.frombuffer(data, np.dtype(kind), points if of_points else people, at)
        columns[name] = column
        at += column.nbytes
    return Frame(layout, time_us, **columns)  # type: ignore[arg-type]
