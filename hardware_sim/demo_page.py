"""The demo's eyes: a client of the server that sees what a page sees, and the simulator's and the agent's own words."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from twin_wire.errors import Error

TIMEOUT = aiohttp.ClientTimeout(total=15, sock_connect=5)
RECONNECT_S = 1.0
EXPORT_TIMEOUT = aiohttp.ClientTimeout(total=300)


class Page:
    """A reader of one enterprise by token: JSON answers, and the live socket as a browser would have it open."""

    def __init__(self, url: str, enterprise: str, token: str, session: aiohttp.ClientSession) -> None:
        self.base = f"{url}/api/v1/enterprises/{enterprise}"
        self.tick: dict[str, Any] = {}
        self.frames = 0
        self.alarms: dict[str, dict[str, Any]] = {}
        self.seen_us: dict[str, int] = {}  # when an alarm first came over the socket
        self.states: set[str] = set()  # what was said of the gateway since they were last cleared
        self.delays_s: list[float] = []  # newest event to receipt, one a batch, while live
        self._session, self._headers = session, {"Authorization": f"Bearer {token}"}
        self._received_us = 0

    @property
    def gateway(self) -> dict[str, Any]:
        """Return what the last tick said of the gateway."""
        gateways = self.tick.get("gateways") or [{}]
        return dict(gateways[0])

    async def get(self, path: str = "") -> Any:
        """Return the JSON of a route of the enterprise; Error when the server says no."""
        async with self._session.get(self.base + path, headers=self._headers, timeout=TIMEOUT) as answer:
            if answer.status != 200:
                raise Error(f"GET {path or '/'}: {answer.status} {(await answer.text())[:200]}")
            return await answer.json()

    async def is_live(self) -> bool:
        """Tell whether readings are in the twin and pictures come over the socket."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, Error):
            detail = await self.get()
            return bool(detail["state"] == "live" and detail["points"] and self.frames)
        return False

    async def put_notice(self, kind: str, text: str, factor: float, seconds: float) -> None:
        """Put a sentence on every page, or take it down with an empty text."""
        body = {"text": text, "factor": factor, "seconds": seconds}
        url = f"{self.base}/notices/{kind}"
        async with self._session.put(url, json=body, headers=self._headers, timeout=TIMEOUT) as answer:
            if answer.status not in (200, 204):
                raise Error(f"PUT notice: {answer.status} {(await answer.text())[:200]}")

    async def lines(self, path: str) -> AsyncIterator[str]:
        """Yield the lines of a streamed text route."""
        async with self._session.get(self.base + path, headers=self._headers, timeout=EXPORT_TIMEOUT) as answer:
            if answer.status != 200:
                raise Error(f"GET {path}: {answer.status}")
            async for line in answer.content:
                yield line.decode().rstrip("\r\n")

    async def watch(self) -> None:
        """Keep the live socket open until cancelled."""
        while True:
            try:
                async with self._session.ws_connect(f"{self.base}/live", headers=self._headers) as socket:
                    async for message in socket:
                        self._take(message)
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(RECONNECT_S)

    def _take(self, message: aiohttp.WSMessage) -> None:
        if message.type is aiohttp.WSMsgType.BINARY:
            self.frames += 1
        elif message.type is aiohttp.WSMsgType.TEXT:
            said = json.loads(message.data)
            if said["type"] == "alarm":
                alarm = said["alarm"]
                self.seen_us.setdefault(alarm["id"], time.time_ns() // 1000)
                self.alarms[alarm["id"]] = alarm
            elif said["type"] == "tick":
                self._tick(said)

    def _tick(self, tick: dict[str, Any]) -> None:
        self.tick = tick
        gateway = self.gateway
        if not gateway:
            return
        self.states.add(gateway["state"])
        if gateway["last_received_us"] != self._received_us:
            self._received_us = gateway["last_received_us"]
            if gateway["state"] == "live":
                self.delays_s.append((gateway["last_received_us"] - gateway["last_event_us"]) / 1e6)


class Door:
    """A small JSON service of ours on 127.0.0.1: the simulator's control door, the agent's page."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self._session = url, session

    async def get(self, path: str) -> Any:
        """Return the JSON of a route."""
        async with self._session.get(self.url + path, timeout=TIMEOUT) as answer:
            return await answer.json()

    async def post(self, path: str, **body: object) -> Any:
        """Send an order and return the answer; Error with its reason when it is refused."""
        async with self._session.post(self.url + path, json=body, timeout=TIMEOUT) as answer:
            said = await answer.json()
            if answer.status != 200:
                raise Error(f"{path}: {said}")
            return said

    async def metrics(self, path: str = "/metrics") -> dict[str, float]:
        """Return the plain (unlabelled) numbers of a Prometheus page."""
        async with self._session.get(self.url + path, timeout=TIMEOUT) as answer:
            text = await answer.text()
        rows = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
        return {row[0]: float(row[1]) for row in rows if len(row) == 2 and "{" not in row[0]}
