"""Wireshark, which we did not write, understands what we tell a Bluetooth controller and sees the beacons we see."""

import struct
from pathlib import Path

import pytest

from drivers.ble_frames import Beacon, Stream
from drivers.ble_hci import ALIVE, START
from hardware_sim.ble import report
from tests.support.debian import Missing
from tests.support.pcap import dissect

HCI_H4_WITH_DIRECTION = 201
FIELDS = [
    "_ws.malformed",
    "_ws.col.Info",
    "bthci_evt.rssi",
    "btcommon.eir_ad.entry.company_id",
    "btcommon.eir_ad.entry.data",
    "btcommon.eir_ad.entry.service_data",
]


def seen(path: Path, packets: list[tuple[int, bytes]]) -> list[list[str]]:
    """Return the dissector's columns for (direction, packet); direction 0 is to the controller."""
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, HCI_H4_WITH_DIRECTION)
    for number, (direction, packet) in enumerate(packets):
        data = struct.pack(">I", direction) + packet
        out += struct.pack("<IIII", 1_700_000_000, number, len(data), len(data)) + data
    path.write_bytes(out)
    try:
        rows = dissect(path, FIELDS)
    except Missing as why:
        pytest.skip(f"no tshark: {why}")
    assert len(rows) == len(packets)
    assert not any(row[0] for row in rows), "malformed"
    return rows


def test_the_commands_are_those_they_are_meant_to_be(tmp_path: Path) -> None:
    rows = seen(tmp_path / "hci.pcap", [(0, command) for command in (*START, ALIVE)])
    assert [row[1].removeprefix("Sent ") for row in rows] == [
        "Reset",
        "Set Event Mask",
        "LE Set Event Mask",
        "LE Set Scan Parameters",
        "LE Set Scan Enable",
        "Read BD ADDR",
    ]


def test_it_and_we_see_the_same_beacons(tmp_path: Path) -> None:
    tags = list(range(1, 31))
    packets = [report(tag, -40 - tag) for tag in tags]
    rows = seen(tmp_path / "adv.pcap", [(1, packet) for packet in packets])
    ours: list[Beacon] = [beacon for frame in Stream().feed(b"".join(packets), 0.0) for beacon in frame.beacons]
    assert len(ours) == len(tags)
    for row, beacon in zip(rows, ours, strict=True):
        rssi, company, data, service = row[2:]
        assert float(rssi) == beacon.rssi_dbm
        content = bytes.fromhex((data or service).replace(":", ""))
        if not company:  # 00, strength at 0 m, namespace, instance
            assert content[2:] == beacon.network + bytes.fromhex(beacon.number)
            assert struct.unpack_from("b", content, 1)[0] - 41 == beacon.reference_dbm
            continue
        assert content[:2] == {"0x004c": b"\x02\x15", "0x0118": b"\xbe\xac"}[company]
        major, minor, power = struct.unpack_from(">HHb", content, 18)
        assert content[2:18] == beacon.network
        assert beacon.number in (f"{major}-{minor}", f"{major:04x}{minor:04x}")
        assert power == beacon.reference_dbm
    assert {row[3] for row in rows} == {"", "0x004c", "0x0118"}, "all three kinds"
