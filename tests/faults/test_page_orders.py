"""The page on the LAN takes orders over TLS with PIN and token alone, and pauses a link's polling only with consent."""

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path

import aiohttp

from edge_agent.ask_page import running_agent
from edge_agent.config import load_config
from edge_agent.page_tls import fingerprint
from hardware_sim.demo_parts import free_port
from tests.support.commissioning import METHANE, instruments, running
from tests.support.vouchers import voucher_line
from twin_wire.errors import ConfigError, LinkError

GATEWAY = """[gateway]
id = "gw-1"
site = "demo"
[page]
listen = "0.0.0.0:{port}"
pin_file = "pin"
[[link]]
id = "bus-1"
kind = "modbus-rtu"
port = "{bus}"
[[device]]
id = "ch4"
link = "bus-1"
profile = "draeger-polytron-8000"
unit = 3
"""


def write(folder: Path, bus: Path) -> int:
    """Write an enrolled folder whose page is open to the LAN; return its port."""
    port = free_port(0, set())
    folder.mkdir()
    (folder / "gateway.toml").write_text(GATEWAY.format(port=port, bus=bus), encoding="utf-8")
    (folder / "points.csv").write_text("point,device,signal\nch4,ch4,ch4\n", encoding="utf-8")
    (folder / "pin").write_text("a passphrase\n", encoding="utf-8")
    words = (sys.executable, "-m", "edge_agent", "enroll", str(folder / "gateway.toml"), "--voucher", voucher_line())
    subprocess.run(words, check=True, capture_output=True)
    return port


async def refused_without(base: str) -> None:
    """Try orders without a PIN, without a token, as a form, and under a name of the internet's."""
    json = {"by": "p-1"}
    connector = aiohttp.TCPConnector(ssl=False)
    async with aiohttp.ClientSession(base, connector=connector, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        tries = {
            401: session.post("/api/alarm-test", json=json),
            403: session.get("/api/state", headers={"Host": "evil.example"}),
        }
        for status, asked in tries.items():
            async with asked as response:
                assert response.status == status
        async with session.post("/api/pin", data=b"a passphrase") as response:
            assert response.status == 204
            assert response.cookies["edge_page"]["secure"]
        async with session.get("/api/state") as response:
            token = (await response.json())["csrf"]
        async with session.post("/api/alarm-test", json=json) as response:
            assert response.status == 403, "no token"
        async with session.post("/api/alarm-test", data=b"{}", headers={"X-CSRF-Token": token}) as response:
            assert response.status == 415, "what a form can send"
        async with session.post("/api/alarm-test", json={"x": 1}, headers={"X-CSRF-Token": token}) as response:
            assert response.status == 400


async def work(folder: Path, bus: Path) -> None:
    config = load_config(folder / "gateway.toml")
    async with running_agent(config) as agent:
        for _ in range(100):
            if (await agent.state())["devices"][0]["state"] == "up":
                break
            await asyncio.sleep(0.1)
        place = {"target": str(bus), "baud": 9600, "parity": "N", "units": "2-4"}
        with contextlib.suppress(ConfigError):
            await agent.order("/api/scan", place)
            raise AssertionError("a polled link was scanned without consent")
        await agent.order("/api/scan", {**place, "pause": True, "only_master": True})
        assert (await agent.state())["commissioning"]["paused"] == ["bus-1"]
        while (job := await agent.job())["state"] == "running":  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        assert [found["unit"] for found in job["result"]["found"]] == [METHANE], job
        for _ in range(100):
            state = await agent.state()
            if not state["commissioning"]["paused"] and state["devices"][0]["state"] == "up":
                break
            await asyncio.sleep(0.1)
        assert state["devices"][0]["state"] == "up"
        assert [event["end_us"] > 0 for event in state["events"] if event["rule"] == "poll_paused"] == [True, False]
        made = (await agent.order("/api/alarm-test", {"by": "p-0042"}))["alarm_test"]
        assert made["state"] == "waiting"
        with contextlib.suppress(ConfigError):
            await agent.order("/api/certificate", {"by": "Wang Wei", "role": "installer"})
            raise AssertionError("a name got into the log")


def test_orders_need_tls_pin_token_and_consent(tmp_path: Path) -> None:
    async def run() -> None:
        bus, folder = tmp_path / "bus", tmp_path / "gateway"
        async with instruments(bus):
            port = await asyncio.to_thread(write, folder, bus)
            async with running(folder):
                for _ in range(200):
                    if fingerprint(folder / "state"):
                        with contextlib.suppress(LinkError):
                            async with running_agent(load_config(folder / "gateway.toml")):
                                break
                    await asyncio.sleep(0.1)
                await refused_without(f"https://127.0.0.1:{port}")
                await work(folder, bus)

    asyncio.run(run())
