"""Whether a signed statement fits its gateway's chain, and what it changes; runs inside the log's transaction.

The rules (one number, one statement): the same statement again is a duplicate; another one with a taken number, or
one that does not join its neighbours, contradicts what is in the log: it is logged beside it as evidence and not used.
Numbers may arrive in any order; a hole is a notice, never a refusal.
"""

from collections.abc import Sequence
from typing import NamedTuple

from twin_server.alarms import SERVER, word
from twin_server.log import Appender
from twin_server.prepare import Prepared, Refused
from twin_server.store.rows import Chain, Gateway, StoredBatch, StoredDocument, StoredEvent, Voucher
from twin_wire.errors import ProofError
from twin_wire.exchange import RANGES_MAX
from twin_wire.statement import ZERO_HASH, check_successor, read, statement_hash

FORKS_LOGGED_MAX = 16  # per gateway: the first is proof enough, a flood of them must not fill the log
Range = tuple[int, int]


class Outcome(NamedTuple):
    """The verdict on one envelope; `index` is its entry, -1 when it is not in the log."""

    epoch: int
    seq: int
    status: str
    index: int  # type: ignore[assignment]  # hides tuple.index
    detail: str


def admit(
    appender: Appender, gateway: str, items: Sequence[Prepared | Refused], voucher: Voucher | None
) -> list[Outcome]:
    """Take a post's items into the log in order and return one outcome each."""
    return [
        Outcome(item.epoch, item.seq, item.status, -1, item.detail)
        if isinstance(item, Refused)
        else _admit_one(appender, gateway, item, voucher)
        for item in items
    ]


def _admit_one(appender: Appender, gateway: str, item: Prepared, voucher: Voucher | None) -> Outcome:
    tx, statement = appender.tx, item.statement
    epoch, seq = statement.chain.epoch, statement.chain.seq
    held = tx.statement(gateway, epoch, seq)
    if held is not None and held[1] == statement.raw:
        if item.body is not None and not tx.has_body(statement.digest):
            tx.put_body(statement.digest, item.body)
        return Outcome(epoch, seq, "duplicate", held[0], "")
    chain = tx.chain(gateway, epoch)
    if chain is None:
        if item.enrolment is None:
            return Outcome(epoch, seq, "pending", -1, "the enrol statement has to come first")
        chain = _enrol(appender, item, voucher)
    elif chain.kid != statement.kid or chain.revoked_index >= 0:
        return Outcome(epoch, seq, "rejected", -1, "the key is not valid for this epoch")
    fault = f"number {seq} of epoch {epoch} is taken by another statement" if held else _misfit(appender, item)
    if fault:
        return _dispute(appender, item, fault)
    if len(chain.above) >= RANGES_MAX and _range_count(chain, seq) > RANGES_MAX:
        return Outcome(epoch, seq, "pending", -1, f"too many holes: send {chain.seq + 1} first")
    index = appender.append(_entry(item))
    _advance(appender, chain, seq, index)
    _use(appender, item, index)
    if item.fault:
        return Outcome(epoch, seq, "rejected", index, item.fault)
    return Outcome(epoch, seq, "receipt", index, _hole(appender, gateway, epoch, seq))


def _hole(appender: Appender, gateway: str, epoch: int, seq: int) -> str:
    chain = appender.tx.chain(gateway, epoch)
    assert chain is not None
    return f"hole: {chain.seq + 1} of epoch {epoch} is missing" if chain.seq < seq else ""


def _enrol(appender: Appender, item: Prepared, voucher: Voucher | None) -> Chain:
    """Begin an epoch: the new key, and the gateway's row if it is its first."""
    assert item.enrolment is not None
    assert voucher is not None
    statement, public, tx = item.statement, item.enrolment.public, appender.tx
    gateway, epoch = statement.subject, statement.chain.epoch
    old = tx.gateway(gateway) or Gateway(gateway, "", "", b"", b"", -1, -1, -1, -1, ZERO_HASH, (), 0, 0, 0)
    if epoch > old.epoch:
        old = old._replace(name=voucher.name, site=voucher.site, kid=public.kid, public=public.raw, epoch=epoch)
        tx.put_gateway(old._replace(enrolled_index=-1, revoked_index=-1, seq=-1, hash=ZERO_HASH))
    chain = Chain(gateway, epoch, public.kid, public.raw, -1, -1, -1, ZERO_HASH, ())
    tx.put_chain(chain)
    return chain


def _misfit(appender: Appender, item: Prepared) -> str:
    """Return why a statement does not join the neighbours that are here, "" when it does."""
    statement, tx = item.statement, appender.tx
    chain, gateway = statement.chain, statement.subject
    if chain.seq == 0 and statement.kind != "enrol":
        return "the first statement of an epoch has to be the enrol statement"
    left = tx.statement(gateway, chain.epoch, chain.seq - 1) if chain.seq else None
    right = tx.statement(gateway, chain.epoch, chain.seq + 1)
    try:
        if left is not None:
            check_successor(read(left[1]), statement)
        if right is not None:
            check_successor(statement, read(right[1]))
    except ProofError as fault:
        return str(fault)
    return ""


def _dispute(appender: Appender, item: Prepared, fault: str) -> Outcome:
    """Log a contradicting statement as evidence, say so in the server's own name, and raise the alarm once."""
    statement, tx = item.statement, appender.tx
    epoch, seq = statement.chain.epoch, statement.chain.seq
    row = tx.gateway(statement.subject)
    assert row is not None
    if row.forks >= FORKS_LOGGED_MAX:
        return Outcome(epoch, seq, "rejected", -1, fault)
    index = appender.append(_entry(item)._replace(disputed=True))
    held = tx.statement(statement.subject, epoch, seq)
    record: dict[str, object] = {
        "gateway": statement.subject,
        "epoch": epoch,
        "seq": seq,
        "index": index,
        "held_index": held[0] if held else -1,
        "reason": fault,
    }
    said = appender.state("fork", record)
    tx.put_gateway(row._replace(forks=row.forks + 1))
    if not row.forks:
        numbers = {"epoch": float(epoch), "seq": float(seq)}
        text = f"Two statements of gateway {statement.subject} contradict each other: {fault}"
        now_us = appender.now_us
        tx.put_event(
            StoredEvent(statement.subject, "", "fork", now_us, 0, 1, SERVER, numbers, text, 0, 0, said, now_us, now_us)
        )
    return Outcome(epoch, seq, "rejected", index, fault)


def _entry(item: Prepared) -> StoredBatch:
    s = item.statement
    identity = (0, s.kind, s.subject, s.chain.epoch, s.chain.seq)
    times = (item.t0_us, item.t1_us, 0)
    return StoredBatch(*identity, *times, s.chain.rows, False, not item.fault, s.digest, s.raw, item.body, item.batch)


def _advance(appender: Appender, chain: Chain, seq: int, index: int) -> None:
    """Add a number to its chain and move the head over everything that now joins."""
    tx = appender.tx
    above = _with(chain.above, seq)
    if seq == 0:
        chain = chain._replace(enrolled_index=index)
    if above[0][0] == chain.seq + 1:
        head = tx.statement(chain.gateway, chain.epoch, above[0][1])
        assert head is not None
        chain = chain._replace(seq=above[0][1], hash=statement_hash(head[1]))
        above = above[1:]
    chain = chain._replace(above=above)
    tx.put_chain(chain)
    row = tx.gateway(chain.gateway)
    assert row is not None
    every = tuple((c.epoch, *part) for c in tx.chains(chain.gateway) for part in c.above)[:RANGES_MAX]
    row = row._replace(above=every, last_received_us=max(row.last_received_us, appender.now_us))
    if chain.epoch == row.epoch:
        row = row._replace(enrolled_index=chain.enrolled_index, seq=chain.seq, hash=chain.hash)
    tx.put_gateway(row)


def _with(above: tuple[Range, ...], seq: int) -> tuple[Range, ...]:
    """Return the rising ranges with one number more, joined where they touch."""
    done: list[Range] = []
    for first, last in sorted((*above, (seq, seq))):
        if done and first <= done[-1][1] + 1:
            done[-1] = (done[-1][0], max(done[-1][1], last))
        else:
            done.append((first, last))
    return tuple(done)


def _range_count(chain: Chain, seq: int) -> int:
    return len(_with(chain.above, seq))


def _use(appender: Appender, item: Prepared, index: int) -> None:
    """Put what a statement says into the tables that are computed from the log."""
    tx, statement = appender.tx, item.statement
    if item.fault or item.body is None:
        return
    if statement.kind in ("manifest", "structure"):
        times = (item.t0_us, appender.now_us)
        tx.put_document(StoredDocument(index, statement.kind, statement.subject, statement.digest, *times, item.body))
    if item.batch is None:
        return
    tx.add_aggregates(statement.subject, item.aggregates)
    tx.add_arrivals(item.arrivals)
    entry = _entry(item)._replace(index=index, received_us=appender.now_us)
    for event in item.batch.events:
        tx.put_event(word(event, entry))
    row = tx.gateway(statement.subject)
    assert row is not None
    tx.put_gateway(row._replace(last_event_us=max(row.last_event_us, item.t1_us)))
