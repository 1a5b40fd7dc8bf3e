"""The verifier that ships in every evidence bundle: imports nothing of ours, reads what we read, names changes."""

import ast
import asyncio
import csv
import io
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.desk import desk
from tests.support.gateway import SealingGateway
from twin_server.evidence import SCRIPT, Span, bundle, choose
from twin_wire.readings import Quality

NOW_US = 1_760_000_100_000_000
VALUES = (0.17, -0.0, 1e-9, 123456.789, 3.0, float("inf"), 0.1 + 0.2)


async def _write(folder: Path, drop: tuple[int, ...] = ()) -> Path:
    async with desk(folder / "data", lambda: NOW_US) as at:
        await at.enterprise("e1")
        gateway = SealingGateway(await at.voucher("e1", "gw-1"), now_s=NOW_US / 1e6)
        await at.post(gateway, gateway.begin())
        for n, value in enumerate(VALUES):
            sealed = gateway.seal_rows(NOW_US - 20_000_000 + n * 1_000_000, [[value, 0.5, n / 7]])
            if n not in drop:
                await at.post(gateway, [sealed])
        book = await at.ledger.open("e1")
        choice = await choose(at.store, "e1", Span(0, 1 << 60, ""), book)
        assert choice is not None
        path = folder / "evidence.zip"
        with path.open("wb") as file:
            async for part in bundle(at.store, at.ledger, "e1", Span(0, 1 << 60, ""), choice, book):
                file.write(part)
        return path


def run(path: Path, *words: str) -> tuple[int, list[dict[str, str]], str]:
    """Run the script of the bundle itself, without our packages in reach."""
    script = path.parent / "verify_evidence.py"
    script.write_bytes(zipfile.ZipFile(path).read("verify_evidence.py") if zipfile.is_zipfile(path) else SCRIPT)
    words = (sys.executable, "-I", str(script), str(path), *words)
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, list(csv.DictReader(io.StringIO(done.stdout))), done.stderr


def changed(path: Path, edit: Callable[[str, bytes], bytes | None]) -> Path:
    """Return a copy of the bundle with some files changed, or left out."""
    copy = path.with_name("changed.zip")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            data = edit(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
    return copy


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(_write(tmp_path_factory.mktemp("evidence")))


def test_it_imports_only_the_standard_library_and_cryptography_in_300_lines() -> None:
    tree = ast.parse(SCRIPT)
    names = {n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names == {"cryptography"}
    assert len(SCRIPT.decode().splitlines()) <= 300


def test_it_prints_every_reading_bit_for_bit(evidence: Path) -> None:
    code, rows, said = run(evidence)
    assert code == 0, said
    shown = [float(row["value"]) for row in rows if row["point"] == "p0"]
    assert np.array_equal(np.array(shown).view(np.int64), np.array(VALUES).view(np.int64))
    assert {row["unit"] for row in rows} == {"%"}
    assert {row["quality"] for row in rows} == {Quality.GOOD.name}
    assert "does not say that a reading is true" in said
    assert "SIMULATED" in said


def test_any_flipped_byte_of_any_entry_receipt_or_head_is_named(evidence: Path) -> None:
    chance = random.Random(7)
    names = [name for name in zipfile.ZipFile(evidence).namelist() if name.startswith("entries/")]
    for name in (*names, "checkpoint"):

        def flip(at: str, data: bytes, name: str = name) -> bytes:
            place = chance.randrange(len(data))
            return (
                data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]
                if at == name
                else data
            )

        code, _, said = run(changed(evidence, flip))
        number = name.split("/")[-1].split(".")[0]
        assert code == 2 if name == "checkpoint" else (code == 1 and f"entry {number}:" in said), (name, said)


def test_an_entry_taken_out_is_named_by_gateway_and_number(tmp_path: Path) -> None:
    whole = asyncio.run(_write(tmp_path))
    code, _, said = run(changed(whole, lambda name, data: None if name.startswith("entries/6.") else data))
    assert code == 1
    assert "gw-1 epoch 1: statement 5 is missing" in said
    assert "entries promised" in said


def test_a_batch_that_never_came_is_named_though_the_bundle_is_whole(tmp_path: Path) -> None:
    code, _, said = run(asyncio.run(_write(tmp_path, drop=(2,))))
    assert code == 1
    assert "gw-1 epoch 1: statement 5 is missing" in said


def test_another_log_key_than_the_one_given_is_named(evidence: Path) -> None:
    code, _, said = run(evidence, "mine.example+00000000+AAAA")
    assert (code, "not the one you gave" in said) == (1, True)


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06" + bytes(18), b"rubbish"])
def test_what_is_no_bundle_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.zip").write_bytes(data)
    (tmp_path / "verify_evidence.py").write_bytes(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-I", tmp_path / "verify_evidence.py", tmp_path / "x.zip"], capture_output=True, check=False
    )
    assert (done.returncode, b"no evidence bundle" in done.stderr) == (2, True)
