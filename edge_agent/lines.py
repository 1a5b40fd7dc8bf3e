"""The pollers of all links: started together, ended in order, one paused while an installer works on its bus."""

import asyncio
from collections.abc import Callable, Sequence

from edge_agent.poll import Poller
from edge_agent.tables import LinkTable
from twin_wire.errors import ConfigError

IN_FLIGHT_S = 2.0  # how long a stop waits for the answer on the line


class Lines:
    """Owns a poller and its task per link; belongs to the event loop."""

    def __init__(self, links: Sequence[LinkTable], make: Callable[[LinkTable], Poller]) -> None:
        self.paused: set[str] = set()
        self._links = {link.id: link for link in links}
        self._make = make
        self.pollers = [make(link) for link in links]
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, group: asyncio.TaskGroup) -> None:
        """Begin to poll."""
        self._group = group
        for poller in self.pollers:
            self._start(poller)

    async def pause(self, name: str) -> None:
        """Stop polling one link and release its port; ConfigError if it is paused already or not known."""
        if name not in self._links or name in self.paused:
            raise ConfigError(f"link {name} is not polled", faults=(("link", f"{name} is not polled"),))
        self.paused.add(name)
        place = next(place for place, poller in enumerate(self.pollers) if poller.name == name)
        await self._end([self.pollers[place]])

    def resume(self, name: str) -> None:
        """Poll a paused link again, from a new beginning."""
        if name not in self.paused:
            return
        self.paused.discard(name)
        place = next(place for place, poller in enumerate(self.pollers) if poller.name == name)
        self.pollers[place] = self._make(self._links[name])
        if self._group is not None:
            self._start(self.pollers[place])

    async def end(self) -> None:
        """Stop all: no further question, the answers in flight are taken."""
        self._group = None
        await self._end(self.pollers)

    def _start(self, poller: Poller) -> None:
        assert self._group is not None
        self._tasks[poller.name] = self._group.create_task(poller.run(), name=f"poll {poller.name}")

    async def _end(self, pollers: Sequence[Poller]) -> None:
        for poller in pollers:
            poller.stop()
        tasks = [task for poller in pollers if (task := self._tasks.pop(poller.name, None)) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=IN_FLIGHT_S)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
