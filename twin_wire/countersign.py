"""A second party's word: somebody with a key of their own has looked at an entry of the log and signs that they did."""

from typing import NamedTuple

from twin_wire.cose import is_count, is_name
from twin_wire.errors import FormatError, ProofError
from twin_wire.keys import PublicKey, SigningKey
from twin_wire.records import decode_record

HASH_BYTES = 32
ROLES = ("regulator", "enterprise", "installer", "vendor")

_CONTEXT = b"minetwin countersign 1\0"
_BODY_BYTES_MAX = 4096


class Party(NamedTuple):
    """Somebody who may countersign: an opaque id, never a name; the key was handed over by another way."""

    party: str
    role: str
    public: PublicKey


class Countersignature(NamedTuple):
    """One party's signature over one entry."""

    index: int  # type: ignore[assignment]  # hides tuple.index
    party: str
    signature: bytes


def countersigned_bytes(origin: str, index: int, statement_hash: bytes) -> bytes:
    """Return what a party signs: the log's name, the entry's place and the SHA-256 of its bytes."""
    assert len(statement_hash) == HASH_BYTES
    return _CONTEXT + origin.encode() + b"\0" + index.to_bytes(8, "big") + statement_hash


def countersign(key: SigningKey, origin: str, index: int, statement_hash: bytes) -> bytes:
    """Return the 64-byte signature of a party over an entry."""
    return key.sign(countersigned_bytes(origin, index, statement_hash))


def check_countersignature(public: PublicKey, signature: bytes, origin: str, index: int, statement_hash: bytes) -> None:
    """Return if the party's key signed exactly this entry of this log; ProofError otherwise."""
    public.verify(signature, countersigned_bytes(origin, index, statement_hash))


def party_record(party: Party, by: str) -> dict[str, object]:
    """Return the record of a `party` statement: from here on this key may countersign."""
    return {"party": party.party, "role": party.role, "public": party.public.raw, "by": by}


def read_party(body: bytes) -> Party:
    """Read a `party` record; FormatError, or ProofError for a key that cannot be used."""
    record = decode_record(body, _BODY_BYTES_MAX)
    party, role, public = (record.get(name) for name in Party._fields)
    if not isinstance(party, str) or not is_name(party) or not isinstance(role, str) or role not in ROLES:
        raise FormatError("party record without an id or with an unknown role")
    if not isinstance(public, bytes):
        raise FormatError("party record without a key")
    return Party(party, role, PublicKey(public))


def countersign_record(made: Countersignature) -> dict[str, object]:
    """Return the record of a `countersign` statement."""
    return made._asdict()


def read_countersignature(body: bytes) -> Countersignature:
    """Read a `countersign` record; FormatError for any other form. The signature is judged by the caller."""
    record = decode_record(body, _BODY_BYTES_MAX)
    index, party, signature = (record.get(name) for name in Countersignature._fields)
    if not is_count(index) or not is_name(party) or not isinstance(signature, bytes):
        raise FormatError("countersign record with other fields than its own")
    assert isinstance(index, int)
    assert isinstance(party, str)
    if len(signature) != 64:
        raise ProofError("a countersignature is 64 bytes")
    return Countersignature(index, party, signature)
