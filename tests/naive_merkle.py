"""The Merkle tree as RFC 9162 section 2.1 writes it down: recursive, slow, obvious."""

from hashlib import sha256


def _k(n: int) -> int:
    """Return the largest power of two smaller than n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def tree_hash(entries: list[bytes]) -> bytes:
    """Return MTH(D[n]) over entries (not leaf hashes)."""
    n = len(entries)
    if n == 0:
        return sha256(b"").digest()
    if n == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = _k(n)
    return sha256(b"\x01" + tree_hash(entries[:k]) + tree_hash(entries[k:])).digest()


def path(m: int, entries: list[bytes]) -> list[bytes]:
    """Return PATH(m, D[n]), the inclusion proof of entry m."""
    n = len(entries)
    if n == 1:
        return []
    k = _k(n)
    if m < k:
        return [*path(m, entries[:k]), tree_hash(entries[k:])]
    return [*path(m - k, entries[k:]), tree_hash(entries[:k])]


def proof(m: int, entries: list[bytes]) -> list[bytes]:
    """Return PROOF(m, D[n]), the consistency proof from size m, 0 < m <= n."""
    return _subproof(m, entries, True)


def _subproof(m: int, entries: list[bytes], whole: bool) -> list[bytes]:
    n = len(entries)
    if m == n:
        return [] if whole else [tree_hash(entries)]
    k = _k(n)
    if m <= k:
        return [*_subproof(m, entries[:k], whole), tree_hash(entries[k:])]
    return [*_subproof(m - k, entries[k:], False), tree_hash(entries[:k])]
