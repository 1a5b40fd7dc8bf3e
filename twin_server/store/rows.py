"""The rows a store keeps and gives back: plain tuples, all times in microseconds since 1970 UTC."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin_wire.readings import Batch

LEVELS_US = (60_000_000, 900_000_000, 14_400_000_000)  # aggregates at 1 min, 15 min, 4 h
MINUTE_US = LEVELS_US[0]


class StoredBatch(NamedTuple):
    """One entry of the log, of any kind: who said it, when it was true, when we knew it, and its exact bytes."""

    index: int  # type: ignore[assignment]  # hides tuple.index; place in the enterprise's log
    kind: str  # "data", "manifest", "structure", "enrol", "gap", "genesis", "clock", "silence" …
    gateway: str  # subject of the statement; the log's origin for the server's own statements
    epoch: int
    seq: int
    t0_us: int  # first event time inside
    t1_us: int  # last event time inside
    received_us: int  # the server's clock
    rows: int
    disputed: bool  # contradicts another statement of the same gateway: kept as evidence, never used as a value
    readable: bool  # False: the body is not what the specification says; in the log, but not in any history
    digest: bytes  # SHA-256 of the body
    statement: bytes  # exactly as received
    body: bytes | None  # exactly as received; None when it expired or was never sent
    batch: Batch | None = None  # decoded columns; only in `on_commit`, only for kind "data"


class Aggregates(NamedTuple):
    """One point at one level, buckets with data only, in time order; NaN where a bucket has no good sample."""

    t0_us: NDArray[np.int64]  # start of the bucket
    n: NDArray[np.int64]  # samples with a number (quality below BAD)
    bad: NDArray[np.int64]  # samples without
    min: NDArray[np.float64]
    max: NDArray[np.float64]
    sum: NDArray[np.float64]
    last: NDArray[np.float64]  # value of the latest good sample by event time
    last_us: NDArray[np.int64]  # its event time; 0 when none


class AggregateBlock(NamedTuple):
    """What one batch adds to one bucket of C points; the store merges it with what is there."""

    points: tuple[str, ...]  # [C]
    level_us: int
    t0_us: int
    n: NDArray[np.int64]  # [C], like the columns of Aggregates
    bad: NDArray[np.int64]
    min: NDArray[np.float64]
    max: NDArray[np.float64]
    sum: NDArray[np.float64]
    last: NDArray[np.float64]
    last_us: NDArray[np.int64]


class Arrivals(NamedTuple):
    """What arrived from one gateway for one minute of event time."""

    gateway: str
    t0_us: int
    batches: int
    samples: int  # points × rows
    good: int  # of these, with a number
    late: int  # of these, received more than LATE_US after the event
    delay_us: int  # greatest delay between event and receipt


LATE_US = 60_000_000


class StoredDocument(NamedTuple):
    """A manifest or structure version as logged; valid from the event time of its statement on."""

    index: int  # type: ignore[assignment]  # of its statement; -1 while only the body is here, asked for by need_manifest
    kind: str
    gateway: str
    digest: bytes
    valid_from_us: int
    received_us: int
    body: bytes


class StoredEvent(NamedTuple):
    """One condition, latest word about it; identity (gateway, point, rule, begin_us)."""

    gateway: str
    point: str  # point or device id, "" for the gateway itself
    rule: str
    begin_us: int
    end_us: int  # 0 while active
    severity: int
    detector: str  # "server/1" when only the server can see it
    numbers: Mapping[str, float]
    text: str
    epoch: int  # (epoch, seq) of the latest word: an older one never replaces it, whatever arrives last
    seq: int
    index: int  # type: ignore[assignment]  # log index of the latest word; -1 when none
    received_us: int  # of the first word
    updated_us: int  # of the latest word


class Acknowledgement(NamedTuple):
    """A person took notice of an alarm; `by` is an opaque user id."""

    gateway: str
    point: str
    rule: str
    begin_us: int
    by: str
    at_us: int
    note: str
    severity: int = 1  # as shown then; a later, more urgent word asks for a new acknowledgement


class Chain(NamedTuple):
    """One epoch of one gateway: its key and how far its statements are here without a hole."""

    gateway: str
    epoch: int
    kid: bytes  # 8 bytes
    public: bytes  # 32 bytes
    enrolled_index: int
    revoked_index: int  # -1 while valid
    seq: int  # highest number with nothing missing below
    hash: bytes  # of that statement
    above: tuple[tuple[int, int], ...]  # (from, to) received above it, rising


class Gateway(NamedTuple):
    """What the store knows of one gateway: identity, head of its newest epoch's chain, newest times."""

    gateway: str
    name: str
    site: str
    kid: bytes  # 8 bytes; empty before enrolment
    public: bytes  # 32 bytes; empty before enrolment
    epoch: int
    enrolled_index: int  # -1 before
    revoked_index: int  # -1 while valid
    seq: int  # highest number with nothing missing below; -1 before the first
    hash: bytes  # of that statement
    above: tuple[tuple[int, int, int], ...]  # (epoch, from, to) received above a hole, of all epochs
    last_event_us: int  # 0 before the first data
    last_received_us: int
    forks: int  # contradicting statements logged


class Person(NamedTuple):
    """A row of the erasable directory; names live here and nowhere else."""

    tag: str
    name: str
    team: str
    details: Mapping[str, str]  # whatever else the enterprise keeps: phone, birth date …
    changed_us: int


class Audit(NamedTuple):
    """An act worth keeping, by opaque ids only."""

    at_us: int
    who: str  # opaque user or token id, or "server"
    act: str  # "login", "name_shown", "person_erased", "ack", "rejected" …
    subject: str
    detail: str


class Checkpoint(NamedTuple):
    """A signed size of the log; the signature is deterministic, so the note can be made again."""

    size: int
    root: bytes
    time_us: int


class Enterprise(NamedTuple):
    """One owner of sites: its log's name and key."""

    id: str
    name: str
    simulated: bool
    origin: str
    log_vkey: str
    created_us: int


class Voucher(NamedTuple):
    """A promise to accept one new gateway key."""

    enterprise: str
    gateway: str
    name: str
    site: str
    epoch: int
    secret: bytes
    expires_us: int
    used_us: int  # 0 while unused


class User(NamedTuple):
    """A person who may sign in; `id` is opaque and goes into audit rows, `name` does not."""

    id: str
    name: str
    role: str  # admin, enterprise, regulator, installer
    enterprises: tuple[str, ...]  # empty for admin: all
    salt: bytes
    hash: bytes  # scrypt
    created_us: int


class Session(NamedTuple):
    """A signed-in browser; only the hash of its cookie is kept."""

    hash: bytes
    user: str
    csrf: str
    expires_us: int


class Token(NamedTuple):
    """A program's key: only its hash is kept."""

    id: str
    name: str
    hash: bytes
    role: str
    enterprises: tuple[str, ...]
    created_us: int
    expires_us: int  # 0 never
