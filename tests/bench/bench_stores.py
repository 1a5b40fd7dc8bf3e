"""Posts into both stores in one run, PostgreSQL against SQLite: one gateway, many at once, and a backlog."""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.desk import Desk, desk
from tests.support.gateway import SealingGateway
from tests.support.postgres import binaries, running

Row = tuple[str, str, str, float]
START_US = 1_790_000_000_000_000
POINTS, ROWS = 50, 10
CASES = (
    ("1 gateway, 1 batch a post", 1, 60, 1),
    ("8 gateways, 1 batch a post", 8, 20, 1),
    ("backlog of 100", 1, 400, 100),
)
TURNS = 2


async def _rate(data: Path, store: str, gateways: int, batches: int, at_once: int) -> float:
    """Return batches per second from post to receipt."""
    async with desk(data, store=store) as at:
        await at.enterprise("e1")
        work: list[tuple[SealingGateway, list[bytes]]] = []
        for n in range(gateways):
            gateway = await at.gateway("e1", f"gw-{n}", points=POINTS)
            rows = [[float(k % 7) for k in range(POINTS)]] * ROWS
            work.append((gateway, [gateway.seal_rows(START_US + b * 10_000_000, rows) for b in range(batches)]))
        begun = time.perf_counter()
        await asyncio.gather(*(_feed(at, gateway, sealed, at_once) for gateway, sealed in work))
        return gateways * batches / (time.perf_counter() - begun)


async def _feed(at: Desk, gateway: SealingGateway, sealed: Sequence[bytes], at_once: int) -> None:
    for first in range(0, len(sealed), at_once):
        await at.post(gateway, sealed[first : first + at_once])


def run() -> list[Row]:
    """Return the better of two turns for each store, taken in turn on the same disk."""
    if binaries() is None:
        return []
    rows: list[Row] = []
    with running() as server:
        for name, gateways, batches, at_once in CASES:
            best = {"sqlite": 0.0, "postgresql": 0.0}
            for _ in range(TURNS):
                for scheme in best:
                    with tempfile.TemporaryDirectory() as folder:
                        store = server.schema() if scheme == "postgresql" else ""
                        rate = asyncio.run(_rate(Path(folder), store, gateways, batches, at_once))
                        best[scheme] = max(best[scheme], rate)
            ratio = best["postgresql"] / best["sqlite"]
            rows.append((name, f"{best['postgresql']:.0f} batches/s", f"SQLite ({best['sqlite']:.0f}/s)", ratio))
    return rows
