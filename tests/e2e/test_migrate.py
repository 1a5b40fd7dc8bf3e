"""`twin-server migrate`: makes the tables once, says what is wrong, and the rest of the command line works on them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.postgres import Postgres


def _run(*arguments: str, code: int = 0) -> str:
    command = [sys.executable, "-m", "twin_server", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_a_store_is_migrated_once_and_then_used(postgres_server: Postgres, tmp_path: Path) -> None:
    url = postgres_server.schema(migrated=False)
    config = tmp_path / "server.toml"
    config.write_text(f'data = "data"\nstore = "{url}"\n')
    assert "run `twin-server migrate URL`" in _run("enterprises", "list", "--config", str(config), code=2)
    assert "the extension citus is not in this database" in _run("migrate", url, "--citus", code=2)
    assert "schema version 1" in _run("migrate", url)
    assert "nothing to do" in _run("migrate", url)
    assert "/north\nkey " in _run("enterprises", "add", "north", "--config", str(config))
    assert "north  north  1 entries" in _run("enterprises", "list", "--config", str(config))
    assert "records unaltered since sealing" in _run("verify", url)


def test_what_cannot_be_migrated_is_said(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    assert "makes its own tables" in _run("migrate", f"sqlite:{tmp_path}", code=2)
    assert "cannot make the tables" in _run("migrate", f"postgresql:///x?host={tmp_path}", code=2)
    assert not list(tmp_path.iterdir())
