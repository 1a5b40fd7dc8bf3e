"""From an envelope's bytes to what the log may take: form, key, signature, body, columns. Pure; runs in threads."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from twin_server.aggregate import aggregates, arrivals, bucket_count, time_range_us
from twin_server.store.rows import AggregateBlock, Arrivals, Voucher
from twin_wire.body import PREFIX_BYTES, body_manifest, decode_body
from twin_wire.errors import FormatError, ProofError
from twin_wire.keys import PublicKey, kid_text
from twin_wire.manifest import groups_of, read_manifest
from twin_wire.readings import Batch
from twin_wire.records import decode_record
from twin_wire.statement import Statement, check, read
from twin_wire.structure import open_structure
from twin_wire.voucher import Enrolment, check_enrolment, read_enrol_body

BODY_BYTES_MAX = 1 << 20  # compressed, as sent
SAMPLES_MAX = 2 << 20  # decoded from one post: a constant column costs no bytes on the way, but memory here
BUCKETS_MAX = 100_000  # a batch of ten seconds of 10,000 points makes 30,000
SERVER_KINDS = ("genesis", "clock", "silence", "fork", "restore", "acknowledgement", "access")

Groups = Sequence[tuple[str, ...]]
Envelope = tuple[bytes, bytes | None]


class Context(NamedTuple):
    """What the server knows of the gateway whose batches these are said to be."""

    enterprise: str
    gateway: str
    origin: str
    simulated: bool
    log_public: PublicKey
    keys: Mapping[tuple[int, bytes], PublicKey]  # by (epoch, kid), enrolled and not revoked
    groups: Mapping[bytes, Groups]  # by manifest prefix, those known so far
    voucher: Voucher | None
    now_us: int


class Refused(NamedTuple):
    """An envelope the log will not take, or not yet; the verdict for it."""

    epoch: int
    seq: int
    status: str
    detail: str


class Prepared(NamedTuple):
    """A signed statement with its body; `fault` says why the body cannot be used although it belongs to it."""

    statement: Statement
    body: bytes | None
    fault: str
    t0_us: int
    t1_us: int
    batch: Batch | None
    aggregates: list[AggregateBlock]
    arrivals: list[Arrivals]
    enrolment: Enrolment | None


def prepare(envelopes: Sequence[Envelope], context: Context) -> list[Prepared | Refused]:
    """Judge a post's envelopes in order; keys and manifests of earlier ones count for later ones."""
    keys, groups = dict(context.keys), dict(context.groups)
    here = context._replace(keys=keys, groups=groups)
    done: list[Prepared | Refused] = []
    samples = 0
    for raw, body in envelopes:
        item = _prepare_one(raw, body, here)
        if isinstance(item, Prepared) and item.batch is not None:
            if samples > SAMPLES_MAX:
                chain = item.statement.chain
                done.append(Refused(chain.epoch, chain.seq, "pending", "too many samples in one post: send it again"))
                continue
            samples += sum(block.value.size for block in item.batch.blocks)
        if isinstance(item, Prepared) and not item.fault:
            if item.enrolment is not None:
                public = item.enrolment.public
                keys[item.statement.chain.epoch, public.kid] = public
            elif item.statement.kind == "manifest" and item.body is not None:
                groups[item.statement.digest[:PREFIX_BYTES]] = groups_of(read_manifest(item.body))
        done.append(item)
    return done


def prefixes(envelopes: Sequence[Envelope]) -> set[bytes]:
    """Return the manifests that data bodies in these envelopes name; what cannot be read is judged later."""
    found: set[bytes] = set()
    for _, body in envelopes:
        if body is not None and len(body) <= BODY_BYTES_MAX:
            try:
                found.add(body_manifest(body))
            except FormatError:
                continue
    return found


def _prepare_one(raw: bytes, body: bytes | None, context: Context) -> Prepared | Refused:
    try:
        statement = read(raw)
    except FormatError as fault:
        return Refused(0, 0, "rejected", f"statement: {fault}")
    epoch, seq = statement.chain.epoch, statement.chain.seq
    if (statement.issuer, statement.subject) != (context.origin, context.gateway):
        return Refused(epoch, seq, "rejected", "the statement is for another log or gateway")
    if statement.kind in SERVER_KINDS:
        return Refused(epoch, seq, "rejected", f"a gateway cannot state {statement.kind!r}")
    if body is not None:
        if len(body) > BODY_BYTES_MAX:
            return Refused(epoch, seq, "rejected", f"body of {len(body)} bytes, limit {BODY_BYTES_MAX}")
        if sha256(body).digest() != statement.digest:
            return Refused(epoch, seq, "rejected", "the body is not the one the statement was made over")
    try:
        enrolment = _check_signature(statement, body, context)
    except FormatError as fault:
        return Refused(epoch, seq, "rejected", str(fault))
    if isinstance(enrolment, Refused):
        return enrolment
    return _open_body(statement, body, context, enrolment)


def _check_signature(statement: Statement, body: bytes | None, context: Context) -> Enrolment | Refused | None:
    """Return the enrolment if this statement makes its key known, None under a known key; ProofError if it fails."""
    known = context.keys.get((statement.chain.epoch, statement.kid))
    if known is not None:
        check(statement, known)
        return None
    if statement.kind != "enrol":
        return _unknown_key(statement, context)
    enrolment = _check_enrolment(statement, body, context)
    if isinstance(enrolment, Enrolment):
        check(statement, enrolment.public)
    return enrolment


def _unknown_key(statement: Statement, context: Context) -> Refused:
    epoch, seq = statement.chain.epoch, statement.chain.seq
    voucher = context.voucher
    if voucher is not None and not voucher.used_us and voucher.epoch == epoch:
        return Refused(epoch, seq, "pending", "the enrol statement has to come first")
    return Refused(epoch, seq, "rejected", f"key {kid_text(statement.kid)} is not enrolled for epoch {epoch}")


def _check_enrolment(statement: Statement, body: bytes | None, context: Context) -> Enrolment | Refused:
    """Return the enrolment if the voucher's holder made it; ProofError or FormatError if not."""
    epoch, seq, voucher = statement.chain.epoch, statement.chain.seq, context.voucher
    if body is None:
        raise FormatError("enrol statement without its body")
    enrolment = read_enrol_body(body)
    if seq or (enrolment.gateway, enrolment.epoch) != (statement.subject, epoch):
        raise ProofError("the enrol record is not that of this statement")
    if voucher is None or voucher.epoch != epoch or voucher.used_us:
        raise ProofError("there is no open voucher for this gateway and epoch")
    check_enrolment(enrolment, voucher.secret, context.log_public)
    if context.now_us >= voucher.expires_us:
        return Refused(epoch, seq, "pending", "the voucher has expired: ask an administrator to extend it")
    return enrolment


def _open_body(
    statement: Statement, body: bytes | None, context: Context, enrolment: Enrolment | None
) -> Prepared | Refused:
    chain, fault = statement.chain, ""
    t0_us, t1_us = chain.t0_ms * 1000, chain.t1_ms * 1000
    item = Prepared(statement, body, fault, t0_us, t1_us, None, [], [], enrolment)
    if body is None or enrolment is not None:
        return item
    try:
        if statement.kind == "data":
            groups = context.groups.get(body_manifest(body))
            if groups is None:
                return Refused(chain.epoch, chain.seq, "need_manifest", body_manifest(body).hex())
            return _with_columns(item, decode_body(body, groups), context)
        if statement.kind == "manifest":
            _check_manifest(body, context)
        elif statement.kind == "structure":
            open_structure(body)
        else:
            decode_record(body)
    except FormatError as broken:
        fault = f"body not understood: {broken}"
    return item._replace(fault=fault)


def _with_columns(item: Prepared, batch: Batch, context: Context) -> Prepared:
    buckets = bucket_count(batch)
    if buckets > BUCKETS_MAX:
        return item._replace(fault=f"body spreads over {buckets} buckets of history, limit {BUCKETS_MAX}")
    t0_us, t1_us = time_range_us(batch) or (item.t0_us, item.t1_us)
    return item._replace(
        t0_us=t0_us,
        t1_us=t1_us,
        batch=batch,
        aggregates=aggregates(batch),
        arrivals=arrivals(batch, context.gateway, context.now_us),
    )


def _check_manifest(body: bytes, context: Context) -> None:
    manifest = read_manifest(body)
    if (manifest.enterprise, manifest.gateway) != (context.enterprise, context.gateway):
        raise FormatError("manifest of another enterprise or gateway")
    if manifest.simulated and not context.simulated:
        raise FormatError("a simulated gateway cannot report into a log that is not marked as simulated")
