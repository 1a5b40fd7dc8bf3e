"""The default store: one folder with system.db, and one SQLite file (and one of people) per enterprise."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from twin_server.store import (
    OnCommit,
    Transaction,
    sqlite_accounts,
    sqlite_people,
    sqlite_read,
    sqlite_schema,
    sqlite_shelves,
)
from twin_server.store.rows import (
    Acknowledgement,
    Aggregates,
    Arrivals,
    Audit,
    Chain,
    Checkpoint,
    Enterprise,
    Gateway,
    Person,
    Session,
    StoredBatch,
    StoredDocument,
    StoredEvent,
    Token,
    User,
    Voucher,
)
from twin_server.store.shelves import Numbers
from twin_server.store.sqlite_file import File
from twin_server.store.sqlite_write import SqliteTransaction, put_audit
from twin_wire.errors import ConfigError, StoreError

T = TypeVar("T")

READERS = 4
CHUNK = 128  # entries read at once while iterating
SHARED = False
ENTERPRISE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")


def open_store(rest: str, options: Mapping[str, str]) -> "SqliteStore":
    """Open the folder named in the URL, made if need be; no options are known."""
    if options:
        raise ConfigError(f"the sqlite store knows no option {', '.join(options)}")
    folder = Path(rest)
    try:
        (folder / "enterprises").mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as cause:
        raise StoreError(f"cannot use {folder}: {cause}") from cause
    return SqliteStore(folder)


class SqliteStore:
    """See `store.Store`. Files are opened on first use; every method belongs to the event loop."""

    shared = SHARED

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._readers = ThreadPoolExecutor(READERS, "read")
        self._system = File(folder / "system.db", sqlite_schema.SYSTEM, self._readers)
        self._files: dict[str, File] = {}
        self._people_files: dict[str, File] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._numbers: dict[str, dict[str, Numbers]] = {}  # of points, by enterprise and gateway, as committed
        self._listeners: list[OnCommit] = []
        self._commits: set[asyncio.Task[Any]] = set()

    # -- writing

    async def write(self, enterprise: str, work: Callable[[Transaction], T]) -> T:
        """Run `work` in one durable transaction; a caller that gives up does not stop it or its `on_commit`."""
        task = asyncio.ensure_future(self._commit(enterprise, work))
        self._commits.add(task)
        task.add_done_callback(self._commits.discard)
        return await asyncio.shield(task)

    async def _commit(self, enterprise: str, work: Callable[[Transaction], T]) -> T:
        file = await self._file(enterprise)

        numbers = self._numbers.setdefault(enterprise, {})

        def run(db: Any) -> tuple[T, SqliteTransaction]:
            transaction = SqliteTransaction(db, enterprise, numbers)
            result = work(transaction)
            transaction.finish()
            return result, transaction

        result, done = await file.write(run)
        numbers |= done.numbers
        appended = done.appended
        if appended:
            for listener in self._listeners:
                listener(enterprise, appended)
        return result

    def subscribe(self, on_commit: OnCommit) -> None:
        """Call `on_commit` on the event loop after every commit that appended entries."""
        self._listeners.append(on_commit)

    async def audit(self, enterprise: str, row: Audit) -> None:
        """Keep an audit row; enterprise "" is the server itself."""
        file = await self._file(enterprise) if enterprise else self._system
        await file.write(lambda db: put_audit(db, enterprise, row))

    async def close(self) -> None:
        """Finish the writes under way and close."""
        if self._commits:
            await asyncio.wait(self._commits)
        for file in (*self._files.values(), *self._people_files.values(), self._system):
            await file.close()
        self._readers.shutdown()

    # -- files

    async def _file(self, enterprise: str) -> File:
        if enterprise not in self._files:
            await self._open(enterprise)
        return self._files[enterprise]

    async def _people(self, enterprise: str) -> File:
        if enterprise not in self._people_files:
            await self._open(enterprise)
        return self._people_files[enterprise]

    async def _open(self, enterprise: str) -> None:
        known = await self._system.read(sqlite_accounts.enterprises)
        if enterprise not in {row.id for row in known}:
            raise StoreError(f"no enterprise {enterprise!r} in {self.folder}")
        async with self._opening.setdefault(enterprise, asyncio.Lock()):
            if enterprise not in self._files:
                await asyncio.to_thread(self._open_files, enterprise)

    def _open_files(self, enterprise: str) -> None:
        folder = self.folder / "enterprises"
        people = folder / f"{enterprise}.people.db"
        self._people_files[enterprise] = File(people, sqlite_schema.PEOPLE, self._readers, sqlite_schema.PEOPLE_PRAGMAS)
        self._files[enterprise] = File(folder / f"{enterprise}.db", sqlite_schema.ENTERPRISE, self._readers)

    async def _read(self, query: Callable[..., T], enterprise: str, *arguments: object) -> T:
        file = await self._file(enterprise)
        return await file.read(lambda db: query(db, enterprise, *arguments))

    # -- the log

    async def size(self, enterprise: str) -> int:
        """Return the number of committed entries."""
        return await self._read(sqlite_read.size, enterprise)

    async def entry(self, enterprise: str, index: int) -> StoredBatch | None:
        """Return one entry with its body."""
        return await self._read(sqlite_read.entry, enterprise, index)

    async def entries(
        self, enterprise: str, since_index: int, limit: int, without: str = "", bodies: bool = True
    ) -> list[StoredBatch]:
        """Return entries with index >= since_index in log order, those of kind `without` left out."""
        return await self._read(sqlite_read.entries, enterprise, since_index, limit, without, bodies)

    async def find(self, enterprise: str, gateway: str, epoch: int, seq: int) -> StoredBatch | None:
        """Return the undisputed entry with this number."""
        return await self._read(sqlite_read.find, enterprise, gateway, epoch, seq)

    async def tile(self, enterprise: str, level: int, n: int) -> bytes | None:
        """Return one full tile."""
        return await self._read(sqlite_read.tile, enterprise, level, n)

    async def tile_roots(self, enterprise: str, level: int, n_from: int, n_to: int) -> list[bytes]:
        """Return the roots of full tiles [n_from, n_to)."""
        return await self._read(sqlite_read.tile_roots, enterprise, level, n_from, n_to)

    async def checkpoint_at(self, enterprise: str, index: int) -> Checkpoint | None:
        """Return the first signed size that covers an entry."""
        return await self._read(sqlite_read.checkpoint_at, enterprise, index)

    async def checkpoints(self, enterprise: str, from_size: int, limit: int) -> list[Checkpoint]:
        """Return signed sizes >= from_size, rising."""
        return await self._read(sqlite_read.checkpoints, enterprise, from_size, limit)

    async def body(self, enterprise: str, digest: bytes) -> bytes | None:
        """Return a body by its SHA-256."""
        return await self._read(sqlite_read.body, enterprise, digest)

    # -- history

    async def batches(
        self, enterprise: str, from_us: int, to_us: int, gateway: str = "", kind: str = "data"
    ) -> AsyncIterator[StoredBatch]:
        """Yield readable, undisputed entries that touch [from_us, to_us), slot after slot of event time."""
        last = sqlite_read.slot_of(to_us - 1)
        first = sqlite_read.slot_of(from_us)
        slot: int | None = first
        astride: set[int] = set()  # entries over several slots, already given
        while (slot := await self._read(sqlite_read.next_slot, enterprise, slot)) is not None and slot <= last:
            indices = await self._read(sqlite_read.slot_indices, enterprise, slot, from_us, to_us, gateway, kind)
            for at in range(0, len(indices), CHUNK):
                wanted = [index for index in indices[at : at + CHUNK] if index not in astride]
                for batch in await self._read(sqlite_read.some, enterprise, wanted):
                    if batch.t1_us // sqlite_schema.SLOT_US > max(slot, first):
                        astride.add(batch.index)
                    yield batch
            slot += 1

    async def numbered(self, enterprise: str, gateway: str, epoch: int, first: int, last: int) -> list[int]:
        """Return the log indices of a gateway's undisputed statements numbered first to last, by number."""
        return await self._read(sqlite_read.numbered, enterprise, gateway, epoch, first, last)

    async def latest(self, enterprise: str, gateway: str, before_us: int) -> StoredBatch | None:
        """Return the data batch with the greatest last event time below `before_us`."""
        return await self._read(sqlite_read.latest, enterprise, gateway, before_us)

    async def aggregates(
        self, enterprise: str, gateway: str, point: str, level_us: int, from_us: int, to_us: int
    ) -> Aggregates:
        """Return one point's buckets that begin in [from_us, to_us); level_us is one of LEVELS_US."""
        return await self._read(sqlite_shelves.read, enterprise, gateway, point, level_us, from_us, to_us)

    async def arrivals(self, enterprise: str, from_us: int, to_us: int) -> list[Arrivals]:
        """Return arrival counts per gateway and minute of event time in [from_us, to_us)."""
        return await self._read(sqlite_read.arrivals, enterprise, from_us, to_us)

    async def gateways(self, enterprise: str) -> list[Gateway]:
        """Return all gateways of an enterprise."""
        return await self._read(sqlite_read.gateways, enterprise)

    async def chains(self, enterprise: str) -> list[Chain]:
        """Return every epoch of every gateway, with its key."""
        return await self._read(sqlite_read.chains, enterprise)

    async def documents(self, enterprise: str, kind: str, gateway: str = "") -> list[StoredDocument]:
        """Return all versions of "manifest" or "structure", oldest first by valid_from_us."""
        return await self._read(sqlite_read.documents, enterprise, kind, gateway)

    async def document(self, enterprise: str, prefix: bytes) -> StoredDocument | None:
        """Return the version whose digest begins with these (8 to 32) bytes."""
        return await self._read(sqlite_read.document_by_prefix, enterprise, prefix)

    async def events(
        self, enterprise: str, from_us: int = 0, to_us: int = 1 << 62, active: bool = False
    ) -> list[StoredEvent]:
        """Return conditions that touch [from_us, to_us), newest begin first; only those without end if `active`."""
        return await self._read(sqlite_read.events, enterprise, from_us, to_us, active)

    async def acknowledgements(self, enterprise: str, from_us: int = 0, to_us: int = 1 << 62) -> list[Acknowledgement]:
        """Return acknowledgements of conditions that begin in [from_us, to_us), oldest first."""
        return await self._read(sqlite_read.acknowledgements, enterprise, from_us, to_us)

    async def note(self, enterprise: str, name: str) -> bytes | None:
        """Return a small named value."""
        return await self._read(sqlite_read.note, enterprise, name)

    async def audits(self, enterprise: str, from_us: int, to_us: int) -> list[Audit]:
        """Return audit rows with from_us <= at_us < to_us, oldest first."""
        file = await self._file(enterprise) if enterprise else self._system
        return await file.read(lambda db: sqlite_read.audits(db, enterprise, from_us, to_us))

    # -- people

    async def people(self, enterprise: str) -> list[Person]:
        """Return all rows."""
        file = await self._people(enterprise)
        return await file.read(lambda db: sqlite_people.people(db, enterprise))

    async def person(self, enterprise: str, tag: str) -> Person | None:
        """Return one row."""
        file = await self._people(enterprise)
        return await file.read(lambda db: sqlite_people.person(db, enterprise, tag))

    async def put_person(self, enterprise: str, person: Person) -> None:
        """Insert or replace one row."""
        file = await self._people(enterprise)
        await file.write(lambda db: sqlite_people.put_person(db, enterprise, person))

    async def erase_person(self, enterprise: str, tag: str) -> bool:
        """Erase one row so that no byte of it stays in any file; return whether there was one."""
        file = await self._people(enterprise)
        found = await file.write(lambda db: sqlite_people.delete_person(db, enterprise, tag))
        await file.alone(sqlite_people.vacuum)
        return found

    # -- accounts

    async def add_enterprise(self, enterprise: Enterprise) -> None:
        """Add an enterprise and its empty log; ConfigError when the id is taken or not usable."""
        if not ENTERPRISE_ID.fullmatch(enterprise.id):
            raise ConfigError(f"{enterprise.id!r} is no enterprise id", "up to 48 of a-z, 0-9 and -, not first a -")
        await self._system.write(lambda db: sqlite_accounts.add_enterprise(db, enterprise))

    async def enterprises(self) -> list[Enterprise]:
        """Return all enterprises by id."""
        return await self._system.read(sqlite_accounts.enterprises)

    async def owner(self, gateway: str) -> str | None:
        """Return the enterprise a gateway belongs to."""
        return await self._system.read(lambda db: sqlite_accounts.owner(db, gateway))

    async def put_voucher(self, voucher: Voucher) -> None:
        """Keep a voucher and claim the gateway; ConfigError when it belongs to another enterprise."""
        await self._system.write(lambda db: sqlite_accounts.put_voucher(db, voucher))

    async def voucher(self, gateway: str) -> Voucher | None:
        """Return the newest voucher of a gateway."""
        return await self._system.read(lambda db: sqlite_accounts.voucher(db, gateway))

    async def put_user(self, user: User) -> None:
        """Insert or replace a user by id; ConfigError when the name belongs to another."""
        await self._system.write(lambda db: sqlite_accounts.put_user(db, user))

    async def users(self) -> list[User]:
        """Return all users by name."""
        return await self._system.read(sqlite_accounts.users)

    async def delete_user(self, user: str) -> None:
        """Delete a user and its sessions."""
        await self._system.write(lambda db: sqlite_accounts.delete_user(db, user))

    async def put_session(self, session: Session, now_us: int) -> None:
        """Keep a session, drop expired ones."""
        await self._system.write(lambda db: sqlite_accounts.put_session(db, session, now_us))

    async def session(self, cookie_hash: bytes) -> Session | None:
        """Return a session by the hash of its cookie."""
        return await self._system.read(lambda db: sqlite_accounts.session(db, cookie_hash))

    async def delete_session(self, cookie_hash: bytes) -> None:
        """Delete a session."""
        await self._system.write(lambda db: sqlite_accounts.delete_session(db, cookie_hash))

    async def put_token(self, token: Token) -> None:
        """Insert or replace a token."""
        await self._system.write(lambda db: sqlite_accounts.put_token(db, token))

    async def tokens(self) -> list[Token]:
        """Return all tokens by name."""
        return await self._system.read(sqlite_accounts.tokens)

    async def delete_token(self, token: str) -> None:
        """Delete a token."""
        await self._system.write(lambda db: sqlite_accounts.delete_token(db, token))
