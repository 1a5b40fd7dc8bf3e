"""The tree grows, proves and refuses as RFC 9162 says."""

from collections.abc import Callable
from hashlib import sha256

import pytest

from tests import naive_merkle
from tests.support.evidence import VECTORS, Log, vector
from tests.support.proof_cases import STRANGE, wrong_consistencies, wrong_inclusions
from twin_wire.errors import ProofError
from twin_wire.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    edge,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_from_consistency,
    root_of,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [bytes.fromhex(text) for text in VECTORS["rfc6962_leaves"]]
SIZES = range(1, 18)
LOG = Log([b"entry %d" % i for i in range(SIZES[-1])])


def test_the_roots_of_certificate_transparency_come_out() -> None:
    log = Log(LEAVES)
    assert EMPTY_ROOT == log.roots[0] == sha256(b"").digest()
    assert [root.hex() for root in log.roots[1:]] == VECTORS["rfc6962_roots_1_to_8"]
    assert root_of(map(leaf_hash, LEAVES)) == log.roots[8]
    assert root_of([]) == EMPTY_ROOT


def test_the_golden_tree_and_its_proofs_come_out() -> None:
    log = Log([b"genesis", vector("statement"), b"two", b"three", b"four"])
    assert log.nodes[0, 1] == vector("leaf_hash")
    assert (log.roots[3], log.roots[5]) == (vector("root3"), vector("root5"))
    assert [step.hex() for step in log.path(1, 5)] == VECTORS["inclusion_1_5"]
    assert [step.hex() for step in log.consistency(3, 5)] == VECTORS["consistency_3_5"]


def test_append_returns_every_subtree_it_completes() -> None:
    frontier = Frontier()
    done = [frontier.append(leaf_hash(b"%d" % i)) for i in range(4)]
    assert [[(level, index) for level, index, _ in nodes] for nodes in done] == [
        [(0, 0)],
        [(0, 1), (1, 0)],
        [(0, 2)],
        [(0, 3), (1, 1), (2, 0)],
    ]
    assert done[3][1][2] == node_hash(leaf_hash(b"2"), leaf_hash(b"3"))
    assert frontier.root() == done[3][2][2]
    assert frontier.size == 4


def test_a_restored_frontier_goes_on_as_if_nothing_had_happened() -> None:
    for size in range(SIZES[-1]):
        saved = [LOG.nodes[place] for place in edge(size)]
        frontier = Frontier.restore(size, saved)
        assert frontier.hashes == tuple(saved)
        assert frontier.root() == LOG.roots[size]
        frontier.append(LOG.nodes[0, size])
        assert frontier.root() == LOG.roots[size + 1]


def test_a_frontier_that_cannot_be_is_refused() -> None:
    for size, hashes in ((-1, []), (0, [STRANGE]), (2, []), (3, [STRANGE]), (1, [b""]), (2**53, [STRANGE])):
        with pytest.raises(ProofError):
            Frontier.restore(size, hashes)
    with pytest.raises(ProofError):
        Frontier().append(b"not a hash")


def test_proofs_equal_the_obvious_ones_and_verify() -> None:
    for size in SIZES:
        entries = LOG.entries[:size]
        assert LOG.roots[size] == naive_merkle.tree_hash(entries)
        for index in range(size):
            path = LOG.path(index, size)
            assert path == naive_merkle.path(index, entries)
            verify_inclusion(LOG.nodes[0, index], index, size, path, LOG.roots[size])
        for size1 in range(1, size + 1):
            proof = LOG.consistency(size1, size)
            assert proof == naive_merkle.proof(size1, entries)
            verify_consistency(size1, size, proof, LOG.roots[size1], LOG.roots[size])
            assert root_from_consistency(size1, size, proof, LOG.roots[size1]) == LOG.roots[size]


def test_every_damaged_inclusion_proof_is_refused(record_property: Callable[[str, object], None]) -> None:
    count = 0
    for size in SIZES:
        for index in range(size):
            for case in wrong_inclusions(LOG, index, size):
                count += 1
                with pytest.raises(ProofError):
                    verify_inclusion(*case[1:])
    assert count > 5000
    record_property("damaged inclusion proofs, none accepted", count)


def test_every_damaged_consistency_proof_is_refused(record_property: Callable[[str, object], None]) -> None:
    count = 0
    for size2 in SIZES:
        for size1 in range(1, size2 + 1):
            for case in wrong_consistencies(LOG, size1, size2):
                count += 1
                with pytest.raises(ProofError):
                    verify_consistency(*case[1:])
    assert count > 5000
    record_property("damaged consistency proofs, none accepted", count)


def test_size_zero_and_roots_of_other_lengths_prove_nothing() -> None:
    nothing = b"no root"
    for size1, size2, root in ((0, 0, EMPTY_ROOT), (0, 1, EMPTY_ROOT), (1, 1, nothing), (2, 1, STRANGE)):
        with pytest.raises(ProofError):
            verify_consistency(size1, size2, [], root, root)
    with pytest.raises(ProofError):
        verify_inclusion(nothing, 0, 1, [], nothing)


def test_proofs_of_wrong_length_are_called_so() -> None:
    inclusion, consistency = LOG.path(3, 11), LOG.consistency(3, 11)
    for path, words in ((inclusion[:-1], "too short"), ([*inclusion, STRANGE], "too long")):
        with pytest.raises(ProofError, match=words):
            verify_inclusion(LOG.nodes[0, 3], 3, 11, path, LOG.roots[11])
    for path, words in ((consistency[:-1], "too short"), ([*consistency, STRANGE], "too long"), ([], "too short")):
        with pytest.raises(ProofError, match=words):
            verify_consistency(3, 11, path, LOG.roots[3], LOG.roots[11])


def test_proofs_of_places_outside_the_tree_are_not_made() -> None:
    for index, size in ((-1, 3), (3, 3), (0, 0), (0, 2**53)):
        with pytest.raises(ProofError):
            inclusion_proof(index, size, LOG.fetch)
    for size1, size2 in ((0, 3), (-1, 3), (4, 3), (1, 2**53)):
        with pytest.raises(ProofError):
            consistency_proof(size1, size2, LOG.fetch)
