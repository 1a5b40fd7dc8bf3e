"""The folder into which a KJ host drops its files: what is new and whole, what was taken before, where it goes then.

Nothing is followed (symlinks), nothing unbounded is read, and a file is let go only when its rows have had the time to
be sealed: a power cut before that makes it be read again, so nothing is lost.
"""

import contextlib
import hashlib
import os
import stat
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from drivers.kj_records import FILE_BYTES_MAX, ORDER, FileName, Style, is_passed_over, is_whole, read_name
from twin_wire.errors import LinkError

ENTRIES_MAX = 20_000  # in the folder; a host that never tidies up has to be tidied up after
FILES_MAX = 200  # handed over by one look
BYTES_MAX = 8 << 20  # by one look, and one file more
ABANDONED_S = 600.0  # still without its end mark
SETTLE_S = 12.0  # from handing over to letting go: longer than the sealing period of the agent
TAKEN_MAX = 50_000  # remembered
MEMORY_BYTES_MAX = 16 << 20

Stamp = tuple[int, int, int]  # inode, size, mtime_ns


class Dropped(NamedTuple):
    """A whole file that was not taken before."""

    name: FileName
    data: bytes
    digest: str
    stamp: Stamp
    rewritten: bool  # another file of this name was taken before


class Look(NamedTuple):
    """What one look at the folder found; faults are (name, text)."""

    files: list[Dropped]
    faults: list[tuple[str, str]]
    more: bool = False  # there are younger files that the next look will bring


class Folder:
    """One inbox; `look` and `let_go` block and belong into a thread, one at a time."""

    def __init__(self, inbox: Path, done: Path | None, memory: Path, style: Style) -> None:
        self.inbox, self.done, self.memory = inbox, done, memory
        self._style = style
        self._lock = threading.Lock()
        self._taken: dict[str, str] | None = None  # digest → name, oldest first
        self._names: dict[str, str] = {}  # name → digest taken last
        self._held: dict[str, tuple[Dropped, float, str]] = {}  # handed over, not let go yet: file, since, verdict
        self._settled: dict[str, Stamp] = {}  # stays in the folder, needs no second look
        self._waiting: dict[str, Stamp] = {}  # without end mark
        self._told: dict[str, str] = {}  # fault told of a name
        self._trouble: list[tuple[str, str]] = []  # of putting away, for the next look

    def look(self, now_s: float) -> Look:
        """Return what is new at wall time `now_s`, oldest first; LinkError if the folder cannot be used."""
        with self._lock:
            self._open()
            found = Look([], self._trouble)
            self._trouble = []
            entries = self._entries(found)
            total = 0
            for name, text in entries:
                if len(found.files) >= FILES_MAX or total > BYTES_MAX:
                    return found._replace(more=True)
                dropped = self._take(name, text, now_s, found)
                if dropped is not None:
                    found.files.append(dropped)
                    total += len(dropped.data)
            return found

    def hold(self, dropped: Dropped, now_s: float, verdict: str = "") -> None:
        """Note that a file was handed over (monotonic time), or refused for a reason; it is let go when settled."""
        self._held[dropped.name.text] = dropped._replace(data=b""), now_s, verdict

    def let_go(self, now_s: float) -> None:
        """Remember and put away what was handed over long enough before the monotonic `now_s`.

        Where the disk refuses, reading goes on: what could not be written down stays held, what could not be moved
        stays in the folder, and the next look tells of it.
        """
        with self._lock:
            ready = [name for name, (_, since_s, _) in list(self._held.items()) if now_s - since_s >= SETTLE_S]
            if not ready or self._taken is None:
                return
            try:
                self._remember([self._held[name][0] for name in ready])
            except OSError as error:
                self._trouble.append(("put_away", f"{self._journal} cannot be written: {error.strerror}"))
                return
            for name in ready:
                dropped, _, verdict = self._held.pop(name)
                self._put_away(dropped, verdict)

    def _entries(self, found: Look) -> list[tuple[FileName, str]]:
        """Return the names that can be files of this host, in the order of their times."""
        names: list[tuple[FileName, str]] = []
        present: set[str] = set()
        try:
            with os.scandir(self.inbox) as listing:
                for entry in listing:
                    present.add(entry.name)
                    if len(present) > ENTRIES_MAX:
                        found.faults.append(("crowded", f"{self.inbox} holds more than {ENTRIES_MAX} names"))
                        break
                    name = read_name(entry.name, self._style.dialect)
                    if name is not None and not self._is_settled(entry):
                        names.append((name, entry.name))
                    elif name is None and self._is_strange(entry):
                        self._tell(found, entry.name, "name", "is no name of this dialect")
        except OSError as error:
            raise LinkError(f"{self.inbox}: {error.strerror}", "does the host's share or FTP folder exist?") from error
        for table in (self._settled, self._waiting, self._told):
            for gone in [name for name in table if name not in present]:
                del table[gone]
        return sorted(names, key=lambda each: (each[0].stamp, ORDER.index(each[0].kind), each[1]))

    def _is_settled(self, entry: "os.DirEntry[str]") -> bool:
        held = self._held.get(entry.name)
        known = held[0].stamp if held else self._settled.get(entry.name)
        try:
            return known is not None and known == _stamp(entry.stat(follow_symlinks=False))
        except FileNotFoundError:
            return True

    def _is_strange(self, entry: "os.DirEntry[str]") -> bool:
        ends = entry.name.lower().endswith(".txt")
        return ends and not is_passed_over(entry.name) and not entry.is_dir(follow_symlinks=False)

    def _take(self, name: FileName, text: str, now_s: float, found: Look) -> Dropped | None:
        """Return a file if it is whole and new; what was taken before or can never be whole is settled here."""
        read = self._read(text, now_s, found)
        if read is None:
            return None
        data, stamp = read
        digest = hashlib.sha256(data).hexdigest()
        if text in self._held:
            held, since_s, verdict = self._held[text]
            if held.digest == digest:  # dropped again before it was let go; another content waits until then
                self._tell(found, text, "repeated", "is there again")
                self._held[text] = held._replace(stamp=stamp), since_s, verdict
            return None
        dropped = Dropped(name, data, digest, stamp, self._names.get(text, digest) != digest)
        if len(data) > FILE_BYTES_MAX:
            self._tell(found, text, "oversize", f"is larger than {FILE_BYTES_MAX} bytes")
            self.hold(dropped, float("-inf"), "oversize")
        elif not is_whole(data, self._style):
            self._tell(found, text, "incomplete", "has no end mark yet")
            self._waiting[text] = stamp
            if _age_s(stamp, now_s) > ABANDONED_S:
                self._tell(found, text, "abandoned", f"has no end mark after {ABANDONED_S:.0f} s")
                self.hold(dropped, float("-inf"), "abandoned")
        elif self.done is None and self._names.get(text) == digest and text not in self._settled:
            self._settled[text] = stamp  # taken by an earlier run
        elif self._taken is not None and digest in self._taken:
            self._tell(found, text, "repeated", f"is {self._taken[digest]} again")
            self.hold(dropped, float("-inf"), "repeated")
        elif any(held.digest == digest for held, _, _ in self._held.values()) or any(
            other.digest == digest for other in found.files
        ):
            self._tell(found, text, "repeated", "is another file again")
            self.hold(dropped, float("-inf"), "repeated")
        else:
            return dropped
        return None

    def _read(self, text: str, now_s: float, found: Look) -> tuple[bytes, Stamp] | None:
        """Return a regular file's content and stamp; None if it is none, is settled, or changes while it is read."""
        path = self.inbox / text
        try:
            number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            what = "symlink" if path.is_symlink() else "unreadable"
            self._tell(found, text, what, "is a symlink" if what == "symlink" else f"{error.strerror}")
            return None
        with os.fdopen(number, "rb") as file:
            before = os.fstat(number)
            if not stat.S_ISREG(before.st_mode):
                self._tell(found, text, "symlink", "is no regular file")
                return None
            if self._waiting.get(text) == _stamp(before) and _age_s(_stamp(before), now_s) <= ABANDONED_S:
                return None  # nothing was added
            try:
                data = file.read(FILE_BYTES_MAX + 1)
            except OSError as error:
                self._tell(found, text, "unreadable", f"{error.strerror}")
                return None
            after = os.fstat(number)
        if _stamp(before) != _stamp(after) or (after.st_size != len(data) and after.st_size <= FILE_BYTES_MAX):
            return None  # being written at this moment
        return data, _stamp(after)

    def _tell(self, found: Look, text: str, fault: str, message: str) -> None:
        if self._told.get(text) != fault:
            self._told[text] = fault
            # Bytes that are no UTF-8, as of a name in GBK, come as surrogates, which nobody could encode again.
            shown = os.fsencode(text).decode("utf-8", "replace")
            found.faults.append((fault, f"{shown[:80]} {message}"))

    def _open(self) -> None:
        """Make the folders of ours and read what was taken before."""
        if self._taken is not None:
            return
        taken: dict[str, str] = {}
        try:
            for folder in (self.memory, *((self.done, self.done / "refused") if self.done else ())):
                folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError), self._journal.open("rb") as file:
                lines = file.read(MEMORY_BYTES_MAX).decode("ascii", "replace").splitlines()
                for digest, _, name in (line.partition(" ") for line in lines):
                    if len(digest) == 64 and name:  # the last line may be half written
                        taken.setdefault(digest, name)
                        self._names[name] = digest
        except OSError as error:
            hint = "set memory (and done) of the link to folders this program may write"
            raise LinkError(f"{error.filename}: {error.strerror}", hint) from error
        self._taken = taken

    @property
    def _journal(self) -> Path:
        return self.memory / "taken.txt"

    def _remember(self, files: Iterable[Dropped]) -> None:
        """Write down what was taken, on the disk before anything is moved."""
        assert self._taken is not None
        fresh = [file for file in files if self._names.get(file.name.text) != file.digest]
        if not fresh:
            return
        with self._journal.open("a", encoding="ascii") as journal:
            if journal.tell() and not _ends_a_line(self._journal):
                journal.write("\n")
            journal.writelines(f"{file.digest} {file.name.text}\n" for file in fresh)
            journal.flush()
            os.fsync(journal.fileno())
        for file in fresh:
            self._taken.setdefault(file.digest, file.name.text)
            self._names[file.name.text] = file.digest
        if max(len(self._taken), len(self._names)) > TAKEN_MAX:
            self._rewrite()

    def _rewrite(self) -> None:
        """Forget the oldest half, but nothing that still lies in the folder."""
        assert self._taken is not None
        surplus = max(0, len(self._taken) - TAKEN_MAX // 2)
        old = [(digest, name) for digest, name in list(self._taken.items())[:surplus]]
        for digest, name in old:
            if not (self.inbox / name).exists():
                del self._taken[digest]
        kept = set(self._taken.values())  # one content may have had many names
        self._names = {n: d for n, d in self._names.items() if n in kept or (self.inbox / n).exists()}
        fresh = self._journal.with_suffix(".new")
        with fresh.open("w", encoding="ascii") as journal:
            journal.writelines(f"{digest} {name}\n" for digest, name in self._taken.items())
            journal.flush()
            os.fsync(journal.fileno())
        fresh.replace(self._journal)

    def _put_away(self, dropped: Dropped, verdict: str) -> None:
        """Move a file to `done` unless it has changed since; where it stays, it is not looked at again."""
        name, path = dropped.name.text, self.inbox / dropped.name.text
        try:
            if self.done is None:
                self._settled[name] = dropped.stamp
            elif _stamp(path.lstat()) == dropped.stamp:
                target = self.done / "refused" if verdict not in ("", "repeated") else self.done
                if (target / name).exists() and not verdict:
                    name = f"{name[:-4]}~{dropped.digest[:8]}{name[-4:]}"
                path.replace(target / name)
        except OSError as error:
            if not path.exists():
                return  # the host tidies up by itself
            self._settled[name] = dropped.stamp
            self._trouble.append(("put_away", f"{path} cannot be moved to {self.done}: {error.strerror}"))


def _age_s(stamp: Stamp, now_s: float) -> float:
    return now_s - stamp[2] / 1e9


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
