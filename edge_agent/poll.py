"""Keeps the pace of one link: who is read next, what a failure costs, and the boundary that holds a driver's bug in."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from drivers import Arrival, Clock, Learner, Link, Refusal, Source, meaning
from edge_agent.breaker import Breaker, Turn
from twin_wire.errors import DeviceError, LinkError
from twin_wire.readings import Block, Event, Quality

RESTART_S = (1.0, 60.0)  # after a driver's bug
DOWN_LINK_PROBE_S = 2.0  # with nobody on the line answering, its time costs nothing
SLACK_S = 1.0  # a device that is being learned needs more requests than planned; a dead one is given up by its time-out
DEVICE_SEVERITY = 3  # a sensor that does not answer watches nothing
DETECTOR = "poll/1"
DOWN_TEXTS = {
    None: "does not answer",
    Refusal.BUSY: "is busy all the time",
    Refusal.FAULT: "reports a failure of its own",
    Refusal.UNIT_DOWN: "is out of its gateway's reach",
}

log = logging.getLogger(__name__)

OpenLink = Callable[[], Awaitable[tuple[Link, Sequence[Source]]]]


class Sink(NamedTuple):
    """Where a poller leaves what it finds; called on the event loop, never waited for."""

    arrived: Callable[[Sequence[Arrival]], None]
    begin: Callable[[Event], None]  # a condition holds from now on
    end: Callable[[str, str, Mapping[str, float]], None]  # (point, rule, numbers): it holds no longer


class Poller:
    """Reads every source of one link, earliest deadline first; belongs to the event loop."""

    def __init__(self, name: str, open_link: OpenLink, sink: Sink, clock: Clock, down_since: Mapping[str, int]) -> None:
        self.name = name
        self.link: Link | None = None
        self.turns: list[Turn] = []
        self.breakers: dict[str, Breaker] = {}
        self.last_answer_us: dict[str, int] = {}
        self.restarts = 0
        self.busy_s = 0.0  # time spent reading since the start
        self._open_link = open_link
        self._sink = sink
        self._clock = clock
        self._down_since = down_since
        self._misasked: dict[str, str] = {}  # group → what its device refuses because it is configured wrongly
        self._stopping = asyncio.Event()

    def learner(self) -> Learner | None:
        """Return the link if it learns about its devices."""
        link: object = self.link
        return link if isinstance(link, Learner) else None

    def stop(self) -> None:
        """Read nothing more once the answer in flight is in."""
        self._stopping.set()

    async def run(self) -> None:
        """Poll until stopped; whatever goes wrong in a driver is logged and stays on this link."""
        pause_s = RESTART_S[0]
        while not self._stopping.is_set():
            try:
                await self._poll()
            except Exception as error:  # the boundary: another link must not suffer from this one
                log.error("link failed link=%s error=%r", self.name, error, exc_info=error)
                self.restarts += 1
                text = f"the driver of link {self.name} failed and is started again: {type(error).__name__}"
                self._sink.begin(self._event("link_error", self.name, self._clock.time_us(), {}, text))
                await self._wait(pause_s)
                pause_s = min(2 * pause_s, RESTART_S[1])
            finally:
                await self._close()

    async def _close(self) -> None:
        try:
            if self.link is not None:
                await self.link.close()
        except Exception as error:  # the same boundary
            log.error("link does not close link=%s error=%r", self.name, error, exc_info=error)

    async def _poll(self) -> None:
        self.link, sources = await self._open_link()
        now_s = self._clock.monotonic_s()
        count = max(1, len(sources))
        self.turns = [Turn(s, now_s + s.group.period_s * n / count) for n, s in enumerate(sources)]
        for source in sources:
            device = source.group.device
            if device not in self.breakers:
                self.breakers[device] = Breaker(random.random)
                if device in self._down_since:
                    self.breakers[device].resume(self._down_since[device])
        if not sources:
            await self._stopping.wait()
        while not self._stopping.is_set():
            turn, wait_s = self._next(self._clock.monotonic_s())
            if wait_s > 0:
                await self._wait(wait_s)
            else:
                await self._scan(turn)

    def _next(self, now_s: float) -> tuple[Turn, float]:
        """Return the turn to take and how long to wait before it is looked for again, 0 to take it now."""
        due = [turn for turn in self.turns if turn.due_s <= now_s]
        if not due:
            first = min(self.turns, key=lambda turn: turn.due_s)
            return first, first.due_s - now_s
        ready = [turn for turn in due if not self._asks(turn, now_s) or turn.source.pace().quiet_until_s <= now_s]
        if ready:
            return min(ready, key=lambda turn: turn.deadline_s), 0.0
        first = min(due, key=lambda turn: turn.source.pace().quiet_until_s)
        return first, max(first.source.pace().quiet_until_s - now_s, 1e-4)

    def _asks(self, turn: Turn, now_s: float) -> bool:
        return self.breakers[turn.source.group.device].may_ask(now_s)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _scan(self, turn: Turn) -> None:
        source, begin_s = turn.source, self._clock.monotonic_s()
        breaker = self.breakers[source.group.device]
        turn.begin(begin_s)
        if not breaker.may_ask(begin_s):
            self._lost(source, Quality.NO_ANSWER)
            return
        exceptions = source.stats.exceptions
        try:
            arrivals = await source.read(begin_s + source.pace().budget_s + SLACK_S)
        except LinkError as error:
            self._failed(turn, breaker, error, exceptions)
        else:
            self._back(source, breaker)
            self._look_at_questions(source, source.fault)
            self._sink.arrived(arrivals)
        finally:
            if self.link is not None and not self.link.listen_only:
                self.busy_s += self._clock.monotonic_s() - begin_s

    def _back(self, source: Source, breaker: Breaker) -> None:
        """Note that the device spoke."""
        device, now_us = source.group.device, self._clock.time_us()
        link_was_down = all(b.open for b in self.breakers.values())
        self.last_answer_us[device] = now_us
        if breaker.answered():
            down_s = max(0, now_us - breaker.since_us) / 1e6
            log.info("device is back link=%s device=%s down_s=%.1f", self.name, device, down_s)
            self._sink.end(device, "device_down", {"down_s": down_s})
            if link_was_down:
                for other in self.breakers.values():
                    other.hurry(self._clock.monotonic_s())

    def _look_at_questions(self, source: Source, fault: LinkError | None) -> None:
        """Say once per device that it refuses a question for good, with the register, and once that no longer."""
        group, device = source.group.id, source.group.device
        refused = isinstance(fault, DeviceError) and meaning(fault.code) is Refusal.CONFIG
        if fault is not None and not refused:
            return  # nothing was learned about the questions
        if isinstance(fault, DeviceError):
            known, self._misasked[group] = self.misasked(device), str(fault)
            if not known:
                log.info("device refuses a question link=%s source=%s error=%s", self.name, group, fault)
                text = f"{device} on {self.name} is asked for what it does not have: {fault}; {fault.hint}"
                numbers = {"code": float(fault.code)}
                self._sink.begin(self._event("device_config", device, self._clock.time_us(), numbers, text))
            return
        if self._misasked.pop(group, None) is not None and not self.misasked(device):
            self._sink.end(device, "device_config", {})

    def misasked(self, device: str) -> str:
        """Return what the device refuses for good, "" if nothing."""
        groups = [turn.source.group for turn in self.turns]
        return next((self._misasked[g.id] for g in groups if g.device == device and g.id in self._misasked), "")

    def _failed(self, turn: Turn, breaker: Breaker, error: LinkError, exceptions: int) -> None:
        source = turn.source
        device, now_s, now_us = source.group.device, self._clock.monotonic_s(), self._clock.time_us()
        refusal = meaning(error.code) if isinstance(error, DeviceError) else None
        log.debug("read failed link=%s source=%s error=%s", self.name, source.group.id, error)
        if refusal is Refusal.BUSY:
            pause_s = breaker.busy()
            if pause_s is not None and turn.again(now_s + pause_s):
                return  # this scan is not lost yet
        silent = refusal is None or refusal is Refusal.UNIT_DOWN
        self._lost(source, Quality.NO_ANSWER if silent else Quality.DEVICE_FAULT)
        if refusal is Refusal.CONFIG:
            if source.stats.exceptions > exceptions:  # it was asked, and is well
                self._back(source, breaker)
            self._look_at_questions(source, error)
            return
        if breaker.failed(now_s, now_us, str(error)):
            log.info("device is down link=%s device=%s error=%s", self.name, device, error)
            numbers = {"failures": float(breaker.failures)}
            if isinstance(error, DeviceError):
                numbers["code"] = float(error.code)
            text = f"{device} on {self.name} {DOWN_TEXTS[refusal]}: {error}"
            self._sink.begin(self._event("device_down", device, breaker.since_us, numbers, text))
        if all(b.open for b in self.breakers.values()):
            first = min(self.breakers.values(), key=lambda b: b.probe_s)
            first.probe_s = min(first.probe_s, now_s + DOWN_LINK_PROBE_S)

    def _lost(self, source: Source, quality: Quality) -> None:
        """Leave one row without values: the gap is data."""
        points = source.group.points
        if points:
            shape = (len(points), 1)
            time_us = np.array([self._clock.time_us()], np.int64)
            block = Block(points, time_us, np.full(shape, np.nan), np.full(shape, quality, np.uint8))
            self._sink.arrived([block])

    def _event(self, rule: str, point: str, begin_us: int, numbers: Mapping[str, float], text: str) -> Event:
        return Event(rule, DEVICE_SEVERITY, point, begin_us, 0, DETECTOR, numbers, text[:500])
