"""Reports of UHF readers are read, their other frames are signs of life, and a wrong sum is nothing."""

import math
import random

import pytest

from drivers.pushed import Heard
from drivers.rfid import AFTER_ERROR_S, ANSWER_S, InventoryStarter, _fault, check_options, inventory, tag_of
from drivers.rfid_frames import EPC_BYTES_MAX, FRAME_BYTES_MAX, Frame, Stream, crc16
from twin_wire.errors import ConfigError, DeviceError, LinkError

EPC = bytes.fromhex("E2801160600002084B5C0011")


def r2000(command: int, data: bytes, reader: int = 1) -> bytes:
    frame = bytes((0xA0, 3 + len(data), reader, command)) + data
    return frame + bytes(((~sum(frame) + 1) & 0xFF,))


def seen(epc: bytes = EPC, antenna: int = 2, command: int = 0x89) -> bytes:
    return r2000(command, bytes((0x1C << 2 | antenna, len(epc) // 2 << 3, 0)) + epc + b"\x4a")


def ur(status: int, data: bytes) -> bytes:
    body = bytes((5 + len(data), 0, 0xEE, status)) + data
    return body + crc16(body).to_bytes(2, "little")


def ur_seen(epc: bytes = EPC, antennas: int = 0b0101) -> bytes:
    return ur(0, bytes((antennas, len(epc))) + epc + b"\x62")


HEARTBEAT = ur(0x28, bytes.fromhex("00000007 0000000000000000 0000002A"))
SUMMARY = r2000(0x89, bytes.fromhex("02 0064 0000000A"))


def frames_of(data: bytes, family: str, step: int = 10_000) -> tuple[list[Frame], Stream]:
    stream = Stream(0.0, family)
    return [f for n in range(0, len(data), step) for f in stream.feed(data[n : n + step], n * 1e-5)], stream


def test_the_crc_is_the_one_the_makers_print() -> None:
    assert crc16(bytes.fromhex("04 00 01")).to_bytes(2, "little").hex() == "db4b"


def test_the_command_is_the_one_readers_know() -> None:
    assert inventory(0xFF, 1) == r2000(0x89, b"\x14", 0xFF)
    assert inventory(1, 3) == r2000(0x8A, bytes.fromhex("00 01 01 01 02 01 FF 01 00 14"))


@pytest.mark.parametrize("command", [0x89, 0x8A, 0x8B])
@pytest.mark.parametrize("size", [2, 12, EPC_BYTES_MAX])
def test_an_r2000_report_gives_tag_and_antenna(command: int, size: int) -> None:
    epc = bytes(range(1, size + 1))
    [frame], _ = frames_of(seen(epc, 3, command), "r2000")
    assert (frame.epc, frame.antennas, frame.rows) == (epc, (3,), 1)


def test_a_ur_report_gives_tag_and_every_antenna() -> None:
    [frame], _ = frames_of(ur_seen(), "ur")
    assert (frame.epc, frame.antennas, frame.rows) == (EPC, (0, 2), 2)
    assert tag_of(frame.epc) == "E2801160600002084B5C0011"


def test_what_is_no_report_is_a_sign_of_life() -> None:
    frames, stream = frames_of(HEARTBEAT + ur_seen() + HEARTBEAT, "ur", 5)
    assert [frame.rows for frame in frames] == [0, 2, 0]
    frames, stream = frames_of(SUMMARY + seen() + r2000(0x72, b"\x01\x02") + r2000(0x89, b"\x22"), "r2000", 5)
    assert [(frame.rows, frame.ended, frame.error) for frame in frames] == [
        (0, True, 0),
        (1, False, 0),
        (0, False, 0),
        (0, True, 0x22),
    ]
    assert stream.noise_bytes == 0


def test_a_report_whose_parts_do_not_fit_is_none() -> None:
    longer = r2000(0x89, bytes((0, 6 << 3, 0)) + EPC + b"\x00\x4a")
    wordless = r2000(0x89, b"\x00\x00\x00" + EPC + b"\x4a")
    frames, stream = frames_of(longer + wordless, "r2000")
    assert (frames, stream.damaged) == ([], 2)
    for data in (bytes((0, 12)) + EPC + b"\x62", bytes((1, 10)) + EPC + b"\x62", bytes((1, 12)) + EPC):
        assert frames_of(ur(0, data), "ur")[0] == []


@pytest.mark.parametrize(("family", "report"), [("r2000", seen()), ("ur", ur_seen())])
def test_one_turned_bit_or_lost_byte_loses_the_report_and_only_it(family: str, report: bytes) -> None:
    for place in range(8 * len(report)):
        damaged = bytearray(report)
        damaged[place // 8] ^= 1 << place % 8
        stream = Stream(0.0, family)
        frames = [*stream.feed(bytes(damaged) + report, 0.0), *stream.feed(report, 1.0)]
        assert {frame.epc for frame in frames if frame.epc} == {EPC}, place
        assert sum(frame.rows > 0 for frame in frames) == 2, place
    for place in range(len(report)):
        stream = Stream(0.0, family)
        frames = [*stream.feed(report[:place] + report[place + 1 :] + report, 0.0), *stream.feed(report, 1.0)]
        assert {frame.epc for frame in frames if frame.epc} == {EPC}, place


@pytest.mark.parametrize("family", ["r2000", "ur"])
def test_the_buffer_stays_bounded_on_garbage(family: str) -> None:
    stream, rng = Stream(0.0, family), random.Random(6)
    for number in range(300):
        stream.feed(rng.randbytes(400), number * 0.01)
        assert len(stream._buffer) <= FRAME_BYTES_MAX + 400


def test_the_next_inventory_is_asked_for_when_one_is_over_or_nothing_came() -> None:
    starter = InventoryStarter(b"go")
    starter.opened(0.0)
    assert starter.due(0.0) == (b"go", ANSWER_S)
    starter.heard(b"", [Frame(b"", EPC, (0,))], 1.0)
    assert starter.due(2.0) == (b"", 1.0 + ANSWER_S)
    starter.heard(b"", [Frame(b"", ended=True)], 2.5)
    assert starter.due(2.5)[0] == b"go"
    assert starter.due(2.5 + ANSWER_S)[0] == b"go"
    starter.heard(b"", [Frame(b"", ended=True, error=0x22)], 6.0)
    assert starter.due(6.0) == (b"", 6.0 + AFTER_ERROR_S)


def test_a_missing_antenna_is_a_refusal_alone_and_a_fault_beside_others() -> None:
    missing = Heard(0, Frame(b"", ended=True, error=0x22))
    refusal = _fault([missing])
    assert isinstance(refusal, DeviceError)
    assert refusal.code == 0x22
    beside = _fault([Heard(0, Frame(b"", error=0x22)), Heard(0, Frame(b"", ended=True))])
    assert type(beside) is LinkError
    assert _fault([Heard(0, Frame(b"", ended=True, error=0x36)), Heard(0, Frame(b""))]) is None


def test_the_family_has_to_be_said_and_only_one_of_them_can_be_started() -> None:
    with pytest.raises(ConfigError, match="family"):
        check_options({"port": "/dev/x"})
    with pytest.raises(ConfigError, match="start"):
        check_options({"port": "/dev/x", "family": "ur", "start": True})
    assert check_options({"port": "/dev/x", "family": "r2000", "start": True, "antennas": 4}) == "/dev/x"
    assert math.isinf(Stream().due_s)
