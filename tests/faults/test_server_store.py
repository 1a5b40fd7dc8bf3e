"""A store that cannot write: nothing is acknowledged, the log stays whole, the process is told to stop."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.support.desk import Desk, desk
from tests.support.server import serving
from twin_server.context import FAILED, STORE
from twin_server.store import STORES, Store, Transaction
from twin_server.verify import verify
from twin_wire.errors import StoreError

START_US = 1_790_000_000_000_000
# Where there is no room any more: so many pages on, or at the first new row of a table.
POINTS = {
    "sqlite": ["0", "1", "2", "3", "5", "8"],
    "postgresql": ["head", "entry", "body", "slot", "checkpoint", "gateway", "chain", "point", "aggregate", "arrival"],
}
assert POINTS.keys() == STORES.keys()

_FULL = """
create function full_disk() returns trigger language plpgsql as
    $$ begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$"""


async def _fill(store: Store, point: str) -> None:
    """Leave the store no room at this point: what fails is the database itself."""

    def work(tx: Transaction) -> None:
        db = tx.db  # type: ignore[attr-defined]  # each store's own connection
        if point.isdigit():
            used = db.execute("pragma page_count").fetchone()[0]
            db.execute(f"pragma max_page_count = {used + int(point)}")
        else:
            db.execute(_FULL)
            db.execute(f"create trigger full_disk before insert or update on {point} execute function full_disk()")

    await store.write("e1", work)


async def _make_room(store: Store, point: str) -> None:
    def work(tx: Transaction) -> None:
        db = tx.db  # type: ignore[attr-defined]  # each store's own connection
        if point.isdigit():
            db.execute(f"pragma max_page_count = {1 << 30}")
        else:
            db.execute("drop function full_disk cascade")

    await store.write("e1", work)


async def _faults(target: str) -> list[str]:
    [report] = await verify(target, "e1", "", "", bodies=True, progress=lambda *_: None)
    return [fault.text for fault in report.faults]


def _scheme(url: str) -> str:
    return url.partition(":")[0]


def test_a_full_disk_acknowledges_nothing_and_leaves_the_log_whole(tmp_path: Path, store_url: str) -> None:
    async def fill(at: Desk, name: str, point: str) -> None:
        gateway = await at.gateway("e1", name, points=40)
        before = await at.store.size("e1")
        await _fill(at.store, point)
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
        await _make_room(at.store, point)
        answer = await at.post(gateway, sealed)
        assert {verdict.status for verdict in answer.verdicts} <= {"receipt", "duplicate"}
        assert answer.head is not None
        assert answer.head.seq == gateway.seq - 1
        gateway.check_answer(answer)

    async def run() -> None:
        async with desk(tmp_path / "data", store=store_url) as at:
            await at.enterprise("e1")
            for n, point in enumerate(POINTS[_scheme(store_url)]):
                await fill(at, f"gw-{n}", point)

    asyncio.run(run())
    assert asyncio.run(_faults(store_url)) == []


def test_the_server_answers_503_and_asks_to_be_stopped(tmp_path: Path, store_url: str) -> None:
    point = POINTS[_scheme(store_url)][0]

    async def run() -> None:
        async with serving(tmp_path / "data", store=store_url) as server:
            await server.enterprise("e1")
            gateway = await server.gateway("e1", "gw-1", points=40)
            await _fill(server.app[STORE], point)
            with pytest.raises(aiohttp.ClientResponseError) as refused:
                for n in range(50):
                    rows = [[n + k / 7 for k in range(40)]] * 30
                    await gateway.post(server.session, server.url, [gateway.seal_rows(START_US + n * 61_000_000, rows)])
            assert refused.value.status == 503
            assert server.app[FAILED].is_set()
            await _make_room(server.app[STORE], point)

    asyncio.run(run())
