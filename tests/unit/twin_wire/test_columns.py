"""Columns become the smallest lanes that give them back exactly."""

import numpy as np
import pytest

from twin_wire.columns import (
    CONSTANT,
    FLOAT32,
    FLOAT64_HIGH,
    FLOAT64_LOW,
    VERBATIM_HIGH,
    VERBATIM_LOW,
    Lanes,
    join_columns,
    lane_starts,
    split_columns,
)
from twin_wire.errors import FormatError

NAN = float("nan")


def split(values: list[list[float]], decimals: list[int | None], quality: list[list[int]] | None = None) -> Lanes:
    value = np.array(values, np.float64)
    return split_columns(value, np.array(quality or np.zeros(value.shape), np.uint8), decimals)


def kinds(lanes: Lanes) -> list[int]:
    return [code % 16 for code in lanes.code]


def widths(lanes: Lanes) -> list[int]:
    return [code // 16 for code in lanes.code]


def test_declared_decimals_make_integers() -> None:
    lanes = split([[0.3, 0.31, 0.29], [21.5, 21.4, 21.6]], [2, 1])
    assert kinds(lanes) == [2, 1]
    assert lanes.first.tolist() == [30, 215]
    assert lanes.zigzag.tolist() == [[2, 3], [1, 4]]


@pytest.mark.parametrize(
    ("step", "width"), [(0, CONSTANT), (7, 1), (8, 2), (127, 2), (128, 3), (2**15, 4), (2**23, 5), (2**31 - 1, 5)]
)
def test_the_width_is_the_narrowest_that_holds_the_differences(step: int, width: int) -> None:
    assert widths(split([[0, step]], [0])) == [width]


def test_a_difference_of_32_bits_goes_to_the_floats() -> None:
    assert kinds(split([[0, 2**31]], [0])) == [FLOAT32]
    assert kinds(split([[1, 2**31 + 1]], [0])) == [FLOAT64_LOW, FLOAT64_HIGH]


def test_large_counters_stay_integers() -> None:
    lanes = split([[2**45, 2**45 + 3]], [0])
    assert (kinds(lanes), widths(lanes)) == ([0], [1])
    assert kinds(split([[2.0**46 + 1, 2.0**46 + 2]], [0])) == [FLOAT64_LOW, FLOAT64_HIGH]


@pytest.mark.parametrize("value", [-0.0, NAN, float("inf"), 0.125])
def test_what_decimals_cannot_say_stays_a_float(value: float) -> None:
    lanes = split([[1.0, value]], [2])
    assert kinds(lanes) == [FLOAT32]
    back = join_columns(lanes, np.zeros((1, 2), np.uint8))
    assert back.tobytes() == np.array([[1.0, value]]).tobytes()


def test_a_number_beyond_float32_takes_two_lanes() -> None:
    lanes = split([[1 / 3, 1 / 3], [1.0, 1.0]], [None, 0])
    assert kinds(lanes) == [FLOAT64_LOW, FLOAT64_HIGH, 0]
    assert widths(lanes) == [CONSTANT] * 3
    assert join_columns(lanes, np.zeros((2, 2), np.uint8)).tolist() == [[1 / 3, 1 / 3], [1.0, 1.0]]


def test_a_bad_sample_costs_no_difference_and_comes_back_as_nan() -> None:
    quality = [[0, 33, 33, 0], [34, 34, 0, 0], [33, 33, 33, 33]]
    values = [[5.0, NAN, NAN, 6.0], [NAN, NAN, 7.0, 7.0], [NAN] * 4]
    lanes = split(values, [0, 0, 0], quality)
    assert kinds(lanes) == [0, 0, 0]
    assert lanes.zigzag.tolist() == [[0, 0, 2], [0, 0, 0], [0, 0, 0]]
    back = join_columns(lanes, np.array(quality, np.uint8))
    assert back.tobytes() == np.array(values).tobytes()


def test_a_bad_sample_in_a_float_column_costs_no_difference_either() -> None:
    lanes = split([[0.1, NAN, 0.1]], [None], [[0, 33, 0]])
    assert widths(lanes) == [CONSTANT, CONSTANT]
    assert join_columns(lanes, np.array([[0, 33, 0]], np.uint8)).tobytes() == np.array([[0.1, NAN, 0.1]]).tobytes()


def test_a_number_under_a_bad_quality_comes_back_as_it_was() -> None:
    quality = np.array([[0, 33]], np.uint8)
    lanes = split([[1.0, 2.0]], [0], quality.tolist())
    assert kinds(lanes) == [VERBATIM_LOW, VERBATIM_HIGH]
    assert join_columns(lanes, quality).tolist() == [[1.0, 2.0]]


def test_another_nan_than_the_canonical_one_keeps_its_bits() -> None:
    value = np.array([[1.0, 0.0]])
    value.view(np.uint64)[0, 1] = 0x7FF8_0000_0000_0001
    for quality in (np.zeros((1, 2), np.uint8), np.array([[0, 33]], np.uint8)):
        assert join_columns(split_columns(value, quality, [0]), quality).tobytes() == value.tobytes()


def test_one_row_has_no_differences() -> None:
    lanes = split([[5.0], [0.1]], [0, None])
    assert lanes.zigzag.shape == (3, 0)
    assert join_columns(lanes, np.zeros((2, 1), np.uint8)).tolist() == [[5.0], [0.1]]


def test_many_lanes_and_few_add_up_alike() -> None:
    rng = np.random.default_rng(1)
    value = np.cumsum(rng.integers(-300, 300, (300, 40)), axis=1) / 100.0
    quality = np.zeros(value.shape, np.uint8)
    lanes = split_columns(value, quality, [2] * 300)
    single = [Lanes(lanes.code[n : n + 1], lanes.first[n : n + 1], lanes.zigzag[n : n + 1]) for n in range(300)]
    few = [join_columns(lane, quality[:1]) for lane in single]
    assert join_columns(lanes, quality).tobytes() == value.tobytes() == np.concatenate(few).tobytes()


@pytest.mark.parametrize("broken", [[11], [12], [12, 11], [11, 14], [13, 12], [11, 11, 12], [0, 12], [11, 12, 12]])
def test_half_a_float64_is_refused(broken: list[int]) -> None:
    with pytest.raises(FormatError):
        lane_starts(np.array(broken, np.uint8))


def test_columns_begin_where_their_first_lane_is() -> None:
    assert lane_starts(np.array([0, 11, 12, 9, 13, 14, 10], np.uint8)).tolist() == [0, 1, 3, 4, 6]
