"""The signed statement: about 280 bytes of COSE over a body's hash (RFC 9995), byte for byte the log's entry."""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from twin_wire.cbor import decode_sequence, encode
from twin_wire.cose import (
    ALGORITHM,
    CHAIN,
    CLAIMS,
    ED25519,
    HASH_ALGORITHM,
    HASHED_TYPE,
    ISSUER,
    KID,
    SUBJECT,
    decode_sign1,
    encode_sign1,
    is_count,
    is_name,
    is_number,
    to_be_signed,
)
from twin_wire.errors import FormatError, ProofError
from twin_wire.keys import PublicKey, SigningKey

KINDS = (
    "data",
    "manifest",
    "structure",
    "ruleset",
    "genesis",
    "enrol",
    "rotate",
    "revoke",
    "gap",
    "clock",
    "silence",
    "fork",
    "restore",
    "calibration",
    "acknowledgement",
    "access",
    "mark",
    "witness",
    "party",
    "countersign",
    "commissioning",
)
MEDIA_TYPE = "application/vnd.minetwin."
HASH_BYTES = 32
ZERO_HASH = bytes(HASH_BYTES)
STATEMENT_BYTES_MAX = 1024

_CHAIN_VERSION = 1
_SHA256 = -16
_LABELS = {ALGORITHM, KID, CLAIMS, HASH_ALGORITHM, HASHED_TYPE, CHAIN}
_KIND_OF = {MEDIA_TYPE + kind: kind for kind in KINDS} | {
    "application/cbor": "data"
}  # the latter in the oldest vectors


class Chain(NamedTuple):
    """Place of a statement among its gateway's; all integers 0 to 2**53 - 1, hashes 32 bytes."""

    epoch: int  # given by the server at enrolment
    boot: int  # rises at every start of the agent
    seq: int  # from 0 in each epoch, without holes
    prev: bytes  # statement_hash of the one before, ZERO_HASH only at the very first
    mono_ms: int  # monotonic clock at sealing, within the boot
    t0_ms: int  # earliest time in the body, ms since 1970 UTC
    t1_ms: int  # latest time in the body
    rows: int  # samples, fixes and events in the body
    anchor_size: int  # last tree size the gateway has verified, 0 none
    anchor_root: bytes  # its root, ZERO_HASH when none


class Statement(NamedTuple):
    """A statement read back; `raw` are the exact bytes, `signed` what the signature covers."""

    raw: bytes
    kid: bytes
    issuer: str  # the log's origin
    subject: str  # gateway id, or the origin again for the server's own statements
    kind: str
    digest: bytes  # SHA-256 of the body as sent, compressed
    chain: Chain
    signature: bytes
    signed: bytes


def seal(key: SigningKey, issuer: str, subject: str, kind: str, digest: bytes, chain: Chain) -> bytes:
    """Sign one statement; FormatError if a field is out of its limits."""
    if kind not in KINDS:
        raise FormatError(f"unknown kind of statement {kind!r}")
    if not is_name(issuer) or not is_name(subject):
        raise FormatError("issuer or subject is not a name")
    if not _is_hash(digest):
        raise FormatError("digest is not 32 bytes")
    _check_chain(chain)
    header = {
        ALGORITHM: ED25519,
        KID: key.public.kid,
        CLAIMS: {ISSUER: issuer, SUBJECT: subject},
        HASH_ALGORITHM: _SHA256,
        HASHED_TYPE: MEDIA_TYPE + kind,
        CHAIN: (_CHAIN_VERSION, *chain),
    }
    protected = encode(header)
    return encode_sign1(protected, {}, digest, key.sign(to_be_signed(protected, digest)))


def read(raw: bytes) -> Statement:
    """Read a statement without judging its signature; FormatError unless it is exactly in form."""
    parts = decode_sign1(raw, STATEMENT_BYTES_MAX)
    header, digest = parts.header, parts.payload
    if header.keys() != _LABELS or not is_number(header[HASH_ALGORITHM], _SHA256) or parts.unprotected:
        raise FormatError("statement with other headers than its own")
    if digest is None or len(digest) != HASH_BYTES:
        raise FormatError("statement's payload is not a SHA-256")
    claims, media_type, fields = header[CLAIMS], header[HASHED_TYPE], header[CHAIN]
    if not isinstance(claims, dict) or claims.keys() != {ISSUER, SUBJECT}:
        raise FormatError("statement without issuer and subject")
    issuer, subject = claims[ISSUER], claims[SUBJECT]
    if not is_name(issuer) or not is_name(subject):
        raise FormatError("issuer or subject is not a name")
    kind = _KIND_OF.get(media_type) if isinstance(media_type, str) else None
    if kind is None:
        raise FormatError("unknown kind of statement")
    if (
        not isinstance(fields, list)
        or len(fields) != 1 + len(Chain._fields)
        or not is_number(fields[0], _CHAIN_VERSION)
    ):
        raise FormatError("statement's chain is not version 1")
    chain = Chain._make(fields[1:])
    _check_chain(chain)
    kid, signed = header[KID], to_be_signed(parts.protected, digest)
    assert isinstance(kid, bytes)
    assert isinstance(issuer, str)
    assert isinstance(subject, str)
    return Statement(raw, kid, issuer, subject, kind, digest, chain, parts.signature, signed)


def check(statement: Statement, public: PublicKey) -> None:
    """Return if this key signed the statement; ProofError otherwise."""
    if statement.kid != public.kid:
        raise ProofError("statement names another key")
    public.verify(statement.signature, statement.signed)


def statement_hash(raw: bytes) -> bytes:
    """Return what the next statement carries as `prev`: SHA-256 of the exact bytes."""
    return sha256(raw).digest()


def check_successor(previous: Statement | None, current: Statement) -> None:
    """Return if `current` is the very next statement after `previous` (None: the first ever); ProofError otherwise."""
    now = current.chain
    if previous is None:
        if now.seq or now.prev != ZERO_HASH:
            raise ProofError("first statement with a predecessor")
        return
    last = previous.chain
    if (previous.issuer, previous.subject) != (current.issuer, current.subject):
        raise ProofError("statements of different gateways or logs")
    if now.epoch < last.epoch:
        raise ProofError(f"epoch fell from {last.epoch} to {now.epoch}")
    expected = last.seq + 1 if now.epoch == last.epoch else 0
    if now.seq != expected:
        raise ProofError(f"statement {now.seq} where {expected} was due in epoch {now.epoch}")
    if now.prev != statement_hash(previous.raw):
        raise ProofError(f"statement {now.seq} of epoch {now.epoch} does not continue the one before")
    if now.epoch > last.epoch:
        return
    if current.kid != previous.kid:
        raise ProofError(f"key changed inside epoch {now.epoch}")
    if (now.boot, now.mono_ms) < (last.boot, last.mono_ms):
        raise ProofError(f"boot or monotonic clock fell at statement {now.seq} of epoch {now.epoch}")


def encode_envelope(statement: bytes, body: bytes | None) -> bytes:
    """Join a statement's exact bytes and its body; None says that the body was given up."""
    return encode((statement, body))


def decode_envelopes(data: bytes, items_max: int, size_max: int) -> list[tuple[bytes, bytes | None]]:
    """Split a sequence of envelopes into (statement bytes, body); the contents are not judged here."""
    envelopes: list[tuple[bytes, bytes | None]] = []
    for item in decode_sequence(data, items_max, size_max):
        statement, body = item if isinstance(item, list) and len(item) == 2 else (None, None)
        if not isinstance(statement, bytes) or not (body is None or isinstance(body, bytes)):
            raise FormatError("envelope is not [statement, body]")
        envelopes.append((statement, body))
    return envelopes


def _is_hash(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == HASH_BYTES


def _check_chain(chain: Chain) -> None:
    numbers: Sequence[object] = (*chain[:3], *chain[4:9])
    if not all(map(is_count, numbers)) or not _is_hash(chain.prev) or not _is_hash(chain.anchor_root):
        raise FormatError("chain field of wrong kind or out of range")
    if chain.t0_ms > chain.t1_ms:
        raise FormatError("chain's earliest time lies after its latest")
    if not chain.anchor_size and chain.anchor_root != ZERO_HASH:
        raise FormatError("anchor root without a size")
