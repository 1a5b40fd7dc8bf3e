"""The slave's side of Modbus in our own bytes: register images, answers and exceptions, RTU and TCP framing.

Reads only (functions 1 to 4 and 43/14); whatever would write is refused with exception 1, and counted by the line.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

READS = (1, 2, 3, 4)
WRITES = (5, 6, 15, 16, 22, 23)
BITS_MAX, REGISTERS_MAX = 2000, 125  # Modbus Application Protocol 1.1b3, 6.1 and 6.3
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, GATEWAY_TARGET = 1, 2, 3, 11
ADU_BYTES_MAX = 260
RTU_BYTES_MAX = 256
# Bytes of a request after unit and function, CRC apart; None: a byte count says how many follow.
_REQUEST_BYTES = {1: 4, 2: 4, 3: 4, 4: 4, 5: 4, 6: 4, 7: 0, 8: 4, 11: 0, 12: 0, 15: None, 16: None, 17: 0, 22: 6, 43: 3}


class Frame(NamedTuple):
    """One request as it came: its unit, its PDU and, on TCP, the transaction number."""

    unit: int
    pdu: bytes
    transaction: int = 0


class Read(NamedTuple):
    """A read that can be counted: function, first wire address, registers or bits asked for."""

    function: int
    address: int
    size: int


class Image:
    """The registers and bits of one unit; `unmapped` is what lies between them: zero, ones, exception or silence.

    `only`: the reads (function, address, size) that the device answers, if it is so particular. `before_read` is told
    of every read before its registers are looked at.
    """

    def __init__(
        self,
        unmapped: str = "zero",
        registers_max: int = REGISTERS_MAX,
        forbid: Iterable[tuple[int, int]] = (),
        atomic: Iterable[tuple[int, int]] = (),
        identity: tuple[str, str, str] = ("", "", ""),
        only: Iterable[tuple[int, int, int]] | None = None,
    ) -> None:
        self.tables: dict[int, dict[int, int]] = {function: {} for function in READS}
        self.unmapped, self.registers_max, self.identity = unmapped, registers_max, identity
        self.forbid, self.atomic = tuple(forbid), tuple(atomic)
        self.only = None if only is None else frozenset(only)
        self.before_read: Callable[[Read], None] = _nothing
        self._ends: dict[int, tuple[int, int]] = {}

    def write(self, function: int, address: int, words: Iterable[int]) -> None:
        """Set registers (or bits) of one table from `address` on."""
        table = self.tables[function]
        for place, word in enumerate(words, address):
            if place not in table:
                low, high = self._ends.get(function, (place, place))
                self._ends[function] = (min(low, place), max(high, place))
            table[place] = word

    def read(self, read: Read) -> list[int] | int | None:
        """Return the words asked for, an exception code, or None where a real device falls silent (forbidden)."""
        function, address, count = read
        last = address + count - 1
        if not 1 <= count <= (BITS_MAX if function in (1, 2) else min(self.registers_max, REGISTERS_MAX)):
            return ILLEGAL_VALUE
        table = self.tables[function]
        if last > 0xFFFF or not table:
            return ILLEGAL_ADDRESS
        if any(address <= high and last >= low for low, high in self.forbid):
            return None
        if any(address <= high and last >= low and not (address <= low and last >= high) for low, high in self.atomic):
            return ILLEGAL_ADDRESS
        if self.only is not None and read not in self.only:
            return ILLEGAL_ADDRESS
        low, high = self._ends[function]
        if self.unmapped in ("exception", "silence") and any(place not in table for place in range(address, last + 1)):
            return ILLEGAL_ADDRESS if self.unmapped == "exception" else None
        if address < low or last > high:
            return ILLEGAL_ADDRESS
        self.before_read(read)
        hole = int(self.unmapped == "ones") * (1 if function in (1, 2) else 0xFFFF)
        return [table.get(place, hole) for place in range(address, last + 1)]


def _nothing(_read: Read) -> None:
    pass


def read_of(pdu: bytes) -> Read | None:
    """Return the read a request PDU asks for, None if it is no whole read of functions 1 to 4."""
    if len(pdu) != 5 or pdu[0] not in READS:
        return None
    return Read(pdu[0], int.from_bytes(pdu[1:3]), int.from_bytes(pdu[3:5]))


def answer(image: Image, pdu: bytes) -> bytes | None:
    """Return the answer PDU of a unit to a request PDU; None: silence."""
    function = pdu[0]
    if function == 0x2B:
        return _identity(image, pdu)
    if function not in READS:
        return exception(function, ILLEGAL_FUNCTION)
    read = read_of(pdu)
    if read is None:
        return exception(function, ILLEGAL_VALUE)
    words = image.read(read)
    if words is None:
        return None
    if isinstance(words, int):
        return exception(function, words)
    data = _bits(words) if function in (1, 2) else b"".join(word.to_bytes(2) for word in words)
    return bytes((function, len(data))) + data


def exception(function: int, code: int) -> bytes:
    """Return the exception PDU of a function."""
    return bytes(((function | 0x80) & 0xFF, code))


def _bits(words: list[int]) -> bytes:
    packed = 0
    for place, bit in enumerate(words):
        packed |= (1 if bit else 0) << place
    return packed.to_bytes((len(words) + 7) // 8, "little")


def _identity(image: Image, pdu: bytes) -> bytes:
    """Answer 43/14, basic objects only (Modbus Application Protocol 1.1b3, 6.21)."""
    if len(pdu) != 4 or pdu[1] != 0x0E:
        return exception(0x2B, ILLEGAL_FUNCTION if len(pdu) > 1 and pdu[1] != 0x0E else ILLEGAL_VALUE)
    code, first = pdu[2], pdu[3]
    objects = [text.encode("ascii", "replace")[:60] for text in image.identity]
    if code not in (1, 4):
        return exception(0x2B, ILLEGAL_VALUE)
    if first >= len(objects):
        if code == 4:
            return exception(0x2B, ILLEGAL_ADDRESS)
        first = 0
    chosen = range(first, first + 1 if code == 4 else len(objects))
    body = b"".join(bytes((n, len(objects[n]))) + objects[n] for n in chosen)
    return bytes((0x2B, 0x0E, code, 0x81, 0, 0, len(chosen))) + body


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC = _crc_table()


def crc(data: bytes) -> bytes:
    """Return the two CRC bytes of an RTU frame, low byte first."""
    value = 0xFFFF
    for byte in data:
        value = (value >> 8) ^ _CRC[(value ^ byte) & 0xFF]
    return value.to_bytes(2, "little")


def rtu_frame(unit: int, pdu: bytes, transaction: int = 0) -> bytes:
    """Return an RTU frame; the transaction number has no place in it."""
    del transaction
    body = bytes((unit,)) + pdu
    return body + crc(body)


def tcp_frame(unit: int, pdu: bytes, transaction: int = 0) -> bytes:
    """Return a TCP frame with its MBAP header."""
    return transaction.to_bytes(2) + b"\0\0" + (len(pdu) + 1).to_bytes(2) + bytes((unit,)) + pdu


def rtu_requests(buffer: bytearray) -> list[Frame]:
    """Take whole requests with a right CRC off the front of `buffer`; bytes that cannot begin one are dropped."""
    frames: list[Frame] = []
    while len(buffer) >= 2:
        size = _request_size(buffer)
        if size is None:
            del buffer[0]
        elif len(buffer) < size:
            break
        elif crc(bytes(buffer[: size - 2])) == buffer[size - 2 : size]:
            frames.append(Frame(buffer[0], bytes(buffer[1 : size - 2])))
            del buffer[:size]
        else:
            del buffer[0]
    return frames


def tcp_requests(buffer: bytearray) -> list[Frame] | None:
    """Take whole requests off the front of `buffer`, several if they were pipelined; None: not Modbus, hang up."""
    frames: list[Frame] = []
    while len(buffer) >= 7:
        size = int.from_bytes(buffer[4:6])
        if buffer[2:4] != b"\0\0" or not 2 <= size <= ADU_BYTES_MAX - 6:
            return None
        if len(buffer) < 6 + size:
            break
        frames.append(Frame(buffer[6], bytes(buffer[7 : 6 + size]), int.from_bytes(buffer[0:2])))
        del buffer[: 6 + size]
    return frames


def _request_size(buffer: bytearray) -> int | None:
    """Return the bytes of the RTU request that begins the buffer; None if none can begin so."""
    function = buffer[1]
    if function not in _REQUEST_BYTES:
        return 4 if function & 0x7F and function < 0x80 else None  # unknown function: unit, function, CRC
    follow = _REQUEST_BYTES[function]
    if follow is None:  # address, count, byte count, data
        return 9 + buffer[6] if len(buffer) > 6 else 9
    return 4 + follow


Framer = Callable[[int, bytes, int], bytes]
