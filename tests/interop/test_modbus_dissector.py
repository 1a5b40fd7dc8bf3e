"""Wireshark's dissectors understand every question we send and every answer we accept, and find no malformed frame."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers import DeviceOptions, PointOptions, open_link
from drivers.modbus.link import ModbusLink
from tests.support.debian import Missing
from tests.support.modbus_other_peers import UdpPeer
from tests.support.modbus_peer import Device, RtuPeer, TcpPeer
from tests.support.modbus_peer import Sent as Answers
from tests.support.modbus_stand_ins import modbus_profile
from tests.support.pcap import Sent, dissect, write_capture
from tests.support.reading import CLOCK

FIELDS = [
    "_ws.malformed",
    "_ws.expert.message",
    "_ws.col.Info",
    "modbus.func_code",
    "modbus.reference_num",
    "modbus.word_cnt",
    "modbus.exception_code",
]


class Recorder:
    """Peers' fault hook that changes nothing and keeps both directions."""

    def __init__(self) -> None:
        self.packets: list[Sent] = []

    def __call__(self, _number: int, request: bytes, answer: bytes) -> Answers:
        self.packets += [Sent(True, request), Sent(False, answer)]
        return [(0.0, answer)]


async def talk(kind: str, options: dict[str, Any]) -> None:
    """Read all four tables, a hole, and who the device is."""
    link = await open_link(kind, options, CLOCK)
    assert isinstance(link, ModbusLink)
    for function in (1, 2, 3, 4):
        what = modbus_profile([(f"r{a}", a) for a in (*range(10), 117, 300, 5000)], 1000, function)
        points = [PointOptions(id=s.id, device="d", signal=s.id) for s in what.signals]
        [source] = link.sources([DeviceOptions(id="d", profile=what)], points)
        await source.read(CLOCK.monotonic_s() + 5)
    await link.identify(1, CLOCK.monotonic_s() + 5)
    await link.close()


def holed() -> Device:
    return Device(registers=lambda _unit, _function, address: None if address == 117 else address)


def looked_at(path: Path, *options: str) -> Iterator[list[str]]:
    try:
        rows = dissect(path, FIELDS, *options)
    except Missing as why:
        pytest.skip(f"no tshark: {why}")
    return iter(rows)


def check(recorder: Recorder, rows: Iterator[list[str]], pdu: slice) -> None:
    """Compare what the dissector saw with the bytes."""
    functions, refused = set(), 0
    for packet, (malformed, complaint, said, function, address, count, exception) in zip(
        recorder.packets, rows, strict=True
    ):
        assert not malformed
        assert exception or not complaint
        assert function == "43" or ("Query" if packet.from_client else "Response") in said
        data = packet.data[pdu]
        assert int(function) == data[0] & 0x7F
        functions.add(int(function))
        refused += bool(exception)
        if packet.from_client and data[0] < 5:
            assert (int(address), int(count or 0)) in (
                (int.from_bytes(data[1:3], "big"), int.from_bytes(data[3:5], "big")),
                (int.from_bytes(data[1:3], "big"), 0),  # a count of bits has another field
            )
    assert functions == {1, 2, 3, 4, 43}
    assert refused >= 4


def test_tcp_frames(tmp_path: Path) -> None:
    recorder = Recorder()

    async def main() -> None:
        async with TcpPeer(holed(), recorder).serve() as peer:
            await talk("modbus-tcp", {"host": "127.0.0.1", "tcp_port": peer.port})

    asyncio.run(main())
    write_capture(tmp_path / "tcp.pcap", recorder.packets, 502)
    check(recorder, looked_at(tmp_path / "tcp.pcap"), slice(7, None))


def test_datagrams(tmp_path: Path) -> None:
    recorder = Recorder()

    async def main() -> None:
        async with UdpPeer(holed(), recorder).serve() as peer:
            await talk("modbus-udp", {"host": "127.0.0.1", "udp_port": peer.port})

    asyncio.run(main())
    write_capture(tmp_path / "udp.pcap", recorder.packets, 502, udp=True)
    check(recorder, looked_at(tmp_path / "udp.pcap"), slice(7, None))


def test_rtu_frames_with_their_crc(tmp_path: Path) -> None:
    recorder = Recorder()

    async def main() -> None:
        peer = RtuPeer(holed(), recorder)
        await talk("modbus-rtu", {"port": peer.path, "baud": 115_200})
        peer.close()

    asyncio.run(main())
    write_capture(tmp_path / "rtu.pcap", recorder.packets, 5020)
    as_rtu = ("-d", "tcp.port==5020,mbrtu", "-o", "mbrtu.crc_verification:TRUE")
    check(recorder, looked_at(tmp_path / "rtu.pcap", *as_rtu), slice(1, -2))
    crcs = dissect(tmp_path / "rtu.pcap", ["mbrtu.crc16.status"], *as_rtu)
    assert {status for (status,) in crcs} == {"1"}
