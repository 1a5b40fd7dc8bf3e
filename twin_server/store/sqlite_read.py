"""Reads of one enterprise's file: plain SQL on a snapshot, one function per question."""

import json
import sqlite3

from twin_server.store.rows import (
    Acknowledgement,
    Arrivals,
    Audit,
    Chain,
    Checkpoint,
    Gateway,
    StoredBatch,
    StoredDocument,
    StoredEvent,
)
from twin_server.store.sqlite_schema import SLOT_US

_FIELDS = (
    "e.idx, e.kind, e.gateway, e.epoch, e.seq, e.t0_us, e.t1_us, e.received_us, e.rows, e.disputed, "
    "e.readable, e.digest, e.statement"
)
ENTRY = f"select {_FIELDS}, b.body from entry e left join body b on b.ent = e.ent and b.digest = e.digest"  # noqa: S608
_ENTRY_BARE = f"select {_FIELDS}, null from entry e"  # noqa: S608
_DOCUMENT = (
    "select d.idx, d.kind, d.gateway, d.digest, d.valid_from_us, d.received_us, b.body from document d "
    "join body b on b.ent = d.ent and b.digest = d.digest"
)

Db = sqlite3.Connection
Row = tuple[object, ...]


def entry_of(row: Row) -> StoredBatch:
    """Make a StoredBatch of a row of ENTRY."""
    batch = StoredBatch._make((*row, None))
    return batch._replace(disputed=bool(batch.disputed), readable=bool(batch.readable))


def gateway_of(row: Row) -> Gateway:
    """Make a Gateway of a row of its table."""
    values = dict(zip(Gateway._fields, row[1:], strict=True))
    return Gateway(**{**values, "above": _ranges(values["above"])})  # type: ignore[arg-type]  # columns as declared


def chain_of(row: Row) -> Chain:
    """Make a Chain of a row of its table."""
    return Chain._make((*row[1:-1], _ranges(row[-1])))


def _ranges(text: object) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(part) for part in json.loads(str(text)))


def size(db: Db, ent: str) -> int:
    """Return the number of entries."""
    row = db.execute("select idx from entry where ent = ? order by idx desc limit 1", (ent,)).fetchone()
    return row[0] + 1 if row else 0


def entry(db: Db, ent: str, index: int) -> StoredBatch | None:
    """Return one entry with its body."""
    row = db.execute(f"{ENTRY} where e.ent = ? and e.idx = ?", (ent, index)).fetchone()
    return entry_of(row) if row else None


def entries(db: Db, ent: str, since: int, limit: int, without: str, bodies: bool) -> list[StoredBatch]:
    """Return entries in log order; leaving out "data" uses the index of the rest."""
    select = ENTRY if bodies else _ENTRY_BARE
    condition = "and e.kind <> 'data'" if without == "data" else "and e.kind <> ?" if without else ""
    values = (ent, since, without, limit) if without and without != "data" else (ent, since, limit)
    query = f"{select} where e.ent = ? and e.idx >= ? {condition} order by e.idx limit ?"
    return [entry_of(row) for row in db.execute(query, values)]


def find(db: Db, ent: str, gateway: str, epoch: int, seq: int) -> StoredBatch | None:
    """Return the undisputed entry with this number."""
    query = f"{ENTRY} where e.ent = ? and e.gateway = ? and e.epoch = ? and e.seq = ? and e.disputed = 0"
    row = db.execute(query, (ent, gateway, epoch, seq)).fetchone()
    return entry_of(row) if row else None


def tile(db: Db, ent: str, level: int, n: int) -> bytes | None:
    """Return one full tile."""
    row = db.execute("select hashes from tile where ent = ? and level = ? and n = ?", (ent, level, n)).fetchone()
    return row[0] if row else None


def tile_roots(db: Db, ent: str, level: int, n_from: int, n_to: int) -> list[bytes]:
    """Return the roots of full tiles [n_from, n_to)."""
    query = "select root from tile where ent = ? and level = ? and n >= ? and n < ? order by n"
    return [row[0] for row in db.execute(query, (ent, level, n_from, n_to))]


def checkpoint_at(db: Db, ent: str, index: int) -> Checkpoint | None:
    """Return the first signed size that covers an entry."""
    found = checkpoints(db, ent, index + 1, 1)
    return found[0] if found else None


def checkpoints(db: Db, ent: str, from_size: int, limit: int) -> list[Checkpoint]:
    """Return signed sizes >= from_size, rising."""
    query = "select size, root, time_us from checkpoint where ent = ? and size >= ? order by size limit ?"
    return [Checkpoint._make(row) for row in db.execute(query, (ent, from_size, limit))]


def body(db: Db, ent: str, digest: bytes) -> bytes | None:
    """Return a body by its SHA-256."""
    row = db.execute("select body from body where ent = ? and digest = ?", (ent, digest)).fetchone()
    return row[0] if row else None


def next_slot(db: Db, ent: str, slot: int) -> int | None:
    """Return the first time slot >= `slot` that any entry touches."""
    row = db.execute("select slot from slot where ent = ? and slot >= ? order by slot limit 1", (ent, slot)).fetchone()
    return row[0] if row else None


def slot_indices(db: Db, ent: str, slot: int, from_us: int, to_us: int, gateway: str, kind: str) -> list[int]:
    """Return the entries of one slot that touch [from_us, to_us), by first event time."""
    query = (
        "select e.idx from slot s join entry e on e.ent = s.ent and e.idx = s.idx where s.ent = ? and s.slot = ? "
        "and e.t1_us >= ? and e.t0_us < ? and (? = '' or e.kind = ?) and (? = '' or e.gateway = ?) "
        "order by e.t0_us, e.idx"
    )
    return [row[0] for row in db.execute(query, (ent, slot, from_us, to_us, kind, kind, gateway, gateway))]


def some(db: Db, ent: str, indices: list[int]) -> list[StoredBatch]:
    """Return the entries with these indices, in the order asked."""
    query = f"{ENTRY} where e.ent = ? and e.idx = ?"
    return [entry_of(db.execute(query, (ent, index)).fetchone()) for index in indices]


def numbered(db: Db, ent: str, gateway: str, epoch: int, first: int, last: int) -> list[int]:
    """Return the indices of a gateway's undisputed statements numbered first to last, by number."""
    query = (
        "select idx from entry where ent = ? and gateway = ? and epoch = ? and seq >= ? and seq <= ? and disputed = 0 "
        "order by seq"
    )
    return [row[0] for row in db.execute(query, (ent, gateway, epoch, first, last))]


def latest(db: Db, ent: str, gateway: str, before_us: int) -> StoredBatch | None:
    """Return the data batch with the greatest last event time below `before_us`."""
    query = (
        f"{ENTRY} where e.ent = ? and e.gateway = ? and e.t1_us < ? and e.kind = 'data' and e.disputed = 0 "
        "and e.readable = 1 "
        "order by e.t1_us desc, e.epoch desc, e.seq desc limit 1"
    )
    row = db.execute(query, (ent, gateway, before_us)).fetchone()
    return entry_of(row) if row else None


def arrivals(db: Db, ent: str, from_us: int, to_us: int) -> list[Arrivals]:
    """Return arrival counts per gateway and minute of event time in [from_us, to_us)."""
    query = (
        "select gateway, t0_us, batches, samples, good, late, delay_us from arrival "
        "where ent = ? and t0_us >= ? and t0_us < ? order by t0_us, gateway"
    )
    return [Arrivals._make(row) for row in db.execute(query, (ent, from_us, to_us))]


def gateways(db: Db, ent: str) -> list[Gateway]:
    """Return all gateways of an enterprise."""
    return [gateway_of(row) for row in db.execute("select * from gateway where ent = ? order by gateway", (ent,))]


def chains(db: Db, ent: str) -> list[Chain]:
    """Return every epoch of every gateway."""
    return [chain_of(row) for row in db.execute("select * from chain where ent = ? order by gateway, epoch", (ent,))]


def documents(db: Db, ent: str, kind: str, gateway: str) -> list[StoredDocument]:
    """Return all versions, oldest first by valid_from_us."""
    query = f"{_DOCUMENT} where d.ent = ? and d.kind = ? and (? = '' or d.gateway = ?) order by d.valid_from_us, d.idx"
    return [StoredDocument._make(row) for row in db.execute(query, (ent, kind, gateway, gateway))]


def document_by_prefix(db: Db, ent: str, prefix: bytes) -> StoredDocument | None:
    """Return the version whose digest begins with these (8 to 32) bytes, the latest statement of it."""
    end = prefix + b"\xff" * (32 - len(prefix))
    query = f"{_DOCUMENT} where d.ent = ? and d.digest >= ? and d.digest <= ? order by d.idx desc limit 1"
    row = db.execute(query, (ent, prefix, end)).fetchone()
    return StoredDocument._make(row) if row else None


def events(db: Db, ent: str, from_us: int, to_us: int, active: bool) -> list[StoredEvent]:
    """Return conditions that touch [from_us, to_us), newest begin first."""
    condition = "end_us = 0" if active else "(end_us = 0 or end_us >= ?)"
    values = (ent, to_us) if active else (ent, to_us, from_us)
    query = (
        "select gateway, point, rule, begin_us, end_us, severity, detector, numbers, text, epoch, seq, idx, "  # noqa: S608
        f"received_us, updated_us from event where ent = ? and begin_us < ? and {condition} "
        "order by begin_us desc, gateway, point, rule"
    )
    found = (StoredEvent._make(row) for row in db.execute(query, values))
    return [event._replace(numbers=_numbers(str(event.numbers))) for event in found]


def _numbers(text: str) -> dict[str, float]:
    return {name: float("nan") if value is None else value for name, value in json.loads(text).items()}


def acknowledgements(db: Db, ent: str, from_us: int, to_us: int) -> list[Acknowledgement]:
    """Return acknowledgements of conditions that begin in [from_us, to_us), oldest first."""
    query = (
        "select gateway, point, rule, begin_us, by, at_us, note, severity from ack "
        "where ent = ? and begin_us >= ? and begin_us < ? order by at_us"
    )
    return [Acknowledgement._make(row) for row in db.execute(query, (ent, from_us, to_us))]


def note(db: Db, ent: str, name: str) -> bytes | None:
    """Return a small named value."""
    row = db.execute("select value from note where ent = ? and name = ?", (ent, name)).fetchone()
    return row[0] if row else None


def audits(db: Db, ent: str, from_us: int, to_us: int) -> list[Audit]:
    """Return audit rows with from_us <= at_us < to_us, oldest first."""
    query = (
        "select at_us, who, act, subject, detail from audit where ent = ? and at_us >= ? and at_us < ? "
        "order by at_us, n"
    )
    return [Audit._make(row) for row in db.execute(query, (ent, from_us, to_us))]


def slot_of(time_us: int) -> int:
    """Return the time slot of a time."""
    return time_us // SLOT_US
