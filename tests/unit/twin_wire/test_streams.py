"""Times and qualities of a body: small, exact, and refused when they do not add up."""

from typing import Any

import numpy as np
import pytest

from twin_wire.errors import FormatError
from twin_wire.planes import zigzag
from twin_wire.streams import (
    PERIOD_US_MAX,
    TIME_US_MAX,
    join_steps,
    read_codes,
    read_qualities,
    read_times,
    steps_in_stream,
    write_qualities,
    write_times,
)

NONE = np.zeros(0, np.uint64)


def times(*values: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array(values, np.int64)


@pytest.mark.parametrize(
    ("values", "head"),
    [
        (times(7), [7, 0]),
        (times(7, 7, 7), [7, 0]),
        (times(1, 11, 21), [1, 10]),
        (times(1000, 11000, 22000), [1000, 11000, 1000]),
        (times(1000, 11000, 22001), [1000, 11000, 1]),
        (times(0, PERIOD_US_MAX), [0, PERIOD_US_MAX]),
        (times(0, PERIOD_US_MAX + 1), [0, [PERIOD_US_MAX + 1]]),
        (times(0, 5, 10, 2**31), [0, 0, 1]),
        (times(0, 5, 10, 2**32), [0, [5, 5, 2**32 - 10]]),
    ],
)
def test_times_take_the_smallest_head_that_gives_them_back(values: Any, head: list[object]) -> None:
    written, part = write_times(values, 0)
    assert written == head
    number = NONE if part is None else part
    assert steps_in_stream(written, len(values)) == len(number)
    assert read_times(written, len(values), number, 0).tolist() == values.tolist()


def test_a_start_counts_from_the_origin() -> None:
    written, _ = write_times(times(100, 200), 150)
    assert written == [-50, 100]
    assert read_times(written, 2, NONE, 150).tolist() == [100, 200]


def test_the_streams_of_all_blocks_are_joined() -> None:
    assert join_steps([None, None]) is None
    assert join_steps([np.array([1, 2], np.uint64), None, np.array([300], np.uint64)]) == bytes([1, 2, 44, 0, 0, 1])


@pytest.mark.parametrize(
    "head",
    [
        [0],
        [0, 1, 2],
        [0, 1, True],
        [0, -1],
        [0, PERIOD_US_MAX + 1],
        [0.0, 1],
        [True, 1],
        [0, [1]],
        [0, [1, -1]],
        [0, [1, 1.0]],
        [0, "1"],
        [0, [1, 1], 1],
        [TIME_US_MAX + 1, 0],
        [0, 1, 1, 1],
    ],
)
def test_a_head_of_no_known_form_is_refused(head: list[object]) -> None:
    with pytest.raises(FormatError):
        steps_in_stream(head, 3)


def test_one_row_has_no_steps_in_the_stream() -> None:
    with pytest.raises(FormatError):
        steps_in_stream([0, 5, 1], 1)


@pytest.mark.parametrize(
    ("head", "number", "origin_us"),
    [
        ([0, 5, 1], zigzag(times(-6, 0)), 0),
        ([-1, 5], NONE, 0),
        ([0, [TIME_US_MAX, 1]], NONE, 0),
        ([TIME_US_MAX, 1], NONE, 0),
        ([0, 0], NONE, TIME_US_MAX + 1),
    ],
)
def test_times_that_fall_or_leave_the_range_are_refused(head: list[object], number: Any, origin_us: int) -> None:
    with pytest.raises(FormatError):
        read_times(head, 3, number, origin_us)


def test_qualities_are_runs_over_all_blocks() -> None:
    one, two = np.array([[0, 0, 33], [33, 0, 0]], np.uint8), np.array([[0], [16]], np.uint8)
    runs = write_qualities([one, two])
    assert runs == (bytes([0, 33, 0, 16]), bytes([2, 2, 3, 1]))
    assert read_qualities(*runs, 8).tolist() == [0, 0, 33, 33, 0, 0, 0, 16]


def test_good_qualities_cost_nothing() -> None:
    assert write_qualities([np.zeros((2, 3), np.uint8)]) is None


@pytest.mark.parametrize(
    ("codes", "lengths"), [(b"", b""), (b"\1", b"\2"), (b"\1\2", b"\0\3"), (b"\1\2\3\4", b"\1" * 4), (b"\1", b"")]
)
def test_runs_that_do_not_cover_the_readings_are_refused(codes: bytes, lengths: bytes) -> None:
    with pytest.raises(FormatError):
        read_qualities(codes, lengths, 3)


@pytest.mark.parametrize("codes", [b"\x0f", b"\x60", b"\0" * 40_000])
def test_lanes_of_no_known_kind_or_width_are_refused(codes: bytes) -> None:
    with pytest.raises(FormatError):
        read_codes(codes)
