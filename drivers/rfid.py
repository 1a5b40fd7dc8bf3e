"""The link kind `rfid`: a UHF reader on a serial port sees worn tags that pass its antennas.

`family = "ur"` readers report by themselves in their active mode. `family = "r2000"` modules answer commands: with
`start = true` the driver asks for one inventory after the other; without it somebody else has to, and it listens.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from drivers.link import Arrival, Clock, Link, Sightings
from drivers.pushed import Dialect, Heard, StartOptions, address, open_pushed, read_options, rising
from drivers.rfid_frames import FAST_SWITCH, REAL_TIME, Frame, Stream, r2000_command
from twin_wire.errors import ConfigError, DeviceError, LinkError

BAUD = 115_200
EVERY_READER = 0xFF  # the address all readers answer to
REPEAT = 20  # rounds of one inventory
UNUSED = 0xFF  # no antenna in this place of a fast-switch inventory
ANSWER_S = 2.0  # an inventory has reported, or ended, within this
AFTER_ERROR_S = 1.0
NO_ERRORS = (0x00, 0x10, 0x36)  # nothing, "success", "no tag"
ERRORS = {0x22: "antenna missing"}


class RfidOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which frames the reader speaks; `address` and `antennas` (the first of them) are for `start`."""

    family: Literal["r2000", "ur"]
    address: Annotated[int, Meta(ge=0, le=255)] = EVERY_READER
    antennas: Annotated[int, Meta(ge=1, le=4)] = 1


def check_options(options: Mapping[str, object]) -> str:
    """Return the link's address; ConfigError with every fault."""
    _read(options)
    return address(options, BAUD, StartOptions, RfidOptions)


async def open_link(options: Mapping[str, object], clock: Clock) -> Link:
    """Return the link; the port is opened by the first read."""
    port, start, own = _read(options)
    starter = InventoryStarter(inventory(own.address, own.antennas)) if start.start else None
    return open_pushed(port, clock, _dialect(own.family), starter)


def inventory(reader: int, antennas: int) -> bytes:
    """Return the command for an inventory over the first antennas."""
    if antennas == 1:
        return r2000_command(reader, REAL_TIME, bytes((REPEAT,)))
    places = [n if n < antennas else UNUSED for n in range(4)]
    rounds = [byte for antenna in places for byte in (antenna, 1)]
    return r2000_command(reader, FAST_SWITCH, bytes((*rounds, 0, REPEAT)))  # no pause between antennas


class InventoryStarter:
    """Asks for the next inventory when one is over, or when nothing came of it."""

    def __init__(self, command: bytes) -> None:
        self._command = command
        self._next_s = -math.inf  # when to ask

    def opened(self, now_s: float) -> None:
        """Ask at once."""
        self._next_s = now_s

    def begin_read(self, now_s: float) -> None:
        """Nothing to do: every inventory is answered, with tags or without."""

    def heard(self, data: bytes, frames: Sequence[Any], now_s: float) -> None:
        """Note the end of an inventory; a report of a tag says that it goes on."""
        del data
        for frame in frames:
            if frame.ended:
                self._next_s = now_s + (0.0 if frame.error in NO_ERRORS else AFTER_ERROR_S)
            elif frame.epc:
                self._next_s = now_s + ANSWER_S

    def due(self, now_s: float) -> tuple[bytes, float]:
        """Return the command if it is time."""
        if now_s < self._next_s:
            return b"", self._next_s
        self._next_s = now_s + ANSWER_S
        return self._command, self._next_s

    def budget_s(self) -> float:
        """Return that a second try fits in."""
        return 2 * ANSWER_S


def _read(options: Mapping[str, object]) -> tuple[Any, ...]:
    made = read_options(options, BAUD, StartOptions, RfidOptions)
    if made[1].start and made[2].family == "ur":
        message = "a UR reader keeps its mode itself: set it to active (real time inventory) with the maker's program"
        raise ConfigError(f"start: {message}", faults=(("start", message),))
    return made


def _arrivals(device: str, heard: Sequence[Heard]) -> list[Arrival]:
    rows = [(time_us, frame.epc, antenna) for time_us, frame in heard for antenna in frame.antennas]
    if not rows:
        return []
    unknown = np.full(len(rows), np.nan, np.float32)
    # The strength of a reflection falls twice as fast as that of a tag that sends: nobody may take it for one.
    return [
        Sightings(
            rising([time_us for time_us, _, _ in rows]),
            device,
            np.array([antenna for _, _, antenna in rows], np.int32),
            tuple(tag_of(epc) for _, epc, _ in rows),
            unknown,
            unknown.copy(),
        )
    ]


def tag_of(epc: bytes) -> str:
    """Return the tag's identifier: its EPC in capital hexadecimal digits, of a longer one the last 32 bytes."""
    return epc[-32:].hex().upper()


def _measure(heard: Sequence[Heard]) -> dict[str, float]:
    return {"tags_heard": float(len({frame.epc for _, frame in heard if frame.epc}))}


def _fault(heard: Sequence[Heard]) -> LinkError | None:
    """Return what the reader complains of: a DeviceError if no inventory went well, else only what is missing."""
    frames: list[Frame] = [frame for _, frame in heard]
    errors = [frame.error for frame in frames if frame.error not in NO_ERRORS]
    if not errors:
        return None
    text = f"the reader says {ERRORS.get(errors[-1], 'error')} (0x{errors[-1]:02X})"
    if any(frame.epc or (frame.ended and frame.error in NO_ERRORS) for frame in frames):
        return LinkError(text, "antenna cable?")
    return DeviceError(text, errors[-1], "antenna cable?")


def _dialect(family: str) -> Dialect:
    hints = {
        "r2000": "does anybody ask it? start = true does",
        "ur": "powered? active mode (real time inventory) with a heartbeat switched on?",
    }
    return Dialect(
        protocol="rfid",
        signals=("tags_heard",),
        hint=hints[family],
        stream=partial(Stream, family=family),
        arrivals=_arrivals,
        measure=_measure,
        fault=_fault,
    )
