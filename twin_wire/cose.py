"""COSE_Sign1 (RFC 9052) as statements and receipts use it: tag 18, Ed25519, nothing outside the strict form."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from twin_wire.cbor import Tag, decode, encode, head
from twin_wire.errors import FormatError
from twin_wire.keys import KID_BYTES, SIGNATURE_BYTES

TAG = 18
# Header labels: RFC 9052 (1, 4), RFC 9597 (15), RFC 9995 (258, 259), RFC 9942 (395, 396); below -65536 is private use.
ALGORITHM, KID, CLAIMS = 1, 4, 15
HASH_ALGORITHM, HASHED_TYPE = 258, 259
TREE_KIND, TREE_PROOFS = 395, 396
CHAIN, TREE_SIZE = -70001, -70002
ISSUER, SUBJECT, ISSUED_AT = 1, 2, 6  # claims of RFC 8392
ED25519, EDDSA = -19, -8  # RFC 9864; -8 is its older name for the same key
INTEGER_MAX = 2**53 - 1  # exact in every language, JavaScript included
NAME_BYTES_MAX = 128

_TBS_START = b"\x84\x6aSignature1"


class Signed(NamedTuple):
    """The parts of one COSE_Sign1; `protected` are the signed header's bytes, `header` the same decoded."""

    protected: bytes
    header: dict[object, object]
    unprotected: dict[object, object]
    payload: bytes | None
    signature: bytes


def to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Return the bytes a signature covers: Sig_structure of RFC 9052 section 4.4, without external data."""
    return b"".join((_TBS_START, head(2, len(protected)), protected, b"\x40", head(2, len(payload)), payload))


def encode_sign1(protected: bytes, unprotected: Mapping[int, object], payload: bytes | None, signature: bytes) -> bytes:
    """Put the four parts together."""
    return encode(Tag(TAG, (protected, unprotected, payload, signature)))


def decode_sign1(raw: bytes, size_max: int) -> Signed:
    """Take a COSE_Sign1 apart; FormatError unless it is strict and signed with Ed25519."""
    outer = decode(raw, size_max, depth_max=6)
    parts = outer.value if isinstance(outer, Tag) and outer.number == TAG else None
    if not isinstance(parts, list) or len(parts) != 4:
        raise FormatError("not a COSE_Sign1")
    protected, unprotected, payload, signature = parts
    if not isinstance(protected, bytes) or not isinstance(unprotected, dict):
        raise FormatError("COSE_Sign1 headers of wrong kind")
    if not (payload is None or isinstance(payload, bytes)):
        raise FormatError("COSE_Sign1 payload of wrong kind")
    if not isinstance(signature, bytes) or len(signature) != SIGNATURE_BYTES:
        raise FormatError("COSE_Sign1 signature is not 64 bytes")
    header = decode(protected, size_max, depth_max=3)
    algorithm = header.get(ALGORITHM) if isinstance(header, dict) else None
    if not isinstance(header, dict) or not (is_number(algorithm, ED25519) or is_number(algorithm, EDDSA)):
        raise FormatError("COSE_Sign1 algorithm is not Ed25519")
    kid = header.get(KID)
    if not isinstance(kid, bytes) or len(kid) != KID_BYTES:
        raise FormatError("COSE_Sign1 key id is not 8 bytes")
    return Signed(protected, header, unprotected, payload, signature)


def is_name(value: object) -> bool:
    """Tell whether a value may name a log, gateway or issuer: 1 to 128 bytes, printable, no space and no plus."""
    return isinstance(value, str) and 1 <= len(value) <= NAME_BYTES_MAX and _is_name(value)


def is_number(value: object, number: int) -> bool:
    """Tell whether a value is this integer, and not a bool or float that compares equal."""
    return type(value) is int and value == number


def is_count(value: object) -> bool:
    """Tell whether a value is an integer from 0 to 2**53 - 1 (a bool is not)."""
    return type(value) is int and 0 <= value <= INTEGER_MAX


@lru_cache(maxsize=1024)
def _is_name(text: str) -> bool:
    return (
        text.isprintable()
        and not any(c.isspace() or c == "+" for c in text)
        and len(text.encode("utf-8", "replace")) <= NAME_BYTES_MAX
    )
