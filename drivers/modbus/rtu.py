"""Modbus RTU frames: made with their CRC, and the one answer found among echo, noise and strangers."""

from typing import NamedTuple

from drivers.modbus.framing import Verdict
from drivers.modbus.pdu import (
    PDU_BYTES_MAX,
    Function,
    Read,
    Reply,
    Request,
    answer_bytes,
    data_bytes,
    reply_of,
    request_pdu,
)
from twin_wire.errors import ConfigError

FRAME_BYTES_MIN = 5  # an exception: unit, function, code, CRC
BUFFER_BYTES_MAX = 1024  # four of the longest answers; what is older cannot be the answer any more
UNIT_MAX = 247  # Modbus over Serial Line 1.02, 2.2


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
        table.append(value)
    return tuple(table)


_TABLE = _crc_table()


def crc16(data: bytes) -> int:
    """Return the CRC of Modbus over Serial Line 1.02, 2.5.1.2; it is sent low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


def seal(data: bytes) -> bytes:
    """Return `data` with its CRC."""
    return data + crc16(data).to_bytes(2, "little")


def is_whole(frame: bytes) -> bool:
    """Tell whether a frame's CRC holds."""
    return crc16(frame[:-2]) == frame[-2] | frame[-1] << 8


class Foreign(NamedTuple):
    """A whole frame of a reading function that answers nothing we ask."""

    unit: int
    function: int
    size: int


def frames_in(data: bytes) -> tuple[list[Foreign], int]:
    """Return the whole answers of functions 1 to 4, and exceptions to any, in `data`, and where the last one ends."""
    found = []
    place = used = 0
    while len(data) - place >= FRAME_BYTES_MIN:
        function = data[place + 1]
        size = FRAME_BYTES_MIN if function & 0x80 else FRAME_BYTES_MIN + data[place + 2] if 1 <= function <= 4 else 0
        frame = data[place : place + size]
        if size and len(frame) == size and is_whole(frame):
            found.append(Foreign(frame[0], function, size))
            place = used = place + size
        else:
            place += 1
    return found, used


class RtuFraming:
    """The RTU frames of one line; with `echo` the line returns what we send before the answer."""

    fenced = True
    chars_per_byte = 1

    def __init__(self, echo: bool = False) -> None:
        self.noise_bytes = 0
        self._echo = echo
        self._request: Request = Read(0, Function.READ_HOLDING_REGISTERS, 0, 1)
        self._sent = b""
        self._awaiting_echo = False
        self._buffer = bytearray()
        self._want = 0

    def reset(self) -> None:
        """Forget what came."""
        self._buffer.clear()

    def stale(self, data: bytes) -> list[int]:
        """Drop bytes that came with nothing in flight; return the unit of every whole answer in them."""
        self._buffer += data
        found, used = frames_in(bytes(self._buffer))
        excess = max(used, len(self._buffer) - BUFFER_BYTES_MAX)
        self.noise_bytes += excess - sum(frame.size for frame in found)
        del self._buffer[:excess]  # the rest may be the beginning of one
        return [frame.unit for frame in found]

    def begin(self, request: Request) -> bytes:
        """Return the request's frame; ConfigError if it does not read or the unit cannot answer on a serial line."""
        if not 1 <= request.unit <= UNIT_MAX:
            raise ConfigError(f"unit {request.unit} is not within 1 to {UNIT_MAX}")
        self._sent = seal(bytes((request.unit,)) + request_pdu(request))
        self._request = request
        self._want = 5 + data_bytes(request) if isinstance(request, Read) else PDU_BYTES_MAX + 3
        self._awaiting_echo = self._echo
        self.noise_bytes += len(self._buffer)
        self._buffer.clear()
        return self._sent

    def feed(self, data: bytes) -> Reply | None:
        """Take bytes; return the first whole frame that can only be the answer in flight."""
        buffer = self._buffer
        buffer += data
        if len(buffer) > BUFFER_BYTES_MAX:
            self.noise_bytes += len(buffer) - BUFFER_BYTES_MAX
            del buffer[:-BUFFER_BYTES_MAX]
        if self._awaiting_echo:
            place = buffer.find(self._sent)
            if place < 0:
                return None
            self.noise_bytes += place
            del buffer[: place + len(self._sent)]
            self._awaiting_echo = False
        return self._hunt()

    def begun(self) -> bool:
        """Tell whether bytes came that are not the echo."""
        return not self._awaiting_echo and bool(self._buffer)

    def complete(self) -> bool:
        """Tell whether an answer's worth of bytes is there and is not one."""
        return not self._awaiting_echo and len(self._buffer) >= self._want

    def hopeless(self) -> bool:
        """Tell nothing: on a serial line the right answer may always follow."""
        return False

    def broken(self) -> bool:
        """Tell nothing: a serial line is always found again by its CRC."""
        return False

    def verdict(self) -> Verdict:
        """Return why there is no answer, from what came instead."""
        data = bytes(self._buffer)
        asked = f"unit {self._request.unit}"
        if self._awaiting_echo:
            return Verdict("crc" if data else "timeout", f"{asked}: the echo of the request did not come back whole")
        if self._sent in data:
            return Verdict(
                "rejected", f"{asked}: only our own request came back; set echo = true if the adapter echoes"
            )
        found, _ = frames_in(data)
        if found:
            unit, function, size = found[0]
            return Verdict("rejected", f"{asked}: unit {unit} answered function {function} with {size} bytes instead")
        if len(data) >= self._want:
            return Verdict("crc", f"{asked}: an answer came damaged ({len(data)} bytes, no CRC holds)")
        if data:
            return Verdict("timeout", f"{asked}: only {len(data)} bytes of an answer came")
        return Verdict("timeout", f"{asked}: no answer")

    def _hunt(self) -> Reply | None:
        buffer, unit = self._buffer, self._request.unit
        for place in range(len(buffer) - FRAME_BYTES_MIN + 1):
            if buffer[place] != unit:
                continue
            size = answer_bytes(self._request, bytes(buffer[place + 1 : place + 1 + PDU_BYTES_MAX]))
            if not size or len(buffer) - place < size + 3:
                continue
            frame = bytes(buffer[place : place + size + 3])
            # An echo nobody told us of can pass for an answer: `01 01 03 xx 00 yy` is both.
            if is_whole(frame) and frame != self._sent:
                self.noise_bytes += place
                del buffer[: place + len(frame)]
                return reply_of(frame[1:-2], frame)
        return None
