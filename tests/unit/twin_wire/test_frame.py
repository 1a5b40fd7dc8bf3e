"""The live frame: one layout to the byte, read back exactly."""

import struct
from typing import Any

import numpy as np
import pytest

from tests.support.bodies import same
from twin_wire.errors import FormatError
from twin_wire.frame import (
    AGE_S_MAX,
    RETURNED_UNACKNOWLEDGED,
    SEVERITY_MASK,
    UNACKNOWLEDGED,
    Frame,
    decode_frame,
    encode_frame,
)

FRAME = Frame(
    layout=7,
    time_us=1_700_000_000_123_456,
    value=np.array([0.52, np.nan, -0.0]),
    tag=np.array([0, 4_000_000_000], np.uint32),
    chainage_m=np.array([1.5, 95.25], np.float32),
    sigma_m=np.array([0.5, 12.0], np.float32),
    roadway=np.array([3, -1], np.int16),
    zone=np.array([-1, 2], np.int16),
    point_age_s=np.array([0, AGE_S_MAX, 5], np.uint16),
    person_age_s=np.array([1, 60], np.uint16),
    quality=np.array([0, 33, 16], np.uint8),
    alarm=np.array([1 | UNACKNOWLEDGED, 0, 3 | RETURNED_UNACKNOWLEDGED], np.uint8),
)


def test_a_frame_comes_back_exactly() -> None:
    back = decode_frame(encode_frame(FRAME))
    assert back[:2] == FRAME[:2]
    for name in Frame._fields[2:]:
        assert same(getattr(back, name), getattr(FRAME, name)), name


def test_the_bytes_are_those_of_the_specification() -> None:
    assert encode_frame(FRAME) == (
        b"MTF1"
        + struct.pack("<IqII", 7, 1_700_000_000_123_456, 3, 2)
        + struct.pack("<3d", 0.52, float("nan"), -0.0)
        + struct.pack("<2I", 0, 4_000_000_000)
        + struct.pack("<2f2f", 1.5, 95.25, 0.5, 12.0)
        + struct.pack("<2h2h", 3, -1, -1, 2)
        + struct.pack("<3H2H", 0, 65535, 5, 1, 60)
        + bytes([0, 33, 16])
        + bytes([0b1001, 0, 0b10011])
    )
    assert len(encode_frame(FRAME)) == 24 + 12 * 3 + 18 * 2


def test_a_frame_of_nothing_is_its_head() -> None:
    columns: list[Any] = [np.zeros(0)] * 10
    empty = Frame(0, -1, *columns)
    assert encode_frame(empty) == b"MTF1" + struct.pack("<IqII", 0, -1, 0, 0)
    assert decode_frame(encode_frame(empty)).time_us == -1


def test_columns_of_other_types_are_cast_and_of_other_lengths_refused() -> None:
    assert encode_frame(FRAME._replace(quality=np.array([0, 33, 16], np.int64))) == encode_frame(FRAME)
    with pytest.raises(AssertionError):
        encode_frame(FRAME._replace(zone=np.zeros(3, np.int16)))


def test_the_alarm_byte_holds_severity_and_two_marks() -> None:
    alarm = decode_frame(encode_frame(FRAME)).alarm
    assert (alarm & SEVERITY_MASK).tolist() == [1, 0, 3]


def changed(at: int, data: bytes) -> bytes:
    good = encode_frame(FRAME)
    return good[:at] + data + good[at + len(data) :]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        encode_frame(FRAME)[:-1],
        encode_frame(FRAME) + b"\0",
        encode_frame(FRAME)[:23],
        changed(0, b"MTF2"),
        changed(16, struct.pack("<I", 4)),
        changed(20, struct.pack("<I", 2**32 - 1)),
        changed(16, struct.pack("<II", 2**32 - 1, 0)),
    ],
)
def test_a_frame_whose_counts_do_not_fit_is_refused(data: Any) -> None:
    with pytest.raises(FormatError):
        decode_frame(data)
