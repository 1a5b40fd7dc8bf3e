"""A device on a serial line that talks by itself, whether anyone listens or not, and may be told things."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from hardware_sim.faults import FaultPlan
from hardware_sim.journal import Answer
from hardware_sim.line import PtyLine

UNREAD_BYTES_MAX = 2048  # more than this lies in the port: nobody listens, and a serial line does not wait


class Said(NamedTuple):
    """One frame, and how many tags it tells of."""

    data: bytes
    tags: int


class Talker(Protocol):
    """What a device says, as bytes."""

    def due(self, now_s: float) -> Sequence[Said]:
        """Return what it says by itself now; called once a period."""

    def hear(self, data: bytes, now_s: float) -> Sequence[Said]:
        """Return what it says to bytes that came."""


class Pusher:
    """A talker on a pseudo-terminal, with the faults of its line; frames that left whole are counted and noted."""

    def __init__(
        self,
        link: str,
        path: Path,
        baud: int,
        talker: Talker,
        faults: FaultPlan,
        record: Callable[[Answer], None],
        period_s: float = 1.0,
        phase_s: float = 0.0,
    ) -> None:
        self.link, self.talker, self.faults = link, talker, faults
        self.line = PtyLine(path, baud, self._hear)
        self.frames = self.lost = self.tags = 0
        self.disturbed: Counter[str] = Counter()
        self._record, self._period_s, self._phase_s = record, period_s, phase_s
        self._heard: asyncio.Queue[bytes] = asyncio.Queue(64)

    async def run(self) -> None:
        """Talk until cancelled."""
        loop = asyncio.get_running_loop()
        self.line.plug()
        due_s = loop.time() + self._phase_s
        try:
            while True:
                due_s = max(due_s + self._period_s, loop.time())
                await self._answer_until(due_s)
                await self._say(self.talker.due(loop.time()))
        finally:
            self.line.unplug()

    async def unplug(self) -> None:
        """Pull the port out."""
        self.line.unplug()

    async def plug(self) -> None:
        """Plug the port in again."""
        self.line.plug()

    def _hear(self, data: bytes) -> None:
        if not self._heard.full():
            self._heard.put_nowait(data)

    async def _answer_until(self, due_s: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout_at(due_s):
                    data = await self._heard.get()
            except TimeoutError:
                return
            await self._say(self.talker.hear(data, loop.time()))

    async def _say(self, frames: Sequence[Said]) -> None:
        for frame in frames:
            await self._push(frame)

    async def _push(self, frame: Said) -> None:
        sent = self.faults.disturb(_bare, b"", 0, frame.data, 0, asyncio.get_running_loop().time())
        if not self.line.plugged or self.line.unread() > UNREAD_BYTES_MAX:
            self.lost += 1
            return
        if sent.delay_s:
            await asyncio.sleep(sent.delay_s)
        if sent.data and not await self.line.send(sent.data):
            self.lost += 1
        elif sent.fault:
            self.disturbed[sent.fault] += 1
        else:
            self.frames += 1
            self.tags += frame.tags
            self._record(Answer(self.link, 0, 0, 0, frame.tags, frame.data))


def _bare(unit: int, pdu: bytes, transaction: int) -> bytes:
    del unit, transaction
    return pdu
