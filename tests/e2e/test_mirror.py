"""A regulator's mirror: grows with the log, is read by verify and export, and ends when the log contradicts it."""

import asyncio
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pytest

from tests.support.gateway import SealingGateway
from tests.support.server import Server, serving
from twin_server.context import LEDGER
from twin_server.mirror import Mirror, open_mirror, run_mirror
from twin_server.sources import LogReader
from twin_server.verify import verify
from twin_wire.errors import ConfigError, ProofError

START_US = 1_760_000_000_000_000


async def filled(server: Server, batches: int) -> tuple[SealingGateway, str, dict[str, str]]:
    await server.enterprise("e1")
    gateway = await server.gateway("e1", "gw-1")
    await send(server, gateway, batches)
    return gateway, (await server.app[LEDGER].open("e1")).row.log_vkey, await server.token("regulator", "e1")


async def send(server: Server, gateway: SealingGateway, batches: int) -> None:
    for n in range(batches):
        sealed = gateway.seal_rows(START_US + gateway.seq * 1_000_000 + n, [[1.0, 2.0, 3.0]])
        await gateway.post(server.session, server.url, [sealed])


def test_a_copy_grows_with_the_log_and_is_read_without_the_server(tmp_path: Path) -> None:
    said: list[str] = []

    async def run() -> None:
        async with serving(tmp_path / "data") as server:
            gateway, vkey, headers = await filled(server, 5)
            token = headers["Authorization"].removeprefix("Bearer ")
            for more in (0, 300):
                await send(server, gateway, more)
                await run_mirror(server.url, "e1", token, vkey, tmp_path / "copy", 0, said.append)

    asyncio.run(run())
    assert said[-1] == "310 entries, 301 new, 0 new faults", said  # one is the server's word on times of receipt
    [report] = asyncio.run(verify(str(tmp_path / "copy"), "", "", "", True, lambda *_: None))
    assert (report.faults, report.size, report.simulated) == ([], 310, True)


def test_a_server_that_takes_back_or_rewrites_what_was_mirrored_ends_it_with_both_heads_kept(tmp_path: Path) -> None:
    async def look(server: Server, vkey: str, headers: dict[str, str]) -> None:
        with ThreadPoolExecutor(1) as executor:
            async with aiohttp.ClientSession(headers=headers) as session:
                log = LogReader(session, server.url, "e1")
                mirror: Mirror = await open_mirror(tmp_path / "copy", "e1", vkey, executor, lambda _: None, log)
                try:
                    await mirror.look(log)
                finally:
                    await mirror.close()

    async def run() -> None:
        async with serving(tmp_path / "data") as server:
            gateway, vkey, headers = await filled(server, 3)
        shutil.copytree(tmp_path / "data", tmp_path / "old")
        async with serving(tmp_path / "data") as server:
            await send(server, gateway, 2)
            await look(server, vkey, headers)
        (tmp_path / "old/keys/e1.size").unlink(missing_ok=True)
        async with serving(tmp_path / "old") as server:
            with pytest.raises(ProofError, match="the copy holds 9"):
                await look(server, vkey, headers)
            await send(server, await server.gateway("e1", "gw-2"), 4)
            with pytest.raises(ProofError, match=r"not in the signed log|another root"):
                await look(server, vkey, headers)
        assert list((tmp_path / "copy").glob("contradiction-*.note"))

    asyncio.run(run())


def test_a_copy_that_was_changed_or_is_of_another_log_is_not_continued(tmp_path: Path) -> None:
    async def run() -> str:
        async with serving(tmp_path / "data") as server:
            _, vkey, headers = await filled(server, 3)
            token = headers["Authorization"].removeprefix("Bearer ")
            await run_mirror(server.url, "e1", token, vkey, tmp_path / "copy", 0, lambda _: None)
        return vkey

    vkey = asyncio.run(run())

    async def reopened(key: str) -> None:
        with ThreadPoolExecutor(1) as executor:
            await (await open_mirror(tmp_path / "copy", "e1", key, executor, lambda _: None)).close()

    from tests.support.evidence import VECTORS

    with pytest.raises(ConfigError, match="another key"):
        asyncio.run(reopened(VECTORS["log_vkey"]))
    db = sqlite3.connect(tmp_path / "copy/enterprises/e1.db")
    with db:
        db.execute("update body set body = x'00' where rowid = (select max(rowid) from body)")
    db.close()
    with pytest.raises(ProofError, match="copy itself was changed"):
        asyncio.run(reopened(vkey))
