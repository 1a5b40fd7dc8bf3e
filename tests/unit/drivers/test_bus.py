"""Devices of every speed on one bus, in time that costs nothing: none given up too early, none waited for too long."""

import asyncio

import pytest

from drivers.link import Stats
from drivers.modbus.bus import Bus
from drivers.modbus.pdu import Function, Read
from drivers.modbus.rtu import RtuFraming
from drivers.modbus.tcp import TcpFraming
from drivers.modbus.turnaround import Turnaround
from tests.support.hostile_line import CODECS, MemoryLine, VirtualClock, right_data
from twin_wire.errors import LinkError

ASK = Read(1, Function.READ_HOLDING_REGISTERS, 100, 20)


def bus_with(transport: str, answer_s: list[float]) -> tuple[Bus, VirtualClock]:
    """Return a bus whose one device answers after these times, one per question; infinity is silence."""
    clock, codec = VirtualClock(), CODECS[transport]
    line = MemoryLine(clock, codec.baud, keeps_bytes=True)

    def answer(question: bytes, now_s: float) -> list[tuple[float, bytes]]:
        delay_s = answer_s.pop(0)
        transaction, unit, pdu = codec.question(question)
        data = right_data(Read(1, Function(pdu[0]), int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")))
        body = unit + pdu[:1] + bytes((len(data),)) + data
        return [] if delay_s == float("inf") else [(now_s + delay_s, codec.answer(transaction, body))]

    line.peer = answer
    framing = RtuFraming() if transport == "rtu" else TcpFraming()
    return Bus(line, framing, clock, reconnects=transport != "rtu"), clock


def ask(bus: Bus, clock: VirtualClock, turnaround: Turnaround) -> float:
    """Ask once as the poll loop does; return how long it took. LinkError as `exchange`."""

    async def main() -> float:
        clock.now_s = max(clock.now_s, bus.quiet_until_s(1))
        begin_s = clock.now_s
        deadline_s = begin_s + bus.budget_s(ASK, turnaround) + 1.0
        await bus.exchange(ASK, turnaround, Stats(), deadline_s, lambda _address, _length: True)
        return clock.now_s - begin_s

    return asyncio.run(main())


@pytest.mark.parametrize("transport", ["rtu", "tcp and tls"])
@pytest.mark.parametrize(("usual_s", "timeout_s"), [(0.005, 0.05), (0.25, 1.0), (60.0, 180.0)])
def test_a_device_that_keeps_its_time_is_never_given_up(transport: str, usual_s: float, timeout_s: float) -> None:
    times = [usual_s, usual_s, 1.9 * usual_s, usual_s / 10, usual_s, 1.9 * usual_s] * 3
    bus, clock = bus_with(transport, list(times))
    turnaround = Turnaround(usual_s, timeout_s)
    for seconds in times:
        assert ask(bus, clock, turnaround) == pytest.approx(seconds, abs=0.1)


def test_a_fast_device_that_falls_silent_is_given_up_long_before_the_time_out_of_its_profile() -> None:
    bus, clock = bus_with("rtu", [0.01] * 5 + [float("inf")])
    turnaround = Turnaround(0.01, 5.0)
    for _ in range(5):
        ask(bus, clock, turnaround)
    begin_s = clock.now_s
    with pytest.raises(LinkError):
        ask(bus, clock, turnaround)
    assert clock.now_s - begin_s < 0.5


def test_an_answer_120_seconds_late_is_taken_where_the_profile_allows_it() -> None:
    bus, clock = bus_with("rtu", [119.0, 0.01, 119.0])
    turnaround = Turnaround(60.0, 125.0)
    assert [round(ask(bus, clock, turnaround)) for _ in range(3)] == [119, 0, 119]
