"""SQLite's own file layer with a hand in between: records every write and sync, or makes the n-th of them fail.

It wraps the default VFS of the library that the `sqlite3` module uses, so what is tested is the product's own code.
"""

import contextlib
import ctypes
import ctypes.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

SQLITE_OK, IOERR_WRITE, IOERR_FSYNC, FULL = 0, 10 | 3 << 8, 10 | 4 << 8, 13
_P, _I, _L = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
_WRITE = ctypes.CFUNCTYPE(_I, _P, _P, _I, _L)
_TRUNCATE = ctypes.CFUNCTYPE(_I, _P, _L)
_SYNC = ctypes.CFUNCTYPE(_I, _P, _I)
_CLOSE = ctypes.CFUNCTYPE(_I, _P)
_OPEN = ctypes.CFUNCTYPE(_I, _P, _P, _P, _I, _P)  # the name stays a pointer: SQLite uses it while the file is open


Fail = Callable[[int, str, str], tuple[int, bool] | None]


class _Methods(ctypes.Structure):
    """`sqlite3_io_methods`, version 3."""

    _fields_ = (
        ("iVersion", _I), ("xClose", _CLOSE), ("xRead", _P), ("xWrite", _WRITE), ("xTruncate", _TRUNCATE),
        ("xSync", _SYNC), ("rest", _P * 13),
    )  # fmt: skip


class _File(ctypes.Structure):
    _fields_ = (("pMethods", ctypes.POINTER(_Methods)),)


class _Vfs(ctypes.Structure):
    """`sqlite3_vfs`, version 3."""

    _fields_ = (
        ("iVersion", _I), ("szOsFile", _I), ("mxPathname", _I), ("pNext", _P), ("zName", ctypes.c_char_p),
        ("pAppData", _P), ("xOpen", _OPEN), ("rest", _P * 14),
    )  # fmt: skip


class Write(NamedTuple):
    """One change of a file: bytes at an offset, or (data None) a new length; or a sync of it (offset -1)."""

    name: str
    offset: int
    data: bytes | None


def _library() -> ctypes.CDLL:
    with open("/proc/self/maps", encoding="ascii") as maps:
        import sqlite3  # noqa: F401 so that its library is mapped

        path = next((line.split()[-1] for line in maps if "libsqlite3" in line), "")
    return ctypes.CDLL(path or ctypes.util.find_library("sqlite3"))


class Layer:
    """Counts, records and fails the writes, truncations and syncs of every file opened while it is in place."""

    def __init__(self, records: bool = True) -> None:
        self._records = records
        self.log: list[Write] = []
        self.count = 0
        self.fail: Fail = lambda number, kind, name: None
        self._kept: list[object] = []
        self._names: dict[int, str] = {}
        self._tables: dict[int, tuple[_Methods, _Methods]] = {}

    def _decide(self, kind: str, file: int) -> tuple[int, bool]:
        """Return (result code, whether the write happens)."""
        self.count += 1
        return self.fail(self.count, kind, self._names.get(file, "")) or (SQLITE_OK, True)

    def _record(self, write: Write) -> None:
        if self._records:
            self.log.append(write)

    @contextlib.contextmanager
    def installed(self) -> Iterator["Layer"]:
        """Be the default VFS until the block ends."""
        library = _library()
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        old = library.sqlite3_vfs_find(None)
        mine = _Vfs.from_buffer_copy(old.contents)
        mine.zName, mine.pNext = b"layer", None
        original = old.contents.xOpen

        def opened(vfs: int, name: int | None, file: int, flags: int, out: int) -> int:
            code: int = original(ctypes.addressof(old.contents), name, file, flags, out)
            held = ctypes.cast(file, ctypes.POINTER(_File)).contents
            if code == SQLITE_OK and name and held.pMethods:
                self._names[file] = os.fsdecode(ctypes.string_at(name)).rsplit("/", 1)[-1]
                self._wrap(held)
            return code

        mine.xOpen = _OPEN(opened)
        self._kept += [mine, opened]
        library.sqlite3_vfs_register(ctypes.byref(mine), 1)
        try:
            yield self
        finally:
            library.sqlite3_vfs_register(old, 1)
            library.sqlite3_vfs_unregister(ctypes.byref(mine))

    def _wrap(self, held: _File) -> None:
        address = ctypes.addressof(held.pMethods.contents)
        if address not in self._tables:
            real = held.pMethods.contents
            copy = _Methods.from_buffer_copy(real)
            copy.xWrite, copy.xTruncate, copy.xSync = self._write(real), self._truncate(real), self._sync(real)
            self._tables[address] = (real, copy)
        held.pMethods = ctypes.pointer(self._tables[address][1])

    def _write(self, real: _Methods) -> object:
        def write(file: int, data: int, size: int, offset: int) -> int:
            code, happens = self._decide("write", file)
            if happens:
                if self._records:
                    self.log.append(Write(self._names[file], offset, ctypes.string_at(data, size)))
                found: int = real.xWrite(file, data, size, offset)
                return code or found
            return code

        return _WRITE(write)

    def _truncate(self, real: _Methods) -> object:
        def truncate(file: int, size: int) -> int:
            code, happens = self._decide("truncate", file)
            if happens:
                self._record(Write(self._names[file], size, None))
                found: int = real.xTruncate(file, size)
                return code or found
            return code

        return _TRUNCATE(truncate)

    def _sync(self, real: _Methods) -> object:
        def sync(file: int, flags: int) -> int:
            code, happens = self._decide("sync", file)
            if happens:
                self._record(Write(self._names[file], -1, None))
            return code  # the test machine needs no real sync

        return _SYNC(sync)


def failing(
    first: int, code: int, happens: bool, times: int = 1 << 30
) -> Callable[[int, str, str], tuple[int, bool] | None]:
    """Return a `fail` that fails `times` operations from the `first` on, having happened or not."""

    def fail(number: int, kind: str, name: str) -> tuple[int, bool] | None:
        if not first <= number < first + times:
            return None
        return (IOERR_FSYNC if kind == "sync" and code == IOERR_WRITE else code), happens

    return fail


def apply(files: dict[str, bytearray], write: Write) -> None:
    """Do to images in memory what a write does to the file."""
    image = files.setdefault(write.name, bytearray())
    if write.offset == -1:
        return
    if write.data is None:
        del image[write.offset :]
        image.extend(bytes(max(0, write.offset - len(image))))
        return
    end = write.offset + len(write.data)
    image.extend(bytes(max(0, end - len(image))))
    image[write.offset : end] = write.data


def lay(files: dict[str, bytearray], folder: Path) -> None:
    """Write images into an empty folder."""
    folder.mkdir()
    for name, image in files.items():
        (folder / name).write_bytes(image)
