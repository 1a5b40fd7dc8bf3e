"""Evidence at random sizes: proofs equal the slow tree's, what was sealed reads back, edits are refused."""

import math
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import naive_merkle
from tests.support.evidence import GATEWAY, LOG, ORIGIN, Log
from twin_wire.cbor import Tag, decode, deflate, encode, inflate
from twin_wire.cose import encode_sign1
from twin_wire.errors import FormatError, ProofError
from twin_wire.merkle import Frontier, edge, leaf_hash, verify_consistency, verify_inclusion
from twin_wire.note import checkpoint_text, read_checkpoint, sign_note, vkey
from twin_wire.receipt import make_consistency_receipt, make_receipts, verify_consistency_receipt, verify_receipt
from twin_wire.statement import KINDS, ZERO_HASH, Chain, check, decode_envelopes, encode_envelope, read, seal
from twin_wire.tiles import TILE_WIDTH, decode_entries, encode_entries, fetch_from, parse_tile_path, tile_path

ENTRIES = [b"entry %d" % i for i in range(600)]
TREE = Log(ENTRIES)
VKEY = vkey(ORIGIN, LOG.public)

quick = settings(max_examples=60, deadline=None, database=None)
slow = settings(max_examples=15, deadline=None, database=None)
counts = st.integers(0, 2**53 - 1)
hashes = st.binary(min_size=32, max_size=32)
names = st.text(st.characters(exclude_characters="+", exclude_categories=("C", "Z")), min_size=1, max_size=32)
sizes = st.integers(2, len(ENTRIES))


@st.composite
def place(draw: st.DrawFn) -> tuple[int, int]:
    """Draw (index, size) with index < size."""
    size = draw(sizes)
    return draw(st.integers(0, size - 1)), size


@quick
@given(place())
def test_inclusion_proofs_equal_the_slow_trees_and_hold_at_their_place_only(at: tuple[int, int]) -> None:
    index, size = at
    path, root, leaf = TREE.path(index, size), TREE.roots[size], leaf_hash(ENTRIES[index])
    assert path == naive_merkle.path(index, ENTRIES[:size])
    verify_inclusion(leaf, index, size, path, root)
    for other in {*range(size)} - {index}:
        with pytest.raises(ProofError):
            verify_inclusion(leaf, other, size, path, root)


@quick
@given(sizes, st.data())
def test_consistency_proofs_equal_the_slow_trees_and_hold_between_their_roots_only(size2: int, data: Any) -> None:
    size1 = data.draw(st.integers(1, size2))
    proof, roots = TREE.consistency(size1, size2), TREE.roots
    assert proof == naive_merkle.proof(size1, ENTRIES[:size2])
    verify_consistency(size1, size2, proof, roots[size1], roots[size2])
    for other in {*range(len(roots))} - {size1}:
        with pytest.raises(ProofError):
            verify_consistency(size1, size2, proof, roots[other], roots[size2])
    for other in {*range(len(roots))} - {size2}:
        with pytest.raises(ProofError):
            verify_consistency(size1, size2, proof, roots[size1], roots[other])


@quick
@given(sizes, st.integers(0, 100))
def test_a_frontier_restored_anywhere_grows_to_the_slow_trees_root(size: int, more: int) -> None:
    more = min(more, len(ENTRIES) - size)
    frontier = Frontier.restore(size, [TREE.nodes[node] for node in edge(size)])
    for entry in ENTRIES[size : size + more]:
        for level, index, value in frontier.append(leaf_hash(entry)):
            assert TREE.nodes[level, index] == value
    assert frontier.root() == naive_merkle.tree_hash(ENTRIES[: size + more])


@slow
@given(place(), st.data())
def test_every_edit_of_a_receipts_index_or_size_is_refused(at: tuple[int, int], data: Any) -> None:
    index, size = at
    path, root = TREE.path(index, size), TREE.roots[size]
    receipt = make_receipts(LOG, ORIGIN, size, root, 9, [(index, path)])[0]
    assert verify_receipt(receipt, ENTRIES[index], LOG.public, ORIGIN) == (size, index, root, 9)
    sealed: Any = decode(receipt)
    edits = {(size, data.draw(st.integers(0, size - 1))) for _ in range(20)}
    edits |= {(size, index ^ 1 << bit) for bit in range(10)} | {(size + 1, index), (size - 1, index), (index, size)}
    edits |= {(data.draw(st.integers(0, 2 * size)), data.draw(st.integers(0, size))) for _ in range(20)}
    for other in edits - {(size, index)}:
        unprotected = {396: {-1: [encode([*other, path])]}}
        bad = encode_sign1(sealed.value[0], unprotected, None, sealed.value[3])
        with pytest.raises(ProofError):
            verify_receipt(bad, ENTRIES[index], LOG.public, ORIGIN)


@slow
@given(sizes, st.data())
def test_consistency_receipts_lead_from_the_kept_root_to_the_new_one(size2: int, data: Any) -> None:
    size1 = data.draw(st.integers(1, size2 - 1))
    root1, root2 = TREE.roots[size1], TREE.roots[size2]
    receipt = make_consistency_receipt(LOG, ORIGIN, size1, size2, root2, 9, TREE.consistency(size1, size2))
    assert verify_consistency_receipt(receipt, size1, root1, LOG.public, ORIGIN) == (size2, root2, 9)


@quick
@given(sizes, st.data())
def test_tiles_alone_give_every_proof(size: int, data: Any) -> None:
    def tile(level: int, n: int, width: int) -> bytes:
        assert parse_tile_path(tile_path(level, n, width)) == (level, n, width)
        return b"".join(TREE.nodes[8 * level, n * TILE_WIDTH + at] for at in range(width))

    places = [node for node in TREE.nodes if (node[1] + 1) << node[0] <= size]
    level, index = data.draw(st.sampled_from(places))
    assert fetch_from(tile, size)(level, index) == TREE.nodes[level, index]


@quick
@given(counts, st.integers(0, 63) | st.just("entries"), st.integers(1, 256))
def test_tile_paths_go_both_ways(n: int, level: Any, width: int) -> None:
    assert parse_tile_path(tile_path(level, n, width)) == (level, n, width)


@quick
@given(st.lists(st.binary(max_size=300), max_size=TILE_WIDTH))
def test_entry_bundles_go_both_ways(entries: list[bytes]) -> None:
    assert decode_entries(encode_entries(entries)) == entries


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """Draw a chain within its limits."""
    t0_ms, t1_ms = sorted((draw(counts), draw(counts)))
    size = draw(counts)
    place: dict[str, Any] = {"epoch": draw(counts), "boot": draw(counts), "seq": draw(counts), "prev": draw(hashes)}
    rest: dict[str, Any] = {"mono_ms": draw(counts), "t0_ms": t0_ms, "t1_ms": t1_ms, "rows": draw(counts)}
    anchor: dict[str, Any] = {"anchor_size": size, "anchor_root": draw(hashes) if size else ZERO_HASH}
    return Chain(**place, **rest, **anchor)


@quick
@given(names, names, st.sampled_from(KINDS), hashes, chains())
def test_what_was_sealed_reads_back(issuer: str, subject: str, kind: str, digest: bytes, fields: Chain) -> None:
    raw = seal(GATEWAY, issuer, subject, kind, digest, fields)
    back = read(raw)
    check(back, GATEWAY.public)
    assert back[:7] == (raw, GATEWAY.public.kid, issuer, subject, kind, digest, fields)


@quick
@given(st.lists(st.tuples(st.binary(max_size=300), st.none() | st.binary(max_size=300)), max_size=9))
def test_envelopes_go_both_ways(pairs: list[tuple[bytes, bytes | None]]) -> None:
    data = b"".join(encode_envelope(*pair) for pair in pairs)
    assert decode_envelopes(data, len(pairs), len(data)) == pairs


@quick
@given(names, counts, hashes)
def test_checkpoints_go_both_ways(origin: str, size: int, root: bytes) -> None:
    note = sign_note(checkpoint_text(origin, size, root), origin, LOG)
    assert read_checkpoint(note, [vkey(origin, LOG.public)]) == (origin, size, root)


integers = st.integers(-(2**64), 2**64 - 1)
leaves = (
    st.none() | st.booleans() | integers | st.floats(allow_nan=False) | st.binary(max_size=40) | st.text(max_size=40)
)
keys = integers | st.text(max_size=8) | st.binary(max_size=8)
items = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=20,
)


@quick
@given(items)
def test_cbor_goes_both_ways_and_a_peer_reads_it(item: Any) -> None:
    data = encode(item)
    assert repr(decode(data)) == repr(sort_maps(item))
    assert cbor2.loads(data) == item


@quick
@given(
    st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=30), inner), max_leaves=20)
)
def test_cbor_equals_a_peers_where_both_orders_agree(item: Any) -> None:
    assert encode(item) == cbor2.dumps(item, canonical=True)


@quick
@given(st.integers(0, 2**64 - 1), leaves)
def test_tags_are_kept_and_never_run(number: int, value: Any) -> None:
    assert repr(decode(encode(Tag(number, value)))) == repr(Tag(number, value))


@quick
@given(st.binary(max_size=200))
def test_bytes_that_decode_are_the_only_form_of_their_item(data: bytes) -> None:
    try:
        item = decode(data)
    except FormatError:
        return
    assert encode(item) == data


@quick
@given(st.floats())
def test_floats_keep_their_value_and_sign(value: float) -> None:
    back: Any = decode(encode(value))
    assert (math.isnan(back) and math.isnan(value)) or (back, math.copysign(1, back)) == (
        value,
        math.copysign(1, value),
    )


@quick
@given(st.binary(max_size=2000), st.integers(0, 2000))
def test_compressed_bytes_open_up_to_the_limit(data: bytes, limit: int) -> None:
    packed = deflate(data)
    if len(data) <= limit:
        assert inflate(packed, limit) == data
    else:
        with pytest.raises(FormatError):
            inflate(packed, limit)


def sort_maps(item: Any) -> Any:
    """Return the item with its maps in the order of their encoded keys, as decoding gives them."""
    if isinstance(item, dict):
        return {key: sort_maps(item[key]) for key in sorted(item, key=encode)}
    return [sort_maps(part) for part in item] if isinstance(item, list) else item
