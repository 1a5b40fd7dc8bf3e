"""Recorded traffic of a serial bus, played again: as the devices that answered then, or as the whole bus, both voices.

The file is what `edge-agent record` writes: a line `mine-twin capture 1`, a line of settings as JSON, then lines of
microseconds since the start and bytes in hex (or `lost` and a count). A last line without its end is left out.
"""

import asyncio
import json
import re
from pathlib import Path
from typing import NamedTuple

from hardware_sim.line import PtyLine
from hardware_sim.modbus import BITS_MAX, REGISTERS_MAX, Frame, crc, read_of, rtu_frame, rtu_requests
from twin_wire.errors import ConfigError

BYTES_MAX = 1 << 28
READ_BYTES, REFUSAL_BYTES = 8, 5
TURNAROUND_S_MAX = 180.0
PAUSE_S = 1.0  # between two rounds of a recording
BUFFER_BYTES_MAX = 4096
_LINE = re.compile(rb"(\d{1,16}) (?:lost \d{1,16}|((?:[0-9a-f]{2})+))\n")


class Capture(NamedTuple):
    """A recording: how the characters looked, and (seconds since the start, bytes received by then)."""

    baud: int
    pieces: tuple[tuple[float, bytes], ...]

    @property
    def seconds(self) -> float:
        """Return how long it lasts."""
        return self.pieces[-1][0] if self.pieces else 0.0


class Exchange(NamedTuple):
    """One question of the master and its answer as recorded, PDUs without unit and CRC."""

    time_s: float
    unit: int
    request: bytes
    answer: bytes
    turnaround_s: float


def load_capture(path: Path) -> Capture:
    """Return the recording in a file; ConfigError if it is none."""
    try:
        if path.stat().st_size > BYTES_MAX:
            raise ConfigError(f"{path} is larger than {BYTES_MAX} bytes")
        lines = path.read_bytes().splitlines(keepends=True)
        head = json.loads(lines[1]) if lines[:1] == [b"mine-twin capture 1\n"] and len(lines) > 1 else None
        baud = int(head["baud"]) if isinstance(head, dict) else 0
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is no capture: its settings cannot be read") from error
    if baud <= 0:
        raise ConfigError(f"{path} is no capture", hint="edge-agent record makes one")
    pieces: list[tuple[float, bytes]] = []
    for number, line in enumerate(lines[2:], 3):
        found = _LINE.fullmatch(line)
        if found is None:
            if number == len(lines) and not line.endswith(b"\n"):
                break
            raise ConfigError(f"{path}: line {number} is neither 'microseconds hex' nor 'microseconds lost count'")
        if found[2]:
            pieces.append((int(found[1]) / 1e6, bytes.fromhex(found[2].decode())))
    return Capture(baud, tuple(pieces))


def exchanges_of(capture: Capture) -> list[Exchange]:
    """Return every read of functions 1 to 4 that is followed at once by its whole answer, in order."""
    stream = b"".join(data for _, data in capture.pieces)
    times = [time_s for time_s, data in capture.pieces for _ in data]
    found, place = [], 0
    while place + READ_BYTES + REFUSAL_BYTES <= len(stream):
        size = _answer_size(stream, place)
        if not size:
            place += 1
            continue
        end = place + READ_BYTES + size
        request, answer = stream[place + 1 : place + 6], stream[place + READ_BYTES + 1 : end - 2]
        turnaround_s = times[place + READ_BYTES] - times[place + READ_BYTES - 1]
        found.append(Exchange(times[end - 1], stream[place], request, answer, turnaround_s))
        place = end
    return found


def _answer_size(stream: bytes, place: int) -> int:
    """Return the bytes of the answer behind the whole read at `place`, 0 if there is no such pair."""
    request = stream[place : place + READ_BYTES]
    read = read_of(request[1:6])
    if read is None or crc(request[:6]) != request[6:]:
        return 0
    bits = read.function in (1, 2)
    if not 1 <= read.size <= (BITS_MAX if bits else REGISTERS_MAX):
        return 0
    size = 5 + ((read.size + 7) // 8 if bits else 2 * read.size)
    start = place + READ_BYTES
    for length, head in (
        (size, bytes((request[0], read.function, size - 5))),
        (5, bytes((request[0], read.function | 0x80))),
    ):
        answer = stream[start : start + length]
        if len(answer) == length and answer.startswith(head) and crc(answer[:-2]) == answer[-2:]:
            return length
    return 0


class Device:
    """Answers a master's reads with what was recorded: the newest answer to that read up to now, round and round."""

    def __init__(self, capture: Capture, path: Path, speed: float = 1.0, baud: int = 0) -> None:
        self.answered = self.unknown = 0
        self._known: dict[tuple[int, bytes], list[Exchange]] = {}
        for exchange in exchanges_of(capture):
            self._known.setdefault((exchange.unit, exchange.request), []).append(exchange)
        if not self._known:
            raise ConfigError("no question with its answer is in this capture", hint="play it with --bus")
        self._round_s = capture.seconds + PAUSE_S
        self._speed = speed
        self._line = PtyLine(path, baud or capture.baud, self._received)
        self._buffer = bytearray()
        self._requests: asyncio.Queue[Frame] = asyncio.Queue(64)

    @property
    def reads(self) -> int:
        """Return how many different reads can be answered."""
        return len(self._known)

    async def run(self) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        self._line.plug()
        try:
            while True:
                frame = await self._requests.get()
                found = self._newest(frame, (loop.time() - begin_s) * self._speed % self._round_s)
                if found is None:
                    self.unknown += 1
                    continue
                await asyncio.sleep(self._line.wire_s(READ_BYTES) + min(found.turnaround_s, TURNAROUND_S_MAX))
                if await self._line.send(rtu_frame(frame.unit, found.answer)):
                    self.answered += 1
        finally:
            self._line.unplug()

    def _newest(self, frame: Frame, now_s: float) -> Exchange | None:
        recorded = self._known.get((frame.unit, frame.pdu))
        if recorded is None:
            return None
        earlier = [exchange for exchange in recorded if exchange.time_s <= now_s]
        return earlier[-1] if earlier else recorded[-1]  # the end of the round before

    def _received(self, data: bytes) -> None:
        self._buffer += data
        for frame in rtu_requests(self._buffer):
            if not self._requests.full():
                self._requests.put_nowait(frame)
        del self._buffer[:-BUFFER_BYTES_MAX]


async def play(capture: Capture, path: Path, speed: float = 1.0, rounds: int = 0) -> None:
    """Say everything that was said on the bus at `path`, with its timing, `rounds` times (0: for ever)."""
    loop = asyncio.get_running_loop()
    line = PtyLine(path, capture.baud, lambda _: None)
    line.plug()
    try:
        number = 0
        while rounds == 0 or number < rounds:
            begin_s = loop.time()
            for time_s, data in capture.pieces:
                await asyncio.sleep(begin_s + time_s / speed - loop.time())
                line.put(data)
            await asyncio.sleep(PAUSE_S / speed)
            number += 1
    finally:
        line.unplug()
