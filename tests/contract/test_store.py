"""What every store promises, run against each scheme."""

import asyncio
import math
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256

import numpy as np
import pytest

from tests.support.stores import Test, append, entry, event, runner
from twin_server.store import Store, Transaction, open_store
from twin_server.store.rows import (
    LEVELS_US,
    AggregateBlock,
    Arrivals,
    Chain,
    Checkpoint,
    Enterprise,
    Gateway,
    StoredDocument,
)
from twin_wire.errors import ConfigError, StoreError

MINUTE = LEVELS_US[0]
SLOT = 10 * MINUTE


@pytest.fixture
def run(store_url: str) -> Callable[[Test], None]:
    """Return a function that runs a test on a fresh store with the enterprises e1 and e2."""
    return runner(store_url)


def test_entries_come_back_byte_for_byte_in_log_order(run: Callable[[Test], None]) -> None:
    async def test(store: Store) -> None:
        entries = [entry(0, kind="genesis"), entry(1), entry(2, kind="gap"), entry(3)]
        await store.write("e1", append(*entries))
        assert await store.size("e1") == 4
        assert await store.size("e2") == 0
        assert await store.entries("e1", 0, 10) == entries
        assert [e.index for e in await store.entries("e1", 0, 10, without="data")] == [0, 2]
        assert [e.index for e in await store.entries("e1", 1, 2)] == [1, 2]
        assert (await store.entries("e1", 3, 1, bodies=False))[0].body is None
        assert await store.entry("e1", 2) == entries[2]
        assert await store.entry("e1", 4) is None
        assert await store.entry("e2", 2) is None
        assert await store.body("e1", entries[1].digest) == b"body 1"
        assert await store.body("e2", entries[1].digest) is None

    run(test)


def test_what_the_work_raises_undoes_all_of_it(run: Callable[[Test], None]) -> None:
    async def test(store: Store) -> None:
        def work(tx: Transaction) -> None:
            tx.append(entry(0))
            tx.put_note("n", b"x")
            raise KeyError("stop")

        with pytest.raises(KeyError):
            await store.write("e1", work)
        assert await store.size("e1") == 0
        assert await store.note("e1", "n") is None

    run(test)


def test_on_commit_hears_of_every_commit_once_and_in_order(run: Callable[[Test], None]) -> None:
    async def test(store: Store) -> None:
        heard: list[tuple[str, list[int]]] = []
        store.subscribe(lambda enterprise, batches: heard.append((enterprise, [b.index for b in batches])))
        await store.write("e1", append(entry(0), entry(1)))
        await store.write("e1", lambda tx: tx.put_note("n", b"x"))
        given_up = asyncio.ensure_future(store.write("e1", append(entry(2))))
        await asyncio.sleep(0)
        given_up.cancel()
        await store.write("e2", append(entry(0)))
        await store.write("e1", append(entry(3)))
        assert [item for item in heard if item[0] == "e1"] == [("e1", [0, 1]), ("e1", [2]), ("e1", [3])]
        assert ("e2", [0]) in heard

    run(test)


def test_a_number_is_taken_once_but_contradictions_are_kept_beside_it(run: Callable[[Test], None]) -> None:
    async def test(store: Store) -> None:
        await store.write("e1", append(entry(0), entry(1)._replace(seq=0, disputed=True)))
        found = await store.find("e1", "gw-1", 1, 0)
        assert found is not None
        assert found.index == 0
        with pytest.raises(StoreError):
            await store.write("e1", append(entry(2)._replace(seq=0)))
        assert await store.size("e1") == 2
        assert await store.numbered("e1", "gw-1", 1, 0, 9) == [0]

    run(test)


def test_batches_are_found_by_event_time_each_once(run: Callable[[Test], None]) -> None:
    async def test(store: Store) -> None:
        entries = [
            entry(0, 5 * SLOT, 5 * SLOT + 9),
            entry(1, 2 * SLOT, 2 * SLOT + 9),
            entry(2, 2 * SLOT - 5, 2 * SLOT + 5),
            entry(3, 2 * SLOT + 1, 2 * SLOT + 2, gateway="gw-2"),
            entry(4, 2 * SLOT, 2 * SLOT, kind="gap"),
            entry(5, 2 * SLOT, 2 * SLOT)._replace(disputed=True),
            entry(6, 2 * SLOT, 2 * SLOT)._replace(readable=False),
        ]
        await store.write("e1", append(*entries))

        async def found(from_us: int, to_us: int, **only: str) -> list[int]:
            return [batch.index async for batch in store.batches("e1", from_us, to_us, **only)]

        assert await found(0, 9 * SLOT) == [2, 1, 3, 0]
        assert await found(2 * SLOT, 3 * SLOT) == [2, 1, 3]
        assert await found(2 * SLOT + 6, 3 * SLOT) == [1]
        assert await found(2 * SLOT, 2 * SLOT + 1) == [2, 1]
        assert await found(0, 9 * SLOT, gateway="gw-2") == [3]
        assert await found(0, 9 * SLOT, kind="gap") == [4]
        assert await found(0, 9 * SLOT, kind="") == [2, 1, 4, 3, 0]
        assert await found(-SLOT, 0) == []
        newest = await store.latest("e1", "gw-1", 5 * SLOT)
        assert newest is not None
        assert newest.index == 1

    run(test)


def _block(points: tuple[str, ...], t0_us: int, *cells: tuple[float, ...]) -> AggregateBlock:
    """Return a block from one (n, bad, min, max, sum, last, last_us) per point."""
    n, bad, low, high, total, last, last_us = (np.array(column) for column in zip(*cells, strict=True))
    whole = (n.astype(np.int64), bad.astype(np.int64))
    return AggregateBlock(points, MINUTE, t0_us, *whole, low, high, total, last, last_us.astype(np.int64))


def test_aggregates_merge_whatever_the_order(run: Callable[[Test], None]) -> None:
    async def test(store: Store) -> None:
        nan = math.nan
        pair = ("p0", "p1")
        early = _block(("p0",), 0, (2, 0, 1.0, 2.0, 3.0, 2.0, 20))
        late = _block(pair, 0, (1, 1, 5.0, 5.0, 5.0, 5.0, 50), (1, 0, 9.0, 9.0, 9.0, 9.0, 9))
        empty = _block(pair, MINUTE, (0, 3, nan, nan, 0.0, nan, 0), (1, 0, 9.0, 9.0, 9.0, 9.0, 9))
        other = _block(("p0",), 0, (1, 0, 9.0, 9.0, 9.0, 9.0, 9))
        await store.write("e1", lambda tx: tx.add_aggregates("gw-1", [late, empty]))
        await store.write("e1", lambda tx: tx.add_aggregates("gw-1", [early]))
        await store.write("e1", lambda tx: tx.add_aggregates("gw-2", [other]))
        found = await store.aggregates("e1", "gw-1", "p0", MINUTE, 0, 10 * MINUTE)
        assert found.t0_us.tolist() == [0, MINUTE]
        assert (found.n.tolist(), found.bad.tolist()) == ([3, 0], [1, 3])
        assert (found.min[0], found.max[0], found.sum[0], found.last[0]) == (1.0, 5.0, 8.0, 5.0)
        assert found.last_us.tolist() == [50, 0]
        assert all(math.isnan(column[1]) for column in (found.min, found.max, found.last))
        assert (await store.aggregates("e1", "gw-1", "p0", MINUTE, MINUTE, 2 * MINUTE)).t0_us.tolist() == [MINUTE]
        assert (await store.aggregates("e1", "gw-1", "p1", MINUTE, 0, MINUTE)).n.tolist() == [1]
        assert (await store.aggregates("e1", "gw-2", "p0", MINUTE, 0, MINUTE)).max.tolist() == [9.0]
        assert (await store.aggregates("e1", "gw-1", "nobody", MINUTE, 0, MINUTE)).n.size == 0
        assert (await store.aggregates("e2", "gw-1", "p0", MINUTE, 0, MINUTE)).n.size == 0

    run(test)


def test_points_keep_their_history_through_any_grouping_and_a_write_undone(run: Callable[[Test], None]) -> None:
    async def test(store: Store) -> None:
        points = tuple(f"p{n}" for n in range(150))

        def cells(names: tuple[str, ...], t0_us: int) -> AggregateBlock:
            values = [
                (1, 0, float(name[1:]), float(name[1:]), float(name[1:]), float(name[1:]), t0_us) for name in names
            ]
            return _block(names, t0_us, *values)

        def undone(tx: Transaction) -> None:
            tx.add_aggregates("gw-1", [cells(points[:3], 0)])
            raise KeyError("undo")

        with pytest.raises(KeyError):
            await store.write("e1", undone)
        groupings = [(points[100:], points[:100]), (points[::-1],), (points[::2], points[1::2], ("p150", "p7"))]
        writes = []
        for minute, groups in enumerate(groupings):
            blocks = [cells(group, minute * MINUTE) for group in groups]
            writes.append(store.write("e1", lambda tx, blocks=blocks: tx.add_aggregates("gw-1", blocks)))
        await asyncio.gather(*writes)
        for name in (*points, "p150"):
            found = await store.aggregates("e1", "gw-1", name, MINUTE, 0, 10 * MINUTE)
            expected = {"p150": [150.0], "p7": [7.0, 7.0, 14.0]}.get(name, [float(name[1:])] * 3)
            assert found.sum.tolist() == expected

    run(test)


def test_points_added_later_share_no_row_with_another_gateway(run: Callable[[Test], None]) -> None:
    async def test(store: Store) -> None:
        one = (1, 0, 1.0, 1.0, 1.0, 1.0, 1)
        blocks = {"gw-1": _block(("p0",), 0, one), "gw-2": _block(("p0",), 0, one)}
        for gateway in ("gw-1", "gw-2"):
            await store.write("e1", lambda tx, gateway=gateway: tx.add_aggregates(gateway, [blocks[gateway]]))

        def both(tx: Transaction) -> None:
            tx.add_aggregates("gw-1", [_block(("p0", "p1"), 0, one, one)])
            tx.add_aggregates("gw-2", [blocks["gw-2"]])

        await store.write("e1", both)
        found = {
            (gateway, point): (await store.aggregates("e1", gateway, point, MINUTE, 0, MINUTE)).n.tolist()
            for gateway, point in (("gw-1", "p0"), ("gw-1", "p1"), ("gw-2", "p0"))
        }
        assert found == {("gw-1", "p0"): [2], ("gw-1", "p1"): [1], ("gw-2", "p0"): [2]}

    run(test)


def test_arrivals_add_up(run: Callable[[Test], None]) -> None:
    async def test(store: Store) -> None:
        row = Arrivals("gw-1", 0, 1, 30, 29, 3, 500)
        await store.write("e1", lambda tx: tx.add_arrivals([row, row._replace(delay_us=100)]))
        assert await store.arrivals("e1", 0, MINUTE) == [Arrivals("gw-1", 0, 2, 60, 58, 6, 500)]
        assert await store.arrivals("e1", MINUTE, 2 * MINUTE) == []

    run(test)


def test_an_older_word_about_a_condition_never_replaces_a_newer(run: Callable[[Test], None]) -> None:
    async def test(store: Store) -> None:
        await store.write("e1", lambda tx: tx.put_event(event(10, end_us=90, seq=5, text="over")))
        await store.write("e1", lambda tx: tx.put_event(event(10, seq=3, text="begins")))
        await store.write("e1", lambda tx: tx.put_event(event(20, seq=6)))
        [second, first] = await store.events("e1")
        assert (first.text, first.end_us, first.index, first.received_us) == ("over", 90, 5, 5)
        assert first.numbers["value"] == 1.5
        assert math.isnan(first.numbers["limit"])
        assert [event.begin_us for event in await store.events("e1", active=True)] == [second.begin_us] == [20]
        assert [event.begin_us for event in await store.events("e1", 91, 200)] == [20]
        assert await store.events("e1", 0, 10) == []
        assert await store.events("e2") == []

    run(test)


def test_gateways_chains_documents_and_heads_come_back(run: Callable[[Test], None]) -> None:
    async def test(store: Store) -> None:
        gateway = Gateway("gw-1", "甲", "pit", b"k" * 8, b"p" * 32, 2, 3, -1, 7, b"h" * 32, ((2, 9, 11),), 5, 6, 0)
        chain = Chain("gw-1", 2, b"k" * 8, b"p" * 32, 3, -1, 7, b"h" * 32, ((9, 11), (13, 13)))
        body = b"manifest"
        document = StoredDocument(4, "manifest", "gw-1", sha256(body).digest(), 100, 200, body)

        def work(tx: Transaction) -> None:
            tx.put_gateway(gateway)
            tx.put_chain(chain)
            tx.put_chain(chain._replace(epoch=1))
            tx.put_document(document)
            tx.put_document(document._replace(index=9, valid_from_us=50))
            tx.put_tile(0, 0, b"t" * 8192, b"r" * 32)
            tx.put_checkpoint(Checkpoint(2, b"r" * 32, 11))
            tx.put_checkpoint(Checkpoint(5, b"s" * 32, 12))
            assert tx.gateway("gw-1") == gateway
            assert tx.chain("gw-1", 2) == chain
            assert [each.epoch for each in tx.chains("gw-1")] == [1, 2]
            assert tx.tile(0, 0) == b"t" * 8192
            assert tx.has_body(document.digest)
            assert not tx.has_body(bytes(32))

        await store.write("e1", work)
        assert await store.gateways("e1") == [gateway]
        assert [each.epoch for each in await store.chains("e1")] == [1, 2]
        assert [each.index for each in await store.documents("e1", "manifest")] == [9, 4]
        assert await store.documents("e1", "manifest", "gw-2") == []
        assert await store.document("e1", document.digest[:8]) == document._replace(index=9, valid_from_us=50)
        assert await store.document("e1", bytes(8)) is None
        assert await store.tile_roots("e1", 0, 0, 3) == [b"r" * 32]
        assert await store.checkpoint_at("e1", 2) == Checkpoint(5, b"s" * 32, 12)
        assert await store.checkpoint_at("e1", 5) is None
        assert [each.size for each in await store.checkpoints("e1", 0, 9)] == [2, 5]

    run(test)


def test_everything_is_there_after_closing_and_opening_again(store_url: str) -> None:
    async def write() -> None:
        store = open_store(store_url)
        await store.add_enterprise(Enterprise("e1", "One", False, "localhost/e1", "key", 1))
        await store.write("e1", append(entry(0)))
        await store.close()
        with pytest.raises(StoreError):
            await store.size("e1")

    async def read() -> None:
        store = open_store(store_url)
        assert await store.entry("e1", 0) == entry(0)
        with pytest.raises(StoreError):
            await store.size("e9")
        await store.close()

    asyncio.run(write())
    asyncio.run(read())


def test_an_unknown_scheme_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="no store"):
        open_store("nothing:here")


def test_a_scheme_without_its_package_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from twin_server.store import open_store\n"
        "try: open_store('postgresql://nobody@nowhere/db')\n"
        "except Exception as fault: sys.exit(f'{type(fault).__name__} {fault.hint}')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.strip() == "ConfigError install mine-twin[postgres]"
