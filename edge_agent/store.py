"""The queue and the state documents behind one writer thread, so that a slow card never holds up the event loop."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from tinydb import TinyDB

from buffering.database import is_disk_fault
from buffering.offer import Range
from buffering.queue import Queue
from buffering.reserve import RESERVE
from buffering.room import Gap, number_of, row_id
from buffering.rows import Documents, Entry, Position, Remote, Seal
from buffering.state import open_state
from edge_agent.clock import SystemClock
from edge_agent.seal import Signer, fault_of, seal_gap
from twin_wire.errors import StoreError

T = TypeVar("T")


class Store:
    """Everything of the gateway that must survive; methods are awaited, one thing happens at a time."""

    def __init__(self, folder: Path, signer: Signer, quota_bytes: int, clock: SystemClock) -> None:
        self._thread = ThreadPoolExecutor(1, "store")
        self._folder = folder
        self._unwritten: dict[str, dict[str, Any]] = {}  # state documents the disk did not take
        self._state_fault = ""
        self._signer = signer
        self._clock = clock
        self.state: TinyDB = open_state(folder / "state.db")
        try:
            check = partial(fault_of, signer.key.public)
            self.queue = Queue(folder / "queue.db", self._gap, quota_bytes, reserve=RESERVE, check=check)
        except BaseException:
            self.state.close()
            raise
        self.above: tuple[Range, ...] = ()  # what the server holds behind a hole
        self.unsent = self.queue.unsent()  # as of the last call
        self.fill = self.queue.fill()
        self.written_bytes = 0  # bodies and statements since the start

    def _gap(self, position: Position, gap: Gap) -> Entry:
        remote = self.queue.remote
        anchor = (remote.verified_size, remote.verified_root)
        return seal_gap(self._signer, position, gap, self._clock.time_us() // 1_000, anchor)

    @property
    def fault(self) -> str:
        """Why the disk does not take what has to be kept, "" if it does."""
        return self.queue.fault or self._state_fault

    async def look(self) -> None:
        """Notice a disk that became read-only before the next batch does."""
        if not self.fault and os.statvfs(self._folder).f_flag & os.ST_RDONLY:
            await self.call(self.queue.probe)

    @property
    def anchor(self) -> tuple[int, bytes]:
        """The size and root of the log that this gateway verified last."""
        return self.queue.remote.verified_size, self.queue.remote.verified_root

    async def call(self, work: Callable[[], T]) -> T:
        """Run `work` on the writer thread, to its end even if the caller is cancelled."""

        def counted() -> T:
            result = work()
            self.unsent = self.queue.unsent(self.above)
            self.fill = self.queue.fill()
            return result

        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, counted))

    async def append(
        self, seal: Callable[[], Seal], conditions: bytes | None = None, documents: Documents | None = None
    ) -> Entry:
        """Encode, number, sign and store one batch off the event loop; on disk when this returns."""
        entry = await self.call(lambda: self.queue.append(seal(), conditions, documents))
        self.written_bytes += len(entry.statement) + len(entry.body)
        return entry

    async def record_damage(self) -> int:
        """Seal a gap record for every damage found when the queue was opened; return how many."""
        for gap in self.queue.damage:
            await self.call(partial(self.queue.append, partial(self._gap, gap=gap), explains=gap))
        return len(self.queue.damage)

    async def learn(self, remote: Remote, above: tuple[Range, ...]) -> tuple[int, int]:
        """Remember what was verified about the server; on disk with the next batch.

        Returns how many batches the server had and has no more, and how many of these cannot be sent again, which is
        put on record.
        """

        def work() -> tuple[int, int]:
            known = self.queue.remote.server_id
            reached = self.queue.reach(remote.server_id, above)
            # Behind a hole that can never be filled everything is as safe as the head itself.
            settled = reached if remote.anchored_id == remote.server_id else remote.anchored_id
            self.queue.note(remote._replace(server_id=reached, anchored_id=settled))
            self.above = above
            if reached >= known or not remote.history_id:
                return 0, 0
            lost = self.queue.lacking(reached, known)
            for gap in lost:
                self.queue.append(partial(self._gap, gap=gap), explains=gap)
            begun = row_id(number_of(known)[0], 0)  # row ids of different epochs do not count batches
            return known - max(reached, begun - 1), sum(gap.batches for gap in lost)

        return await self.call(work)

    async def retain(self, keep_ms: int) -> None:
        """Delete what is safe at the server and older than `keep_ms`, in slices that let others in between."""
        now_ms = self._clock.time_us() // 1_000
        while await self.call(lambda: self.queue.retain(now_ms, keep_ms)):
            pass

    def document(self, name: str) -> dict[str, Any]:
        """Return a state document by its name, empty if there is none; not for the event loop after the start."""
        return read_document(self.state, name)

    async def put(self, name: str, document: dict[str, Any]) -> None:
        """Store a state document under its name; on disk when this returns, unless `fault` says that it waits."""

        def work() -> None:
            self._unwritten[name] = document
            try:
                for waiting, content in list(self._unwritten.items()):
                    write_document(self.state, waiting, content)
                    del self._unwritten[waiting]
            except StoreError as error:
                if not is_disk_fault(error):
                    raise
                self._state_fault = str(error)
            else:
                self._state_fault = ""

        await self.call(work)

    def abandon(self) -> None:
        """Close both files where no loop runs."""
        self.queue.close()
        self.state.close()
        self._thread.shutdown()

    async def close(self) -> None:
        """Write what is in memory and close both files."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self.queue.close)
        await loop.run_in_executor(self._thread, self.state.close)
        self._thread.shutdown()


def read_document(state: TinyDB, name: str) -> dict[str, Any]:
    """Return the document stored under `name`, empty if there is none."""
    for row in state.table("agent").all():
        if row.get("name") == name:
            return cast("dict[str, Any]", row["document"])
    return {}


def write_document(state: TinyDB, name: str, document: dict[str, Any]) -> None:
    """Store `document` under `name` in place of the old one."""
    table = state.table("agent", cache_size=0)
    table.upsert({"name": name, "document": document}, lambda row: row.get("name") == name)
