"""The store for many servers at once: one PostgreSQL database (or Citus) that any number of processes share.

A write locks the head row of its enterprise, so the writes of one log follow one another whichever process they come
from. `twin-server migrate URL` makes the tables.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar

import psycopg

from twin_server.store import OnCommit, Transaction, postgres_accounts, postgres_read, postgres_schema
from twin_server.store.postgres_listen import Herald
from twin_server.store.postgres_pool import Db, Pool
from twin_server.store.postgres_write import PostgresTransaction, put_audit
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
from twin_wire.errors import ConfigError, UplinkError

T = TypeVar("T")

CHUNK = 128  # entries read at once while iterating
SHARED = True
ENTERPRISE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")


def open_store(rest: str, options: Mapping[str, str]) -> "PostgresStore":
    """Open the database named in the URL; ConfigError when its tables are not those of this program."""
    if options:
        raise ConfigError(f"the postgresql store knows no option {', '.join(options)}")
    pool = Pool(f"postgresql:{rest}")
    try:
        with pool.connect(autocommit=True) as db:
            found = postgres_schema.version(db)
    except psycopg.Error as cause:
        raise UplinkError(f"cannot reach {pool.name}: {str(cause).strip()}") from cause
    if found != postgres_schema.VERSION:
        hint = "run `twin-server migrate URL`" if found < postgres_schema.VERSION else "update this program"
        raise ConfigError(f"{pool.name} has tables of version {found}, not {postgres_schema.VERSION}", hint)
    return PostgresStore(pool)


def migrate(rest: str, citus: bool) -> list[str]:
    """Make the tables, and distribute them if asked; return what was done, nothing when all was there."""
    pool = Pool(f"postgresql:{rest}")
    try:
        with pool.connect(autocommit=False) as db:
            return postgres_schema.migrate(db, citus)
    except psycopg.Error as cause:
        raise ConfigError(f"cannot make the tables in {pool.name}: {str(cause).strip()}") from cause


class PostgresStore:
    """See `store.Store`; every method belongs to the event loop."""

    shared = SHARED

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._herald = Herald(pool, self.entries)
        self._writing: dict[str, asyncio.Lock] = {}  # the writes of an enterprise in the order they were asked for
        self._numbers: dict[str, dict[str, Numbers]] = {}  # of points, by enterprise and gateway, as committed
        self._commits: set[asyncio.Task[Any]] = set()

    # -- writing

    async def write(self, enterprise: str, work: Callable[[Transaction], T]) -> T:
        """Run `work`, perhaps more than once, in one durable transaction; UplinkError: send the same again."""
        task = asyncio.ensure_future(self._commit(enterprise, work))
        self._commits.add(task)
        task.add_done_callback(self._commits.discard)
        return await asyncio.shield(task)

    async def _commit(self, enterprise: str, work: Callable[[Transaction], T]) -> T:
        numbers = self._numbers.setdefault(enterprise, {})

        def run(db: Db) -> tuple[T, PostgresTransaction]:
            transaction = PostgresTransaction(db, enterprise, numbers)
            result = work(transaction)
            transaction.finish()
            return result, transaction

        async with self._writing.setdefault(enterprise, asyncio.Lock()):
            result, done = await self._pool.write(run)
            numbers |= done.numbers
            if done.appended:
                await self._herald.committed(enterprise, done.appended)
        return result

    def subscribe(self, on_commit: OnCommit) -> None:
        """Call `on_commit` on the event loop after every commit that appended entries, of other processes too."""
        self._herald.subscribe(on_commit)

    async def audit(self, enterprise: str, row: Audit) -> None:
        """Keep an audit row; enterprise "" is the server itself."""
        await self._pool.write(lambda db: put_audit(db, enterprise, row))

    async def close(self) -> None:
        """Finish the writes under way and close."""
        if self._commits:
            await asyncio.wait(self._commits)
        await self._herald.close()
        await self._pool.close()

    async def _read(self, query: Callable[..., T], *arguments: object) -> T:
        return await self._pool.read(lambda db: query(db, *arguments))

    # -- the log

    async def size(self, enterprise: str) -> int:
        """Return the number of committed entries."""
        return await self._read(postgres_read.size, enterprise)

    async def entry(self, enterprise: str, index: int) -> StoredBatch | None:
        """Return one entry with its body."""
        return await self._read(postgres_read.entry, enterprise, index)

    async def entries(
        self, enterprise: str, since_index: int, limit: int, without: str = "", bodies: bool = True
    ) -> list[StoredBatch]:
        """Return entries with index >= since_index in log order, those of kind `without` left out."""
        return await self._read(postgres_read.entries, enterprise, since_index, limit, without, bodies)

    async def find(self, enterprise: str, gateway: str, epoch: int, seq: int) -> StoredBatch | None:
        """Return the undisputed entry with this number."""
        return await self._read(postgres_read.find, enterprise, gateway, epoch, seq)

    async def tile(self, enterprise: str, level: int, n: int) -> bytes | None:
        """Return one full tile."""
        return await self._read(postgres_read.tile, enterprise, level, n)

    async def tile_roots(self, enterprise: str, level: int, n_from: int, n_to: int) -> list[bytes]:
        """Return the roots of full tiles [n_from, n_to)."""
        return await self._read(postgres_read.tile_roots, enterprise, level, n_from, n_to)

    async def checkpoint_at(self, enterprise: str, index: int) -> Checkpoint | None:
        """Return the first signed size that covers an entry."""
        found = await self._read(postgres_read.checkpoints, enterprise, index + 1, 1)
        return found[0] if found else None

    async def checkpoints(self, enterprise: str, from_size: int, limit: int) -> list[Checkpoint]:
        """Return signed sizes >= from_size, rising."""
        return await self._read(postgres_read.checkpoints, enterprise, from_size, limit)

    async def body(self, enterprise: str, digest: bytes) -> bytes | None:
        """Return a body by its SHA-256."""
        return await self._read(postgres_read.body, enterprise, digest)

    # -- history

    async def batches(
        self, enterprise: str, from_us: int, to_us: int, gateway: str = "", kind: str = "data"
    ) -> AsyncIterator[StoredBatch]:
        """Yield readable, undisputed entries that touch [from_us, to_us), slot after slot of event time."""
        last = postgres_read.slot_of(to_us - 1)
        first = postgres_read.slot_of(from_us)
        slot: int | None = first
        astride: set[int] = set()  # entries over several slots, already given
        while (slot := await self._read(postgres_read.next_slot, enterprise, slot)) is not None and slot <= last:
            indices = await self._read(postgres_read.slot_indices, enterprise, slot, from_us, to_us, gateway, kind)
            for at in range(0, len(indices), CHUNK):
                wanted = [index for index in indices[at : at + CHUNK] if index not in astride]
                for batch in await self._read(postgres_read.some, enterprise, wanted):
                    if batch.t1_us // postgres_schema.SLOT_US > max(slot, first):
                        astride.add(batch.index)
                    yield batch
            slot += 1

    async def numbered(self, enterprise: str, gateway: str, epoch: int, first: int, last: int) -> list[int]:
        """Return the log indices of a gateway's undisputed statements numbered first to last, by number."""
        return await self._read(postgres_read.numbered, enterprise, gateway, epoch, first, last)

    async def latest(self, enterprise: str, gateway: str, before_us: int) -> StoredBatch | None:
        """Return the data batch with the greatest last event time below `before_us`."""
        return await self._read(postgres_read.latest, enterprise, gateway, before_us)

    async def aggregates(
        self, enterprise: str, gateway: str, point: str, level_us: int, from_us: int, to_us: int
    ) -> Aggregates:
        """Return one point's buckets that begin in [from_us, to_us); level_us is one of LEVELS_US."""
        return await self._read(postgres_read.aggregates, enterprise, gateway, point, level_us, from_us, to_us)

    async def arrivals(self, enterprise: str, from_us: int, to_us: int) -> list[Arrivals]:
        """Return arrival counts per gateway and minute of event time in [from_us, to_us)."""
        return await self._read(postgres_read.arrivals, enterprise, from_us, to_us)

    async def gateways(self, enterprise: str) -> list[Gateway]:
        """Return all gateways of an enterprise."""
        return await self._read(postgres_read.gateways, enterprise)

    async def chains(self, enterprise: str) -> list[Chain]:
        """Return every epoch of every gateway, with its key."""
        return await self._read(postgres_read.chains, enterprise)

    async def documents(self, enterprise: str, kind: str, gateway: str = "") -> list[StoredDocument]:
        """Return all versions of "manifest" or "structure", oldest first by valid_from_us."""
        return await self._read(postgres_read.documents, enterprise, kind, gateway)

    async def document(self, enterprise: str, prefix: bytes) -> StoredDocument | None:
        """Return the version whose digest begins with these (8 to 32) bytes."""
        return await self._read(postgres_read.document_by_prefix, enterprise, prefix)

    async def events(
        self, enterprise: str, from_us: int = 0, to_us: int = 1 << 62, active: bool = False
    ) -> list[StoredEvent]:
        """Return conditions that touch [from_us, to_us), newest begin first; only those without end if `active`."""
        return await self._read(postgres_read.events, enterprise, from_us, to_us, active)

    async def acknowledgements(self, enterprise: str, from_us: int = 0, to_us: int = 1 << 62) -> list[Acknowledgement]:
        """Return acknowledgements of conditions that begin in [from_us, to_us), oldest first."""
        return await self._read(postgres_read.acknowledgements, enterprise, from_us, to_us)

    async def note(self, enterprise: str, name: str) -> bytes | None:
        """Return a small named value."""
        return await self._read(postgres_read.note, enterprise, name)

    async def audits(self, enterprise: str, from_us: int, to_us: int) -> list[Audit]:
        """Return audit rows with from_us <= at_us < to_us, oldest first."""
        return await self._read(postgres_read.audits, enterprise, from_us, to_us)

    # -- people

    async def people(self, enterprise: str) -> list[Person]:
        """Return all rows."""
        return await self._read(postgres_accounts.people, enterprise)

    async def person(self, enterprise: str, tag: str) -> Person | None:
        """Return one row."""
        return await self._read(postgres_accounts.person, enterprise, tag)

    async def put_person(self, enterprise: str, person: Person) -> None:
        """Insert or replace one row."""
        await self._pool.write(lambda db: postgres_accounts.put_person(db, enterprise, person))

    async def erase_person(self, enterprise: str, tag: str) -> bool:
        """Erase one row from the table and its file, not from WAL and backups; return whether there was one."""
        found = await self._pool.write(lambda db: postgres_accounts.delete_person(db, enterprise, tag))
        await self._pool.alone(postgres_accounts.vacuum)
        return found

    # -- accounts

    async def add_enterprise(self, enterprise: Enterprise) -> None:
        """Add an enterprise and its empty log; ConfigError when the id is taken or not usable."""
        if not ENTERPRISE_ID.fullmatch(enterprise.id):
            raise ConfigError(f"{enterprise.id!r} is no enterprise id", "up to 48 of a-z, 0-9 and -, not first a -")
        await self._pool.write(lambda db: postgres_accounts.add_enterprise(db, enterprise))

    async def enterprises(self) -> list[Enterprise]:
        """Return all enterprises by id."""
        return await self._read(postgres_accounts.enterprises)

    async def owner(self, gateway: str) -> str | None:
        """Return the enterprise a gateway belongs to."""
        return await self._read(postgres_accounts.owner, gateway)

    async def put_voucher(self, voucher: Voucher) -> None:
        """Keep a voucher and claim the gateway; ConfigError when it belongs to another enterprise."""
        await self._pool.write(lambda db: postgres_accounts.put_voucher(db, voucher))

    async def voucher(self, gateway: str) -> Voucher | None:
        """Return the newest voucher of a gateway."""
        return await self._read(postgres_accounts.voucher, gateway)

    async def put_user(self, user: User) -> None:
        """Insert or replace a user by id; ConfigError when the name belongs to another."""
        await self._pool.write(lambda db: postgres_accounts.put_user(db, user))

    async def users(self) -> list[User]:
        """Return all users by name."""
        return await self._read(postgres_accounts.users)

    async def delete_user(self, user: str) -> None:
        """Delete a user and its sessions."""
        await self._pool.write(lambda db: postgres_accounts.delete_user(db, user))

    async def put_session(self, session: Session, now_us: int) -> None:
        """Keep a session, drop expired ones."""
        await self._pool.write(lambda db: postgres_accounts.put_session(db, session, now_us))

    async def session(self, cookie_hash: bytes) -> Session | None:
        """Return a session by the hash of its cookie."""
        return await self._read(postgres_accounts.session, cookie_hash)

    async def delete_session(self, cookie_hash: bytes) -> None:
        """Delete a session."""
        await self._pool.write(lambda db: postgres_accounts.delete_session(db, cookie_hash))

    async def put_token(self, token: Token) -> None:
        """Insert or replace a token."""
        await self._pool.write(lambda db: postgres_accounts.put_token(db, token))

    async def tokens(self) -> list[Token]:
        """Return all tokens by name."""
        return await self._read(postgres_accounts.tokens)

    async def delete_token(self, token: str) -> None:
        """Delete a token."""
        await self._pool.write(lambda db: postgres_accounts.delete_token(db, token))
