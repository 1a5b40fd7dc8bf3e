"""A serial Modbus line with a master, devices and faults by seed, as somebody who only listens receives it.

What is on the wire and what the listener gets of it are made apart: devices that are silent, refuse, or answer after
the master gave up; and on the listener's side bytes flipped, garbled, lost and added, whole frames missed, noise. The
truth is every (question, data) a device really answered: a listener's pair that is not in it is a wrong value.
"""

import random
from collections import deque
from typing import NamedTuple

from drivers.modbus.pdu import Function, Read, data_bytes, request_pdu
from drivers.modbus.rtu import seal

BAUD = 9600
CHAR_S = 11 / BAUD
GAP_S = 3.5 * CHAR_S
TIMEOUT_S = 0.3


class Segment(NamedTuple):
    """Bytes sent together; `kind`: "request", "answer", "write" or "noise"."""

    start_s: float
    data: bytes
    kind: str


class Rates(NamedTuple):
    """How often what goes wrong: of a transaction on the bus, of a frame on the listener's side."""

    silent: float = 0.0
    late: float = 0.0
    refuses: float = 0.0
    retries: float = 0.5  # of the unanswered
    writes: float = 0.0
    stray: float = 0.0  # a question out of the usual order
    flip: float = 0.0
    garble: float = 0.0
    drop: float = 0.0
    insert: float = 0.0
    cut: float = 0.0
    missing_request: float = 0.0
    missing_answer: float = 0.0
    noise: float = 0.0
    twice: float = 0.0  # a frame is heard two times


class Scene(NamedTuple):
    """What was on the wire, what was heard of it, and which pairs are right."""

    wire: list[Segment]
    heard: list[Segment]
    truth: set[tuple[Read, bytes]]
    answers: int  # whole answers with data on the wire
    mutations: int
    forged: set[bytes]  # damaged frames whose CRC holds all the same: no listener can tell


BLOCKS = (
    Read(1, Function.READ_HOLDING_REGISTERS, 100, 4),
    Read(1, Function.READ_HOLDING_REGISTERS, 200, 4),  # of the same shape as the first
    Read(1, Function.READ_INPUT_REGISTERS, 0, 6),
    Read(2, Function.READ_HOLDING_REGISTERS, 100, 4),
    Read(2, Function.READ_HOLDING_REGISTERS, 300, 4),
    Read(3, Function.READ_DISCRETE_INPUTS, 16, 20),
    Read(3, Function.READ_INPUT_REGISTERS, 40, 2),
    Read(3, Function.READ_INPUT_REGISTERS, 50, 2),
)


class Bus:
    """The master, its devices and the line."""

    def __init__(self, rng: random.Random, rates: Rates, blocks: tuple[Read, ...], pause_s: float) -> None:
        self.rng, self.rates, self.blocks, self.pause_s = rng, rates, blocks, pause_s
        self.wire: list[Segment] = []
        self.truth: set[tuple[Read, bytes]] = set()
        self.answers = 0
        self.now_s = 10.0
        self.turnaround_s = {unit: rng.uniform(0.004, 0.06) for unit in range(1, 248)}
        self._coming: dict[int, deque[tuple[float, bytes]]] = {}
        self._number = 0

    def run(self, transactions: int) -> None:
        """Let the master ask so many questions."""
        for number in range(transactions):
            block = self.blocks[number % len(self.blocks)]
            if self.rng.random() < self.rates.stray:
                block = self.rng.choice(self.blocks)
            if not self._ask(block) and self.rng.random() < self.rates.retries:
                self._ask(block)
            if self.rng.random() < self.rates.writes:
                self._write()
            self.now_s += GAP_S + self.rng.uniform(0, 0.003)
            if number % len(self.blocks) == len(self.blocks) - 1:
                self._deliver(self.now_s + self.pause_s)
                self.now_s += self.pause_s

    def _send(self, data: bytes, kind: str) -> None:
        self.wire.append(Segment(self.now_s, data, kind))
        self.now_s += len(data) * CHAR_S

    def _ask(self, block: Read) -> bool:
        """Ask and wait; tell whether the master took something for the answer."""
        self._send(seal(bytes((block.unit,)) + request_pdu(block)), "request")
        queue = self._coming.setdefault(block.unit, deque())
        if self.rng.random() >= self.rates.silent:
            late_s = self.rng.uniform(TIMEOUT_S, 1.5) if self.rng.random() < self.rates.late else 0.0
            free_s = max(self.now_s, queue[-1][0] if queue else 0.0)
            ready_s = free_s + self.turnaround_s[block.unit] * self.rng.uniform(1, 1.1) + late_s
            queue.append((ready_s, self._answer(block)))
        limit_s = self.now_s + TIMEOUT_S
        while (came := self._deliver(limit_s, stop=True)) is not None:
            if came[0] == block.unit and (came[1] == block.function | 0x80 or came[2] == data_bytes(block)):
                return True
        self.now_s = max(self.now_s, limit_s)
        return False

    def _answer(self, block: Read) -> bytes:
        self._number += 1
        if self.rng.random() < self.rates.refuses:
            return seal(bytes((block.unit, block.function | 0x80, self.rng.choice((2, 4, 6)))))
        size = data_bytes(block)
        tag = self._number.to_bytes(2, "big") + block.address.to_bytes(2, "big")
        data = (tag + bytes(self.rng.randrange(256) for _ in range(size)))[:size] if size >= 4 else tag[:size]
        if block.function == 2:
            data = bytes((self._number & 0xFF, block.address & 0xFF, self._number >> 8 & 0x0F))
        self.truth.add((block, data))
        return seal(bytes((block.unit, block.function, size)) + data)

    def _deliver(self, until_s: float, stop: bool = False) -> bytes | None:
        """Put what devices send by then on the wire; with `stop` return after the first frame."""
        while True:
            units = [u for u, queue in self._coming.items() if queue and queue[0][0] <= until_s]
            if not units:
                return None
            unit = min(units, key=lambda u: self._coming[u][0][0])
            ready_s, frame = self._coming[unit].popleft()
            self.now_s = max(self.now_s + GAP_S, ready_s)
            self.answers += frame[1] < 0x80
            self._send(frame, "answer")
            if stop:
                return frame

    def _write(self) -> None:
        unit = self.rng.choice((0, 1, 2))
        self.now_s += GAP_S
        frame = seal(bytes((unit, 6, 0, self.rng.randrange(256), 1, self.rng.randrange(256))))
        self._send(frame, "write")
        if unit:
            self.now_s += 0.01
            self._send(frame, "write")


def scene(seed: int, transactions: int, rates: Rates, blocks: tuple[Read, ...] = BLOCKS, pause_s: float = 0.6) -> Scene:
    """Return what happens on a line with that seed."""
    rng = random.Random(seed)
    bus = Bus(rng, rates, blocks, pause_s)
    bus.run(transactions)
    forged: set[bytes] = set()
    heard: list[Segment] = []
    mutations = 0
    for segment in bus.wire:
        left, hits = _damage(rng, rates, segment)
        mutations += hits
        for piece in left:
            whole = len(piece.data) > 4 and seal(piece.data[:-2]) == piece.data
            if hits and whole and piece.data != segment.data:
                forged.add(piece.data)
        heard += left
    return Scene(bus.wire, heard, bus.truth, bus.answers, mutations, forged)


def _damage(rng: random.Random, rates: Rates, segment: Segment) -> tuple[list[Segment], int]:
    start_s, data, kind = segment
    end_s = start_s + len(data) * CHAR_S
    out: list[Segment] = []
    hits = 0
    lost = rates.missing_request if kind == "request" else rates.missing_answer if kind == "answer" else 0.0
    if rng.random() < lost:
        return [], 1
    changed = bytearray(data)
    if rng.random() < rates.flip:
        hits += 1
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    if rng.random() < rates.garble:
        hits += 1
        place = rng.randrange(len(changed))
        for at in range(place, min(len(changed), place + rng.randint(2, 12))):
            changed[at] = rng.randrange(256)
    if rng.random() < rates.drop:
        hits += 1
        for _ in range(rng.randint(1, 3)):
            if len(changed) > 1:
                del changed[rng.randrange(len(changed))]
    if rng.random() < rates.insert:
        hits += 1
        for _ in range(rng.randint(1, 3)):
            changed.insert(rng.randrange(len(changed) + 1), rng.randrange(256))
    if rng.random() < rates.cut:
        hits += 1
        changed = changed[: rng.randrange(len(changed))]
    if changed:
        out.append(Segment(start_s, bytes(changed), kind))
    if rng.random() < rates.twice:
        hits += 1
        out.append(Segment(end_s + CHAR_S, bytes(changed), kind))
    if rng.random() < rates.noise:
        hits += 1
        size = rng.choice((1, 2, 3, 8, 20))
        noise = bytes(rng.choice((0, 0xFF, rng.randrange(256), 1, 3)) for _ in range(size))
        out.append(Segment(end_s + rng.choice((0.0, 0.5, 3.0)) * CHAR_S, noise, "noise"))
    return out, hits


def chunks(
    rng: random.Random, segments: list[Segment], latency_s: float = 0.002, char_s: float = CHAR_S
) -> list[tuple[bytes, float]]:
    """Return what a program reads: bytes in pieces, each with the time at which it was read."""
    out: list[tuple[bytes, float]] = []
    last_s = 0.0
    for segment in segments:
        place = 0
        while place < len(segment.data):
            size = min(len(segment.data) - place, rng.choice((1, 3, 8, 64)))
            place += size
            time_s = segment.start_s + place * char_s + rng.uniform(0, latency_s)
            last_s = max(last_s, time_s)
            out.append((segment.data[place - size : place], last_s))
    return out
