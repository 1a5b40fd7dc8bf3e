"""Numbers for operators in the Prometheus text format: counters in this process, no reading and no id of a person."""

import time

from aiohttp import web

from twin_server.context import ACCESS, INGEST, LEDGER

_STARTED_S = time.monotonic()


class Requests:
    """Counts answers by their hundred."""

    def __init__(self) -> None:
        self.by_status = dict.fromkeys((2, 3, 4, 5), 0)

    def count(self, status: int) -> None:
        """Count one answer."""
        if status // 100 in self.by_status:
            self.by_status[status // 100] += 1


REQUESTS: web.AppKey[Requests] = web.AppKey("requests")


def add_routes(app: web.Application) -> None:
    """Add /healthz (open) and /metrics (loopback, or an admin)."""
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/metrics", _metrics)


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok\n", headers={"Cache-Control": "no-store"})


async def _metrics(request: web.Request) -> web.Response:
    access = request.app[ACCESS]
    if request.headers.get("Authorization") or access.address(request) not in ("127.0.0.1", "::1"):
        access.require(await access.caller(request), "admin")
    lines = [
        "# TYPE twin_uptime_seconds gauge",
        f"twin_uptime_seconds {time.monotonic() - _STARTED_S:.0f}",
        "# TYPE twin_requests_total counter",
    ]
    for hundred, n in request.app[REQUESTS].by_status.items():
        lines.append(f'twin_requests_total{{status="{hundred}xx"}} {n}')
    lines.append("# TYPE twin_envelopes_total counter")
    for verdict, n in request.app[INGEST].counts.items():
        lines.append(f'twin_envelopes_total{{verdict="{verdict}"}} {n}')
    lines.append("# TYPE twin_log_entries gauge")
    for enterprise, size in sorted(request.app[LEDGER].sizes().items()):
        lines.append(f'twin_log_entries{{enterprise="{enterprise}"}} {size}')
    return web.Response(text="\n".join(lines) + "\n", headers={"Cache-Control": "no-store"})
