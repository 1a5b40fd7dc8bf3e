"""Tags that UHF readers saw, out of a stream of bytes: the two frame families of common Chinese readers.

`r2000` (modules with the Impinj R2000): `A0`, length of what follows, address, command, data, and a byte that makes
the sum of the whole frame zero. `ur` (UR series and relatives in their active mode): length of what follows, address,
`EE`, status, data, CRC-16 (polynomial 8408, start FFFF), low byte first.
"""

import math
from typing import NamedTuple

R2000_HEAD = 0xA0
REAL_TIME, FAST_SWITCH, SESSION = 0x89, 0x8A, 0x8B  # inventories that report every tag at once
INVENTORIES = (REAL_TIME, FAST_SWITCH, SESSION)
SUMMARY_DATA_BYTES = 7  # the end of an inventory: antenna and counts
UR_ACTIVE = 0xEE
UR_TAG, UR_HEARTBEAT = 0x00, 0x28
HEARTBEAT_DATA_BYTES = 16
EPC_BYTES_MAX = 62  # 31 words, what the length field of a tag's control word can say
FRAME_BYTES_MAX = 257
STALL_S = 0.5  # a frame that is not whole after this, and the time its bytes take, never began


class Frame(NamedTuple):
    """One whole frame; `epc` is empty where it only says that the reader lives."""

    raw: bytes
    epc: bytes = b""
    antennas: tuple[int, ...] = ()
    ended: bool = False  # an inventory is over
    error: int = 0  # what the reader says went wrong, 0 for nothing

    @property
    def rows(self) -> int:
        """Return how many sightings it is."""
        return len(self.antennas) if self.epc else 0


class Stream:
    """Finds frames of one family in bytes as they come; `r2000` or `ur`."""

    def __init__(self, char_s: float = 0.0, family: str = "r2000") -> None:
        self.noise_bytes = 0  # belonged to no frame
        self.damaged = 0  # began like a frame and its sum was wrong
        self.due_s = math.inf
        self._r2000 = family == "r2000"
        self._stall_s = STALL_S + FRAME_BYTES_MAX * char_s
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
        while self._buffer:
            size = _r2000_size(self._buffer) if self._r2000 else _ur_size(self._buffer)
            if size is None or size > len(self._buffer):
                if now_s - self._since_s <= self._stall_s:
                    return frames
                size = 0
            raw = bytes(self._buffer[:size])
            whole = bool(raw) and (sum(raw) & 0xFF == 0 if self._r2000 else crc16(raw) == 0)
            if not whole:
                self.damaged += bool(raw)
                self.noise_bytes += 1
                del self._buffer[:1]
                continue
            del self._buffer[:size]
            self._since_s = now_s
            frame = _r2000(raw) if self._r2000 else _ur(raw)
            if frame is None:
                self.damaged += 1
            else:
                frames.append(frame)
        return frames


def crc16(data: bytes) -> int:
    """Return the CRC-16 of a UR frame; 0 over a frame together with its own."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x8408 if value & 1 else value >> 1
    return value


def r2000_command(address: int, command: int, data: bytes) -> bytes:
    """Return a command frame to a reader with an R2000."""
    frame = bytes((R2000_HEAD, 3 + len(data), address, command)) + data
    return frame + bytes((-sum(frame) & 0xFF,))


def _r2000_size(buffer: bytearray) -> int | None:
    """Return the length of the frame that begins here, 0 if none does, None if more bytes must tell."""
    if buffer[0] != R2000_HEAD:
        return 0
    if len(buffer) < 2:
        return None
    return 2 + buffer[1] if buffer[1] >= 3 else 0


def _r2000(raw: bytes) -> Frame | None:
    """Return what a whole frame says; None if its parts do not fit each other."""
    command, data = raw[3], raw[4:-1]
    if command not in INVENTORIES:
        return Frame(raw)
    if len(data) == 1:
        return Frame(raw, ended=True, error=data[0])
    if len(data) == 2 and command == FAST_SWITCH:  # antenna and error: it goes on with the next antenna
        return Frame(raw, error=data[1])
    if len(data) == SUMMARY_DATA_BYTES:
        return Frame(raw, ended=True)
    words = data[1] >> 3 if len(data) > 3 else 0  # upper five bits of the tag's control word
    if not words or len(data) != 1 + 2 + 2 * words + 1:
        return None
    return Frame(raw, data[3:-1], (data[0] & 0x03,))


def _ur_size(buffer: bytearray) -> int | None:
    if len(buffer) < 4:
        return None if len(buffer) < 3 or buffer[2] == UR_ACTIVE else 0
    if buffer[2] != UR_ACTIVE or buffer[3] not in (UR_TAG, UR_HEARTBEAT):
        return 0
    least, most = (10, 5 + 3 + EPC_BYTES_MAX) if buffer[3] == UR_TAG else (5 + HEARTBEAT_DATA_BYTES,) * 2
    return 1 + buffer[0] if least <= buffer[0] <= most else 0


def _ur(raw: bytes) -> Frame | None:
    if raw[3] == UR_HEARTBEAT:
        return Frame(raw)
    mask, length = raw[4], raw[5]
    if not mask or length % 2 or length < 2 or len(raw) != 9 + length:
        return None
    return Frame(raw, raw[6 : 6 + length], tuple(bit for bit in range(8) if mask >> bit & 1))
