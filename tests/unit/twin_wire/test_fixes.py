"""Positions inside a body: exact, and nothing outside its type gets through."""

import numpy as np
import pytest

from tests.support import bodies
from twin_wire.columns import Lanes, split_columns
from twin_wire.errors import FormatError
from twin_wire.fixes import FIX_COLUMNS, read_fixes, read_tags, split_fixes

ROW = [3, 1000, -5, 6, 7, 80, 1, -1]
TABLE = bodies.fixes([[1, "b", *ROW], [2, "a", 4, *ROW[1:]], [3, "b", 5, *ROW[1:]], [3, "a", 6, *ROW[1:]]])


def lanes_of(columns: list[list[float]]) -> Lanes:
    value = np.array(columns, np.float64)
    return split_columns(value, np.zeros(value.shape, np.uint8), [0] * len(columns))


def test_rows_are_grouped_by_tag_and_come_back_in_time_order() -> None:
    tags, lanes = split_fixes(TABLE)
    assert tags == ("b", "a")
    back = read_fixes(lanes, TABLE.time_us, tags)
    assert back.tag == TABLE.tag
    assert back.roadway.tolist() == [3, 4, 5, 6]
    assert all(
        bodies.same(getattr(back, name), getattr(TABLE, name))
        for name in TABLE._fields
        if name not in ("tag", "time_us")
    )


@pytest.mark.parametrize(
    ("column", "value"),
    [(0, 1), (0, -1), (0, 0.5), (1, 2**31), (1, -(2**31) - 1), (7, 256), (7, -1), (2, 0.25), (3, np.inf)],
)
def test_numbers_outside_their_type_are_refused(column: int, value: float) -> None:
    columns = [[0.0] for _ in range(FIX_COLUMNS)]
    read_fixes(lanes_of(columns), np.zeros(1, np.int64), ("t",))
    columns[column][0] = value
    with pytest.raises(FormatError):
        read_fixes(lanes_of(columns), np.zeros(1, np.int64), ("t",))


@pytest.mark.parametrize("tags", [[], ["a", "a"], [1], "ab", ["x" * 65], [b"a"], [["a"]], None])
def test_tags_are_different_short_texts(tags: object) -> None:
    assert read_tags(["a", "标签"]) == ("a", "标签")
    with pytest.raises(FormatError):
        read_tags(tags)
