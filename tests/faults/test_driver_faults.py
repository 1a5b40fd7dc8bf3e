"""Whatever a serial line does, a value is its register's own and of now; and a fault costs little."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from drivers import open_link
from tests.support.modbus_peer import Device, Fault, RtuPeer, Sent, honest
from tests.support.modbus_stand_ins import modbus_profile, rtu_frame, two_sources
from tests.support.reading import CLOCK, read, sources_of
from twin_wire.errors import LinkError
from twin_wire.readings import Quality

TIMEOUT_S = 0.15


def one_hand(fault: Fault) -> RtuPeer:
    """A line on which answers keep their order, as every device does."""
    return RtuPeer(Device(), fault)


def two_hands(fault: Fault) -> RtuPeer:
    """A line on which a delayed answer is overtaken by later ones, as a converter with two buffers may do."""
    return RtuPeer(Device(), fault, ordered=False)


def delayed_one(number_of_it: int, delay_s: float) -> Fault:
    return lambda number, _request, answer: [(delay_s if number == number_of_it else 0.0, answer)]


async def values_are_right(
    fault: Fault, seconds: float, pause_s: float = 0.02, line: Callable[[Fault], RtuPeer] = one_hand
) -> tuple[int, int]:
    """Read two groups of the same form in turn; every value must be its register's. Return reads that gave one."""
    peer = line(fault)
    link = await open_link("modbus-rtu", {"port": peer.path, "baud": 115_200}, CLOCK)
    bench = two_sources(link)
    good = tried = 0
    end_s = CLOCK.monotonic_s() + seconds
    while CLOCK.monotonic_s() < end_s:
        for source, expected in zip(bench.sources, bench.expected, strict=True):
            tried += 1
            block = await read(source)
            if block is not None:
                good += 1
                sound = block.quality[:, 0] == Quality.GOOD
                wanted = np.array([expected[point] for point in block.points])
                np.testing.assert_array_equal(block.value[sound, 0], wanted[sound])
            await asyncio.sleep(pause_s)
    await link.close()
    peer.close()
    return good, tried


def together(*checks: Awaitable[tuple[int, int]]) -> list[tuple[int, int]]:
    async def main() -> list[tuple[int, int]]:
        return await asyncio.gather(*checks)

    return asyncio.run(main())


def test_one_answer_late_by_anything_never_becomes_a_value() -> None:
    delays = [0.05 * step for step in range(1, 40)]  # up to 1.95 s, thirteen time-outs
    found = together(*(values_are_right(delayed_one(5, delay_s), 2.6) for delay_s in delays))
    assert all(good > 0 for good, _ in found), found


def test_one_answer_overtaken_by_later_ones_never_becomes_a_value() -> None:
    delays = [0.05 * step for step in range(1, 40)]
    found = together(*(values_are_right(delayed_one(5, delay_s), 2.6, line=two_hands) for delay_s in delays))
    assert all(good >= tried - 6 for good, tried in found), found


def test_a_device_that_is_always_late_never_gives_another_registers_value() -> None:
    faults = [lambda _number, _request, answer, s=0.05 * step: [(s, answer)] for step in range(1, 30)]
    found = together(*(values_are_right(fault, 3.0, pause_s=0.01 * place) for place, fault in enumerate(faults)))
    assert found[0][0] > 0.8 * found[0][1], "one that keeps within its time-out is read"


def test_a_device_late_now_and_then_never_gives_another_registers_value() -> None:
    def fault(seed: int) -> Fault:
        rng = random.Random(seed)
        return lambda _n, _request, answer: [(rng.choice([0.0, 0.0, 0.0, 0.12, 0.2, 0.35, 0.5, 1.1]), answer)]

    together(*(values_are_right(fault(seed), 4.0, 0.01) for seed in range(30)))


def bent(rng: random.Random, request: bytes, answer: bytes) -> Sent:
    """One of everything a line can do."""
    place = rng.randrange(len(answer))
    return rng.choice(
        [
            [],
            [(0.0, answer[:place])],
            [(0.0, answer[:place] + bytes((answer[place] ^ 1 << rng.randrange(8),)) + answer[place + 1 :])],
            [(0.0, rng.randbytes(rng.randrange(1, 20)) + answer)],
            [(0.0, answer + rng.randbytes(3))],
            [(0.0, request + answer)],
            [(0.0, answer + answer)],
            [(0.0, rtu_frame(b"\x02" + answer[1:-2]))],
            [(0.0, rtu_frame(answer[:1] + b"\x04" + answer[2:-2]))],
            [(0.0, rtu_frame(answer[:2] + b"\x06" + answer[3:9]))],
            [(0.0, rtu_frame(answer[:1] + bytes((answer[1] | 0x80, 6))))],
            [(0.0, answer[:4]), (0.03, answer[4:])],
            [(rng.choice([0.05, 0.14, 0.16, 0.2, 0.3, 0.45, 0.9, 1.4]), answer)],
        ]
    )


def test_no_mixture_of_faults_makes_a_wrong_value() -> None:
    def fault(seed: int) -> Fault:
        rng = random.Random(seed)

        def mixed(number: int, request: bytes, answer: bytes) -> Sent:
            return bent(rng, request, answer) if rng.random() < 0.4 else honest(number, request, answer)

        return mixed

    found = together(*(values_are_right(fault(seed), 5.0, 0.0) for seed in range(40)))
    assert sum(good for good, _ in found) > 200


def test_late_answers_are_counted_where_they_belong() -> None:
    async def main() -> None:
        peer = RtuPeer(Device(), delayed_one(1, 0.2))
        link = await open_link("modbus-rtu", {"port": peer.path, "baud": 115_200}, CLOCK)
        first, second = two_sources(link).sources
        assert await read(first) is None
        await asyncio.sleep(0.3)
        assert await read(second) is not None
        assert (first.stats.late, second.stats.late) == (1, 0)
        await link.close()
        peer.close()

    asyncio.run(main())


def test_a_read_before_the_fence_waits_for_it_or_sends_nothing() -> None:
    async def main() -> None:
        peer = RtuPeer(Device(), lambda number, _request, answer: [(0.0, answer)] if number > 1 else [])
        link = await open_link("modbus-rtu", {"port": peer.path, "baud": 115_200}, CLOCK)
        first, second = two_sources(link).sources
        assert await read(first) is None
        quiet_s = first.pace().quiet_until_s
        assert quiet_s > CLOCK.monotonic_s()
        with pytest.raises(LinkError, match="not free"):
            await second.read(CLOCK.monotonic_s() + 0.05)
        assert len(peer.requests) == 1
        await second.read(CLOCK.monotonic_s() + 2.0)
        assert CLOCK.monotonic_s() > quiet_s
        await link.close()
        peer.close()

    asyncio.run(main())


def test_an_abandoned_read_leaves_a_fence_behind() -> None:
    async def main() -> None:
        peer = RtuPeer(Device(), delayed_one(1, 0.1))
        link = await open_link("modbus-rtu", {"port": peer.path, "baud": 115_200}, CLOCK)
        first, second = two_sources(link).sources
        task = asyncio.create_task(first.read(CLOCK.monotonic_s() + 1.0))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        block = await read(second)
        assert block is not None
        assert block.value[:, 0].tolist() == [200, 201, 202, 203]
        await link.close()
        peer.close()

    asyncio.run(main())


def test_half_a_scan_is_kept_and_the_rest_has_no_answer() -> None:
    profile = modbus_profile([(f"r{a}", a) for a in (0, 1, 300, 301)])

    async def main() -> None:
        peer = RtuPeer(Device(), lambda number, _request, answer: [(0.0, answer)] if number == 1 else [])
        link = await open_link("modbus-rtu", {"port": peer.path, "baud": 115_200}, CLOCK)
        [source] = sources_of(link, profile)
        block = await read(source)
        assert block is not None
        assert block.quality[:, 0].tolist() == [0, 0, Quality.NO_ANSWER, Quality.NO_ANSWER]
        assert np.isnan(block.value[2:, 0]).all()
        assert source.fault is not None
        assert (source.stats.answers, source.stats.samples, source.stats.timeouts) == (1, 2, 1)
        await link.close()
        peer.close()

    asyncio.run(main())


def test_an_unplugged_adapter_is_a_link_error_at_once_and_works_when_it_is_back(tmp_path: Path) -> None:
    async def main() -> None:
        name = tmp_path / "by-path"
        peer = RtuPeer(Device())
        name.symlink_to(peer.path)
        link = await open_link("modbus-rtu", {"port": str(name), "baud": 115_200}, CLOCK)
        source = two_sources(link).sources[0]
        assert await read(source) is not None
        peer.close()
        name.unlink()
        begin_s = CLOCK.monotonic_s()
        for _ in range(3):
            assert await read(source) is None
        assert CLOCK.monotonic_s() - begin_s < 1.0
        assert not link.connected
        peer = RtuPeer(Device())
        os.symlink(peer.path, name)
        assert await read(source) is not None
        await link.close()
        peer.close()

    asyncio.run(main())


def test_a_port_in_use_by_another_program_is_refused() -> None:
    async def main() -> None:
        peer = RtuPeer(Device())
        links = [await open_link("modbus-rtu", {"port": peer.path, "baud": 115_200}, CLOCK) for _ in range(2)]
        first, second = (two_sources(link).sources[0] for link in links)
        assert await read(first) is not None
        with pytest.raises(LinkError, match="cannot open") as caught:
            await second.read(CLOCK.monotonic_s() + 1)
        assert "another program" in caught.value.hint
        for link in links:
            await link.close()
        peer.close()

    asyncio.run(main())


def test_the_predicted_load_of_a_bus_is_what_it_turns_out_to_be() -> None:
    profile = modbus_profile([(f"r{a}", a) for a in (*range(0, 40, 2), 52, 54, 118, 250)], timeout_ms=500)

    async def main() -> None:
        peer = RtuPeer(Device(), baud=9600, turnaround_s=0.02)
        link = await open_link("modbus-rtu", {"port": peer.path, "baud": 9600, "parity": "E"}, CLOCK)
        [source] = sources_of(link, profile)
        for _ in range(4):
            await read(source)
        begin_s = CLOCK.monotonic_s()
        for _ in range(4):
            assert await read(source) is not None
        took_s = (CLOCK.monotonic_s() - begin_s) / 4
        assert source.pace().scan_s == pytest.approx(took_s, rel=0.25)
        assert link.utilisation() == pytest.approx(source.pace().scan_s)
        await link.close()
        peer.close()

    asyncio.run(main())
