"""Receipts of RFC 9942: proof that a statement is in the log, with the tree size under the signature.

The standard leaves size and index outside the signature, where most pairs can be swapped for others that verify too;
our private label carries the size inside, and with the size fixed the index has only one value.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from twin_wire.cbor import decode, encode
from twin_wire.cose import (
    ALGORITHM,
    CLAIMS,
    ED25519,
    ISSUED_AT,
    ISSUER,
    KID,
    SUBJECT,
    TREE_KIND,
    TREE_PROOFS,
    TREE_SIZE,
    Signed,
    decode_sign1,
    encode_sign1,
    is_count,
    is_name,
    is_number,
    to_be_signed,
)
from twin_wire.errors import FormatError, ProofError
from twin_wire.keys import PublicKey, SigningKey
from twin_wire.merkle import HASH_BYTES, leaf_hash, root_from_consistency, root_from_inclusion

RECEIPT_BYTES_MAX = 4096
PATH_MAX = 63

_RFC9162_SHA256 = 1
_INCLUSION, _CONSISTENCY = -1, -2
_LABELS = {ALGORITHM, KID, CLAIMS, TREE_KIND, TREE_SIZE}


class Inclusion(NamedTuple):
    """What a receipt proves: the statement is entry `index` of the tree (size, root), signed at `time_s`."""

    size: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    root: bytes
    time_s: int  # the log's own clock, s since 1970 UTC


class Continuation(NamedTuple):
    """What a consistency receipt proves: the tree (size, root) begins with the one the verifier knew."""

    size: int
    root: bytes
    time_s: int


def make_receipts(
    key: SigningKey, origin: str, size: int, root: bytes, time_s: int, proofs: Iterable[tuple[int, Sequence[bytes]]]
) -> list[bytes]:
    """Sign the root once and make one receipt per (index, path); FormatError below size 2, where paths are empty."""
    protected, signature = _sign_root(key, origin, size, root, time_s)
    return [_assemble(protected, signature, _INCLUSION, (size, index, path)) for index, path in proofs]


def verify_receipt(receipt: bytes, statement_raw: bytes, public: PublicKey, origin: str) -> Inclusion:
    """Return what the receipt proves of these statement bytes under the log's key; ProofError if nothing."""
    parts, first, second, path = _open(receipt, public, origin, _INCLUSION)
    size, time_s = _signed_size(parts)
    if first != size:
        raise ProofError("tree size differs from the signed one")
    root = root_from_inclusion(leaf_hash(statement_raw), second, size, path)
    public.verify(parts.signature, to_be_signed(parts.protected, root))
    return Inclusion(size, second, root, time_s)


def make_consistency_receipt(
    key: SigningKey, origin: str, size1: int, size2: int, root2: bytes, time_s: int, path: Sequence[bytes]
) -> bytes:
    """Sign that the tree (size2, root2) continues the one of `size1`; FormatError unless 0 < size1 < size2."""
    if not 0 < size1 < size2:
        raise FormatError(f"no consistency receipt from size {size1} to {size2}")
    protected, signature = _sign_root(key, origin, size2, root2, time_s)
    return _assemble(protected, signature, _CONSISTENCY, (size1, size2, path))


def verify_consistency_receipt(
    receipt: bytes, size1: int, root1: bytes, public: PublicKey, origin: str
) -> Continuation:
    """Return the newer tree proved to continue (size1, root1), which the verifier kept itself; ProofError if none."""
    parts, first, second, path = _open(receipt, public, origin, _CONSISTENCY)
    size, time_s = _signed_size(parts)
    if second != size or first != size1:
        raise ProofError("tree sizes differ from the signed or the known one")
    root = root_from_consistency(size1, size, path, root1)
    public.verify(parts.signature, to_be_signed(parts.protected, root))
    return Continuation(size, root, time_s)


def _sign_root(key: SigningKey, origin: str, size: int, root: bytes, time_s: int) -> tuple[bytes, bytes]:
    if not is_name(origin) or not is_count(size) or not is_count(time_s) or len(root) != HASH_BYTES:
        raise FormatError("receipt field out of its limits")
    if size < 2:
        raise FormatError("no receipt for a log of one entry: its path would be empty, the genesis entry comes first")
    header = {
        ALGORITHM: ED25519,
        KID: key.public.kid,
        CLAIMS: {ISSUER: origin, SUBJECT: origin, ISSUED_AT: time_s},
        TREE_KIND: _RFC9162_SHA256,
        TREE_SIZE: size,
    }
    protected = encode(header)
    return protected, key.sign(to_be_signed(protected, root))


def _assemble(protected: bytes, signature: bytes, label: int, proof: tuple[int, int, Sequence[bytes]]) -> bytes:
    first, second, path = proof
    if not path:
        raise FormatError("receipt with an empty path")
    inner = encode((first, second, list(path)))
    return encode_sign1(protected, {TREE_PROOFS: {label: [inner]}}, None, signature)


def _open(receipt: bytes, public: PublicKey, origin: str, label: int) -> tuple[Signed, int, int, list[bytes]]:
    """Check all but proof and signature; return the parts and the proof's two numbers and path."""
    parts = decode_sign1(receipt, RECEIPT_BYTES_MAX)
    header, claims = parts.header, parts.header.get(CLAIMS)
    if header.keys() != _LABELS or not is_number(header[TREE_KIND], _RFC9162_SHA256) or parts.payload is not None:
        raise FormatError("receipt with other headers than its own")
    if not isinstance(claims, dict) or claims.keys() != {ISSUER, SUBJECT, ISSUED_AT} or not is_name(claims[ISSUER]):
        raise FormatError("receipt without issuer, subject and time")
    proofs = parts.unprotected.get(TREE_PROOFS)
    if len(parts.unprotected) != 1 or not isinstance(proofs, dict) or proofs.keys() != {label}:
        raise FormatError("receipt without the proof expected")
    inner = proofs[label]
    if not isinstance(inner, list) or len(inner) != 1 or not isinstance(inner[0], bytes):
        raise FormatError("receipt is not for exactly one proof")
    if claims[SUBJECT] != origin:
        raise ProofError("receipt of another log")
    if header[KID] != public.kid:
        raise ProofError("receipt names another key")
    return parts, *_read_proof(inner[0])


def _read_proof(inner: bytes) -> tuple[int, int, list[bytes]]:
    proof = decode(inner, RECEIPT_BYTES_MAX, depth_max=2)
    if not isinstance(proof, list) or len(proof) != 3:
        raise FormatError("proof is not [number, number, path]")
    first, second, path = proof
    if not is_count(first) or not is_count(second):
        raise FormatError("proof's numbers out of range")
    if not isinstance(path, list) or not 0 < len(path) <= PATH_MAX or not all(isinstance(h, bytes) for h in path):
        raise FormatError("proof's path is not 1 to 63 hashes")
    return first, second, path


def _signed_size(parts: Signed) -> tuple[int, int]:
    claims, size = parts.header[CLAIMS], parts.header[TREE_SIZE]
    assert isinstance(claims, dict)
    time_s = claims[ISSUED_AT]
    if not is_count(size) or not is_count(time_s):
        raise FormatError("receipt's size or time out of range")
    assert isinstance(size, int)
    assert isinstance(time_s, int)
    return size, time_s
