"""The frames of a serial Modbus line heard from outside: questions and answers mixed, found by length and CRC alone.

Every byte belongs to one piece: a whole frame, or junk. A frame is `clean` when what came before it was whole too or
a silence lay between: only then can it not be a part of something larger that was damaged, such as register contents
that look like frames.
"""

from typing import Literal, NamedTuple

from drivers.modbus.pdu import BITS_MAX, DEVICE_IDENTIFICATION, ENCAPSULATED, PDU_BYTES_MAX, READING, REGISTERS_MAX
from drivers.modbus.rtu import UNIT_MAX, crc16

FRAME_BYTES_MIN, FRAME_BYTES_MAX = 4, PDU_BYTES_MAX + 3
REQUEST_BYTES = 8  # of a read
WRITES = (5, 6, 15, 16, 22, 23)  # functions that change a device; here only ever heard
# Bytes of a request, CRC included, where fixed (Modbus Application Protocol 1.1b3, 6); of an answer likewise.
_REQUEST_SIZES = {5: 8, 6: 8, 7: 4, 8: 8, 11: 4, 12: 4, 17: 4, 22: 10, 24: 6, ENCAPSULATED: 7}
_ANSWER_SIZES = {5: 8, 6: 8, 7: 5, 8: 8, 11: 8, 15: 8, 16: 8, 22: 10}
_REQUEST_COUNTS = {
    15: (6, 9),
    16: (6, 9),
    20: (2, 5),
    21: (2, 5),
    23: (10, 13),
}  # where the byte count is, what it adds to
_ANSWER_COUNTED = (12, 17, 20, 21, 23)  # unit, function, byte count, data, CRC
STALE_CHARS, STALE_S = 10, 0.05  # a frame that pauses longer than this never ends
UNKNOWN, IMPOSSIBLE = -1, 0  # sizes that need more bytes, that cannot be

Kind = Literal["request", "answer", "exception", "write", "either", "other"]


class Frame(NamedTuple):
    """A whole frame and when its first and last byte were received (monotonic)."""

    kind: Kind  # "either": a read request that can also be an answer of functions 1 and 2
    data: bytes
    first_s: float
    last_s: float
    clean: bool
    reads: tuple[int, int]  # in which read of the port its first and its last byte came


class Junk(NamedTuple):
    """Bytes of no whole frame, without a silence in them; `silent`: there was one before them."""

    data: bytes
    first_s: float
    last_s: float
    silent: bool


Expected = tuple[int, int, int]  # unit, function and byte count of the answer that would be next


class Splitter:
    """Cuts a stream with times into pieces; `next` is asked until it has none."""

    def __init__(self, char_s: float, gap_s: float) -> None:
        self._char_s, self._silence_s = char_s, 0.75 * gap_s  # a pause as it is seen through an adapter and a kernel
        self._buffer = bytearray()
        self._firsts: list[float] = []  # per byte of the buffer: when it was received
        self._silent: list[bool] = []  # per byte: a silence lay before it
        self._reads: list[int] = []  # per byte: in which read of the port it came
        self._read = 0
        self._junk = 0  # so many bytes at the front begin no frame
        self._clean = False  # the piece before was a clean frame
        self.last_s = 0.0

    @property
    def waiting(self) -> bool:
        """Tell whether bytes are there that are in no piece yet."""
        return bool(self._buffer)

    @property
    def stale_s(self) -> float:
        """Return when what waits can no longer be continued."""
        return self.last_s + STALE_CHARS * self._char_s + STALE_S

    def lost(self) -> None:
        """Forget what waits: bytes are missing from here."""
        self._clear(len(self._buffer))
        self._clean = False
        self.last_s = 0.0

    def push(self, data: bytes, time_s: float) -> None:
        """Add bytes, the last of which was received at `time_s`."""
        first_s = max(self.last_s, time_s - (len(data) - 1) * self._char_s)
        silent = self.last_s > 0 and first_s - self.last_s - self._char_s >= self._silence_s > 0
        step_s = (time_s - first_s) / (len(data) - 1) if len(data) > 1 else 0.0
        self._buffer += data
        self._firsts += [first_s + step_s * place for place in range(len(data))]
        self._silent += [silent] + [False] * (len(data) - 1)
        self._read += 1
        self._reads += [self._read] * len(data)
        self.last_s = max(time_s, first_s)

    def next(self, expected: Expected | None, final: bool) -> Frame | Junk | None:
        """Return the next piece; None if more bytes must come first, which they cannot any more if `final`."""
        size = len(self._buffer)
        while self._junk < size:
            place = self._junk
            if place and self._silent[place]:
                return self._cut_junk()
            found = self._frame_at(place, expected, final)
            if found is None:
                return None
            length, kind = found
            if length:
                return self._cut_junk() if place else self._cut_frame(length, kind)
            self._junk += 1
        return self._cut_junk() if size and final else None

    def _frame_at(self, place: int, expected: Expected | None, final: bool) -> tuple[int, Kind] | None:
        """Return length and kind of the whole frame that begins at `place`, 0 if none does, None if unknown yet."""
        buffer = self._buffer
        left = len(buffer) - place
        asks, tells = request_size(buffer, place), answer_size(buffer, place)
        awaited = expected is not None and tuple(buffer[place : place + 3]) == expected
        open_end = any(size == UNKNOWN or size > left for size in (asks, tells)) and not final
        if awaited and not final and tells > left:
            return None  # an answer that begins with a whole request must not pass for one
        told = 0 < tells <= left and self._whole(place, tells)
        asked = 0 < asks <= left and self._whole(place, asks)
        if asked and told and buffer[place + 1] in READING:
            return asks, "either"
        if asked:
            function = buffer[place + 1]
            return asks, "request" if function in READING else "write" if function in WRITES else "other"
        if told:
            function = buffer[place + 1]
            return tells, "exception" if function & 0x80 else "answer" if function in READING else "other"
        return None if open_end else (0, "other")

    def _whole(self, place: int, size: int) -> bool:
        frame = bytes(self._buffer[place : place + size])
        return crc16(frame[:-2]) == frame[-2] | frame[-1] << 8

    def _cut_frame(self, length: int, kind: Kind) -> Frame:
        clean = self._clean or self._silent[0]
        reads = self._reads[0], self._reads[length - 1]
        frame = Frame(kind, bytes(self._buffer[:length]), self._firsts[0], self._firsts[length - 1], clean, reads)
        self._clear(length)
        self._clean = clean
        return frame

    def _cut_junk(self) -> Junk:
        length = self._junk
        junk = Junk(bytes(self._buffer[:length]), self._firsts[0], self._firsts[length - 1], self._silent[0])
        self._clear(length)
        self._clean = False
        return junk

    def _clear(self, length: int) -> None:
        del self._buffer[:length], self._firsts[:length], self._silent[:length], self._reads[:length]
        self._junk = 0


def request_size(buffer: bytearray, place: int) -> int:
    """Return the bytes of the request that begins at `place`, UNKNOWN or IMPOSSIBLE."""
    left = len(buffer) - place
    if buffer[place] > UNIT_MAX:
        return IMPOSSIBLE
    if left < 2:
        return UNKNOWN
    function = buffer[place + 1]
    if function in READING:
        if left >= 6:
            address = buffer[place + 2] << 8 | buffer[place + 3]
            length = buffer[place + 4] << 8 | buffer[place + 5]
            most = BITS_MAX if function in (1, 2) else REGISTERS_MAX
            if not 1 <= length <= most or address + length > 65536:
                return IMPOSSIBLE
        return REQUEST_BYTES
    if function in _REQUEST_COUNTS:
        where, more = _REQUEST_COUNTS[function]
        if left <= where:
            return UNKNOWN
        size = more + buffer[place + where]
        return size if size <= FRAME_BYTES_MAX else IMPOSSIBLE
    if function == ENCAPSULATED and left > 2 and buffer[place + 2] != DEVICE_IDENTIFICATION:
        return IMPOSSIBLE
    return _REQUEST_SIZES.get(function, IMPOSSIBLE)


def answer_size(buffer: bytearray, place: int) -> int:
    """Return the bytes of the answer that begins at `place`, UNKNOWN or IMPOSSIBLE."""
    left = len(buffer) - place
    if not 1 <= buffer[place] <= UNIT_MAX:
        return IMPOSSIBLE
    if left < 2:
        return UNKNOWN
    function = buffer[place + 1]
    if function & 0x80:
        return 5 if (function & 0x7F) in (*READING, *WRITES, *_REQUEST_SIZES, 20, 21) else IMPOSSIBLE
    if function in _ANSWER_SIZES:
        return _ANSWER_SIZES[function]
    if left < 3:
        return UNKNOWN
    count = buffer[place + 2]
    if function in READING:
        even = function in (1, 2) or count % 2 == 0
        return 5 + count if even and 1 <= count <= 250 else IMPOSSIBLE
    if function == ENCAPSULATED:
        return _identification_size(buffer, place)
    return 5 + count if function in _ANSWER_COUNTED and count <= PDU_BYTES_MAX - 2 else IMPOSSIBLE


def _identification_size(buffer: bytearray, place: int) -> int:
    """Walk unit, 2B 0E level conformity more next count, then id, length, text each (6.21)."""
    if buffer[place + 2] != DEVICE_IDENTIFICATION:
        return IMPOSSIBLE
    end = place + 8
    if len(buffer) < end:
        return UNKNOWN
    for _ in range(buffer[end - 1]):
        if len(buffer) < end + 2:
            return UNKNOWN
        end += 2 + buffer[end + 1]
        if end - place > FRAME_BYTES_MAX:
            return IMPOSSIBLE
    return end + 2 - place
