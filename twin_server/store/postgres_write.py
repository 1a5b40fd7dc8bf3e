"""The write side of one enterprise in PostgreSQL: locked by its head row, kept in memory, sent in one go at the end.

Reads see what the transaction itself has put, as its caller expects; the statements reach the server in `finish`, all
at once, so that a batch does not pay for a dozen round trips.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg

from twin_server.store import postgres_read
from twin_server.store.postgres_schema import SLOT_US
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
from twin_server.store.shelves import Columns, Numbers, columns_of, merge, rows_of
from twin_wire.errors import StoreError

Db = psycopg.Connection[tuple[Any, ...]]
Row = tuple[object, ...]

NUMBERS_AHEAD = 32  # statements of a gateway read at once: a post's numbers follow one another

# In this order at the end of a transaction: the log first.
_SQL = {
    "entry": "insert into entry values(%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s)",
    "body": "insert into body values(%s,%s,%s) on conflict do nothing",
    "slot": "insert into slot values(%s,%s,%s)",
    "tile": "insert into tile values(%s,%s,%s,%s,%s)",
    "checkpoint": "insert into checkpoint values(%s,%s,%s,%s)",
    "document": "insert into document values(%s,%s,%s,%s,%s,%s,%s) on conflict do nothing",
    "gateway": (
        "insert into gateway values(%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s) on conflict(ent, gateway) do update "
        "set name = excluded.name, site = excluded.site, kid = excluded.kid, public = excluded.public, "
        "epoch = excluded.epoch, enrolled = excluded.enrolled, revoked = excluded.revoked, seq = excluded.seq, "
        "hash = excluded.hash, above = excluded.above, last_event_us = excluded.last_event_us, "
        "last_received_us = excluded.last_received_us, forks = excluded.forks"
    ),
    "chain": (
        "insert into chain values(%s,%s,%s,%s,%s,%s,%s,%s,%s,%s) on conflict(ent, gateway, epoch) do update "
        "set kid = excluded.kid, public = excluded.public, enrolled = excluded.enrolled, revoked = excluded.revoked, "
        "seq = excluded.seq, hash = excluded.hash, above = excluded.above"
    ),
    "point": "insert into point values(%s,%s,%s,%s)",
    "aggregate": (
        "insert into aggregate values(%s,%s,%s,%s,%s) "
        "on conflict(ent, level_us, shelf, t0_us) do update set data = excluded.data"
    ),
    "arrival": (
        "insert into arrival values(%s,%s,%s,%s,%s,%s,%s,%s) on conflict(ent, t0_us, gateway) do update set "
        "batches = arrival.batches + excluded.batches, samples = arrival.samples + excluded.samples, "
        "good = arrival.good + excluded.good, late = arrival.late + excluded.late, "
        "delay_us = greatest(arrival.delay_us, excluded.delay_us)"
    ),
    "event": (
        "insert into event values(%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s) "
        "on conflict(ent, begin_us, gateway, point, rule) do update set "
        "end_us = excluded.end_us, severity = excluded.severity, detector = excluded.detector, "
        "numbers = excluded.numbers, text = excluded.text, epoch = excluded.epoch, seq = excluded.seq, "
        "idx = excluded.idx, updated_us = excluded.updated_us "
        "where (excluded.epoch, excluded.seq) >= (event.epoch, event.seq)"
    ),
    "ack": "insert into ack values(%s,%s,%s,%s,%s,%s,%s,%s,%s) on conflict do nothing",
    "note": "insert into note values(%s,%s,%s) on conflict(ent, name) do update set value = excluded.value",
}
_STATEMENTS = (
    "select seq, idx, statement from entry "
    "where ent = %s and gateway = %s and epoch = %s and seq >= %s and seq < %s and not disputed"
)


class PostgresTransaction:
    """See `store.Transaction`; the enterprise's head row is locked from here to the end of the transaction."""

    def __init__(self, db: Db, enterprise: str, numbers: Mapping[str, Numbers]) -> None:
        self.db = db
        self.ent = enterprise
        self.appended: list[StoredBatch] = []
        self.numbers: dict[str, Numbers] = {}  # by gateway, as this transaction leaves them
        self._numbers = numbers  # as committed
        with db.pipeline():  # the transaction begins on the same way
            head = db.execute("select size from head where ent = %s for update", (enterprise,)).fetchone()
        if head is None:
            raise StoreError(f"no enterprise {enterprise!r} in this database")
        self._begin = int(head[0])
        self._rows: dict[str, list[Row]] = {}  # by table, still to be sent
        self._gateways: dict[str, Gateway | None] = {}
        self._chains: dict[str, dict[int, Chain]] = {}
        self._changed: set[tuple[str, int]] = set()  # chains to be sent
        self._renewed: set[str] = set()  # gateways to be sent
        self._held: dict[tuple[str, int], dict[int, tuple[int, bytes] | None]] = {}  # statements by chain and number
        self._tiles: dict[tuple[int, int], bytes] = {}
        self._bodies: set[bytes] = set()
        self._notes: dict[str, bytes] = {}
        self._shelves: dict[tuple[str, int, int], tuple[list[int], Columns]] = {}  # by gateway, level, bucket

    def size(self) -> int:
        """Return the number of entries in the log."""
        return self._begin + len(self.appended)

    def statements(self, first: int, limit: int) -> list[bytes]:
        """Return the statements of committed entries with index >= first, in log order."""
        query = "select statement from entry where ent = %s and idx >= %s order by idx limit %s"
        return [row[0] for row in self.db.execute(query, (self.ent, first, limit))]

    def gateway(self, gateway: str) -> Gateway | None:
        """Return one gateway, as this transaction sees it."""
        if gateway not in self._gateways:
            found = postgres_read.gateways(self.db, self.ent, gateway)
            self._gateways[gateway] = found[0] if found else None
        return self._gateways[gateway]

    def put_gateway(self, gateway: Gateway) -> None:
        """Insert or replace one gateway."""
        self._gateways[gateway.gateway] = gateway
        self._renewed.add(gateway.gateway)

    def chain(self, gateway: str, epoch: int) -> Chain | None:
        """Return one epoch of a gateway."""
        return self._epochs(gateway).get(epoch)

    def put_chain(self, chain: Chain) -> None:
        """Insert or replace one epoch of a gateway."""
        self._epochs(chain.gateway)[chain.epoch] = chain
        self._changed.add((chain.gateway, chain.epoch))

    def chains(self, gateway: str) -> list[Chain]:
        """Return all epochs of a gateway, oldest first."""
        return [chain for _, chain in sorted(self._epochs(gateway).items())]

    def statement(self, gateway: str, epoch: int, seq: int) -> tuple[int, bytes] | None:
        """Return index and bytes of the undisputed statement with this number."""
        held = self._held.setdefault((gateway, epoch), {})
        if seq not in held:
            first = max(seq - 1, 0)
            ahead = [number for number in range(first, first + NUMBERS_AHEAD) if number not in held]
            held |= dict.fromkeys([*ahead, seq])
            values = (self.ent, gateway, epoch, first, first + NUMBERS_AHEAD)
            for number, index, statement in self.db.execute(_STATEMENTS, values):
                held[number] = held[number] or (index, statement)
        return held[seq]

    def tile(self, level: int, n: int) -> bytes | None:
        """Return one full tile."""
        return self._tiles.get((level, n)) or postgres_read.tile(self.db, self.ent, level, n)

    def has_body(self, digest: bytes) -> bool:
        """Tell whether a body is here."""
        query = "select 1 from body where ent = %s and digest = %s"
        return digest in self._bodies or self.db.execute(query, (self.ent, digest)).fetchone() is not None

    def append(self, batch: StoredBatch) -> None:
        """Add one entry, its body under its digest, its time index; StoreError unless it is the next one."""
        if batch.index != self.size():
            raise StoreError(f"entry {batch.index} of {self.ent!r} cannot follow {self.size()} others")
        self._put("entry", batch[:13])
        if batch.body is not None:
            self.put_body(batch.digest, batch.body)
        if not batch.disputed:
            held = self._held.setdefault((batch.gateway, batch.epoch), {})
            held[batch.seq] = held.get(batch.seq) or (batch.index, batch.statement)
            if batch.readable:
                for slot in slots_of(batch):
                    self._put("slot", (slot, batch.index))
        self.appended.append(batch)

    def put_tile(self, level: int, n: int, hashes: bytes, root: bytes) -> None:
        """Keep one full tile of 256 hashes and the root over them."""
        self._tiles[level, n] = hashes
        self._put("tile", (level, n, hashes, root))

    def put_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep a size that was signed."""
        self._put("checkpoint", (checkpoint.size, checkpoint.time_us, checkpoint.root))

    def put_body(self, digest: bytes, body: bytes) -> None:
        """Keep a body of a statement already in the log."""
        self._bodies.add(digest)
        self._put("body", (digest, body))

    def put_document(self, document: StoredDocument) -> None:
        """Keep a manifest or structure version."""
        d = document
        self.put_body(d.digest, d.body)
        self._put("document", (d.digest, d.index, d.kind, d.gateway, d.valid_from_us, d.received_us))

    def document(self, prefix: bytes) -> StoredDocument | None:
        """Return the manifest or structure whose digest begins with these bytes."""
        self._send(("body", "document"))
        return postgres_read.document_by_prefix(self.db, self.ent, prefix)

    def add_aggregates(self, gateway: str, blocks: Sequence[AggregateBlock]) -> None:
        """Merge a batch's aggregates into the buckets."""
        if gateway not in self.numbers:
            held = self._numbers.get(gateway)
            self.numbers[gateway] = held.copy() if held else self._load_numbers(gateway)
        numbers = self.numbers[gateway]
        new = [block.points for block in blocks if not numbers.has(block.points)]
        if new:
            self._number(gateway, numbers, list(dict.fromkeys(point for points in new for point in points)))
        self._load_shelves(gateway, numbers.shelves, {(block.level_us, block.t0_us) for block in blocks})
        for block in blocks:
            columns = self._shelves[gateway, block.level_us, block.t0_us][1]
            merge(columns, block, numbers.places_of(block.points))

    def finish(self) -> None:
        """Send what was kept in memory so far; the last step before the commit."""
        self._flush_shelves()
        for name in sorted(self._renewed):
            gateway = self._gateways[name]
            assert gateway is not None
            values = [json.dumps(value) if field == "above" else value for field, value in gateway._asdict().items()]
            self._put("gateway", values)
        for name, epoch in sorted(self._changed):
            chain = self._chains[name][epoch]
            self._put("chain", (*chain[:-1], json.dumps(chain.above)))
        for name, value in self._notes.items():
            self._put("note", (name, value))
        with self.db.pipeline():
            self._send(tuple(_SQL))
            query = "update head set size = %s where ent = %s and size = %s"
            moved = self.db.execute(query, (self.size(), self.ent, self._begin)) if self.appended else None
        if moved is not None and moved.rowcount != 1:
            raise StoreError(f"another process moved the head of {self.ent!r}")

    def add_arrivals(self, rows: Sequence[Arrivals]) -> None:
        """Merge a batch's arrival counts."""
        for row in rows:
            self._put("arrival", (row.t0_us, row.gateway, *row[2:]))

    def put_event(self, event: StoredEvent) -> None:
        """Insert a condition or replace an older word about it."""
        e = event
        numbers = json.dumps({k: v if math.isfinite(v) else None for k, v in e.numbers.items()}, ensure_ascii=False)
        words = (e.end_us, e.severity, e.detector, numbers, *e[8:])
        self._put("event", (e.begin_us, e.gateway, e.point, e.rule, *words))

    def acknowledge(self, row: Acknowledgement) -> None:
        """Keep an acknowledgement."""
        self._put("ack", (row.begin_us, row.gateway, row.point, row.rule, row.at_us, row.by, row.note, row.severity))

    def audit(self, row: Audit) -> None:
        """Keep an audit row."""
        put_audit(self.db, self.ent, row)

    def note(self, name: str) -> bytes | None:
        """Return a small named value."""
        return self._notes[name] if name in self._notes else postgres_read.note(self.db, self.ent, name)

    def put_note(self, name: str, value: bytes) -> None:
        """Keep a small named value (history id, boot counter, a saved state)."""
        self._notes[name] = value

    # -- kept in memory

    def _put(self, table: str, values: Iterable[object]) -> None:
        self._rows.setdefault(table, []).append((self.ent, *values))

    def _send(self, tables: Sequence[str]) -> None:
        cursor = self.db.cursor()
        for table in tables:
            rows = self._rows.pop(table, None)
            if rows:
                cursor.executemany(_SQL[table], rows)

    def _epochs(self, gateway: str) -> dict[int, Chain]:
        if gateway not in self._chains:
            found = postgres_read.chains(self.db, self.ent, gateway)
            self._chains[gateway] = {chain.epoch: chain for chain in found}
        return self._chains[gateway]

    def _load_numbers(self, gateway: str) -> Numbers:
        query = "select point, pid from point where ent = %s and gateway = %s"
        return Numbers(dict(self.db.execute(query, (self.ent, gateway)).fetchall()))

    def _number(self, gateway: str, numbers: Numbers, points: Sequence[str]) -> None:
        """Give points never seen before their numbers, from those that are committed or were sent."""
        self._flush_shelves()  # new points may stand on new shelves
        self._send(("point",))
        committed = self._load_numbers(gateway)
        numbers.known, numbers.shelves, numbers.places = committed.known, committed.shelves, committed.places
        query = "select coalesce(max(pid), -1) + 1 from point where ent = %s"
        row = self.db.execute(query, (self.ent,)).fetchone()
        for point, pid in numbers.number(points, row[0] if row else 0):
            self._put("point", (gateway, point, pid))

    def _load_shelves(self, gateway: str, shelves: list[int], buckets: set[tuple[int, int]]) -> None:
        """Read the rows of buckets not yet in memory, with one question for all."""
        found: dict[tuple[int, int], dict[int, bytes]] = {
            bucket: {} for bucket in buckets if (gateway, *bucket) not in self._shelves
        }
        if not found:
            return
        self._send(("aggregate",))
        levels, times = list({level_us for level_us, _ in found}), list({t0_us for _, t0_us in found})
        query = (
            "select level_us, t0_us, shelf, data from aggregate "
            "where ent = %s and level_us = any(%s) and shelf = any(%s) and t0_us = any(%s)"
        )
        for level_us, t0_us, shelf, data in self.db.execute(query, (self.ent, levels, shelves, times)):
            if (level_us, t0_us) in found:
                found[level_us, t0_us][shelf] = data
        for (level_us, t0_us), rows in found.items():
            self._shelves[gateway, level_us, t0_us] = (shelves, columns_of(shelves, rows))

    def _flush_shelves(self) -> None:
        for (_, level_us, t0_us), (shelves, columns) in self._shelves.items():
            for shelf, data in rows_of(shelves, columns):
                self._put("aggregate", (level_us, shelf, t0_us, data))
        self._shelves.clear()


def put_audit(db: Db, enterprise: str, row: Audit) -> None:
    """Keep an audit row; several at one time are numbered in order, whichever process they come from."""
    done = 0
    while not done:
        query = "select coalesce(max(n), -1) + 1 from audit where ent = %s and at_us = %s"
        found = db.execute(query, (enterprise, row.at_us)).fetchone()
        values = (enterprise, row.at_us, found[0] if found else 0, row.who, row.act, row.subject, row.detail)
        done = db.execute("insert into audit values(%s,%s,%s,%s,%s,%s,%s) on conflict do nothing", values).rowcount


def slots_of(batch: StoredBatch) -> list[int]:
    """Return the time slots an entry touches: those of its readings, or of its two end times."""
    slots = {batch.t0_us // SLOT_US, batch.t1_us // SLOT_US}
    if batch.batch is not None:
        for block in batch.batch.blocks:
            slots.update((block.time_us // SLOT_US).tolist())
        slots.update((batch.batch.fixes.time_us // SLOT_US).tolist())
    return sorted(slots)
