"""A dead device costs its neighbours little: the poll loop, its breaker and the bus together, in time of their own."""

import asyncio
import logging
from collections.abc import Sequence

import numpy as np
import pytest

from drivers import Arrival, Link, Source
from drivers.line import char_time_s, silence_s
from drivers.modbus.bus import Bus
from drivers.modbus.link import ModbusLink
from drivers.modbus.rtu import RtuFraming
from edge_agent.poll import Poller, Sink
from tests.support.hostile_line import CODECS, MemoryLine, VirtualClock
from tests.support.modbus_peer import Device
from tests.support.modbus_stand_ins import modbus_profile
from tests.support.reading import sources_of
from twin_wire.readings import Block, Event, Quality

BAUD, PERIOD_S, MINUTE_S = 9600, 0.25, 60.0
PROFILE = modbus_profile([(f"r{a}", a) for a in range(20)], timeout_ms=300)


class Minute:
    """Nine units of 20 registers at 9,600 8E1, wanted more often than the line allows, for a minute of its own time."""

    def __init__(self, alive: set[int]) -> None:
        self.clock = VirtualClock()
        self.line = MemoryLine(self.clock, BAUD, keeps_bytes=True)
        self.line.char_s = char_time_s(BAUD, "E", 1)
        self.line.gap_s = silence_s(BAUD, self.line.char_s)
        self.line.peer = self._answer
        self.device = Device(alive)
        self.good: dict[str, list[float]] = {}
        self.begun: list[Event] = []
        sink = Sink(self._arrived, self.begun.append, lambda _point, _rule, _numbers: None)
        self.poller = Poller("bus", self._open, sink, self.clock, {})
        self.poller._wait = self._wait  # type: ignore[method-assign]
        self.end_s = self.clock.now_s + MINUTE_S

    def run(self) -> float:
        """Poll; return good scans a second."""
        asyncio.run(self.poller.run())
        return sum(map(len, self.good.values())) / MINUTE_S

    async def _open(self) -> tuple[Link, list[Source]]:
        link = ModbusLink(Bus(self.line, RtuFraming(), self.clock, reconnects=False), 247)
        return link, [s for unit in range(1, 10) for s in sources_of(link, PROFILE, unit, PERIOD_S, f"u{unit}")]

    def _answer(self, question: bytes, now_s: float) -> list[tuple[float, bytes]]:
        pdu = self.device.answer(question[0], question[1:-2])
        return [(now_s + 0.02, CODECS["rtu"].answer(b"", question[:1] + pdu))] if pdu else []

    async def _wait(self, seconds: float) -> None:
        self.clock.now_s += seconds
        self._look()

    def _look(self) -> None:
        if self.clock.now_s >= self.end_s:
            self.poller.stop()

    def _arrived(self, arrivals: Sequence[Arrival]) -> None:
        for block in arrivals:
            if isinstance(block, Block) and np.all(block.quality == Quality.GOOD):
                self.good.setdefault(block.points[0].split(".")[0], []).append(self.clock.now_s)
        self._look()


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("edge_agent.poll").setLevel(logging.CRITICAL)


def test_one_dead_of_nine_leaves_nine_tenths_of_the_ideal_rate_over_a_minute() -> None:
    ideal = Minute(set(range(1, 10))).run()
    one_dead = Minute(set(range(1, 9)))
    rate = one_dead.run()
    assert ideal > 8, "what 9,600 baud and 20 ms allow"
    assert rate > 0.90 * ideal, (rate, ideal)
    longest_s = max(max(np.diff(times)) for times in one_dead.good.values())
    assert longest_s < 2.5, "nobody waits long for the dead one"
    assert [(event.rule, event.point) for event in one_dead.begun] == [("device_down", "u9")]


def test_with_five_of_nine_dead_the_living_are_still_read_every_few_seconds() -> None:
    minute = Minute({1, 2, 3, 4})
    minute.run()
    assert set(minute.good) == {"u1", "u2", "u3", "u4"}
    for times in minute.good.values():
        assert len(times) > 60, "more often than once a second"
        assert max(np.diff(times)) < 6.0
