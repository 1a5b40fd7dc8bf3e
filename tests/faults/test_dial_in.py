"""Devices that call us: told apart by name on one port, replaced when they call again, strangers kept cheap."""

import asyncio
import contextlib
import random

import pytest

from drivers import Link, check_options, open_link
from drivers.dial_in_line import STRANGER_BYTES_MAX, STRANGERS_MAX, DialInLine
from tests.support.modbus_other_peers import CallingPeer
from tests.support.modbus_peer import Device
from tests.support.modbus_stand_ins import Bench, free_port, two_sources
from tests.support.reading import CLOCK, read
from twin_wire.errors import ConfigError, LinkError


async def called(port: int, **more: object) -> Link:
    return await open_link("modbus-dial-in", {"listen": f"127.0.0.1:{port}", "baud": 115_200, **more}, CLOCK)


async def values(bench: Bench, turn: int = 0) -> list[float] | None:
    block = await read(bench.sources[turn % 2])
    return None if block is None else block.value[:, 0].tolist()


def offset(by: int) -> Device:
    return Device(registers=lambda _unit, _function, address: address + by)


def test_several_units_on_one_port_are_told_apart_by_their_names() -> None:
    async def main() -> None:
        port = free_port()
        names = {"DTU-1": 1000, "DTU-10": 2000, "hex:00ff17": 3000}  # one name begins with another
        benches = [two_sources(await called(port, registration=name)) for name in names]
        raw = [bytes.fromhex(name[4:]) if name.startswith("hex:") else name.encode() for name in names]
        peers = [CallingPeer(offset(by), registration=name) for name, by in zip(raw, names.values(), strict=True)]
        async with contextlib.AsyncExitStack() as stack:
            for peer in peers:
                await stack.enter_async_context(peer.call(port))
            for bench, by in zip(benches, names.values(), strict=True):
                found = [await values(bench) for _ in range(6)]
                assert found[-1] == [by + a for a in range(100, 104)]
                assert all(f in (None, found[-1]) for f in found)
            for bench in benches:
                await bench.link.close()
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", port)

    asyncio.run(main())


def test_modbus_tcp_frames_with_heartbeats_between_them_are_read() -> None:
    async def main() -> None:
        port = free_port()
        beat = "hex:ffffffff"
        bench = two_sources(await called(port, registration="mine-7", heartbeat=beat, framing="tcp"))
        peer = CallingPeer(Device(), registration=b"mine-7", heartbeat=b"\xff" * 4, tcp=True)
        async with peer.call(port):
            for turn in range(6):
                expected = list(bench.expected[turn % 2].values())
                assert await values(bench, turn) == expected
            assert peer.calls == 1
            await bench.link.close()

    asyncio.run(main())


def test_a_device_that_calls_again_takes_the_place_of_its_own_dead_connection() -> None:
    async def main() -> None:
        port = free_port()
        bench = two_sources(await called(port, registration="DTU-1"))
        with pytest.raises(LinkError, match="has not called"):
            await bench.sources[0].read(CLOCK.monotonic_s() + 2)
        _, dead = await asyncio.open_connection("127.0.0.1", port)
        dead.write(b"DTU-1")
        assert await values(bench) is None, "it says nothing"
        async with CallingPeer(Device(), registration=b"DTU-1").call(port):
            found = [await values(bench) for _ in range(3)]
            assert [100.0, 101.0, 102.0, 103.0] in found
        await bench.link.close()
        dead.transport.abort()

    asyncio.run(main())


def test_strangers_cost_a_bounded_number_of_connections_and_bytes_and_the_device_still_gets_in() -> None:
    async def main() -> None:
        port = free_port()
        bench = two_sources(await called(port, registration="DTU-1"))
        with pytest.raises(LinkError):
            await bench.sources[0].read(CLOCK.monotonic_s() + 2)
        rng = random.Random(7)
        strangers = []
        for number in range(3 * STRANGERS_MAX):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write([b"", b"DTU-", rng.randbytes(40), b"DTU-2", b"\0" * (4 * STRANGER_BYTES_MAX)][number % 5])
            strangers.append((reader, writer))
        await asyncio.sleep(0.1)
        left = [w for r, w in strangers if not r.at_eof() and r.exception() is None]
        assert len(left) <= STRANGERS_MAX
        async with CallingPeer(Device(), registration=b"DTU-1").call(port):
            found = [await values(bench) for _ in range(3)]
            assert [100.0, 101.0, 102.0, 103.0] in found
        await bench.link.close()
        for _, writer in strangers:
            writer.transport.abort()

    asyncio.run(main())


def test_two_links_that_open_one_port_at_once_share_it() -> None:
    async def main() -> None:
        where = ("127.0.0.1", free_port())
        lines = [DialInLine(where, name, b"", CLOCK) for name in (b"DTU-1", b"DTU-2")]
        told = await asyncio.gather(*(line.open() for line in lines), return_exceptions=True)
        assert all("has not called" in str(each) for each in told), told
        for line in lines:
            line.close()

    asyncio.run(main())


def test_two_links_that_cannot_be_told_apart_say_so() -> None:
    async def main() -> None:
        port = free_port()
        first, second = [two_sources(await called(port, **more)) for more in ({"registration": "A"}, {})]
        with pytest.raises(LinkError, match="has not called"):
            await first.sources[0].read(CLOCK.monotonic_s() + 2)
        with pytest.raises(LinkError, match="told apart"):
            await second.sources[0].read(CLOCK.monotonic_s() + 2)
        for bench in (first, second):
            await bench.link.close()

    asyncio.run(main())


def test_options_that_cannot_work_are_named() -> None:
    with pytest.raises(ConfigError) as caught:
        check_options(
            "modbus-dial-in", {"listen": "nowhere", "registration": "hex:0g", "heartbeat": "hex:00", "framing": "tcp"}
        )
    assert [path for path, _ in caught.value.faults] == ["listen", "registration", "heartbeat"]
    addresses = {check_options("modbus-dial-in", {"listen": "0.0.0.0:5020", "registration": n}) for n in ("a", "b")}
    assert len(addresses) == 2
