"""What a store promises that several processes share: one order of entries, and news of what the others commit."""

import asyncio
import json
from hashlib import sha256
from pathlib import Path

import aiohttp

from tests.support.desk import desk
from tests.support.postgres import Postgres
from tests.support.server import serving
from twin_server import proofs
from twin_server.app import wall_clock
from twin_server.store import Transaction, open_store
from twin_server.store.rows import Acknowledgement, Enterprise, StoredBatch
from twin_server.timekeeper import state
from twin_server.verify import verify
from twin_wire.note import read_checkpoint

START_US = 1_790_000_000_000_000


def _next(tx: Transaction) -> None:
    index = tx.size()
    statement = f"statement {index}".encode()
    tx.append(
        StoredBatch(index, "gap", "gw", 1, index, 0, 0, 0, 0, False, True, sha256(statement).digest(), statement, None)
    )


def test_two_stores_write_one_log_and_each_hears_all_of_it_in_order(postgres_server: Postgres) -> None:
    url = postgres_server.schema()

    async def run() -> None:
        first, second = open_store(url), open_store(url)
        heard: dict[int, list[int]] = {0: [], 1: []}
        for which, store in enumerate((first, second)):
            store.subscribe(lambda _, batches, which=which: heard[which].extend(batch.index for batch in batches))
        await first.add_enterprise(Enterprise("e1", "e1", True, "localhost/e1", "key", 1))
        for _ in range(10):
            await asyncio.gather(*(store.write("e1", _next) for store in (first, second, first)))
        for _ in range(100):
            if len(heard[0]) == len(heard[1]) == 30:
                break
            await asyncio.sleep(0.1)
        assert heard[0] == heard[1] == list(range(30))
        await first.close()
        await second.close()

    asyncio.run(run())


def test_two_servers_answer_with_one_log(postgres_server: Postgres, tmp_path: Path) -> None:
    url = postgres_server.schema()

    async def run() -> None:
        async with desk(tmp_path, store=url) as one:
            await one.enterprise("e1")
            gateway = await one.gateway("e1", "gw-1")
            async with desk(tmp_path, store=url) as two:
                assert (await two.ledger.open("e1")).history_id == (await one.ledger.open("e1")).history_id
                size = 0
                for n in range(300):  # beyond one tile
                    at = (one, two)[n % 2]
                    answer = await at.post(
                        gateway, [gateway.seal_rows(START_US + n * 1_000_000, [[1.0, 2.0, 3.0]])], size
                    )
                    assert answer.verdicts[0].status == "receipt"
                    gateway.check_answer(answer)
                    assert answer.size == size + 1 or not size
                    size = answer.size
                stale = await one.ingest.answer("e1", "gw-1", size)  # told of the size by the other server
                assert stale.size == size
                book = await one.ledger.open("e1", size)
                assert read_checkpoint(book.note().encode(), [book.row.log_vkey]).size == size
                for index in (1, 150, size - 1):
                    found = await asyncio.gather(*(proofs.receipt(at.ledger, "e1", index) for at in (one, two)))
                    assert found[0] == found[1] is not None
                both = await asyncio.gather(*(state(at.store, at.ledger, "e1", now=True) for at in (one, two)))
                assert any(both)

    asyncio.run(run())
    [report] = asyncio.run(verify(url, "e1", "", "", bodies=True, progress=lambda *_: None))
    assert report.faults == []


def test_a_picture_on_one_server_shows_what_another_received(postgres_server: Postgres, tmp_path: Path) -> None:
    url = postgres_server.schema()

    async def run() -> None:
        async with serving(tmp_path, store=url) as one, serving(tmp_path, store=url) as two:
            await one.enterprise("e1")
            headers = await one.token("enterprise", "e1")
            gateway = await one.gateway("e1", "gw-1")
            live = two.url.replace("http", "ws", 1) + "/api/v1/enterprises/e1/live"
            async with two.session.ws_connect(live, headers=headers) as socket, asyncio.timeout(20):
                size, seen, frames = 0, -1, 0
                while seen < size or not size or not frames:
                    message = await socket.receive()
                    if message.type is aiohttp.WSMsgType.BINARY:
                        frames += 1
                        continue
                    told = json.loads(message.data)
                    seen = told.get("tree_size", seen)
                    if told["type"] == "tick" and not size:  # it is up: now something happens elsewhere
                        rows = [[1.0, 2.0, 3.0]]
                        size = (await gateway.post(one.session, one.url, [gateway.seal_rows(START_US, rows)])).size
                        frames = 0
                assert seen >= size > 3

    asyncio.run(run())


def test_a_text_the_database_cannot_hold_stops_nobody(postgres_server: Postgres) -> None:
    url = postgres_server.schema()

    async def run() -> None:
        store = open_store(url)
        await store.add_enterprise(Enterprise("e1", "e1", True, "localhost/e1", "key", 1))
        ack = Acknowledgement("gw", "p\0\ud800", "limit_high", 1, "u-1", wall_clock(), "no\0te", 1)
        await store.write("e1", lambda tx: tx.acknowledge(ack))
        [held] = await store.acknowledgements("e1")
        assert (held.point, held.note) == ("p�?", "no�te")
        assert await store.owner("gw\0") is None
        await store.close()

    asyncio.run(run())
