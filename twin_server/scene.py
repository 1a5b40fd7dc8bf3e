"""One enterprise as it stands now: its twin and its alarms, kept up with the log entry by entry."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from twin_server import alarms, picture, snapshot, watch
from twin_server import twin as mirror
from twin_server.alarms import SERVER, Alarm, Book
from twin_server.picture import Layout
from twin_server.sites import Sites, arrival_of
from twin_server.snapshot import Snapshot
from twin_server.store import Store
from twin_server.store.rows import Acknowledgement, Gateway, StoredBatch, StoredEvent
from twin_server.twin import Twin
from twin_wire.errors import FormatError, UplinkError
from twin_wire.records import decode_record

log = logging.getLogger(__name__)

RECENT_US = 86_400_000_000  # alarms that are normal again stay in memory this long
READ_AT_ONCE = 256  # entries
WARM_US = (600_000_000, 3_600_000_000)  # how far back to look without a snapshot; further only for missing points
CONDITION_KINDS = ("silence", "clock")
AWAY_S = 1.0  # between two tries while the store's server is out of reach

Listener = Callable[[list[Alarm]], None]  # told after entries were applied, with the alarms that look different


class Scene:
    """Follows one log; everything here belongs to the event loop. `twin` and `book` are values: take and keep."""

    def __init__(self, enterprise: str, store: Store, sites: Sites) -> None:
        self.enterprise = enterprise
        self.twin: Twin = mirror.empty()
        self.book: Book = alarms.empty()
        self.size = 0  # entries of the log that are in the twin
        self.rows: dict[str, Gateway] = {}  # what the store knows of the gateways
        self.listeners: list[Listener] = []
        self._store = store
        self._sites = sites
        self._layout: Layout | None = None
        self._pending: deque[StoredBatch] = deque()
        self._wake = asyncio.Event()
        self._moved = asyncio.Condition()
        self._saved_size = 0
        self._rows_size = -1

    @property
    def layout(self) -> Layout:
        """Return what the columns of a frame mean now."""
        if self._layout is None:
            self._layout = picture.layout_of(self.twin)
        return self._layout

    @property
    def as_of_us(self) -> int:
        """Return the newest event time, 0 before any."""
        return max(mirror.as_of_us(self.twin), 0)

    async def load(self, now_us: int) -> None:
        """Rebuild the state from the snapshot and what followed it, or from the last hour of every gateway."""
        saved = await self._store.note(self.enterprise, snapshot.NAME)
        found = await snapshot.decode(saved, self.enterprise, self._sites) if saved else None
        size = await self._store.size(self.enterprise)
        if found is not None and found.size <= size:
            self.twin, self.size = found.twin, found.size
        else:
            self.twin, self.size = await self._from_recent(), size
        self._saved_size = self.size
        await self._load_book(now_us)
        while await self._catch_up():
            pass
        await self.refresh_rows()

    def offer(self, entries: list[StoredBatch]) -> None:
        """Take entries just committed; they are applied by `run`."""
        self._pending.extend(entries)
        self._wake.set()

    async def run(self) -> None:
        """Apply what is offered, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            changed: list[Alarm] = []
            try:
                await self._take_offered(changed)
            except UplinkError as fault:
                log.warning("picture waits enterprise=%s reason=%s", self.enterprise, fault)
                await asyncio.sleep(AWAY_S)
                self._wake.set()
            async with self._moved:
                self._moved.notify_all()
            for listener in self.listeners:
                listener(changed)

    async def _take_offered(self, changed: list[Alarm]) -> None:
        while self._pending:
            entry = self._pending[0]
            if entry.index > self.size:
                while self.size < entry.index and await self._catch_up(changed):
                    pass
            if entry.index == self.size:
                changed += await self._apply(entry)
            self._pending.popleft()

    async def reach(self, index: int) -> None:
        """Return when the entry with this index is in the state."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.size > index)

    async def refresh_rows(self) -> None:
        """Read again what the store knows of the gateways, if the log has grown since."""
        if self._rows_size != self.size:
            self._rows_size = self.size
            self.rows = {row.gateway: row for row in await self._store.gateways(self.enterprise)}

    async def save(self) -> None:
        """Keep the twin for the next start, if it has moved."""
        if self._saved_size == self.size:
            return
        saved = Snapshot(self.size, self.twin)
        data = await asyncio.to_thread(snapshot.encode, saved)
        await self._store.write(self.enterprise, lambda tx: tx.put_note(snapshot.NAME, data))
        self._saved_size = saved.size

    def forget(self, now_us: int) -> None:
        """Let go of alarms that have long been normal."""
        self.book = alarms.prune(self.book, now_us - RECENT_US)

    def missing(self, gateway: str) -> int:
        """Return how many statements of a gateway are known to exist and are not here."""
        return watch.missing(self.rows.get(gateway))

    async def _from_recent(self) -> Twin:
        twin = mirror.empty()
        for row in await self._store.gateways(self.enterprise):
            for document in await self._store.documents(self.enterprise, "manifest", row.gateway):
                stated = await self._store.entry(self.enterprise, document.index) if document.index >= 0 else None
                site = await self._sites.site(self.enterprise, document.digest)
                if stated is not None and site is not None:
                    twin = mirror.put_site(twin, arrival_of(stated), site)
            last = await self._store.latest(self.enterprise, row.gateway, 1 << 62)
            if last is None:
                continue
            for warm_us in WARM_US:
                twin = await self._warmed(twin, row.gateway, last.t1_us - warm_us, last.t1_us + 1)
                site = twin.gateways[row.gateway].site
                if site and all((row.gateway, point.id) in twin.point_row for point in site.manifest.points):
                    break
        return twin

    async def _warmed(self, twin: Twin, gateway: str, from_us: int, to_us: int) -> Twin:
        entries = [e async for e in self._store.batches(self.enterprise, from_us, to_us, gateway)]
        for opened in await self._sites.open_many(self.enterprise, entries):
            twin, _ = mirror.apply(twin, arrival_of(opened.entry), opened.batch, opened.site)
        return twin

    async def _load_book(self, now_us: int) -> None:
        recent = await self._store.events(self.enterprise, now_us - RECENT_US)
        words = recent + await self._store.events(self.enterprise, active=True)
        self.book, _ = alarms.put(alarms.empty(), words)
        first_us = min((word.begin_us for word in words), default=now_us)
        for ack in await self._store.acknowledgements(self.enterprise, first_us):
            self.book, _ = alarms.acknowledge(self.book, ack)

    async def _catch_up(self, changed: list[Alarm] | None = None) -> bool:
        """Read and apply the next entries of the log; return whether there were any."""
        entries = await self._store.entries(self.enterprise, self.size, READ_AT_ONCE)
        for entry in entries:
            found = await self._apply(entry)
            if changed is not None:
                changed += found
        return bool(entries)

    async def _apply(self, entry: StoredBatch) -> list[Alarm]:
        """Apply one entry and return the alarms that look different."""
        assert entry.index == self.size
        found = await self._change(entry)
        self.size += 1
        return found

    async def _change(self, entry: StoredBatch) -> list[Alarm]:
        if entry.kind == "data":
            return await self._apply_data(entry)
        if entry.kind in ("manifest", "structure"):
            await self._apply_document(entry)
        elif entry.kind in (*CONDITION_KINDS, "acknowledgement"):
            return self._apply_statement(entry)
        elif entry.kind == "fork":
            self.book, changed = alarms.put(self.book, await self._store.events(self.enterprise, active=True))
            return changed
        elif entry.gateway in self.twin.gateways:
            self.twin = mirror.touch(self.twin, arrival_of(entry))
        return []

    async def _apply_data(self, entry: StoredBatch) -> list[Alarm]:
        opened = await self._sites.open(self.enterprise, entry)
        if opened is None:
            return []
        self.twin, changes = mirror.apply(self.twin, arrival_of(entry), opened.batch, opened.site)
        if changes.names:
            self._layout = None
        if not changes.events:
            return []
        self.book, changed = alarms.put(self.book, [alarms.word(event, entry) for event in changes.events])
        return changed

    async def _apply_document(self, entry: StoredBatch) -> None:
        if entry.disputed or not entry.readable:
            return
        if entry.kind == "manifest":
            site = await self._sites.site(self.enterprise, entry.digest)
            if site is not None:
                self.twin = mirror.put_site(self.twin, arrival_of(entry), site)
                self._layout = None
            return
        self._sites.renew(self.enterprise, entry.digest.hex())
        gateways = dict(self.twin.gateways)
        for name, gateway in gateways.items():
            if (
                gateway.site
                and gateway.site.structure is None
                and gateway.site.manifest.structure == entry.digest.hex()
            ):
                gateways[name] = gateway._replace(site=await self._sites.site(self.enterprise, gateway.site.key))
        self.twin = self.twin._replace(gateways=gateways)
        self._layout = None

    def _apply_statement(self, entry: StoredBatch) -> list[Alarm]:
        try:
            record = decode_record(entry.body or b"")
        except FormatError:
            log.warning("server statement unreadable enterprise=%s index=%d", self.enterprise, entry.index)
            return []
        if entry.kind == "acknowledgement":
            self.book, changed = alarms.acknowledge(self.book, acknowledgement_of(record))
        elif record.get("detector") == SERVER:
            self.book, changed = alarms.put(self.book, [condition_of(record, entry.index, entry.received_us)])
        else:
            changed = []
        return changed


def acknowledgement_of(record: Mapping[str, Any]) -> Acknowledgement:
    """Return the acknowledgement that a statement of kind "acknowledgement" records."""
    return Acknowledgement(**{name: record[name] for name in Acknowledgement._fields})


def condition_record(word: StoredEvent) -> dict[str, object]:
    """Return what the server states of a condition that only it can see."""
    names = ("gateway", "rule", "begin_us", "end_us", "severity", "detector", "text")
    return {name: getattr(word, name) for name in names} | {"numbers": dict(word.numbers)}


def condition_of(record: Mapping[str, Any], index: int, received_us: int) -> StoredEvent:
    """Return the word that such a statement records; its place in the log is its order."""
    return StoredEvent(
        point="", epoch=0, seq=index, index=index, received_us=received_us, updated_us=received_us, **record
    )
