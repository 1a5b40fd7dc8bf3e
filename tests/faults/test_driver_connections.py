"""Connections that are cut, half open, dead behind a gateway or made by the device: found in seconds, then mended."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from drivers import check_options, open_link
from tests.support.modbus_other_peers import self_signed, server_context
from tests.support.modbus_peer import Device, Fault, RtuPeer, TcpPeer
from tests.support.modbus_stand_ins import TWO_GROUPS, modbus_profile, rtu_frame, two_sources
from tests.support.reading import CLOCK, read, sources_of
from twin_wire.errors import ConfigError, LinkError


def test_a_serial_line_behind_a_converter_is_read_like_any_other() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        device, number = Device(), 0
        while frame := await reader.read(8):
            number += 1
            pdu = device.answer(frame[0], frame[1:-2])
            assert pdu is not None
            if number == 2:
                asyncio.get_running_loop().call_later(0.3, writer.write, rtu_frame(frame[:1] + pdu))
            else:
                writer.write(b"\xff" + rtu_frame(frame[:1] + pdu))
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        link = await open_link("modbus-rtu", {"host": "127.0.0.1", "tcp_port": port, "baud": 19_200}, CLOCK)
        bench = two_sources(link)
        good = 0
        for turn in range(6):
            block = await read(bench.sources[turn % 2])
            if block is not None:
                assert block.value[:, 0].tolist() == list(bench.expected[turn % 2].values())
                good += 1
        assert good >= 4
        await link.close()
        await asyncio.sleep(0.05)
        server.close()
        await server.wait_closed()

    asyncio.run(main())


def test_a_half_open_connection_is_made_anew_after_three_silent_questions() -> None:
    async def main() -> None:
        deaf = {"until": 4}
        async with TcpPeer(
            Device(), lambda number, _request, answer: [] if number < deaf["until"] else [(0.0, answer)]
        ).serve() as peer:
            link = await open_link("modbus-tcp", {"host": "127.0.0.1", "tcp_port": peer.port}, CLOCK)
            source = two_sources(link).sources[0]
            for _ in range(3):
                assert await read(source) is None
            assert not link.connected
            assert await read(source) is not None
            assert peer.connections == 2
            await link.close()

    asyncio.run(main())


def test_one_dead_unit_behind_a_gateway_does_not_cost_the_others_their_connection() -> None:
    async def main() -> None:
        async with TcpPeer(Device(units=(1, 2))).serve() as peer:
            link = await open_link("modbus-tcp", {"host": "127.0.0.1", "tcp_port": peer.port}, CLOCK)
            dead, alive = sources_of(link, TWO_GROUPS, 9)[0], sources_of(link, TWO_GROUPS, 2)[0]
            for _ in range(5):
                assert await read(dead) is None
                assert await read(alive) is not None
            assert peer.connections == 1
            await link.close()

    asyncio.run(main())


def test_a_connection_cut_by_the_peer_is_made_again_by_the_next_read() -> None:
    async def main() -> None:
        async with TcpPeer(Device()).serve() as peer:
            link = await open_link("modbus-tcp", {"host": "127.0.0.1", "tcp_port": peer.port}, CLOCK)
            source = two_sources(link).sources[0]
            assert await read(source) is not None
            peer.drop()
            await asyncio.sleep(0.05)
            assert not link.connected
            assert await read(source) is not None
            await link.close()

    asyncio.run(main())


def test_nobody_listening_is_a_link_error_that_says_so() -> None:
    async def main() -> None:
        link = await open_link("modbus-tcp", {"host": "127.0.0.1", "tcp_port": 1}, CLOCK)
        with pytest.raises(LinkError, match="cannot connect"):
            await two_sources(link).sources[0].read(CLOCK.monotonic_s() + 2)
        missing = await open_link("modbus-rtu", {"port": "/dev/nothing-here"}, CLOCK)
        with pytest.raises(LinkError, match="cannot open"):
            await two_sources(missing).sources[0].read(CLOCK.monotonic_s() + 2)

    asyncio.run(main())


def test_a_peer_that_accepts_and_never_answers_is_left_within_seconds() -> None:
    async def main() -> None:
        async with TcpPeer(Device(units=())).serve() as peer:
            link = await open_link("modbus-tcp", {"host": "127.0.0.1", "tcp_port": peer.port}, CLOCK)
            source = sources_of(link, modbus_profile([("a", 1)], timeout_ms=1000))[0]
            begin_s = CLOCK.monotonic_s()
            while peer.connections < 2:
                assert await read(source) is None
                assert CLOCK.monotonic_s() - begin_s < 4.5, "three time-outs of a second"
            await link.close()

    asyncio.run(main())


def lossy(lost: set[int]) -> Fault:
    return lambda number, _request, answer: [] if number in lost else [(0.0, answer)]


EIGHT_REQUESTS = modbus_profile([(f"r{a}", a) for a in range(1000)], timeout_ms=400)


def test_a_window_asks_several_questions_at_once_and_each_answer_finds_its_own() -> None:
    async def main() -> tuple[int, list[str]]:
        async with TcpPeer(Device(), lossy(set())).serve() as peer:
            options = {"host": "127.0.0.1", "tcp_port": peer.port, "window": 4}
            link = await open_link("modbus-tcp", options, CLOCK)
            [source] = sources_of(link, EIGHT_REQUESTS)
            for _ in range(3):
                block = await read(source)
                assert block is not None
                assert block.value[:, 0].tolist() == list(range(1000))
            assert len({exchange.request for exchange in source.exchanges()}) == 8
            await link.close()
            return len(peer.requests), link.notes()  # type: ignore[attr-defined]

    proofs = 3 * 4  # questions of different lengths, before answers become values
    assert asyncio.run(main()) == (24 + proofs, [])


def test_a_device_that_drops_one_of_several_questions_is_asked_one_at_a_time_and_it_is_said() -> None:
    async def main() -> None:
        async with TcpPeer(Device(), lossy({15})).serve() as peer:
            options = {"host": "127.0.0.1", "tcp_port": peer.port, "window": 4}
            link = await open_link("modbus-tcp", options, CLOCK)
            [source] = sources_of(link, EIGHT_REQUESTS)
            block = await read(source)
            assert block is not None
            assert block.value[:, 0].tolist() == list(range(1000)), "what was missing is asked for in the same scan"
            [note] = link.notes()  # type: ignore[attr-defined]
            assert "one question at a time" in note
            asked = len(peer.requests)
            assert await read(source) is not None
            assert len(peer.requests) == asked + 8
            await link.close()

    asyncio.run(main())


def test_a_device_that_mixes_up_its_answers_is_found_out_before_one_becomes_a_value() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        device = Device()
        while data := await reader.read(4096):  # all that came together is answered under the last one's number
            for place in range(0, len(data), 12):
                pdu = device.answer(data[place + 6], data[place + 7 : place + 12])
                assert pdu is not None
                writer.write(data[-12:-10] + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + data[6:7] + pdu)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        link = await open_link("modbus-tcp", {"host": "127.0.0.1", "tcp_port": port, "window": 4}, CLOCK)
        [source] = sources_of(link, EIGHT_REQUESTS)
        for _ in range(3):
            block = await read(source)
            assert block is not None
            assert block.value[:, 0].tolist() == list(range(1000))
        [note] = link.notes()  # type: ignore[attr-defined]
        assert "apart" in note
        await link.close()
        await asyncio.sleep(0.05)
        server.close()
        await server.wait_closed()

    asyncio.run(main())


def test_a_device_whose_certificate_is_not_the_one_named_is_not_read(tmp_path: Path) -> None:
    ours, key = self_signed(tmp_path)
    other, _ = self_signed(tmp_path, "other.example")

    async def outcome(**more: object) -> str:
        async with TcpPeer(Device(), tls=server_context(ours, key)).serve() as peer:
            options = {"host": "127.0.0.1", "tcp_port": peer.port, "ca_file": str(ours), **more}
            link = await open_link("modbus-tls", options, CLOCK)
            try:
                await two_sources(link).sources[0].read(CLOCK.monotonic_s() + 2)
            except LinkError as error:
                return str(error)
            finally:
                await link.close()
            return "read"

    async def main() -> None:
        assert await outcome(server_name="device.mine.example") == "read"
        assert "certificate" in await outcome(ca_file=str(other))
        assert "certificate" in await outcome(server_name="other.example")
        assert await outcome(server_name="other.example", check_name=False) == "read"

    asyncio.run(main())
    with pytest.raises(ConfigError) as caught:
        check_options("modbus-tls", {"host": "a", "ca_file": "/nowhere.pem", "cert_file": str(ours)})
    assert [path for path, _ in caught.value.faults] == ["ca_file", "key_file"]


def through_a_cut_cable(timeout_s: float) -> list[float]:
    """Return seconds until the connection is given up, until values come again, and connections made."""
    own_network = ["unshare", "-rn"]
    if subprocess.run([*own_network, "ip", "link", "set", "lo", "up"], capture_output=True, check=False).returncode:
        pytest.skip("needs unshare and ip, and leave to make a network namespace")
    command = [*own_network, sys.executable, "-m", "tests.support.dropped_packets", str(timeout_s)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [float(word) for word in done.stdout.split()]


def test_packets_that_vanish_are_found_out_by_three_silent_questions() -> None:
    given_up_s, back_s, connections = through_a_cut_cable(0.3)
    assert given_up_s < 3.0
    assert back_s < 3.0
    assert connections == 2


@pytest.mark.long
def test_with_a_slow_device_the_kernel_finds_out_that_packets_vanish() -> None:
    given_up_s, _, connections = through_a_cut_cable(120.0)
    assert given_up_s < 15.0
    assert connections == 2


@pytest.mark.parametrize("kind", ["modbus-rtu", "modbus-ascii"])
def test_a_port_that_cannot_switch_direction_says_what_to_do(kind: str) -> None:
    async def main() -> None:
        peer = RtuPeer(Device())
        more = {"data_bits": 8} if kind == "modbus-ascii" else {}
        link = await open_link(kind, {"port": peer.path, "rs485": True, **more}, CLOCK)
        with pytest.raises(LinkError, match="RS-485") as caught:
            await two_sources(link).sources[0].read(CLOCK.monotonic_s() + 1)
        assert "rs485 = false" in caught.value.hint
        assert not link.connected
        await link.close()
        peer.close()

    asyncio.run(main())
