"""Modbus ASCII frames: the gate behind pymodbus' codec that lets one answer through, its request's own.

An LRC is a sum of eight bits: any one damaged character is found, two that cancel each other are not. RTU's CRC is far
stronger; use ASCII only where a device has nothing else.
"""

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
from drivers.modbus.pymodbus_lines import ascii_frame, read_ascii_frame
from drivers.modbus.rtu import UNIT_MAX
from twin_wire.errors import ConfigError

START, END = b":", b"\r\n"
FRAME_CHARS_MAX = 513  # Modbus over Serial Line 1.02, 2.5.2.1
BUFFER_CHARS_MAX = 2048


class AsciiFraming:
    """The ASCII frames of one line; with `echo` the line returns what we send before the answer."""

    fenced = True
    chars_per_byte = 2

    def __init__(self, echo: bool = False) -> None:
        self.noise_bytes = 0
        self._echo = echo
        self._request: Request = Read(0, Function.READ_HOLDING_REGISTERS, 0, 1)
        self._sent = b""
        self._awaiting_echo = False
        self._buffer = bytearray()
        self._seen = 0  # characters since the question
        self._want = 0
        self._refused = ""
        self._damaged = False

    def reset(self) -> None:
        """Forget what came."""
        self._buffer.clear()

    def stale(self, data: bytes) -> list[int]:
        """Drop what came with nothing in flight; return the unit of every whole frame in it."""
        self._buffer += data
        units = []
        while (frame := self._next()) is not None:
            found = read_ascii_frame(frame)
            if found is None:
                self.noise_bytes += len(frame)
            else:
                units.append(found[0])
        return units

    def begin(self, request: Request) -> bytes:
        """Return the request's frame; ConfigError if it does not read or the unit cannot answer on a serial line."""
        if not 1 <= request.unit <= UNIT_MAX:
            raise ConfigError(f"unit {request.unit} is not within 1 to {UNIT_MAX}")
        self._sent = ascii_frame(request.unit, request_pdu(request))
        self._request = request
        size = 2 + data_bytes(request) if isinstance(request, Read) else PDU_BYTES_MAX
        self._want = 2 * (size + 2) + 3
        self._awaiting_echo = self._echo
        self._seen, self._refused, self._damaged = 0, "", False
        self.noise_bytes += len(self._buffer)
        self._buffer.clear()
        return self._sent

    def feed(self, data: bytes) -> Reply | None:
        """Take bytes; return the first whole frame that can only be the answer in flight."""
        self._buffer += data
        self._seen += len(data)
        while (frame := self._next()) is not None:
            if frame == self._sent:
                if not self._echo:
                    self._refused = "only our own request came back; set echo = true if the adapter echoes"
                self._awaiting_echo = False
                continue
            found = read_ascii_frame(frame)
            if found is None:
                self._damaged = True
                self.noise_bytes += len(frame)
                continue
            unit, pdu = found
            if not self._awaiting_echo and unit == self._request.unit and answer_bytes(self._request, pdu) == len(pdu):
                return reply_of(pdu, frame)
            self._refused = f"unit {unit} answered function {pdu[0]} with {len(pdu)} bytes instead"
        return None

    def begun(self) -> bool:
        """Tell whether characters came that are not the echo."""
        return not self._awaiting_echo and self._seen > (len(self._sent) if self._echo else 0)

    def complete(self) -> bool:
        """Tell whether an answer's worth of characters is there and is not one."""
        return not self._awaiting_echo and self._seen >= self._want + (len(self._sent) if self._echo else 0)

    def hopeless(self) -> bool:
        """Tell nothing: on a serial line the right answer may always follow."""
        return False

    def broken(self) -> bool:
        """Tell nothing: the next ':' begins a frame."""
        return False

    def verdict(self) -> Verdict:
        """Return why there is no answer, from what came instead."""
        asked = f"unit {self._request.unit}"
        if self._awaiting_echo:
            return Verdict("crc" if self._seen else "timeout", f"{asked}: the echo of the request did not come back")
        if self._refused:
            return Verdict("rejected", f"{asked}: {self._refused}")
        if self._damaged or self._seen >= self._want:
            return Verdict("crc", f"{asked}: an answer came damaged ({self._seen} characters, no LRC holds)")
        if self._seen:
            return Verdict("timeout", f"{asked}: only {self._seen} characters of an answer came")
        return Verdict("timeout", f"{asked}: no answer")

    def _next(self) -> bytes | None:
        """Take the next frame from its last ':' to its end of line off the stream."""
        buffer = self._buffer
        end = buffer.find(END)
        if end < 0:
            excess = len(buffer) - BUFFER_CHARS_MAX
            if excess > 0:
                self.noise_bytes += excess
                del buffer[:excess]
            return None
        start = buffer.rfind(START, 0, end)  # a ':' always begins a frame anew (2.5.2.1)
        frame = bytes(buffer[start : end + 2]) if start >= 0 and end + 2 - start <= FRAME_CHARS_MAX else b""
        self.noise_bytes += end + 2 - len(frame)
        del buffer[: end + 2]
        return frame
