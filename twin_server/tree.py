"""The growing Merkle tree of one log in memory: its frontier and the unfinished tile of every level. Pure."""

from collections.abc import Callable, Sequence

from twin_wire.merkle import HASH_BYTES, Frontier, edge, node_hash
from twin_wire.tiles import TILE_HEIGHT, TILE_WIDTH

FullTile = tuple[int, int, bytes, bytes]  # level, n, its 256 hashes, the root over them
Node = tuple[int, int]  # level of the binary tree, index


class Tree:
    """What is needed to append: at most 255 hashes per level of tiles; a copy is cheap."""

    __slots__ = ("edges", "frontier")

    def __init__(self) -> None:
        self.frontier = Frontier()
        self.edges: list[list[bytes]] = []  # [level of tiles] hashes of its unfinished tile

    @classmethod
    def restore(cls, size: int, edges: Sequence[Sequence[bytes]]) -> "Tree":
        """Rebuild a tree of `size` from the unfinished tiles of all its levels; ProofError if they do not fit."""
        tree = cls()
        tree.edges = [list(row) for row in edges]
        tree.frontier = Frontier.restore(size, _frontier(size, edges))
        return tree

    @property
    def size(self) -> int:
        """Return the number of leaves."""
        return self.frontier.size

    def root(self) -> bytes:
        """Return the root over all leaves."""
        return self.frontier.root()

    def copy(self) -> "Tree":
        """Return a tree that grows apart from this one."""
        other = Tree()
        other.frontier = Frontier.restore(self.size, self.frontier.hashes)
        other.edges = [list(row) for row in self.edges]
        return other

    def append(self, leaf: bytes) -> list[FullTile]:
        """Add one leaf hash; return the tiles it filled."""
        full: list[FullTile] = []
        for level, index, node in self.frontier.append(leaf):
            tile_level, rest = divmod(level, TILE_HEIGHT)
            if rest:
                continue
            if tile_level == len(self.edges):
                self.edges.append([])
            row = self.edges[tile_level]
            row.append(node)
            if len(row) == TILE_WIDTH:
                full.append((tile_level, index // TILE_WIDTH, b"".join(row), fold(row)))
                row.clear()
        return full

    def partial(self, level: int, n: int) -> list[bytes] | None:
        """Return the hashes of tile `n` of a level if it is the unfinished one."""
        if level < len(self.edges) and n == (self.size >> TILE_HEIGHT * level) // TILE_WIDTH:
            return self.edges[level]
        return None


def levels(size: int) -> range:
    """Return the levels of tiles that a tree of this size has hashes on."""
    return range((size.bit_length() + TILE_HEIGHT - 1) // TILE_HEIGHT)


def fold(row: Sequence[bytes]) -> bytes:
    """Return the root over a power of two of hashes."""
    nodes = list(row)
    while len(nodes) > 1:
        nodes = [node_hash(nodes[at], nodes[at + 1]) for at in range(0, len(nodes), 2)]
    return nodes[0]


def split_hashes(tile: bytes) -> list[bytes]:
    """Return the hashes of a tile."""
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


def tile_of(node: Node) -> tuple[int, int, int, int]:
    """Return where a node of the binary tree is computed from: tile level, tile, first place, number of places."""
    level, index = node
    tile_level, up = divmod(level, TILE_HEIGHT)
    n, place = divmod(index << up, TILE_WIDTH)
    return tile_level, n, place, 1 << up


def wanted(proof: Callable[[Callable[[int, int], bytes]], object]) -> list[Node]:
    """Return the nodes a proof builder fetches, by letting it run on blanks."""
    nodes: list[Node] = []

    def fetch(level: int, index: int) -> bytes:
        nodes.append((level, index))
        return bytes(32)

    proof(fetch)
    return nodes


def _frontier(size: int, edges: Sequence[Sequence[bytes]]) -> list[bytes]:
    hashes = []
    for node in edge(size):
        tile_level, _, place, count = tile_of(node)
        hashes.append(fold(edges[tile_level][place : place + count]))
    return hashes
