"""A month of one gateway audited by the browser's own verifier, against one hash pass over its entries in Python."""

import asyncio
import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from aiohttp import web

from tests.support.browser import launch
from tests.support.month import BATCHES, month
from twin_server.pages import STATIC

Row = tuple[str, str, str, float]
TYPES = {".js": "text/javascript"}
AUDIT = """async (script) => {
  const worker = new Worker(script, { type: 'module' });
  const begun = performance.now();
  const report = await new Promise((done) => {
    worker.onmessage = ({ data }) => data.type === 'progress' || done(data);
    worker.onerror = (event) => done({ type: 'failed', text: event.message });
    worker.postMessage({ enterprise: 'e1', options: { bodies: false, every: false }, before: null });
  });
  return { s: (performance.now() - begun) / 1000, ...report, report: undefined,
    size: report.report?.size, findings: report.report?.findings.length };
}"""


@contextmanager
def _serving(files: dict[str, bytes]) -> Iterator[str]:
    """Serve the log's routes from memory and the built scripts, in a thread of its own."""
    loop, ready, urls = asyncio.new_event_loop(), threading.Event(), []

    async def answer(request: web.Request) -> web.Response:
        data = files.get(request.match_info["path"])
        return web.Response(body=data) if data is not None else web.Response(status=404)

    async def script(request: web.Request) -> web.Response:
        path = STATIC / "assets" / request.match_info["name"]
        return web.Response(body=path.read_bytes(), content_type=TYPES.get(path.suffix, "text/plain"))

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>audit</title>", content_type="text/html")

    async def serve() -> None:
        app = web.Application()
        routes = (("/log/e1/{path:.*}", answer), ("/assets/{name}", script), ("/", page))
        app.add_routes([web.get(path, handler) for path, handler in routes])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        urls.append(f"http://127.0.0.1:{runner.addresses[0][1]}/")
        ready.set()

    def work() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()

    threading.Thread(target=work, daemon=True).start()
    ready.wait(30)
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)


def _in_browser(files: dict[str, bytes], runs: int) -> list[dict[str, Any]]:
    [worker] = STATIC.glob("assets/worker-*.js")
    with _serving(files) as url, launch() as browser:
        page = browser.new_page()
        page.goto(url)
        return [page.evaluate(AUDIT, f"/assets/{worker.name}") for _ in range(runs)]


def run() -> list[Row]:
    """Return the time of an audit of statements, tree, keys, gaps and times of receipt; no bodies of data."""
    files = month()
    bundles = [data for path, data in files.items() if path.startswith("tile/entries/")]
    begun = time.perf_counter()
    for data in bundles:
        sha256(data).digest()
    pass_s = time.perf_counter() - begun
    found = _in_browser(files, 3)
    assert all(each["findings"] == 0 and each["size"] > BATCHES for each in found), found
    took_s = sorted(each["s"] for each in found)[1]
    packed = sum(len(gzip.compress(data, 1)) for data in bundles[:20]) / sum(map(len, bundles[:20]))
    size = f"{sum(map(len, bundles)) / 1e6:.0f} MB of entries, to {packed:.0%} by gzip"
    return [(f"audit of {BATCHES} batches in Chromium", f"{took_s:.2f} s", f"one hash pass, {size}", took_s / pass_s)]
