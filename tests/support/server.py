"""A server in this process on a free loopback port, and what an administrator does before gateways come."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.support.gateway import SealingGateway
from twin_server.app import make_app, wall_clock
from twin_server.config import Config, Limits
from twin_server.context import ACCESS, CLOCK, CONFIG, LEDGER, STORE, Clock
from twin_server.vouchers import issue_voucher

LIMITS = Limits(posts_per_s=10_000, verify_threads=2)


@dataclass
class Server:
    """A running server and a client session without credentials."""

    app: web.Application
    url: str
    session: aiohttp.ClientSession

    async def enterprise(self, enterprise: str, name: str = "", simulated: bool = True) -> None:
        """Add an enterprise."""
        await self.app[LEDGER].create(enterprise, name or enterprise, simulated, f"localhost/{enterprise}")
        await self.app[LEDGER].open(enterprise)

    async def voucher(self, enterprise: str, gateway: str, days: float = 7) -> str:
        """Return the line of a voucher."""
        now_us = self.app[CLOCK]()
        config = self.app[CONFIG]
        return await issue_voucher(self.app[STORE], config, enterprise, gateway, gateway, "demo", days, now_us)

    async def gateway(self, enterprise: str, gateway: str, points: int = 3) -> SealingGateway:
        """Return a gateway whose enrolment, structure and manifest are in the log."""
        client = SealingGateway(await self.voucher(enterprise, gateway), points=points)
        answer = await client.post(self.session, self.url, client.begin())
        assert [verdict.status for verdict in answer.verdicts] == ["receipt"] * 3, answer.verdicts
        return client

    async def token(self, role: str, *enterprises: str) -> dict[str, str]:
        """Return the header of a new token."""
        _, secret = await self.app[ACCESS].add_token(role, role, enterprises, 1)
        return {"Authorization": f"Bearer {secret}"}


@asynccontextmanager
async def serving(
    data: Path, clock: Clock = wall_clock, limits: Limits = LIMITS, store: str = ""
) -> AsyncIterator[Server]:
    """Run a server on `data` until the block ends."""
    app = make_app(Config(data=str(data), url="http://127.0.0.1:1", limits=limits, store=store), clock)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession() as session:
            yield Server(app, f"http://127.0.0.1:{port}", session)
    finally:
        await runner.cleanup()
