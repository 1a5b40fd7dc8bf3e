"""A bus that a master of our own making polls over a pseudo-terminal, for the contract every kind of link keeps."""

import asyncio
import contextlib
import os
import pty
import tty
from collections.abc import AsyncIterator, Callable
from typing import Any

from drivers import DeviceOptions, Link, PointOptions, Profile, Source, open_link
from tests.support.modbus_peer import Device, Sent, SystemClock, crc
from tests.support.modbus_stand_ins import RTU_CASES, TIMEOUT_S, Bench, Case, modbus_profile, now
from twin_wire.errors import LinkError

BLOCKS = ((100, 4), (200, 3))  # of different length: a lost answer of one leaves no doubt about the other
PERIODS_S = (0.2, 0.21)
ROUND_S = 0.05
PROFILE = modbus_profile([(f"r{a}", a) for address, count in BLOCKS for a in range(address, address + count)])
LOST = ("noise before",)  # what does not directly follow its question is left: nothing asks again
TAP_CASES = {
    name: case._replace(outcome="lost") if name in LOST else case
    for name, case in RTU_CASES.items()
    if "echo" not in name and name not in ("late", "wrong function", "noise after")  # tests/faults/test_tap_faults.py
} | {"two answers": Case(now(lambda answer: answer + answer), "lost")}
Fault = Callable[[int, bytes, bytes], Sent]


def frame(body: bytes) -> bytes:
    return body + crc(body)


class Master:
    """Writes both voices of a bus to the far end of a pseudo-terminal, and counts what ever comes back from it."""

    def __init__(self) -> None:
        self.near, far = pty.openpty()
        tty.setraw(self.near)
        tty.setraw(far)
        os.set_blocking(self.near, False)
        self.path = os.ttyname(far)
        self._far = far
        self._device = Device()

    @property
    def heard_back(self) -> bytes:
        """Return what came out of the tap's port: nothing, or the tap has spoken."""
        try:
            return os.read(self.near, 4096)
        except BlockingIOError:
            return b""

    async def poll(self, fault: Fault | None = None, number: int = 1) -> None:
        """Ask for every block once; the answers are as `fault` makes them."""
        for place, (address, count) in enumerate(BLOCKS):
            pdu = bytes((3,)) + address.to_bytes(2, "big") + count.to_bytes(2, "big")
            request = frame(b"\x01" + pdu)
            answer = frame(b"\x01" + (self._device.answer(1, pdu) or b""))
            os.write(self.near, request)
            sent_s = asyncio.get_running_loop().time()
            for delay_s, data in fault(number + place, request, answer) if fault else [(0.0, answer)]:
                await asyncio.sleep(max(0.0, sent_s + delay_s - asyncio.get_running_loop().time()))
                os.write(self.near, data)
            await asyncio.sleep(0.03)  # no shorter than the silence that ends a damaged answer

    def close(self) -> None:
        """Take the bus away."""
        os.close(self.near)
        os.close(self._far)


def sources_of(link: Link, profile: Profile) -> tuple[list[Source], list[dict[str, float]]]:
    """Return the two sources of the bus's device and what each must give."""
    points = [
        PointOptions(id=s.id, device="d", signal=s.id, period_s=PERIODS_S[s.address >= 200]) for s in profile.signals
    ]
    sources = link.sources([DeviceOptions(id="d", profile=profile, unit=1)], points)
    return sources, [{s.id: float(s.address) for s in profile.signals if s.id in x.group.points} for x in sources]


@contextlib.asynccontextmanager
async def modbus_tap(case: Case) -> AsyncIterator[Bench]:
    """A tap that has heard some good rounds; then come one with the fault, a pause, and good ones."""
    master = Master()
    link = await open_link("modbus-tap", {"port": master.path}, SystemClock())
    bench = Bench(link, *sources_of(link, PROFILE))
    tasks: list[asyncio.Task[Any]] = []

    async def begin() -> None:
        for _ in range(3):
            await asyncio.sleep(0.02)
            await master.poll()

    async def go_on() -> None:
        await asyncio.sleep(0.02)
        await master.poll(case.fault)
        await asyncio.sleep(TIMEOUT_S)
        while True:
            await master.poll()
            await asyncio.sleep(ROUND_S)

    try:
        tasks.append(asyncio.create_task(begin()))
        await bench.sources[0].read(SystemClock().monotonic_s() + 2)
        await tasks[0]
        await asyncio.sleep(PERIODS_S[1] / 2)
        for source in bench.sources:
            with contextlib.suppress(LinkError):
                await source.read(SystemClock().monotonic_s())
            source.stats.samples = 0
        tasks.append(asyncio.create_task(go_on()))
        yield bench
        assert master.heard_back == b"", "a tap has spoken"
    finally:
        for task in tasks:
            task.cancel()
        await link.close()
        master.close()
