"""Proofs and tiles of a log, read from its full tiles in the store and its unfinished ones in memory."""

from collections.abc import Callable, Sequence

from twin_server.log import Ledger
from twin_server.tree import Node, fold, split_hashes, tile_of, wanted
from twin_wire.errors import StoreError
from twin_wire.merkle import HASH_BYTES, Fetch, consistency_proof, inclusion_proof
from twin_wire.receipt import make_receipts
from twin_wire.tiles import TILE_HEIGHT, TILE_WIDTH, encode_entries


async def inclusion(ledger: Ledger, enterprise: str, index: int, size: int) -> list[bytes]:
    """Return the path of an entry to the root at `size`; ProofError unless index < size."""
    nodes = await _fetch(ledger, enterprise, size, lambda fetch: inclusion_proof(index, size, fetch))
    return inclusion_proof(index, size, lambda level, at: nodes[level, at])


async def inclusions(ledger: Ledger, enterprise: str, indices: Sequence[int], size: int) -> list[list[bytes]]:
    """Return the paths of several entries to the root at `size`; tiles are read once for all of them."""
    nodes = await _fetch(
        ledger, enterprise, size, lambda fetch: [inclusion_proof(index, size, fetch) for index in indices]
    )
    return [inclusion_proof(index, size, lambda level, at: nodes[level, at]) for index in indices]


async def consistency(ledger: Ledger, enterprise: str, size1: int, size2: int) -> list[bytes]:
    """Return the proof from one size to a later one; ProofError unless 0 < size1 <= size2."""
    nodes = await _fetch(ledger, enterprise, size2, lambda fetch: consistency_proof(size1, size2, fetch))
    return consistency_proof(size1, size2, lambda level, at: nodes[level, at])


async def receipt(ledger: Ledger, enterprise: str, index: int) -> bytes | None:
    """Return the receipt an entry got when it was committed, byte for byte; None for the genesis entry alone."""
    log = await ledger.open(enterprise)
    signed = await ledger.store.checkpoint_at(enterprise, index)
    if signed is None or signed.size < 2:
        return None
    path = await inclusion(ledger, enterprise, index, signed.size)
    time_s = signed.time_us // 1_000_000
    return make_receipts(log.key, log.origin, signed.size, signed.root, time_s, [(index, path)])[0]


async def tile(ledger: Ledger, enterprise: str, level: int, n: int, width: int) -> bytes | None:
    """Return the first `width` hashes of a tile, None when the log does not hold that many."""
    tree = (await ledger.open(enterprise, (n * TILE_WIDTH + width) << TILE_HEIGHT * level)).tree
    row = tree.partial(level, n)
    if row is not None and width <= len(row):
        return b"".join(row[:width])
    full = await ledger.store.tile(enterprise, level, n)
    return full[: width * HASH_BYTES] if full else None


async def bundle(ledger: Ledger, enterprise: str, n: int, width: int) -> bytes | None:
    """Return the first `width` entries of bundle `n`, None when the log does not hold that many."""
    entries = await ledger.store.entries(enterprise, n * TILE_WIDTH, width, bodies=False)
    if len(entries) < width:
        return None
    return encode_entries([entry.statement for entry in entries])


async def _fetch(ledger: Ledger, enterprise: str, size: int, proof: Callable[[Fetch], object]) -> dict[Node, bytes]:
    """Return every node a proof for `size` needs, from tiles and the unfinished ones in memory."""
    log = await ledger.open(enterprise, size)
    tree = log.tree.copy()
    tiles: dict[tuple[int, int], list[bytes]] = {}
    nodes: dict[Node, bytes] = {}
    for node in wanted(proof):
        level, n, place, count = tile_of(node)
        if (level, n) not in tiles:
            tiles[level, n] = tree.partial(level, n) or split_hashes(await _full(ledger, enterprise, level, n))
        nodes[node] = fold(tiles[level, n][place : place + count])
    return nodes


async def _full(ledger: Ledger, enterprise: str, level: int, n: int) -> bytes:
    hashes = await ledger.store.tile(enterprise, level, n)
    if hashes is None:
        raise StoreError(f"tile {level}/{n} of {enterprise!r} is missing")
    return hashes
