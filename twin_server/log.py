"""One Merkle log per enterprise: group commit, one signature per group, receipts, proofs, the server's own statements.

Life of an entry: a job runs inside the store's transaction and appends through an `Appender`; all jobs that waited
share one commit; the new size is kept, the root signed once, and every entry's receipt is cut before the commit, but
handed out only after it.
"""

import asyncio
import json
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from twin_server.context import Clock
from twin_server.keys import load_key, make_key
from twin_server.store import Store, Transaction
from twin_server.store.rows import Checkpoint, Enterprise, StoredBatch
from twin_server.tree import Node, Tree, fold, levels, split_hashes, tile_of
from twin_wire.errors import ConfigError, StoreError, UplinkError
from twin_wire.keys import SigningKey
from twin_wire.merkle import inclusion_proof, leaf_hash
from twin_wire.note import checkpoint_text, sign_note, vkey
from twin_wire.receipt import make_receipts
from twin_wire.records import encode_record
from twin_wire.statement import ZERO_HASH, Chain, seal, statement_hash
from twin_wire.tiles import TILE_HEIGHT, TILE_WIDTH

T = TypeVar("T")
Receipts = Mapping[int, bytes]  # by index

GROUP_MAX = 256  # jobs in one commit
OTHERS_AT_ONCE = 1_024  # entries of other processes read at once
SERVER_EPOCH = 0
_STARTED_NS = time.monotonic_ns()


class Appender:
    """The write side of one group commit; used in the writer's thread by one job after the other."""

    def __init__(self, tx: Transaction, tree: Tree, log: "EnterpriseLog", now_us: int) -> None:
        self.tx = tx
        self.now_us = now_us
        self.log = log
        self._tree = tree
        self.indices: list[int] = []

    def append(self, batch: StoredBatch) -> int:
        """Add one entry and return its index; what `batch` says of index and time of receipt is replaced."""
        index = self._tree.size
        for level, n, hashes, root in self._tree.append(leaf_hash(batch.statement)):
            self.tx.put_tile(level, n, hashes, root)
        self.tx.append(batch._replace(index=index, received_us=self.now_us))
        self.indices.append(index)
        return index

    def state(self, kind: str, record: Mapping[str, object]) -> int:
        """Append a statement of the server itself, signed by the log's key in its own chain; return its index."""
        log, body = self.log, encode_record(record)
        saved = self.tx.note("chain")
        last: dict[str, Any] = (
            json.loads(saved) if saved else {"boot": -1, "seq": -1, "prev": ZERO_HASH.hex(), "process": ""}
        )
        boot = last["boot"] if last["process"] == log.process else last["boot"] + 1
        size, now_ms = self._tree.size, self.now_us // 1000
        chain = Chain(
            epoch=SERVER_EPOCH,
            boot=boot,
            seq=last["seq"] + 1,
            prev=bytes.fromhex(last["prev"]),
            mono_ms=(time.monotonic_ns() - _STARTED_NS) // 1_000_000,
            t0_ms=now_ms,
            t1_ms=now_ms,
            rows=0,
            anchor_size=size,
            anchor_root=self._tree.root() if size else ZERO_HASH,
        )
        digest = sha256(body).digest()
        raw = seal(log.key, log.origin, log.origin, kind, digest, chain)
        mark = {"boot": boot, "seq": chain.seq, "prev": statement_hash(raw).hex(), "process": log.process}
        self.tx.put_note("chain", json.dumps(mark).encode())
        times = (self.now_us, self.now_us, self.now_us)
        return self.append(
            StoredBatch(0, kind, log.origin, SERVER_EPOCH, chain.seq, *times, 0, False, True, digest, raw, body)
        )

    def seal_group(self) -> Receipts:
        """Keep the new size and cut a receipt for every entry of the group; the genesis entry alone has none."""
        size, root = self._tree.size, self._tree.root()
        self.tx.put_checkpoint(Checkpoint(size, root, self.now_us))
        if size < 2:
            return {}
        memo: dict[Node, bytes] = {}

        def fetch(level: int, index: int) -> bytes:
            node = (level, index)
            if node not in memo:
                memo[node] = self._node(node)
            return memo[node]

        log = self.log
        proofs = [(index, inclusion_proof(index, size, fetch)) for index in self.indices]
        receipts = make_receipts(log.key, log.origin, size, root, self.now_us // 1_000_000, proofs)
        return dict(zip(self.indices, receipts, strict=True))

    def _node(self, node: Node) -> bytes:
        level, n, place, count = tile_of(node)
        row = self._tree.partial(level, n)
        if row is None:
            hashes = self.tx.tile(level, n)
            if hashes is None:
                raise StoreError(f"tile {level}/{n} of {self.log.origin} is missing")
            row = split_hashes(hashes)
        return fold(row[place : place + count])


Job = Callable[[Appender], T]


class Waiting(NamedTuple):
    """A job in the queue and who waits for it."""

    job: Job[Any]
    done: asyncio.Future[tuple[Any, Receipts]]


class EnterpriseLog:
    """One open log; everything here belongs to the event loop, the appender's copy of the tree to the writer."""

    def __init__(self, row: Enterprise, key: SigningKey, history_id: str, tree: Tree, last: Checkpoint | None) -> None:
        self.row = row
        self.key = key
        self.history_id = history_id
        self.tree = tree
        self.last = last or Checkpoint(0, tree.root(), 0)
        self.waiting: deque[Waiting] = deque()
        self.runner: asyncio.Task[None] | None = None
        self.process = uuid.uuid4().hex  # tells this process's boot from the last one's
        self._note: tuple[int, str] = (-1, "")

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.row.origin

    def note(self) -> str:
        """Return the signed checkpoint of the committed size."""
        if self._note[0] != self.last.size:
            text = checkpoint_text(self.origin, self.last.size, self.last.root)
            self._note = (self.last.size, sign_note(text, self.origin, self.key))
        return self._note[1]


class Ledger:
    """All logs of the server."""

    def __init__(self, store: Store, keys: Path, clock: Clock) -> None:
        self.store = store
        self.keys = keys
        self.clock = clock
        self._logs: dict[str, EnterpriseLog] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._seen: dict[str, int] = {}  # sizes that other processes have reached

    async def create(self, enterprise: str, name: str, simulated: bool, origin: str) -> Enterprise:
        """Make the key and the row of a new enterprise; ConfigError when the id is taken. `open` begins its log."""
        if enterprise in {row.id for row in await self.store.enterprises()}:
            raise ConfigError(f"an enterprise {enterprise!r} is here already")
        key = make_key(self.keys / f"{enterprise}.key")
        row = Enterprise(enterprise, name, simulated, origin, vkey(origin, key.public), self.clock())
        await self.store.add_enterprise(row)
        return row

    def follow(self) -> None:
        """Keep up from now on with what other processes append to a shared store."""

        def seen(enterprise: str, entries: list[StoredBatch]) -> None:
            self._seen[enterprise] = entries[-1].index + 1

        if self.store.shared:
            self.store.subscribe(seen)

    async def open(self, enterprise: str, at_least: int = 0) -> EnterpriseLog:
        """Return the log, read back and checked against its last signed size on first use.

        `at_least` is a size that somebody has already seen: another process may have answered him.
        """
        log = await self._open(enterprise)
        if self.store.shared and log.tree.size < max(at_least, self._seen.get(enterprise, 0)):
            await self._refresh(enterprise, log)
        return log

    async def _open(self, enterprise: str) -> EnterpriseLog:
        async with self._opening.setdefault(enterprise, asyncio.Lock()):
            if enterprise not in self._logs:
                log, said = await self._load(enterprise)
                for kind, record in said:
                    await self._run(enterprise, log, _stating(kind, record, first=kind == "genesis"))
                if said:
                    await asyncio.to_thread(_write_mark, self._mark(enterprise), log.last.size)
                self._logs[enterprise] = log
            return self._logs[enterprise]

    async def run(self, enterprise: str, job: Job[T]) -> tuple[T, Receipts]:
        """Run a job in the next group commit; return its result and the receipts of the whole group."""
        return await self._run(enterprise, await self.open(enterprise), job)

    async def _run(self, enterprise: str, log: EnterpriseLog, job: Job[T]) -> tuple[T, Receipts]:
        done: asyncio.Future[tuple[T, Receipts]] = asyncio.get_running_loop().create_future()
        log.waiting.append(Waiting(job, done))
        if log.runner is None or log.runner.done():
            log.runner = asyncio.create_task(self._drain(enterprise, log))
        return await done

    async def append_statement(self, enterprise: str, kind: str, record: Mapping[str, object]) -> int:
        """Append a statement of the server itself and return its index."""
        index, _ = await self.run(enterprise, _stating(kind, record))
        return index

    async def declare_restored(self, enterprise: str) -> str:
        """Take a new history id, stated in the log, after the data came back from a backup; return it."""
        log = await self.open(enterprise)
        fresh = str(uuid.uuid4())
        record = {"size": log.last.size, "was": 0, "history_id": fresh}

        def job(appender: Appender) -> None:
            appender.tx.put_note("history_id", fresh.encode())
            appender.state("restore", record)

        await self.run(enterprise, job)
        log.history_id = fresh
        return fresh

    def sizes(self) -> dict[str, int]:
        """Return the committed size of every open log."""
        return {enterprise: log.last.size for enterprise, log in self._logs.items()}

    async def close(self) -> None:
        """Let every commit under way finish and remember the sizes."""
        runners = [log.runner for log in self._logs.values() if log.runner is not None]
        if runners:
            await asyncio.wait(runners)
        await self.remember_sizes()

    async def remember_sizes(self) -> None:
        """Note beside the keys how large each log is: a database that is smaller at the next start was restored."""
        for enterprise, log in list(self._logs.items()):
            await asyncio.to_thread(_write_mark, self._mark(enterprise), log.last.size)

    async def _drain(self, enterprise: str, log: EnterpriseLog) -> None:
        while log.waiting:
            group = [log.waiting.popleft() for _ in range(min(GROUP_MAX, len(log.waiting)))]
            task = asyncio.create_task(self._commit(enterprise, log, group))
            await asyncio.wait([task])
            fault = task.exception()
            if fault is not None and len(group) > 1 and not isinstance(fault, StoreError | UplinkError):
                log.waiting.extendleft(reversed(group[1:]))  # one bad job must not take the others along: one by one
                group = group[:1]
                task = asyncio.create_task(self._commit(enterprise, log, group))
                await asyncio.wait([task])
                fault = task.exception()
            for waiting in group:
                if fault is not None and not waiting.done.cancelled():
                    waiting.done.set_exception(fault)

    async def _commit(self, enterprise: str, log: EnterpriseLog, group: list[Waiting]) -> None:
        now_us = self.clock()

        def work(tx: Transaction) -> tuple[list[Any], Receipts, Tree]:
            tree = self._caught_up(tx, log)
            appender = Appender(tx, tree, log, now_us)
            results = [waiting.job(appender) for waiting in group]
            return results, appender.seal_group() if appender.indices else {}, tree

        results, receipts, tree = await self.store.write(enterprise, work)
        if not receipts and tree.size > max(log.tree.size, 1):
            await self._refresh(enterprise, log)  # nothing of ours is new, but others have appended
        elif tree.size > log.tree.size:
            log.tree, log.last = tree, Checkpoint(tree.size, tree.root(), now_us)
        for waiting, result in zip(group, results, strict=True):
            if not waiting.done.cancelled():
                waiting.done.set_result((result, receipts))

    def _caught_up(self, tx: Transaction, log: EnterpriseLog) -> Tree:
        """Return a copy of the tree with what other processes have appended; StoreError where there may be none."""
        tree, size = log.tree.copy(), tx.size()
        if tree.size > size or (tree.size < size and not self.store.shared):
            raise StoreError(f"another process writes the log {log.origin}", "run one server per data folder")
        for first in range(tree.size, size, OTHERS_AT_ONCE):
            for statement in tx.statements(first, OTHERS_AT_ONCE):
                tree.append(leaf_hash(statement))
        if tree.size != size:
            raise StoreError(f"entries of {log.origin} are missing")
        return tree

    async def _refresh(self, enterprise: str, log: EnterpriseLog) -> None:
        """Take over what other processes have appended."""
        tree, last = await self._tree(enterprise)
        if tree.size > log.tree.size and last is not None:
            log.tree, log.last = tree, last

    # -- reading back

    async def _load(self, enterprise: str) -> tuple[EnterpriseLog, list[tuple[str, dict[str, object]]]]:
        """Return the log as stored, and what it has to state before anything else is appended."""
        rows = {row.id: row for row in await self.store.enterprises()}
        if enterprise not in rows:
            raise StoreError(f"no enterprise {enterprise!r}")
        key = await asyncio.to_thread(load_key, self.keys / f"{enterprise}.key")
        if vkey(rows[enterprise].origin, key.public) != rows[enterprise].log_vkey:
            raise ConfigError(f"the key file of {enterprise!r} is not the log's key", "restore it from your backup")
        was = await asyncio.to_thread(_read_mark, self._mark(enterprise))  # first: others may append meanwhile
        tree, last = await self._tree(enterprise)
        size = tree.size
        history_id, behind = await self._history(enterprise, size, was)
        log = EnterpriseLog(rows[enterprise], key, history_id, tree, last)
        said: list[tuple[str, dict[str, object]]] = []
        if not size:
            said.append(("genesis", _genesis(rows[enterprise], history_id)))
        if behind:
            said.append(("restore", {"size": size, "was": behind, "history_id": history_id}))
        return log, said

    async def _tree(self, enterprise: str) -> tuple[Tree, Checkpoint | None]:
        """Return the tree as stored, checked against its signed size; StoreError when they differ."""
        size = await self.store.size(enterprise)
        edges = []
        for level in levels(size):
            count = size >> TILE_HEIGHT * level
            first = count // TILE_WIDTH * TILE_WIDTH
            if level == 0:
                entries = await self.store.entries(enterprise, first, size - first, bodies=False)
                edges.append([leaf_hash(entry.statement) for entry in entries])
            else:
                edges.append(await self.store.tile_roots(enterprise, level - 1, first, count))
        tree = Tree.restore(size, edges)
        last = await self.store.checkpoints(enterprise, size, 1)
        if size and (not last or last[0].root != tree.root()):
            raise StoreError(
                f"the log of {enterprise!r} does not match its last signed size", "run `twin-server verify`, restore it"
            )
        return tree, last[0] if last else None

    async def _history(self, enterprise: str, size: int, was: int) -> tuple[str, int]:
        """Return the history id, a new one when the data is older than it was; and the size it had before, or 0."""
        fresh = str(uuid.uuid4())

        def settle(tx: Transaction) -> tuple[str, int]:
            saved = tx.note("history_id")
            if saved and was <= size:
                return saved.decode(), 0
            tx.put_note("history_id", fresh.encode())
            return fresh, was if saved else 0

        return await self.store.write(enterprise, settle)

    def _mark(self, enterprise: str) -> Path:
        return self.keys / f"{enterprise}.size"


def _stating(kind: str, record: Mapping[str, object], first: bool = False) -> Job[int]:
    """Return the job that states something; the first entry of a log is left to another process that was faster."""
    return lambda appender: 0 if first and appender.tx.size() else appender.state(kind, record)


def _genesis(row: Enterprise, history_id: str) -> dict[str, object]:
    """Return the first entry's record: who begins the log, whether it is a simulation, under which rules and key."""
    policy = {"tree": "RFC 9162 SHA-256", "signature": "Ed25519", "enrolment": "voucher, one party only"}
    return {
        "version": 1,
        "enterprise": row.id,
        "name": row.name,
        "origin": row.origin,
        "simulated": row.simulated,
        "log_vkey": row.log_vkey,
        "history_id": history_id,
        "policy": policy,
    }


def _read_mark(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def _write_mark(path: Path, size: int) -> None:
    try:
        path.write_text(f"{size}\n")
    except OSError as cause:
        raise StoreError(f"cannot write {path}: {cause}") from cause
