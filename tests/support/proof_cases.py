"""Wrong Merkle proofs: each kind of damage that public verifiers are tested with, at every place of small trees."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.support.evidence import Log

STRANGE = bytes.fromhex("5bc9e4c4f2fbfd2a5e9d6f1b5b2b8b5d7a1f0c3e9d8e7f6a5b4c3d2e1f00ff55")


class InclusionCase(NamedTuple):
    """Arguments of verify_inclusion, and what is wrong with them."""

    what: str
    leaf: bytes
    place: int
    size: int
    proof: list[bytes]
    root: bytes


class ConsistencyCase(NamedTuple):
    """Arguments of verify_consistency, and what is wrong with them."""

    what: str
    size1: int
    size2: int
    proof: list[bytes]
    root1: bytes
    root2: bytes


def wrong_inclusions(log: Log, index: int, size: int) -> Iterator[InclusionCase]:
    """Yield damaged versions of the inclusion proof of one entry."""
    good = InclusionCase("", log.nodes[0, index], index, size, log.path(index, size), log.roots[size])
    for place in {index - 1, index + 1, index ^ 2, size, 2**53} - {index}:
        yield good._replace(what=f"index {place}", place=place)
    for other in {size * 2, size // 2, 0, -1}:
        if other == size * 2 and _same_shape(index, size, other):
            continue  # a path of the larger tree may lead to the same root: what the signed size is for
        yield good._replace(what=f"size {other}", size=other)
    for leaf in (b"", STRANGE[:31], STRANGE, STRANGE + b"\0"):
        yield good._replace(what=f"leaf of {len(leaf)} bytes", leaf=leaf)
    for root in (b"", STRANGE, good.root[:31]):
        yield good._replace(what=f"root of {len(root)} bytes", root=root)
    for what, proof in _damaged(good.proof, (good.root, good.leaf)):
        yield good._replace(what=what, proof=proof)


def wrong_consistencies(log: Log, size1: int, size2: int) -> Iterator[ConsistencyCase]:
    """Yield damaged versions of the consistency proof between two sizes."""
    good = ConsistencyCase("", size1, size2, log.consistency(size1, size2), log.roots[size1], log.roots[size2])
    for other in {size1 - 1, size1 + 1, size1 ^ 2, 0, -1} - {size1}:
        yield good._replace(what=f"size1 {other}", size1=other)
    for other in {size2 // 2, 0, 2**53} - {size2}:
        yield good._replace(what=f"size2 {other}", size2=other)
    for root in (b"", STRANGE, good.root1[:31]):
        yield good._replace(what=f"root1 of {len(root)} bytes", root1=root)
        yield good._replace(what=f"root2 of {len(root)} bytes", root2=root)
    if size1 != size2:
        yield good._replace(what="roots swapped", root1=good.root2, root2=good.root1)
        yield good._replace(what="empty proof", proof=[])
    for what, proof in _damaged(good.proof, (good.root1, good.root2)):
        yield good._replace(what=what, proof=proof)


def _damaged(proof: Sequence[bytes], roots: Sequence[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    whole = list(proof)
    for extra in (b"", STRANGE, *roots, *whole[:1]):
        yield f"{len(extra)} bytes after", [*whole, extra]
        yield f"{len(extra)} bytes before", [extra, *whole]
    for at, step in enumerate(whole):
        yield f"step {at} removed", whole[:at] + whole[at + 1 :]
        yield f"step {at} cut", [*whole[:at], step[:31], *whole[at + 1 :]]
        yield f"step {at} flipped", [*whole[:at], bytes((step[0] ^ 16,)) + step[1:], *whole[at + 1 :]]
        yield f"step {at} doubled", [*whole[:at], step, *whole[at:]]
        if at:
            yield f"step {at} moved", [*whole[: at - 1], step, whole[at - 1], *whole[at + 1 :]]


def _same_shape(index: int, size: int, other: int) -> bool:
    """Tell whether two trees have inclusion paths of one length for an index (the verifier walks them alike or not)."""
    return _length(index, size) == _length(index, other)


def _length(index: int, size: int) -> int:
    inner = (index ^ (size - 1)).bit_length()
    return inner + (index >> inner).bit_count()
