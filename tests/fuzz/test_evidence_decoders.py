"""Random and damaged bytes: the decoders of evidence raise FormatError or ProofError only, in bounded time."""

import random
from collections.abc import Callable

import pytest

from tests.support.evidence import GATEWAY, LOG, ORIGIN, VECTORS, Log, statement, vector
from twin_wire.cbor import decode, decode_sequence, deflate, encode, inflate
from twin_wire.errors import FormatError
from twin_wire.keys import PublicKey
from twin_wire.note import open_note, parse_vkey, read_checkpoint
from twin_wire.receipt import verify_consistency_receipt, verify_receipt
from twin_wire.statement import check, decode_envelopes, encode_envelope, read
from twin_wire.tiles import decode_entries, encode_entries, parse_tile_path
from twin_wire.voucher import read_enrol_body, read_voucher

ROUNDS = 5000
ENTRIES = [statement(seq=i) for i in range(9)]
TREE = Log(ENTRIES)
VKEY = VECTORS["log_vkey"]
VKEYS = [VKEY]
PUBLIC = LOG.public


def text_of(data: bytes) -> str:
    """Return damaged text, with lone surrogates where the bytes are no UTF-8."""
    return data.decode("utf-8", "surrogateescape")


def open_statement(data: bytes) -> None:
    """Read a statement and check its signature."""
    check(read(data), GATEWAY.public)


SAMPLE = encode({1: [0, -1, 1.5, None, True], "text": {"a": b"bytes"}, b"k": [[["deep"]]], 300: "水" * 30})
DECODERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "cbor": (decode, SAMPLE),
    "cbor sequence": (lambda data: decode_sequence(data, 9, 10_000), SAMPLE * 3),
    "zlib": (lambda data: inflate(data, 10_000), deflate(SAMPLE * 9)),
    "public key": (PublicKey, PUBLIC.raw),
    "statement": (open_statement, statement()),
    "envelopes": (lambda data: decode_envelopes(data, 9, 10_000), encode_envelope(statement(), SAMPLE) * 3),
    "receipt": (lambda data: verify_receipt(data, vector("statement"), PUBLIC, ORIGIN), vector("receipt_v1")),
    "consistency receipt": (
        lambda data: verify_consistency_receipt(data, 3, vector("root3"), PUBLIC, ORIGIN),
        vector("consistency_receipt_3_5"),
    ),
    "note": (lambda data: open_note(data, VKEYS), VECTORS["checkpoint"].encode()),
    "note as text": (lambda data: read_checkpoint(text_of(data), VKEYS), VECTORS["checkpoint"].encode()),
    "verifier key": (lambda data: parse_vkey(text_of(data)), VKEY.encode()),
    "tile path": (lambda data: parse_tile_path(text_of(data)), b"tile/entries/x001/x234/067.p/112"),
    "entries": (decode_entries, encode_entries(ENTRIES)),
    "voucher": (lambda data: read_voucher(text_of(data), 0), VECTORS["voucher"].encode()),
    "enrol record": (read_enrol_body, vector("enrol_body")),
}


def damaged(rng: random.Random, good: bytes) -> bytes:
    """Return good bytes with one to four faults: flipped bits, cut or repeated pieces, foreign bytes, big numbers."""
    data = bytearray(good)
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(7):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                del data[at : at + rng.randrange(1, 9)]
            case 2:
                data[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 3:
                data[at : at + 9] = bytes((rng.randrange(0x1B, 0x100, 0x20),)) + b"\xff" * rng.randrange(9)
            case 4:
                data[at:at] = data[at : at + rng.randrange(1, 99)]
            case 5:
                del data[at:]
            case _:
                data[at : at + 1] = rng.choice((b"\n", b" ", b"+", b"\0", b"\xff", b"=", b".", "—".encode(), b"9" * 40))
    return bytes(data)


@pytest.mark.parametrize("name", DECODERS)
def test_damaged_bytes_raise_format_errors_only(name: str) -> None:
    decoder, good = DECODERS[name]
    rng = random.Random(name)
    decoder(good)
    refused = 0
    for _ in range(ROUNDS):
        try:
            decoder(damaged(rng, good))
        except FormatError:
            refused += 1
    assert refused > ROUNDS // 20


@pytest.mark.parametrize("name", DECODERS)
def test_random_bytes_raise_format_errors_only(name: str) -> None:
    decoder, _ = DECODERS[name]
    rng = random.Random(name)
    for length in [*range(64)] * 5 + [200, 1000, 5000] * 5:
        try:
            decoder(rng.randbytes(length))
        except FormatError:
            continue


def test_damaged_evidence_is_never_accepted() -> None:
    rng = random.Random(1)
    for name in ("receipt", "consistency receipt", "note as text", "voucher", "enrol record"):
        decoder, good = DECODERS[name]
        accepted = decoder(good)
        for _ in range(ROUNDS):
            bad = damaged(rng, good)
            try:
                found = decoder(bad)
            except FormatError:
                continue
            # an unknown signature line, space around a voucher and another compression change no meaning
            assert found == accepted
            assert name in ("note as text", "voucher", "enrol record") or bad == good


@pytest.mark.parametrize("start", [0x81, 0xA1, 0xC1, 0xD8, 0x9F, 0xBF, 0x5F])
def test_deep_nests_do_not_exhaust_the_stack(start: int) -> None:
    for data in (bytes((start,)) * 100_000, bytes((start, 0)) * 50_000):
        with pytest.raises(FormatError):
            decode(data)


def test_a_megabyte_of_small_items_is_bounded() -> None:
    many = b"\x9a\x00\x0f\x00\x00" + bytes(0xF0000)
    with pytest.raises(FormatError, match="announces"):
        decode(many)
