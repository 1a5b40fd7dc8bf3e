"""Two minutes of a bus as `edge-agent record` writes them: the fixture tests/vectors/bus.capture is made of this.

    .venv/bin/python -m tests.support.recorded_bus tests/vectors/bus.capture

Three devices: a dust monitor and a power meter whose registers are known by profile, and one nobody knows, with a
float in CDAB, a signed tenth of a degree, a counter over two registers, and one register that is not used.
"""

import math
import random
import struct
import sys
from pathlib import Path

from drivers.capture import CaptureHead, Piece, encode_head, encode_piece
from drivers.modbus.pdu import Function, Read, data_bytes, request_pdu
from drivers.modbus.rtu import seal
from tests.support.heard_bus import Segment, chunks

DUST = Read(3, Function.READ_INPUT_REGISTERS, 0, 12)  # delta-ohm-pmsense
METER_VOLTS = Read(7, Function.READ_INPUT_REGISTERS, 0, 12)  # eastron-sdm630
METER_POWER = Read(7, Function.READ_INPUT_REGISTERS, 52, 2)
METER_HERTZ = Read(7, Function.READ_INPUT_REGISTERS, 70, 2)
UNKNOWN = Read(12, Function.READ_HOLDING_REGISTERS, 4000, 6)
STATES = Read(12, Function.READ_DISCRETE_INPUTS, 8, 6)
ROUND = (DUST, METER_VOLTS, METER_POWER, METER_HERTZ, UNKNOWN, STATES)
BAUD, SECONDS, SEED = 9600, 120, 4
CHAR_S = 10 / BAUD
START_US = 1_763_971_200_000_000
HEAD = CaptureHead(
    started_us=START_US, port="/dev/ttyUSB0", baud=BAUD, parity="N", stop_bits=1, software="a bus made by a program"
)


def registers(request: Read, time_s: float, rng: random.Random) -> bytes:
    """Return what the device holds at that time."""
    wave = math.sin(time_s / 19)
    if request == DUST:
        counts = [round(120 + 30 * wave + 10 * n + rng.gauss(0, 2)) for n in range(3)]
        masses = [round(10 * (42.0 + 9 * wave + 5 * n + rng.gauss(0, 0.4))) for n in range(3)]
        return struct.pack(">12H", *counts, *masses, *counts, *masses)
    if request == METER_VOLTS:
        volts = [230 + 2 * wave + n + rng.gauss(0, 0.2) for n in range(3)]
        return struct.pack(">6f", *volts, *(11 + wave + 0.1 * n for n in range(3)))
    if request in (METER_POWER, METER_HERTZ):
        return struct.pack(">f", 7300 + 400 * wave if request == METER_POWER else 50 + 0.02 * wave)
    if request == STATES:
        return bytes((0b10_0101 if time_s < 60 else 0b10_0111,))
    gas = struct.pack(">f", 0.62 + 0.2 * wave + rng.gauss(0, 0.01))
    temperature, count = round(10 * (-3.5 + 2 * wave)), 70_000 + int(time_s * 3)
    return gas[2:] + gas[:2] + struct.pack(">hHIH", temperature, 0xFFFF, count, 0)[:8]


def lines() -> bytes:
    """Return the whole file."""
    rng = random.Random(SEED)
    wire: list[Segment] = []
    for second in range(SECONDS):
        now_s = second + 0.1
        for request in ROUND:
            asked = seal(bytes((request.unit,)) + request_pdu(request))
            body = bytes((request.unit, request.function, data_bytes(request)))
            wire.append(Segment(now_s, asked, "request"))
            now_s += len(asked) * CHAR_S + 0.012 + rng.uniform(0, 0.002)
            answer = seal(body + registers(request, now_s, rng))
            if second == 40 and request == DUST:
                answer = answer[:-1] + bytes((answer[-1] ^ 8,))
            if second % 29 != 17 or request != METER_HERTZ:  # silent now and then
                wire.append(Segment(now_s, answer, "answer"))
                now_s += len(answer) * CHAR_S
            now_s += 0.006
    told = [encode_piece(Piece(round(at_s * 1e6), data)) for data, at_s in chunks(rng, wire, 0.001, CHAR_S)]
    return encode_head(HEAD) + b"".join(told)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(lines())
