"""The installer's page on the gateway: reads only, on loopback, or elsewhere behind a PIN with few attempts."""

import hmac
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from edge_agent.config import is_loopback, listen_address
from edge_agent.status import metrics, status

if TYPE_CHECKING:
    from edge_agent.agent import Agent

STATIC = Path(__file__).parent / "static"
COOKIE = "edge_page"
PIN_BYTES_MAX = 256
ATTEMPTS_MAX = 5  # wrong PINs from anyone, then a pause for everyone: a gateway has one installer
PAUSE_S = 300.0
SESSIONS_MAX = 16
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
         ".json": "application/json", ".woff2": "font/woff2", ".png": "image/png", ".ico": "image/x-icon"}  # fmt: skip
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:",
}

log = logging.getLogger(__name__)


class Door:
    """Who may look: everyone on loopback, elsewhere who knows the PIN; counts wrong attempts."""

    def __init__(self, pin: bytes, now_s: float) -> None:
        self._pin = pin
        self._sessions: list[str] = []
        self._wrong = 0
        self._closed_until_s = now_s

    def is_open(self, cookie: str) -> bool:
        """Tell whether a session cookie was given out here."""
        return not self._pin or any(hmac.compare_digest(cookie, known) for known in self._sessions)

    def wait_s(self, now_s: float) -> float:
        """Return how long no PIN is looked at, 0 if one may be tried."""
        return max(0.0, self._closed_until_s - now_s)

    def enter(self, pin: bytes, now_s: float) -> str:
        """Return a session cookie for the right PIN, "" for a wrong one."""
        if not hmac.compare_digest(pin.strip(), self._pin):
            self._wrong += 1
            if self._wrong >= ATTEMPTS_MAX:
                self._wrong, self._closed_until_s = 0, now_s + PAUSE_S
            return ""
        self._wrong = 0
        session = secrets.token_urlsafe(24)
        self._sessions = [*self._sessions[1 - SESSIONS_MAX :], session]
        return session


AGENT: "web.AppKey[Agent]" = web.AppKey("agent")
DOOR = web.AppKey("door", Door)


def make_page(agent: "Agent", pin: bytes) -> web.Application:
    """Return the page's application; every route answers GET alone, but for the PIN."""
    app = web.Application(middlewares=[_guard], client_max_size=PIN_BYTES_MAX)
    app[AGENT] = agent
    app[DOOR] = Door(pin, agent.clock.monotonic_s())
    app.router.add_get("/api/state", _state)
    app.router.add_get("/metrics", _metrics)
    app.router.add_post("/api/pin", _enter)
    app.router.add_get("/{path:.*}", _static)
    return app


@web.middleware
async def _guard(request: web.Request, handler: "web.Handler") -> web.StreamResponse:  # type: ignore[name-defined]
    door = request.app[DOOR]
    private = request.path.startswith("/api/") or request.path == "/metrics"
    if private and request.path != "/api/pin" and not door.is_open(request.cookies.get(COOKIE, "")):
        raise web.HTTPUnauthorized(text="PIN needed: POST it to /api/pin", headers=HEADERS)
    response: web.StreamResponse = await handler(request)
    response.headers.update(HEADERS)
    return response


async def _state(request: web.Request) -> web.Response:
    return web.json_response(status(request.app[AGENT]), headers={"Cache-Control": "no-store"})


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(text=metrics(request.app[AGENT]), content_type="text/plain", charset="utf-8")


async def _enter(request: web.Request) -> web.Response:
    door, now_s = request.app[DOOR], request.app[AGENT].clock.monotonic_s()
    if door.wait_s(now_s):
        raise web.HTTPTooManyRequests(
            text="too many wrong PINs", headers={"Retry-After": str(int(door.wait_s(now_s)) + 1)}
        )
    session = door.enter(await request.read(), now_s)
    if not session:
        log.warning("wrong PIN from=%s", request.remote)
        raise web.HTTPForbidden(text="wrong PIN")
    response = web.Response(status=204)
    response.set_cookie(COOKIE, session, httponly=True, samesite="Strict", path="/")
    return response


async def _static(request: web.Request) -> web.StreamResponse:
    name = request.match_info["path"] or "index.html"
    path = (STATIC / name).resolve()
    if path.is_relative_to(STATIC.resolve()) and path.is_file() and path.suffix in TYPES:
        return web.FileResponse(path, headers={"Content-Type": TYPES[path.suffix]})
    if name != "index.html":
        raise web.HTTPNotFound(text="no such page")
    return web.Response(text=_plain(request.app[AGENT], request.app[DOOR].is_open(request.cookies.get(COOKIE, ""))))


def _plain(agent: "Agent", is_open: bool) -> str:
    """Return what is shown where the page was not built."""
    if not is_open:
        return "edge-agent: PIN needed (POST it to /api/pin)\n"
    seen = status(agent)
    sync, budget = seen["sync"], seen["budget"]
    lines = [
        f"gateway {seen['gateway']}  site {seen['site']}  key {seen['key_id']}  {seen['version']}",
        f"server {sync['server']}  {sync['state']} {sync['reason']}",
        f"unsent {sync['unsent']}  sealed {sync['seq']}  log verified to {sync['verified_size']}",
        f"queue {budget['queue_bytes']} of {budget['quota_bytes']} bytes",
        *(f"link {k['id']}  {k['state']}  answers {k['answers']}  timeouts {k['timeouts']}" for k in seen["links"]),
        *(f"device {d['id']}  {d['state']}  {d['reason']}" for d in seen["devices"]),
        "",
        "all of it: /api/state    for Prometheus: /metrics",
    ]
    return "\n".join(lines) + "\n"


@asynccontextmanager
async def serve_page(agent: "Agent") -> AsyncIterator[None]:
    """Serve the page while the agent runs; a port that is taken is logged and the agent goes on without a page."""
    table = agent.config.page
    where = listen_address(table.listen) if table.listen else None
    if where is None:
        yield
        return
    pin = (agent.config.folder / table.pin_file).read_bytes().strip() if table.pin_file else b""
    assert pin or is_loopback(where[0]), "the configuration was checked"
    runner = web.AppRunner(make_page(agent, pin), access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, *where).start()
        log.info("page listen=%s", table.listen)
    except OSError as error:
        log.warning("no page listen=%s error=%s", table.listen, error)
    try:
        yield
    finally:
        await runner.cleanup()
