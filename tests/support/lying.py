"""A server that keeps an honest log but tells something else: a proxy that changes one value, or one whole answer."""

import contextlib
import json
import struct
from collections.abc import AsyncIterator, Callable

import aiohttp
from aiohttp import web

HEADER_BYTES = 24
HOP_BY_HOP = {"connection", "host", "origin", "content-length", "transfer-encoding", "content-encoding", "upgrade"}


class Liar:
    """Forwards everything to the true server; `lie` says what stands in the pictures instead of a point's value."""

    def __init__(self, target: str, point: str) -> None:
        self.target = target
        self.point = point
        self.url = ""
        self.lie: Callable[[float], float] = lambda value: value
        self.told = 0  # pictures changed
        self.instead: dict[str, bytes] = {}  # by path, what is answered without asking the true server
        self.asked: list[str] = []  # paths of all requests
        self._column = -1

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        if request.path in self.instead:
            return web.Response(body=self.instead[request.path], content_type="text/plain")
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request)
        headers = self._headers(request)
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method,
                f"{self.target}{request.path_qs}",
                headers=headers,
                data=await request.read() if request.can_read_body else None,
                allow_redirects=False,
            ) as answer,
        ):
            response = web.Response(status=answer.status, body=await answer.read())
            for name, value in answer.headers.items():
                if name.lower() not in HOP_BY_HOP or name.lower() == "content-encoding":
                    if name.lower() == "content-type":
                        response.headers[name] = value
                    else:
                        response.headers.add(name, value)
            return response

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        page = web.WebSocketResponse()
        await page.prepare(request)
        headers = {name: value for name, value in self._headers(request).items() if not name.startswith("Sec-")}
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{self.target}{request.path_qs}", headers=headers) as server,
        ):
            with contextlib.suppress(ConnectionResetError):  # the page has gone
                async for message in server:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        self._see(message.data)
                        await page.send_str(message.data)
                    elif message.type is aiohttp.WSMsgType.BINARY:
                        await page.send_bytes(self._changed(message.data))
        return page

    def _headers(self, request: web.Request) -> dict[str, str]:
        kept = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        return kept | {"Origin": self.target}

    def _see(self, text: str) -> None:
        message = json.loads(text)
        if message["type"] == "layout":
            points = message["points"]
            self._column = points.index(self.point) if self.point in points else -1

    def _changed(self, frame: bytes) -> bytes:
        if self._column < 0:
            return frame
        at = HEADER_BYTES + 8 * self._column
        (value,) = struct.unpack_from("<d", frame, at)
        changed = self.lie(value)
        if changed == value:
            return frame
        self.told += 1
        return frame[:at] + struct.pack("<d", changed) + frame[at + 8 :]


@contextlib.asynccontextmanager
async def lying(target: str, point: str) -> AsyncIterator[Liar]:
    """Run the proxy until the block ends; it tells the truth until `lie` is set."""
    liar = Liar(target, point)
    app = web.Application(client_max_size=1 << 22)
    app.router.add_route("*", "/{path:.*}", liar.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    liar.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield liar
    finally:
        await runner.cleanup()
