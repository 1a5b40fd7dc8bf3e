"""The installer's page: reads only, hides nothing of the gateway, and beyond loopback opens by PIN alone."""

import asyncio
import contextlib
import time

import aiohttp
import pytest
from aiohttp import web

from edge_agent.agent import Agent
from edge_agent.clock import SystemClock
from edge_agent.config import load_config
from edge_agent.door import ATTEMPTS_MAX, Door
from edge_agent.health import point_id
from edge_agent.identity import enroll, load_identity, voucher_from
from edge_agent.page import make_page
from tests.support.gateway_folder import write_folder
from tests.support.vouchers import voucher_line

PIN = b"493027"


@contextlib.asynccontextmanager
async def page(folder, pin: bytes = b""):
    """Serve the page of an agent that does not run."""
    config = load_config(write_folder(folder))
    enroll(config, voucher_from(voucher_line(), time.time()), "test 1", SystemClock())
    agent = Agent(config, *load_identity(config), SystemClock())
    runner = web.AppRunner(make_page(agent, pin), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession(base, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            yield agent, session
    finally:
        await runner.cleanup()
        await agent.store.close()


def test_the_state_says_everything_the_contract_names(tmp_path):
    async def main() -> None:
        async with page(tmp_path) as (_agent, session):
            async with session.get("/api/state") as response:
                seen = await response.json()
                assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert {
                "gateway",
                "site",
                "version",
                "key_id",
                "uptime_s",
                "clock",
                "links",
                "devices",
                "sync",
                "budget",
                "events",
            } <= seen.keys()
            assert seen["sync"]["epoch"] == 1
            assert seen["sync"]["unsent"] == 1
            assert seen["links"][0]["state"] == "starting"
            assert seen["budget"]["quota_bytes"] == 4 << 20
            assert any(p["id"] == point_id("gw-1", "cpu") for p in seen["own"])
            async with session.get("/metrics") as response:
                text = await response.text()
            assert "edge_batches_unsent 1\n" in text
            async with session.get("/") as response:
                assert response.status == 200

    asyncio.run(main())


def test_nothing_but_reading_is_possible(tmp_path):
    async def main() -> None:
        async with page(tmp_path) as (_, session):
            for method in ("POST", "PUT", "DELETE", "PATCH"):
                async with session.request(method, "/api/state") as response:
                    assert response.status == 405
            async with session.get("/api/unsent?after=--5") as response:
                assert response.status == 400
            for path in ("/a%00b", "/../agent.py", "/%2e%2e/agent.py", "/..%2f..%2fpyproject.toml", "/static/none"):
                async with session.get(path) as response:
                    assert response.status == 404

    asyncio.run(main())


def test_a_cookie_or_token_of_wild_bytes_is_a_wrong_one():
    door = Door(PIN, 0.0)
    session = door.enter(PIN, 0.0)
    assert not door.is_open("\udcff")
    assert not door.may_order(session, "\udcff")
    assert door.may_order(session, door.token(session))


def test_with_a_pin_nothing_is_told_before_it_and_guessing_ends(tmp_path):
    async def main() -> None:
        async with page(tmp_path, PIN) as (_, session):
            for path in ("/api/state", "/metrics"):
                async with session.get(path) as response:
                    assert response.status == 401
            async with session.post("/api/pin", data=b"000000") as response:
                assert response.status == 403
            async with session.post("/api/pin", data=PIN + b"\n") as response:
                assert response.status == 204
            async with session.get("/api/state") as response:
                assert response.status == 200
            session.cookie_jar.clear()
            for _ in range(ATTEMPTS_MAX):
                async with session.post("/api/pin", data=b"111111") as response:
                    assert response.status == 403
            async with session.post("/api/pin", data=PIN) as response:
                assert response.status == 429, "the right one too has to wait"
            async with session.post("/api/pin", data=bytes(10_000)) as response:
                assert response.status in (413, 429)

    asyncio.run(main())


@pytest.mark.parametrize("name", ["queue-batches", "uptime"])
def test_the_gateway_s_own_points_are_in_the_manifest(tmp_path, name):
    async def main() -> None:
        async with page(tmp_path) as (agent, _):
            assert point_id("gw-1", name) in agent.manifest.groups[-1].points

    asyncio.run(main())
