"""A UHF reader: tags in the zone before an antenna are read, most of the time; R2000 and UR frames.

`r2000` answers an inventory with a report per tag and a summary; `ur` reports by itself and sends a heartbeat when
nothing was there.
"""

import random
import struct
from collections.abc import Callable, Iterable, Sequence

from hardware_sim.plan import Anchor
from hardware_sim.pusher import Said
from hardware_sim.sight import Sight, Worn

REACH_M = 8.0
READ_SHARE = 0.7  # of a tag right before the antenna in one round; bodies and metal hide it the rest of the time
HEARTBEAT_S = 5.0
EPC_HEAD = bytes.fromhex("E280116060000208")
REAL_TIME, FAST_SWITCH = 0x89, 0x8A
UNKNOWN_COMMAND = 0x11  # "command fail"


def epc_of(tag: int) -> bytes:
    """Return the number in a tag's chip."""
    return EPC_HEAD + tag.to_bytes(4, "big")


def r2000_frame(reader: int, command: int, data: bytes) -> bytes:
    """Return a frame of an R2000 reader: the sum of its bytes is zero."""
    frame = struct.pack("BBBB", 0xA0, 3 + len(data), reader, command) + data
    return frame + struct.pack("B", (256 - sum(frame) % 256) % 256)


def ur_frame(reader: int, status: int, data: bytes) -> bytes:
    """Return a frame of a UR reader in active mode."""
    frame = struct.pack("BBBB", 5 + len(data), reader, 0xEE, status) + data
    remainder = 0xFFFF
    for byte in frame:
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder >> 1) ^ (0x8408 if remainder & 1 else 0)
    return frame + struct.pack("<H", remainder)


class Reader:
    """One reader; an anchor is an antenna, its id 0 to 3 the antenna's number less one."""

    def __init__(
        self, anchors: Iterable[Anchor], worn: Callable[[], Iterable[Worn]], seed: str, family: str = "r2000"
    ) -> None:
        self.rounds = 0
        self._family, self._worn = family, worn
        self._sight = Sight(anchors, REACH_M, 0.0)
        self._random = random.Random(seed)  # noqa: S311
        self._buffer, self._said_s, self._beats = b"", -1e9, 0

    def due(self, now_s: float) -> list[Said]:
        """Return what a UR reader reports by itself."""
        if self._family != "ur":
            return []
        said = [
            Said(ur_frame(0, 0x00, bytes((1 << antenna, 12)) + epc_of(tag) + b"\x50"), 1)
            for antenna, tag in self.inventory()
        ]
        if not said and now_s - self._said_s >= HEARTBEAT_S:
            self._beats += 1
            said = [Said(ur_frame(0, 0x28, struct.pack(">I8xI", self._beats, 0)), 0)]
        if said:
            self._said_s = now_s
        return said

    def hear(self, data: bytes, _now_s: float) -> list[Said]:
        """Answer every inventory that is asked for of an R2000 reader."""
        self._buffer = (self._buffer + data)[-512:]
        said: list[Said] = []
        while self._family == "r2000" and len(self._buffer) >= 2:
            size = self._buffer[1] + 2
            frame = self._buffer[:size]
            if frame[0] != 0xA0 or (len(frame) == size and sum(frame) % 256):
                self._buffer = self._buffer[1:]
            elif len(frame) < size:
                break
            else:
                self._buffer = self._buffer[size:]
                said += self._answer(frame)
        return said

    def inventory(self) -> Sequence[tuple[int, int]]:
        """Return (antenna, tag) of one round."""
        self.rounds += 1
        found = []
        for person in self._worn():
            for path in self._sight.paths(person):
                share = READ_SHARE * (1.0 - (path.metres / REACH_M) ** 4)
                if path.sighted and path.metres < REACH_M and self._random.random() < share:
                    found.append((path.anchor.id, person.tag))
        return found

    def _answer(self, frame: bytes) -> list[Said]:
        reader, command = 1, frame[3]
        if command not in (REAL_TIME, FAST_SWITCH):
            return [Said(r2000_frame(reader, command, bytes((UNKNOWN_COMMAND,))), 0)]
        antennas = {0} if command == REAL_TIME else {n for n in frame[4:12:2] if n < 4}
        found = [(antenna, tag) for antenna, tag in self.inventory() if antenna in antennas]
        said = [
            Said(r2000_frame(reader, command, bytes((0x1C << 2 | n, 0x30, 0x00)) + epc_of(tag) + b"\x50"), 1)
            for n, tag in found
        ]
        if command == REAL_TIME:
            end = struct.pack(">BHI", 0, 100, len(found))
        else:
            end = len(found).to_bytes(3, "big") + struct.pack(">I", 50)
        return [*said, Said(r2000_frame(reader, command, end), 0)]
