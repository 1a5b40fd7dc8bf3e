"""The Modbus requests that exist here, and what answers one: reading is all that can be expressed.

Modbus Application Protocol 1.1b3: functions 1, 2, 3, 4 (6.1 to 6.4) and 43/14 (6.21). There is no type, constant or
branch for any function that changes a device, and `request_pdu` is the only place where request bytes are made.
"""

import struct
from enum import IntEnum
from typing import NamedTuple

from twin_wire.errors import ConfigError

READING = (1, 2, 3, 4)
REGISTERS_MAX = 125  # 6.3, 6.4
BITS_MAX = 2000  # 6.1, 6.2
PDU_BYTES_MAX = 253  # 4.1
EXCEPTION_FLAG = 0x80  # 7
ENCAPSULATED, DEVICE_IDENTIFICATION = 0x2B, 0x0E  # 6.21
EXCEPTIONS = {  # 7
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge, still working",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway: target gives no answer",
}
_READ = struct.Struct(">BHH")


class Function(IntEnum):
    """The four functions that read."""

    READ_COILS = 1
    READ_DISCRETE_INPUTS = 2
    READ_HOLDING_REGISTERS = 3
    READ_INPUT_REGISTERS = 4


class Read(NamedTuple):
    """Read `length` registers (bits for functions 1 and 2) from wire address `address` of `unit`."""

    unit: int
    function: Function
    address: int
    length: int


class Identify(NamedTuple):
    """Ask `unit` who it is; level 1 basic, 2 regular, 3 extended, 4 the one object `object_id`."""

    unit: int
    level: int = 1
    object_id: int = 0


Request = Read | Identify


class Reply(NamedTuple):
    """The answer to the request in flight: its data bytes, or an exception `code` above 0; `frame` as it came."""

    data: bytes
    code: int
    frame: bytes


def request_pdu(request: Request) -> bytes:
    """Return the request's bytes without framing; ConfigError for anything that is not a reading request in range."""
    if isinstance(request, Identify):
        if not (1 <= request.level <= 4 and 0 <= request.object_id <= 255):
            raise ConfigError(f"no identification level {request.level} object {request.object_id}")
        return bytes((ENCAPSULATED, DEVICE_IDENTIFICATION, request.level, request.object_id))
    function = int(request.function)
    if function not in READING:
        raise ConfigError(f"function {request.function} does not read")
    most = BITS_MAX if function in (1, 2) else REGISTERS_MAX
    if not (1 <= request.length <= most and request.address >= 0 and request.address + request.length <= 65536):
        raise ConfigError(f"cannot read {request.length} from {request.address} with function {function}")
    return _READ.pack(function, request.address, request.length)


def function_of(request: Request) -> int:
    """Return the function code the answer has to carry."""
    return ENCAPSULATED if isinstance(request, Identify) else int(request.function)


def data_bytes(request: Read) -> int:
    """Return how many bytes of data the answer has to carry."""
    return (request.length + 7) // 8 if request.function in (1, 2) else 2 * request.length


def answer_bytes(request: Request, pdu: bytes) -> int | None:
    """Return the length of the answer that begins with `pdu`: 0 if it cannot be one, None if more bytes must tell."""
    if not pdu:
        return None
    expected = function_of(request)
    if pdu[0] == expected | EXCEPTION_FLAG:
        return 2
    if pdu[0] != expected:
        return 0
    if isinstance(request, Identify):
        return _identification_bytes(request, pdu)
    if len(pdu) < 2:
        return None
    return 2 + pdu[1] if pdu[1] == data_bytes(request) else 0


def reply_of(pdu: bytes, frame: bytes) -> Reply:
    """Return the answer in a `pdu` whose length is the one `answer_bytes` gave."""
    if pdu[0] & EXCEPTION_FLAG:
        return Reply(b"", max(1, pdu[1]), frame)
    return Reply(pdu[2:], 0, frame)


def identification(data: bytes) -> dict[int, str]:
    """Return object id → text of an answer to Identify; what is not printable becomes '?'."""
    objects: dict[int, str] = {}
    place = 5  # past level, conformity, more follows, next object, number of objects
    for _ in range(data[4]):
        number, length = data[place], data[place + 1]
        text = data[place + 2 : place + 2 + length].decode("latin-1")
        objects[number] = "".join(c if c.isprintable() else "?" for c in text)
        place += 2 + length
    return objects


def exception_text(code: int) -> str:
    """Return what an exception code means."""
    return f"exception {code} ({EXCEPTIONS.get(code, 'not in the standard')})"


def _identification_bytes(request: Identify, pdu: bytes) -> int | None:
    """Walk the list of objects: 2B 0E level conformity more next count, then id, length, text each."""
    head = bytes((ENCAPSULATED, DEVICE_IDENTIFICATION, request.level))
    if pdu[:3] != head[: len(pdu)]:
        return 0
    if len(pdu) < 7:
        return None
    place = 7
    for _ in range(pdu[6]):
        if len(pdu) < place + 2:
            return None
        place += 2 + pdu[place + 1]
        if place > PDU_BYTES_MAX:
            return 0
    return place
