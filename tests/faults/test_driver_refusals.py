"""What a device refuses is found once, said with its code, remembered, and costs nobody else their values."""

import asyncio
import contextlib
import json

import pytest

from drivers import Learner, open_link
from drivers.modbus.bus import Bus
from drivers.modbus.link import ModbusLink
from drivers.modbus.rtu import RtuFraming
from tests.support.hostile_line import MemoryLine, VirtualClock
from tests.support.modbus_peer import Device, RtuPeer
from tests.support.modbus_stand_ins import modbus_profile, rtu_frame
from tests.support.reading import CLOCK, read, sources_of
from twin_wire.errors import DeviceError
from twin_wire.readings import Quality


def holed(_unit: int, _function: int, address: int) -> int | None:
    return None if address in (117, 131) else address


def test_holes_in_a_map_are_found_once_and_then_read_around() -> None:
    profile = modbus_profile([(f"r{a}", a) for a in (*range(100, 117), *range(118, 140))])
    profile = modbus_profile([(s.id, s.address) for s in profile.signals if s.address != 131])

    async def main() -> None:
        peer = RtuPeer(Device(registers=holed))
        link = await open_link("modbus-rtu", {"port": peer.path, "baud": 115_200}, CLOCK)
        [source] = sources_of(link, profile)
        block = await read(source)
        assert block is not None
        assert block.value[:, 0].tolist() == [s.address for s in profile.signals]
        asked = len(peer.requests)
        assert await read(source) is not None
        assert len(peer.requests) - asked == 3
        assert source.fault is None
        await link.close()
        peer.close()

    asyncio.run(main())


def test_a_point_the_device_does_not_have_is_a_device_fault_and_the_others_live() -> None:
    profile = modbus_profile([(f"r{a}", a) for a in range(110, 125)])

    async def main() -> None:
        peer = RtuPeer(Device(registers=holed))
        link = await open_link("modbus-rtu", {"port": peer.path, "baud": 115_200}, CLOCK)
        [source] = sources_of(link, profile)
        for _ in range(2):
            block = await read(source)
            assert block is not None
            missing = [p for p, q in zip(block.points, block.quality[:, 0], strict=True) if q == Quality.DEVICE_FAULT]
            assert missing == ["r117"]
            assert isinstance(source.fault, DeviceError)
            assert source.fault.code == 2
        assert source.stats.samples == 2 * 14
        await link.close()
        peer.close()

    asyncio.run(main())


def test_a_device_that_refuses_everything_is_a_device_error_with_its_code() -> None:
    async def main() -> None:
        peer = RtuPeer(Device(registers=lambda _u, _f, _a: None))
        link = await open_link("modbus-rtu", {"port": peer.path, "baud": 115_200}, CLOCK)
        [source] = sources_of(link, modbus_profile([("a", 1), ("b", 2)]))
        with pytest.raises(DeviceError) as caught:
            await source.read(CLOCK.monotonic_s() + 2)
        assert caught.value.code == 2
        assert caught.value.hint
        assert source.pace().quiet_until_s == 0, "a refusal is a whole answer: nothing can come late"
        await link.close()
        peer.close()

    asyncio.run(main())


def test_a_question_refused_for_good_is_not_asked_at_every_scan_nor_after_a_restart() -> None:
    profile = modbus_profile([(f"r{a}", a) for a in range(110, 125)])

    async def main() -> None:
        peer = RtuPeer(Device(registers=holed))
        kept: dict[str, object] = {}
        for run in range(2):
            link = await open_link("modbus-rtu", {"port": peer.path, "baud": 115_200}, CLOCK)
            assert isinstance(link, Learner)
            [source] = sources_of(link, profile)
            link.recall(kept)
            if run == 0:
                await read(source)
            before = peer.device.refused
            for _ in range(3):
                block = await read(source)
                assert block is not None
                assert isinstance(source.fault, DeviceError)
                assert "117" in str(source.fault)
            assert peer.device.refused == before
            kept = json.loads(json.dumps(link.learned()))
            await link.close()
        peer.close()

    asyncio.run(main())


def test_a_device_that_refuses_everything_costs_no_more_traffic() -> None:
    async def main() -> None:
        peer = RtuPeer(Device(registers=lambda _u, _f, _a: None))
        link = await open_link("modbus-rtu", {"port": peer.path, "baud": 115_200}, CLOCK)
        [source] = sources_of(link, modbus_profile([("a", 1), ("b", 2)]))
        for _ in range(4):
            with pytest.raises(DeviceError, match="2 \\(illegal data address\\)"):
                await source.read(CLOCK.monotonic_s() + 2)
        assert len(peer.requests) == 3, "both at once, then each"
        await link.close()
        peer.close()

    asyncio.run(main())


def test_a_device_that_refuses_everything_while_it_starts_is_read_as_before_once_it_is_ready() -> None:
    starting = [True]
    clock = VirtualClock()
    line = MemoryLine(clock, 9600, keeps_bytes=True)
    device = Device(registers=lambda _unit, _function, address: None if starting[0] else address)

    def answer(question: bytes, now_s: float) -> list[tuple[float, bytes]]:
        pdu = device.answer(question[0], question[1:-2])
        assert pdu is not None
        return [(now_s + 0.01, rtu_frame(question[:1] + pdu))]

    line.peer = answer
    link = ModbusLink(Bus(line, RtuFraming(), clock, reconnects=False), 247)
    [source] = sources_of(link, modbus_profile([(f"r{a}", a) for a in range(30)]))

    async def scans(count: int) -> int:
        """Return requests asked by the last scan."""
        asked = 0
        for _ in range(count):
            clock.now_s += 1.0
            before = len(device.functions)
            with contextlib.suppress(DeviceError):
                await source.read(clock.now_s + 10.0)
            asked = len(device.functions) - before
        return asked

    async def main() -> None:
        assert await scans(5) == 0, "it is left alone for a while"
        starting[0] = False
        assert await scans(12) == 1, "the whole map in one request again"
        assert source.fault is None

    asyncio.run(main())
