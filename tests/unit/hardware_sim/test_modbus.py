"""The slave answers as the standard says, byte by byte; expected bytes are written by hand or by the vendors."""

import random
import struct

import pytest

from hardware_sim.modbus import (
    Frame,
    Image,
    answer,
    crc,
    rtu_frame,
    rtu_requests,
    tcp_frame,
    tcp_requests,
)


def image(**options: object) -> Image:
    made = Image(**options)  # type: ignore[arg-type]
    made.write(3, 100, [100, 101, 102, 103])
    made.write(3, 110, [110])
    made.write(2, 0, [0, 1, 0, 0, 1, 0, 0, 1, 1, 0, 1, 1])
    return made


def asked(text: str, target: Image | None = None) -> str | None:
    answered = answer(image() if target is None else target, bytes.fromhex(text))
    return None if answered is None else answered.hex(" ").upper()


@pytest.mark.parametrize(
    "frame",
    [
        "01 03 00 08 00 02 45 C9",  # Honeywell RAEGuard 3, both printed in its manual
        "01 03 04 00 00 00 D1 3A 6F",
        "01 03 00 64 00 14 04 1A",  # a vibrating wire logger's manual
    ],
)
def test_the_crc_is_the_one_vendors_print(frame: str) -> None:
    data = bytes.fromhex(frame)
    assert crc(data[:-2]) == data[-2:]
    assert rtu_frame(data[0], data[1:-2]) == data


def test_registers_come_back_in_order() -> None:
    assert asked("03 00 64 00 04") == "03 08 00 64 00 65 00 66 00 67"


def test_bits_are_packed_from_the_lowest() -> None:
    assert asked("02 00 00 00 0C") == "02 02 92 0D"
    assert asked("02 00 01 00 01") == "02 01 01"


def test_registers_between_the_known_ones_read_zero_or_refuse() -> None:
    assert asked("03 00 67 00 08") == "03 10 00 67 00 00 00 00 00 00 00 00 00 00 00 00 00 6E"
    assert asked("03 00 67 00 08", image(unmapped="exception")) == "83 02"


@pytest.mark.parametrize(
    ("request_pdu", "answered"),
    [
        ("03 00 00 00 02", "83 02"),  # below the first register
        ("03 00 6E 00 02", "83 02"),  # past the last
        ("03 FF FF 00 02", "83 02"),  # past the address space
        ("04 00 00 00 01", "84 02"),  # a table this device has not got
        ("03 00 64 00 00", "83 03"),  # nothing
        ("03 00 64 00 7E", "83 03"),  # 126 registers
        ("02 00 00 07 D1", "82 03"),  # 2,001 bits
        ("03 00 64 00", "83 03"),  # cut short
        ("44", "C4 01"),  # a function nobody has
        ("06 00 64 00 01", "86 01"),  # writes are refused
        ("10 00 64 00 01 02 00 01", "90 01"),
    ],
)
def test_refusals_carry_the_right_code(request_pdu: str, answered: str) -> None:
    assert asked(request_pdu) == answered


def test_forbidden_registers_silence_the_device_and_atomic_ones_are_read_whole() -> None:
    assert asked("03 00 64 00 02", image(forbid=((101, 101),))) is None
    assert asked("03 00 66 00 01", image(forbid=((101, 101),))) == "03 02 00 66"
    assert asked("03 00 64 00 02", image(atomic=((100, 103),))) == "83 02"
    assert asked("03 00 64 00 04", image(atomic=((100, 103),))) == "03 08 00 64 00 65 00 66 00 67"


def test_a_device_with_a_small_limit_refuses_more() -> None:
    assert asked("03 00 64 00 03", image(registers_max=2)) == "83 03"


def test_identity_is_told() -> None:
    named = image(identity=("ACME", "Gas 1", "1.0"))
    told = asked("2B 0E 01 00", named)
    assert told == "2B 0E 01 81 00 00 03 00 04 41 43 4D 45 01 05 47 61 73 20 31 02 03 31 2E 30"
    assert asked("2B 0E 04 01", named) == "2B 0E 04 81 00 00 01 01 05 47 61 73 20 31"
    assert asked("2B 0E 04 09", named) == "AB 02"
    assert asked("2B 0D 01 00", named) == "AB 01"


def test_requests_are_found_behind_noise_and_kept_until_whole() -> None:
    whole = bytes.fromhex("01 03 00 08 00 02 45 C9")
    for noise in (b"", b"\x00", b"\xff", b"\x01\x03", b"\x55\xaa\x03"):
        buffer = bytearray(noise + whole[:5])
        assert rtu_requests(buffer) == []
        buffer += whole[5:] + whole
        assert rtu_requests(buffer) == [Frame(1, whole[1:-2])] * 2, noise


def test_a_write_frame_is_understood_as_long_as_it_is() -> None:
    write = rtu_frame(7, bytes.fromhex("10 00 01 00 02 04 00 0A 01 02"))
    assert rtu_requests(bytearray(write)) == [Frame(7, write[1:-2])]


def test_pipelined_requests_are_all_seen() -> None:
    pdu = bytes.fromhex("03 00 64 00 01")
    frames = [tcp_frame(1, pdu, number) for number in range(5)]
    buffer = bytearray(b"".join(frames) + frames[0][:9])
    assert tcp_requests(buffer) == [Frame(1, pdu, number) for number in range(5)]
    assert bytes(buffer) == frames[0][:9]


def test_what_is_not_modbus_ends_the_connection() -> None:
    assert tcp_requests(bytearray(b"GET / HTTP/1.1\r\n")) is None
    assert tcp_requests(bytearray(struct.pack(">HHHBB", 1, 0, 0xFFFF, 1, 3))) is None
    assert tcp_requests(bytearray(struct.pack(">HHHB", 1, 0, 1, 1))) is None


def test_no_bytes_from_outside_raise() -> None:
    rng, target = random.Random(7), image()
    for _ in range(4000):
        data = rng.randbytes(rng.randrange(1, 40))
        answer(target, data)
        rtu_requests(bytearray(data))
        tcp_requests(bytearray(data))
        framed = bytearray(rtu_frame(data[0], data[1:] or b"\x03"))
        for frame in rtu_requests(framed):
            answer(target, frame.pdu)
