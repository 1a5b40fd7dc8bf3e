"""The Merkle tree of RFC 9162 section 2.1: append, inclusion and consistency proofs, and their verification."""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from twin_wire.errors import ProofError

HASH_BYTES = 32
SIZE_MAX = 2**53 - 1
EMPTY_ROOT = sha256(b"").digest()

Fetch = Callable[[int, int], bytes]  # (level, index) -> hash of the full subtree over leaves index << level onwards
Node = tuple[int, int, bytes]  # level, index, hash


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of one entry."""
    return sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash over two neighbours."""
    return sha256(b"\1" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: one hash per full subtree, enough to append and to state the root."""

    __slots__ = ("_hashes", "size")

    def __init__(self) -> None:
        self.size = 0
        self._hashes: list[bytes] = []  # of the full subtrees, the largest (leftmost) first

    @classmethod
    def restore(cls, size: int, hashes: Iterable[bytes]) -> "Frontier":
        """Continue from a saved size and its `hashes`; ProofError if their number or length cannot be right."""
        frontier = cls()
        frontier.size = size
        frontier._hashes = list(hashes)
        if not 0 <= size <= SIZE_MAX or len(frontier._hashes) != size.bit_count():
            raise ProofError(f"{len(frontier._hashes)} hashes do not make a frontier of {size} leaves")
        _check_hashes(frontier._hashes)
        return frontier

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """What `restore` needs: the full subtrees of `edge(size)`, in that order."""
        return tuple(self._hashes)

    def append(self, leaf: bytes) -> list[Node]:
        """Add one leaf hash; return every subtree it completed, the leaf itself (level 0) first."""
        if len(leaf) != HASH_BYTES:
            raise ProofError("leaf hash is not 32 bytes")
        hashes, index, level = self._hashes, self.size, 0
        done: list[Node] = [(0, index, leaf)]
        while index & 1:
            leaf = sha256(b"\1" + hashes.pop() + leaf).digest()
            index >>= 1
            level += 1
            done.append((level, index, leaf))
        hashes.append(leaf)
        self.size += 1
        return done

    def root(self) -> bytes:
        """Return the root of the tree so far."""
        if not self._hashes:
            return EMPTY_ROOT
        root = self._hashes[-1]
        for left in reversed(self._hashes[:-1]):
            root = node_hash(left, root)
        return root


def edge(size: int) -> list[tuple[int, int]]:
    """Return (level, index) of the full subtrees that make up a tree of this size, the largest first."""
    places: list[tuple[int, int]] = []
    start = 0
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            places.append((level, start >> level))
            start += 1 << level
    return places


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes in order."""
    frontier = Frontier()
    for leaf in leaf_hashes:
        frontier.append(leaf)
    return frontier.root()


def inclusion_proof(index: int, size: int, fetch: Fetch) -> list[bytes]:
    """Return the path from leaf `index` to the root at `size`, leaf end first; ProofError outside the tree."""
    if not 0 <= index < size <= SIZE_MAX:
        raise ProofError(f"no entry {index} in a tree of {size}")
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_span(middle, high, fetch))
            high = middle
        else:
            path.append(_span(low, middle, fetch))
            low = middle
    path.reverse()
    return path


def consistency_proof(size1: int, size2: int, fetch: Fetch) -> list[bytes]:
    """Return the proof that the tree at `size1` is the beginning of the one at `size2`; ProofError at bad sizes."""
    _check_sizes(size1, size2)
    path: list[bytes] = []
    low, high = 0, size2
    while high != size1:
        middle = low + _split(high - low)
        if size1 <= middle:
            path.append(_span(middle, high, fetch))
            high = middle
        else:
            path.append(_span(low, middle, fetch))
            low = middle
    if low:
        path.append(_span(low, high, fetch))
    path.reverse()
    return path


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Return if leaf hash `leaf` is entry `index` of the tree (size, root); ProofError otherwise."""
    if root_from_inclusion(leaf, index, size, proof) != root:
        raise ProofError(f"entry {index} is not in this tree of {size}")


def verify_consistency(size1: int, size2: int, proof: Sequence[bytes], root1: bytes, root2: bytes) -> None:
    """Return if tree (size2, root2) begins with tree (size1, root1); ProofError otherwise."""
    if root_from_consistency(size1, size2, proof, root1) != root2:
        raise ProofError(f"the tree of {size2} does not continue the one of {size1}")


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Return the root that an inclusion proof leads to (RFC 9162 2.1.3.2); ProofError if it has not the right shape."""
    if not 0 <= index < size <= SIZE_MAX:
        raise ProofError(f"no entry {index} in a tree of {size}")
    _check_hashes((leaf, *proof))
    at, last, root = index, size - 1, leaf
    for step in proof:
        if not last:
            raise ProofError("inclusion proof too long")
        if at & 1 or at == last:
            root = sha256(b"\1" + step + root).digest()
            while at and not at & 1:
                at >>= 1
                last >>= 1
        else:
            root = sha256(b"\1" + root + step).digest()
        at >>= 1
        last >>= 1
    if last:
        raise ProofError("inclusion proof too short")
    return root


def root_from_consistency(size1: int, size2: int, proof: Sequence[bytes], root1: bytes) -> bytes:
    """Return the root at `size2` that the proof leads to from (size1, root1) (RFC 9162 2.1.4.2); ProofError if none."""
    _check_sizes(size1, size2)
    _check_hashes((root1, *proof))
    if size1 == size2:
        if proof:
            raise ProofError("consistency proof between equal sizes is not empty")
        return root1
    path = list(proof) if size1 & (size1 - 1) else [root1, *proof]
    if not path:
        raise ProofError("consistency proof too short")
    at, last = size1 - 1, size2 - 1
    while at & 1:
        at >>= 1
        last >>= 1
    old = new = path[0]
    for step in path[1:]:
        if not last:
            raise ProofError("consistency proof too long")
        if at & 1 or at == last:
            old = node_hash(step, old)
            new = node_hash(step, new)
            while at and not at & 1:
                at >>= 1
                last >>= 1
        else:
            new = node_hash(new, step)
        at >>= 1
        last >>= 1
    if last:
        raise ProofError("consistency proof too short")
    if old != root1:
        raise ProofError(f"the tree of {size2} does not continue the one of {size1}")
    return new


def _split(count: int) -> int:
    """Return the largest power of two below `count`, which is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)


def _span(low: int, high: int, fetch: Fetch) -> bytes:
    """Hash the leaves from `low` to `high`, where `low` is a multiple of the power of two at or above the count."""
    root = b""
    while count := high - low:
        level = (count & -count).bit_length() - 1
        high -= 1 << level
        left = fetch(level, high >> level)
        root = node_hash(left, root) if root else left
    return root


def _check_sizes(size1: int, size2: int) -> None:
    if not 0 < size1 <= size2 <= SIZE_MAX:
        raise ProofError(f"no consistency between trees of {size1} and {size2}")


def _check_hashes(hashes: Sequence[bytes]) -> None:
    for item in hashes:
        if len(item) != HASH_BYTES:
            raise ProofError("hash is not 32 bytes")
