"""Reliability scenarios 12 and 13: bit rot and lost tails, in the queue, in the store and on the wire."""

import asyncio
import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.faults import test_queue_images
from tests.support.edge import Edge
from tests.support.gateway import SealingGateway
from tests.support.report import scenario
from tests.support.scenes import ENTERPRISE, SECOND_US, assert_whole, checked, entries, hasten, wired
from tests.support.server import serving
from twin_wire.exchange import read_answer

START_US = 1_760_000_000_000_000
Record = Any  # pytest's record_property
flip_the_queue = test_queue_images.test_a_flipped_bit_is_told_or_harmless_and_never_sends_a_wrong_batch


@scenario(12, "bit rot in queue, block store and on the wire", "all detected, batch named, never shown as verified")
@pytest.mark.parametrize("flips", [60, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
def test_12_bit_rot(tmp_path: Path, record_property: Record, flips: int) -> None:
    chance = random.Random(12)
    (tmp_path / "queue").mkdir()
    flip_the_queue(tmp_path / "queue", record_property, flips)
    asyncio.run(_wire_flips(tmp_path, chance, flips))
    file = tmp_path / "data/enterprises" / f"{ENTERPRISE}.db"
    for _ in range(flips):
        with sqlite3.connect(file) as db:
            table, key, column = chance.choice((("entry", "idx", "statement"), ("body", "digest", "body")))
            query = f"select {key}, {column} from {table} order by random() limit 1"
            place, data = db.execute(query).fetchone()
            digest = place if table == "body" else b""
            bad = bytearray(data)
            bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
            db.execute(f"update {table} set {column} = ? where {key} = ?", (bytes(bad), place))
            named = (
                {place}
                if table == "entry"
                else {row[0] for row in db.execute("select idx from entry where digest = ?", (digest,))}
            )
        faults = checked(tmp_path / "data").faults
        assert named & {fault.index for fault in faults}, (table, place)
        altered = {fault.index for fault in faults if fault.kind in ("altered", "form", "signature")}
        assert altered <= named, "a neighbour was called altered"
        with sqlite3.connect(file) as db:
            db.execute(f"update {table} set {column} = ? where {key} = ?", (data, place))
    assert checked(tmp_path / "data").faults == []
    record_property("flips in the server's store, each named with its entry", flips)
    record_property("flips on the wire, none acknowledged", flips)


async def _wire_flips(tmp_path: Path, chance: random.Random, flips: int) -> None:
    async with serving(tmp_path / "data") as server:
        await server.enterprise(ENTERPRISE)
        gateway: SealingGateway = await server.gateway(ENTERPRISE, "gw-1")
        for n in range(12):
            await gateway.post(server.session, server.url, [gateway.seal_rows(START_US + n * SECOND_US, [[n, 1, 2]])])
        good = gateway.seal_rows(START_US, [[1.0, 2.0, 3.0]] * 4)
        for _ in range(flips):
            bad = bytearray(good)
            bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
            url = f"{server.url}/api/v1/gateways/gw-1/batches"
            async with server.session.post(
                url, data=bytes(bad), headers={"Content-Type": "application/cbor"}
            ) as answer:
                if answer.status == 200:
                    assert read_answer(await answer.read()).verdicts[0].receipt is None
                else:
                    assert answer.status == 400
        answer = await gateway.post(server.session, server.url, [good])
        assert answer.verdicts[0].status == "receipt", "the neighbours go on"


@scenario(
    13, "the tail of a log is cut off or zeroed", "a shorter history is never silent, at the server or the gateway"
)
@pytest.mark.parametrize("harm", ["cut", "zeroed"])
def test_13_tail_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record, harm: str) -> None:
    hasten(monkeypatch)

    def spoil(log: Path, keep: int) -> None:
        data = log.read_bytes()
        assert keep < len(data)
        log.write_bytes(data[:keep] + (b"" if harm == "cut" else bytes(len(data) - keep)))

    async def run() -> None:
        async with wired(tmp_path) as (server, _, edge):
            await edge.seal(4)
            async with edge.sending():
                await edge.sent()
                keep = (tmp_path / "data/enterprises" / f"{ENTERPRISE}.db-wal").stat().st_size
                shutil.copytree(tmp_path / "gw", tmp_path / "old")
                for _ in range(6):
                    await edge.seal()
                    await edge.sent()
            shutil.copytree(tmp_path / "data", tmp_path / "spoilt")
            size = len(await entries(server))
        spoil(tmp_path / "spoilt/enterprises" / f"{ENTERPRISE}.db-wal", keep)
        shutil.copy(tmp_path / "data/keys" / f"{ENTERPRISE}.size", tmp_path / "spoilt/keys")
        async with serving(tmp_path / "spoilt") as server:
            shorter = len(await entries(server))
            assert shorter < size
            edge = Edge(tmp_path / "gw", server.url)
            async with edge.sending():
                await edge.until(lambda: "server_restored" in edge.rules)
                await edge.sent()
            await assert_whole(server, edge)
            assert "restore" in {entry.kind for entry in await entries(server)}, "the log itself says so"
            await edge.store.close()
            shutil.rmtree(tmp_path / "gw/state")
            shutil.copytree(tmp_path / "old/state", tmp_path / "gw/state")
            old = Edge(tmp_path / "gw", server.url)
            async with old.sending():
                await old.until(lambda: "rollback" in old.rules)
            await old.store.close()
        record_property(f"entries {harm} and sent again", size - shorter)

    asyncio.run(run())
    faults = checked(tmp_path / "spoilt").faults
    assert {fault.kind for fault in faults} == {"anchor"}, "the gateway's anchors show the lost history from inside"
