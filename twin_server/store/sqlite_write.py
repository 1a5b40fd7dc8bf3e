"""The write side of one enterprise's file: plain SQL inside the writer thread's transaction."""

import json
import math
import sqlite3
from collections.abc import Mapping, Sequence

from twin_server.store import sqlite_shelves
from twin_server.store.rows import (
    Acknowledgement,
    AggregateBlock,
    Arrivals,
    Audit,
    Chain,
    Checkpoint,
    Gateway,
    StoredBatch,
    StoredDocument,
    StoredEvent,
)
from twin_server.store.shelves import Numbers
from twin_server.store.sqlite_read import chain_of, document_by_prefix, gateway_of, tile
from twin_server.store.sqlite_schema import SLOT_US

_MERGE_ARRIVAL = """
insert into arrival values(?,?,?,?,?,?,?,?) on conflict do update set
    batches = batches + excluded.batches, samples = samples + excluded.samples, good = good + excluded.good,
    late = late + excluded.late, delay_us = max(delay_us, excluded.delay_us)"""
_MERGE_EVENT = """
insert into event values(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) on conflict do update set
    end_us = excluded.end_us, severity = excluded.severity, detector = excluded.detector, numbers = excluded.numbers,
    text = excluded.text, epoch = excluded.epoch, seq = excluded.seq, idx = excluded.idx,
    updated_us = excluded.updated_us
where (excluded.epoch, excluded.seq) >= (epoch, seq)"""


class SqliteTransaction:
    """See `store.Transaction`; `appended` is what `on_commit` will be told, `numbers` what may be kept after it."""

    def __init__(self, db: sqlite3.Connection, enterprise: str, numbers: Mapping[str, Numbers]) -> None:
        self.db = db
        self.ent = enterprise
        self.appended: list[StoredBatch] = []
        self.numbers: dict[str, Numbers] = {}  # by gateway, as this transaction leaves them
        self._numbers = numbers  # as committed
        self._shelves = sqlite_shelves.Shelves(db, enterprise)

    def size(self) -> int:
        """Return the number of entries in the log."""
        row = self.db.execute("select idx from entry where ent = ? order by idx desc limit 1", (self.ent,)).fetchone()
        return row[0] + 1 if row else 0

    def statements(self, first: int, limit: int) -> list[bytes]:
        """Return the statements of committed entries with index >= first, in log order."""
        query = "select statement from entry where ent = ? and idx >= ? order by idx limit ?"
        return [row[0] for row in self.db.execute(query, (self.ent, first, limit))]

    def gateway(self, gateway: str) -> Gateway | None:
        """Return one gateway, as this transaction sees it."""
        query = "select * from gateway where ent = ? and gateway = ?"
        row = self.db.execute(query, (self.ent, gateway)).fetchone()
        return gateway_of(row) if row else None

    def put_gateway(self, gateway: Gateway) -> None:
        """Insert or replace one gateway."""
        values = [json.dumps(value) if name == "above" else value for name, value in gateway._asdict().items()]
        self.db.execute(f"insert or replace into gateway values({_marks(1 + len(values))})", (self.ent, *values))

    def chain(self, gateway: str, epoch: int) -> Chain | None:
        """Return one epoch of a gateway."""
        query = "select * from chain where ent = ? and gateway = ? and epoch = ?"
        row = self.db.execute(query, (self.ent, gateway, epoch)).fetchone()
        return chain_of(row) if row else None

    def put_chain(self, chain: Chain) -> None:
        """Insert or replace one epoch of a gateway."""
        values = (self.ent, *chain[:-1], json.dumps(chain.above))
        self.db.execute(f"insert or replace into chain values({_marks(len(values))})", values)

    def chains(self, gateway: str) -> list[Chain]:
        """Return all epochs of a gateway, oldest first."""
        query = "select * from chain where ent = ? and gateway = ? order by epoch"
        return [chain_of(row) for row in self.db.execute(query, (self.ent, gateway))]

    def statement(self, gateway: str, epoch: int, seq: int) -> tuple[int, bytes] | None:
        """Return index and bytes of the undisputed statement with this number."""
        query = (
            "select idx, statement from entry where ent = ? and gateway = ? and epoch = ? and seq = ? and disputed = 0"
        )
        row: tuple[int, bytes] | None = self.db.execute(query, (self.ent, gateway, epoch, seq)).fetchone()
        return row

    def tile(self, level: int, n: int) -> bytes | None:
        """Return one full tile."""
        return tile(self.db, self.ent, level, n)

    def has_body(self, digest: bytes) -> bool:
        """Tell whether a body is here."""
        query = "select 1 from body where ent = ? and digest = ?"
        return self.db.execute(query, (self.ent, digest)).fetchone() is not None

    def append(self, batch: StoredBatch) -> None:
        """Add one entry, its body under its digest, its time index; handed to `on_commit` after the commit."""
        self.db.execute(f"insert into entry values({_marks(14)})", (self.ent, *batch[:13]))
        if batch.body is not None:
            self.put_body(batch.digest, batch.body)
        if batch.readable and not batch.disputed:
            slots = [(self.ent, slot, batch.index) for slot in slots_of(batch)]
            self.db.executemany("insert into slot values(?,?,?)", slots)
        self.appended.append(batch)

    def put_tile(self, level: int, n: int, hashes: bytes, root: bytes) -> None:
        """Keep one full tile of 256 hashes and the root over them."""
        self.db.execute("insert into tile values(?,?,?,?,?)", (self.ent, level, n, hashes, root))

    def put_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep a size that was signed."""
        values = (self.ent, checkpoint.size, checkpoint.time_us, checkpoint.root)
        self.db.execute("insert into checkpoint values(?,?,?,?)", values)

    def put_body(self, digest: bytes, body: bytes) -> None:
        """Keep a body of a statement already in the log."""
        self.db.execute("insert or ignore into body values(?,?,?)", (self.ent, digest, body))

    def put_document(self, document: StoredDocument) -> None:
        """Keep a manifest or structure version."""
        d = document
        self.put_body(d.digest, d.body)
        self.db.execute(
            "insert or ignore into document values(?,?,?,?,?,?,?)",
            (self.ent, d.digest, d.index, d.kind, d.gateway, d.valid_from_us, d.received_us),
        )

    def document(self, prefix: bytes) -> StoredDocument | None:
        """Return the manifest or structure whose digest begins with these bytes."""
        return document_by_prefix(self.db, self.ent, prefix)

    def add_aggregates(self, gateway: str, blocks: Sequence[AggregateBlock]) -> None:
        """Merge a batch's aggregates into the buckets."""
        if gateway not in self.numbers:
            held = self._numbers.get(gateway)
            self.numbers[gateway] = held.copy() if held else sqlite_shelves.load_numbers(self.db, self.ent, gateway)
        self._shelves.add(gateway, self.numbers[gateway], blocks)

    def finish(self) -> None:
        """Write what was kept in memory so far; the last step before the commit."""
        self._shelves.flush()

    def add_arrivals(self, rows: Sequence[Arrivals]) -> None:
        """Merge a batch's arrival counts."""
        self.db.executemany(_MERGE_ARRIVAL, [(self.ent, row.t0_us, row.gateway, *row[2:]) for row in rows])

    def put_event(self, event: StoredEvent) -> None:
        """Insert a condition or replace an older word about it."""
        e = event
        numbers = json.dumps({k: v if math.isfinite(v) else None for k, v in e.numbers.items()}, ensure_ascii=False)
        identity = (self.ent, e.begin_us, e.gateway, e.point, e.rule)
        self.db.execute(_MERGE_EVENT, (*identity, e.end_us, e.severity, e.detector, numbers, *e[8:]))

    def acknowledge(self, row: Acknowledgement) -> None:
        """Keep an acknowledgement."""
        values = (self.ent, row.begin_us, row.gateway, row.point, row.rule, row.at_us, row.by, row.note, row.severity)
        self.db.execute(f"insert or ignore into ack values({_marks(len(values))})", values)

    def audit(self, row: Audit) -> None:
        """Keep an audit row."""
        put_audit(self.db, self.ent, row)

    def note(self, name: str) -> bytes | None:
        """Return a small named value."""
        row = self.db.execute("select value from note where ent = ? and name = ?", (self.ent, name)).fetchone()
        return row[0] if row else None

    def put_note(self, name: str, value: bytes) -> None:
        """Keep a small named value (history id, boot counter, a saved state)."""
        self.db.execute("insert or replace into note values(?,?,?)", (self.ent, name, value))


def put_audit(db: sqlite3.Connection, enterprise: str, row: Audit) -> None:
    """Keep an audit row; several at one time are numbered in order."""
    query = "select ifnull(max(n), -1) + 1 from audit where ent = ? and at_us = ?"
    n = db.execute(query, (enterprise, row.at_us)).fetchone()[0]
    values = (enterprise, row.at_us, n, row.who, row.act, row.subject, row.detail)
    db.execute("insert into audit values(?,?,?,?,?,?,?)", values)


def slots_of(batch: StoredBatch) -> list[int]:
    """Return the time slots an entry touches: those of its readings, or of its two end times."""
    slots = {batch.t0_us // SLOT_US, batch.t1_us // SLOT_US}
    if batch.batch is not None:
        for block in batch.batch.blocks:
            slots.update((block.time_us // SLOT_US).tolist())
        slots.update((batch.batch.fixes.time_us // SLOT_US).tolist())
    return sorted(slots)


def _marks(count: int) -> str:
    return ",".join("?" * count)
