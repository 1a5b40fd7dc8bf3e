"""The link kind `dwm1001`: a Qorvo DWM1001 module (PANS firmware) on a serial port prints distances and positions.

The module prints nothing until its shell is told to. With `start = true` the driver does what a person at a terminal
does: two carriage returns open the shell, `lec` begins. The same command, and a carriage return alone, also switch it
off again, so it listens first, and says nothing as long as lines come. Without `start` the link has no transmitter.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from drivers.dwm1001_frames import OWN, Frame, Stream
from drivers.link import Arrival, Clock, Link, Positions, Ranges
from drivers.pushed import Dialect, Heard, StartOptions, address, open_pushed, read_options, rising

BAUD = 115_200
BYTE_S = 0.02  # the module loses bytes that come faster than a person types
LISTEN_S, SHELL_S, RESULT_S = 1.2, 1.0, 3.0
RETRY_S, SILENT_S = 30.0, 60.0
WAKE = b"\r\r"


class DwmOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`tag`: the number of the module's own tag, its node id, where it is itself worn; `report`: what `start` asks."""

    tag: Annotated[int, Meta(ge=0, le=65_535)] = 0
    report: Literal["lec", "lep", "les"] = "lec"


def check_options(options: Mapping[str, object]) -> str:
    """Return the link's address; ConfigError with every fault."""
    return address(options, BAUD, StartOptions, DwmOptions)


async def open_link(options: Mapping[str, object], clock: Clock) -> Link:
    """Return the link; the port is opened by the first read."""
    port, start, own = read_options(options, BAUD, StartOptions, DwmOptions)
    return open_pushed(port, clock, _dialect(own.tag), ShellStarter(own.report) if start.start else None)


class ShellStarter:
    """Types the commands that make the module print, byte by byte, and only into silence."""

    def __init__(self, report: str) -> None:
        self._report = report.encode() + b"\r"
        self._typing = b""  # what is still to be sent
        self._then = b""  # what is to be typed when nothing has come by `_next_s`
        self._next_s = -math.inf

    def opened(self, now_s: float) -> None:
        """Listen first: a module that prints already must not be touched."""
        self._typing, self._then, self._next_s = b"", WAKE, now_s + LISTEN_S

    def begin_read(self, now_s: float) -> None:
        """Nothing to do."""

    def heard(self, data: bytes, frames: Sequence[Any], now_s: float) -> None:
        """Stop typing when the module prints; begin anew when it has been silent for long."""
        del data
        if any(frame.rows for frame in frames):
            self._typing, self._then, self._next_s = b"", WAKE, now_s + SILENT_S

    def due(self, now_s: float) -> tuple[bytes, float]:
        """Return the next byte to type."""
        if now_s < self._next_s:
            return b"", self._next_s
        if not self._typing:
            self._typing = self._then
            self._then = self._report if self._then == WAKE else WAKE
        byte, self._typing = self._typing[:1], self._typing[1:]
        pause_s = BYTE_S
        if not self._typing:
            pause_s = SHELL_S if self._then == self._report else RETRY_S
        self._next_s = now_s + pause_s
        return byte, self._next_s

    def budget_s(self) -> float:
        """Return that listening, the shell and the first line fit in."""
        return LISTEN_S + SHELL_S + RESULT_S


def _arrivals(tag: int, device: str, heard: Sequence[Heard]) -> list[Arrival]:
    arrivals: list[Arrival] = []
    ranges = [(time_us, one.anchor, one.distance_mm) for time_us, frame in heard for one in frame.distances]
    places = [(time_us, *place) for time_us, frame in heard for place in frame.positions]
    if ranges:
        times = rising([time_us for time_us, _, _ in ranges])
        columns = np.array([(tag, anchor, distance_mm) for _, anchor, distance_mm in ranges], np.int32).T
        arrivals.append(Ranges(times, device, *columns))
    if places:
        times = rising([place[0] for place in places])
        rows = [(tag if number == OWN else number, *xyz) for _, number, *xyz in places]
        arrivals.append(Positions(times, device, *np.array(rows, np.int32).T))
    return arrivals


def _measure(heard: Sequence[Heard]) -> dict[str, float]:
    frames: list[Frame] = [frame for _, frame in heard]
    own = {OWN} if any(frame.distances for frame in frames) else set()
    return {"tags_heard": float(len(own | {place[0] for frame in frames for place in frame.positions}))}


def _dialect(tag: int) -> Dialect:
    return Dialect(
        protocol="dwm1001",
        signals=("tags_heard",),
        hint="does it print in a terminal? start = true tells it to",
        stream=Stream,
        arrivals=lambda device, heard: _arrivals(tag, device, heard),
        measure=_measure,
    )
