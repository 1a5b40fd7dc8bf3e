"""Signed notes, checkpoints and cosignatures of C2SP (signed-note, tlog-checkpoint, tlog-cosignature version 1)."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from twin_wire.cose import INTEGER_MAX, is_name
from twin_wire.errors import FormatError, ProofError
from twin_wire.keys import PublicKey, SigningKey

NOTE_BYTES_MAX = 65_536
SIGNATURES_MAX = 64
HASH_BYTES = 32

_ED25519 = b"\x01"  # signature type in the key id
_COSIGNATURE = b"\x04"  # of a witness, Ed25519 with a time; other types are passed over
_TIME_BYTES = 8
_ID_BYTES = 4
_DASH = "\u2014"


class Checkpoint(NamedTuple):
    """The state of a log: its origin, number of entries and 32-byte root."""

    origin: str
    size: int
    root: bytes


def checkpoint_text(origin: str, size: int, root: bytes) -> str:
    """Return the text that is signed for a checkpoint; FormatError if a field is out of its limits."""
    if not is_name(origin) or not 0 <= size <= INTEGER_MAX or len(root) != HASH_BYTES:
        raise FormatError("checkpoint field out of its limits")
    return f"{origin}\n{size}\n{_base64(root)}\n"


def sign_note(text: str, name: str, key: SigningKey) -> str:
    """Return the note: text, blank line, one signature line in `name`; the text ends with a newline."""
    if not text.endswith("\n") or not _is_plain(text):
        raise FormatError("text of a note has no last newline, or control characters")
    blob = _note_key_id(name, key.public) + key.sign(text.encode())
    return f"{text}\n{_DASH} {name} {_base64(blob)}\n"


def open_note(data: bytes | str, vkeys: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """Return (text, names of the given keys that signed it); ProofError if none did or a known key's line is wrong."""
    text, lines = _split_note(data)
    known = {(name, _note_key_id(name, public)): public for name, public in map(parse_vkey, vkeys)}
    signed_by: list[str] = []
    for name, blob in lines:
        public = known.get((name, blob[:_ID_BYTES]))
        if public is None:
            continue
        public.verify(blob[_ID_BYTES:], text.encode())
        signed_by.append(name)
    if not signed_by:
        raise ProofError("no known key signed this note")
    return text, tuple(signed_by)


def read_checkpoint(note_text: bytes | str, vkeys: Iterable[str]) -> Checkpoint:
    """Open a checkpoint that the log itself signed: one of `vkeys` must bear the origin's name."""
    text, names = open_note(note_text, vkeys)
    lines = text.split("\n")
    if len(lines) != 4:  # three lines and the end; we never write extension lines, and cosigners vouch for none
        raise FormatError("checkpoint is not three lines")
    origin, size, root = lines[0], _decimal(lines[1]), unbase64(lines[2])
    if len(root) != HASH_BYTES:
        raise FormatError("checkpoint root is not 32 bytes")
    if origin not in names:
        raise ProofError(f"checkpoint of {origin!r} is not signed by that log")
    return Checkpoint(origin, size, root)


class Cosignature(NamedTuple):
    """A witness's word: it saw this checkpoint continue the one before, at this time (its clock, s since 1970)."""

    name: str
    time_s: int


def cosign(note: bytes | str, name: str, key: SigningKey, time_s: int) -> str:
    """Return the signature line of a witness over a checkpoint's text; the note's own lines are not judged here."""
    text, _ = _split_note(note)
    signed = key.sign(_cosigned(text, time_s))
    blob = _note_key_id(name, key.public, _COSIGNATURE) + time_s.to_bytes(_TIME_BYTES, "big") + signed
    return f"{_DASH} {name} {_base64(blob)}\n"


def read_cosignatures(note: bytes | str, witnesses: Iterable[str]) -> list[Cosignature]:
    """Return the cosignatures by the given witnesses' verifier keys; ProofError if a line of one of them is wrong."""
    text, lines = _split_note(note)
    known = {}
    for name, public in map(parse_witness, witnesses):
        known[name, _note_key_id(name, public, _COSIGNATURE)] = public
    found: list[Cosignature] = []
    for name, blob in lines:
        key = known.get((name, blob[:_ID_BYTES]))
        if key is None:
            continue
        time_s = int.from_bytes(blob[_ID_BYTES : _ID_BYTES + _TIME_BYTES], "big")
        if time_s > INTEGER_MAX:
            raise FormatError("time of a cosignature out of its limits")
        key.verify(blob[_ID_BYTES + _TIME_BYTES :], _cosigned(text, time_s))
        found.append(Cosignature(name, time_s))
    return found


def _cosigned(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def witness_vkey(name: str, public: PublicKey) -> str:
    """Return the verifier key of a witness: `name+id+base64` with the type of cosignatures."""
    return f"{name}+{_note_key_id(name, public, _COSIGNATURE).hex()}+{_base64(_COSIGNATURE + public.raw)}"


def parse_witness(text: str) -> tuple[str, PublicKey]:
    """Read a witness's verifier key; FormatError, or ProofError when its id or key is not sound."""
    return _parse(text, _COSIGNATURE)


def vkey(name: str, public: PublicKey) -> str:
    """Return the verifier key `name+id+base64`, the form in which a log's key is handed out."""
    return f"{name}+{_note_key_id(name, public).hex()}+{_base64(_ED25519 + public.raw)}"


@lru_cache(maxsize=256)
def parse_vkey(text: str) -> tuple[str, PublicKey]:
    """Read a verifier key of type Ed25519; FormatError, or ProofError when its id or key is not sound."""
    return _parse(text, _ED25519)


def _parse(text: str, kind: bytes) -> tuple[str, PublicKey]:
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise FormatError("verifier key is not name+id+key")
    name, id_text, key_text = parts
    raw = unbase64(key_text)
    if raw[:1] != kind:
        raise FormatError(f"verifier key is not of type {kind.hex()}", "a log's key is of type 01, a witness's of 04")
    public = PublicKey(raw[1:])
    if _note_key_id(name, public, kind).hex() != id_text:
        raise ProofError("verifier key's id does not belong to it")
    return name, public


@lru_cache(maxsize=256)
def _note_key_id(name: str, public: PublicKey, kind: bytes = _ED25519) -> bytes:
    if not is_name(name):
        raise FormatError("name of a note's key is empty, too long, or holds a space or plus")
    return sha256(name.encode() + b"\n" + kind + public.raw).digest()[:_ID_BYTES]


def _split_note(data: bytes | str) -> tuple[str, list[tuple[str, bytes]]]:
    if len(data) > NOTE_BYTES_MAX:
        raise FormatError(f"note longer than {NOTE_BYTES_MAX} bytes")
    try:
        note = data if isinstance(data, str) else data.decode()
        note.encode()
    except UnicodeError:
        raise FormatError("note is not UTF-8") from None
    text, blank, tail = note.rpartition("\n\n")
    if not blank or not tail.endswith("\n") or not _is_plain(note):
        raise FormatError("note without its signatures, or with control characters")
    lines = tail[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise FormatError(f"note with more than {SIGNATURES_MAX} signatures")
    return text + "\n", [_signature_line(line) for line in lines]


def _signature_line(line: str) -> tuple[str, bytes]:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != _DASH or not is_name(parts[1]):
        raise FormatError("malformed signature line in a note")
    blob = unbase64(parts[2])
    if len(blob) <= _ID_BYTES:
        raise FormatError("signature line of a note is too short")
    return parts[1], blob


def _is_plain(text: str) -> bool:
    return all(c >= " " or c == "\n" for c in text)


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 16 or (text[0] == "0" and text != "0"):
        raise FormatError("checkpoint size is not a plain decimal")
    size = int(text)
    if size > INTEGER_MAX:
        raise FormatError("checkpoint size too large")
    return size


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def unbase64(text: str) -> bytes:
    """Return the bytes of standard base64 in its one canonical form; FormatError otherwise."""
    try:
        data = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        raise FormatError("not base64") from None
    if _base64(data) != text:
        raise FormatError("base64 in a second form")
    return data
