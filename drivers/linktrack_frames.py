"""Nooploop LinkTrack frames out of a stream of bytes: distances between tags and anchors, and positions.

Layouts after nooploop-dev/nlink_unpack (BSD-3, commit of 2023-08-17), little-endian, no line of it copied:
Anchor0 `55 00`, 896 bytes, ends with EE and has no checksum; Tag0 `55 01`, 128 bytes; Node2 `55 04`, 119 bytes and 13
per node; AoaNode0 `55 07`, 21 bytes and 11 per node (its angle is against the device's own axis, and left alone).
These three and the frames we only skip end with the sum of all bytes before.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

HEADER = 0x55
ANCHOR0, TAG0, NODE2, AOA_NODE0 = 0x00, 0x01, 0x04, 0x07
SKIPPED = (0x02, 0x03, 0x05, 0x06)  # other node frames: length at 2, sum at the end
ANCHOR0_BYTES, TAG0_BYTES, NODE2_BYTES, NODE2_NODE_BYTES = 896, 128, 119, 13
AOA_BYTES, AOA_NODE_BYTES = 21, 11
NODES = {NODE2: (NODE2_BYTES, NODE2_NODE_BYTES), AOA_NODE0: (AOA_BYTES, AOA_NODE_BYTES)}  # fixed part, each node
ANCHOR0_TAIL = 0xEE
FRAME_BYTES_MAX = NODE2_BYTES + 255 * NODE2_NODE_BYTES + 1
EMPTY_SLOT = 0xFF
ROLE_ANCHOR, ROLE_TAG = 1, 2
ROLES = 7
STALL_S = 0.5  # a frame that is not whole after this, and the time its bytes take, never began

_TAG_SLOT = np.dtype([("id", "u1"), ("role", "u1"), ("position", "u1", 9), ("distance", "<u2", 8)])
_ANCHOR0 = np.dtype(
    [
        ("header", "u1", 2),
        ("slots", _TAG_SLOT, 30),
        ("reserved0", "u1", 67),
        ("local_time", "<u4"),
        ("reserved1", "u1", 4),
        ("voltage", "<u2"),
        ("system_time", "<u4"),
        ("id", "u1"),
        ("role", "u1"),
        ("tail", "u1"),
    ]
)
_NODE = np.dtype(
    [
        ("role", "u1"),
        ("id", "u1"),
        ("distance", "u1", 3),
        ("rssi", "u1", 2),
        ("system_time", "<u4"),
        ("reserved", "u1", 2),
    ]
)
_AOA_NODE = np.dtype(
    [("role", "u1"), ("id", "u1"), ("distance", "u1", 3), ("angle", "<i2"), ("rssi", "u1", 2), ("reserved", "u1", 2)]
)
assert _ANCHOR0.itemsize == ANCHOR0_BYTES
assert (_NODE.itemsize, _AOA_NODE.itemsize) == (NODE2_NODE_BYTES, AOA_NODE_BYTES)

Rows = NDArray[np.int32]


class Frame(NamedTuple):
    """One whole frame; rows of (tag, anchor, distance_mm) and of (tag, x_mm, y_mm, z_mm)."""

    raw: bytes
    voltage_mv: int
    tags: int  # tags seen in it
    ranges: Rows  # [N, 3]
    positions: Rows  # [M, 4]

    @property
    def rows(self) -> int:
        """Return how many ranges it holds."""
        return len(self.ranges)


class Stream:
    """Finds frames in bytes as they come; holds at most one unfinished frame."""

    def __init__(self, char_s: float = 0.0) -> None:
        self._stall_s = STALL_S + FRAME_BYTES_MAX * char_s
        self.noise_bytes = 0  # belonged to no frame
        self.damaged = 0  # looked like a frame, and its sum or tail was wrong
        self.skipped = 0  # whole frames of kinds we have no use for
        self.due_s = math.inf  # nothing comes of time alone
        self._buffer = bytearray()
        self._since_s = 0.0

    def reset(self) -> None:
        """Forget what came: a new connection begins."""
        self._buffer.clear()

    def feed(self, data: bytes, now_s: float) -> list[Frame]:
        """Take bytes that came at `now_s`; return the frames they complete."""
        if not self._buffer:
            self._since_s = now_s
        self._buffer += data
        frames: list[Frame] = []
        place = 0
        while True:
            start = self._buffer.find(HEADER, place)
            if start < 0:
                self._drop(len(self._buffer))
                return frames
            self._drop(start)
            place = 0
            size = _size(self._buffer)
            if size is None or size > len(self._buffer):
                if now_s - self._since_s <= self._stall_s:
                    return frames
                size = 0
            raw = bytes(self._buffer[:size])
            if not size or not _is_whole(raw):
                self.damaged += size > 0
                place = 1  # look for the next header behind this one
                continue
            del self._buffer[:size]
            self._since_s = now_s
            if raw[1] in SKIPPED:
                self.skipped += 1
            else:
                frames.append(_read(raw))

    def _drop(self, count: int) -> None:
        if count:
            self.noise_bytes += count
            del self._buffer[:count]


def _size(buffer: bytearray) -> int | None:
    """Return the length of the frame that begins here, 0 if none does, None if more bytes must tell."""
    if len(buffer) < 4:
        return None if len(buffer) < 2 or buffer[1] in (ANCHOR0, TAG0, *NODES, *SKIPPED) else 0
    if buffer[1] == ANCHOR0:
        return ANCHOR0_BYTES
    if buffer[1] == TAG0:
        return TAG0_BYTES
    if buffer[1] in (*NODES, *SKIPPED):
        size = buffer[2] | buffer[3] << 8
        least = NODES.get(buffer[1], (4, 0))[0] + 1
        return size if least <= size <= FRAME_BYTES_MAX else 0
    return 0


def _is_whole(raw: bytes) -> bool:
    if raw[1] != ANCHOR0:
        if sum(raw[:-1]) & 0xFF != raw[-1]:
            return False
        fixed, each = NODES.get(raw[1], (len(raw) - 1, 0))
        return len(raw) == fixed + each * raw[fixed - 1] + 1
    if raw[-1] != ANCHOR0_TAIL or raw[-2] >= ROLES:
        return False
    # Without a checksum, a frame joined from two halves shows in its slots: roles that do not exist, one tag twice.
    slots = np.frombuffer(raw, _ANCHOR0)["slots"][0]
    used = slots[slots["id"] != EMPTY_SLOT]
    return bool((used["role"] == ROLE_TAG).all()) and len(np.unique(used["id"])) == len(used)


def _read(raw: bytes) -> Frame:
    if raw[1] == ANCHOR0:
        return _read_anchor0(raw)
    return _read_tag0(raw) if raw[1] == TAG0 else _read_nodes(raw)


def _read_anchor0(raw: bytes) -> Frame:
    frame = np.frombuffer(raw, _ANCHOR0)[0]
    slots = frame["slots"][frame["slots"]["id"] != EMPTY_SLOT]
    slot, anchor = np.nonzero(slots["distance"])
    ids = slots["id"].astype(np.int32)
    ranges = np.column_stack((ids[slot], anchor, slots["distance"][slot, anchor].astype(np.int32) * 10))
    places = _i24(slots["position"].reshape(-1, 3, 3))
    return Frame(raw, int(frame["voltage"]), len(slots), ranges.astype(np.int32), _positions(ids, places))


def _read_tag0(raw: bytes) -> Frame:
    data = np.frombuffer(raw, np.uint8)
    tag = np.array([raw[2]], np.int32)
    distances = _i24(data[22:46].reshape(8, 3))
    anchor = np.nonzero(distances > 0)[0]
    ranges = np.column_stack((np.repeat(tag, len(anchor)), anchor, distances[anchor])).astype(np.int32)
    places = _i24(data[4:13].reshape(1, 3, 3))
    return Frame(raw, raw[120] | raw[121] << 8, 1, ranges, _positions(tag, places))


def _read_nodes(raw: bytes) -> Frame:
    role, own = raw[4], raw[5]
    fixed, _ = NODES[raw[1]]
    nodes = np.frombuffer(raw, _NODE if raw[1] == NODE2 else _AOA_NODE, raw[fixed - 1], fixed)
    distances = _i24(nodes["distance"])
    other_role = ROLE_TAG if role == ROLE_ANCHOR else ROLE_ANCHOR
    meant = (nodes["role"] == other_role) & (distances > 0) & (role in (ROLE_ANCHOR, ROLE_TAG))
    other, mine = nodes["id"][meant].astype(np.int32), np.full(int(meant.sum()), own, np.int32)
    tag, anchor = (other, mine) if role == ROLE_ANCHOR else (mine, other)
    ranges = np.column_stack((tag, anchor, distances[meant])).astype(np.int32)
    tags = 1 if role == ROLE_TAG else int((nodes["role"] == ROLE_TAG).sum())
    positions = np.zeros((0, 4), np.int32)
    if raw[1] == NODE2 and role == ROLE_TAG:
        places = _i24(np.frombuffer(raw, np.uint8)[13:22].reshape(1, 3, 3))
        positions = _positions(np.array([own], np.int32), places)
    return Frame(raw, raw[fixed - 3] | raw[fixed - 2] << 8, tags, ranges, positions)


def _i24(data: NDArray[np.uint8]) -> Rows:
    """Return the signed 24-bit numbers in the last axis of 3 bytes."""
    wide = data.astype(np.int32)
    number = wide[..., 0] | wide[..., 1] << 8 | wide[..., 2] << 16
    return (number ^ 0x800000) - 0x800000


def _positions(tags: NDArray[np.int32], places: Rows) -> Rows:
    """Return (tag, x, y, z) where the device has a position; it sends zeros where it has none."""
    known = places.any(axis=1)
    return np.column_stack((tags[known], places[known])).astype(np.int32)
