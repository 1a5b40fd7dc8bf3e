"""Connections to PostgreSQL, used from two pools of threads; what each kind of error means for the caller.

A serialization failure is tried again here. A lost or closing server is tried again for a few seconds as long as
nothing can have been committed; after that, or when the COMMIT itself got no answer, UplinkError: whoever asked has to
send the same batch again, and the primary keys make that harmless. Anything else is a StoreError.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import psycopg
from psycopg import conninfo
from psycopg.types.string import StrDumperUnknown

from twin_wire.errors import ConfigError, StoreError, UplinkError

T = TypeVar("T")
Db = psycopg.Connection[tuple[Any, ...]]

READERS = 6
WRITERS = 4
AWAY_S = 5.0  # how long a lost server is tried again before the caller hears of it
PAUSE_S = 0.1
AGAIN_MAX = 20  # serialization failures in a row
DEFAULTS = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "application_name": "twin-server",
}
# A commit is on disk before it returns, whatever the database's default; a process that hangs lets go of its locks.
_SETTINGS = """select
    case when current_setting('synchronous_commit') in ('off', 'local')
        then set_config('synchronous_commit', 'on', false) end,
    set_config('idle_in_transaction_session_timeout', '20s', false), set_config('lock_timeout', '30s', false)"""

AGAIN = ("40001", "40P01")  # serialization failure, deadlock: the transaction is undone
AWAY = ("25006", "25P03", "53300", "55P03")  # a standby, timeouts of ours, no connection free


class Text(StrDumperUnknown):
    """PostgreSQL keeps no NUL and no half of a character: a stranger's text must not be able to stop the server."""

    def dump(self, obj: str) -> bytes:
        """Return the text as UTF-8, with a mark in place of what cannot be kept."""
        return obj.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace")


class Pool:
    """Idle connections and the threads that use them; every method belongs to the event loop but `connect`."""

    def __init__(self, url: str) -> None:
        try:
            wanted = conninfo.conninfo_to_dict(url)
        except psycopg.ProgrammingError as cause:
            raise ConfigError(f"no PostgreSQL URL: {str(cause).strip()}", "postgresql://user@host/database") from cause
        self._conninfo = conninfo.make_conninfo("", **{**DEFAULTS, **wanted})
        self.name = f"{wanted.get('host', 'local')}/{wanted.get('dbname', '')}"  # without the password
        self._readers = ThreadPoolExecutor(READERS, "read postgres")
        self._writers = ThreadPoolExecutor(WRITERS, "write postgres")
        self._idle: dict[bool, deque[Db]] = {True: deque(), False: deque()}  # by autocommit
        self._closed = threading.Event()

    async def read(self, query: Callable[[Db], T]) -> T:
        """Run `query`, whose every statement sees whole transactions only, in a reader thread."""
        return await self._submit(self._readers, self._retrying, query, True)

    async def write(self, work: Callable[[Db], T]) -> T:
        """Run `work` in one durable transaction; what it raises undoes it, and it may be run more than once."""
        return await self._submit(self._writers, self._retrying, work, False)

    async def alone(self, work: Callable[[Db], T]) -> T:
        """Run `work` outside a transaction in a writer thread (VACUUM, NOTIFY)."""
        return await self._submit(self._writers, self._retrying, work, True)

    def connect(self, autocommit: bool) -> Db:
        """Open a connection in this thread; psycopg's own errors."""
        db = psycopg.connect(self._conninfo, autocommit=True)
        db.adapters.register_dumper(str, Text)
        db.execute(_SETTINGS)
        db.autocommit = autocommit
        return db

    async def close(self) -> None:
        """Finish what runs and close every connection."""
        if not self._closed.is_set():
            self._closed.set()
            await asyncio.to_thread(self._shutdown)

    def _shutdown(self) -> None:
        self._writers.shutdown()
        self._readers.shutdown()
        for idle in self._idle.values():
            while idle:
                idle.pop().close()

    async def _submit(self, pool: ThreadPoolExecutor, run: Callable[..., T], *arguments: object) -> T:
        if self._closed.is_set():
            raise StoreError(f"the store {self.name} is closed")
        return await asyncio.get_running_loop().run_in_executor(pool, run, *arguments)

    def _retrying(self, work: Callable[[Db], T], autocommit: bool) -> T:
        until, again = time.monotonic() + AWAY_S, 0
        while True:
            try:
                return self._once(work, autocommit)
            except psycopg.Error as cause:
                state = cause.sqlstate or ""
                if state in AGAIN and again < AGAIN_MAX:
                    again += 1
                elif not is_away(cause):
                    raise StoreError(f"the store {self.name} failed: {_line(cause)}") from cause
                elif time.monotonic() > until or self._closed.is_set():
                    raise UplinkError(f"the store {self.name} is out of reach: {_line(cause)}") from cause
                else:
                    self._forget()
                    time.sleep(PAUSE_S)

    def _once(self, work: Callable[[Db], T], autocommit: bool) -> T:
        db = self._take(autocommit)
        try:
            result = work(db)
            if not autocommit:
                self._commit(db)
        finally:
            self._give_back(db, autocommit)
        return result

    def _commit(self, db: Db) -> None:
        try:
            db.commit()
        except psycopg.Error as cause:
            if is_away(cause):  # it may have happened: only the log itself can tell, when the same is sent again
                raise UplinkError(f"no word from {self.name} whether the commit was done: {_line(cause)}") from cause
            raise

    def _take(self, autocommit: bool) -> Db:
        try:
            return self._idle[autocommit].pop()
        except IndexError:
            return self.connect(autocommit)

    def _give_back(self, db: Db, autocommit: bool) -> None:
        if not db.closed and not autocommit:
            try:
                db.rollback()
            except psycopg.Error:
                db.close()
        limit = READERS if autocommit else WRITERS
        if db.closed or db.broken or self._closed.is_set() or len(self._idle[autocommit]) >= limit:
            db.close()
        else:
            self._idle[autocommit].append(db)

    def _forget(self) -> None:
        """Close idle connections: if one is gone, so are the others."""
        for idle in self._idle.values():
            while True:
                try:
                    idle.pop().close()
                except IndexError:
                    break


def is_away(cause: psycopg.Error) -> bool:
    """Tell whether the server, not the statement, is at fault: the same will do when it is back."""
    state = cause.sqlstate or ""
    if not state:
        return isinstance(cause, psycopg.OperationalError)
    return state.startswith(("08", "57P")) or state in AWAY


def _line(cause: psycopg.Error) -> str:
    return str(cause).strip().split("\n", 1)[0]
