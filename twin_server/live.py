"""Live pictures to many browsers: one scene and one encoder per enterprise, a bounded queue per client."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any

import msgspec
import numpy as np
from aiohttp import WSCloseCode, web
from numpy.typing import NDArray

from twin_server import picture, watch
from twin_server.alarms import Alarm, Book
from twin_server.context import CLOCK, CONFIG, FAILED, LEDGER, STORE, WATCHED
from twin_server.log import Appender
from twin_server.picture import Layout
from twin_server.scene import Scene, condition_record
from twin_server.sites import Sites
from twin_server.store.rows import StoredBatch, StoredEvent
from twin_wire.errors import UplinkError
from twin_wire.frame import encode_frame

log = logging.getLogger(__name__)

FRAME_GAP_S = 0.2  # at most five pictures a second, however many commits
TICK_S = 1.0
SAVE_TICKS = 60
FORGET_TICKS = 3_600
TEXTS_MAX = 512  # layouts and alarms waiting for one client; one that cannot keep up is let go
SEND_TIMEOUT_S = 10.0
NOTICES_MAX = 16


class Notice(msgspec.Struct, frozen=True):
    """A sentence for everyone who watches, until `until_us`; `factor` says how much faster a simulated world runs."""

    kind: str
    text: str
    factor: float
    until_us: int


class Client:
    """What waits for one socket: every text in order, of pictures and ticks only the newest."""

    def __init__(self) -> None:
        self.texts: deque[str] = deque()
        self.picture: bytes | None = None
        self.tick: str | None = None
        self.full = False
        self._wake = asyncio.Event()

    def text(self, message: str) -> None:
        """Queue a message that must not be lost."""
        self.full = self.full or len(self.texts) >= TEXTS_MAX
        if not self.full:
            self.texts.append(message)
        self._wake.set()

    def show(self, frame: bytes | None = None, tick: str | None = None) -> None:
        """Offer a picture or a tick in place of the one still waiting."""
        self.picture = frame or self.picture
        self.tick = tick or self.tick
        self._wake.set()

    async def write(self, socket: web.WebSocketResponse, transport: asyncio.BaseTransport | None) -> None:
        """Send what waits until the socket closes; a client that takes nothing for 10 s is let go."""
        while not socket.closed:
            await self._wake.wait()
            self._wake.clear()
            if self.full:
                await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too slow")
                return
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await self._send(socket)
            except (TimeoutError, ConnectionError):
                if isinstance(transport, asyncio.Transport):
                    transport.abort()  # no closing handshake with one who does not read
                return

    async def _send(self, socket: web.WebSocketResponse) -> None:
        while self.texts:
            await socket.send_str(self.texts.popleft())
        frame, self.picture = self.picture, None
        if frame is not None:
            await socket.send_bytes(frame)
        tick, self.tick = self.tick, None
        if tick is not None:
            await socket.send_str(tick)


class Room:
    """The clients of one enterprise and what all of them are sent."""

    def __init__(self, scene: Scene, watched: dict[str, int]) -> None:
        self.scene = scene
        self.clients: set[Client] = set()
        self.notices: dict[str, Notice] = {}
        self.watched_since_us: int | None = None
        self.tasks: list[asyncio.Task[None]] = []
        self.ready = asyncio.Event()
        self.share: tuple[int, float | None] = (0, None)  # when completeness was counted, and what it was
        self._watched = watched
        self._changed = asyncio.Event()
        self._layout = -1
        self._coded: tuple[Book, int, NDArray[np.uint8]] | None = None  # alarm bytes, of this book and layout
        scene.listeners.append(self._on_change)

    def join(self, now_us: int) -> Client:
        """Add a client; it gets the layout and the picture of now at once."""
        client = Client()
        client.text(layout_message(self.scene.layout))
        client.show(self.frame())
        self.clients.add(client)
        self._count(now_us)
        return client

    def leave(self, client: Client, now_us: int) -> None:
        """Remove a client."""
        self.clients.discard(client)
        self._count(now_us)

    def frame(self) -> bytes:
        """Return the picture of now."""
        scene, layout = self.scene, self.scene.layout
        if self._coded is None or self._coded[0] is not scene.book or self._coded[1] != layout.number:
            self._coded = (scene.book, layout.number, picture.alarm_column(layout, scene.book))
        return encode_frame(picture.frame_of(scene.twin, layout, self._coded[2], scene.as_of_us))

    async def run(self) -> None:
        """Send a picture after every change, at most five a second, for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self.clients:
                self._send()
                await asyncio.sleep(FRAME_GAP_S)

    def tick(self, now_us: int, silent_us: int) -> None:
        """Send everyone the state around the picture."""
        self.notices = {kind: notice for kind, notice in self.notices.items() if notice.until_us > now_us}
        if self.clients:
            message = tick_message(self, now_us, silent_us)
            for client in self.clients:
                client.show(tick=message)

    def states(self, now_us: int, silent_us: int) -> dict[str, str]:
        """Return live, backfilling, late or silent per gateway that was ever heard."""
        period_us = watch.period_us(self.watched_since_us, now_us)
        return {
            name: watch.state(gateway, self.scene.missing(name), now_us, period_us, silent_us)
            for name, gateway in sorted(self.scene.twin.gateways.items())
        }

    def _count(self, now_us: int) -> None:
        self._watched[self.scene.enterprise] = len(self.clients)
        if not self.clients:
            self.watched_since_us = None
        elif self.watched_since_us is None:
            self.watched_since_us = now_us

    def _on_change(self, changed: list[Alarm]) -> None:
        for alarm in changed:
            message = msgspec.json.encode({"type": "alarm", "alarm": alarm}).decode()
            for client in self.clients:
                client.text(message)
        self._changed.set()

    def _send(self) -> None:
        layout = self.scene.layout
        if layout.number != self._layout:
            self._layout = layout.number
            message = layout_message(layout)
            for client in self.clients:
                client.text(message)
        frame = self.frame()
        for client in self.clients:
            client.show(frame)


class Live:
    """All rooms of this process and the pulse that keeps them."""

    def __init__(self, app: web.Application) -> None:
        self.store = app[STORE]
        self.sites = Sites(self.store)
        self._ledger = app[LEDGER]
        self._clock = app[CLOCK]
        self._watched = app[WATCHED]
        self._failed = app[FAILED]
        self._started_us = self._clock()
        self._rooms: dict[str, Room] = {}
        self.silent_us = int(app[CONFIG].limits.silent_s * 1e6)
        self._trail_us = int(app[CONFIG].limits.trail_days * 86_400e6)
        self.sockets: set[web.WebSocketResponse] = set()
        self.replays = 0  # how many of them
        self.store.subscribe(self._on_commit)

    @property
    def trail_from_us(self) -> int:
        """Return the time before which nobody's trail can be read any more."""
        return self._clock() - self._trail_us

    async def room(self, enterprise: str) -> Room:
        """Return the room of an enterprise, its scene loaded from the store on first use."""
        room = self._rooms.get(enterprise)
        if room is None:
            room = Room(Scene(enterprise, self.store, self.sites), self._watched)
            self._rooms[enterprise] = room  # from here on commits are queued for it
            try:
                await room.scene.load(self._clock())
            except BaseException:
                del self._rooms[enterprise]
                raise
            room.tasks = [self.start(room.scene.run()), self.start(room.run())]
            room.ready.set()
        await room.ready.wait()
        return room

    async def pulse(self) -> None:
        """Every second: ticks, conditions only the server can see; every minute: keep the twins."""
        tick = 0
        while True:
            await asyncio.sleep(TICK_S)
            tick += 1
            try:
                for enterprise in [row.id for row in await self.store.enterprises()]:
                    await self._pulse_one(await self.room(enterprise), tick)
            except UplinkError as fault:
                log.warning("pulse left out reason=%s", fault)

    async def close(self) -> None:
        """Keep the twins, end the tasks."""
        for room in self._rooms.values():
            for task in room.tasks:
                task.cancel()
            await room.scene.save()

    async def _pulse_one(self, room: Room, tick: int) -> None:
        scene, now_us = room.scene, self._clock()
        await scene.refresh_rows()
        room.tick(now_us, self.silent_us)
        found = watch.conditions(scene.twin, now_us, self._started_us, self.silent_us)
        for word in watch.words(scene.book, scene.twin, found, now_us):
            await scene.reach(await self._state(scene.enterprise, word))
        if tick % SAVE_TICKS == 0:
            await scene.save()
        if tick % FORGET_TICKS == 0:
            scene.forget(now_us)

    async def _state(self, enterprise: str, word: StoredEvent) -> int:
        """Put a condition on record: a statement of the server and its row, in one transaction."""
        kind = "clock" if word.rule == "clock" else "silence"

        name = f"said {word.gateway} {word.rule}"

        def job(appender: Appender) -> int:
            held = appender.tx.note(name) if self.store.shared else None
            if held:  # another server may have seen the same a moment ago
                begin_us, end_us, entry = map(int, held.split())
                if (word.end_us == 0 == end_us) or (word.begin_us == begin_us and word.end_us and end_us):
                    return entry
            entry = appender.state(kind, condition_record(word))
            appender.tx.put_event(word._replace(epoch=0, seq=entry, index=entry))
            if self.store.shared:
                appender.tx.put_note(name, f"{word.begin_us} {word.end_us} {entry}".encode())
            return entry

        log.info("condition %s enterprise=%s gateway=%s", word.rule, enterprise, word.gateway)
        entry, _ = await self._ledger.run(enterprise, job)
        return entry

    def _on_commit(self, enterprise: str, entries: list[StoredBatch]) -> None:
        room = self._rooms.get(enterprise)
        if room is not None:
            room.scene.offer(entries)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a part of the process; if it fails, the process has to stop."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            log.critical("live part failed", exc_info=fault)
            self._failed.set()


LIVE: web.AppKey[Live] = web.AppKey("live")


async def start(app: web.Application) -> AsyncIterator[None]:
    """Load every enterprise, keep them up, save them at the end (cleanup_ctx)."""
    live = app[LIVE] = Live(app)
    for row in await live.store.enterprises():
        await live.room(row.id)
    pulse = live.start(live.pulse())
    yield
    pulse.cancel()
    await asyncio.wait([pulse])
    await live.close()


async def hang_up(app: web.Application) -> None:
    """Close every socket, so that the server does not wait for them when it stops (on_shutdown)."""
    closing = [s.close(code=WSCloseCode.GOING_AWAY, message=b"server stops") for s in app[LIVE].sockets]
    await asyncio.gather(*closing, return_exceptions=True)


def layout_message(layout: Layout) -> str:
    """Return the text message that names the columns of the frames with this number."""
    message = {"type": "layout", "layout": layout.number, "points": layout.points, "tags": layout.tags}
    return msgspec.json.encode(message | {"roadways": layout.roadways, "zones": layout.zones}).decode()


def tick_message(room: Room, now_us: int, silent_us: int) -> str:
    """Return the per-second text message of a live room."""
    scene = room.scene
    gateways = [
        {
            "id": name,
            "state": state,
            "last_event_us": max(scene.twin.gateways[name].last_event_us, 0),
            "last_received_us": max(scene.twin.gateways[name].last_received_us, 0),
            "backlog": scene.missing(name),
        }
        for name, state in room.states(now_us, silent_us).items()
    ]
    return tick_text("live", now_us, scene.as_of_us, scene.size, 1.0, gateways, room.notices)


def tick_text(
    mode: str,
    now_us: int,
    as_of_us: int,
    size: int,
    speed: float,
    gateways: list[dict[str, Any]],
    notices: Mapping[str, Notice],
) -> str:
    """Return a tick: what is sent around the pictures, live and in replay."""
    message = {
        "type": "tick",
        "mode": mode,
        "server_time_us": now_us,
        "as_of_us": as_of_us,
        "tree_size": size,
        "speed": speed,
        "gateways": gateways,
        "notices": list(notices.values()),
    }
    return msgspec.json.encode(message).decode()
