"""How the demo sets the products up: their commands in order, each with what it needs; nothing is printed here."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from hardware_sim.demo_page import Door, Page
from hardware_sim.demo_parts import Child, Children, Relay, free_port, write_private
from twin_wire.errors import Error

ENTERPRISE, GATEWAY, SITE = "demo", "gw-1", "demo-mine"
PATIENCE_MS = 3_000  # a busy computer may keep the simulated devices waiting; their answers still count
ENTERPRISE_NAME, GATEWAY_NAME = "Demo mine (simulated) 示范煤矿（模拟）", "North wing gateway 北翼网关"
PEOPLE = (("demo", "enterprise", "the mine"), ("inspector", "regulator", "the regulator"))
READY_S, LOOK_S = 60.0, 0.25


class Stage:
    """The folder, ports, link and processes of one demo."""

    def __init__(self, folder: Path, session: aiohttp.ClientSession, stop: asyncio.Event) -> None:
        self.folder, self.session = folder, session
        self.gateway_folder = folder / "gateway"
        self.children = Children(folder / "logs")
        taken: set[int] = set()
        self.server_port, self.page_port = free_port(8440, taken), free_port(8765, taken)
        self.plc_port = free_port(1502, taken)
        self.relay = Relay(free_port(0, taken), self.server_port)
        self.vkey = self.token = ""
        self.agent: Child | None = None
        self.mine = Door("", session)
        self.gateway = Door(f"http://127.0.0.1:{self.page_port}", session)
        self._stop = stop

    @property
    def url(self) -> str:
        """Return the server's address, for people and for the page."""
        return f"http://127.0.0.1:{self.server_port}"

    def page(self) -> Page:
        """Return a client that sees what a page of the enterprise sees."""
        return Page(self.url, ENTERPRISE, self.token, self.session)

    def passphrase(self, name: str) -> str:
        """Return the passphrase made for a person of this demo."""
        return (self.folder / f"passphrase-{name}.txt").read_text().strip()

    async def start_mine(self, seed: int, profiles: Path) -> None:
        """Start the simulator and wait for its ports."""
        folder = self.gateway_folder
        words = ["run", "--dir", folder, "--seed", seed, "--profiles", profiles, "--gateway", GATEWAY]
        words += ["--tcp-port", self.plc_port, "--page", f"127.0.0.1:{self.page_port}"]
        await self.children.start("mine", "hardware-sim", *words)
        control = folder / "control.json"
        await self.until(control.is_file, "the simulator does not start")
        self.mine = Door(json.loads(control.read_text())["url"], self.session)
        await self.until(lambda: (folder / "dev" / "uwb-2").exists(), "the simulator opens no ports")

    async def start_server(self) -> None:
        """Begin a log marked as simulated, add people and a token, and serve."""
        data, ask = ("--data", self.folder / "server"), self.children.ask
        made = await ask(
            "twin-server", "enterprises", "add", ENTERPRISE, "--name", ENTERPRISE_NAME, "--simulated", *data
        )
        self.vkey = made.partition("key ")[2].split("\n")[0].strip()
        for name, role, _ in PEOPLE:
            secret = self.folder / f"passphrase-{name}.txt"
            write_private(secret, "-".join(secrets.token_hex(2) for _ in range(4)) + "\n")
            person = ("users", "add", name, "--role", role, "-e", ENTERPRISE, "--passphrase-file", secret)
            await ask("twin-server", *person, *data)
        program = ("tokens", "add", "demo", "--role", "enterprise", "-e", ENTERPRISE)
        self.token = (await ask("twin-server", *program, *data)).strip()
        write_private(self.folder / "token.txt", self.token + "\n")
        listen = f"127.0.0.1:{self.server_port}"
        await self.children.start("server", "twin-server", "serve", "--listen", listen, *data)
        await self.until(self._answers, "the server does not answer")

    async def enrol(self) -> None:
        """Make a voucher that leads over the relay, check the gateway's folder and enrol."""
        voucher, config = self.folder / "voucher.txt", self.gateway_folder / "gateway.toml"
        words = ("gateways", "add", GATEWAY, "-e", ENTERPRISE, "--site", SITE, "--name", GATEWAY_NAME)
        where = ("--url", self.relay.url, "--out", voucher, "--data", self.folder / "server")
        await self.children.ask("twin-server", *words, *where)
        text = config.read_text(encoding="utf-8").replace("[[device]]", f"[[device]]\ntimeout_ms = {PATIENCE_MS}")
        config.write_text(text, encoding="utf-8")
        await self.children.ask("edge-agent", "check", config)
        await self.children.ask("edge-agent", "enroll", config, "--voucher", voucher)

    async def start_agent(self) -> None:
        """Mend the link and let the agent run."""
        await self.relay.mend()
        config = self.gateway_folder / "gateway.toml"
        self.agent = await self.children.start("agent", "edge-agent", "run", config)

    async def verify(self) -> dict[str, Any]:
        """Let `twin-server verify` rebuild the log over HTTP; return its report."""
        words = ("verify", self.url, "-e", ENTERPRISE, "--token-file", self.folder / "token.txt", "--json")
        text = await self.children.ask("twin-server", *words, "--vkey", self.vkey, within_s=300.0, codes=(0, 1))
        report: dict[str, Any] = json.loads(text)[0]
        return report

    async def agent_state(self) -> dict[str, Any] | None:
        """Return what the agent says of its link and queue; None while it does not answer."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            sync: dict[str, Any] = (await self.gateway.get("/api/state"))["sync"]
            return sync
        return None

    async def close(self) -> None:
        """End every process and the relay."""
        await self.children.stop_all()
        await self.relay.cut()

    async def until(self, ready: Callable[[], Any], otherwise: str, within_s: float = READY_S) -> None:
        """Wait for a condition (plain or awaitable); Error if it takes too long or a process ends."""
        deadline_s = time.monotonic() + within_s
        while True:
            held = ready()
            if asyncio.iscoroutine(held):
                held = await held
            if held:
                return
            self.check_alive()
            if time.monotonic() > deadline_s:
                raise Error(otherwise)
            if self._stop.is_set():
                raise Error("stopped meanwhile")
            await asyncio.sleep(LOOK_S)

    def check_alive(self) -> None:
        """Raise Error when a process ended that nobody asked to."""
        dead = self.children.dead()
        if dead is not None:
            raise Error(f"{dead.name} ended with {dead.process.returncode}")

    async def _answers(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with self.session.get(f"{self.url}/healthz") as answer:
                return answer.status == 200
        return False
