"""Every complete answer the simulated devices gave, as CSV, so that anyone can recompute every sample."""

import logging
import queue
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

HEADER = "monotonic_ns,wall_us,link,unit,function,address,count,payload\n"
log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """One complete answer: what was asked and the data bytes that went out (registers, packed bits, or a frame)."""

    link: str
    unit: int
    function: int  # 0 for frames that nobody asks for
    address: int
    size: int
    payload: bytes


class Journal:
    """A file of answers; one that grew past `bytes_max` is kept once more under `.1`.

    A thread of its own writes: a disk that is busy for a moment must not make a device answer late.
    """

    def __init__(self, path: Path, bytes_max: int = 256 << 20) -> None:
        self._path, self._bytes_max = path, bytes_max
        self.fault = ""  # why nothing is written any more
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="journal", daemon=True)
        self._writer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def add(self, answer: Answer) -> None:
        """Note one answer with both clocks, now."""
        if self.fault:
            return
        link, unit, function, address, size, payload = answer
        now_ns, wall_us = time.monotonic_ns(), time.time_ns() // 1000
        self._lines.put(f"{now_ns},{wall_us},{link},{unit},{function},{address},{size},{payload.hex()}\n")

    def close(self) -> None:
        """Write what is left and close the file."""
        self._lines.put(None)
        self._writer.join()

    def _write(self) -> None:
        try:
            while self._write_file():
                self._path.replace(self._path.with_name(self._path.name + ".1"))
        except OSError as error:
            self.fault = f"{self._path}: {error.strerror}"
            log.critical("the journal ends here: %s", self.fault)

    def _write_file(self) -> bool:
        """Write one file until it is full (True) or the journal is closed (False)."""
        with self._path.open("w", encoding="ascii") as file:
            size = file.write(HEADER)
            while (line := self._lines.get()) is not None:
                size += file.write(line)
                if self._lines.empty():
                    file.flush()
                if size > self._bytes_max:
                    return True
        return False
