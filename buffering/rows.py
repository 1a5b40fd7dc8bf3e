"""What the queue's file holds: its tables, and the values that go in and out of them."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from buffering.room import Gap

VERSION = 2
SCHEMA = """
create table batch(id integer primary key, priority integer not null, kind text not null, t0_ms integer not null,
                   t1_ms integer not null, rows integer not null, size integer not null, statement blob not null,
                   body blob);
create index urgent on batch(id) where priority = 0;
create table head(epoch integer not null, boot integer not null, seq integer not null, prev blob not null,
                  conditions blob not null, manifest blob not null,
                  history_id text not null, server_id integer not null, anchored_id integer not null,
                  verified_size integer not null, verified_root blob not null, checkpoint blob not null,
                  receipt_us integer not null, reserved integer not null default 0);
create table hole(first integer primary key, last integer not null);
insert into head values(0, 0, 0, zeroblob(32), x'', x'', '', -1, -1, 0, zeroblob(32), x'', 0, 0);
create table quarantine(id integer primary key, reason text not null, time_us integer not null);
create table document(digest blob primary key, kind text not null, body blob not null)
"""

UPGRADES = {
    1: "alter table head add column reserved integer not null default 0;"
    "create table hole(first integer primary key, last integer not null)"
}


class Position(NamedTuple):
    """The number the next batch gets, and what its statement has to point back to."""

    epoch: int
    boot: int
    seq: int
    prev: bytes


class Entry(NamedTuple):
    """A sealed batch on its way into the queue."""

    statement: bytes
    body: bytes
    kind: str
    priority: int  # 0 alarms and what the server needs to read the rest, 1 records, 2 data
    t0_ms: int
    t1_ms: int
    rows: int


class Remote(NamedTuple):
    """What the gateway last learned, and itself verified, from the server; ids are row ids, -1 none."""

    history_id: str = ""
    server_id: int = -1  # contiguous head at the server
    anchored_id: int = -1  # safe at the server: rows up to here may be deleted
    verified_size: int = 0
    verified_root: bytes = bytes(32)
    checkpoint: bytes = b""
    receipt_us: int = 0


class Fill(NamedTuple):
    """How full the queue is, in bytes and batches."""

    batches: int
    used_bytes: int
    quota_bytes: int
    quarantined: int


Seal = Callable[[Position], Entry]
SealGap = Callable[[Position, Gap], Entry]
Check = Callable[[int, int, bytes, bytes | None], str]  # "", or which part of a row is not as it was sealed
Documents = Mapping[bytes, tuple[str, bytes]]  # digest -> (kind, body)
