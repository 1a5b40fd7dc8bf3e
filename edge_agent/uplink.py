"""The way to the server: ask what it holds, send what it lacks, believe only what verifies, come back after a cut."""

import asyncio
import contextlib
import hashlib
import logging
import random
import ssl
from collections.abc import Callable, Sequence
from functools import partial

import aiohttp

from buffering.offer import OFFER_BATCHES_MAX, OFFER_BYTES_MAX, Offer
from edge_agent.answers import Sorted, judge, sort_verdicts
from edge_agent.clock import SystemClock
from edge_agent.identity import Identity
from edge_agent.poll import Sink
from edge_agent.receipts import Receipts
from edge_agent.store import Store
from twin_wire.errors import FormatError, Rejected, UplinkError
from twin_wire.exchange import ANSWER_BYTES_MAX, Answer, head_authorization, read_answer
from twin_wire.keys import SigningKey
from twin_wire.readings import Event
from twin_wire.statement import encode_envelope

OFFLINE, SENDING, REJECTED = "offline", "sending", "rejected"
BACKOFF_S = (1.0, 20.0)
REJECTED_BACKOFF_S = (5.0, 60.0)
IDLE_S = 15.0  # without a batch to send the head is asked this often: the watch hint, and whether the server is there
WATCH_S = 30.0  # how long a hint is believed
TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10)
POST_BYTES = (16 << 10, 256 << 10, OFFER_BYTES_MAX)  # least, first, most; adapted so that alarms never wait long
POST_S = (1.0, 3.0)  # a post that took less is doubled, one that took more is halved
NEWEST = 4  # batches that go ahead of the backlog, so that the twin is live while it fills
BAD_REQUEST = (400, 413, 422)
DETECTOR = "uplink/1"
SEVERITY = 2

log = logging.getLogger(__name__)


class Uplink:
    """One connection to one server; belongs to the event loop."""

    def __init__(
        self,
        identity: Identity,
        key: SigningKey,
        store: Store,
        clock: SystemClock,
        sink: Sink,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.state = OFFLINE
        self.reason = ""
        self.backoff_s = 0.0
        self.round_trip_ms = float("nan")
        self.sent = self.receipts = self.refused = 0  # batches since the start
        self.asked = Receipts(store.document("asked"))
        self._identity = identity
        self._store = store
        self._clock = clock
        self._sink = sink
        self._tls = tls
        self._base = f"{identity.server.rstrip('/')}/api/v1/gateways/{identity.gateway}"
        self._authorization = head_authorization(key, identity.origin, identity.gateway)
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._bytes_max = POST_BYTES[1]
        self._batches_max = OFFER_BATCHES_MAX
        self._given: set[bytes] = set()  # manifests put since the connection stands
        self._failures = 0
        self._asked = False  # whether this session has asked for the head
        self._watch_until_s = 0.0
        self._answered_s = -1e9

    @property
    def link_up(self) -> bool:
        """Whether the server answered lately."""
        return self.state == SENDING and self._clock.monotonic_s() - self._answered_s < 4 * IDLE_S

    @property
    def watched(self) -> bool:
        """Whether someone looks at the site, as the server said lately."""
        return self.link_up and self._clock.monotonic_s() < self._watch_until_s

    def wake(self, urgent: bool = False) -> None:
        """Say that a batch waits; an urgent one ends a pause between attempts: the link may just be back."""
        self._wake.set()
        if urgent:
            self._hurry.set()

    async def run(self) -> None:
        """Send until cancelled."""
        pauses = _Pauses()
        connector = aiohttp.TCPConnector(limit=1, keepalive_timeout=75, ssl=self._tls or True)
        async with aiohttp.ClientSession(connector=connector, timeout=TIMEOUT) as session:
            while True:
                try:
                    progress = await self._step(session)
                except Rejected as error:
                    await self._stay_away(REJECTED, error, pauses.next(REJECTED_BACKOFF_S))
                except FormatError as error:  # the answer is not one of this log
                    self._complain("answer_invalid", f"the server's answer does not hold: {error}")
                    await self._stay_away(REJECTED, error, pauses.next(REJECTED_BACKOFF_S))
                except UplinkError as error:
                    await self._stay_away(OFFLINE, error, pauses.next(BACKOFF_S))
                else:
                    if progress:
                        pauses.reset()
                    else:
                        await self._pause(pauses.next(BACKOFF_S))

    async def drain(self, seconds: float) -> bool:
        """Try for at most `seconds`, or until it fails anew, to send everything; return whether nothing waits."""
        failed = self._failures
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._store.unsent and self._failures < failed + 2:  # one may have been under way
                    self._hurry.set()
                    self._wake.set()
                    await asyncio.sleep(0.05)
        return not self._store.unsent

    async def _step(self, session: aiohttp.ClientSession) -> bool:
        """Make one exchange, or wait for something to send; return whether it got on."""
        if not self._asked:
            self._given.clear()
            await self._ask_head(session)
            return True
        self._wake.clear()
        offers = await self._store.call(
            partial(
                self._store.queue.offer,
                self._store.above,
                newest=NEWEST,
                batches_max=self._batches_max,
                bytes_max=self._bytes_max,
            )
        )
        if offers:
            return await self._post(session, offers)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IDLE_S):
                await self._wake.wait()
            return True
        await self._ask_head(session)
        return True

    async def _ask_head(self, session: aiohttp.ClientSession) -> None:
        url = f"{self._base}/head?from={self._store.queue.remote.verified_size}"
        headers = {"Authorization": self._authorization}
        status, data = await self._exchange(session.get, url, headers=headers)
        if status != 200:
            raise _refusal(status, data)
        answer = read_answer(data)
        await self._learn(answer)
        self._asked = True
        self._now(SENDING if answer.history_id else OFFLINE)

    async def _post(self, session: aiohttp.ClientSession, offers: Sequence[Offer]) -> bool:
        data = b"".join(encode_envelope(offer.statement, offer.body) for offer in offers)
        url = f"{self._base}/batches?from={self._store.queue.remote.verified_size}"
        begin_s = self._clock.monotonic_s()
        status, answered = await self._exchange(
            session.post, url, data=data, headers={"Content-Type": "application/cbor-seq"}
        )
        took_s = self._clock.monotonic_s() - begin_s
        if status in BAD_REQUEST:
            return await self._single_out(offers, status, answered)
        if status != 200:
            raise _refusal(status, answered)
        answer = read_answer(answered)
        self.sent += len(offers)
        await self._learn(answer)
        if not answer.history_id:
            detail = next((v.detail for v in answer.verdicts if v.detail), "")
            raise Rejected(f"the server does not know this gateway's key: {detail}", "unknown_key")
        self._now(SENDING)
        self._adapt(len(data), took_s)
        return await self._settle(session, offers, answer)

    async def _settle(self, session: aiohttp.ClientSession, offers: Sequence[Offer], answer: Answer) -> bool:
        """Act on the verdicts of one post; return whether anything came of it."""
        sent = {(offer.epoch, offer.seq): offer.statement for offer in offers}
        remote = self._store.queue.remote
        found = sort_verdicts(self._identity, answer.verdicts, sent, remote.verified_size, remote.verified_root)
        self.receipts += found.stored
        if found.complaint:
            self._complain("receipt_invalid", f"a receipt of the server does not hold: {found.complaint}")
            raise Rejected(f"a receipt does not hold: {found.complaint}", "receipt")
        self._sink.end("", "receipt_invalid", {})
        if self.asked.learn(self._identity, answer.verdicts, sent):
            await self._store.put("asked", self.asked.document())
        for verdict in found.rejected:
            await self._quarantine(verdict.epoch, verdict.seq, verdict.detail)
        for prefix in sorted(found.wanted):
            await self._give_manifest(session, prefix)
        self._batches_max = OFFER_BATCHES_MAX
        return _got_on(found)

    async def _learn(self, answer: Answer) -> None:
        """Remember of an answer what verifies, and say what does not."""
        now_us = self._clock.time_us()
        known = self._store.queue.remote
        judged = judge(self._identity, known, answer, now_us)
        if answer.head and self._store.queue.is_behind(answer.head.epoch, answer.head.seq):
            text = (
                f"the server holds number {answer.head.seq} of epoch {answer.head.epoch}, which this queue never gave: "
                "it is an old copy or has a clone; enroll with a new voucher"
            )
            self._complain("rollback", text)
        if judged.complaint:
            self._complain("log_inconsistent", f"the server's log cannot be trusted: {judged.complaint}")
        elif answer.history_id:
            self._sink.end("", "log_inconsistent", {})
            self._sink.end("", "answer_invalid", {})
        gone, lost = await self._store.learn(judged.remote, answer.above)
        if judged.restored or gone:
            self._tell_restored(judged.restored, known.verified_size, answer.size, gone, lost)
        now_s = self._clock.monotonic_s()
        self._answered_s = now_s
        if answer.watch:
            self._watch_until_s = now_s + WATCH_S

    def _tell_restored(self, said: bool, old_size: int, new_size: int, gone: int, lost: int) -> None:
        """Put on record that the server holds less than it did, whether it says so itself or not."""
        numbers = {"old_size": float(old_size), "new_size": float(new_size), "gone": float(gone), "lost": float(lost)}
        whose = "the server says that its data are those of a backup" if said else "the server holds less than it did"
        text = f"{whose}; what it lacks is sent again" + (f", but {lost} batches are no longer here" if lost else "")
        self._record("server_restored", self._clock.time_us(), numbers, text)

    async def _single_out(self, offers: Sequence[Offer], status: int, data: bytes) -> bool:
        """A post was refused as a whole: send one by one, and set aside the one that is refused alone."""
        if len(offers) > 1:
            self._batches_max = 1
            return True
        await self._quarantine(offers[0].epoch, offers[0].seq, f"HTTP {status}: {_text(data)}")
        return True

    async def _quarantine(self, epoch: int, seq: int, reason: str) -> None:
        now_us = self._clock.time_us()
        await self._store.call(partial(self._store.queue.quarantine, epoch, seq, reason, now_us))
        self.refused += 1
        self.reason = f"batch {seq} of epoch {epoch} was refused: {reason}"
        log.warning("batch refused epoch=%d seq=%d reason=%s", epoch, seq, reason)
        numbers = {"epoch": float(epoch), "seq": float(seq)}
        self._record("batch_refused", now_us, numbers, self.reason)

    async def _give_manifest(self, session: aiohttp.ClientSession, prefix: bytes) -> None:
        document = await self._store.call(partial(self._store.queue.document, prefix))
        if document is None or prefix in self._given:
            raise UplinkError(f"the server asks for manifest {prefix.hex()} and cannot be given it")
        body = document[1]
        url = f"{self._base}/manifests/{hashlib.sha256(body).hexdigest()}"
        status, answered = await self._exchange(session.put, url, data=body)
        if status not in (200, 201, 204):
            raise _refusal(status, answered)
        self._given.add(prefix)

    async def _exchange(
        self, method: Callable[..., "aiohttp.client._RequestContextManager"], url: str, **options: object
    ) -> tuple[int, bytes]:
        """Return (status, body) of one request; UplinkError if the server cannot be reached or is not well."""
        begin_s = self._clock.monotonic_s()
        try:
            async with method(url, allow_redirects=False, **options) as response:
                data = bytearray()
                async for chunk in response.content.iter_chunked(1 << 16):
                    data += chunk
                    if len(data) > ANSWER_BYTES_MAX:
                        raise UplinkError("the server's answer is too large")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UplinkError(f"{type(error).__name__}: {error}") from error
        if response.status >= 500 or response.status in (408, 429):
            raise UplinkError(f"HTTP {response.status}: {_text(bytes(data))}")
        self.round_trip_ms = (self._clock.monotonic_s() - begin_s) * 1e3
        return response.status, bytes(data)

    def _adapt(self, size: int, took_s: float) -> None:
        if took_s > POST_S[1]:
            self._bytes_max = max(POST_BYTES[0], self._bytes_max // 2)
        elif took_s < POST_S[0] and size > self._bytes_max // 2:
            self._bytes_max = min(POST_BYTES[2], self._bytes_max * 2)

    def _now(self, state: str) -> None:
        if state != self.state:
            log.info("uplink state=%s server=%s unsent=%d", state, self._identity.server, self._store.unsent)
        if state == SENDING:
            self.backoff_s, self.reason = 0.0, ""
        self.state = state

    async def _stay_away(self, state: str, error: UplinkError | FormatError, seconds: float) -> None:
        if state != self.state or not self.reason:
            log.warning("uplink state=%s reason=%s", state, error)
        self.state, self.reason = state, str(error)[:300]
        self._asked = False
        self._failures += 1
        self.round_trip_ms = float("nan")
        await self._pause(seconds)

    async def _pause(self, seconds: float) -> None:
        self.backoff_s = seconds
        self._hurry.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()

    def _complain(self, rule: str, text: str) -> None:
        self._sink.begin(Event(rule, SEVERITY, "", self._clock.time_us(), 0, DETECTOR, {}, text[:500]))

    def _record(self, rule: str, time_us: int, numbers: dict[str, float], text: str) -> None:
        self._sink.begin(Event(rule, 0, "", time_us, time_us + 1, DETECTOR, numbers, text[:500]))


class _Pauses:
    """Growing pauses with jitter, so that gateways do not come back all at once."""

    def __init__(self) -> None:
        self._count = 0

    def next(self, bounds_s: tuple[float, float]) -> float:
        """Return the next pause within `bounds_s`."""
        pause_s = min(bounds_s[0] * float(1 << min(self._count, 20)), bounds_s[1])
        self._count += 1
        return pause_s * (0.5 + random.random() / 2)  # noqa: S311 jitter is no secret

    def reset(self) -> None:
        """Begin again with the shortest."""
        self._count = 0


def _got_on(found: Sorted) -> bool:
    return bool(found.stored or found.rejected or found.wanted) or not found.waiting


def _refusal(status: int, data: bytes) -> Rejected:
    return Rejected(f"HTTP {status}: {_text(data)}", str(status))


def _text(data: bytes) -> str:
    return data[:300].decode("utf-8", "replace").replace("\n", " ")
