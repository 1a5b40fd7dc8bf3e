"""Advertisements of worn beacons are read as printed; what does not fill its lengths is none."""

import math
import random

import pytest

from drivers.ble_frames import FRAME_BYTES_MAX, Frame, Stream, network_of, tag_of
from drivers.ble_hci import ALIVE, RESET, SCAN_ENABLE, START, ScanStarter, check_options
from twin_wire.errors import ConfigError
from twin_wire.ids import is_id

UUID = "fda50693-a4e2-4fb1-afcf-c6eb07647825"
ID16 = network_of(UUID)
IBEACON = bytes.fromhex("02 01 04 1A FF 4C 00 02 15") + ID16 + bytes.fromhex("13 88 0F 4E C1")
EDDYSTONE = bytes.fromhex("03 03 AA FE 15 16 AA FE 00 DF") + bytes(range(10)) + b"\x00\x00\x00\x00\x01\x02"
ALTBEACON = bytes.fromhex("1B FF 18 01 BE AC") + ID16 + bytes.fromhex("00 01 00 02 C5 00")


def report(*advertised: bytes, rssi: int = 0xBB) -> bytes:
    parts = b"".join(
        bytes.fromhex("03 00 EC F8 00 EE F3 0C") + bytes((len(data),)) + data + bytes((rssi,)) for data in advertised
    )
    return bytes((4, 0x3E, 2 + len(parts), 2, len(advertised))) + parts


def frames_of(data: bytes, step: int = 10_000, networks: dict[bytes, str] | None = None) -> tuple[list[Frame], Stream]:
    stream = Stream(0.0, networks)
    found = [frame for n in range(0, len(data), step) for frame in stream.feed(data[n : n + step], n * 1e-5)]
    return found, stream


def test_the_golden_packet_is_built_as_printed() -> None:
    assert report(IBEACON)[:15].hex(" ") == "04 3e 2a 02 01 03 00 ec f8 00 ee f3 0c 1e 02"
    assert len(report(IBEACON)) == 45


def test_an_ibeacon_gives_its_numbers_and_strengths() -> None:
    [frame], _ = frames_of(report(IBEACON))
    [beacon] = frame.beacons
    assert (beacon.rssi_dbm, beacon.reference_dbm, beacon.number) == (-69.0, -63.0, "5000-3918")
    assert tag_of(beacon, {}) == f"{UUID.replace('-', '')}-5000-3918"
    assert tag_of(beacon, {ID16: "miners"}) == "miners-5000-3918"
    assert is_id(tag_of(beacon, {}))


def test_eddystone_gives_its_instance_and_its_strength_moved_to_a_metre() -> None:
    for advertised in (EDDYSTONE, EDDYSTONE[:4] + b"\x17" + EDDYSTONE[5:] + b"\0\0"):
        [frame], _ = frames_of(report(advertised))
        [beacon] = frame.beacons
        assert (beacon.network, beacon.number) == (bytes(range(10)), "000000000102")
        assert beacon.reference_dbm == -33 - 41


def test_altbeacon_gives_its_numbers_and_a_strength_nobody_measured_is_none() -> None:
    [frame], _ = frames_of(report(ALTBEACON, rssi=127))
    [beacon] = frame.beacons
    assert (beacon.network, beacon.number, beacon.reference_dbm) == (ID16, "00010002", -59.0)
    assert math.isnan(beacon.rssi_dbm)


def test_several_reports_in_one_packet_and_packets_however_cut() -> None:
    other = bytes.fromhex("04 0E 04 01 0C 20 00")
    data = report(IBEACON, EDDYSTONE, ALTBEACON) + other + report(b"\x02\x01\x06") + report(EDDYSTONE)
    for step in (10_000, 1, 13):
        frames, stream = frames_of(data, step)
        assert [frame.rows for frame in frames] == [3, 0, 1]
        assert (frames[1].command, frames[1].status) == (0x200C, 0)
        assert stream.noise_bytes == 0


def test_only_the_networks_named_are_heard() -> None:
    frames, _ = frames_of(report(IBEACON) + report(EDDYSTONE), networks={bytes(range(10)): "ours"})
    assert [frame.beacons[0].number for frame in frames] == ["000000000102"]


@pytest.mark.parametrize("place", [0, 1, 2, 3, 4, 5, 6, 13, 14, 17])
def test_a_length_or_kind_that_does_not_fit_loses_the_packet(place: int) -> None:
    damaged = bytearray(report(IBEACON))
    damaged[place] ^= 0x40
    frames, _ = frames_of(bytes(damaged) + report(EDDYSTONE) + report(EDDYSTONE))
    assert {beacon.number for frame in frames for beacon in frame.beacons} == {"000000000102"}


def test_a_lost_byte_anywhere_makes_no_other_beacon() -> None:
    packet = report(IBEACON)
    for place in range(len(packet)):
        frames, _ = frames_of(packet[:place] + packet[place + 1 :] + report(EDDYSTONE) + report(EDDYSTONE))
        assert {beacon.number for frame in frames for beacon in frame.beacons} == {"000000000102"}, place


def test_a_packet_is_believed_only_at_the_end_or_before_another() -> None:
    assert frames_of(report(IBEACON) + b"\x99")[0] == []
    assert frames_of(b"\x77" + report(IBEACON) + b"\x99")[0] == []
    assert len(frames_of(b"\x77" + report(IBEACON))[0]) == 1
    assert len(frames_of(b"\x77" + report(IBEACON) + report(IBEACON))[0]) == 2


def test_a_false_beginning_holds_the_stream_up_for_half_a_second_at_most() -> None:
    stream = Stream()
    assert stream.feed(b"\x04\x3e\xff\x02" + report(IBEACON), 0.0) == []
    assert len(stream.feed(report(IBEACON), 0.6)) == 2


def test_the_buffer_stays_bounded_on_garbage() -> None:
    stream, rng = Stream(), random.Random(2)
    for number in range(300):
        stream.feed(rng.randbytes(400), number * 0.01)
        assert len(stream._buffer) <= FRAME_BYTES_MAX + 400


def answer(command: bytes, status: int = 0) -> Frame:
    return Frame(b"", (), command[1] | command[2] << 8, status)


def test_a_controller_is_set_up_command_by_command_and_again_if_it_does_not_answer() -> None:
    starter = ScanStarter()
    starter.opened(0.0)
    for number, command in enumerate(START):
        now_s = 0.1 * number
        assert starter.due(now_s) == (command, now_s + 1.0)
        assert starter.due(now_s + 0.05)[0] == b""
        starter.heard(b"", [answer(RESET if command != RESET else SCAN_ENABLE)], now_s)
        assert starter.due(now_s + 0.05)[0] == b"", "an answer to something else"
        starter.heard(b"", [answer(command, 0x0C if command == SCAN_ENABLE else 0)], now_s + 0.06)
    assert starter.due(1.0) == (b"", math.inf)
    starter.opened(2.0)
    starter.due(2.0)
    starter.heard(b"", [answer(RESET, 1)], 2.1)
    assert starter.due(3.0)[0] == RESET


def test_a_silent_controller_is_asked_whether_it_lives_and_set_up_again_after_half_a_minute() -> None:
    starter = ScanStarter()
    starter.opened(0.0)
    for command in START:
        starter.due(0.0)
        starter.heard(b"", [answer(command)], 0.0)
    starter.begin_read(1.0)
    assert starter.due(1.0)[0] == b""
    starter.begin_read(2.0)
    assert starter.due(2.0)[0] == ALIVE
    assert starter.due(2.1)[0] == b""
    starter.heard(b"", frames_of(report(IBEACON))[0], 2.5)
    starter.begin_read(3.0)
    assert starter.due(3.0)[0] == b""
    starter.begin_read(32.6)
    assert starter.due(32.6)[0] == RESET


def test_networks_and_the_wish_to_start_are_checked() -> None:
    with pytest.raises(ConfigError) as caught:
        check_options({"port": "/dev/x", "networks": {"a": "12", "-": UUID, "n" * 33: UUID}})
    assert [path for path, _ in caught.value.faults] == ["networks.a", "networks.-", f"networks.{'n' * 33}"]
    with pytest.raises(ConfigError, match="start"):
        check_options({"port": "/dev/x", "start": True, "listen_only": True})
    assert check_options({"port": "/dev/x", "start": True, "networks": {"ours": UUID}}) == "/dev/x"
