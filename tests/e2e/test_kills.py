"""kill -9 of agent and server, twenty times each in one run over real wires: nothing sealed is lost."""

import asyncio
import contextlib
import csv
import random
import sqlite3
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hardware_sim.demo_parts import Child
from hardware_sim.demo_setup import ENTERPRISE, Stage
from twin_wire.tiles import TILE_WIDTH, decode_entries, tile_path

PROFILES = Path(__file__).parents[2] / "drivers" / "profiles"
KILLS = 20
SEED = 7


async def kill(stage: Stage, child: Child) -> None:
    stage.children.all.remove(child)
    child.process.kill()
    await child.process.wait()


async def restart_server(stage: Stage) -> Child:
    listen, data = f"127.0.0.1:{stage.server_port}", stage.folder / "server"
    return await stage.children.start("server", "twin-server", "serve", "--listen", listen, "--data", data)


async def sync(stage: Stage) -> dict[str, Any]:
    return await stage.agent_state() or {}


async def killing(stage: Stage) -> int:
    """Kill agent and server in turn at random moments; return the greatest log size the agent had verified."""
    rng, verified = random.Random(SEED), 0
    server = next(c for c in stage.children.all if c.name == "server")
    for _ in range(KILLS):
        await asyncio.sleep(rng.uniform(0.2, 1.2))
        verified = max(verified, (await sync(stage)).get("verified_size", 0))
        await kill(stage, server)
        await asyncio.sleep(rng.uniform(0.0, 0.5))
        server = await restart_server(stage)
        await asyncio.sleep(rng.uniform(1.0, 3.0))
        verified = max(verified, (await sync(stage)).get("verified_size", 0))
        assert stage.agent is not None
        await kill(stage, stage.agent)
        await stage.start_agent()
        await stage.until(lambda: _answers(stage), "the agent does not come back")
    return verified


async def _answers(stage: Stage) -> bool:
    return bool(await sync(stage))


async def entries(stage: Stage, size: int) -> list[bytes]:
    headers = {"Authorization": f"Bearer {stage.token}"}
    found: list[bytes] = []
    for n in range(0, size, TILE_WIDTH):
        path = tile_path("entries", n // TILE_WIDTH, min(TILE_WIDTH, size - n))
        async with stage.session.get(f"{stage.url}/log/{ENTERPRISE}/{path}", headers=headers) as answer:
            assert answer.status == 200
            found += decode_entries(await answer.read())
    return found


async def run(folder: Path) -> None:
    async with aiohttp.ClientSession() as session:
        stage = Stage(folder, session, asyncio.Event())
        try:
            await stage.start_mine(SEED, PROFILES)
            await stage.start_server()
            await stage.enrol()
            await stage.start_agent()
            page = stage.page()
            watching = asyncio.create_task(page.watch())  # someone watches: the gateway seals each second
            await stage.until(page.is_live, "the twin does not come alive")
            verified = await killing(stage)
            await stage.until(page.is_live, "the twin does not come back")
            watching.cancel()
            assert stage.agent is not None
            assert await stage.children.stop(stage.agent, 20) == 0
            await holds(stage, verified)
        finally:
            await stage.close()


async def holds(stage: Stage, verified: int) -> None:
    report = await stage.verify()
    assert report["faults"] == []
    size = report["counts"]["entries"]
    assert size >= verified > 0
    logged = await entries(stage, size)
    assert len(set(logged)) == len(logged) == size
    with contextlib.closing(sqlite3.connect(stage.gateway_folder / "state" / "queue.db")) as db:
        sealed = {bytes(row[0]) for row in db.execute("select statement from batch")}
    assert len(sealed) > KILLS
    assert sealed <= set(logged)
    export = stage.folder / "export.csv"
    words = ("export", "-e", ENTERPRISE, "--data", stage.folder / "server", "--out", export)
    await stage.children.ask("twin-server", *words)
    with export.open(newline="") as file:
        samples = [(row["gateway"], row["point"], row["time_us"]) for row in csv.DictReader(file)]
    assert len(samples) == len(set(samples)) > 1000


@pytest.mark.timeout(400)
def test_twenty_kills_of_agent_and_server_lose_nothing_sealed_and_double_nothing(tmp_path: Path) -> None:
    asyncio.run(run(tmp_path / "demo"))
