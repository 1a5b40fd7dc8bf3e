"""States in the log itself when its entries were received, so that a late batch shows without trusting a database."""

import asyncio
import logging
from collections.abc import AsyncIterator

from aiohttp import web

from twin_server.context import FAILED, LEDGER, STORE
from twin_server.log import Appender, Ledger
from twin_server.store import Store
from twin_wire.errors import StoreError, UplinkError

LOOK_S = 30.0
STATE_US = 600_000_000  # at the latest after so long …
STATE_ENTRIES = 256  # … or so many entries
ENTRIES_MAX = 4_096  # in one statement
NOTE = "received_stated"  # the first index not yet covered, and when the last statement was made

log = logging.getLogger(__name__)


async def lifetime(app: web.Application) -> AsyncIterator[None]:
    """Look at every log now and then while the application runs (cleanup_ctx)."""
    task = asyncio.create_task(_run(app))
    yield
    task.cancel()
    await asyncio.wait([task])


async def _run(app: web.Application) -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            for enterprise in app[LEDGER].sizes():
                await state(app[STORE], app[LEDGER], enterprise)
            await app[LEDGER].remember_sizes()
        except UplinkError as fault:
            log.warning("times of receipt not stated reason=%s", fault)
        except StoreError as fault:
            log.critical("store failed: %s", fault)
            app[FAILED].set()
            return


async def state(store: Store, ledger: Ledger, enterprise: str, now: bool = False) -> bool:
    """State the times of receipt since the last statement if it is time for it; return whether it was."""
    saved = await store.note(enterprise, NOTE)
    first, last_us = (int(part) for part in saved.split()) if saved else (0, 0)
    entries = await store.entries(enterprise, first, ENTRIES_MAX, bodies=False)
    origin = (await ledger.open(enterprise)).origin
    if not any(entry.gateway != origin for entry in entries):
        return False
    if not (now or len(entries) >= STATE_ENTRIES or ledger.clock() - last_us >= STATE_US):
        return False
    record = {"from": first, "received_ms": [entry.received_us // 1000 for entry in entries]}
    end = entries[-1].index + 1

    def job(appender: Appender) -> None:
        if appender.tx.note(NOTE) != saved:
            return  # another process has just stated them
        appender.state("clock", record)
        appender.tx.put_note(NOTE, f"{end} {appender.now_us}".encode())

    await ledger.run(enterprise, job)
    return True
