"""Positions inside a data body: lanes of whole numbers, grouped by tag so that each tag is compared with itself."""

import numpy as np
from numpy.typing import NDArray

from twin_wire.columns import Lanes, join_columns, split_columns
from twin_wire.errors import FormatError
from twin_wire.readings import Fixes, Times
from twin_wire.streams import read_word

TAGS_MAX = 10_000
_COLUMNS = ("roadway", "chainage_mm", "x_mm", "y_mm", "z_mm", "sigma_mm", "method", "zone")
FIX_COLUMNS = 1 + len(_COLUMNS)  # the tag's index, then these


def split_fixes(fixes: Fixes) -> tuple[tuple[str, ...], Lanes]:
    """Return the different tags and the lanes of N positions: tag index by row, the rest grouped by tag."""
    rows = len(fixes.time_us)
    tags = tuple(dict.fromkeys(fixes.tag))
    number = {tag: index for index, tag in enumerate(tags)}
    index = np.array([number[tag] for tag in fixes.tag], np.int64)
    order = np.argsort(index, kind="stable")
    columns = [index, *(np.asarray(getattr(fixes, name))[order] for name in _COLUMNS)]
    assert all(column.shape == (rows,) for column in columns)
    value = np.stack(columns).astype(np.float64)
    return tags, split_columns(value, np.zeros(value.shape, np.uint8), [0] * FIX_COLUMNS)


def read_tags(item: object) -> tuple[str, ...]:
    """Return the tags of a table of positions; FormatError unless they are distinct short texts."""
    if not isinstance(item, list) or not 0 < len(item) <= TAGS_MAX or len(set(map(read_word, item))) != len(item):
        raise FormatError(f"body: tags are not an array of 1 to {TAGS_MAX} different texts")
    return tuple(map(read_word, item))


def read_fixes(lanes: Lanes, time_us: Times, tags: tuple[str, ...]) -> Fixes:
    """Return the N positions of their lanes; FormatError for an unknown tag or a number outside its type."""
    number = join_columns(lanes, np.zeros((FIX_COLUMNS, len(time_us)), np.uint8))
    if (number != np.floor(number)).any():
        raise FormatError("body: a position's column is not of whole numbers")
    if number[0].min() < 0 or number[0].max() >= len(tags):
        raise FormatError("body: a position of no tag")
    index = number[0].astype(np.int64)
    order = np.argsort(index, kind="stable")
    columns: dict[str, NDArray[np.generic]] = {}
    for name, column in zip(_COLUMNS, number[1:], strict=True):
        kind: type[np.uint8] | type[np.int32] = np.uint8 if name == "method" else np.int32
        limits = np.iinfo(kind)
        if column.min() < limits.min or column.max() > limits.max:
            raise FormatError(f"body: {name} out of range")
        restored = np.empty(len(time_us), kind)
        restored[order] = column
        columns[name] = restored
    return Fixes(time_us=time_us, tag=tuple(tags[each] for each in index.tolist()), **columns)  # type: ignore[arg-type]
