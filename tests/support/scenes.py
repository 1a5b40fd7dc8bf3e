"""Stages for the scenario and threat tests: a real server, a way to it, a gateway behind it, and what to ask after."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.edge import Edge, Relay, enroll_folder, relaying
from tests.support.server import Server, serving
from twin_server.context import STORE
from twin_server.store.rows import StoredBatch
from twin_server.verify import Report, verify
from twin_wire.statement import read

ENTERPRISE = "north"
SECOND_US = 1_000_000
PAUSES_S = (0.02, 0.1)  # instead of the product's 1 to 20 s: everything else is as in the product


def hasten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the gateway's pauses hundredths of what they are, for this test."""
    for name in ("BACKOFF_S", "REJECTED_BACKOFF_S"):
        monkeypatch.setattr(f"edge_agent.uplink.{name}", PAUSES_S)
    monkeypatch.setattr("edge_agent.uplink.IDLE_S", 0.2)


@contextlib.asynccontextmanager
async def wired(folder: Path, **options: Any) -> AsyncIterator[tuple[Server, Relay, Edge]]:
    """Run a server with one enterprise, a relay, and an enrolled gateway behind it that has sealed its manifest."""
    async with serving(folder / "data", **options) as server, relaying(server.url) as relay:
        await server.enterprise(ENTERPRISE)
        enroll_folder(folder / "gw", await server.voucher(ENTERPRISE, "gw-1"))
        edge = Edge(folder / "gw", relay.url)
        try:
            await edge.seal_manifest()
            yield server, relay, edge
        finally:
            await edge.store.close()


async def entries(server: Server, enterprise: str = ENTERPRISE) -> list[StoredBatch]:
    """Return all entries of a log, bodies too."""
    return await server.app[STORE].entries(enterprise, 0, 1 << 30)


async def assert_whole(server: Server, *gateways: Edge) -> int:
    """Assert that every number each gateway gave is in the log exactly once; return how many batches that are."""
    logged = [entry.statement for entry in await entries(server)]
    assert len(set(logged)) == len(logged), "an entry is in the log twice"
    for edge in gateways:
        given = edge.store.queue.position
        numbers = sorted(
            (at.chain.epoch, at.chain.seq)
            for at in map(read, logged)
            if at.subject == edge.config.gateway.id and at.chain.epoch == given.epoch
        )
        assert numbers == [(given.epoch, seq) for seq in range(given.seq)], "a number is missing or came twice"
    return len(logged)


def checked(target: Path | str, vkey: str = "", enterprise: str = ENTERPRISE) -> Report:
    """Verify a folder or bundle as a regulator would."""
    [report] = asyncio.run(verified(target, vkey, enterprise))
    return report


async def verified(target: Path | str, vkey: str = "", enterprise: str = ENTERPRISE, token: str = "") -> list[Report]:
    """Verify a folder, bundle or server inside a running loop."""
    return await verify(str(target), enterprise, token, vkey, True, lambda *_: None)


async def ask(server: Server, path: str, headers: dict[str, str]) -> Any:
    """Return the JSON of a GET below the enterprise."""
    async with server.session.get(f"{server.url}/api/v1/enterprises/{ENTERPRISE}{path}", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


def stretched(limit_s: float) -> float:
    """Return a limit of an idle machine for this one: longer where more processes than cores are at work."""
    return limit_s * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def rss_mb() -> float:
    """Return the memory this process holds now, in MB."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * 4096 / 1e6


def peak_mb(*, reset: bool = False) -> float:
    """Return the most memory this process has held since the last reset, in MB."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    line = next(each for each in Path("/proc/self/status").read_text("ascii").splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) / 1e3
