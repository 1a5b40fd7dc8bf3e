"""A receipt holds for one statement at one index of one tree under one key, and for nothing else."""

from typing import Any

import pytest

from tests.support.evidence import GATEWAY, LOG, ORIGIN, VECTORS, Log, statement, vector
from twin_wire.cbor import Tag, decode, encode
from twin_wire.cose import to_be_signed
from twin_wire.errors import FormatError, ProofError
from twin_wire.keys import PublicKey
from twin_wire.receipt import (
    Continuation,
    Inclusion,
    make_consistency_receipt,
    make_receipts,
    verify_consistency_receipt,
    verify_receipt,
)

TIME_S = 1_795_000_000
GOLDEN = Log([b"genesis", vector("statement"), b"two", b"three", b"four"])
ENTRIES = [statement(seq=i) for i in range(21)]
TREE = Log(ENTRIES)


def receipts(size: int, indices: list[int]) -> list[bytes]:
    """Make receipts of the test log."""
    return make_receipts(LOG, ORIGIN, size, TREE.roots[size], TIME_S, [(i, TREE.path(i, size)) for i in indices])


def edited(receipt: bytes, **changes: Any) -> bytes:
    """Take a receipt apart, change some parts, and put it together again; the signature stays."""
    outer = decode(receipt)
    assert isinstance(outer, Tag)
    value: Any = outer.value
    header: Any = decode(value[0])
    label = next(iter(value[1][396]))
    proof: Any = decode(value[1][396][label][0])
    proof = [changes.get("first", proof[0]), changes.get("second", proof[1]), changes.get("path", proof[2])]
    unprotected = changes.get("unprotected", {396: {label: [encode(proof)]}})
    return encode(Tag(18, [encode(changes.get("header", header)), unprotected, changes.get("payload"), value[3]]))


def test_the_golden_receipt_verifies() -> None:
    public = PublicKey(bytes.fromhex(VECTORS["public"]["receipt"]))
    found = verify_receipt(vector("receipt"), vector("statement"), public, ORIGIN)
    assert found == Inclusion(5, 1, vector("root5"), TIME_S)


def test_receipts_under_the_log_key_have_the_frozen_bytes() -> None:
    made = make_receipts(LOG, ORIGIN, 5, GOLDEN.roots[5], TIME_S, [(1, GOLDEN.path(1, 5))])
    assert made == [vector("receipt_v1")]
    assert verify_receipt(made[0], vector("statement"), LOG.public, ORIGIN).index == 1
    proof = GOLDEN.consistency(3, 5)
    made = [make_consistency_receipt(LOG, ORIGIN, 3, 5, GOLDEN.roots[5], TIME_S, proof)]
    assert made == [vector("consistency_receipt_3_5")]


def test_one_signature_serves_every_entry_of_a_tree() -> None:
    for size in (2, 3, 8, 21):
        made = receipts(size, list(range(size)))
        assert len({receipt[-64:] for receipt in made}) == 1
        for index, receipt in enumerate(made):
            assert verify_receipt(receipt, ENTRIES[index], LOG.public, ORIGIN) == (
                size,
                index,
                TREE.roots[size],
                TIME_S,
            )


def test_a_log_of_one_entry_gives_no_receipt() -> None:
    for size in (0, 1):
        with pytest.raises(FormatError, match="genesis"):
            make_receipts(LOG, ORIGIN, size, TREE.roots[1], TIME_S, [(0, [])])


def test_fields_out_of_their_limits_are_not_signed() -> None:
    root, path = TREE.roots[2], TREE.path(0, 2)
    for origin, size, bad_root, time_s in (("a b", 2, root, 1), (ORIGIN, 2**53, root, 1), (ORIGIN, 2, b"", 1)):
        with pytest.raises(FormatError):
            make_receipts(LOG, origin, size, bad_root, time_s, [(0, path)])
    for time_s in (-1, 2**53):
        with pytest.raises(FormatError):
            make_receipts(LOG, ORIGIN, 2, root, time_s, [(0, path)])
    with pytest.raises(FormatError, match="empty path"):
        make_receipts(LOG, ORIGIN, 2, root, 1, [(0, [])])


def test_every_edit_of_index_or_size_is_refused() -> None:
    for index in range(8):
        receipt = receipts(8, [index])[0]
        for size in range(1, 20):
            for other in range(size):
                if (size, other) != (8, index):
                    with pytest.raises(ProofError):
                        verify_receipt(edited(receipt, first=size, second=other), ENTRIES[index], LOG.public, ORIGIN)


def test_a_receipt_holds_for_its_statement_key_and_log_only() -> None:
    receipt = receipts(21, [4])[0]
    for entry, public, origin in (
        (ENTRIES[5], LOG.public, ORIGIN),
        (ENTRIES[4] + b"\0", LOG.public, ORIGIN),
        (b"", LOG.public, ORIGIN),
        (ENTRIES[4], GATEWAY.public, ORIGIN),
        (ENTRIES[4], LOG.public, "else.example"),
    ):
        with pytest.raises(ProofError):
            verify_receipt(receipt, entry, public, origin)


def test_a_receipt_says_when_the_key_is_another() -> None:
    with pytest.raises(ProofError, match="names another key"):
        verify_receipt(receipts(21, [4])[0], ENTRIES[4], GATEWAY.public, ORIGIN)


def test_every_flipped_bit_is_refused() -> None:
    good = receipts(5, [3])[0]
    for at in range(len(good)):
        for bit in range(8):
            bad = bytearray(good)
            bad[at] ^= 1 << bit
            with pytest.raises(FormatError):
                verify_receipt(bytes(bad), ENTRIES[3], LOG.public, ORIGIN)


def header(**changes: Any) -> dict[Any, Any]:
    """Return a receipt's header with labels changed (h396=…) or dropped (None)."""
    base: dict[Any, Any] = {1: -19, 4: LOG.public.kid, 15: {1: ORIGIN, 2: ORIGIN, 6: TIME_S}, 395: 1, -70002: 5}
    base |= {int(name[1:].replace("_", "-")): value for name, value in changes.items()}
    return {label: value for label, value in base.items() if value is not None}


def signed_by_hand(**changes: Any) -> bytes:
    """Sign a receipt for entry 3 of 5 with other headers."""
    protected = encode(header(**changes))
    proof = encode([5, 3, TREE.path(3, 5)])
    signature = LOG.sign(to_be_signed(protected, TREE.roots[5]))
    return encode(Tag(18, [protected, {396: {-1: [proof]}}, None, signature]))


BAD_HEADERS: list[dict[str, Any]] = [
    {"h1": -7},
    {"h1": -19.0},
    {"h4": None},
    {"h4": b"short"},
    {"h15": None},
    {"h15": []},
    {"h15": {1: ORIGIN, 2: ORIGIN}},
    {"h15": {1: 5, 2: ORIGIN, 6: 1}},
    {"h15": {1: ORIGIN, 2: ORIGIN, 6: -1}},
    {"h15": {1: ORIGIN, 2: ORIGIN, 6: "1"}},
    {"h395": 2},
    {"h395": True},
    {"h_70002": None},
    {"h_70002": 6},
    {"h_70002": -5},
    {"h_70002": 2**53},
    {"h_70002": 5.0},
    {"h3": 0},
]


@pytest.mark.parametrize("changes", BAD_HEADERS, ids=str)
def test_signed_receipts_out_of_form_are_refused(changes: dict[str, Any]) -> None:
    assert verify_receipt(signed_by_hand(), ENTRIES[3], LOG.public, ORIGIN).size == 5
    with pytest.raises(FormatError):
        verify_receipt(signed_by_hand(**changes), ENTRIES[3], LOG.public, ORIGIN)


def test_proofs_out_of_form_are_refused() -> None:
    good, path = receipts(5, [3])[0], TREE.path(3, 5)
    inner = encode([5, 3, path])
    assert edited(good) == good
    bad: list[dict[str, Any]] = [
        {"path": []},
        {"path": path[:-1]},
        {"path": [*path, path[0]]},
        {"path": [*path[:-1], path[-1][:31]]},
        {"path": ["x" * 32, *path[1:]]},
        {"path": {0: path[0]}},
        {"path": [bytes(32)] * 64},
        {"first": -1},
        {"second": -1},
        {"second": 3.0},
        {"payload": TREE.roots[5]},
        {"unprotected": {}},
        {"unprotected": {396: {-1: [inner]}, 1: 1}},
        {"unprotected": {396: {-1: [inner], -2: [inner]}}},
        {"unprotected": {396: {-2: [inner]}}},
        {"unprotected": {396: {-1: []}}},
        {"unprotected": {396: {-1: [inner, inner]}}},
        {"unprotected": {396: {-1: inner}}},
        {"unprotected": {396: {-1: [5]}}},
        {"unprotected": {396: {-1: [[5, 3, path]]}}},
        {"unprotected": {396: [inner]}},
        {"unprotected": {396: {-1: [encode([5, 3])]}}},
        {"unprotected": {396: {-1: [inner + b"\0"]}}},
        {"unprotected": {396: {-1: [bytes(5000)]}}},
    ]
    for changes in bad:
        with pytest.raises(FormatError):
            verify_receipt(edited(good, **changes), ENTRIES[3], LOG.public, ORIGIN)


def test_a_consistency_receipt_proves_growth_from_the_kept_root() -> None:
    for size1, size2 in ((1, 2), (2, 3), (4, 8), (5, 21), (16, 21), (20, 21)):
        proof = TREE.consistency(size1, size2)
        receipt = make_consistency_receipt(LOG, ORIGIN, size1, size2, TREE.roots[size2], TIME_S, proof)
        found = verify_consistency_receipt(receipt, size1, TREE.roots[size1], LOG.public, ORIGIN)
        assert found == Continuation(size2, TREE.roots[size2], TIME_S)
        for bad_size, bad_root in ((size1, TREE.roots[size2]), (size1 + 1, TREE.roots[size1]), (0, TREE.roots[0])):
            with pytest.raises(ProofError):
                verify_consistency_receipt(receipt, bad_size, bad_root, LOG.public, ORIGIN)
        for first, second in ((size1, size2 + 1), (size1 + 1, size2), (size2, size1)):
            with pytest.raises(ProofError):
                bad = edited(receipt, first=first, second=second)
                verify_consistency_receipt(bad, size1, TREE.roots[size1], LOG.public, ORIGIN)
        with pytest.raises(FormatError):
            verify_receipt(receipt, ENTRIES[0], LOG.public, ORIGIN)


def test_what_equals_a_number_is_no_number() -> None:
    receipt = make_consistency_receipt(LOG, ORIGIN, 1, 5, TREE.roots[5], TIME_S, TREE.consistency(1, 5))
    for one in (True, 1.0):
        with pytest.raises(FormatError, match="numbers"):
            verify_consistency_receipt(edited(receipt, first=one), 1, TREE.roots[1], LOG.public, ORIGIN)


def test_consistency_receipts_need_two_sizes() -> None:
    for size1, size2 in ((0, 2), (2, 2), (3, 2)):
        with pytest.raises(FormatError):
            make_consistency_receipt(LOG, ORIGIN, size1, size2, TREE.roots[2], TIME_S, [bytes(32)])
