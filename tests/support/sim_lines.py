"""Simulated lines on their own event loop, so that blocking peers can talk to them from a test."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hardware_sim.bus import RtuBus, TcpBus, Unit
from hardware_sim.faults import FaultPlan
from hardware_sim.journal import Answer
from hardware_sim.modbus import Image


def unit(number: int, turnaround_s: float = 0.0, **options: Any) -> Unit:
    """Return a unit whose registers 0 to 299 hold unit * 1000 + address, and 40 bits, every third set."""
    image = Image(**options)
    for function in (3, 4):
        image.write(function, 0, [(number * 1000 + address) & 0xFFFF for address in range(300)])
    for function in (1, 2):
        image.write(function, 0, [int(place % 3 == 0) for place in range(40)])
    return Unit(number, image, turnaround_s)


def rtu_bus(path: Path, baud: int, units: list[Unit], seen: list[Answer] | None = None) -> RtuBus:
    """Return a serial bus with some units; complete answers go into `seen`."""
    bus = RtuBus("bus", path, baud, FaultPlan("test"), (seen if seen is not None else []).append)
    for one in units:
        bus.add(one)
    return bus


def tcp_bus(units: list[Unit], seen: list[Answer] | None = None, gateway: bool = False) -> TcpBus:
    """Return a TCP bus on a free port with some units."""
    bus = TcpBus("tcp", 0, FaultPlan("test"), (seen if seen is not None else []).append, gateway)
    for one in units:
        bus.add(one)
    return bus


class Running:
    """A bus at work in another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def call(self, make: Callable[[], Awaitable[None]]) -> None:
        """Run something in the bus's loop and wait for it."""

        async def run() -> None:
            await make()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)


@contextmanager
def serving(bus: RtuBus | TcpBus) -> Iterator[Running]:
    """Serve a bus while the block runs."""
    ready, ended = threading.Event(), threading.Event()
    found: list[asyncio.AbstractEventLoop] = []
    stop = asyncio.Event()

    async def live() -> None:
        found.append(asyncio.get_running_loop())
        await bus.plug()
        task = asyncio.create_task(bus.run())
        ready.set()
        await stop.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def run() -> None:
        asyncio.run(live())
        ended.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield Running(found[0])
    finally:
        found[0].call_soon_threadsafe(stop.set)
        assert ended.wait(10)
        thread.join(10)
