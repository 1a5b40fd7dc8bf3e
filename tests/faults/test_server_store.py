"""A store that cannot write: nothing is acknowledged, the log stays whole, the process is told to stop."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.support.desk import Desk, desk
from tests.support.server import serving
from twin_server.context import FAILED, STORE
from twin_server.store import Store, Transaction
from twin_server.verify import verify
from twin_wire.errors import StoreError

START_US = 1_790_000_000_000_000
ROW = [[1.0, 2.0, 3.0]]


async def _room(store: Store, pages: int | None) -> None:
    """Let the enterprise's file grow by so many pages and no more; None: as far as it likes."""

    def work(tx: Transaction) -> None:
        db = tx.db  # type: ignore[attr-defined]  # the SQLite store's own
        used = db.execute("pragma page_count").fetchone()[0]
        db.execute(f"pragma max_page_count = {used + pages if pages is not None else 1 << 30}")

    await store.write("e1", work)


async def _faults(data: Path) -> list[str]:
    [report] = await verify(str(data), "e1", "", "", bodies=True, progress=lambda *_: None)
    return [fault.text for fault in report.faults]


@pytest.mark.parametrize("pages", [0, 1, 2, 3, 5, 8])
def test_a_full_disk_acknowledges_nothing_and_leaves_the_log_whole(tmp_path: Path, pages: int) -> None:
    async def fill(at: Desk) -> None:
        gateway = await at.gateway("e1", "gw-1", points=40)
        before = await at.store.size("e1")
        await _room(at.store, pages)
        sealed = [
            gateway.seal_rows(START_US + n * 61_000_000, [[n + k / 7 for k in range(40)]] * 30) for n in range(20)
        ]
        failed = 0
        for batch in sealed:
            try:
                answer = await at.post(gateway, [batch])
                assert answer.verdicts[0].status == "receipt"
            except StoreError:
                failed += 1
        assert failed
        assert await at.store.size("e1") == before + len(sealed) - failed
        await _room(at.store, None)
        answer = await at.post(gateway, sealed)
        assert {verdict.status for verdict in answer.verdicts} <= {"receipt", "duplicate"}
        assert answer.head is not None
        assert answer.head.seq == gateway.seq - 1
        gateway.check_answer(answer)

    async def run() -> None:
        async with desk(tmp_path) as at:
            await at.enterprise("e1")
            await fill(at)

    asyncio.run(run())
    assert asyncio.run(_faults(tmp_path)) == []


def test_the_server_answers_503_and_asks_to_be_stopped(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            gateway = await server.gateway("e1", "gw-1", points=40)
            await _room(server.app[STORE], 0)
            with pytest.raises(aiohttp.ClientResponseError) as refused:
                for n in range(50):
                    rows = [[n + k / 7 for k in range(40)]] * 30
                    await gateway.post(server.session, server.url, [gateway.seal_rows(START_US + n * 61_000_000, rows)])
            assert refused.value.status == 503
            assert server.app[FAILED].is_set()
            await _room(server.app[STORE], None)

    asyncio.run(run())
