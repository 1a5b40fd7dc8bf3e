"""Orders to the agent that runs on this machine, through its page: for commands that need a running gateway."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from ssl import PEM_cert_to_DER_cert
from typing import Any

import aiohttp

from edge_agent.config import Config, is_loopback, listen_address
from edge_agent.page_tls import CERTIFICATE
from twin_wire.errors import ConfigError, LinkError

TIMEOUT = aiohttp.ClientTimeout(total=20)
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}
LOOK_S = 0.5


class RunningAgent:
    """A session with the page of a running agent."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def state(self) -> dict[str, Any]:
        """Return what the page knows."""
        async with self._session.get("/api/state") as response:
            if response.status != 200:
                raise LinkError(f"the agent's page answers {response.status}", "is page.pin_file the one it runs with?")
            found: dict[str, Any] = await response.json()
            return found

    async def unsent(self, after: int) -> bytes:
        """Return unsent batches behind a row id as a sequence of envelopes, empty when there are no more."""
        async with self._session.get(f"/api/unsent?after={after}") as response:
            if response.status != 200:
                raise LinkError(f"the agent does not hand out its queue: {response.status}")
            return await response.read()

    async def job(self) -> dict[str, Any]:
        """Return the newest job on a bus."""
        async with self._session.get("/api/job") as response:
            found: dict[str, Any] = await response.json()
            return found

    async def order(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Give an order; ConfigError with its faults if the agent refuses it."""
        token = (await self.state())["csrf"]
        async with self._session.post(path, json=dict(body), headers={"X-CSRF-Token": token}) as response:
            if response.status == 409:
                told = await response.json()
                raise ConfigError(told["error"], told["hint"], tuple((f[0], f[1]) for f in told["faults"]))
            if response.status != 200:
                raise LinkError(f"the agent refuses: {response.status} {(await response.text())[:200]}")
            found: dict[str, Any] = await response.json()
            return found

    async def receipt(self, what: str, seconds: float) -> dict[str, Any]:
        """Return the state of the newest alarm_test or certificate, as soon as it is proved or the time is up."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + seconds
        while True:
            found: dict[str, Any] = (await self.state())["commissioning"][what]
            if found["state"] == "proved" or loop.time() >= end_s:
                return found
            await asyncio.sleep(LOOK_S)


@contextlib.asynccontextmanager
async def running_agent(config: Config) -> AsyncIterator[RunningAgent]:
    """Open a session with the agent that runs on this configuration; LinkError if none does."""
    where = listen_address(config.page.listen) if config.page.listen else None
    if where is None:
        raise ConfigError("[page] listen is empty", "the agent is reached by its page", (("page.listen", "is empty"),))
    pin = (config.folder / config.page.pin_file).read_bytes().strip() if config.page.pin_file else b""
    secured = not is_loopback(where[0])
    host = ANY.get(where[0], where[0])
    base = f"{'https' if secured else 'http'}://{f'[{host}]' if ':' in host else host}:{where[1]}"
    connector = aiohttp.TCPConnector(ssl=_own_certificate(config) if secured else True)
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(base, connector=connector, cookie_jar=jar, timeout=TIMEOUT) as session:
        try:
            if pin:
                async with session.post("/api/pin", data=pin) as response:
                    if response.status != 204:
                        raise LinkError(f"the page refuses the PIN: {response.status}", "wait, or restart the agent")
            yield RunningAgent(session)
        except aiohttp.ClientError as error:
            raise LinkError(f"no agent answers at {base}: {error}", "start it: edge-agent run gateway.toml") from error


def _own_certificate(config: Config) -> aiohttp.Fingerprint:
    try:
        pem = (config.state / CERTIFICATE).read_text("ascii")
    except OSError as error:
        raise LinkError(f"the page has no certificate yet: {error}", "start the agent: edge-agent run") from error
    return aiohttp.Fingerprint(sha256(PEM_cert_to_DER_cert(pem)).digest())
