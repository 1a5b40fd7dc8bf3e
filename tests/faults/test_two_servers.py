"""Two servers on one database, killed in turn, and the database too: nothing acknowledged is lost, nothing is twice."""

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.support.gateway import SealingGateway
from tests.support.postgres import Postgres
from twin_server.app import wall_clock
from twin_server.config import Config, read_config
from twin_server.log import Ledger
from twin_server.store import open_store
from twin_server.verify import verify
from twin_server.vouchers import issue_voucher
from twin_wire.exchange import Answer

START_US = 1_790_000_000_000_000
GATEWAYS = 3
UP_S = 30.0


class Servers:
    """Two processes of the real server with one data folder (the keys) and one database."""

    def __init__(self, folder: Path, url: str) -> None:
        self.config = folder / "server.toml"
        self.config.write_text(f'data = "data"\nstore = "{url}"\n[limits]\nposts_per_s = 10000\n')
        self.urls = ["", ""]
        self._processes: list[subprocess.Popen[str] | None] = [None, None]

    def start(self, which: int) -> None:
        command = [
            sys.executable,
            "-m",
            "twin_server",
            "serve",
            "--config",
            str(self.config),
            "--listen",
            "127.0.0.1:0",
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("twin-server listens on "), process.communicate(timeout=UP_S)[1]
        self._processes[which], self.urls[which] = process, line.split()[-1]

    def kill(self, which: int) -> None:
        process = self._processes[which]
        if process is not None:
            process.kill()
            process.communicate(timeout=UP_S)
            self._processes[which] = None

    def stop(self, which: int) -> None:
        """End one in good order."""
        process = self._processes[which]
        assert process is not None
        process.terminate()
        _, errors = process.communicate(timeout=UP_S)
        assert process.returncode == 0, errors
        self._processes[which] = None


class Roamer:
    """A gateway that posts to either server, keeps what was acknowledged, and sends again what was not."""

    def __init__(self, gateway: SealingGateway, chance: random.Random) -> None:
        self.gateway = gateway
        self.waiting = [(raw, envelope) for envelope, raw in zip(gateway.begin(), gateway.sealed, strict=True)]
        self.receipts: dict[bytes, bytes] = {}  # by statement
        self.size = 0  # of the log, as last verified
        self.failures = 0
        self.answered = {0: 0, 1: 0}
        self._chance = chance

    async def run(self, servers: Servers, until: asyncio.Event) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as session:
            while not until.is_set():
                while len(self.waiting) < 4:
                    at_us = START_US + self.gateway.seq * 1_000_000
                    envelope = self.gateway.seal_rows(at_us, [[1.0, 2.0, float(self.gateway.seq)]])
                    self.waiting.append((self.gateway.sealed[-1], envelope))
                part, which = self.waiting[: self._chance.randint(1, 4)], self._chance.randrange(2)
                try:
                    envelopes = [envelope for _, envelope in part]
                    answer = await self.gateway.post(session, servers.urls[which], envelopes, self.size)
                except (aiohttp.ClientError, TimeoutError, ConnectionError):
                    self.failures += 1
                    await asyncio.sleep(0.05)
                    continue
                self._keep(part, answer)
                self.answered[which] += 1

    def _keep(self, part: list[tuple[bytes, bytes]], answer: Answer) -> None:
        assert answer.size >= self.size, "the log got shorter than what another server had answered"
        self.gateway.check_answer(answer)
        self.size = answer.size
        for (raw, envelope), verdict in zip(part, answer.verdicts, strict=True):
            assert verdict.status in ("receipt", "duplicate"), verdict
            assert verdict.receipt is not None
            assert self.receipts.setdefault(raw, verdict.receipt) == verdict.receipt
            self.waiting.remove((raw, envelope))


async def _prepare(config: Config, chance: random.Random) -> list[Roamer]:
    store = open_store(config.store_url)
    ledger = Ledger(store, config.keys, wall_clock)
    await ledger.create("e1", "e1", True, "localhost/e1")
    lines = [
        await issue_voucher(store, config, "e1", f"gw-{n}", f"gw-{n}", "demo", 7, wall_clock()) for n in range(GATEWAYS)
    ]
    await ledger.close()
    await store.close()
    return [Roamer(SealingGateway(line), chance) for line in lines]


async def _check(url: str, roamers: list[Roamer]) -> None:
    [report] = await verify(url, "e1", "", "", bodies=True, progress=lambda *_: None)
    assert report.faults == []
    store = open_store(url)
    entries = await store.entries("e1", 0, 1 << 30)
    assert [entry.index for entry in entries] == list(range(len(entries)))
    assert sum(entry.kind == "genesis" for entry in entries) == 1
    here = [entry.statement for entry in entries]
    assert len(set(here)) == len(here)
    for roamer in roamers:
        for raw, receipt in roamer.receipts.items():
            assert here[roamer.gateway.verify(receipt, raw).index] == raw
    samples = sum(row.samples for row in await store.arrivals("e1", 0, 1 << 60))
    assert samples == 3 * sum(entry.kind == "data" for entry in entries)
    await store.close()


async def _trouble(
    servers: Servers, server: Postgres, roamers: list[Roamer], chance: random.Random, kills: int
) -> None:
    """Kill one server after the other under load, and in the end the database; all of them come back."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(roamer.run(servers, stop)) for roamer in roamers]
    try:
        for kill in range(kills):
            await asyncio.sleep(chance.uniform(0.7, 1.5))
            servers.kill(kill % 2)  # the other one takes everything
            await asyncio.sleep(chance.uniform(0.3, 0.8))
            await asyncio.to_thread(servers.start, kill % 2)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(server.stop, "immediate")
        await asyncio.sleep(0.5)
        await asyncio.to_thread(server.start)
        before = [len(roamer.receipts) for roamer in roamers]
        await asyncio.sleep(2.0)
        assert all(len(roamer.receipts) > count for roamer, count in zip(roamers, before, strict=True))
    finally:
        stop.set()
        await asyncio.gather(*tasks)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kills", [2, pytest.param(30, marks=pytest.mark.long)])
def test_two_servers_share_a_log_while_one_is_killed_and_the_database_crashes(
    postgres_server: Postgres, tmp_path: Path, kills: int
) -> None:
    url = postgres_server.schema()
    servers, chance = Servers(tmp_path, url), random.Random(7)
    roamers = asyncio.run(_prepare(read_config(str(servers.config)), chance))

    try:
        for which in (0, 1):
            servers.start(which)
        asyncio.run(_trouble(servers, postgres_server, roamers, chance, kills))
        for which in (0, 1):
            servers.stop(which)
    finally:
        for which in (0, 1):
            servers.kill(which)
    asyncio.run(_check(url, roamers))
    assert sum(len(roamer.receipts) for roamer in roamers) > 30 * kills
    assert all(min(roamer.answered.values()) > 5 for roamer in roamers)
    assert sum(roamer.failures for roamer in roamers) > 0
