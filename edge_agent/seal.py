"""When to cut a batch, and how it becomes a numbered, signed statement with its body."""

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from buffering.room import Gap
from buffering.rows import Entry, Position
from edge_agent.collect import rows_of, span_ms
from twin_wire.body import encode_body
from twin_wire.errors import FormatError
from twin_wire.keys import PublicKey, SigningKey
from twin_wire.readings import Batch, Event
from twin_wire.records import encode_record
from twin_wire.statement import ZERO_HASH, Chain, check, read, seal

PERIOD_S = 10.0  # link up, and link down: bounds what a power cut can take from memory
WATCHED_PERIOD_S = 1.0
URGENT_GAP_S = 0.2  # alarms of one poll round go together
SAMPLES_MAX = 100_000  # even floats that do not compress stay below 1 MiB
EVENTS_MAX = 512
URGENT_SEVERITY_MAX = 3  # red, orange, yellow

ALARM, RECORD, DATA = 0, 1, 2  # priorities of the queue


class Situation(NamedTuple):
    """What decides whether to cut now."""

    age_s: float  # since the last cut
    samples: int
    events: int
    urgent: bool  # an event waits that must not
    watched: bool  # the server says that someone looks at the site, and it was reached just now


def due(situation: Situation) -> bool:
    """Tell whether to seal what waits."""
    if situation.urgent:
        return situation.age_s >= URGENT_GAP_S
    if situation.samples >= SAMPLES_MAX or situation.events >= EVENTS_MAX:
        return True
    return situation.age_s >= (WATCHED_PERIOD_S if situation.watched else PERIOD_S)


def is_urgent(event: Event) -> bool:
    """Tell whether an event is sealed and sent at once: a condition of severity 1 to 3 that begins or ends."""
    return 1 <= event.severity <= URGENT_SEVERITY_MAX


class Signer(NamedTuple):
    """Whose statements these are, under which key, and the clock that numbers them within a boot."""

    key: SigningKey
    origin: str
    gateway: str
    monotonic_ms: Callable[[], int]

    def entry(self, position: Position, body: bytes, kind: str, priority: int, label: "Label") -> Entry:
        """Seal one body at its place in the chain."""
        chain = Chain(
            *position,
            self.monotonic_ms(),
            label.t0_ms,
            label.t1_ms,
            label.rows,
            label.anchor_size,
            label.anchor_root if label.anchor_size else ZERO_HASH,
        )
        statement = seal(self.key, self.origin, self.gateway, kind, hashlib.sha256(body).digest(), chain)
        return Entry(statement, body, kind, priority, label.t0_ms, label.t1_ms, label.rows)


class Label(NamedTuple):
    """What a statement says of its body, and the newest tree the gateway has verified."""

    t0_ms: int
    t1_ms: int
    rows: int
    anchor_size: int = 0
    anchor_root: bytes = ZERO_HASH


class Codec(NamedTuple):
    """What `encode_body` needs to know of the manifest."""

    groups: Mapping[tuple[str, ...], int]
    decimals: Mapping[str, int | None]


def seal_batch(
    signer: Signer, codec: Codec, batch: Batch, now_ms: int, anchor: tuple[int, bytes]
) -> Callable[[Position], Entry]:
    """Encode a batch now and return the function that seals it once its number is known."""
    body = encode_body(batch, codec.groups, codec.decimals)
    label = Label(*span_ms(batch, now_ms), rows_of(batch), *anchor)
    priority = ALARM if any(map(is_urgent, batch.events)) else DATA
    return lambda position: signer.entry(position, body, "data", priority, label)


def seal_record(
    signer: Signer, kind: str, body: bytes, now_ms: int, anchor: tuple[int, bytes], priority: int = ALARM
) -> Callable[[Position], Entry]:
    """Return the function that seals a body that is not a data batch: enrol, structure, manifest."""
    label = Label(now_ms, now_ms, 0, *anchor)
    return lambda position: signer.entry(position, body, kind, priority, label)


def seal_gap(signer: Signer, position: Position, gap: Gap, now_ms: int, anchor: tuple[int, bytes]) -> Entry:
    """Seal the record of batches that lost their body or are missing."""
    body = encode_record(gap_record(gap))
    return signer.entry(position, body, "gap", RECORD, Label(now_ms, now_ms, 0, *anchor))


def gap_record(gap: Gap) -> dict[str, object]:
    """Return what a gap record says; the queue works in slices, so there are at most 1,000 ranges."""
    return {
        "reason": gap.reason,
        "epoch": gap.epoch,
        "ranges": [list(r) for r in gap.ranges],
        "batches": gap.batches,
        "rows": gap.rows,
        "bytes": gap.size,
        "t0_ms": gap.t0_ms,
        "t1_ms": gap.t1_ms,
    }


def fault_of(public: PublicKey, epoch: int, seq: int, raw: bytes, body: bytes | None) -> str:
    """Tell which part of a stored batch is not as it was sealed: "statement", "body" or ""; older keys go unchecked."""
    try:
        statement = read(raw)
        if statement.kid == public.kid:
            check(statement, public)
    except FormatError:
        return "statement"
    if (statement.chain.epoch, statement.chain.seq) != (epoch, seq):
        return "statement"
    return "" if body is None or hashlib.sha256(body).digest() == statement.digest else "body"
