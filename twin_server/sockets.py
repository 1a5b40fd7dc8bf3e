"""The two WebSockets of an enterprise: live, and replay with speed and seek; the same messages on both."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Annotated, Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from twin_server import watch
from twin_server.context import ACCESS, CLOCK, LEDGER
from twin_server.live import LIVE, Client, Live, layout_message, tick_text
from twin_server.params import TIME_US_MAX, Call
from twin_server.replay import Reader
from twin_wire.frame import encode_frame

MESSAGE_BYTES_MAX = 4_096
HEARTBEAT_S = 20.0
RECHECK_S = 60.0  # a session may end while its socket is open
SPEED_MAX = 600.0
SOCKETS_MAX = 5_000  # of one process
REPLAYS_MAX = 64  # each reads and decodes for itself
STEP_S = 0.2  # between pictures of a replay
AHEAD_S = 5.0  # of real time that a replay reads at once


class Speed(msgspec.Struct, frozen=True, tag="speed", forbid_unknown_fields=True):
    """Event seconds per second; 0 stands still."""

    speed: Annotated[float, msgspec.Meta(ge=0, le=SPEED_MAX)]


class Seek(msgspec.Struct, frozen=True, tag="seek", forbid_unknown_fields=True):
    """Go to an event time."""

    time_us: Annotated[int, msgspec.Meta(ge=0, le=TIME_US_MAX)]


Wish = Speed | Seek
_WISHES: msgspec.json.Decoder[Wish] = msgspec.json.Decoder(Wish)


async def live(call: Call) -> web.StreamResponse:
    """Open the live socket: layout, pictures at most five a second, alarms, a tick each second."""
    hall = call.app[LIVE]
    room = await hall.room(call.enterprise)
    socket = await _open(call, hall)
    client = room.join(call.app[CLOCK]())
    wishes: asyncio.Queue[Wish] = asyncio.Queue(1)
    try:
        await _serve(call, socket, client, wishes, asyncio.Event().wait())
    finally:
        room.leave(client, call.app[CLOCK]())
        hall.sockets.discard(socket)
    return socket


async def replay(call: Call) -> web.StreamResponse:
    """Open the replay socket at the event time `from`, moving at `speed`; it takes speed and seek messages."""
    hall = call.app[LIVE]
    if hall.replays >= REPLAYS_MAX:
        raise _busy()
    reader = Reader(hall.store, hall.sites, call.enterprise, hall.trail_from_us)
    socket = await _open(call, hall)
    client, wishes = Client(), asyncio.Queue[Wish](8)
    show = Replay(call, reader, client, wishes, float(call.asked["speed"]))
    hall.replays += 1
    try:
        await _serve(call, socket, client, wishes, show.run(call.asked["from"]))
    finally:
        hall.replays -= 1
        hall.sockets.discard(socket)
    return socket


class Replay:
    """Moves a reader at the wished pace and shows what it sees to one client."""

    def __init__(self, call: Call, reader: Reader, client: Client, wishes: asyncio.Queue[Wish], speed: float) -> None:
        self._call = call
        self._reader = reader
        self._client = client
        self._wishes = wishes
        self._speed = speed
        self._layout = -1

    async def run(self, from_us: int) -> None:
        """Play from an event time until cancelled; it never runs ahead of the server's clock."""
        loop = asyncio.get_running_loop()
        clock = self._call.app[CLOCK]
        await self._reader.seek(min(from_us, clock()))
        await self._show()
        shown_s = loop.time()
        while True:
            with suppress(TimeoutError):
                wish = await asyncio.wait_for(self._wishes.get(), STEP_S)
                if isinstance(wish, Seek):
                    await self._reader.seek(min(wish.time_us, clock()))
                    shown_s = loop.time()
                else:
                    self._speed = wish.speed
            passed_us = int((loop.time() - shown_s) * 1e6 * self._speed)
            shown_s = loop.time()
            to_us = min(self._reader.at_us + passed_us, max(clock(), self._reader.at_us))
            await self._reader.step(to_us, int(AHEAD_S * 1e6 * max(self._speed, 1.0)))
            await self._show()

    async def _show(self) -> None:
        layout = self._reader.layout
        if layout.number != self._layout:
            self._layout = layout.number
            self._client.text(layout_message(layout))
        frame = await asyncio.to_thread(lambda: encode_frame(self._reader.frame()))
        self._client.show(frame, await self._tick())

    async def _tick(self) -> str:
        at_us = self._reader.at_us
        gateways = [
            {
                "id": name,
                "state": watch.state_at(gateway.last_event_us, at_us),
                "last_event_us": max(gateway.last_event_us, 0),
                "last_received_us": max(gateway.last_received_us, 0),
                "backlog": 0,
            }
            for name, gateway in sorted(self._reader.twin.gateways.items())
        ]
        log = await self._call.app[LEDGER].open(self._call.enterprise)
        now_us = self._call.app[CLOCK]()
        return tick_text("replay", now_us, at_us, log.last.size, self._speed, gateways, {})


def _busy() -> web.HTTPServiceUnavailable:
    return web.HTTPServiceUnavailable(text="too many watch already", headers={"Retry-After": "10"})


async def _open(call: Call, hall: Live) -> web.WebSocketResponse:
    if len(hall.sockets) >= SOCKETS_MAX:
        raise _busy()
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MESSAGE_BYTES_MAX, compress=False)
    await socket.prepare(call.request)
    hall.sockets.add(socket)
    return socket


async def _serve(
    call: Call,
    socket: web.WebSocketResponse,
    client: Client,
    wishes: asyncio.Queue[Wish],
    work: Coroutine[Any, Any, object],
) -> None:
    """Run a socket's reader, writer and work until the first of them ends, then end the others."""
    tasks: list[asyncio.Task[Any]] = [
        asyncio.create_task(work),
        asyncio.create_task(client.write(socket, call.request.transport)),
        asyncio.create_task(_listen(socket, wishes)),
        asyncio.create_task(_recheck(call, socket)),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
    if not socket.closed:
        await socket.close()


async def _listen(socket: web.WebSocketResponse, wishes: asyncio.Queue[Wish]) -> None:
    """Take wishes until the client goes; what is no wish closes the socket."""
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            await socket.close(code=WSCloseCode.UNSUPPORTED_DATA, message=b"text messages only")
            return
        try:
            wish = _WISHES.decode(message.data)
        except (msgspec.DecodeError, UnicodeEncodeError) as fault:
            await socket.close(code=WSCloseCode.INVALID_TEXT, message=str(fault).encode()[:120])
            return
        if not wishes.full():
            wishes.put_nowait(wish)


async def _recheck(call: Call, socket: web.WebSocketResponse) -> None:
    """Close the socket once its caller may not see the enterprise any more."""
    while True:
        await asyncio.sleep(RECHECK_S)
        try:
            await call.app[ACCESS].enterprise(call.request)
        except web.HTTPException:
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"signed out")
            return
