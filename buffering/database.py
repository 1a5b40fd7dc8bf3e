"""One way to open an SQLite file that keeps its word after a power cut, and one translation of its errors."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from twin_wire.errors import StoreError

PAGE_BYTES = 4096  # 8 and 16 KiB pages wrote 1.6 times as much per batch, 1 KiB made the file bigger
CHECKPOINT_PAGES = 128  # a small WAL costs no speed and leaves little exposed to a flipped bit
WAL_BYTES_MAX = 1 << 20


def open_database(
    path: Path,
    schema: str,
    version: int,
    checkpoint_pages: int = CHECKPOINT_PAGES,
    upgrades: Mapping[int, str] | None = None,
) -> sqlite3.Connection:
    """Open or create `path` durable and for this process alone; StoreError if another process holds it.

    `upgrades` holds what turns an older format into the next one.
    """
    steps = {0: schema, **(upgrades or {})}
    # psow=0: without it a torn sector can take an already synced commit with the one that follows it.
    with guard(f"open {path.name}"):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?psow=0", uri=True, isolation_level=None, timeout=0.5, check_same_thread=False
        )
    try:
        with guard(f"open {path.name}"):
            connection.execute(f"pragma page_size={PAGE_BYTES}")
            connection.execute("pragma locking_mode=exclusive")
            connection.execute("pragma journal_mode=wal")
            connection.execute("pragma synchronous=full")
            connection.execute(f"pragma wal_autocheckpoint={checkpoint_pages}")
            connection.execute(f"pragma journal_size_limit={WAL_BYTES_MAX}")
            found = int(connection.execute("pragma user_version").fetchone()[0])
        if found != version and found not in steps:
            raise StoreError(f"{path.name} has format {found}, this program writes {version}", "use the newer program")
        if found != version:
            with transaction(connection, f"create {path.name}"):
                for step in [schema] if found == 0 else [steps[at] for at in range(found, version)]:
                    for statement in step.split(";"):
                        connection.execute(statement)
                connection.execute(f"pragma user_version={version}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def guard(what: str) -> Iterator[None]:
    """Turn every sqlite3 error into a StoreError that says what was being done and what helps."""
    try:
        yield
    except UnicodeDecodeError as error:  # damaged text, met while SQLite made up its own message
        raise StoreError(
            f"cannot {what}: the file is damaged", "keep a copy of it, and start with a new one"
        ) from error
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or type(error).__name__
        raise StoreError(f"cannot {what}: {error} ({name})", _HINTS.get(name, "")) from error


_HINTS = {
    "SQLITE_BUSY": "another edge-agent uses this state folder; stop it first",
    "SQLITE_FULL": "the disk or the quota is full",
    "SQLITE_CORRUPT": "the card is failing; copy the state folder, then replace the card",
    "SQLITE_NOTADB": "the file is not a database; copy the state folder, then replace the card",
    "SQLITE_READONLY": "the state folder cannot be written; check its owner and the mount",
    "SQLITE_CANTOPEN": "the state folder is missing or cannot be written",
    "SQLITE_IOERR_FSYNC": "the disk did not confirm the write; replace the card",
}


@contextmanager
def transaction(connection: sqlite3.Connection, what: str) -> Iterator[None]:
    """All or nothing, on disk when the block has ended without an error."""
    try:
        with guard(what):
            connection.execute("begin immediate")
            yield
            connection.execute("commit")
    except BaseException:
        if connection.in_transaction:  # SQLite has already rolled back after some errors
            with guard(what):
                connection.execute("rollback")
        raise


def is_full(error: StoreError) -> bool:
    """Say whether the error means no room, which eviction may cure."""
    return getattr(error.__cause__, "sqlite_errorname", "") == "SQLITE_FULL"


_DISK_FAULTS = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOTADB,
}


def is_disk_fault(error: StoreError) -> bool:
    """Say whether the error means that the disk is full, read-only, failing or damaged."""
    return getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF in _DISK_FAULTS
