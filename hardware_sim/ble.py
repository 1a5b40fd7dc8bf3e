"""A Bluetooth controller on a serial port (HCI, H4) that hears worn beacons: strength falls with distance and scatters.

Every tag sends once a second: iBeacon, Eddystone UID or AltBeacon, by its number. A controller that was not told to
scan says nothing; told to, it answers each command.
"""

import math
import random
import struct
import uuid
from collections.abc import Callable, Iterable

from hardware_sim.plan import Anchor
from hardware_sim.pusher import Said
from hardware_sim.sight import Sight, Worn

NETWORK = "fda50693-a4e2-4fb1-afcf-c6eb07647825"
NAMESPACE = "8b0ca750095477cb3e77"
POWER_DBM = -59  # at 1 m
LOSS_DB, SIGMA_DB, CORNER_DB = 22.0, 5.0, 10.0  # a decade of distance; standard deviation; round a corner
SENSITIVITY_DBM = -95.0
SIGHT_M, CORNER_M = 150.0, 25.0
RESET, EVENT_MASK, LE_EVENT_MASK = 0x0C03, 0x0C01, 0x2001
SCAN_PARAMETERS, SCAN_ENABLE, READ_ADDRESS = 0x200B, 0x200C, 0x1009
KNOWN = {RESET: 0, EVENT_MASK: 8, LE_EVENT_MASK: 8, SCAN_PARAMETERS: 7, SCAN_ENABLE: 2, READ_ADDRESS: 0}


def advertised(tag: int) -> bytes:
    """Return what the beacon of a tag sends: one of three kinds."""
    if tag % 3 == 0:
        body = uuid.UUID(NETWORK).bytes + struct.pack(">HHb", 1, tag, POWER_DBM)
        return bytes((2, 0x01, 0x06, 26, 0xFF, 0x4C, 0x00, 0x02, 0x15)) + body
    if tag % 3 == 1:
        body = struct.pack(">bb", 0, POWER_DBM + 41) + bytes.fromhex(NAMESPACE) + tag.to_bytes(6, "big")
        return bytes((3, 0x03, 0xAA, 0xFE, 21, 0x16, 0xAA, 0xFE)) + body
    body = b"\xbe\xac" + uuid.UUID(NETWORK).bytes + struct.pack(">HHbB", 1, tag, POWER_DBM, 0)
    return bytes((27, 0xFF, 0x18, 0x01)) + body


def name_of(tag: int) -> str:
    """Return what a reader calls a tag that knows NETWORK as "mine" and NAMESPACE as "uid"."""
    return (f"mine-1-{tag}", f"uid-{tag:012x}", f"mine-0001{tag:04x}")[tag % 3]


def report(tag: int, rssi_dbm: int) -> bytes:
    """Return the event in which a controller tells of one advertisement."""
    data = advertised(tag)
    address = (0xC0FFEE000000 | tag).to_bytes(6, "little")
    body = bytes((0x02, 1, 0x03, 0x01)) + address + bytes((len(data),)) + data + struct.pack("b", rssi_dbm)
    return bytes((0x04, 0x3E, len(body))) + body


def complete(command: int, status: int = 0) -> bytes:
    """Return the event in which a controller says that it has done a command."""
    extra = bytes.fromhex("EFBEADDE0000") if command == READ_ADDRESS else b""
    return struct.pack("<BBBBHB", 0x04, 0x0E, 4 + len(extra), 1, command, status) + extra


class Controller:
    """One controller; `scanning` from the beginning if it is a module that scans by itself."""

    def __init__(
        self, anchors: Iterable[Anchor], worn: Callable[[], Iterable[Worn]], seed: str, scanning: bool = True
    ) -> None:
        self.scanning = scanning
        self._told = scanning  # the host has allowed the events of a scan
        self._sight = Sight(anchors, SIGHT_M, CORNER_M)
        self._worn, self._buffer = worn, b""
        self._random = random.Random(seed)  # noqa: S311

    def due(self, _now_s: float) -> list[Said]:
        """Return the advertisements of a second that are heard."""
        if not (self.scanning and self._told):
            return []
        strengths = [(person.tag, self.strength_dbm(person)) for person in self._worn()]
        heard = [(tag, rssi) for tag, rssi in strengths if rssi >= SENSITIVITY_DBM]
        self._random.shuffle(heard)
        return [Said(report(tag, round(rssi)), 1) for tag, rssi in heard]

    def hear(self, data: bytes, _now_s: float) -> list[Said]:
        """Do the commands that have come whole; what is none is thrown away."""
        self._buffer += data
        said = []
        while self._buffer:
            if self._buffer[0] != 0x01:
                self._buffer = self._buffer[1:]
                continue
            if len(self._buffer) < 4 or len(self._buffer) < 4 + self._buffer[3]:
                break
            command, size = struct.unpack_from("<HB", self._buffer, 1)
            parameters, self._buffer = self._buffer[4 : 4 + size], self._buffer[4 + size :]
            said.append(Said(complete(command, self._do(command, parameters)), 0))
        return said

    def strength_dbm(self, person: Worn) -> float:
        """Return how strong a tag comes in, minus infinity through rock."""
        best = -math.inf
        for path in self._sight.paths(person):
            mean = POWER_DBM - LOSS_DB * math.log10(max(path.metres, 1.0)) - (0.0 if path.sighted else CORNER_DB)
            best = max(best, mean)
        return min(best + self._random.gauss(0.0, SIGMA_DB), 20.0)

    def _do(self, command: int, parameters: bytes) -> int:
        if command not in KNOWN:
            return 0x01  # unknown command
        if len(parameters) != KNOWN[command]:
            return 0x12  # invalid parameters
        if command == RESET:
            self.scanning = self._told = False
        elif command == EVENT_MASK:
            self._told = bool(parameters[7] & 0x20)
        elif command == SCAN_ENABLE:
            self.scanning = parameters[0] == 1
        return 0x00
