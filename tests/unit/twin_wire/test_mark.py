"""A mark reads back as it was sealed; nothing without a person, a reason and an end is a mark."""

import msgspec
import pytest

from twin_wire.errors import FormatError
from twin_wire.mark import SPAN_MS_MAX, Mark, encode_mark, read_mark
from twin_wire.records import encode_record

MARK = Mark(point="p0", what="bypass", begin_ms=1000, until_ms=61_000, by="person-7", reason="new cable")


@pytest.mark.parametrize("mark", [MARK, msgspec.structs.replace(MARK, what="calibrating", end_ms=5000)])
def test_a_mark_reads_back_as_sealed(mark: Mark) -> None:
    assert read_mark(encode_mark(mark)) == mark


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 2),
        ("point", ""),
        ("by", "Zhang San"),
        ("reason", ""),
        ("reason", "x" * 500),
        ("what", "holiday"),
        ("until_ms", 1000),
        ("until_ms", 1001 + SPAN_MS_MAX),
        ("end_ms", 999),
        ("end_ms", 61_001),
        ("begin_ms", -1),
        ("name", "Zhang San"),
    ],
)
def test_what_is_no_mark_is_refused_by_name(field: str, value: object) -> None:
    record = msgspec.to_builtins(MARK) | {field: value}
    with pytest.raises(FormatError, match=field):
        read_mark(encode_record(record))
