"""A post of sealed batches on its way into the log: limits, keys, signatures in threads, one commit, the answer."""

import asyncio
import logging
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from twin_server import proofs
from twin_server.admit import Outcome, admit
from twin_server.context import Clock
from twin_server.log import EnterpriseLog, Ledger, Receipts
from twin_server.prepare import BODY_BYTES_MAX, Context, Envelope, Groups, Prepared, prefixes, prepare
from twin_server.store import Store
from twin_server.store.rows import MINUTE_US, Audit, Gateway, StoredDocument, Voucher
from twin_wire.body import PREFIX_BYTES
from twin_wire.errors import FormatError, ProofError
from twin_wire.exchange import DETAIL_CHARS_MAX, RANGES_MAX, Answer, Head, Verdict, check_head_authorization
from twin_wire.keys import PublicKey
from twin_wire.manifest import digest as manifest_digest
from twin_wire.manifest import groups_of, read_manifest
from twin_wire.statement import decode_envelopes

POST_BYTES_MAX = 4 << 20
ENVELOPES_MAX = 256
GROUPS_HELD_MAX = 4_096  # manifests held open over all gateways
ASKED_MAX = 16  # manifests asked for and not yet here, per gateway
POSTS_AT_ONCE = 32  # decoded and waiting for their commit: bounds the memory that posts can take

log = logging.getLogger(__name__)


class Ingest:
    """Takes gateways' posts; belongs to the event loop, only `prepare` runs in its threads."""

    def __init__(self, store: Store, ledger: Ledger, clock: Clock, threads: int, watched: dict[str, int]) -> None:
        self.store = store
        self.ledger = ledger
        self.clock = clock
        self.watched = watched
        self._threads = ThreadPoolExecutor(threads, "verify")
        self._keys: dict[str, dict[tuple[int, bytes], PublicKey]] = {}  # by gateway
        self._groups: dict[tuple[str, bytes], Groups] = {}  # by enterprise and manifest prefix
        self._refused_us: dict[str, int] = {}  # last audit row, by gateway
        self._asked: dict[str, deque[bytes]] = {}  # manifest prefixes asked for, by gateway, the oldest forgotten
        self._slots = asyncio.Semaphore(POSTS_AT_ONCE)
        self.counts = dict.fromkeys(("receipt", "pending", "duplicate", "need_manifest", "rejected"), 0)

    async def post(self, enterprise: str, gateway: str, data: bytes, from_size: int) -> Answer:
        """Take one post into the log and return the answer after its commit; FormatError for what is no sequence."""
        envelopes = decode_envelopes(data, ENVELOPES_MAX, POST_BYTES_MAX)
        book = await self.ledger.open(enterprise)
        voucher = await self._open_voucher(gateway, book)
        keys = await self._keys_of(enterprise, gateway)
        groups = await self._groups_of(enterprise, envelopes)
        context = Context(
            enterprise, gateway, book.origin, book.row.simulated, book.key.public, keys, groups, voucher, self.clock()
        )
        loop = asyncio.get_running_loop()
        async with self._slots:
            items = await loop.run_in_executor(self._threads, prepare, envelopes, context)
            outcomes, receipts = await self.ledger.run(
                enterprise, lambda appender: admit(appender, gateway, items, voucher)
            )
        await self._after(enterprise, gateway, outcomes, voucher)
        verdicts = tuple([await self._verdict(enterprise, outcome, receipts) for outcome in outcomes])
        if not any(isinstance(item, Prepared) for item in items):  # nothing here was signed by the gateway's key
            return stranger(self.clock(), verdicts)
        return await self.answer(enterprise, gateway, from_size, verdicts)

    async def answer(self, enterprise: str, gateway: str, from_size: int, verdicts: tuple[Verdict, ...] = ()) -> Answer:
        """Return what the server holds of a gateway, its checkpoint, and the proof from the size the gateway knows."""
        book = await self.ledger.open(enterprise, from_size)
        row = await self._row(enterprise, gateway)
        note, size = book.note().encode(), book.last.size
        proof: list[bytes] = []
        if 0 < from_size <= size:
            proof = await proofs.consistency(self.ledger, enterprise, from_size, size)
        else:
            from_size = 0
        head = Head(row.epoch, row.seq, row.hash) if row is not None and row.seq >= 0 else None
        return Answer(
            history_id=book.history_id,
            head=head,
            above=row.above[:RANGES_MAX] if row is not None else (),
            anchored=head,  # no backup is configured here: what is committed is all there is
            size=size,
            checkpoint=note,
            consistency_from=from_size,
            consistency=tuple(proof),
            watch=self.watched.get(enterprise, 0) > 0,
            time_us=self.clock(),
            verdicts=verdicts,
        )

    async def head(self, enterprise: str, gateway: str, authorization: str, from_size: int) -> Answer:
        """Return the answer to `GET head`: all of it for the gateway's key, nothing but the time for anyone else."""
        book = await self.ledger.open(enterprise)
        for public in (await self._keys_of(enterprise, gateway)).values():
            try:
                check_head_authorization(authorization, public, book.origin, gateway)
            except ProofError:
                continue
            return await self.answer(enterprise, gateway, from_size)
        return stranger(self.clock())

    async def put_manifest(self, enterprise: str, gateway: str, digest: bytes, body: bytes) -> None:
        """Keep a manifest the server asked for; FormatError for any other, or one that is not this gateway's."""
        asked = await self._asked_of(enterprise, gateway)
        if digest[:PREFIX_BYTES] not in asked:
            raise FormatError("this manifest was not asked for", "send it as a statement")
        if len(body) > BODY_BYTES_MAX or manifest_digest(body) != digest:
            raise FormatError("the body is not the one its digest names")
        manifest = read_manifest(body)
        if (manifest.enterprise, manifest.gateway) != (enterprise, gateway):
            raise FormatError("manifest of another enterprise or gateway")
        now_us = self.clock()
        row = StoredDocument(-1, "manifest", gateway, digest, 0, now_us, body)
        await self.store.write(enterprise, lambda tx: tx.put_document(row))
        if digest[:PREFIX_BYTES] in asked:
            asked.remove(digest[:PREFIX_BYTES])
            await self._keep_asked(enterprise, gateway, asked)

    def forget_keys(self, gateway: str) -> None:
        """Read a gateway's keys anew before its next post: one was revoked."""
        self._keys.pop(gateway, None)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown()

    async def _ask(self, enterprise: str, gateway: str, prefix: bytes) -> None:
        asked = await self._asked_of(enterprise, gateway)
        if prefix not in asked:
            asked.append(prefix)
            await self._keep_asked(enterprise, gateway, asked)

    async def _asked_of(self, enterprise: str, gateway: str) -> deque[bytes]:
        if not self.store.shared:
            return self._asked.setdefault(gateway, deque(maxlen=ASKED_MAX))
        held = await self.store.note(enterprise, f"asked {gateway}") or b""  # another process may get the answer
        parts = [held[at : at + PREFIX_BYTES] for at in range(0, len(held), PREFIX_BYTES)]
        return deque(parts, ASKED_MAX)

    async def _keep_asked(self, enterprise: str, gateway: str, asked: deque[bytes]) -> None:
        if self.store.shared:
            await self.store.write(enterprise, lambda tx: tx.put_note(f"asked {gateway}", b"".join(asked)))

    async def _row(self, enterprise: str, gateway: str) -> Gateway | None:
        return next((row for row in await self.store.gateways(enterprise) if row.gateway == gateway), None)

    async def _open_voucher(self, gateway: str, book: EnterpriseLog) -> Voucher | None:
        voucher = await self.store.voucher(gateway)
        return voucher if voucher is not None and voucher.enterprise == book.row.id else None

    async def _keys_of(self, enterprise: str, gateway: str) -> dict[tuple[int, bytes], PublicKey]:
        if self.store.shared or gateway not in self._keys:  # another process may have enrolled or revoked one
            chains = [chain for chain in await self.store.chains(enterprise) if chain.gateway == gateway]
            valid = [chain for chain in chains if chain.revoked_index < 0]
            self._keys[gateway] = {(chain.epoch, chain.kid): _public(chain.public) for chain in valid}
        return self._keys[gateway]

    async def _groups_of(self, enterprise: str, envelopes: list[Envelope]) -> dict[bytes, Groups]:
        found: dict[bytes, Groups] = {}
        for prefix in prefixes(envelopes):
            groups = self._groups.get((enterprise, prefix)) or await self._load_groups(enterprise, prefix)
            if groups is not None:
                found[prefix] = groups
        return found

    async def _load_groups(self, enterprise: str, prefix: bytes) -> Groups | None:
        document = await self.store.document(enterprise, prefix)
        if document is None or document.kind != "manifest":
            return None
        groups = groups_of(read_manifest(document.body))
        if len(self._groups) >= GROUPS_HELD_MAX:
            self._groups.clear()
        self._groups[enterprise, prefix] = groups
        return groups

    async def _after(self, enterprise: str, gateway: str, outcomes: list[Outcome], voucher: Voucher | None) -> None:
        """What follows a commit: a used voucher, manifests to ask for, the audit of what was refused."""
        refused: list[Outcome] = []
        for outcome in outcomes:
            self.counts[outcome.status] += 1
            if outcome.status == "need_manifest":
                await self._ask(enterprise, gateway, bytes.fromhex(outcome.detail))
            elif outcome.status == "rejected":
                refused.append(outcome)
        if refused:
            await self._audit_refused(enterprise, gateway, refused)
        first = voucher is not None and not voucher.used_us
        if (
            voucher is not None
            and first
            and any(o.seq == 0 and o.epoch == voucher.epoch and o.index >= 0 for o in outcomes)
        ):
            self._keys.pop(gateway, None)
            await self.store.put_voucher(voucher._replace(used_us=self.clock(), secret=b""))
            log.info("enrolled gateway=%s enterprise=%s epoch=%d", gateway, enterprise, voucher.epoch)

    async def _audit_refused(self, enterprise: str, gateway: str, refused: list[Outcome]) -> None:
        """Keep at most one row a minute and gateway: anyone may post rubbish, nobody may fill the disk with it."""
        now_us, first = self.clock(), refused[0]
        if now_us - self._refused_us.get(gateway, 0) < MINUTE_US:
            return
        self._refused_us[gateway] = now_us
        text = f"{len(refused)} refused, number {first.seq} of epoch {first.epoch}: {first.detail}"[:DETAIL_CHARS_MAX]
        log.info("rejected gateway=%s %s", gateway, text)
        await self.store.audit(enterprise, Audit(now_us, "server", "rejected", gateway, text))

    async def _verdict(self, enterprise: str, outcome: Outcome, receipts: Receipts) -> Verdict:
        receipt = None
        if outcome.status == "receipt":
            receipt = receipts[outcome.index]
        elif outcome.status == "duplicate":
            receipt = await proofs.receipt(self.ledger, enterprise, outcome.index)
        return Verdict(outcome.epoch, outcome.seq, outcome.status, receipt, outcome.detail[:DETAIL_CHARS_MAX])


def stranger(now_us: int, verdicts: tuple[Verdict, ...] = ()) -> Answer:
    """Return the answer for someone who has not shown the gateway's key."""
    return Answer("", None, (), None, 0, b"", 0, (), False, now_us, verdicts)


@lru_cache(maxsize=4096)
def _public(raw: bytes) -> PublicKey:
    return PublicKey(raw)
