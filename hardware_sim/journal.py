"""Every complete answer the simulated devices gave, as CSV, so that anyone can recompute every sample."""

import time
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

HEADER = "monotonic_ns,wall_us,link,unit,function,address,count,payload\n"
FLUSH_S = 1.0


class Answer(NamedTuple):
    """One complete answer: what was asked and the data bytes that went out (registers, packed bits, or a frame)."""

    link: str
    unit: int
    function: int  # 0 for frames that nobody asks for
    address: int
    size: int
    payload: bytes


class Journal:
    """A file of answers; one that grew past `bytes_max` is kept once more under `.1`."""

    def __init__(self, path: Path, bytes_max: int = 256 << 20) -> None:
        self._path, self._bytes_max = path, bytes_max
        self._file = self._begin()
        self._size = 0
        self._flushed_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def add(self, answer: Answer) -> None:
        """Write one answer with both clocks."""
        link, unit, function, address, size, payload = answer
        now_ns = time.monotonic_ns()
        line = f"{now_ns},{time.time_ns() // 1000},{link},{unit},{function},{address},{size},{payload.hex()}\n"
        self._file.write(line)
        self._size += len(line)
        if now_ns / 1e9 - self._flushed_s > FLUSH_S:
            self.flush()
        if self._size > self._bytes_max:
            self._turn()

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._file.flush()
        self._flushed_s = time.monotonic()

    def close(self) -> None:
        """Flush and close the file."""
        self._file.close()

    def _begin(self) -> IO[str]:
        file = self._path.open("w", encoding="ascii")
        file.write(HEADER)
        return file

    def _turn(self) -> None:
        self._file.close()
        self._path.replace(self._path.with_name(self._path.name + ".1"))
        self._file = self._begin()
        self._size = 0
