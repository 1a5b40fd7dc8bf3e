"""The installer's page: shows everything, takes orders with a token; on loopback, or elsewhere by TLS behind a PIN."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from edge_agent.bench import Bench
from edge_agent.config import is_loopback, listen_address
from edge_agent.door import Door, is_own_name
from edge_agent.page_orders import AGENT, BENCH, BODY_BYTES_MAX, COOKIE, DOOR, add_orders, commissioning
from edge_agent.page_tls import fingerprint, page_context
from edge_agent.status import metrics, status
from twin_wire.statement import encode_envelope

if TYPE_CHECKING:
    from edge_agent.agent import Agent

STATIC = Path(__file__).parent / "static"
PIN_BYTES_MAX = 256
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
         ".json": "application/json", ".woff2": "font/woff2", ".png": "image/png", ".ico": "image/x-icon"}  # fmt: skip
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:",
}

log = logging.getLogger(__name__)


def make_page(agent: "Agent", pin: bytes) -> web.Application:
    """Return the page's application; what is more than looking needs the session's token."""
    app = web.Application(middlewares=[_guard], client_max_size=BODY_BYTES_MAX)
    app[AGENT] = agent
    app[DOOR] = Door(pin, agent.clock.monotonic_s())
    app[BENCH] = Bench(agent)
    app.on_shutdown.append(_close)
    add_orders(app)
    app.router.add_get("/api/state", _state)
    app.router.add_get("/api/unsent", _unsent)
    app.router.add_get("/metrics", _metrics)
    app.router.add_post("/api/pin", _enter)
    app.router.add_get("/{path:.*}", _static)
    return app


async def _close(app: web.Application) -> None:
    await app[BENCH].close()


@web.middleware
async def _guard(request: web.Request, handler: "web.Handler") -> web.StreamResponse:  # type: ignore[name-defined]
    door = request.app[DOOR]
    if not is_own_name(request.host, request.app[AGENT].identity.gateway):
        raise web.HTTPForbidden(text="use the gateway's address", headers=HEADERS)
    private = request.path.startswith("/api/") or request.path == "/metrics"
    if private and request.path != "/api/pin" and not door.is_open(request.cookies.get(COOKIE, "")):
        raise web.HTTPUnauthorized(text="PIN needed: POST it to /api/pin", headers=HEADERS)
    response: web.StreamResponse = await handler(request)
    response.headers.update(HEADERS)
    return response


async def _state(request: web.Request) -> web.Response:
    agent = request.app[AGENT]
    token = request.app[DOOR].token(request.cookies.get(COOKIE, ""))
    seen = {**status(agent), "commissioning": commissioning(agent), "csrf": token}
    return web.json_response(seen, headers={"Cache-Control": "no-store"})


async def _unsent(request: web.Request) -> web.Response:
    """Return unsent batches behind a row id as they would be posted, for `export-usb`; empty when there are no more."""
    store, after = request.app[AGENT].store, request.query.get("after", "")
    if not after.removeprefix("-").isdecimal() or len(after) > 19 or abs(int(after)) >= 1 << 63:
        raise web.HTTPBadRequest(text="after is the number of a row")
    offers = await store.call(partial(store.queue.unsent_after, int(after), store.above))
    data = b"".join(encode_envelope(offer.statement, offer.body) for offer in offers)
    return web.Response(body=data, content_type="application/cbor-seq", headers={"Cache-Control": "no-store"})


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(text=metrics(request.app[AGENT]), content_type="text/plain", charset="utf-8")


async def _enter(request: web.Request) -> web.Response:
    door, now_s = request.app[DOOR], request.app[AGENT].clock.monotonic_s()
    if door.wait_s(now_s):
        raise web.HTTPTooManyRequests(
            text="too many wrong PINs", headers={"Retry-After": str(int(door.wait_s(now_s)) + 1)}
        )
    if (request.content_length or PIN_BYTES_MAX) > PIN_BYTES_MAX:
        raise web.HTTPRequestEntityTooLarge(PIN_BYTES_MAX, request.content_length or 0)
    session = door.enter(await request.read(), now_s)
    if not session:
        log.warning("wrong PIN from=%s", request.remote)
        raise web.HTTPForbidden(text="wrong PIN")
    response = web.Response(status=204)
    response.set_cookie(COOKIE, session, httponly=True, samesite="Strict", secure=request.secure, path="/")
    return response


async def _static(request: web.Request) -> web.StreamResponse:
    name = request.match_info["path"].replace("\0", "") or "index.html"
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
    tls = None
    if not is_loopback(where[0]):
        tls = page_context(agent.config.state, agent.identity.gateway, where[0])
        log.info("page certificate sha256=%s", fingerprint(agent.config.state))
    runner = web.AppRunner(make_page(agent, pin), access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, *where, ssl_context=tls).start()
        log.info("page listen=%s", table.listen)
    except OSError as error:
        log.warning("no page listen=%s error=%s", table.listen, error)
    try:
        yield
    finally:
        await runner.cleanup()
