"""A statement is one exact string of bytes: it reads back, and nothing beside it does."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest

from tests.support.evidence import GATEWAY, LOG, ORIGIN, VECTORS, chain, named_key, statement, vector
from twin_wire.cbor import Tag, encode
from twin_wire.cose import to_be_signed
from twin_wire.errors import FormatError, ProofError
from twin_wire.statement import (
    KINDS,
    ZERO_HASH,
    Chain,
    check,
    check_successor,
    decode_envelopes,
    encode_envelope,
    read,
    seal,
    statement_hash,
)


def test_the_golden_statement_verifies_and_reads_as_data() -> None:
    golden = read(vector("statement"))
    check(golden, GATEWAY.public)
    assert golden.raw == vector("statement")
    assert golden.signed == vector("statement_tbs")
    assert golden.kid == vector("kid_gateway")
    assert golden[2:6] == (ORIGIN, "gw/42", "data", sha256(b"\xa0").digest())
    assert golden.chain == chain()


def test_sealing_gives_the_frozen_bytes() -> None:
    assert statement() == vector("statement_v1")
    assert len(statement()) < 300


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_reads_back_as_sealed(kind: str) -> None:
    fields = chain(epoch=0, seq=2**53 - 1, prev=b"p" * 32, anchor_size=9, anchor_root=b"r" * 32)
    digest = sha256(kind.encode()).digest()
    back = read(seal(LOG, ORIGIN, ORIGIN, kind, digest, fields))
    check(back, LOG.public)
    assert back[1:7] == (LOG.public.kid, ORIGIN, ORIGIN, kind, digest, fields)


def test_every_flipped_bit_is_refused() -> None:
    good = statement()
    for at in range(len(good)):
        for bit in range(8):
            bad = bytearray(good)
            bad[at] ^= 1 << bit
            with pytest.raises(FormatError):
                check(read(bytes(bad)), GATEWAY.public)


def test_another_key_is_refused_even_with_the_same_id() -> None:
    good = read(statement())
    with pytest.raises(ProofError, match="another key"):
        check(good, LOG.public)
    with pytest.raises(ProofError, match="does not hold"):
        check(good._replace(kid=LOG.public.kid), LOG.public)


def signed_by_hand(change: dict[Any, Any], outer: dict[Any, Any] | None = None, payload: object = bytes(32)) -> bytes:
    """Sign a statement whose header differs from the form in the given labels (None drops one)."""
    header: dict[Any, Any] = {
        1: -19,
        4: GATEWAY.public.kid,
        15: {1: ORIGIN, 2: "gw/42"},
        258: -16,
        259: "application/vnd.minetwin.data",
        -70001: [1, *chain()],
    }
    header = {label: value for label, value in (header | change).items() if value is not None}
    protected = encode(header)
    signature = GATEWAY.sign(to_be_signed(protected, payload if isinstance(payload, bytes) else b""))
    return encode(Tag(18, [protected, outer or {}, payload, signature]))


def test_both_names_of_the_algorithm_are_read() -> None:
    for algorithm in (-19, -8):
        check(read(signed_by_hand({1: algorithm})), GATEWAY.public)


HOSTILE = {
    "no algorithm": {1: None},
    "algorithm ES256": {1: -7},
    "algorithm a float": {1: -19.0},
    "no key id": {4: None},
    "key id of 7 bytes": {4: bytes(7)},
    "content type": {3: 0},
    "an unknown label": {99: 0},
    "text label": {"x": 0},
    "no claims": {15: None},
    "claims no map": {15: [ORIGIN, "gw"]},
    "a third claim": {15: {1: ORIGIN, 2: "gw", 6: 1}},
    "issuer a number": {15: {1: 1, 2: "gw"}},
    "subject empty": {15: {1: ORIGIN, 2: ""}},
    "subject with a space": {15: {1: ORIGIN, 2: "g w"}},
    "subject with a newline": {15: {1: ORIGIN, 2: "gw\n"}},
    "subject too long": {15: {1: ORIGIN, 2: "水" * 43}},
    "another hash": {258: -44},
    "hash a float": {258: -16.0},
    "kind unknown": {259: "application/vnd.minetwin.wish"},
    "kind a number": {259: 60},
    "chain missing": {-70001: None},
    "chain a map": {-70001: {0: 1}},
    "chain version 2": {-70001: [2, *chain()]},
    "chain version true": {-70001: [True, *chain()]},
    "chain too short": {-70001: [1, *chain()[:-1]]},
    "chain too long": {-70001: [1, *chain(), 0]},
    "sequence negative": {-70001: [1, *chain(seq=-1)]},
    "sequence beyond 2**53": {-70001: [1, *chain(seq=2**53)]},
    "sequence true": {-70001: [1, *chain(seq=True)]},
    "sequence a float": {-70001: [1, *chain(seq=0.5)]},
    "prev short": {-70001: [1, *chain(prev=bytes(31))]},
    "prev text": {-70001: [1, *chain(prev="0" * 32)]},
    "times crossed": {-70001: [1, *chain(t0_ms=2, t1_ms=1)]},
    "anchor root short": {-70001: [1, *chain(anchor_size=1, anchor_root=bytes(31))]},
    "anchor root without size": {-70001: [1, *chain(anchor_root=b"r" * 32)]},
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_signed_statement_out_of_form_is_refused(change: dict[Any, Any]) -> None:
    read(signed_by_hand({}))
    with pytest.raises(FormatError):
        read(signed_by_hand(change))


def test_unsigned_headers_other_payloads_and_other_shapes_are_refused() -> None:
    good = signed_by_hand({})
    detached = signed_by_hand({}, payload=None)
    long = signed_by_hand({15: {1: "o" * 128, 2: "g" * 128}, 99: bytes(1000)})
    shapes = [encode(Tag(17, [b"", {}, b"", bytes(64)])), encode([b"", {}, b"", bytes(64)]), encode(Tag(18, [b"", {}]))]
    wrong = [
        encode(Tag(18, [1, {}, b"", b""])),
        encode(Tag(18, [b"", {}, 1, b""])),
        encode(Tag(18, [b"", {}, b"", b"s"])),
    ]
    unsigned, short = signed_by_hand({}, {394: [b"x"]}), signed_by_hand({}, payload=bytes(31))
    no_map = encode(Tag(18, [b"\x01", {}, bytes(32), bytes(64)]))
    for bad in (detached, long, *shapes, *wrong, unsigned, short, no_map, good + b"\0", good[:-1], b""):
        with pytest.raises(FormatError):
            read(bad)


def test_fields_out_of_their_limits_are_not_sealed() -> None:
    digest = bytes(32)
    for args in (
        (ORIGIN, "gw", "wish", digest, chain()),
        ("", "gw", "data", digest, chain()),
        (ORIGIN, "g+w", "data", digest, chain()),
        (ORIGIN, "gw", "data", b"", chain()),
        (ORIGIN, "gw", "data", digest, chain(rows=-1)),
    ):
        with pytest.raises(FormatError):
            seal(GATEWAY, *args)


@dataclass
class Run:
    """A gateway that seals one statement after the other, with whatever fields the test wants."""

    last: bytes | None = None

    def next(self, **changes: Any) -> bytes:
        prev = statement_hash(self.last) if self.last else ZERO_HASH
        self.last = statement(**{"prev": prev, **changes})
        return self.last


def test_an_unbroken_chain_is_accepted_across_boots_and_epochs() -> None:
    run = Run()
    raws = [
        run.next(seq=0),
        run.next(seq=1),
        run.next(seq=2, mono_ms=10_001),
        run.next(seq=3, boot=4, mono_ms=5),
        run.next(seq=0, epoch=9, boot=0, mono_ms=1),
        run.next(seq=1, epoch=9, boot=0, mono_ms=1),
    ]
    previous = None
    for raw in raws:
        check_successor(previous, read(raw))
        previous = read(raw)


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "number skipped": ({"seq": 7}, "was due"),
    "number repeated": ({"seq": 5}, "was due"),
    "other predecessor": ({"prev": b"x" * 32}, "does not continue"),
    "zeros as predecessor": ({"prev": ZERO_HASH}, "does not continue"),
    "epoch fell": ({"epoch": 6, "seq": 0}, "epoch fell"),
    "new epoch not from 0": ({"epoch": 8}, "was due"),
    "new epoch with zeros": ({"epoch": 8, "seq": 0, "prev": ZERO_HASH}, "does not continue"),
    "boot fell": ({"boot": 2}, "clock fell"),
    "monotonic clock fell": ({"mono_ms": 9_999}, "clock fell"),
}


@pytest.mark.parametrize(("changes", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_chain_is_a_proof_error(changes: dict[str, Any], words: str) -> None:
    run = Run(statement(seq=4))
    previous = run.next(seq=5)
    with pytest.raises(ProofError, match=words):
        check_successor(read(previous), read(run.next(**{"seq": 6, **changes})))


def test_another_gateway_log_or_key_does_not_continue_a_chain() -> None:
    first = read(statement())
    prev = {"prev": statement_hash(first.raw), "seq": 1}

    def sealed(key: str = "gateway", origin: str = ORIGIN, gateway: str = "gw/42", **changes: Any) -> Any:
        return read(seal(named_key(key), origin, gateway, "data", bytes(32), chain(**{**prev, **changes})))

    check_successor(first, sealed())
    check_successor(first, sealed("other", epoch=8, seq=0))
    for bad in (sealed("other"), sealed(origin="else.example"), sealed(gateway="gw/43")):
        with pytest.raises(ProofError):
            check_successor(first, bad)


def test_the_first_statement_has_no_predecessor() -> None:
    check_successor(None, read(statement()))
    for changes in ({"seq": 1}, {"prev": b"x" * 32}):
        with pytest.raises(ProofError):
            check_successor(None, read(statement(**changes)))


def test_envelopes_carry_exact_bytes_and_nothing_else() -> None:
    pairs = [(statement(), b"body"), (statement(seq=1), None)]
    data = b"".join(encode_envelope(*pair) for pair in pairs)
    assert decode_envelopes(data, 2, 1000) == pairs
    assert encode_envelope(statement(), b"\xa0") == vector("envelope")
    assert decode_envelopes(b"", 2, 1000) == []
    bad = [encode(item) for item in ([b""], [b"", b"", b""], ["", b""], [b"", 1], [None, b""], {0: 1}, 1)]
    for sequence, items_max in [(data, 1), (data[:-1], 2), *((item, 2) for item in bad)]:
        with pytest.raises(FormatError):
            decode_envelopes(sequence, items_max, 1000)


def test_chain_fields_stand_in_the_order_of_the_specification() -> None:
    assert " ".join(Chain._fields) == "epoch boot seq prev mono_ms t0_ms t1_ms rows anchor_size anchor_root"
    assert VECTORS["public"]["gateway"] == GATEWAY.public.raw.hex()
