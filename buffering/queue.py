"""The queue of sealed batches: durable as long as the disk takes writes, from the reserve and in memory when not."""

import contextlib
import time
from collections.abc import Collection, Iterable
from functools import partial
from pathlib import Path

from buffering.database import CHECKPOINT_PAGES, PAGE_BYTES, guard, is_disk_fault, transaction
from buffering.offer import OFFER_BATCHES_MAX, OFFER_BYTES_MAX, Offer, Range, count_missing, missing_ids, offer, search
from buffering.reserve import MEMORY_FOLDER, HealthMark, Spill, reserve_gap
from buffering.room import Gap, note_holes, number_of, pages_for, pages_used, rewrite_without_body, row_id
from buffering.rows import Check, Documents, Entry, Fill, Position, Remote, Seal, SealGap
from buffering.writer import Writer
from twin_wire.errors import StoreError

QUOTA_BYTES = 512 << 20
BALLAST_BYTES = 4 << 20  # given up when the disk is full, so that evicting has room to work
KEEP_MS = 7 * 86_400_000


class Queue(Writer):
    """Sealed batches of one gateway; one thread at a time.

    `seal_gap` seals the record of what is given up or left out, in the transaction that does it; `check` tells whether
    a row is as it was sealed. With a `reserve` the queue goes on in memory where the disk fails; else StoreError.
    """

    def __init__(
        self,
        path: Path,
        seal_gap: SealGap,
        quota_bytes: int = QUOTA_BYTES,
        checkpoint_pages: int = CHECKPOINT_PAGES,
        ballast_bytes: int = BALLAST_BYTES,
        reserve: int = 0,
        check: Check | None = None,
        memory: Path = MEMORY_FOLDER,
    ) -> None:
        super().__init__(path, seal_gap, quota_bytes, checkpoint_pages, ballast_bytes, reserve)
        self.fault = ""
        self._check = check
        self._mark = HealthMark(path, memory)
        self._spill: Spill | None = None
        self._held_documents: dict[bytes, tuple[str, bytes]] = {}
        self._found = self._position  # as the file says, before a reserve is left out
        self._fill = Fill(0, 0, 0, 0)
        self._searched = False

    @property
    def position(self) -> Position:
        """The number the next batch will get."""
        return self._spill.position if self._spill else self._position

    @property
    def held(self) -> int:
        """How many batches are in memory alone."""
        return len(self._spill.held) if self._spill else 0

    def fill(self) -> Fill:
        """Return how full the queue is; as last known while the disk cannot be read."""
        batches = sum(last - first + 1 for _, first, last in self._all_spans())
        with contextlib.suppress(StoreError), guard("measure the queue"):
            used = pages_used(self._db) * PAGE_BYTES
            self._fill = Fill(batches, used, self._pages_max * PAGE_BYTES, len(self._quarantined))
        return self._fill._replace(batches=batches)

    def is_behind(self, epoch: int, seq: int) -> bool:
        """Tell whether this file never numbered (epoch, seq), the head of someone: it is an old copy or has a clone.

        A head inside a reserve that was left out is that too: what was sent from a reserve never joins what was
        before it, so it is never part of a head.
        """
        left_out = (gap.ranges[0] for gap in self.damage if gap.reason == "reserve" and gap.epoch == epoch)
        inside = any(first <= seq <= last for first, last in left_out)
        return inside or row_id(epoch, seq) >= row_id(self.position.epoch, self.position.seq)

    def never_stored(self, epoch: int, seq: int) -> bool:
        """Tell whether this file, as it was found, never held a number that is known to have been on disk."""
        return row_id(epoch, seq) >= row_id(self._found.epoch, self._found.seq)

    def begin_boot(self) -> int:
        """Count one more start of the agent, on disk before anything is sealed under it; return the number.

        If the last start may have used its reserve, the whole of it is left out, and `damage` says so.
        """
        was = self._position
        after = was._replace(boot=was.boot + 1)
        left_out: tuple[Gap, ...] = ()
        if was.seq and was.seq < self._limit and not self._mark.says_healthy(was.boot):
            # One number more than the reserve: `prev` must not join what may have been sent from its end.
            after = after._replace(seq=self._limit + 1)
            left_out = (reserve_gap(was.epoch, was.seq, self._limit, self._last_ms),)

        def write() -> None:
            with transaction(self._db, "begin a boot"):
                self._db.execute("update head set boot = ?", (after.boot,))
                if after.seq:
                    self._write_head(after)

        self._with_room(1, write)
        self._follow(after)
        self.damage += left_out
        self._booted = True
        if self._reserve:
            self._mark.put(after.boot)
        return after.boot

    def append(
        self,
        seal: Seal,
        conditions: bytes | None = None,
        documents: Documents | None = None,
        epoch: int | None = None,
        explains: Gap | None = None,
    ) -> Entry:
        """Number, seal and store one batch; a new `epoch` begins again at seq 0.

        On disk when this returns, unless `fault` says that the disk does not take it: then in memory, and sealed with
        a number of the reserve. `conditions` (active alarms) and `documents` (of kind "manifest": the current one from
        now on) go with it. `explains`: what the batch, a gap record, tells. `seal` may be called again for another
        position.
        """
        assert self._booted, "boot is committed before the first seal"
        fresh = self._position[:3:2] == (0, 0)  # nothing was ever sealed: any epoch may be the first
        assert epoch is None or epoch > self._position.epoch or fresh, "an epoch never comes back"
        documents = documents or {}
        if self._spill is None or self._heal():
            try:
                entry = seal(self._next(epoch))
                size = len(entry.statement) + len(entry.body) + sum(len(body) for _, body in documents.values())
                write = partial(self._store, seal=seal, conditions=conditions, documents=documents, explains=explains)
                return self._with_room(pages_for(size), lambda: write(self._next(epoch)))
            except StoreError as error:
                if epoch is not None:
                    raise
                self._fall_back(error)
        return self._keep(seal, conditions, documents, explains)

    def _keep(self, seal: Seal, conditions: bytes | None, documents: Documents, explains: Gap | None) -> Entry:
        """Seal one batch with a number of the reserve, in memory."""
        spill = self._spill
        assert spill is not None
        entry = spill.add(seal)
        self._conditions = self._conditions if conditions is None else conditions
        self._held_documents |= documents
        self._manifest = next((d for d, (kind, _) in documents.items() if kind == "manifest"), self._manifest)
        if explains is not None:
            spill.holes.append(explains)
        spill.shed(lambda identity: identity <= self._remote.anchored_id, self._seal_gap)
        return entry

    def _fall_back(self, error: StoreError) -> None:
        """Go on in memory after a write failed; the error itself if no number may be given without the disk.

        A transaction that failed may still be on disk after a power cut. So no number that was tried is given again,
        nor the one behind it, whose `prev` would have to join it.
        """
        first = max(self._tried, self._position.seq - 1) + 2
        if not self._booted or not is_disk_fault(error) or first >= self._limit or not self._mark.remove():
            raise error
        held = self._spill.held if self._spill else {}
        spill = Spill(self._position._replace(seq=first), self._limit, held)
        gap = reserve_gap(self._position.epoch, self._position.seq, first - 1, self._last_ms)
        spill.holes.append(gap)
        spill.add(lambda position: self._seal_gap(position, gap))
        self._spill, self.fault = spill, str(error)

    def probe(self) -> None:
        """Write nothing new, only to learn whether the disk takes writes; called when something speaks against it."""
        if self._spill is None and self._booted:
            try:
                with transaction(self._db, "write to the queue"):
                    self._write_head(self._position)
            except StoreError as error:
                self._fall_back(error)

    def _heal(self) -> bool:
        """Try the disk again when it is time; True when all that was held in memory is on it."""
        spill = self._spill
        if spill is None or not spill.due(time.monotonic()):
            return spill is None
        try:
            with transaction(self._db, "write to the queue again"):  # numbers first: nothing new is sealed in here
                for gap in spill.holes:
                    note_holes(self._db, gap)
                self._write_head(spill.position)
        except StoreError as error:
            self.fault = str(error)
            return False
        self._follow(spill.position)
        spill.holes.clear()
        rows, conditions, manifest = dict(spill.held), self._conditions, self._manifest

        def write() -> None:
            with transaction(self._db, "store what was held in memory"):
                for identity, (entry, body) in rows.items():
                    self._insert_row(identity, entry, body)
                self._put_documents(self._held_documents)
                self._db.execute("update head set conditions = ?, manifest = ?", (conditions, manifest))

        try:
            sizes = (pages_for(len(entry.statement) + len(body or b"")) for entry, body in rows.values())
            self._with_room(sum(sizes), write)
        except StoreError as error:
            self._fall_back(error)
            return False
        self._reread_spans()
        self._spill, self.fault = None, ""
        self._held_documents.clear()
        self._mark.put(self._position.boot)
        return True

    def retain(self, now_ms: int, keep_ms: int = KEEP_MS) -> int:
        """Delete one slice of batches safe at the server and older than `keep_ms`; return how many went."""
        if self._spill is not None and not self._heal():
            return 0
        self._regain()
        try:
            return self._delete(now_ms - keep_ms)
        except StoreError as error:
            self._fall_back(error)
            return 0

    def quarantine(self, epoch: int, seq: int, reason: str, time_us: int) -> None:
        """Keep a batch the server refused for good, and offer it no more; asked anew after a crash on a bad disk."""
        identity = row_id(epoch, seq)
        try:
            with transaction(self._db, "quarantine a batch"):
                self._db.execute("insert or ignore into quarantine values(?,?,?)", (identity, reason[:500], time_us))
        except StoreError as error:
            if self._spill is None:
                self._fall_back(error)
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

    def offer(
        self,
        above: Iterable[Range] = (),
        skip: Collection[int] = (),
        newest: int = 0,
        batches_max: int = OFFER_BATCHES_MAX,
        bytes_max: int = OFFER_BYTES_MAX,
    ) -> list[Offer]:
        """Return what to send next: not at the server by `remote.server_id` and `above`, not refused, not in `skip`.

        What is in memory alone comes first, then alarms, the `newest` batches, the backlog in order. A row that is not
        as it was sealed is never offered: what is lost of it is put on record.
        """
        missing = missing_ids(self._remote.server_id, above, self._end())
        passed_over = self._quarantined.union(skip)
        chosen = self._offer_held(missing, passed_over, batches_max, bytes_max)
        if len(chosen) < batches_max:
            try:
                with guard("read the queue"):
                    rows = offer(self._db, missing, passed_over, newest, batches_max - len(chosen), bytes_max)
                    if not (rows or chosen or self._searched) and count_missing(self._spans, missing, passed_over):
                        rows = search(self._db, missing, passed_over, min(batches_max, 32))
                        self._searched = not rows  # a hole that is known; not sought again in this run
                chosen += [each for row in rows if (each := self._checked(row)) is not None]
            except StoreError as error:
                if self._spill is None:
                    self._fall_back(error)
        return chosen

    def unsent_after(self, after: int, above: Iterable[Range] = ()) -> list[Offer]:
        """Return unsent batches on disk behind the row id `after`, in order, as many as one post takes."""
        missing = missing_ids(max(self._remote.server_id, after), above, self._end())
        with guard("read the queue"):
            rows = offer(self._db, missing, self._quarantined, 0, OFFER_BATCHES_MAX, OFFER_BYTES_MAX, False)
        return [row for row in rows if not (self._check and self._check(*row))]

    def _offer_held(
        self, missing: list[tuple[int, int]], passed_over: Collection[int], batches_max: int, bytes_max: int
    ) -> list[Offer]:
        chosen: list[Offer] = []
        held = self._spill.held if self._spill else {}
        for identity, (entry, body) in sorted(held.items(), key=lambda item: (item[1].entry.priority != 0, item[0])):
            if identity in passed_over or not any(low <= identity <= high for low, high in missing):
                continue
            bytes_max -= len(entry.statement) + len(body or b"")
            if chosen and (bytes_max < 0 or len(chosen) == batches_max):
                break
            chosen.append(Offer(*number_of(identity), entry.statement, body))
        return chosen

    def _checked(self, row: Offer) -> Offer | None:
        """Return a row as it may be sent; what is damaged of it is taken out, on record."""
        part = self._check(*row) if self._check and self._booted else ""
        if not part:
            return row
        identity, after = row_id(row.epoch, row.seq), self._position
        gap = Gap("damage", row.epoch, ((row.seq, row.seq),), 1, 0, 0, self._last_ms, self._last_ms)
        if self._spill is not None:
            return None
        with transaction(self._db, "take out a damaged batch"):
            if part == "body":
                rewrite_without_body(self._db, [identity])
            else:
                self._db.execute("delete from batch where id = ?", (identity,))
                note_holes(self._db, gap)
            after = self._insert(after, self._seal_gap(after, gap))
        self._follow(after)
        self._reread_spans()
        return row._replace(body=None) if part == "body" else None

    def reach(self, server_id: int, above: Iterable[Range] = ()) -> int:
        """Return how far everything this file can still give is settled: at the server, refused, or damaged here."""
        ranges = sorted((row_id(epoch, first), row_id(epoch, last)) for epoch, first, last in above)
        at = server_id
        while True:
            following = self._following(at)
            held = [last for first, last in ranges if following is not None and first <= following <= last]
            if held:
                at = max(held)
            elif following is not None and following in self._quarantined:
                at = following
            else:
                return at

    def _following(self, at: int) -> int | None:
        """Return the next row id behind `at`; while the disk cannot be read, one that stops whoever asks."""
        held = min((identity for identity in (self._spill.held if self._spill else {}) if identity > at), default=None)
        try:
            with guard("read the queue"):
                stored = self._db.execute("select min(id) from batch where id > ?", (at,)).fetchone()[0]
        except StoreError:
            return at + 1
        return held if stored is None else stored if held is None else min(stored, held)

    def lacking(self, server_id: int, until: int) -> list[Gap]:
        """Return what of this epoch lies behind `server_id` up to `until` and is not here any more."""
        epoch = self._position.epoch
        low = max(server_id + 1, row_id(epoch, 0))
        with guard("read the queue"):
            first = self._db.execute("select min(id) from batch where id >= ?", (low,)).fetchone()[0]
        last = until if first is None else min(first - 1, until)
        if last < low:
            return []
        ranges = ((number_of(low)[1], number_of(last)[1]),)
        return [Gap("not_kept", epoch, ranges, last - low + 1, 0, 0, self._last_ms, self._last_ms)]

    def unsent(self, above: Iterable[Range] = ()) -> int:
        """Return how many batches the server still lacks, those it refused apart."""
        missing = missing_ids(self._remote.server_id, above, self._end())
        return count_missing(self._all_spans(), missing, self._quarantined)

    def _all_spans(self) -> list[Range]:
        if self._spill is None:
            return self._spans
        first, last = self._spill.span
        return [*self._spans, (number_of(first)[0], number_of(first)[1], number_of(last)[1])]

    def _end(self) -> int:
        return row_id(self.position.epoch, self.position.seq)

    def document(self, digest: bytes) -> tuple[str, bytes] | None:
        """Return (kind, body) of a manifest or structure by the first bytes of its digest, None if unknown."""
        if not digest:
            return None
        for known, document in self._held_documents.items():
            if known.startswith(digest):
                return document
        with guard("read a document"):
            row = self._db.execute(
                "select kind, body from document where substr(digest, 1, ?) = ? limit 1", (len(digest), digest)
            ).fetchone()
        return (row[0], row[1]) if row else None

    def close(self) -> None:
        """Write what is in memory and close the file; with a reserve, a disk that fails now is left as it is."""
        if self._spill is not None:
            self._spill.hasten()
            self._heal()
        try:
            with contextlib.suppress(*((StoreError,) if self._reserve else ())):
                if self._spill is None:
                    self.flush()
                    self._close_reserve()
        finally:
            with guard("close the queue"):
                self._db.close()

    def _close_reserve(self) -> None:
        """Say on disk that the reserve was not used: the next start goes on with the next number."""
        if self._booted and self._position.seq and self._reserve:
            with transaction(self._db, "close the queue"):
                self._db.execute("update head set reserved = seq")
            self._mark.remove()
