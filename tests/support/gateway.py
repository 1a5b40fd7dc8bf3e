"""A sealing client: makes its key, enrols by voucher, seals bodies into a chain and posts them, as a gateway does."""

import time
from collections.abc import Sequence
from hashlib import sha256
from io import BytesIO

import aiohttp
import numpy as np

from tests.support import small_mine
from twin_wire.body import encode_body
from twin_wire.exchange import Answer, head_authorization, read_answer
from twin_wire.keys import SigningKey
from twin_wire.manifest import Manifest, decimals_of, encode_manifest, groups_index
from twin_wire.note import read_checkpoint
from twin_wire.readings import Batch, Event
from twin_wire.receipt import Inclusion, verify_receipt
from twin_wire.records import encode_record
from twin_wire.statement import ZERO_HASH, Chain, encode_envelope, seal, statement_hash
from twin_wire.voucher import Voucher, enrol_body, read_voucher

SECOND_US = 1_000_000
CBOR = {"Content-Type": "application/cbor"}


class SealingGateway:
    """One gateway with its chain; every `seal_*` returns one envelope and moves the chain on."""

    def __init__(
        self, voucher_line: str, seed: bytes | None = None, points: int = 3, now_s: float | None = None
    ) -> None:
        self.voucher: Voucher = read_voucher(voucher_line, time.time() if now_s is None else now_s)
        self.key = SigningKey.generate() if seed is None else SigningKey.from_seed(seed)
        self.manifest: Manifest = small_mine.manifest(self.voucher.gateway, points, enterprise=self.voucher.enterprise)
        self.boot = 1
        self.seq = 0
        self.prev = ZERO_HASH
        self.sealed: list[bytes] = []  # every statement, in order

    @property
    def id(self) -> str:
        return self.voucher.gateway

    def seal(self, kind: str, body: bytes, t0_us: int = 0, t1_us: int = 0, rows: int = 0) -> bytes:
        """Return the next envelope of the chain over any body."""
        t0_us = t0_us or time.time_ns() // 1000
        chain = Chain(
            self.voucher.epoch, self.boot, self.seq, self.prev, time.monotonic_ns() // 1_000_000,
            t0_us // 1000, max(t0_us, t1_us) // 1000, rows, 0, ZERO_HASH,
        )  # fmt: skip
        raw = seal(self.key, self.voucher.origin, self.id, kind, sha256(body).digest(), chain)
        self.seq += 1
        self.prev = statement_hash(raw)
        self.sealed.append(raw)
        return encode_envelope(raw, body)

    def seal_enrol(self) -> bytes:
        return self.seal("enrol", enrol_body(self.voucher, self.key.public, "test/1"))

    def seal_structure(self) -> bytes:
        return self.seal("structure", small_mine.STRUCTURE_BODY)

    def seal_manifest(self, manifest: Manifest | None = None) -> bytes:
        self.manifest = manifest or self.manifest
        return self.seal("manifest", encode_manifest(self.manifest))

    def seal_gap(self, **record: object) -> bytes:
        return self.seal("gap", encode_record(record))

    def seal_batch(self, batch: Batch) -> bytes:
        body = encode_body(batch, groups_index(self.manifest), decimals_of(self.manifest))
        times = np.concatenate([block.time_us for block in batch.blocks] or [np.zeros(0, np.int64)])
        t0_us, t1_us = (int(times.min()), int(times.max())) if times.size else (0, 0)
        return self.seal("data", body, t0_us, t1_us, sum(block.value.size for block in batch.blocks))

    def seal_rows(self, t0_us: int, values: Sequence[Sequence[float]], events: Sequence[Event] = ()) -> bytes:
        """Return a data batch of one row per second from t0_us, each a value per point."""
        times = [t0_us + n * SECOND_US for n in range(len(values))]
        block = small_mine.block(self.manifest, times, values)
        return self.seal_batch(small_mine.batch(self.manifest, [block], events=events))

    def begin(self) -> list[bytes]:
        """Return the envelopes every gateway starts with."""
        return [self.seal_enrol(), self.seal_structure(), self.seal_manifest()]

    def verify(self, receipt: bytes, statement: bytes) -> Inclusion:
        """Return what a receipt proves; ProofError when nothing."""
        return verify_receipt(receipt, statement, self.voucher.log_public, self.voucher.origin)

    def check_answer(self, answer: Answer) -> None:
        """Check the checkpoint of an answer against the voucher's key."""
        assert read_checkpoint(answer.checkpoint, [self.voucher.log_vkey]).size == answer.size

    async def post(
        self, session: aiohttp.ClientSession, url: str, envelopes: Sequence[bytes], from_size: int = 0
    ) -> Answer:
        """Post envelopes and return the answer; aiohttp.ClientResponseError for anything but 200."""
        target = f"{url}/api/v1/gateways/{self.id}/batches?from={from_size}"
        async with session.post(target, data=BytesIO(b"".join(envelopes)), headers=CBOR) as response:
            response.raise_for_status()
            return read_answer(await response.read())

    async def head(self, session: aiohttp.ClientSession, url: str, from_size: int = 0) -> Answer:
        """Ask for the head with the key's authorization."""
        headers = {"Authorization": head_authorization(self.key, self.voucher.origin, self.id)}
        async with session.get(f"{url}/api/v1/gateways/{self.id}/head?from={from_size}", headers=headers) as response:
            response.raise_for_status()
            return read_answer(await response.read())
