"""Numbers reserved while the disk was well, so that sealing goes on when it is not, and no number is given twice."""

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from buffering.room import PRIORITIES, Gap, ranges_of, row_id
from buffering.rows import Entry, Position, Seal, SealGap
from twin_wire.errors import StoreError

RESERVE = 8_640  # a day of batches
MEMORY_BYTES_MAX = 16 << 20  # bodies held while nothing can be written
RETRY_S = (2.0, 60.0)  # the disk is tried again this soon, then ever more rarely: a try may take seconds
MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 not a place for data: what matters is that a power cut empties it
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class HealthMark:
    """A file in memory that says: in this run of the machine, this start of the agent never used its reserve.

    It is gone after a power cut, and removed before the first number of the reserve is used; whoever does not find
    it has to take the whole reserve for used.
    """

    def __init__(self, queue: Path, folder: Path = MEMORY_FOLDER) -> None:
        name = sha256(os.fsencode(queue.absolute())).hexdigest()[:24]
        self._path = folder / f"mine-twin-{name}"

    def _text(self, boot: int) -> str:
        return f"{BOOT_ID.read_text('ascii').strip()} {boot}"

    def says_healthy(self, boot: int) -> bool:
        """Tell whether start number `boot`, or a later one, is known not to have used its reserve."""
        try:
            machine, said = self._path.read_text("ascii").split()
            return machine == BOOT_ID.read_text("ascii").strip() and int(said) >= boot
        except (OSError, ValueError):
            return False

    def put(self, boot: int) -> None:
        """Say it; where that fails, the next start after a kill leaves the reserve out."""
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(self._text(boot))
        except OSError:
            self.remove()

    def remove(self) -> bool:
        """Take it back; return whether it is certainly gone."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            return False
        return not self._path.exists()


class Held(NamedTuple):
    """A sealed batch in memory alone; without its body once memory was needed."""

    entry: Entry
    body: bytes | None


class Spill:
    """What is sealed while nothing can be written: numbers from the reserve, batches in memory, all bounded."""

    def __init__(self, position: Position, limit: int, held: dict[int, Held] | None = None) -> None:
        self.position = position
        self.limit = limit  # the first number of the epoch that is not reserved
        self.held: dict[int, Held] = dict(held or {})
        self.holes: list[Gap] = []  # numbers left out, to be written down with the rest
        self._bytes = sum(len(each.body or b"") for each in self.held.values())
        self._pause_s = RETRY_S[0]
        self._next_try_s = 0.0

    @property
    def span(self) -> tuple[int, int]:
        """The first and last row id held."""
        return min(self.held), max(self.held)

    def due(self, now_s: float) -> bool:
        """Tell whether it is time to try the disk again; the pause grows with every try."""
        if not self._next_try_s:
            self._next_try_s = now_s + self._pause_s
        if now_s < self._next_try_s:
            return False
        self._pause_s = min(2 * self._pause_s, RETRY_S[1])
        self._next_try_s = now_s + self._pause_s
        return True

    def hasten(self) -> None:
        """Make it time."""
        self._next_try_s = 1e-9

    def add(self, seal: Seal) -> Entry:
        """Number and seal one batch; StoreError when the reserve is used up."""
        if self.position.seq >= self.limit:
            raise StoreError(
                "the disk takes no writes, and the numbers reserved for that are used up",
                "repair or replace the disk; readings are shown here but no longer recorded",
            )
        entry = seal(self.position)
        self.held[row_id(self.position.epoch, self.position.seq)] = Held(entry, entry.body)
        self._bytes += len(entry.body)
        prev = sha256(entry.statement).digest()
        self.position = self.position._replace(seq=self.position.seq + 1, prev=prev)
        return entry

    def shed(self, is_safe: Callable[[int], bool], seal_gap: SealGap) -> None:
        """Let bodies go where memory is short: safe ones first, then data, records, alarms, with a signed record."""
        if self._bytes <= MEMORY_BYTES_MAX:
            return
        goal = MEMORY_BYTES_MAX * 3 // 4
        self._drop([i for i in self.held if is_safe(i)], goal)
        gone: list[int] = []
        for priority in PRIORITIES:
            gone += self._drop([i for i, each in self.held.items() if each.entry.priority == priority], goal)
        if gone:
            gap = self._gap_of(sorted(gone))
            self.add(lambda position: seal_gap(position, gap))

    def _drop(self, ids: list[int], goal: int) -> list[int]:
        gone: list[int] = []
        for identity in ids:
            entry, body = self.held[identity]
            if self._bytes <= goal:
                break
            if body is not None:
                self.held[identity] = Held(entry._replace(body=b""), None)
                self._bytes -= len(body)
                gone.append(identity)
        return gone

    def _gap_of(self, ids: list[int]) -> Gap:
        entries = [self.held[identity].entry for identity in ids]
        base = row_id(self.position.epoch, 0)
        return Gap(
            reason="memory",
            epoch=self.position.epoch,
            ranges=ranges_of([identity - base for identity in ids]),
            batches=len(ids),
            rows=sum(entry.rows for entry in entries),
            size=0,
            t0_ms=min(entry.t0_ms for entry in entries),
            t1_ms=max(entry.t1_ms for entry in entries),
        )


def reserve_gap(epoch: int, first: int, last: int, time_ms: int) -> Gap:
    """Return what has to be said of numbers left out, lest one that was used in memory is given again."""
    return Gap("reserve", epoch, ((first, last),), last - first + 1, 0, 0, time_ms, time_ms)
