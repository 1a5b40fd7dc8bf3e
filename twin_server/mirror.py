"""A regulator's own copy of an enterprise's log and bodies, checked as it grows; the folder is one `verify` can read.

Nothing is stored before it is proven to be part of the head the log signed; what contradicts the copy ends the mirror
and both signed heads are kept as evidence.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec

from twin_server.auditor import Auditor, Fault, Seen
from twin_server.sources import FolderSource, LogReader
from twin_server.store import Store, Transaction, open_store
from twin_server.store.rows import Checkpoint as CheckpointRow
from twin_server.store.rows import Enterprise, StoredBatch, StoredDocument
from twin_server.tree import Tree
from twin_wire.errors import ConfigError, FormatError, ProofError, UplinkError
from twin_wire.merkle import leaf_hash, verify_consistency
from twin_wire.note import Checkpoint, parse_vkey, read_checkpoint
from twin_wire.records import decode_record
from twin_wire.statement import check, read

ROUND_MAX = 4_096  # entries proven and stored at once
THREADS = 2
TIMEOUT_S = 60.0
HEAD_NOTE = "mirror_head"  # store note: the newest signed checkpoint that the copy agrees with

Say = Callable[[str], None]


class Round(NamedTuple):
    """What one look at the server brought."""

    size: int
    added: int
    faults: list[Fault]


class Mirror:
    """One copy; made by `open_mirror`, which has checked all that lies in the folder."""

    def __init__(self, folder: Path, store: Store, row: Enterprise, auditor: Auditor, tree: Tree) -> None:
        self._folder = folder
        self._store = store
        self._row = row
        self._auditor = auditor
        self._tree = tree

    @property
    def size(self) -> int:
        """Entries in the copy."""
        return self._tree.size

    async def look(self, log: LogReader) -> Round:
        """Take what is new; ProofError when the server's head does not continue the copy (both heads are kept)."""
        note = await log.checkpoint()
        head = read_checkpoint(note, [self._row.log_vkey])
        known, before = len(self._auditor.faults), self.size
        if head.size < self.size:
            raise self._contradiction(note, f"the log shows {head.size} entries, the copy holds {self.size}")
        while self.size < head.size:
            await self._take(log, note, head)
        if self._tree.size and self._tree.root() != head.root:
            raise self._contradiction(note, "the log signed another root for the size of the copy")
        await self._store.write(self._row.id, lambda tx: tx.put_note(HEAD_NOTE, note))
        return Round(self.size, self.size - before, self._auditor.faults[known:])

    async def _take(self, log: LogReader, note: bytes, head: Checkpoint) -> None:
        """Fetch, prove and store the next entries."""
        end = min(head.size, self.size + ROUND_MAX)
        chunk = await log.entries(self.size, end, head.size)
        tree = self._tree.copy()
        full = [tile for seen in chunk for tile in tree.append(leaf_hash(seen.raw))]
        try:
            proof = [] if end == head.size else await log.consistency(end, head.size)
            verify_consistency(end, head.size, proof, tree.root(), head.root)
        except FormatError:
            raise self._contradiction(note, f"entries {self.size} to {end - 1} are not in the signed log") from None
        await asyncio.to_thread(self._auditor.take, chunk)

        def work(tx: Transaction) -> None:
            for level, n, hashes, root in full:
                tx.put_tile(level, n, hashes, root)
            for seen in chunk:
                _store_entry(tx, seen)
            tx.put_checkpoint(CheckpointRow(end, tree.root(), 0))

        await self._store.write(self._row.id, work)
        self._tree = tree

    def _contradiction(self, note: bytes, text: str) -> ProofError:
        path = self._folder / f"contradiction-{self.size}.note"
        path.write_bytes(note)
        return ProofError(text, f"the head it showed is in {path}, the one before in the copy: keep both")

    async def close(self) -> None:
        """Close the copy."""
        await self._store.close()


async def open_mirror(
    folder: Path, enterprise: str, vkey: str, executor: ThreadPoolExecutor, say: Say, log: LogReader | None = None
) -> Mirror:
    """Open a copy, or begin one from `log`, and check all of it; ConfigError for another key, ProofError if changed."""
    store = open_store(f"sqlite:{folder}")
    try:
        rows = {row.id: row for row in await store.enterprises()}
        origin, public = parse_vkey(vkey)
        row = rows.get(enterprise)
        if row is None:
            if log is None:
                raise ConfigError(f"there is no copy of {enterprise!r} in {folder}")
            row = await _begin(log, enterprise, vkey)
            await store.add_enterprise(row)
        if row.log_vkey != vkey:
            raise ConfigError(f"the copy in {folder} is of a log with another key", f"its key is {row.log_vkey}")
        auditor, tree = Auditor(origin, public, executor), Tree()
        source = FolderSource(store, row)
        async for chunk in source.chunks():
            await asyncio.to_thread(auditor.take, chunk)
            for seen in chunk:
                tree.append(leaf_hash(seen.raw))
            say(f"checking the copy: {tree.size} of {source.size} entries")
        await source.check_heads(auditor)
        broken = [fault for fault in auditor.faults if fault.kind in ("root", "altered", "missing")]
        if broken:
            raise ProofError(f"the copy itself was changed: {broken[0].text}", "begin a new one in another folder")
        return Mirror(folder, store, row, auditor, tree)
    except BaseException:
        await store.close()
        raise


async def _begin(log: LogReader, enterprise: str, vkey: str) -> Enterprise:
    """Return the enterprise as the log's genesis entry has it, simulated or not."""
    head = read_checkpoint(await log.checkpoint(), [vkey])
    [genesis] = await log.entries(0, 1, head.size)
    statement = read(genesis.raw)
    check(statement, parse_vkey(vkey)[1])
    if statement.kind != "genesis" or genesis.body is None or sha256(genesis.body).digest() != statement.digest:
        raise ProofError("the log does not begin with its genesis entry")
    record = decode_record(genesis.body)
    name = str(record.get("name", enterprise))
    return Enterprise(enterprise, name, record.get("simulated") is not False, head.origin, vkey, 0)


async def run_mirror(url: str, enterprise: str, token: str, vkey: str, folder: Path, every_s: float, say: Say) -> None:
    """Mirror until cancelled, or once with `every_s` 0; ProofError ends it, a server that is away does not."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with ThreadPoolExecutor(THREADS, "mirror") as executor:
        async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(TIMEOUT_S)) as session:
            log = LogReader(session, url.rstrip("/"), enterprise)
            mirror = await open_mirror(folder, enterprise, vkey, executor, say, log)
            try:
                while True:
                    try:
                        _tell(await mirror.look(log), say)
                    except UplinkError as fault:
                        if not every_s:
                            raise
                        say(f"the server does not answer: {fault}")
                    if not every_s:
                        return
                    await asyncio.sleep(every_s)
            finally:
                await mirror.close()


def _tell(found: Round, say: Say) -> None:
    say(f"{found.size} entries, {found.added} new, {len(found.faults)} new faults")
    for fault in found.faults:
        place = f"entry {fault.index} {fault.gateway} {fault.epoch}/{fault.seq}"
        say(f"  {fault.kind}: {place}: {fault.text}")


async def pinned_key(url: str, enterprise: str, token: str) -> str:
    """Return the key that the server itself names; UplinkError. It is worth no more than the way it came."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(headers=headers) as session:
        data = await LogReader(session, url.rstrip("/"), enterprise).get("keys", 1 << 20)
    try:
        return str(msgspec.json.decode(data)["log_vkey"])
    except (msgspec.DecodeError, KeyError, TypeError) as cause:
        raise FormatError(f"{url}: no keys: {cause}") from cause


def _store_entry(tx: Transaction, seen: Seen) -> None:
    statement = read(seen.raw)
    chain = statement.chain
    taken = tx.statement(statement.subject, chain.epoch, chain.seq) is not None
    times = (chain.t0_ms * 1000, chain.t1_ms * 1000, 0)
    identity = (seen.index, statement.kind, statement.subject, chain.epoch, chain.seq)
    tx.append(StoredBatch(*identity, *times, chain.rows, taken, True, statement.digest, seen.raw, seen.body))
    if statement.kind in ("manifest", "structure") and seen.body is not None:
        place = (seen.index, statement.kind, statement.subject, statement.digest)
        tx.put_document(StoredDocument(*place, times[0], 0, seen.body))
