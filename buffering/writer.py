"""The healthy path of the queue: number, seal, store and make room, each in one durable transaction."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from buffering.database import PAGE_BYTES, WAL_BYTES_MAX, guard, is_full, open_database, transaction
from buffering.offer import spans_of
from buffering.room import Gap, damage_in, delete_safe, drop_slice, note_holes, pages_used, row_id
from buffering.rows import SCHEMA, UPGRADES, VERSION, Documents, Entry, Position, Remote, Seal, SealGap
from twin_wire.errors import StoreError

T = TypeVar("T")

CHECK_ROWS = 8_192  # a day of batches; what a torn or lost tail damages lies in the newest rows
DOCUMENTS_MAX = 64
START_BYTES = 256 << 10  # of the ballast: so that an agent can begin, and then evict, on a full disk
PAGES_LEAST = 64  # what a full disk may shrink the quota to
PAGES_MIN = 256  # below 1 MiB a quota holds nothing


class Writer:
    """One file of sealed batches; every number in it was given in the transaction that stored its batch."""

    def __init__(
        self, path: Path, seal_gap: SealGap, quota_bytes: int, checkpoint_pages: int, ballast_bytes: int, reserve: int
    ) -> None:
        if quota_bytes < PAGES_MIN * PAGE_BYTES:
            raise StoreError(f"a quota of {quota_bytes} bytes holds nothing", "give the queue at least 1 MiB")
        self._seal_gap = seal_gap
        self._db = open_database(path, SCHEMA, VERSION, checkpoint_pages, UPGRADES)
        self._pages_quota = self._pages_max = quota_bytes // PAGE_BYTES  # the latter shrinks on a full disk
        self._ballast = path.with_name(path.name + ".ballast")
        self._ballast_bytes = ballast_bytes
        self._reserve = reserve
        self._booted = False
        try:
            with guard("open the queue"):
                self._db.execute(f"pragma max_page_count={self._pages_max}")
                row = self._db.execute("select * from head").fetchone()
                self._spans = spans_of(self._db)
                self._quarantined = {r[0] for r in self._db.execute("select id from quarantine")}
                self._position = Position(*row[:4])
                self.damage = damage_in(self._db, CHECK_ROWS, self._position[0], self._position[2], self._position[3])
                last = self._db.execute("select t1_ms from batch order by id desc limit 1").fetchone()
        except BaseException:
            self._db.close()
            raise
        self._conditions: bytes = row[4]
        self._manifest: bytes = row[5]
        self._remote = self._remote_stored = Remote(*row[6:13])
        self._limit: int = row[13]  # numbers below it are reserved, on disk
        self._tried = -1  # the last number sealed in a transaction, even one that failed
        self._last_ms = int(last[0]) if last else 0
        self._regain()

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
        return self._last_ms

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

    def _store(
        self,
        position: Position,
        seal: Seal,
        conditions: bytes | None,
        documents: Documents,
        explains: Gap | None = None,
    ) -> Entry:
        entry = seal(position)
        manifest = self._manifest
        kept = self._conditions if conditions is None else conditions
        remote = self._remote
        with transaction(self._db, "store a batch"):
            manifest = self._put_documents(documents) or manifest
            if explains is not None:
                note_holes(self._db, explains)
            after = self._insert(position, entry)
            if kept != self._conditions or manifest != self._manifest:
                self._db.execute("update head set conditions = ?, manifest = ?", (kept, manifest))
            self._write_remote(remote)
        self._conditions, self._manifest, self._remote_stored = kept, manifest, remote
        self._advance(after)
        return entry

    def _put_documents(self, documents: Documents) -> bytes:
        """Store documents inside a transaction; return the digest of a manifest among them."""
        manifest = b""
        for digest, (kind, body) in documents.items():
            self._db.execute("insert or replace into document values(?,?,?)", (digest, kind, body))
            manifest = digest if kind == "manifest" else manifest
        if documents:
            self._db.execute(
                "delete from document where rowid not in (select rowid from document order by rowid desc limit ?)",
                (DOCUMENTS_MAX,),
            )
        return manifest

    def _insert(self, position: Position, entry: Entry) -> Position:
        self._tried = position.seq
        self._insert_row(row_id(position.epoch, position.seq), entry, entry.body)
        after = position._replace(seq=position.seq + 1, prev=hashlib.sha256(entry.statement).digest())
        self._write_head(after)
        return after

    def _insert_row(self, identity: int, entry: Entry, body: bytes | None) -> None:
        row = (identity, entry.priority, entry.kind, entry.t0_ms, entry.t1_ms, entry.rows, len(body or b""))
        self._db.execute("insert into batch values(?,?,?,?,?,?,?,?,?)", (*row, entry.statement, body))
        self._last_ms = entry.t1_ms

    def _write_head(self, after: Position) -> None:
        self._db.execute(
            "update head set epoch = ?, seq = ?, prev = ?, reserved = ?",
            (after.epoch, after.seq, after.prev, after.seq + self._reserve),
        )

    def _advance(self, after: Position) -> None:
        """Follow in memory what a committed transaction has inserted up to `after`."""
        if self._spans and self._spans[-1][0] == after.epoch:
            self._spans[-1] = (after.epoch, self._spans[-1][1], after.seq - 1)
        else:
            self._spans.append((after.epoch, 0, after.seq - 1))
        self._follow(after)

    def _reread_spans(self) -> None:
        with guard("read the queue"):
            self._spans = spans_of(self._db)

    def _follow(self, after: Position) -> None:
        self._position, self._limit = after, after.seq + self._reserve

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
                if gap.reason == "quota_statements":
                    note_holes(self._db, gap)
                after = self._insert(after, self._seal_gap(after, gap))
            spans = spans_of(self._db)
        self._spans = spans
        if gaps:
            self._follow(after)
        return bool(gaps)

    def _delete(self, before_ms: int) -> int:
        with transaction(self._db, "delete what is safe at the server"):
            deleted = delete_safe(self._db, self._remote.anchored_id, before_ms)
            spans = spans_of(self._db) if deleted else self._spans
        self._spans = spans
        return deleted

    def _meet_full_disk(self, pages: int) -> None:
        """Give up the ballast, take what the file holds now as the quota, and evict inside it."""
        least = PAGES_LEAST
        if self._booted and self._ballast.exists() and self._ballast.stat().st_size > START_BYTES:
            self._lay_ballast(0, START_BYTES)  # the rest is for the next start, or the next time
            least = PAGES_MIN
        else:
            self._ballast.unlink(missing_ok=True)
        with contextlib.suppress(StoreError), guard("write back the log"):
            self._db.execute("pragma wal_checkpoint(restart)").fetchall()  # so that evicting can write over it
        with guard("measure the queue"):
            self._pages_max = min(self._pages_max, max(pages_used(self._db) + pages, least))
        self._make_room(pages, forced=True)
        with guard("write back the log"):
            self._db.execute("pragma wal_checkpoint(truncate)").fetchall()

    def _regain(self) -> None:
        """With enough room on the disk, lay the ballast down and use the whole quota again."""
        disk = os.statvfs(self._ballast.parent)
        free = disk.f_bavail * disk.f_frsize
        if free >= 2 * self._ballast_bytes + WAL_BYTES_MAX:
            self._pages_max = self._pages_quota
            self._lay_ballast(self._ballast_bytes)
        elif free >= 4 * START_BYTES:
            self._lay_ballast(min(START_BYTES, self._ballast_bytes))

    def _lay_ballast(self, least: int, most: int = 1 << 62) -> None:
        """Bring the ballast between two sizes."""
        try:
            size = self._ballast.stat().st_size if self._ballast.exists() else 0
            if size > most:
                os.truncate(self._ballast, most)
            elif size < least:
                with self._ballast.open("ab") as file:
                    os.posix_fallocate(file.fileno(), 0, least)
        except OSError:  # a file system that cannot: the queue works without
            with contextlib.suppress(OSError):
                self._ballast.unlink(missing_ok=True)

    def _write_remote(self, remote: Remote) -> None:
        if remote != self._remote_stored:
            self._db.execute(
                "update head set history_id = ?, server_id = ?, anchored_id = ?, verified_size = ?, verified_root = ?,"
                " checkpoint = ?, receipt_us = ?",
                remote,
            )
