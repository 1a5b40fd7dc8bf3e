"""For every kind of link: a device to read, what can go wrong on its line, and what then has to come of it."""

import asyncio
import contextlib
import os
import pty
import struct
import tty
from collections.abc import AsyncIterator, Callable
from typing import Any

from drivers import DeviceOptions, PointOptions, load_profile, open_link
from tests.support.modbus_peer import SystemClock
from tests.support.modbus_stand_ins import MODBUS, TIMEOUT_S, Bench, Case, modbus_profile
from tests.support.pushed_stand_ins import POSITIONING
from tests.support.tap_stand_in import TAP_CASES, modbus_tap
from tests.support.text_stand_ins import TEXT

__all__ = ["STAND_INS", "TIMEOUT_S", "Bench", "Case", "modbus_profile"]


def node2(distance_mm: int) -> bytes:
    """A Node2 frame of anchor 3 that hears tag 11."""
    head = struct.pack("<BBHBB", 0x55, 4, 119 + 13 + 1, 1, 3).ljust(116, b"\0") + struct.pack("<HB", 4800, 1)
    body = head + struct.pack("<BB3s2BI2x", 2, 11, distance_mm.to_bytes(3, "little"), 100, 90, 1)
    return body + bytes((sum(body) & 0xFF,))


LINKTRACK_CASES = {
    "good line": Case(lambda frame: [frame], "value"),
    "silence": Case(lambda _frame: [], "lost"),
    "cut": Case(lambda frame: [frame[:-2]], "lost"),
    "bit flip": Case(lambda frame: [frame[:60] + bytes((frame[60] ^ 4,)) + frame[61:]], "lost"),
    "noise before": Case(lambda frame: [b"\x00\x55\x99\xff", frame], "value"),
    "fragmented": Case(lambda frame: [frame[:1], frame[1:40], frame[40:]], "value"),
}


@contextlib.asynccontextmanager
async def linktrack(case: Case) -> AsyncIterator[Bench]:
    """An anchor that pushes a frame at once (bent by the fault), and a good one 0.3 s later, then ten a second."""
    master, slave = pty.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    link = await open_link("linktrack", {"port": os.ttyname(slave)}, SystemClock())

    async def push() -> None:
        await asyncio.sleep(0.02)
        for piece in case.fault(node2(40_000)):
            os.write(master, piece)
            await asyncio.sleep(0.01)
        await asyncio.sleep(2 * TIMEOUT_S)
        while True:
            os.write(master, node2(40_000))
            await asyncio.sleep(0.1)

    device = DeviceOptions(id="uwb", profile=load_profile("linktrack"), unit=0)
    points = [PointOptions(id="uwb.supply", device="uwb", signal="supply_voltage")]
    pushing = asyncio.create_task(push())
    try:
        yield Bench(link, link.sources([device], points), [{"uwb.supply": 4.8}])
    finally:
        pushing.cancel()
        await link.close()
        os.close(master)
        os.close(slave)


STAND_INS: dict[str, tuple[Callable[[Case], Any], dict[str, Case]]] = {
    **MODBUS,
    "linktrack": (linktrack, LINKTRACK_CASES),
    **POSITIONING,
    "modbus-tap": (modbus_tap, TAP_CASES),
    **TEXT,
}
