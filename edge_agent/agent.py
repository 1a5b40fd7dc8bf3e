"""The gateway process: its tasks, how they hand on what arrives, and the boundary where a failure ends the process."""

import asyncio
import contextlib
import logging
import signal
import ssl
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import drivers
from drivers import Arrival, History, Learner, Link, Source
from edge_agent.clock import PLAUSIBLE_US, SystemClock, Watch, read_kernel_clock
from edge_agent.collect import Collector, rows_of
from edge_agent.conditions import OwnConditions, pack, unpack
from edge_agent.config import Config
from edge_agent.health import notify, watchdog_period_s
from edge_agent.identity import Identity
from edge_agent.lines import Lines
from edge_agent.manifest import build_manifest, software
from edge_agent.marks import Marks
from edge_agent.page import serve_page
from edge_agent.parts import build_detector, build_locator, look_for_tags, warm_up
from edge_agent.poll import Poller, Sink
from edge_agent.seal import PERIOD_S, Codec, Signer, Situation, due, is_urgent, seal_batch, seal_record
from edge_agent.store import Store
from edge_agent.tables import LinkTable
from edge_agent.uplink import Uplink
from edge_agent.vitals import Vitals
from twin_wire.errors import ConfigError, Error, StoreError
from twin_wire.keys import SigningKey
from twin_wire.manifest import (
    MANIFEST_PREFIX_BYTES,
    decimals_of,
    digest,
    encode_manifest,
    groups_index,
    groups_of,
)
from twin_wire.mark import encode_mark
from twin_wire.readings import Block, Event, Quality

AGAIN = 3  # exit code of a run that asks for another one with the configuration read anew
DRAIN_S = 5.0
LOOK_S = 1.0  # clock, watch hint
RETAIN_S = 3_600.0
LEARNED_S = 300.0  # how often what the detectors learned is stored
EVENTS_KEPT = 50  # for the installer's page

log = logging.getLogger(__name__)


class Agent:
    """One gateway at work; made for one run."""

    def __init__(self, config: Config, identity: Identity, key: SigningKey, clock: SystemClock) -> None:
        self.config = config
        self.identity = identity
        self.clock = clock
        self.manifest = build_manifest(config, identity.enterprise, identity.simulated, software())
        self.point_specs = {point.id: point for point in self.manifest.points}
        self.kid = key.public.kid
        self._body = encode_manifest(self.manifest)
        self._prefix = digest(self._body)[:MANIFEST_PREFIX_BYTES]
        self._codec = Codec(groups_index(self.manifest), decimals_of(self.manifest))
        self._signer = Signer(key, identity.origin, identity.gateway, clock.monotonic_ms)
        self.store = Store(config.state, self._signer, config.quota_bytes, clock)
        if self.store.queue.position.epoch != identity.epoch or not self.store.queue.position.seq:
            self.store.abandon()
            raise _unfinished(config, identity)
        self.boot = self.store.queue.begin_boot()
        self.collector = Collector(groups_of(self.manifest))
        self.own = OwnConditions(self._emit)
        watched, own = unpack(self.store.queue.conditions)
        self.own.restore(own)
        self._detector = build_detector(self.manifest, watched, self.store.document("learned"), config.site.structure)
        self._locator = build_locator(config, self.manifest, self.own, self.store.document("inside"))
        self.marks = Marks(config.state, self.point_specs, self.store.document("marks"))
        sink = Sink(self._arrived, self.own.begin, self._end)
        self.uplink = Uplink(identity, key, self.store, clock, sink, tls_context(config))
        self._links = self.store.document("links")  # what the drivers learned about their devices

        def poller_of(link: LinkTable) -> Poller:
            return Poller(link.id, partial(self._open, link), sink, clock, self.own.down_since())

        self.lines = Lines(config.links, poller_of)
        self.latest: dict[tuple[str, ...], Block] = {}
        self.events: list[Event] = []
        self.samples = 0  # values accepted since the start
        self.unsealed = 0  # rows that neither disk nor reserve could take
        self.watch = Watch(clock.time_us(), round(clock.monotonic_s() * 1e6), read_kernel_clock())
        self.started_s = clock.monotonic_s()
        self.vitals = Vitals(self)
        self._sealed_s = self.started_s
        self._urgent = False
        self._nudge = asyncio.Event()
        self._stop = asyncio.Event()
        self.again = False  # begin anew when the run has ended
        self.config_path = config.folder / "gateway.toml"

    @property
    def pollers(self) -> list[Poller]:
        """The pollers, in the order of the links."""
        return self.lines.pollers

    def watched(self) -> list[dict[str, Any]]:
        """Return the conditions that the detectors see now."""
        return self._detector.active()

    def stop(self) -> None:
        """End the run in order: no further question, seal, try to send, close."""
        self._stop.set()

    async def run(self) -> None:
        """Work until stopped; ExceptionGroup with the first failure of a part that must not fail."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        try:
            await self._begin()
            async with asyncio.TaskGroup() as group, serve_page(self):
                self.lines.start(group)
                parts = (self._seal_loop, self.uplink.run, self._look_loop, self._keep_loop, _watchdog)
                others = [group.create_task(part(), name=part.__name__) for part in parts]
                notify("READY=1")
                log.info("running gateway=%s boot=%d links=%d", self.identity.gateway, self.boot, len(self.pollers))
                await self._stop.wait()
                notify("STOPPING=1")
                await self._end_run(others)
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
            await self.store.close()

    async def _begin(self) -> None:
        """Say what happened since the last run, and what this gateway is if that changed."""
        now_us, last_ms = self.clock.time_us(), self.store.queue.last_t1_ms()
        damaged = await self.store.record_damage()
        self._compare_mark(now_us)
        await asyncio.to_thread(warm_up, self.manifest, self._locator)
        if digest(self._body) != self.store.queue.manifest:
            await self._seal_manifest(now_us // 1_000)
        self.own.end_strangers((d.id for d in self.config.devices), (link.id for link in self.config.links), now_us)
        numbers = {
            "boot": float(self.boot),
            "down_s": max(0.0, now_us / 1e6 - last_ms / 1e3),
            "damaged": float(damaged),
        }
        text = f"the agent started ({software()}), boot {self.boot}"
        self.own.begin(Event("restart", 0, "", now_us, now_us + 1, "agent/1", numbers, text))
        await self._seal()

    def _compare_mark(self, now_us: int) -> None:
        """Find out without a server that the queue is an older copy: the state documents remember a later number."""
        mark, position = self.store.document("mark"), self.store.queue.position
        if mark and self.store.queue.never_stored(mark["epoch"], mark["seq"] - 1):
            text = f"the queue is an old copy: number {mark['seq'] - 1} was given before; enroll with a new voucher"
            numbers = {"epoch": float(mark["epoch"]), "seq": float(mark["seq"])}
            self.own.begin(Event("rollback", 2, "", now_us, 0, "agent/1", numbers, text))
        elif mark and mark["epoch"] < position.epoch:
            self.own.end("", "rollback", {"epoch": float(position.epoch)}, now_us)

    async def _remember(self) -> None:
        """Store what the detectors learned, and the number reached."""
        position = self.store.queue.position
        await self.store.put("learned", self._detector.learned())
        if self._locator is not None:
            await self.store.put("inside", self._locator.memory())
        self._links |= {p.name: learner.learned() for p in self.pollers if (learner := p.learner()) is not None}
        await self.store.put("links", self._links)
        if not self.store.fault:  # what is remembered was on disk
            await self.store.put("mark", {"epoch": position.epoch, "seq": position.seq, "boot": position.boot})

    async def _seal_manifest(self, now_ms: int) -> None:
        documents = {digest(self._body): ("manifest", self._body)}
        if self.manifest.structure:
            structure = self.config.site.structure_body
            documents[bytes.fromhex(self.manifest.structure)] = ("structure", structure)
            sealing = partial(seal_record, self._signer, "structure", structure, now_ms, self.store.anchor)
            await self.store.append(sealing)
        sealing = partial(seal_record, self._signer, "manifest", self._body, now_ms, self.store.anchor)
        await self.store.append(sealing, None, documents)

    async def _end_run(self, others: Sequence[asyncio.Task[None]]) -> None:
        await self.lines.end()
        while self.collector.rows:
            await self._seal()
        drained = await self.uplink.drain(DRAIN_S)
        log.info("stopping gateway=%s unsent=%d drained=%s", self.identity.gateway, self.store.unsent, drained)
        for task in others:
            task.cancel()
        await self._remember()

    async def _open(self, link: LinkTable) -> tuple[Link, Sequence[Source]]:
        opened = await drivers.open_link(link.kind, link.options, self.clock)
        sources = opened.sources(self.config.device_options(link.id), self.config.point_options(link.id))
        if isinstance(opened, Learner):
            opened.recall(self._links.get(link.id, {}))
        return opened, sources

    def _arrived(self, arrivals: Sequence[Arrival]) -> None:
        """Take what a link has read: columns to the collector, then through the detectors."""
        for arrival in arrivals:
            if isinstance(arrival, Block):
                block = self.marks.apply(_doubted(arrival))
                self.latest[block.points] = block
                self.samples += int((block.quality < Quality.BAD).sum())
                self.collector.add_block(block)
                for event in self._detector.feed(block):
                    self._emit(event)
            elif isinstance(arrival, History):  # a file that came late: neither the present nor a cause of alarms
                block = _doubted(arrival.block)
                self.samples += int((block.quality < Quality.BAD).sum())
                self.collector.add_block(block)
            elif isinstance(arrival, Event):
                self.own.begin(arrival)
            elif self._locator is not None:
                self.collector.add_fixes(self._locator.feed(arrival))

    def _emit(self, event: Event) -> None:
        self.collector.add_events([event])
        self.events = [*self.events[1 - EVENTS_KEPT :], event]
        if is_urgent(event):
            self._urgent = True
            self._nudge.set()

    def _end(self, point: str, rule: str, numbers: Mapping[str, float]) -> None:
        self.own.end(point, rule, numbers, self.clock.time_us())

    async def _seal_loop(self) -> None:
        while True:
            age_s = self.clock.monotonic_s() - self._sealed_s
            situation = Situation(
                age_s, self.collector.samples, self.collector.events, self._urgent, self.uplink.watched
            )
            if due(situation):
                await self._seal()
            self._nudge.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05 if self._urgent else min(LOOK_S, max(0.01, PERIOD_S - age_s))):
                    await self._nudge.wait()

    async def seal_now(self, event: Event) -> bytes:
        """Seal an event with what waits, at once; return the statement it is in."""
        self.own.begin(event)
        statement = await self._seal()
        if statement is None:
            raise StoreError(f"the event could not be sealed: {self.store.fault}", "look at the disk")
        return statement

    async def seal_record_now(self, kind: str, body: bytes) -> bytes:
        """Seal a record, to be sent before readings; return its statement."""
        now_ms = self.clock.time_us() // 1_000
        entry = await self.store.append(partial(seal_record, self._signer, kind, body, now_ms, self.store.anchor))
        self.uplink.wake()
        return entry.statement

    async def _seal(self) -> bytes | None:
        """Cut what waits into a batch with the conditions as of now, and store it; return its statement if any."""
        urgent, self._urgent = self._urgent, False
        self._sealed_s = self.clock.monotonic_s()
        if not self.collector.rows:
            return None
        batch = self.collector.take(self._prefix, self.watch.clock)
        conditions = pack(self.watched(), self.own.active())
        now_ms = self.clock.time_us() // 1_000
        sealing = partial(seal_batch, self._signer, self._codec, batch, now_ms, self.store.anchor)
        try:
            entry = await self.store.append(sealing, conditions)
        except StoreError as error:  # neither disk nor reserve: what is read is still shown and watched here
            if not self.store.fault:
                raise
            self.unsealed += rows_of(batch)
            log.error("not recorded rows=%d error=%s", rows_of(batch), error)
            return None
        self.uplink.wake(urgent)
        return entry.statement

    async def _look_loop(self) -> None:
        """Watch the clock and count the gateway's own points."""
        while True:
            await asyncio.sleep(LOOK_S)
            now_us, mono_us = self.clock.time_us(), round(self.clock.monotonic_s() * 1e6)
            for event in self.watch.look(now_us, mono_us, read_kernel_clock()):
                log.info("clock %s", event.text)
                self.own.begin(event)
            await self._look_at_disk(now_us)
            await self._seal_marks(now_us // 1_000)
            if self._locator is not None:
                self.collector.add_fixes(look_for_tags(self._locator, self.own, now_us))
            block = self.vitals.look()
            if block is not None:
                self.latest[block.points] = block
                self.collector.add_block(block)

    async def _look_at_disk(self, now_us: int) -> None:
        """Say upstream that the disk takes no writes, and when it does again."""
        await self.store.look()
        if self.store.fault:
            text = (
                f"the disk takes no writes ({self.store.fault}); readings are sent from memory, a power cut loses them"
            )
            self.own.begin(Event("storage_fault", 2, "", now_us, 0, "agent/1", {}, text[:500]))
        else:
            self.own.end("", "storage_fault", {"rows_not_recorded": float(self.unsealed)}, now_us)
            self.unsealed = 0

    async def _seal_marks(self, now_ms: int) -> None:
        """Seal the marks that begin or end now; an order is forgotten only when its record is on disk."""
        changed, orders = await asyncio.to_thread(self.marks.look, now_ms)
        for name in self.marks.refused:
            log.warning("mark refused file=%s", name)
        for mark in changed:
            body = encode_mark(mark)
            await self.store.append(partial(seal_record, self._signer, "mark", body, now_ms, self.store.anchor))
        if changed:
            await self.store.put("marks", self.marks.active())
            self.uplink.wake()
        for path in orders:
            with contextlib.suppress(OSError):  # a read-only folder: it is the same mark again after a restart
                await asyncio.to_thread(path.unlink, missing_ok=True)

    async def _keep_loop(self) -> None:
        """Delete what is old and safe, and store what must be known after a restart."""
        since_s = RETAIN_S
        while True:
            if since_s >= RETAIN_S:
                await self.store.retain(round(self.config.queue.keep_days * 86_400_000))
                since_s = 0.0
            await asyncio.sleep(LEARNED_S)
            since_s += LEARNED_S
            await self._remember()


def _unfinished(config: Config, identity: Identity) -> ConfigError:
    hint = "enroll again with the same voucher, or with a new one if this gateway has worked before"
    where = str(config.state / "queue.db")
    return ConfigError(
        f"the queue does not hold the enrolment of epoch {identity.epoch}",
        hint,
        ((where, f"is empty or another's; {hint}"),),
    )


def _doubted(block: Block) -> Block:
    """Mark good values taken under a clock that was never set."""
    if len(block.time_us) and block.time_us[0] < PLAUSIBLE_US:
        quality = block.quality.copy()
        quality[quality == Quality.GOOD] = Quality.CLOCK_UNSURE
        return block._replace(quality=quality)
    return block


async def _watchdog() -> None:
    period_s = watchdog_period_s()
    while period_s:
        notify("WATCHDOG=1")
        await asyncio.sleep(period_s)


def tls_context(config: Config) -> ssl.SSLContext | None:
    """Return how to check the server's certificate where a private authority signed it, None for the usual ones."""
    if not config.uplink.ca_file:
        return None
    return ssl.create_default_context(cafile=str(config.folder / config.uplink.ca_file))


async def work(config: Config, identity: Identity, key: SigningKey, path: Path) -> int:
    """Run one agent; return the exit code. The boundary of the process: whatever a part could not handle ends here."""
    try:
        agent = Agent(config, identity, key, SystemClock())
        agent.config_path = path
        await agent.run()
    except ConfigError:  # nothing has begun; the command line prints every fault
        raise
    except Exception as error:  # the boundary: say why, stop, let the supervisor start a new process
        for cause in _causes(error):
            hint = cause.hint if isinstance(cause, Error) else ""
            log.critical("stopped error=%r hint=%s", cause, hint, exc_info=None if isinstance(cause, Error) else cause)
        return 1
    return AGAIN if agent.again else 0


def _causes(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [cause for part in error.exceptions for cause in _causes(part)]
    return [error]
