"""Bluetooth advertisements out of the stream of a serial controller (HCI, H4): iBeacon, Eddystone UID, AltBeacon.

H4 has no checksum. What replaces it: an event must be one that exists, every length inside it must fill the one around
it to the byte, and what follows a packet must be the beginning of another. A bit turned in a beacon's number goes
unseen: naming the networks keeps strangers out, not that.
Layouts: Bluetooth Core Specification, Vol 4, Part A 2 (H4) and Part E 7.7.65.2 (advertising report).
"""

import math
import uuid
from collections.abc import Container, Iterator, Mapping
from typing import NamedTuple

EVENT = 0x04
COMMAND_COMPLETE, COMMAND_STATUS, LE_META = 0x0E, 0x0F, 0x3E
ADVERTISING_REPORT = 0x02
OTHER_EVENTS = range(0x01, 0x5A)  # event codes of the specification: only used to step over whole packets
RESUME_EVENTS = (COMMAND_COMPLETE, COMMAND_STATUS, LE_META)  # what may come first after noise
ADVERTISED_BYTES_MAX = 31
FRAME_BYTES_MAX = 3 + 255
STALL_S = 0.5  # a packet that is not whole after this, and the time its bytes take, never began
NO_RSSI = 127
APPLE, EDDYSTONE = b"\x4c\x00\x02\x15", b"\xaa\xfe"
MANUFACTURER, SERVICE_DATA, SERVICES = 0xFF, 0x16, (0x02, 0x03)
ALTBEACON = b"\xbe\xac"
METRE_DB = 41  # Eddystone tells the strength at 0 m: "41dBm is the signal loss that occurs over 1 meter"


class Beacon(NamedTuple):
    """One advertisement of a known kind; `network` is its UUID or namespace, both in dBm, NaN where not told."""

    network: bytes
    number: str
    rssi_dbm: float
    reference_dbm: float  # at 1 m


class Frame(NamedTuple):
    """One whole packet and the beacons in it."""

    raw: bytes
    beacons: tuple[Beacon, ...]
    command: int | None = None  # the command that a controller says it has done
    status: int = 0

    @property
    def rows(self) -> int:
        """Return how many beacons it holds."""
        return len(self.beacons)


class Stream:
    """Finds packets in bytes as they come; gives those with beacons of a wanted network, and ends of commands."""

    def __init__(self, char_s: float = 0.0, networks: Mapping[bytes, str] | None = None) -> None:
        self.noise_bytes = 0  # belonged to no packet
        self.damaged = 0  # began like a report and was none
        self.due_s = math.inf
        self._networks = networks or {}
        self._stall_s = STALL_S + FRAME_BYTES_MAX * char_s
        self._buffer = bytearray()
        self._since_s = 0.0
        self._sure = True  # the byte before was the end of a packet

    def reset(self) -> None:
        """Forget what came: a new connection begins."""
        self._buffer.clear()
        self._sure = True

    def feed(self, data: bytes, now_s: float) -> list[Frame]:
        """Take bytes that came at `now_s`; return the frames they complete."""
        if not self._buffer:
            self._since_s = now_s
        self._buffer += data
        frames: list[Frame] = []
        while self._buffer:
            size = _size(self._buffer, OTHER_EVENTS if self._sure else RESUME_EVENTS)
            if size is None or size > len(self._buffer):
                if now_s - self._since_s <= self._stall_s:
                    return frames
                size = 0
            beacons = _beacons(self._buffer, size) if size else None
            if size:
                # A byte lost inside shifts the end by one: behind it there has to be a beginning, or nothing yet.
                rest = self._buffer[size : size + 3]
                if rest and _size(rest, OTHER_EVENTS) == 0:
                    size = 0
            if not size or beacons is None:
                self.damaged += self._sure
                self.noise_bytes += 1
                del self._buffer[:1]
                self._sure = False
                continue
            raw = bytes(self._buffer[:size])
            del self._buffer[:size]
            self._since_s, self._sure = now_s, True
            frame = self._frame(raw, beacons)
            if frame is not None:
                frames.append(frame)
        return frames

    def _frame(self, raw: bytes, beacons: list[Beacon]) -> Frame | None:
        if raw[1] == COMMAND_COMPLETE and len(raw) >= 7:
            return Frame(raw, (), raw[4] | raw[5] << 8, raw[6])
        if raw[1] == COMMAND_STATUS and len(raw) == 7:
            return Frame(raw, (), raw[5] | raw[6] << 8, raw[3])
        wanted = tuple(beacon for beacon in beacons if not self._networks or beacon.network in self._networks)
        return Frame(raw, wanted) if wanted else None


def _size(buffer: bytearray, events: Container[int]) -> int | None:
    """Return the length of the packet of these events that begins here, 0 if none does, None if more must tell."""
    if buffer[0] != EVENT:
        return 0
    if len(buffer) < 3:
        return None if len(buffer) < 2 or buffer[1] in events else 0
    code, length = buffer[1], buffer[2]
    if code not in events:
        return 0
    least = {COMMAND_COMPLETE: 3, COMMAND_STATUS: 4, LE_META: 2}.get(code, 0)
    return 3 + length if length >= least else 0


def _beacons(packet: bytearray, size: int) -> list[Beacon] | None:
    """Return the beacons in a whole packet, None if it cannot be one."""
    if packet[1] != LE_META or packet[3] != ADVERTISING_REPORT:
        return []
    data = bytes(packet[4:size])
    place = 1
    beacons: list[Beacon] = []
    if not data or not 1 <= data[0] <= 25:
        return None
    for _ in range(data[0]):  # one report after the other, as controllers send them
        head = data[place : place + 9]
        if len(head) < 9 or head[0] > 4 or head[1] > 3 or head[8] > ADVERTISED_BYTES_MAX:
            return None
        end = place + 9 + head[8]
        if end >= len(data):
            return None
        rssi = int.from_bytes(data[end : end + 1], signed=True)
        parts = _parts(data[place + 9 : end])
        if parts is None or not (-127 <= rssi <= 20 or rssi == NO_RSSI):
            return None
        beacons += _known(parts, math.nan if rssi == NO_RSSI else float(rssi))
        place = end + 1
    return beacons if place == len(data) else None


def _parts(data: bytes) -> list[tuple[int, bytes]] | None:
    """Return (type, content) of every part of an advertisement, None if they do not fill it; zeros may end it."""
    parts, place = [], 0
    while place < len(data) and data[place]:
        end = place + 1 + data[place]
        if end > len(data):
            return None
        parts.append((data[place + 1], data[place + 2 : end]))
        place = end
    return None if any(data[place:]) else parts


def _known(parts: list[tuple[int, bytes]], rssi_dbm: float) -> Iterator[Beacon]:
    eddystone = any(kind in SERVICES and EDDYSTONE in _pairs(data) for kind, data in parts)
    for kind, data in parts:
        if kind == MANUFACTURER and len(data) == 25 and data[:4] == APPLE:
            major, minor = int.from_bytes(data[20:22]), int.from_bytes(data[22:24])
            yield Beacon(data[4:20], f"{major}-{minor}", rssi_dbm, _signed(data[24]))
        elif kind == MANUFACTURER and len(data) == 26 and data[2:4] == ALTBEACON:
            yield Beacon(data[4:20], data[20:24].hex(), rssi_dbm, _signed(data[24]))
        elif kind == SERVICE_DATA and len(data) in (20, 22) and data[:3] == EDDYSTONE + b"\x00" and eddystone:
            yield Beacon(data[4:14], data[14:20].hex(), rssi_dbm, _signed(data[3]) - METRE_DB)


def _pairs(data: bytes) -> list[bytes]:
    return [data[n : n + 2] for n in range(0, len(data), 2)]


def _signed(byte: int) -> float:
    return float(byte - 256 if byte > 127 else byte)


def network_of(text: str) -> bytes:
    """Return a UUID, or a namespace of 20 hexadecimal digits, as bytes; ValueError."""
    digits = text.replace("-", "")
    return bytes.fromhex(digits) if len(digits) == 20 else uuid.UUID(text).bytes


def tag_of(beacon: Beacon, networks: Mapping[bytes, str]) -> str:
    """Return the tag's identifier: the network's name, or its digits where it has none, and the beacon's number."""
    return f"{networks.get(beacon.network) or beacon.network.hex()}-{beacon.number}"
