"""Records: one map with text keys, compressed, and nothing else."""

import pytest

from twin_wire import cbor
from twin_wire.errors import FormatError
from twin_wire.records import RECORD_BYTES_MAX, decode_record, encode_record

RECORD = {"text": "矿", "n": -5, "f": 1.0, "yes": True, "none": None, "list": [1, {"k": b"bytes"}]}


def test_a_record_comes_back_with_its_types() -> None:
    back = decode_record(encode_record(RECORD))
    assert back == RECORD
    assert isinstance(back["f"], float)


def test_the_same_record_has_one_form_whatever_the_order_of_its_fields() -> None:
    assert encode_record(RECORD) == encode_record(dict(reversed(RECORD.items())))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xa0\xa0",
        cbor.encode([1]),
        cbor.encode({1: 2}),
        b"\xa1\x61a\x18\x01",
        b"\xbf\xff",
        b"\xa2\x61b\x01\x61a\x01",
        b"\xa2\x61a\x01\x61a\x01",
    ],
)
def test_another_form_is_refused(raw: bytes) -> None:
    with pytest.raises(FormatError):
        decode_record(cbor.deflate(raw))


def test_bytes_around_the_stream_are_refused() -> None:
    body = encode_record(RECORD)
    for bad in (body + b"\0", body[:-1], b"\0" + body, b"", cbor.encode(RECORD)):
        with pytest.raises(FormatError):
            decode_record(bad)


def test_a_record_beyond_the_limit_is_our_mistake_when_written_and_theirs_when_read() -> None:
    with pytest.raises(AssertionError):
        encode_record({"a": "x" * RECORD_BYTES_MAX})
    with pytest.raises(FormatError):
        decode_record(encode_record({"a": "x" * 100}), 50)
