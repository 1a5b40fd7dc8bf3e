"""A line that lives in memory and time that costs nothing: every fault of a field bus, a million times.

Every register holds a number made of its function and address, so that another register's answer is recognised. The
device answers in the order of the questions, as any device does, however late. It tells a wrong unit, function or count
only in time: an answer that is late and lies as well, of its transaction too, cannot be told (drivers/README.md).
"""

import asyncio
import contextlib
import heapq
import random
from collections.abc import Callable
from typing import NamedTuple

from drivers.line import NOTHING, Chunk
from drivers.link import Stats
from drivers.modbus.ascii import AsciiFraming
from drivers.modbus.bus import Answered, Bus
from drivers.modbus.framing import Framing
from drivers.modbus.pdu import Function, Read
from drivers.modbus.rtu import RtuFraming
from drivers.modbus.tcp import DatagramFraming, TcpFraming
from drivers.modbus.turnaround import Turnaround
from tests.support.modbus_other_peers import lrc_frame
from tests.support.modbus_peer import crc
from twin_wire.errors import LinkError

TIMEOUT_S = 0.3
BEHIND_S = 0.05  # answers to come that make the next one late
LENGTHS = (1, 2, 4, 4, 4, 10)  # few, so that answers of one form meet
Events = list[tuple[float, bytes]]


class Tally(NamedTuple):
    """What came of a run."""

    good: int
    lost: int
    refused: int
    wrong: int
    first_wrong: str


class VirtualClock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def time_us(self) -> int:
        return round(self.now_s * 1e6)


class MemoryLine:
    """A Line whose other end is a function of the question and the time it was asked."""

    def __init__(self, clock: VirtualClock, baud: int, keeps_bytes: bool) -> None:
        self.char_s = 11 / baud if baud else 0.0
        self.gap_s = 0.00175 if baud else 0.0
        self.connected = False
        self.peer: Callable[[bytes, float], Events] = lambda _question, _now_s: []
        self._clock, self._keeps_bytes = clock, keeps_bytes
        self._coming: list[tuple[float, int, bytes]] = []
        self._count = 0

    async def open(self) -> None:
        self.connected = True

    async def receive(self, until_s: float) -> Chunk:
        if not self.connected:
            raise LinkError("unplugged")
        if self._coming and self._coming[0][0] <= max(until_s, self._clock.now_s):
            at_s, _, data = heapq.heappop(self._coming)
            self._clock.now_s = max(self._clock.now_s, at_s)
            return Chunk(data, at_s)
        self._clock.now_s = max(self._clock.now_s, until_s)
        return NOTHING

    def take(self) -> list[Chunk]:
        chunks = []
        while self._coming and self._coming[0][0] <= self._clock.now_s:
            at_s, _, data = heapq.heappop(self._coming)
            chunks.append(Chunk(data, at_s))
        return chunks

    def write(self, data: bytes) -> None:
        now_s = self._clock.now_s
        for at_s, piece in self.peer(data, now_s + len(data) * self.char_s):
            self._count += 1
            heapq.heappush(self._coming, (at_s + len(piece) * self.char_s, self._count, piece))

    def drop(self) -> None:
        self.connected = False
        if not self._keeps_bytes:
            self._coming.clear()

    close = drop


def word(function: int, address: int) -> int:
    """Return what a register holds."""
    return (address * 4 + function) & 0xFFFF


def right_data(request: Read) -> bytes:
    """Return what a device holds at the request's addresses."""
    words = [word(request.function, request.address + n) for n in range(request.length)]
    if request.function > 2:
        return b"".join(value.to_bytes(2, "big") for value in words)
    bits = sum((value * 2654435761 >> 15 & 1) << place for place, value in enumerate(words))
    return bits.to_bytes((request.length + 7) // 8, "little")


class Codec(NamedTuple):
    """How a transport frames unit and PDU; `question` takes a request apart into (transaction, unit, PDU)."""

    framing: Callable[[], Framing]
    question: Callable[[bytes], tuple[bytes, bytes, bytes]]
    answer: Callable[[bytes, bytes], bytes]  # transaction, unit and PDU
    baud: int
    fragments: bool


def _mbap(transaction: bytes, body: bytes) -> bytes:
    return transaction + b"\0\0" + len(body).to_bytes(2, "big") + body


CODECS = {
    "rtu": Codec(RtuFraming, lambda q: (b"", q[:1], q[1:-2]), lambda _t, body: body + crc16(body), 115_200, True),
    "rtu over tcp": Codec(RtuFraming, lambda q: (b"", q[:1], q[1:-2]), lambda _t, body: body + crc16(body), 0, True),
    "ascii": Codec(
        AsciiFraming,
        lambda q: (b"", bytes.fromhex(q[1:3].decode()), bytes.fromhex(q[3:-4].decode())),
        lambda _t, body: lrc_frame(body),
        115_200,
        True,
    ),
    "tcp and tls": Codec(TcpFraming, lambda q: (q[:2], q[6:7], q[7:]), _mbap, 0, True),
    "tcp, four at once": Codec(TcpFraming, lambda q: (q[:2], q[6:7], q[7:]), _mbap, 0, True),
    "udp": Codec(DatagramFraming, lambda q: (q[:2], q[6:7], q[7:]), _mbap, 0, False),
}
SERIAL = ("rtu", "rtu over tcp", "ascii")


def crc16(data: bytes) -> bytes:
    """Return a CRC by table: a million of them are needed."""
    value = 0xFFFF
    for byte in data:
        value = value >> 8 ^ _CRC[(value ^ byte) & 0xFF]
    return value.to_bytes(2, "little")


_CRC = [int.from_bytes(crc(bytes((n ^ 0xFF,))), "little") ^ 0xFF for n in range(256)]


class Hostile:
    """The device and its line: most answers come as they should, the others in every way they can go wrong."""

    def __init__(self, transport: str, rng: random.Random, fault_share: float) -> None:
        self._codec, self._serial = CODECS[transport], transport in SERIAL
        self._ascii = transport == "ascii"
        # No stream can tell half an answer and a damaged copy of another that is as long as the missing half.
        self._alone = "four" not in transport
        self._rng, self._share = rng, fault_share
        self._free_s = 0.0  # when the device has sent what it owes
        self.unplug = lambda: None

    def answer(self, question: bytes, now_s: float) -> Events:
        """Return what arrives for a question whose last byte was sent at `now_s`."""
        transaction, unit, pdu = self._codec.question(question)
        read = Read(unit[0], Function(pdu[0]), int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big"))
        data = right_data(read)
        body = unit + pdu[:1] + bytes((len(data),)) + data
        answer = self._codec.answer(transaction, body)
        delay_s, pieces = 0.004, [answer]
        if self._rng.random() < self._share:
            delay_s, pieces = self._bend(question, transaction, body, answer)
        lies = now_s + BEHIND_S < self._free_s and any(piece not in answer for piece in pieces)
        pieces = [answer] if lies else pieces
        at_s = max(now_s + delay_s, self._free_s)
        events = []
        for piece in pieces:
            events.append((at_s, piece))
            at_s += len(piece) * (11 / self._codec.baud if self._codec.baud else 0.0) + 0.0005
        self._free_s = at_s
        return events

    def _bend(self, question: bytes, transaction: bytes, body: bytes, answer: bytes) -> tuple[float, list[bytes]]:
        rng, seal = self._rng, self._codec.answer
        place = rng.randrange(1, len(answer))
        noise = rng.randbytes(rng.randrange(1, 12))
        kind = rng.randrange(16)
        if kind < 4:  # the worst on a line without transactions
            return rng.choice((0.1, 0.29, 0.31, 0.45, 0.6, 0.9, 1.4, 2.5)), [answer]
        made: list[list[bytes]] = [
            [],
            [answer[:place]],
            [self._flip(answer)],
            [answer[:place], answer[place:]],
            [answer + noise] if self._serial else [answer + answer],
            [noise + answer] if self._serial else [self._flip(answer), answer][: 1 + self._alone],
            [seal(transaction, bytes((body[0] % 3 + 1,)) + body[1:])],
            [seal(transaction, body[:1] + bytes((body[1] % 4 + 1,)) + body[2:])],
            [seal(transaction, body[:2] + bytes((max(1, body[2] - 2),)) + body[3 : 3 + max(1, body[2] - 2)])],
            [question + answer] if self._serial else [seal(rng.randbytes(2), body)],
            [seal(transaction, body[:1] + bytes((body[1] | 0x80, rng.choice((2, 4, 6, 11)))))],
            [],
        ]
        if kind == 15:
            self.unplug()
        return 0.004, made[kind - 4]

    def _flip(self, answer: bytes) -> bytes:
        """Damage what the transport's own check must find: up to three bits under a CRC, one under an LRC, a header."""
        damaged = bytearray(answer)
        flips = self._rng.randrange(1, 4) if self._serial and not self._ascii else 1
        for _ in range(flips):
            reach = len(answer) if self._serial else 9  # what TCP carries is kept by its own checksum
            damaged[self._rng.randrange(reach)] ^= 1 << self._rng.randrange(8)
        return bytes(damaged)


def run(transport: str, seed: int, exchanges: int, fault_share: float = 0.3) -> Tally:
    """Ask three units of one bus `exchanges` questions; every answer accepted is compared with the registers."""
    rng = random.Random(f"{transport} {seed}")
    clock = VirtualClock()
    codec = CODECS[transport]
    line = MemoryLine(clock, codec.baud, keeps_bytes=transport in SERIAL)
    hostile = Hostile(transport, rng, fault_share)
    line.peer, hostile.unplug = hostile.answer, line.drop
    window = 4 if "four" in transport else 1
    bus = Bus(line, codec.framing(), clock, codec.baud == 0, window)
    return asyncio.run(_ask(bus, clock, rng, exchanges, window))


async def _ask(bus: Bus, clock: VirtualClock, rng: random.Random, exchanges: int, window: int) -> Tally:
    turnarounds = {unit: Turnaround(0.02, TIMEOUT_S) for unit in (1, 2, 3)}
    stats, wrong, first = Stats(), 0, ""
    good = lost = refused = 0
    for _ in range(exchanges // window):
        unit = rng.randrange(1, 4)
        requests = [_random_read(unit, rng) for _ in range(window)]
        clock.now_s = max(clock.now_s + rng.choice((0.0, 0.001, 0.05)), bus.quiet_until_s(unit))
        turnaround = turnarounds[unit]
        deadline_s = clock.now_s + bus.budget_s(requests[0], turnaround) + 1.0
        answers: list[Answered | None] = [None] * window
        with contextlib.suppress(LinkError):
            if window > 1:
                answers = await bus.exchange_ahead(requests, turnaround, stats, deadline_s, ANY)
            else:
                answers = [await bus.exchange(requests[0], turnaround, stats, deadline_s, _any)]
        for request, answered in zip(requests, answers, strict=True):
            if answered is None:
                lost += 1
            elif answered.reply.code:
                refused += 1
            elif answered.reply.data == right_data(request):
                good += 1
            else:
                wrong += 1
                first = first or f"{request} -> {answered.reply.frame.hex()}"
    return Tally(good, lost, refused, wrong, first)


def _random_read(unit: int, rng: random.Random) -> Read:
    return Read(unit, Function(rng.choice((3, 3, 3, 4, 1))), rng.randrange(0, 12_000), rng.choice(LENGTHS))


ANY = dict.fromkeys(Function, lambda _address, _length: True)


def _any(_address: int, _length: int) -> bool:
    return True
