"""Whole numbers as byte planes: all lowest bytes, then all second bytes …: small when compressed, simple to read."""

import numpy as np
from numpy.typing import NDArray

from twin_wire.errors import FormatError

Wide = NDArray[np.uint64]

_OCTETS = np.arange(256, dtype=np.uint8)
_HALVES = np.stack((_OCTETS & 15, _OCTETS >> 4), axis=1).view(np.uint16)[:, 0]  # of each octet: its two halves


def zigzag(number: NDArray[np.int64]) -> Wide:
    """Map 0, -1, 1, -2, 2 … to 0, 1, 2, 3, 4 …"""
    return ((number << 1) ^ (number >> 63)).view(np.uint64)


def unzigzag(number: Wide) -> NDArray[np.int64]:
    """Undo `zigzag`."""
    return (number >> np.uint64(1)).view(np.int64) ^ -(number & np.uint64(1)).view(np.int64)


def pack_planes(number: Wide, planes_max: int) -> bytes:
    """Return as many planes as the largest number needs, at least one and at most `planes_max`."""
    largest = int(number.max()) if number.size else 0
    count = max(1, (largest.bit_length() + 7) // 8)
    assert count <= planes_max, largest
    octets = number.astype("<u8").view(np.uint8).reshape(-1, 8)
    return octets[:, :count].T.tobytes()


def unpack_planes(data: bytes, count: int, planes_max: int) -> Wide:
    """Return `count` numbers from their planes; FormatError unless the length is 1 to `planes_max` whole planes."""
    planes, rest = divmod(len(data), count) if count else (0, len(data))
    if rest or planes > planes_max or (count and not planes):
        raise FormatError("body: byte planes of a wrong length")
    octets = np.zeros((count, 8), np.uint8)
    octets[:, :planes] = np.frombuffer(data, np.uint8).reshape(planes, count).T
    return octets.view("<u8").reshape(count).astype(np.uint64, copy=False)


def pack_halves(number: NDArray[np.uint8]) -> bytes:
    """Return numbers below 16, two a byte, the first in the low half; a half left over is 0."""
    if number.size % 2:
        number = np.append(number, np.uint8(0))
    packed: NDArray[np.uint8] = number[::2] | number[1::2] << np.uint8(4)
    return packed.tobytes()


def unpack_halves(data: bytes, count: int) -> NDArray[np.uint8]:
    """Return `count` numbers below 16; FormatError unless the length fits and a half left over is 0."""
    if len(data) != (count + 1) // 2:
        raise FormatError("body: the halves' length does not fit the lanes")
    number = _HALVES[np.frombuffer(data, np.uint8)].view(np.uint8)
    if count % 2 and number[-1]:
        raise FormatError("body: a half without meaning is not 0")
    return number[:count]
