"""The queue of sealed batches: numbering, the batch and what must agree with it change in one durable transaction."""

import hashlib
import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TypeVar

from buffering.database import CHECKPOINT_PAGES, PAGE_BYTES, WAL_BYTES_MAX, guard, is_full, open_database, transaction
from buffering.offer import (
    OFFER_BATCHES_MAX,
    OFFER_BYTES_MAX,
    Offer,
    Range,
    count_missing,
    missing_ids,
    offer,
    spans_of,
)
from buffering.room import damage_in, delete_safe, drop_slice, pages_for, pages_used, row_id
from buffering.rows import SCHEMA, VERSION, Documents, Entry, Fill, Position, Remote, Seal, SealGap
from twin_wire.errors import StoreError

T = TypeVar("T")

QUOTA_BYTES = 512 << 20
BALLAST_BYTES = 4 << 20  # given up when the disk is full, so that evicting has room to work
KEEP_MS = 7 * 86_400_000
CHECK_ROWS = 8_192  # a day of batches; what a torn or lost tail damages lies in the newest rows
DOCUMENTS_MAX = 64
PAGES_MIN = 256  # below 1 MiB a quota holds nothing


class Queue:
    """Sealed batches of one gateway in one file; one thread at a time; a StoreError means: stop the process.

    `seal_gap` seals the record of what the quota forces out, in the transaction that forces it out.
    """

    def __init__(
        self,
        path: Path,
        seal_gap: SealGap,
        quota_bytes: int = QUOTA_BYTES,
        checkpoint_pages: int = CHECKPOINT_PAGES,
        ballast_bytes: int = BALLAST_BYTES,
    ) -> None:
        if quota_bytes < PAGES_MIN * PAGE_BYTES:
            raise StoreError(f"a quota of {quota_bytes} bytes holds nothing", "give the queue at least 1 MiB")
        self._seal_gap = seal_gap
        self._db = open_database(path, SCHEMA, VERSION, checkpoint_pages)
        self._pages_quota = self._pages_max = quota_bytes // PAGE_BYTES  # the latter shrinks on a full disk
        self._ballast = path.with_name(path.name + ".ballast")
        self._ballast_bytes = ballast_bytes
        self._booted = False
        try:
            with guard("open the queue"):
                self._db.execute(f"pragma max_page_count={self._pages_max}")
                row = self._db.execute("select * from head").fetchone()
                self._spans = spans_of(self._db)
                self._quarantined = {r[0] for r in self._db.execute("select id from quarantine")}
                self._position = Position(*row[:4])
                self.damage = damage_in(self._db, CHECK_ROWS, self._position[0], self._position[2], self._position[3])
        except BaseException:
            self._db.close()
            raise
        self._conditions: bytes = row[4]
        self._manifest: bytes = row[5]
        self._remote = self._remote_stored = Remote(*row[6:])
        self._regain()

    @property
    def position(self) -> Position:
        """The number the next batch will get."""
        return self._position

    @property
    def conditions(self) -> bytes:
        """The active alarm conditions as stored with the last batch, empty if there never were any."""
        return self._conditions

    @property
    def manifest(self) -> bytes:
        """The digest of the manifest last sealed, empty before the first."""
        return self._manifest

    @property
    def remote(self) -> Remote:
        """What was last noted about the server."""
        return self._remote

    def last_t1_ms(self) -> int:
        """Return the end time of the newest batch, 0 if there is none."""
        with guard("read the queue"):
            row = self._db.execute("select t1_ms from batch order by id desc limit 1").fetchone()
        return int(row[0]) if row else 0

    def fill(self) -> Fill:
        """Return how full the queue is."""
        with guard("measure the queue"):
            used = pages_used(self._db) * PAGE_BYTES
        batches = sum(last - first + 1 for _, first, last in self._spans)
        return Fill(batches, used, self._pages_max * PAGE_BYTES, len(self._quarantined))

    def is_behind(self, epoch: int, seq: int) -> bool:
        """Tell whether this file never numbered (epoch, seq), which someone holds: it is an old copy or has a clone."""
        return row_id(epoch, seq) >= row_id(self._position.epoch, self._position.seq)

    def begin_boot(self) -> int:
        """Count one more start of the agent, on disk before anything is sealed under it; return the number."""
        position = self._position._replace(boot=self._position.boot + 1)

        def write() -> None:
            with transaction(self._db, "begin a boot"):
                self._db.execute("update head set boot = ?", (position.boot,))

        self._with_room(1, write)
        self._position = self._position._replace(boot=position.boot)
        self._booted = True
        return position.boot

    def append(
        self,
        seal: Seal,
        conditions: bytes | None = None,
        documents: Documents | None = None,
        epoch: int | None = None,
    ) -> Entry:
        """Number, seal and store one batch; on disk when this returns; a new `epoch` begins again at seq 0.

        `conditions` (active alarms) and `documents` (of kind "manifest": the current one from now on) are stored in
        the same transaction. `seal` may be called again for another position.
        """
        assert self._booted, "boot is committed before the first seal"
        fresh = self._position[:3:2] == (0, 0)  # nothing was ever sealed: any epoch may be the first
        assert epoch is None or epoch > self._position.epoch or fresh, "an epoch never comes back"
        documents = documents or {}
        entry = seal(self._next(epoch))
        pages = pages_for(len(entry.statement) + len(entry.body) + sum(len(body) for _, body in documents.values()))
        return self._with_room(pages, lambda: self._store(self._next(epoch), seal, conditions, documents))

    def _with_room(self, pages: int, write: Callable[[], T]) -> T:
        for _ in range(2):
            try:
                self._make_room(pages, forced=False)
                return write()
            except StoreError as error:
                if not is_full(error):
                    raise
            self._meet_full_disk(pages)
        return write()

    def _next(self, epoch: int | None) -> Position:
        return self._position if epoch is None else self._position._replace(epoch=epoch, seq=0)

    def _store(self, position: Position, seal: Seal, conditions: bytes | None, documents: Documents) -> Entry:
        entry = seal(position)
        manifest = self._manifest
        kept = self._conditions if conditions is None else conditions
        remote = self._remote
        with transaction(self._db, "store a batch"):
            for digest, (kind, body) in documents.items():
                self._db.execute("insert or replace into document values(?,?,?)", (digest, kind, body))
                manifest = digest if kind == "manifest" else manifest
            if documents:
                self._db.execute(
                    "delete from document where rowid not in (select rowid from document order by rowid desc limit ?)",
                    (DOCUMENTS_MAX,),
                )
            after = self._insert(position, entry)
            if kept != self._conditions or manifest != self._manifest:
                self._db.execute("update head set conditions = ?, manifest = ?", (kept, manifest))
            self._write_remote(remote)
        self._conditions, self._manifest, self._remote_stored = kept, manifest, remote
        self._advance(after)
        return entry

    def _insert(self, position: Position, entry: Entry) -> Position:
        self._db.execute(
            "insert into batch values(?,?,?,?,?,?,?,?,?)",
            (
                row_id(position.epoch, position.seq),
                entry.priority,
                entry.kind,
                entry.t0_ms,
                entry.t1_ms,
                entry.rows,
                len(entry.body),
                entry.statement,
                entry.body,
            ),
        )
        prev = hashlib.sha256(entry.statement).digest()
        self._db.execute("update head set epoch = ?, seq = ?, prev = ?", (position.epoch, position.seq + 1, prev))
        return position._replace(seq=position.seq + 1, prev=prev)

    def _advance(self, after: Position) -> None:
        """Follow in memory what a committed transaction has inserted up to `after`."""
        if self._spans and self._spans[-1][0] == after.epoch:
            self._spans[-1] = (after.epoch, self._spans[-1][1], after.seq - 1)
        else:
            self._spans.append((after.epoch, 0, after.seq - 1))
        self._position = after

    def _make_room(self, pages: int, forced: bool) -> None:
        """Evict until `pages` more fit: first what is safe at the server, then bodies by priority with gap records."""
        with guard("measure the queue"):
            used = pages_used(self._db)
        reserve = 8 + self._pages_max // 64  # for eviction itself and its records
        if used + pages + reserve <= self._pages_max and not forced:
            return
        goal = min(used, self._pages_max - reserve - pages) - max(self._pages_max // 256, 8)  # fewer, larger records
        while used > goal:
            if not self._delete(1 << 62) and not self._drop_slice((used - goal) * PAGE_BYTES):
                return
            with guard("measure the queue"):
                used = pages_used(self._db)

    def _drop_slice(self, bytes_wanted: int) -> bool:
        if not self._booted:  # nothing may be sealed yet, a gap record neither
            return False
        newest = row_id(self._position.epoch, self._position.seq) - 1
        after = self._position
        with transaction(self._db, "make room"):
            gaps = drop_slice(self._db, self._remote.anchored_id, newest, bytes_wanted)
            for gap in gaps:
                after = self._insert(after, self._seal_gap(after, gap))
            spans = spans_of(self._db)
        self._spans, self._position = spans, after
        return bool(gaps)

    def _delete(self, before_ms: int) -> int:
        with transaction(self._db, "delete what is safe at the server"):
            deleted = delete_safe(self._db, self._remote.anchored_id, before_ms)
            spans = spans_of(self._db) if deleted else self._spans
        self._spans = spans
        return deleted

    def _meet_full_disk(self, pages: int) -> None:
        """Give up the ballast, take what the file holds now as the quota, and evict inside it."""
        self._ballast.unlink(missing_ok=True)
        with guard("measure the queue"):
            self._pages_max = min(self._pages_max, max(pages_used(self._db) + pages, PAGES_MIN))
        self._make_room(pages, forced=True)
        with guard("write back the log"):
            self._db.execute("pragma wal_checkpoint(truncate)").fetchall()

    def _regain(self) -> None:
        """With enough room on the disk, lay the ballast down and use the whole quota again."""
        disk = os.statvfs(self._ballast.parent)
        if disk.f_bavail * disk.f_frsize < 2 * self._ballast_bytes + WAL_BYTES_MAX:
            return
        self._pages_max = self._pages_quota
        if self._ballast_bytes and not self._ballast.exists():
            try:
                with self._ballast.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, self._ballast_bytes)
            except OSError:  # a file system that cannot: the queue works without
                self._ballast.unlink(missing_ok=True)

    def retain(self, now_ms: int, keep_ms: int = KEEP_MS) -> int:
        """Delete one slice of batches safe at the server and older than `keep_ms`; return how many went."""
        self._regain()
        return self._delete(now_ms - keep_ms)

    def quarantine(self, epoch: int, seq: int, reason: str, time_us: int) -> None:
        """Keep a batch the server refused for good, and offer it no more."""
        identity = row_id(epoch, seq)
        with transaction(self._db, "quarantine a batch"):
            self._db.execute("insert or ignore into quarantine values(?,?,?)", (identity, reason[:500], time_us))
        self._quarantined.add(identity)

    def note(self, remote: Remote) -> None:
        """Remember what the server said; on disk with the next batch or `flush`, asked anew after a crash."""
        self._remote = remote

    def flush(self) -> None:
        """Write what `note` left in memory."""
        remote = self._remote
        if remote != self._remote_stored:
            with transaction(self._db, "note the server's head"):
                self._write_remote(remote)
            self._remote_stored = remote

    def _write_remote(self, remote: Remote) -> None:
        if remote != self._remote_stored:
            self._db.execute(
                "update head set history_id = ?, server_id = ?, anchored_id = ?, verified_size = ?, verified_root = ?,"
                " checkpoint = ?, receipt_us = ?",
                remote,
            )

    def offer(
        self,
        above: Iterable[Range] = (),
        skip: Collection[int] = (),
        newest: int = 0,
        batches_max: int = OFFER_BATCHES_MAX,
        bytes_max: int = OFFER_BYTES_MAX,
    ) -> list[Offer]:
        """Return what to send next: not at the server by `remote.server_id` and `above`, not refused, not in `skip`.

        Alarms come first, then the `newest` batches, then the backlog in order.
        """
        missing = missing_ids(self._remote.server_id, above, self._end())
        with guard("read the queue"):
            return offer(self._db, missing, self._quarantined.union(skip), newest, batches_max, bytes_max)

    def reach(self, server_id: int, above: Iterable[Range] = ()) -> int:
        """Return how far everything this file can still give is settled: at the server, refused, or damaged here."""
        ranges = sorted((row_id(epoch, first), row_id(epoch, last)) for epoch, first, last in above)
        at = server_id
        while True:
            with guard("read the queue"):
                following = self._db.execute("select min(id) from batch where id > ?", (at,)).fetchone()[0]
            held = [last for first, last in ranges if following is not None and first <= following <= last]
            if held:
                at = max(held)
            elif following in self._quarantined:
                at = following
            else:
                return at

    def unsent(self, above: Iterable[Range] = ()) -> int:
        """Return how many batches the server still lacks, those it refused apart."""
        missing = missing_ids(self._remote.server_id, above, self._end())
        return count_missing(self._spans, missing, self._quarantined)

    def _end(self) -> int:
        return row_id(self._position.epoch, self._position.seq)

    def document(self, digest: bytes) -> tuple[str, bytes] | None:
        """Return (kind, body) of a manifest or structure by the first bytes of its digest, None if unknown."""
        if not digest:
            return None
        with guard("read a document"):
            row = self._db.execute(
                "select kind, body from document where substr(digest, 1, ?) = ? limit 1", (len(digest), digest)
            ).fetchone()
        return (row[0], row[1]) if row else None

    def close(self) -> None:
        """Write what is in memory and close the file."""
        self.flush()
        with guard("close the queue"):
            self._db.close()
