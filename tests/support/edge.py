"""The keeping and sending half of a gateway, for tests of the way to a server: it seals what the test gives it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import aiohttp
import msgspec
import numpy as np
from aiohttp import web

from edge_agent.clock import SystemClock
from edge_agent.conditions import OwnConditions
from edge_agent.config import load_config
from edge_agent.identity import enroll, load_identity, voucher_from
from edge_agent.manifest import build_manifest
from edge_agent.poll import Sink
from edge_agent.seal import Codec, Signer, seal_batch, seal_record
from edge_agent.store import Store
from edge_agent.uplink import Uplink
from tests.support.gateway_folder import write_folder
from twin_wire.exchange import Answer, encode_answer, read_answer
from twin_wire.manifest import decimals_of, digest, encode_manifest, groups_index
from twin_wire.readings import Batch, Block, Clock, Event, no_fixes

Edit = Callable[[Answer], Answer]


class Edge:
    """One enrolled gateway: store, uplink and a hand to seal with."""

    def __init__(self, folder: Path, server_url: str) -> None:
        self.config = load_config(folder / "gateway.toml")
        identity, key = load_identity(self.config)
        self.clock = SystemClock()
        self.events: list[Event] = []
        self.own = OwnConditions(self.events.append)
        signer = Signer(key, identity.origin, identity.gateway, self.clock.monotonic_ms)
        self.signer = signer
        self.store = Store(self.config.state, signer, self.config.quota_bytes, self.clock)
        self.store.queue.begin_boot()
        sink = Sink(lambda _: None, self.own.begin, lambda p, r, n: self.own.end(p, r, n, self.clock.time_us()))
        identity = msgspec.structs.replace(identity, server=server_url)
        self.uplink = Uplink(identity, key, self.store, self.clock, sink, None)
        self.manifest = build_manifest(self.config, identity.enterprise, identity.simulated, "test 1")
        self.body = encode_manifest(self.manifest)
        self.codec = Codec(groups_index(self.manifest), decimals_of(self.manifest))
        self.rows = 0

    @property
    def rules(self) -> list[str]:
        """The rules of all events so far."""
        return [event.rule for event in self.events]

    async def seal_manifest(self) -> None:
        """Seal structure and manifest, as the agent does when they changed."""
        structure, now_ms = self.config.site.structure_body, self.clock.time_us() // 1_000
        documents = {digest(self.body): ("manifest", self.body), digest(structure): ("structure", structure)}
        for kind, body, put in (("structure", structure, {}), ("manifest", self.body, documents)):
            await self.store.append(partial(seal_record, self.signer, kind, body, now_ms, self.store.anchor), None, put)

    async def seal(self, batches: int = 1, *events: Event) -> None:
        """Seal batches of one row of the first group each."""
        group = self.manifest.groups[0].points
        for _ in range(batches):
            self.rows += 1
            time_us = np.array([self.clock.time_us()], np.int64)
            value, quality = np.full((len(group), 1), self.rows / 100), np.zeros((len(group), 1), np.uint8)
            block = Block(group, time_us, value, quality)
            batch = Batch(digest(self.body)[:8], Clock(0, -1, 0), (block,), no_fixes(), events)
            sealing = partial(seal_batch, self.signer, self.codec, batch, int(time_us[0]) // 1_000, self.store.anchor)
            await self.store.append(sealing)
        self.uplink.wake()

    @contextlib.asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Run the uplink until the block ends."""
        task = asyncio.create_task(self.uplink.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def until(self, reached: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait for something to become true."""
        end = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < end, (self.uplink.state, self.uplink.reason, self.store.unsent, self.events[-3:])
            await asyncio.sleep(0.01)

    async def sent(self) -> None:
        """Wait until nothing waits any more."""
        await self.until(lambda: self.store.unsent == 0 and self.uplink.state == "sending")


def enroll_folder(folder: Path, voucher_line: str) -> None:
    """Write a configuration folder and enroll it."""
    config = load_config(write_folder(folder))
    enroll(config, voucher_from(voucher_line, time.time()), "test 1", SystemClock())


class Relay:
    """Stands between a gateway and a server; can be cut, slow, in error, or tell lies."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.url = ""
        self.cut = False
        self.status = 0  # answered instead of asking the server
        self.lose_answers = 0  # so many posts reach the server and their answers are lost
        self.edit: Edit | None = None
        self.refuse: Callable[[bytes], int] = lambda _: 0  # status for a post with this body
        self.posts: list[bytes] = []
        self.puts = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if self.cut:
            request.transport.close()
            return web.Response(status=500)
        status = self.status or (self.refuse(body) if request.method == "POST" else 0)
        if status:
            return web.Response(status=status, text="no")
        headers = {k: v for k, v in request.headers.items() if k in ("Authorization", "Content-Type")}
        async with (
            aiohttp.ClientSession() as session,
            session.request(request.method, self.target + request.path_qs, data=body, headers=headers) as response,
        ):
            data, status = await response.read(), response.status
        self.puts += request.method == "PUT"
        if request.method == "POST":
            self.posts.append(body)
            if self.lose_answers:
                self.lose_answers -= 1
                request.transport.close()
        if self.edit is not None and status == 200:
            data = encode_answer(self.edit(read_answer(data)))
        return web.Response(status=status, body=data)


@contextlib.asynccontextmanager
async def relaying(target: str) -> AsyncIterator[Relay]:
    """Run a relay in front of a server."""
    relay = Relay(target)
    app = web.Application(client_max_size=8 << 20)
    app.router.add_route("*", "/{path:.*}", relay.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    relay.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield relay
    finally:
        await runner.cleanup()
