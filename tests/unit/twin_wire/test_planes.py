"""Byte planes and halves: exact, and strict about their length."""

import numpy as np
import pytest

from twin_wire.errors import FormatError
from twin_wire.planes import pack_halves, pack_planes, unpack_halves, unpack_planes, unzigzag, zigzag


def test_zigzag_keeps_small_numbers_small() -> None:
    numbers = np.array([0, -1, 1, -2, 2, 2**62, -(2**63)], np.int64)
    assert zigzag(numbers).tolist() == [0, 1, 2, 3, 4, 2**63, 2**64 - 1]
    assert unzigzag(zigzag(numbers)).tolist() == numbers.tolist()


def test_planes_hold_all_lowest_bytes_first() -> None:
    numbers = np.array([0x0102, 0x0003], np.uint64)
    assert pack_planes(numbers, 4) == bytes([0x02, 0x03, 0x01, 0x00])
    assert unpack_planes(bytes([0x02, 0x03, 0x01, 0x00]), 2, 4).tolist() == [0x0102, 0x0003]


def test_planes_are_as_few_as_the_largest_number_allows() -> None:
    for octets in range(1, 9):
        numbers = np.array([1, 256**octets - 1], np.uint64)
        data = pack_planes(numbers, 8)
        assert len(data) == 2 * octets
        assert unpack_planes(data, 2, 8).tolist() == numbers.tolist()
    assert pack_planes(np.zeros(3, np.uint64), 4) == bytes(3)


@pytest.mark.parametrize(("length", "count"), [(0, 2), (3, 2), (10, 2), (1, 0)])
def test_planes_of_a_wrong_length_are_refused(length: int, count: int) -> None:
    with pytest.raises(FormatError):
        unpack_planes(bytes(length), count, 4)


def test_no_numbers_take_no_planes() -> None:
    assert unpack_planes(b"", 0, 4).tolist() == []


def test_halves_put_the_first_number_low() -> None:
    assert pack_halves(np.array([1, 2, 15], np.uint8)) == bytes([0x21, 0x0F])
    assert unpack_halves(bytes([0x21, 0x0F]), 3).tolist() == [1, 2, 15]


@pytest.mark.parametrize(("data", "count"), [(b"", 1), (b"\x01", 3), (b"\x01\x02", 1), (b"\x21", 1)])
def test_halves_that_do_not_fit_are_refused(data: bytes, count: int) -> None:
    with pytest.raises(FormatError):
        unpack_halves(data, count)
