"""Evidence bundles for tests: a small true one, and copies of it in which something was changed.

`python -m tests.support.bundles` renews evidence.zip and evidence-bad.zip in tests/vectors, and evidence.csv, which
is what the bundle's own script prints of the former.
"""

import asyncio
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.support import small_mine
from tests.support.desk import Desk, desk
from tests.support.gateway import SealingGateway
from twin_server.evidence import SCRIPT, Choice, Span, bundle, choose
from twin_server.log import Appender
from twin_server.revocation import RevokeBody, revocation
from twin_server.store.rows import StoredBatch
from twin_wire.readings import Quality
from twin_wire.statement import ZERO_HASH, decode_envelopes, read

NOW_US = 1_760_000_100_000_000
VALUES = (0.17, -0.0, 1e-9, 123456.789, 3.0, float("inf"), 0.1 + 0.2)
VECTOR = Path(__file__).parents[1] / "vectors" / "evidence.zip"
Edit = Callable[[str, bytes], bytes | None]


async def _write(path: Path, batches: int, gap: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with desk(Path(folder), lambda: NOW_US) as at:
            await at.enterprise("e1")
            gateway = SealingGateway(await at.voucher("e1", "gw-1"), now_s=NOW_US / 1e6)
            await at.post(gateway, gateway.begin())
            for n in range(batches):
                start_us = NOW_US - 10_000_000 * (batches - n)
                value = VALUES[n % len(VALUES)]
                sealed = gateway.seal_rows(start_us, [[value, 0.5 + n / 50, n / 7], [0.25, 0.5, (n % 9) / 3]])
                if not (gap and n == 5):
                    await at.post(gateway, [sealed])
            block = small_mine.block(gateway.manifest, [NOW_US - 5], [[1.0, 2.0, 3.0]], int(Quality.NO_ANSWER))
            await at.post(gateway, [gateway.seal_batch(small_mine.batch(gateway.manifest, [block]))])
            if gap:
                ranges = [[8, 8]]
                await at.post(gateway, [gateway.seal_gap(epoch=1, ranges=ranges, reason="test")])
            await _save(at, path)


async def _save(at: Desk, path: Path, choice: Choice | None = None) -> None:
    book, span = await at.ledger.open("e1"), Span(0, 1 << 60, "")
    choice = choice or await choose(at.store, "e1", span, book)
    assert choice is not None
    with path.open("wb") as file:
        async for part in bundle(at.store, at.ledger, "e1", span, choice, book):
            file.write(part)


async def _write_bad(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with desk(Path(folder), lambda: NOW_US) as at:
            await at.enterprise("e1")
            gateway = SealingGateway(await at.voucher("e1", "gw-1"), now_s=NOW_US / 1e6)
            await at.post(gateway, gateway.begin())
            await at.ledger.run("e1", lambda appender: _misdeeds(gateway, appender))
            await _save(at, path, Choice(list(range(10)), [("gw-1", 1, 0, 6)]))


def _misdeeds(gateway: SealingGateway, appender: Appender) -> None:
    """Append what no honest server takes: entries 4 to 9; the indices are told in web/tests/bundle.test.ts."""

    def append(envelope: bytes, keep: bool = True) -> None:
        [(raw, body)] = decode_envelopes(envelope, 1, 1 << 20)
        s = read(raw)
        place = (s.kind, s.subject, s.chain.epoch, s.chain.seq, 1, 1, NOW_US, 1, True, True, s.digest)
        appender.append(StoredBatch(0, *place, raw, body if keep else None))

    def rows(n: int) -> bytes:
        return gateway.seal_rows(NOW_US + n, [[0.1, 0.2, n / 10]])

    first = rows(0)
    append(first)
    append(first)  # twice
    gateway.prev = ZERO_HASH
    append(rows(1))  # continues nothing
    append(rows(2), keep=False)  # its body given up, unexplained
    revocation("gw-1", RevokeBody(1, "stolen"), "u-1")(appender)
    append(rows(3))  # under a revoked key


def write(path: Path, batches: int = 12, gap: bool = False) -> Path:
    """Write a bundle of one gateway; `gap`: one batch never came, and the gateway says so."""
    asyncio.run(_write(path, batches, gap))
    return path


def changed(path: Path, edit: Edit, name: str = "changed.zip") -> Path:
    """Return a copy with some files changed or (None) left out, all checksums of the archive right."""
    copy = path.with_name(name)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
        for each in old.namelist():
            data = edit(each, old.read(each))
            if data is not None:
                new.writestr(each, data)
    return copy


def flipped(data: bytes, at: int) -> bytes:
    """Return the bytes with one bit changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def printed(path: Path) -> str:
    """Return the readings as the bundle's own script prints them."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "verify_evidence.py"
        script.write_bytes(SCRIPT)
        done = subprocess.run([sys.executable, "-I", script, path], capture_output=True, text=True, check=True)
        return done.stdout


if __name__ == "__main__":
    write(VECTOR, gap=True)
    asyncio.run(_write_bad(VECTOR.with_name("evidence-bad.zip")))
    VECTOR.with_suffix(".csv").write_text(printed(VECTOR))
