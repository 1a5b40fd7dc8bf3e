"""The growing tree: the same roots as the plain construction, and the same tree again after a restart."""

import pytest

from twin_server.tree import FullTile, Tree, fold, levels, split_hashes, tile_of, wanted
from twin_wire.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from twin_wire.tiles import TILE_HEIGHT, TILE_WIDTH

SIZES = (1, 2, 3, 255, 256, 257, 511, 512, 1000)


def _leaves(count: int) -> list[bytes]:
    return [leaf_hash(n.to_bytes(4, "big")) for n in range(count)]


def _grown(count: int) -> tuple[Tree, dict[tuple[int, int], FullTile]]:
    tree, full = Tree(), {}
    for leaf in _leaves(count):
        for tile in tree.append(leaf):
            full[tile[0], tile[1]] = tile
    return tree, full


@pytest.mark.parametrize("size", SIZES)
def test_the_root_is_that_of_the_plain_construction(size: int) -> None:
    assert _grown(size)[0].root() == root_of(_leaves(size))


def test_an_empty_tree_has_the_empty_root() -> None:
    assert Tree().root() == EMPTY_ROOT
    assert Tree.restore(0, []).size == 0


@pytest.mark.parametrize("size", SIZES)
def test_a_tree_restored_from_its_unfinished_tiles_goes_on_as_before(size: int) -> None:
    tree, full = _grown(size)
    edges = []
    for level in levels(size):
        count = size >> TILE_HEIGHT * level
        first = count // TILE_WIDTH * TILE_WIDTH
        row = _leaves(size)[first:] if level == 0 else [full[level - 1, n][3] for n in range(first, count)]
        edges.append(row)
    again = Tree.restore(size, edges)
    for leaf in _leaves(300):
        assert again.append(leaf) == tree.append(leaf)
    assert again.root() == tree.root()


def test_a_full_tile_comes_with_the_root_over_it() -> None:
    _, full = _grown(600)
    assert sorted(full) == [(0, 0), (0, 1)]
    for _, _, hashes, root in full.values():
        assert len(hashes) == TILE_WIDTH * 32
        assert fold(split_hashes(hashes)) == root


def test_a_copy_grows_apart() -> None:
    tree, _ = _grown(10)
    root = tree.root()
    tree.copy().append(leaf_hash(b"x"))
    assert (tree.size, tree.root()) == (10, root)


def test_every_node_a_proof_wants_can_be_folded_from_a_tile() -> None:
    size = 777
    tree, full = _grown(size)

    def node(level: int, index: int) -> bytes:
        tile_level, n, place, count = tile_of((level, index))
        row = tree.partial(tile_level, n) or split_hashes(full[tile_level, n][2])
        return fold(row[place : place + count])

    for old in (1, 5, 256, 300, 776):
        nodes = {at: node(*at) for at in wanted(lambda fetch, old=old: consistency_proof(old, size, fetch))}
        proof = consistency_proof(old, size, lambda level, index, held=nodes: held[level, index])
        verify_consistency(old, size, proof, root_of(_leaves(old)), tree.root())
    nodes = {at: node(*at) for at in wanted(lambda fetch: inclusion_proof(5, size, fetch))}
    path = inclusion_proof(5, size, lambda level, index: nodes[level, index])
    verify_inclusion(_leaves(6)[5], 5, size, path, tree.root())
