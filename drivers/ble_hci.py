"""The link kind `ble-hci`: a Bluetooth controller on a serial port hears worn beacons; tags are what they announce.

A controller is silent until it is told to scan. With `start = true` the driver does that: five commands, passive
scanning, so that nothing is ever sent over the air. Without it the link has no transmitter and listens to a module
that scans by itself.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np

from drivers.ble_frames import Frame, Stream, network_of, tag_of
from drivers.link import Arrival, Clock, Link, Sightings
from drivers.pushed import Dialect, Heard, StartOptions, address, open_pushed, read_options, rising
from twin_wire.errors import ConfigError
from twin_wire.ids import is_id

BAUD = 115_200
NETWORKS_MAX, NETWORK_NAME_MAX = 16, 32
ANSWER_S = 1.0  # a controller answers a command within this
RESTART_S = 30.0  # without a beacon: the controller may have lost its setting
DISALLOWED = 0x0C  # what scanning already says to "scan"
# Bluetooth Core Specification, Vol 4, Part E: 7.3.2, 7.3.1, 7.8.1, 7.8.10, 7.8.11, 7.4.6
RESET = bytes.fromhex("01 03 0C 00")
EVENT_MASK = bytes.fromhex("01 01 0C 08 FF FF FF FF FF FF FF 3F")  # bit 61: LE meta events
LE_EVENT_MASK = bytes.fromhex("01 01 20 08 1F 00 00 00 00 00 00 00")  # bit 1: advertising reports
SCAN_PARAMETERS = bytes.fromhex("01 0B 20 07 00 A0 00 A0 00 00 00")  # passive, 100 ms of every 100 ms, all devices
SCAN_ENABLE = bytes.fromhex("01 0C 20 02 01 00")  # every advertisement, not each device once
START = (RESET, EVENT_MASK, LE_EVENT_MASK, SCAN_PARAMETERS, SCAN_ENABLE)
ALIVE = bytes.fromhex("01 09 10 00")  # read the controller's address


class BleOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`networks`: name → UUID or Eddystone namespace of our own beacons; others are then not taken for tags."""

    networks: dict[str, str] = {}


def check_options(options: Mapping[str, object]) -> str:
    """Return the link's address; ConfigError with every fault."""
    _networks(read_options(options, BAUD, StartOptions, BleOptions)[2])
    return address(options, BAUD, StartOptions, BleOptions)


async def open_link(options: Mapping[str, object], clock: Clock) -> Link:
    """Return the link; the port is opened by the first read."""
    port, start, own = read_options(options, BAUD, StartOptions, BleOptions)
    return open_pushed(port, clock, _dialect(_networks(own)), ScanStarter() if start.start else None)


class ScanStarter:
    """Sets a controller up command by command; asks it for a sign of life while no beacon is near."""

    def __init__(self) -> None:
        self._step, self._answer_s = 0, math.inf  # which command, and by when its answer must be here if it was sent
        self._fresh, self._ask = True, False  # a beacon came since the last read; a sign of life is wanted
        self._beacon_s = 0.0

    def opened(self, now_s: float) -> None:
        """Begin with a reset."""
        self._restart(now_s)

    def begin_read(self, now_s: float) -> None:
        """Ask for a sign of life if nothing came since the last read; set up again after half a minute."""
        self._ask = not self._fresh
        self._fresh = False
        if self._step == len(START) and now_s - self._beacon_s > RESTART_S:
            self._restart(now_s)

    def heard(self, data: bytes, frames: Sequence[Any], now_s: float) -> None:
        """Go on to the next command when the controller has done one."""
        del data
        for frame in frames:
            if frame.rows:
                self._fresh, self._beacon_s = True, now_s
            if self._step < len(START) and self._answer_s < math.inf and frame.command == _code(START[self._step]):
                done = frame.status == 0 or (START[self._step] == SCAN_ENABLE and frame.status == DISALLOWED)
                if done:
                    self._step, self._answer_s = self._step + 1, math.inf

    def due(self, now_s: float) -> tuple[bytes, float]:
        """Return the next command, the first one again after a second without an answer."""
        if self._step == len(START):
            ask, self._ask = self._ask, False
            return (ALIVE if ask else b""), math.inf
        if now_s < self._answer_s < math.inf:
            return b"", self._answer_s
        if self._answer_s < math.inf:
            self._step = 0
        self._answer_s = now_s + ANSWER_S
        return START[self._step], self._answer_s

    def budget_s(self) -> float:
        """Return that a reset and a second try fit in."""
        return 2 * ANSWER_S

    def _restart(self, now_s: float) -> None:
        self._step, self._answer_s = 0, math.inf
        self._fresh, self._ask, self._beacon_s = True, False, now_s


def _code(command: bytes) -> int:
    return command[1] | command[2] << 8


def _networks(options: BleOptions) -> dict[bytes, str]:
    faults: list[tuple[str, str]] = []
    found: dict[bytes, str] = {}
    if len(options.networks) > NETWORKS_MAX:
        faults.append(("networks", f"more than {NETWORKS_MAX}"))
    for name, text in options.networks.items():
        if not is_id(name) or len(name) > NETWORK_NAME_MAX:
            faults.append((f"networks.{name}", f"the name is not an identifier of up to {NETWORK_NAME_MAX} characters"))
        try:
            found[network_of(text)] = name
        except ValueError:
            faults.append((f"networks.{name}", "neither a UUID nor a namespace of 20 hexadecimal digits"))
    if faults:
        raise ConfigError(f"{faults[0][0]}: {faults[0][1]} ({len(faults)} faults)", faults=tuple(faults))
    return found


def _arrivals(networks: Mapping[bytes, str], device: str, heard: Sequence[Heard]) -> list[Arrival]:
    rows = [(time_us, beacon) for time_us, frame in heard for beacon in frame.beacons]
    if not rows:
        return []
    return [
        Sightings(
            rising([time_us for time_us, _ in rows]),
            device,
            np.zeros(len(rows), np.int32),
            tuple(tag_of(beacon, networks) for _, beacon in rows),
            np.array([beacon.rssi_dbm for _, beacon in rows], np.float32),
            np.array([beacon.reference_dbm for _, beacon in rows], np.float32),
        )
    ]


def _measure(heard: Sequence[Heard]) -> dict[str, float]:
    frames: list[Frame] = [frame for _, frame in heard]
    return {"tags_heard": float(len({(b.network, b.number) for frame in frames for b in frame.beacons}))}


def _dialect(networks: Mapping[bytes, str]) -> Dialect:
    return Dialect(
        protocol="ble-hci",
        signals=("tags_heard",),
        hint="no beacon near, or does it not scan? start = true tells it to, and asks for a sign of life",
        stream=partial(Stream, networks=networks),
        arrivals=partial(_arrivals, networks),
        measure=_measure,
    )
