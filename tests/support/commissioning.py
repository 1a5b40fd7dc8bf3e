"""What an installer meets: instruments on a bus, a server that a voucher can name, the agent as a process."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from hardware_sim.__main__ import PROFILES
from hardware_sim.bus import RtuBus, Unit
from hardware_sim.faults import FaultPlan
from hardware_sim.profile import load_profile
from hardware_sim.registers import Registers
from tests.support.server import LIMITS, Server
from twin_server.app import make_app, wall_clock
from twin_server.config import Config

METHANE, WEATHER, DUST = 3, 7, 12
VALUES = {
    METHANE: ("draeger-polytron-8000", {"ch4": 0.43}),
    WEATHER: ("vaisala-wxt530", {"humidity": 61.5, "pressure": 1009.2, "wind_direction": 140.0, "temperature": 18.5}),
    DUST: ("delta-ohm-pmsense", {"pm10": 0.42, "pm2_5": 0.17}),
}


@contextlib.asynccontextmanager
async def instruments(path: Path) -> AsyncIterator[RtuBus]:
    """Run three instruments on one serial line."""
    bus = RtuBus("bus", path, 115_200, FaultPlan("test"), lambda _: None)
    for number, (name, values) in VALUES.items():
        registers = Registers(load_profile(PROFILES, name), time.monotonic)
        for signal, value in values.items():
            registers.show(signal, value)
        bus.add(Unit(number, registers.image, 0.002))
    await bus.plug()
    task = asyncio.create_task(bus.run())
    try:
        yield bus
    finally:
        task.cancel()
        await asyncio.wait([task])


@contextlib.asynccontextmanager
async def server(data: Path) -> AsyncIterator[Server]:
    """Run a server that vouchers can name."""
    sockets = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    port = sockets.sockets[0].getsockname()[1]
    sockets.close()
    app = make_app(Config(data=str(data), url=f"http://127.0.0.1:{port}", limits=LIMITS), wall_clock)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Server(app, f"http://127.0.0.1:{port}", session)
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[None]:
    """Run the agent until the block ends."""
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge_agent", "run", "gateway.toml"),
            cwd=folder,
            env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""},
            stderr=log,
        )
    try:
        yield
    finally:
        process.terminate()
        assert await process.wait() == 0, (folder / "log").read_text()


async def listening(address: str, within_s: float = 60.0) -> None:
    """Wait until somebody answers at host:port."""
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(within_s):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.1)


async def changes(desk: Server, kind: str) -> list[dict[str, Any]]:
    headers = await desk.token("regulator", "north")
    async with desk.session.get(f"{desk.url}/api/v1/enterprises/north/changes", headers=headers) as response:
        return [change for change in await response.json() if change["kind"] == kind]
