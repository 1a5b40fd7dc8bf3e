"""kill -9 of the real server under load: nothing acknowledged is lost, nothing is there twice, the log verifies."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.support.desk import desk
from tests.support.gateway import SealingGateway
from twin_server.verify import verify
from twin_wire.exchange import Answer

START_US = 1_790_000_000_000_000
GATEWAYS = 2
UP_S = 20.0


def _start(data: Path) -> tuple[subprocess.Popen[str], str]:
    """Start the server on a free port and return it with its URL once it listens."""
    command = [sys.executable, "-m", "twin_server", "serve", "--data", str(data), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith("twin-server listens on "):
        raise AssertionError(process.communicate(timeout=UP_S)[1])
    return process, line.split()[-1]


class Feeder:
    """A gateway that posts as fast as it can, keeps what was acknowledged, and sends again what was not."""

    def __init__(self, gateway: SealingGateway) -> None:
        self.gateway = gateway
        self.waiting: list[tuple[bytes, bytes]] = [
            (raw, envelope) for envelope, raw in zip(gateway.begin(), gateway.sealed, strict=True)
        ]
        self.receipts: dict[bytes, bytes] = {}  # by statement
        self.size = 0  # of the log, as last verified

    async def run(self, url: str, until: asyncio.Event) -> None:
        """Post until the server is gone or the time is over."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5)) as session:
            while not until.is_set():
                while len(self.waiting) < 4:
                    at_us = START_US + self.gateway.seq * 1_000_000
                    envelope = self.gateway.seal_rows(at_us, [[1.0, 2.0, float(self.gateway.seq)]])
                    self.waiting.append((self.gateway.sealed[-1], envelope))
                part = self.waiting[: random.randint(1, 4)]
                try:
                    answer = await self.gateway.post(session, url, [envelope for _, envelope in part], self.size)
                except (aiohttp.ClientError, TimeoutError, ConnectionError):
                    return
                self._keep(part, answer)

    def _keep(self, part: list[tuple[bytes, bytes]], answer: Answer) -> None:
        assert answer.size >= self.size, "the log got shorter than what it had answered"
        self.gateway.check_answer(answer)
        self.size = answer.size
        for (raw, envelope), verdict in zip(part, answer.verdicts, strict=True):
            assert verdict.status in ("receipt", "duplicate"), verdict
            assert verdict.receipt is not None
            before = self.receipts.setdefault(raw, verdict.receipt)
            assert before == verdict.receipt
            self.waiting.remove((raw, envelope))


async def _prepare(data: Path) -> list[Feeder]:
    async with desk(data) as at:
        await at.enterprise("e1")
        return [Feeder(SealingGateway(await at.voucher("e1", f"gw-{n}"))) for n in range(GATEWAYS)]


async def _round(feeders: list[Feeder], url: str, process: subprocess.Popen[str], after_s: float) -> None:
    """Feed the server and kill it in the middle of it."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(feeder.run(url, stop)) for feeder in feeders]
    await asyncio.sleep(after_s)
    os.kill(process.pid, signal.SIGKILL)
    stop.set()
    await asyncio.gather(*tasks)


async def _check(data: Path, feeders: list[Feeder]) -> int:
    [report] = await verify(str(data), "e1", "", "", bodies=True, progress=lambda *_: None)
    assert report.faults == []
    async with desk(data) as at:
        entries = await at.store.entries("e1", 0, 1 << 30)
        here = [entry.statement for entry in entries]
        assert len(set(here)) == len(here)
        for feeder in feeders:
            for raw, receipt in feeder.receipts.items():
                assert here[feeder.gateway.verify(receipt, raw).index] == raw
        samples = sum(row.samples for row in await at.store.arrivals("e1", 0, 1 << 60))
        assert samples == 3 * sum(entry.kind == "data" for entry in entries)
    return sum(len(feeder.receipts) for feeder in feeders)


def _kill_again_and_again(data: Path, kills: int) -> None:
    feeders = asyncio.run(_prepare(data))
    chance = random.Random(kills)
    for _ in range(kills):
        process, url = _start(data)
        try:
            asyncio.run(_round(feeders, url, process, chance.uniform(0.05, 0.6)))
        finally:
            process.kill()
            process.communicate(timeout=UP_S)
    process, url = _start(data)
    stop = asyncio.Event()

    async def last() -> None:
        asyncio.get_running_loop().call_later(1.0, stop.set)
        await asyncio.gather(*(feeder.run(url, stop) for feeder in feeders))

    asyncio.run(last())
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=UP_S)
    assert process.returncode == 0, errors
    assert asyncio.run(_check(data, feeders)) > 20 * kills


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    _kill_again_and_again(tmp_path, kills=5)
    record_property("kills", 5)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_nothing_acknowledged_is_lost_over_many_kills(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    _kill_again_and_again(tmp_path, kills=40)
    record_property("kills", 40)


def test_two_servers_never_share_a_data_folder(tmp_path: Path) -> None:
    asyncio.run(_prepare(tmp_path))
    process, _ = _start(tmp_path)
    try:
        second = [sys.executable, "-m", "twin_server", "serve", "--data", str(tmp_path), "--listen", "127.0.0.1:0"]
        done = subprocess.run(second, capture_output=True, text=True, timeout=UP_S, check=False)
        assert done.returncode == 2
        assert "a server uses the data folder" in done.stderr
    finally:
        process.terminate()
        process.communicate(timeout=UP_S)
    assert process.returncode == 0
