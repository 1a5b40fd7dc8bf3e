"""Bodies of every kind but `data`: one deterministic CBOR map with text keys under zlib, such as a manifest."""

from collections.abc import Mapping

from twin_wire import cbor
from twin_wire.errors import FormatError

RECORD_BYTES_MAX = 4 << 20  # inflated; the largest record is a structure document of some thousand roadways
RECORD_ITEMS_MAX = 1 << 20


def encode_record(record: Mapping[str, object]) -> bytes:
    """Return the body of `record`: zlib over deterministic CBOR; values are what CBOR can say without tags."""
    raw = cbor.encode(dict(record))
    assert len(raw) <= RECORD_BYTES_MAX, "a record of ours is larger than any reader accepts"
    return cbor.deflate(raw)


def decode_record(body: bytes, bytes_max: int = RECORD_BYTES_MAX) -> dict[str, object]:
    """Return the map in `body`; FormatError unless it is exactly one map with text keys within `bytes_max` inflated."""
    record = cbor.decode(cbor.inflate(body, bytes_max), size_max=bytes_max, items_max=RECORD_ITEMS_MAX)
    if not isinstance(record, dict) or not all(isinstance(key, str) for key in record):
        raise FormatError("a record is one map with text keys")
    return record
