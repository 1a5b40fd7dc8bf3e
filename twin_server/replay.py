"""The twin as it was: read from the store up to an event time and moved on from there, in the same columns as live."""

import asyncio

from twin_server import alarms, picture
from twin_server import twin as mirror
from twin_server.picture import Layout
from twin_server.scene import RECENT_US
from twin_server.sites import Opened, Sites, arrival_of
from twin_server.store import Store
from twin_server.twin import Twin
from twin_wire.frame import Frame
from twin_wire.readings import no_fixes

SECOND_US = 1_000_000
WARM_US = (600 * SECOND_US, 3_600 * SECOND_US)  # how far back a seek looks; further only while something is missing
AHEAD_US = 10 * SECOND_US
INLINE_MAX = 20  # more batches than this are applied in a thread


class Reader:
    """Moves one twin through event time; a step forward costs the batches on the way, a step back a new seek."""

    def __init__(self, store: Store, sites: Sites, enterprise: str, trail_from_us: int) -> None:
        self._trail_from_us = trail_from_us  # people are not shown before this: their trails are kept shortest
        self._store = store
        self._sites = sites
        self._enterprise = enterprise
        self._window: list[Opened] = []  # batches not used up yet
        self._read_us = 0  # everything before this is in the window or used
        self._layout: Layout | None = None
        self.at_us = 0
        self.twin: Twin = mirror.empty()
        self.book = alarms.empty()

    @property
    def layout(self) -> Layout:
        """Return what the columns of a frame mean at this time."""
        if self._layout is None:
            self._layout = picture.layout_of(self.twin)
        return self._layout

    def frame(self) -> Frame:
        """Return the picture at this time."""
        alarm = picture.alarm_column(self.layout, self.book, self.at_us)
        return picture.frame_of(self.twin, self.layout, alarm, self.at_us)

    async def seek(self, at_us: int) -> None:
        """Go to an event time: latest values up to it, conditions of the day before it."""
        for warm_us in WARM_US:
            await self._begin(at_us, at_us - warm_us)
            await self.step(at_us)
            if self._whole():
                break
        self.book = alarms.empty()
        await self._read_alarms(at_us - RECENT_US, self._read_us)

    async def step(self, to_us: int, ahead_us: int = AHEAD_US) -> None:
        """Move on to a later event time, reading `ahead_us` beyond it at once."""
        assert to_us >= self.at_us
        if to_us >= self._read_us:
            await self._read(to_us + 1 + ahead_us)
        due = [opened for opened in self._window if opened.entry.t0_us <= to_us]
        if len(due) > INLINE_MAX:
            self.twin, names = await asyncio.to_thread(_moved, self.twin, due, to_us)
        else:
            self.twin, names = _moved(self.twin, due, to_us)
        if names:
            self._layout = None
        self._window = [opened for opened in self._window if opened.entry.t1_us > to_us]
        self.at_us = to_us

    async def _begin(self, at_us: int, from_us: int) -> None:
        self.twin, self.at_us, self._layout = mirror.empty(), from_us, None
        self._window, self._read_us = [], from_us
        for row in await self._store.gateways(self._enterprise):
            site = await self._sites.in_force(self._enterprise, row.gateway, at_us)
            if site is not None:
                # Below every statement of the window: what a batch names takes its place.
                stated = mirror.Arrival(row.gateway, -1, 0, mirror.NO_TIME_US, mirror.NO_TIME_US)
                self.twin = mirror.put_site(self.twin, stated, site)

    async def _read(self, to_us: int) -> None:
        first_us = self._read_us
        fresh = first_us <= self.at_us  # nothing read yet: what began earlier and reaches in counts too
        entries = self._store.batches(self._enterprise, first_us, to_us)
        wanted = [entry async for entry in entries if fresh or entry.t0_us >= first_us]
        for opened in await self._sites.open_many(self._enterprise, wanted):
            if opened.entry.t1_us < self._trail_from_us:
                opened = opened._replace(batch=opened.batch._replace(fixes=no_fixes()))
            self._window.append(opened)
        self._read_us = to_us
        await self._read_alarms(first_us, to_us)

    async def _read_alarms(self, from_us: int, to_us: int) -> None:
        words = await self._store.events(self._enterprise, from_us, to_us)
        self.book, _ = alarms.put(self.book, words)
        if words:
            first_us = min(word.begin_us for word in words)
            for ack in await self._store.acknowledgements(self._enterprise, first_us, to_us):
                self.book, _ = alarms.acknowledge(self.book, ack)

    def _whole(self) -> bool:
        """Tell whether every point of the manifests in force has a value."""
        return bool(self.twin.gateways) and bool((self.layout.rows >= 0).all())


def _moved(twin: Twin, due: list[Opened], to_us: int) -> tuple[Twin, bool]:
    """Apply batches up to an event time; return whether names were added."""
    names = False
    for opened in due:
        arrival = arrival_of(opened.entry)
        twin, changes = mirror.apply(twin, arrival, opened.batch, opened.site, until_us=to_us)
        names = names or changes.names
    return twin, names
