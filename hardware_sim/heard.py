"""A bus with a master of its own, for gateways that only listen: it asks every device, both voices are on the line."""

import asyncio
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

from hardware_sim.bus import GAP_CHARACTERS, RtuBus, Unit
from hardware_sim.faults import FaultPlan
from hardware_sim.journal import Answer
from hardware_sim.modbus import BITS_MAX, answer, rtu_frame
from hardware_sim.profile import Profile

ROUND_S = 1.0
BLOCK_MAX = 60  # registers; a usual master asks for less than the standard allows

Span = tuple[int, int, int]  # function, first wire address, how many


class HeardBus(RtuBus):
    """Asks its units round after round; whatever somebody else says on the line is counted and not answered."""

    def __init__(self, link: str, path: Path, baud: int, faults: FaultPlan, record: Callable[[Answer], None]) -> None:
        super().__init__(link, path, baud, faults, record)
        self.spoken = 0  # bytes that came from the listener: it must be 0
        self._reads: list[tuple[Unit, Span]] = []

    def ask(self, unit: Unit, profile: Profile) -> None:
        """Have the master read every signal of a device, what touches in one question, what is atomic whole."""
        signals = profile.signals.values()
        spans = [(signal.function, signal.address, signal.registers) for signal in signals]
        for low, high in profile.atomic:
            spans += [(f, low, high - low + 1) for f in {s.function for s in signals if low <= s.address <= high}]
        blocks = blocks_of(spans, min(profile.registers_max, BLOCK_MAX), profile.singles)
        self._reads += [(unit, block) for block in blocks]

    async def run(self) -> None:
        """Ask until cancelled; the port is plugged in first and out at the end."""
        loop = asyncio.get_running_loop()
        self.line.plug()
        try:
            while True:
                begin_s = loop.time()
                for unit, span in self._reads:
                    await self._exchange(unit, span)
                await asyncio.sleep(max(0.1, begin_s + ROUND_S - loop.time()))
        finally:
            self.line.unplug()

    async def _exchange(self, unit: Unit, span: Span) -> None:
        function, address, size = span
        pdu = bytes((function,)) + address.to_bytes(2) + size.to_bytes(2)
        await self.line.send(rtu_frame(unit.number, pdu))
        told = answer(unit.image, pdu) if unit.alive else None
        await asyncio.sleep(unit.turnaround_s + self.line.wire_s(1) * GAP_CHARACTERS)
        if told is not None and await self.line.send(rtu_frame(unit.number, told)):
            self.done(unit, pdu, told, "")
        await asyncio.sleep(self.line.wire_s(1) * GAP_CHARACTERS + 0.002)

    def _received(self, data: bytes) -> None:
        self.spoken += len(data)


def blocks_of(spans: Iterable[Span], most: int, singles: bool) -> list[Span]:
    """Join spans of one function that touch or overlap, up to `most` registers (16 times as many bits)."""
    ordered = sorted(set(spans))
    if singles or not ordered:
        return ordered
    joined = [ordered[0]]
    for before, span in pairwise(ordered):
        function, first, size = joined[-1]
        end = max(first + size, span[1] + span[2])
        limit = min(BITS_MAX, 16 * most) if function in (1, 2) else most
        if span[0] == before[0] and span[1] <= first + size and end - first <= limit:
            joined[-1] = (function, first, end - first)
        else:
            joined.append(span)
    return joined
