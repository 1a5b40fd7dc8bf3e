"""Reads of one enterprise in PostgreSQL: every question is one statement, and so sees whole transactions only."""

import json
from collections.abc import Sequence
from typing import Any

import psycopg

from twin_server.store.postgres_schema import SLOT_US
from twin_server.store.rows import (
    Acknowledgement,
    Aggregates,
    Arrivals,
    Audit,
    Chain,
    Checkpoint,
    Gateway,
    StoredBatch,
    StoredDocument,
    StoredEvent,
)
from twin_server.store.shelves import CELL, SHELF, aggregates_of
from twin_wire.errors import StoreError

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
_GATEWAY = (
    "select gateway, name, site, kid, public, epoch, enrolled, revoked, seq, hash, above, last_event_us, "
    "last_received_us, forks from gateway where ent = %s"
)
_CHAIN = (
    "select gateway, epoch, kid, public, enrolled, revoked, seq, hash, above from chain "
    "where ent = %s and (%s = '' or gateway = %s) order by gateway collate \"C\", epoch"
)

Db = psycopg.Connection[tuple[Any, ...]]
Row = tuple[Any, ...]


def entry_of(row: Row) -> StoredBatch:
    """Make a StoredBatch of a row of ENTRY."""
    return StoredBatch._make((*row, None))


def ranges(text: str) -> tuple[tuple[int, ...], ...]:
    """Return ranges of numbers as they were before `json.dumps`."""
    return tuple(tuple(part) for part in json.loads(text))


def size(db: Db, ent: str) -> int:
    """Return the number of entries; StoreError for an enterprise that is not here."""
    row = db.execute("select size from head where ent = %s", (ent,)).fetchone()
    if row is None:
        raise StoreError(f"no enterprise {ent!r} in this database")
    return int(row[0])


def sizes(db: Db) -> dict[str, int]:
    """Return the number of entries of every enterprise; the one question that is not about one."""
    return dict(db.execute("select ent, size from head").fetchall())


def entry(db: Db, ent: str, index: int) -> StoredBatch | None:
    """Return one entry with its body."""
    row = db.execute(f"{ENTRY} where e.ent = %s and e.idx = %s", (ent, index)).fetchone()
    return entry_of(row) if row else None


def entries(db: Db, ent: str, since: int, limit: int, without: str, bodies: bool) -> list[StoredBatch]:
    """Return entries in log order; leaving out "data" uses the index of the rest."""
    select = ENTRY if bodies else _ENTRY_BARE
    condition = "and e.kind <> 'data'" if without == "data" else "and e.kind <> %s" if without else ""
    values = (ent, since, without, limit) if without and without != "data" else (ent, since, limit)
    query = f"{select} where e.ent = %s and e.idx >= %s {condition} order by e.idx limit %s"
    return [entry_of(row) for row in db.execute(query, values)]


def find(db: Db, ent: str, gateway: str, epoch: int, seq: int) -> StoredBatch | None:
    """Return the undisputed entry with this number."""
    query = f"{ENTRY} where e.ent = %s and e.gateway = %s and e.epoch = %s and e.seq = %s and not e.disputed"
    row = db.execute(query, (ent, gateway, epoch, seq)).fetchone()
    return entry_of(row) if row else None


def tile(db: Db, ent: str, level: int, n: int) -> bytes | None:
    """Return one full tile."""
    row = db.execute("select hashes from tile where ent = %s and level = %s and n = %s", (ent, level, n)).fetchone()
    return row[0] if row else None


def tile_roots(db: Db, ent: str, level: int, n_from: int, n_to: int) -> list[bytes]:
    """Return the roots of full tiles [n_from, n_to)."""
    query = "select root from tile where ent = %s and level = %s and n >= %s and n < %s order by n"
    return [row[0] for row in db.execute(query, (ent, level, n_from, n_to))]


def checkpoints(db: Db, ent: str, from_size: int, limit: int) -> list[Checkpoint]:
    """Return signed sizes >= from_size, rising."""
    query = "select size, root, time_us from checkpoint where ent = %s and size >= %s order by size limit %s"
    return [Checkpoint._make(row) for row in db.execute(query, (ent, from_size, limit))]


def body(db: Db, ent: str, digest: bytes) -> bytes | None:
    """Return a body by its SHA-256."""
    row = db.execute("select body from body where ent = %s and digest = %s", (ent, digest)).fetchone()
    return row[0] if row else None


def next_slot(db: Db, ent: str, slot: int) -> int | None:
    """Return the first time slot >= `slot` that any entry touches."""
    query = "select slot from slot where ent = %s and slot >= %s order by slot limit 1"
    row = db.execute(query, (ent, slot)).fetchone()
    return row[0] if row else None


def slot_indices(db: Db, ent: str, slot: int, from_us: int, to_us: int, gateway: str, kind: str) -> list[int]:
    """Return the entries of one slot that touch [from_us, to_us), by first event time."""
    query = (
        "select e.idx from slot s join entry e on e.ent = s.ent and e.idx = s.idx where s.ent = %s and s.slot = %s "
        "and e.t1_us >= %s and e.t0_us < %s and (%s = '' or e.kind = %s) and (%s = '' or e.gateway = %s) "
        "order by e.t0_us, e.idx"
    )
    return [row[0] for row in db.execute(query, (ent, slot, from_us, to_us, kind, kind, gateway, gateway))]


def some(db: Db, ent: str, indices: Sequence[int]) -> list[StoredBatch]:
    """Return the entries with these indices, in the order asked."""
    found = {row[0]: row for row in db.execute(f"{ENTRY} where e.ent = %s and e.idx = any(%s)", (ent, list(indices)))}
    return [entry_of(found[index]) for index in indices]


def numbered(db: Db, ent: str, gateway: str, epoch: int, first: int, last: int) -> list[int]:
    """Return the indices of a gateway's undisputed statements numbered first to last, by number."""
    query = (
        "select idx from entry where ent = %s and gateway = %s and epoch = %s and seq >= %s and seq <= %s "
        "and not disputed order by seq"
    )
    return [row[0] for row in db.execute(query, (ent, gateway, epoch, first, last))]


def latest(db: Db, ent: str, gateway: str, before_us: int) -> StoredBatch | None:
    """Return the data batch with the greatest last event time below `before_us`."""
    query = (
        f"{ENTRY} where e.ent = %s and e.gateway = %s and e.t1_us < %s and e.kind = 'data' and not e.disputed "
        "and e.readable order by e.t1_us desc, e.epoch desc, e.seq desc limit 1"
    )
    row = db.execute(query, (ent, gateway, before_us)).fetchone()
    return entry_of(row) if row else None


def aggregates(db: Db, ent: str, gateway: str, point: str, level_us: int, from_us: int, to_us: int) -> Aggregates:
    """Return one point's buckets that begin in [from_us, to_us); only the point's own bytes leave the server."""
    query = "select pid from point where ent = %s and gateway = %s and point = %s"
    found = db.execute(query, (ent, gateway, point)).fetchone()
    if found is None:
        return aggregates_of((), ())
    shelf, place = divmod(found[0], SHELF)
    query = (
        "select t0_us, substring(data from %s for %s) from aggregate where ent = %s and level_us = %s and shelf = %s "
        "and t0_us >= %s and t0_us < %s and length(data) >= %s order by t0_us"
    )
    first, width = place * CELL.itemsize, CELL.itemsize
    rows = db.execute(query, (first + 1, width, ent, level_us, shelf, from_us, to_us, first + width)).fetchall()
    return aggregates_of([row[0] for row in rows], [row[1] for row in rows])


def arrivals(db: Db, ent: str, from_us: int, to_us: int) -> list[Arrivals]:
    """Return arrival counts per gateway and minute of event time in [from_us, to_us)."""
    query = (
        "select gateway, t0_us, batches, samples, good, late, delay_us from arrival "
        'where ent = %s and t0_us >= %s and t0_us < %s order by t0_us, gateway collate "C"'
    )
    return [Arrivals._make(row) for row in db.execute(query, (ent, from_us, to_us))]


def gateways(db: Db, ent: str, only: str = "") -> list[Gateway]:
    """Return all gateways of an enterprise, or the one asked for."""
    query = f"{_GATEWAY} and (%s = '' or gateway = %s) order by gateway collate \"C\""
    rows = db.execute(query, (ent, only, only)).fetchall()
    return [Gateway._make((*row[:10], ranges(row[10]), *row[11:])) for row in rows]


def chains(db: Db, ent: str, gateway: str = "") -> list[Chain]:
    """Return every epoch of every gateway, or of one."""
    return [Chain._make((*row[:-1], ranges(row[-1]))) for row in db.execute(_CHAIN, (ent, gateway, gateway))]


def documents(db: Db, ent: str, kind: str, gateway: str) -> list[StoredDocument]:
    """Return all versions, oldest first by valid_from_us."""
    query = (
        f"{_DOCUMENT} where d.ent = %s and d.kind = %s and (%s = '' or d.gateway = %s) order by d.valid_from_us, d.idx"
    )
    return [StoredDocument._make(row) for row in db.execute(query, (ent, kind, gateway, gateway))]


def document_by_prefix(db: Db, ent: str, prefix: bytes) -> StoredDocument | None:
    """Return the version whose digest begins with these (8 to 32) bytes, the latest statement of it."""
    end = prefix + b"\xff" * (32 - len(prefix))
    query = f"{_DOCUMENT} where d.ent = %s and d.digest >= %s and d.digest <= %s order by d.idx desc limit 1"
    row = db.execute(query, (ent, prefix, end)).fetchone()
    return StoredDocument._make(row) if row else None


def events(db: Db, ent: str, from_us: int, to_us: int, active: bool) -> list[StoredEvent]:
    """Return conditions that touch [from_us, to_us), newest begin first."""
    condition = "end_us = 0" if active else "(end_us = 0 or end_us >= %s)"
    values = (ent, to_us) if active else (ent, to_us, from_us)
    query = (
        "select gateway, point, rule, begin_us, end_us, severity, detector, numbers, text, epoch, seq, idx, "  # noqa: S608
        f"received_us, updated_us from event where ent = %s and begin_us < %s and {condition} "
        'order by begin_us desc, gateway collate "C", point collate "C", rule collate "C"'
    )
    found = (StoredEvent._make(row) for row in db.execute(query, values))
    return [event._replace(numbers=_numbers(str(event.numbers))) for event in found]


def _numbers(text: str) -> dict[str, float]:
    return {name: float("nan") if value is None else value for name, value in json.loads(text).items()}


def acknowledgements(db: Db, ent: str, from_us: int, to_us: int) -> list[Acknowledgement]:
    """Return acknowledgements of conditions that begin in [from_us, to_us), oldest first."""
    query = (
        "select gateway, point, rule, begin_us, by, at_us, note, severity from ack "
        "where ent = %s and begin_us >= %s and begin_us < %s order by at_us"
    )
    return [Acknowledgement._make(row) for row in db.execute(query, (ent, from_us, to_us))]


def note(db: Db, ent: str, name: str) -> bytes | None:
    """Return a small named value."""
    row = db.execute("select value from note where ent = %s and name = %s", (ent, name)).fetchone()
    return row[0] if row else None


def audits(db: Db, ent: str, from_us: int, to_us: int) -> list[Audit]:
    """Return audit rows with from_us <= at_us < to_us, oldest first."""
    query = (
        "select at_us, who, act, subject, detail from audit where ent = %s and at_us >= %s and at_us < %s "
        "order by at_us, n"
    )
    return [Audit._make(row) for row in db.execute(query, (ent, from_us, to_us))]


def slot_of(time_us: int) -> int:
    """Return the time slot of a time."""
    return time_us // SLOT_US
