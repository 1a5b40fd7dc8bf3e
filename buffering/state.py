"""The gateway's state documents: a TinyDB storage with one SQLite row per document, durable at every write."""

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinydb import TinyDB
from tinydb.storages import Storage

from buffering.database import guard, open_database, transaction

_VERSION = 1
_SCHEMA = """
create table tables(position integer primary key, name text not null unique);
create table documents(position integer primary key, name text not null, id text not null, body text not null,
                       unique(name, id))
"""


class SqliteStorage(Storage):
    """TinyDB storage on one SQLite file; a write stores only what differs, all of it or nothing; raises StoreError."""

    def __init__(self, path: str | Path) -> None:
        self._connection: sqlite3.Connection = open_database(Path(path), _SCHEMA, _VERSION)
        self._stored: dict[str, dict[str, str]] = {}
        with guard("read the state"):
            for (name,) in self._connection.execute("select name from tables order by position"):
                self._stored[name] = {}
            for name, key, body in self._connection.execute("select name, id, body from documents order by position"):
                self._stored[name][key] = body

    def read(self) -> dict[str, dict[str, Any]] | None:
        """Return fresh copies of all tables, None if there is none."""
        return {n: {k: json.loads(b) for k, b in d.items()} for n, d in self._stored.items()} or None

    def write(self, data: Mapping[str, Mapping[Any, Any]]) -> None:
        """Make the file hold exactly `data`; on disk when this returns; TypeError if a document is not JSON."""
        wanted = {str(n): {str(k): _text(v) for k, v in d.items()} for n, d in data.items()}
        if wanted == self._stored and list(wanted) == list(self._stored):
            return
        with transaction(self._connection, "write the state"):
            for name in self._stored.keys() - wanted.keys():
                self._connection.execute("delete from tables where name=?", (name,))
                self._connection.execute("delete from documents where name=?", (name,))
            for name, documents in wanted.items():
                self._write_table(name, documents)
        self._stored = wanted

    def _write_table(self, name: str, documents: dict[str, str]) -> None:
        old = self._stored.get(name)
        if old is None:
            self._connection.execute("insert into tables(name) values(?)", (name,))
            old = {}
        gone = [(name, k) for k in old.keys() - documents.keys()]
        self._connection.executemany("delete from documents where name=? and id=?", gone)
        changed = [(name, k, body) for k, body in documents.items() if old.get(k) != body]
        self._connection.executemany(
            "insert into documents(name, id, body) values(?,?,?) on conflict do update set body=excluded.body", changed
        )

    def close(self) -> None:
        """Close the file; nothing is pending, every write was durable."""
        with guard("close the state"):
            self._connection.close()


def open_state(path: Path) -> TinyDB:
    """Open the gateway's documents at `path`."""
    return TinyDB(path, storage=SqliteStorage)


def _text(document: object) -> str:
    return json.dumps(document, separators=(",", ":"))
