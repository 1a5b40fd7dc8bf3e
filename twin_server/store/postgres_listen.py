"""News of commits: those of this process at once, those of others by NOTIFY, each entry told once and in log order.

A process tells the others a few times a second which logs have grown, not in the commit itself: PostgreSQL lets only
one transaction that notifies commit at a time. A process that dies in between has told nobody; so whoever listens
also looks at the heads every few seconds.
"""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from psycopg import sql

from twin_server.store import postgres_read
from twin_server.store.postgres_pool import Pool
from twin_server.store.rows import StoredBatch
from twin_wire.errors import StoreError, UplinkError

COALESCE_S = 0.2
LOOK_S = 5.0
AT_ONCE = 256  # entries read at once
PAYLOAD_CHARS_MAX = 7_000  # the limit of PostgreSQL is 8,000 bytes

Db = psycopg.Connection[tuple[Any, ...]]
OnCommit = Callable[[str, list[StoredBatch]], None]
Entries = Callable[[str, int, int], Awaitable[list[StoredBatch]]]

log = logging.getLogger(__name__)


class Herald:
    """Tells listeners of commits; belongs to the event loop but for the thread that waits for notifications."""

    def __init__(self, pool: Pool, entries: Entries) -> None:
        self._pool = pool
        self._entries = entries
        self._listeners: list[OnCommit] = []
        self._heard: dict[str, int] = {}  # entries told so far, by enterprise
        self._blind = False  # the sizes at the beginning are not known
        self._ahead: dict[str, int] = {}  # sizes said by others, not yet told
        self._grown: dict[str, int] = {}  # sizes to say to the others
        self._turn: dict[str, asyncio.Lock] = {}
        self._teller: asyncio.Task[None] | None = None
        self._sayer: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._channel = ""

    def subscribe(self, on_commit: OnCommit) -> None:
        """Call `on_commit` from now on; the first time, this connects and so may take a moment."""
        self._listeners.append(on_commit)
        if self._thread is None:
            loop = asyncio.get_running_loop()
            db, sizes = self._listen()
            self._heard, self._blind = sizes or {}, sizes is None
            self._thread = threading.Thread(target=self._wait, args=(loop, db), name="listen postgres", daemon=True)
            self._thread.start()

    async def committed(self, enterprise: str, appended: list[StoredBatch]) -> None:
        """Tell of entries of this process just committed, after those of others before them."""
        size = appended[-1].index + 1
        self._grown[enterprise] = size
        if self._sayer is None or self._sayer.done():
            self._sayer = asyncio.create_task(self._say())
        try:
            await self._tell(enterprise, appended[0].index, appended)
        except (UplinkError, StoreError):  # what others wrote before cannot be read now: all of it is told later
            self._hear({enterprise: size})

    async def close(self) -> None:
        """Say what is left to say and end the thread."""
        self._closing.set()
        if self._teller is not None:
            self._teller.cancel()
        if self._sayer is not None:
            await asyncio.wait([self._sayer])
        if self._thread is not None:
            try:
                await self._pool.alone(lambda db: db.execute("select pg_notify(%s, '{}')", (self._channel,)))
            except (UplinkError, StoreError):
                log.info("closing without the database")
            await asyncio.to_thread(self._thread.join, LOOK_S + 1.0)

    # -- to the listeners of this process

    async def _tell(self, enterprise: str, size: int, own: list[StoredBatch]) -> None:
        """Tell of every entry below `size` not told yet, and then of our own that follow."""
        if not self._listeners:
            return
        async with self._turn.setdefault(enterprise, asyncio.Lock()):
            if self._blind:  # from here on; who listens reads for himself what came before
                self._heard.setdefault(enterprise, size if own else size - 1)
            while (heard := self._heard.get(enterprise, 0)) < size:
                found = await self._entries(enterprise, heard, min(AT_ONCE, size - heard))
                if not found:
                    break  # an older copy of the data was restored meanwhile
                self._call(enterprise, found)
            rest = [batch for batch in own if batch.index >= self._heard.get(enterprise, 0)]
            if rest:
                self._call(enterprise, rest)

    def _call(self, enterprise: str, entries: list[StoredBatch]) -> None:
        self._heard[enterprise] = entries[-1].index + 1
        for listener in self._listeners:
            listener(enterprise, entries)

    def _hear(self, sizes: dict[str, int]) -> None:
        """Remember what others have written, and tell of it soon."""
        for enterprise, size in sizes.items():
            if size > max(self._heard.get(enterprise, 0), self._ahead.get(enterprise, 0)):
                self._ahead[enterprise] = size
        if self._ahead and (self._teller is None or self._teller.done()) and not self._closing.is_set():
            self._teller = asyncio.create_task(self._tell_others())

    async def _tell_others(self) -> None:
        await asyncio.sleep(COALESCE_S)  # our own commits come back too: by then they have been told
        while self._ahead:
            enterprise, size = self._ahead.popitem()
            try:
                await self._tell(enterprise, size, [])
            except (UplinkError, StoreError) as fault:
                log.warning("commits of others not read enterprise=%s reason=%s", enterprise, fault)
                return  # the next look at the heads finds them again

    # -- to other processes

    async def _say(self) -> None:
        await asyncio.sleep(COALESCE_S)
        while self._grown:
            said, self._grown = self._grown, {}
            try:
                await self._pool.alone(lambda db, said=said: self._notify(db, said))  # type: ignore[misc]  # bound
            except (UplinkError, StoreError) as fault:
                log.warning("others not told of commits reason=%s", fault)
                return

    def _notify(self, db: Db, sizes: dict[str, int]) -> None:
        channel = self._channel or self._name(db)
        part: dict[str, int] = {}
        for enterprise, size in sizes.items():
            part[enterprise] = size
            if len(part) * 72 > PAYLOAD_CHARS_MAX:  # an id has at most 48 characters
                db.execute("select pg_notify(%s, %s)", (channel, json.dumps(part)))
                part = {}
        if part:
            db.execute("select pg_notify(%s, %s)", (channel, json.dumps(part)))

    # -- the thread that waits

    def _name(self, db: Db) -> str:
        row = db.execute("select current_schema()").fetchone()
        self._channel = f"mine_twin {row[0] if row else ''}"[:63]
        return self._channel

    def _listen(self) -> tuple[Db, dict[str, int] | None]:
        """Open the listening connection; return it with the size of every log from then on, if all can be asked."""
        try:
            db = self._pool.connect(autocommit=True)
            db.execute(sql.SQL("listen {}").format(sql.Identifier(self._name(db))))
            return db, self._sizes(db)
        except psycopg.Error as cause:
            raise UplinkError(f"cannot listen to {self._pool.name}: {cause}") from cause

    def _sizes(self, db: Db) -> dict[str, int] | None:
        try:
            return postgres_read.sizes(db)
        except psycopg.Error as cause:
            if db.closed or db.broken:
                raise
            log.warning("heads not read, a node is away reason=%s", str(cause).strip())
            return None

    def _wait(self, loop: asyncio.AbstractEventLoop, db: Db) -> None:
        while not self._closing.is_set():
            try:
                self._wait_on(loop, db)
            except psycopg.Error as cause:
                log.warning("not listening to other servers reason=%s", str(cause).strip())
            db.close()
            while not self._closing.wait(1.0):
                try:
                    db, sizes = self._listen()
                except UplinkError:
                    continue
                self._pass_on(loop, sizes or {})
                log.info("listening to other servers again")
                break
        db.close()

    def _wait_on(self, loop: asyncio.AbstractEventLoop, db: Db) -> None:
        look_at = time.monotonic() + LOOK_S
        while not self._closing.is_set():
            for note in db.notifies(timeout=max(look_at - time.monotonic(), 0.01), stop_after=1):
                self._pass_on(loop, json.loads(note.payload))
            if time.monotonic() >= look_at:
                self._pass_on(loop, self._sizes(db) or {})
                look_at = time.monotonic() + LOOK_S

    def _pass_on(self, loop: asyncio.AbstractEventLoop, sizes: dict[str, int]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._hear, sizes)
