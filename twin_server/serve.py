"""Running the server: one process per data folder, TLS or loopback, an end on a signal or when the store fails."""

import asyncio
import fcntl
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from aiohttp import web

from twin_server.app import make_app, tls_context
from twin_server.config import Config, check_listen
from twin_server.context import FAILED
from twin_server.store import is_shared
from twin_wire.errors import ConfigError, StoreError

SHUTDOWN_S = 5.0
KEEPALIVE_S = 75.0

log = logging.getLogger(__name__)


def serve(config: Config, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; calls `ready` with the URL; StoreError when the store failed meanwhile."""
    check_listen(config)
    alone = nullcontext() if is_shared(config.store_url) else held(Path(config.data))
    with alone, asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(config, ready))


async def _serve(config: Config, ready: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    app = make_app(config)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=KEEPALIVE_S, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, config.host, config.port, ssl_context=tls_context(config)).start()
        except OSError as cause:
            raise ConfigError(f"cannot listen on {config.listen}: {cause}", "choose another --listen") from cause
        host, port = runner.addresses[0][:2]
        scheme = "https" if config.tls.certificate else "http"
        ready(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
        waits = [asyncio.create_task(event.wait()) for event in (stop, app[FAILED])]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()
        if app[FAILED].is_set():
            raise StoreError("the store cannot keep its word: stopping", "look at disk space and at the log above")
    finally:
        await runner.cleanup()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the data folder for this process; ConfigError when a server has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(folder / "serve.lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as cause:
        raise ConfigError(f"cannot use the data folder {folder}: {cause}") from cause
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise ConfigError(f"a server uses the data folder {folder}", "stop it first") from None
    try:
        yield
    finally:
        os.close(handle)
