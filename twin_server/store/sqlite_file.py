"""One SQLite file: a writer thread with a queue, and read connections used from a pool of threads."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from twin_wire.errors import StoreError

T = TypeVar("T")

BUSY_TIMEOUT_S = 10.0
IDLE_READERS_MAX = 4
WRITER_PRAGMAS = """
    pragma journal_mode = wal;
    pragma synchronous = full;
    pragma wal_autocheckpoint = 1000;
    pragma journal_size_limit = 67108864;
    pragma trusted_schema = off;
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection; psow=0 pads the WAL to sectors, so a torn sector cannot take an earlier commit along."""
    try:
        return sqlite3.connect(
            f"file:{quote(str(path))}?psow=0", BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, uri=True
        )
    except sqlite3.Error as cause:
        raise StoreError(f"cannot open {path}: {cause}") from cause


class File:
    """One SQLite file; writes run one after the other, each durable before it returns; reads run beside them."""

    def __init__(self, path: Path, schema: str, readers: ThreadPoolExecutor, pragmas: str = WRITER_PRAGMAS) -> None:
        self.path = path
        self._readers = readers
        self._idle: deque[sqlite3.Connection] = deque()
        self._closed = False
        db = connect(path)
        try:
            path.chmod(0o600)
            db.executescript(pragmas + schema)
        except (sqlite3.Error, OSError) as cause:
            db.close()
            raise StoreError(f"cannot use {path}: {cause}") from cause
        self._db = db  # owned by the writer's one thread from here on
        self._writer = ThreadPoolExecutor(1, f"write {path.name}")

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one durable transaction; what it raises undoes it."""
        return await self._submit(self._transact, work)

    async def alone(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the writer's thread outside a transaction (VACUUM)."""
        return await self._submit(self._plain, work)

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run `query` on one snapshot of the file in a reader thread."""
        if self._closed:
            raise StoreError(f"{self.path} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, query)

    async def close(self) -> None:
        """Finish the queue and close every connection."""
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._writer, self._db.close)
            self._writer.shutdown()
            while self._idle:
                self._idle.pop().close()

    async def _submit(self, run: Callable[[Callable[[sqlite3.Connection], T]], T], work: Callable[..., T]) -> T:
        if self._closed:
            raise StoreError(f"{self.path} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._writer, run, work)

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        db = self._db
        try:
            db.execute("begin immediate")
            try:
                result = work(db)
                db.execute("commit")
            finally:
                if db.in_transaction:
                    db.execute("rollback")
        except sqlite3.Error as cause:
            raise StoreError(f"cannot write {self.path}: {cause}") from cause
        return result

    def _plain(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._db)
        except sqlite3.Error as cause:
            raise StoreError(f"cannot write {self.path}: {cause}") from cause

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        try:
            db: sqlite3.Connection | None = self._idle.pop()
        except IndexError:
            db = None
        try:
            if db is None:
                db = connect(self.path)
                db.execute("pragma query_only = on")
            db.execute("begin")
            try:
                return query(db)
            finally:
                db.execute("rollback")
        except sqlite3.Error as cause:
            raise StoreError(f"cannot read {self.path}: {cause}") from cause
        finally:
            if db is not None:
                self._give_back(db)

    def _give_back(self, db: sqlite3.Connection) -> None:
        if len(self._idle) < IDLE_READERS_MAX and not self._closed and not db.in_transaction:
            self._idle.append(db)
        else:
            db.close()
