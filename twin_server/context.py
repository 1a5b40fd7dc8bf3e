"""What every route may ask of the application: typed keys, filled by app.make_app."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from twin_server.access import Access
    from twin_server.attempts import Pace
    from twin_server.config import Config
    from twin_server.ingest import Ingest
    from twin_server.log import Ledger
    from twin_server.store import Store

Clock = Callable[[], int]  # microseconds since 1970 UTC

STORE: web.AppKey["Store"] = web.AppKey("store")
LEDGER: web.AppKey["Ledger"] = web.AppKey("ledger")  # .append_statement(enterprise, kind, record) for server statements
ACCESS: web.AppKey["Access"] = web.AppKey("access")  # await .enterprise(request) authorises and returns the id
CONFIG: web.AppKey["Config"] = web.AppKey("config")
CLOCK: web.AppKey[Clock] = web.AppKey("clock")
INGEST: web.AppKey["Ingest"] = web.AppKey("ingest")
PACE: web.AppKey["Pace"] = web.AppKey("pace")  # of gateways' requests
# Live viewers per enterprise; while > 0, gateways are told to seal every second.
WATCHED: web.AppKey[dict[str, int]] = web.AppKey("watched")
FAILED: web.AppKey[asyncio.Event] = web.AppKey("failed")  # set when the store cannot keep its word: the process stops
