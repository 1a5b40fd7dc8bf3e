"""The line to the database breaks at any message of a post: it counts once, whatever the gateway was told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.cut_line import CutLine, cut_line
from tests.support.desk import Desk, desk
from tests.support.gateway import SealingGateway
from tests.support.postgres import Postgres
from twin_server.store.rows import StoredBatch
from twin_server.verify import verify
from twin_wire.errors import UplinkError

START_US = 1_790_000_000_000_000
MESSAGES_MAX = 80  # more than a post has
PERSIST = pytest.mark.parametrize("persist", [False, True], ids=["not-persisted", "persisted"])


@asynccontextmanager
async def _behind(server: Postgres, data: Path, url: str) -> AsyncIterator[tuple[CutLine, Desk, SealingGateway]]:
    """A desk behind a line that can be cut; in the end it has heard of every entry once and in order."""
    heard: list[int] = []

    def on_commit(enterprise: str, batches: list[StoredBatch]) -> None:
        heard.extend(batch.index for batch in batches)

    with cut_line(url, server.folder) as (line, cuttable):
        async with desk(data, store=cuttable) as at:
            at.store.subscribe(on_commit)
            await at.enterprise("e1")
            yield line, at, await at.gateway("e1", "gw-1", points=5)
            for _ in range(200):
                if len(heard) == await at.store.size("e1"):
                    break
                await asyncio.sleep(0.05)
            assert heard == list(range(await at.store.size("e1")))


async def _post_twice(line: CutLine, at: Desk, gateway: SealingGateway, seq: int) -> bool:
    """Post, post the same again with the line whole; return whether the first was answered."""
    sealed = gateway.seal_rows(START_US + seq * 1_000_000, [[seq + k / 7 for k in range(5)]])
    before = await at.store.size("e1")
    answered = True
    try:
        answer = await at.post(gateway, [sealed])
        gateway.check_answer(answer)
    except UplinkError:
        answered = False
    line.disarm()
    again = await at.post(gateway, [sealed])
    gateway.check_answer(again)
    assert again.verdicts[0].status in (("duplicate",) if answered else ("duplicate", "receipt"))
    assert again.verdicts[0].receipt is not None
    assert await at.store.size("e1") == before + 1
    return answered


async def _faults(url: str) -> list[str]:
    [report] = await verify(url, "e1", "", "", bodies=True, progress=lambda *_: None)
    return [fault.text for fault in report.faults]


@PERSIST
def test_a_line_cut_at_any_message_loses_and_doubles_nothing(
    postgres_server: Postgres, tmp_path: Path, persist: bool
) -> None:
    url = postgres_server.schema()

    async def run() -> None:
        async with _behind(postgres_server, tmp_path / "data", url) as (line, at, gateway):
            for at_message in range(MESSAGES_MAX):
                cuts = line.cuts
                line.arm(at_message, persist)
                await _post_twice(line, at, gateway, at_message)
                if line.cuts == cuts:
                    break
            else:
                raise AssertionError("a post never ended")
            assert line.cuts > 8

    asyncio.run(run())
    assert asyncio.run(_faults(url)) == []


@PERSIST
def test_a_commit_without_an_answer_is_never_acknowledged(
    postgres_server: Postgres, tmp_path: Path, persist: bool
) -> None:
    url = postgres_server.schema()

    async def run() -> None:
        async with _behind(postgres_server, tmp_path / "data", url) as (line, at, gateway):
            for seq in range(3):
                line.arm(0, persist, b"COMMIT")
                assert not await _post_twice(line, at, gateway, seq)
            assert line.cuts == 3

    asyncio.run(run())
    assert asyncio.run(_faults(url)) == []
