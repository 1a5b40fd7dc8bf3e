"""Store, ledger and ingest without HTTP, and an administrator's desk to make enterprises and vouchers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.gateway import SealingGateway
from twin_server.app import wall_clock
from twin_server.config import Config
from twin_server.context import Clock
from twin_server.ingest import Ingest
from twin_server.log import Ledger
from twin_server.store import Store, open_store
from twin_server.vouchers import issue_voucher
from twin_wire.exchange import Answer


class Desk:
    """The inside of a server, for one test."""

    def __init__(self, data: Path, clock: Clock, store: str = "") -> None:
        self.config = Config(data=str(data), url="http://127.0.0.1:1", store=store)
        self.clock = clock
        self.store: Store = open_store(self.config.store_url)
        self.ledger = Ledger(self.store, self.config.keys, clock)
        self.watched: dict[str, int] = {}
        self.ingest = Ingest(self.store, self.ledger, clock, 2, self.watched)

    async def enterprise(self, enterprise: str, simulated: bool = True) -> None:
        await self.ledger.create(enterprise, enterprise, simulated, f"localhost/{enterprise}")
        await self.ledger.open(enterprise)

    async def voucher(self, enterprise: str, gateway: str, days: float = 7) -> str:
        return await issue_voucher(self.store, self.config, enterprise, gateway, gateway, "demo", days, self.clock())

    async def post(self, gateway: SealingGateway, envelopes: Sequence[bytes], from_size: int = 0) -> Answer:
        """Post as a gateway does, without the HTTP in between."""
        return await self.ingest.post(gateway.voucher.enterprise, gateway.id, b"".join(envelopes), from_size)

    async def gateway(self, enterprise: str, gateway: str, points: int = 3) -> SealingGateway:
        """Return a gateway whose enrolment, structure and manifest are in the log."""
        client = SealingGateway(await self.voucher(enterprise, gateway), points=points)
        answer = await self.post(client, client.begin())
        assert [verdict.status for verdict in answer.verdicts] == ["receipt"] * 3, answer.verdicts
        return client

    async def close(self) -> None:
        self.ingest.close()
        await self.ledger.close()
        await self.store.close()


@asynccontextmanager
async def desk(data: Path, clock: Clock = wall_clock, store: str = "") -> AsyncIterator[Desk]:
    """Open everything on a folder, or on a store elsewhere, until the block ends."""
    opened = Desk(data, clock, store)
    try:
        yield opened
    finally:
        await opened.close()


def runner(data: Path) -> Callable[[Callable[[Desk], Awaitable[None]]], None]:
    """Return a function that runs a test on a fresh server with the enterprise e1."""

    def run(test: Callable[[Desk], Awaitable[None]]) -> None:
        async def body() -> None:
            async with desk(data) as at:
                await at.enterprise("e1")
                await test(at)

        asyncio.run(body())

    return run


def statuses(answer: Answer) -> list[str]:
    """Return the verdict on every envelope."""
    return [verdict.status for verdict in answer.verdicts]
