"""make_app(config) -> web.Application: every part put together, one error boundary, security headers."""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import import_module

from aiohttp import web

from twin_server import cosign, metrics, pages, routes_evidence, routes_gateway, routes_log, routes_session, timekeeper
from twin_server.access import Access
from twin_server.attempts import Pace
from twin_server.config import Config
from twin_server.context import ACCESS, CLOCK, CONFIG, FAILED, INGEST, LEDGER, PACE, STORE, WATCHED, Clock
from twin_server.ingest import Ingest
from twin_server.log import Ledger
from twin_server.metrics import REQUESTS, Requests
from twin_server.problem import problem, problem_of
from twin_server.store import open_store
from twin_wire.errors import ConfigError, Error, StoreError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

BURST_S = 10
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

log = logging.getLogger(__name__)


def wall_clock() -> int:
    """Return the server's time in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def make_app(config: Config, clock: Clock = wall_clock) -> web.Application:
    """Return the application; it opens its store when it starts and closes it when it ends."""
    app = web.Application(middlewares=[boundary])
    app[CONFIG] = config
    app[CLOCK] = clock
    app[WATCHED] = {}
    app[STORE] = store = open_store(config.store_url)
    app[LEDGER] = ledger = Ledger(store, config.keys, clock)
    app[ACCESS] = Access(store, clock, config.limits.session_h, config.behind_proxy)
    app[INGEST] = Ingest(store, ledger, clock, config.limits.verify_threads, app[WATCHED])
    app[PACE] = Pace(config.limits.posts_per_s, config.limits.posts_per_s * BURST_S)
    app[REQUESTS] = Requests()
    app[FAILED] = asyncio.Event()
    app.cleanup_ctx.append(_lifetime)
    app.cleanup_ctx.append(timekeeper.lifetime)
    if config.witness:
        app.cleanup_ctx.append(cosign.lifetime)
    app.on_response_prepare.append(_secure)
    for part in (metrics, routes_session, routes_gateway, routes_log, routes_evidence):
        part.add_routes(app)
    import_module("twin_server.api").add_routes(app)
    pages.add_routes(app)
    return app


def tls_context(config: Config) -> ssl.SSLContext | None:
    """Return the TLS settings of the configured certificate, None without one; ConfigError when it cannot be used."""
    if not config.tls.certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(config.tls.certificate, config.tls.key)
    except (OSError, ssl.SSLError) as cause:
        raise ConfigError(f"cannot use the certificate {config.tls.certificate}: {cause}") from cause
    return context


@web.middleware
async def boundary(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever goes wrong into a problem document: the server's one error boundary."""
    try:
        response = await handler(request)
    except web.HTTPException as refusal:
        if refusal.status < 400:
            raise
        headers = {k: v for k, v in refusal.headers.items() if k in ("Retry-After", "WWW-Authenticate", "Allow")}
        response = problem(refusal.status, refusal.text or refusal.reason, headers=headers)
    except StoreError as fault:
        log.critical("store failed: %s", fault)
        request.app[FAILED].set()
        response = problem(503, "the store failed; the server stops")
    except Error as fault:
        response = problem_of(fault)
    except Exception:
        log.exception("request failed method=%s path=%s", request.method, request.path)
        response = problem(500, "the request failed")
    request.app[REQUESTS].count(response.status)
    return response


async def _secure(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY_HEADERS)
    response.headers["Server"] = "twin-server"
    if request.app[ACCESS].is_secure(request):
        response.headers["Strict-Transport-Security"] = "max-age=31536000"


async def _lifetime(app: web.Application) -> AsyncIterator[None]:
    app[LEDGER].follow()
    for row in await app[STORE].enterprises():
        await app[LEDGER].open(row.id)
    yield
    app[INGEST].close()
    await app[LEDGER].close()
    await app[STORE].close()
