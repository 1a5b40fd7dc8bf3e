"""Reliability scenarios 14 to 18 and 21: keys, restored and divided servers, a killed primary, replays, poison."""

import asyncio
import random
import shutil
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.faults.test_two_servers import Servers
from tests.faults.test_two_servers import _check as check
from tests.faults.test_two_servers import _prepare as prepare
from tests.support.edge import Edge, enroll_folder
from tests.support.gateway import SealingGateway
from tests.support.postgres import Postgres
from tests.support.report import scenario
from tests.support.scenes import (
    ENTERPRISE,
    SECOND_US,
    ask,
    assert_whole,
    checked,
    entries,
    hasten,
    peak_mb,
    rss_mb,
    stretched,
    wired,
)
from tests.support.server import Server, serving
from twin_server.api import ROUTES
from twin_server.config import read_config
from twin_server.context import LEDGER
from twin_server.mirror import open_mirror
from twin_server.sources import LogReader
from twin_wire.errors import ProofError
from twin_wire.exchange import Verdict

NOW_US = 1_790_000_000_000_000
ROW = [[1.0, 2.0, 3.0]]
Record = Any  # pytest's record_property


async def verdict_of(server: Server, gateway: SealingGateway, envelope: bytes) -> Verdict:
    return (await gateway.post(server.session, server.url, [envelope])).verdicts[0]


async def revoke(server: Server, gateway: str, epoch: int) -> None:
    wish, admin = {"epoch": epoch, "reason": "stolen with the box"}, await server.token("admin")
    url = f"{server.url}/api/v1/enterprises/{ENTERPRISE}/gateways/{gateway}/revoke"
    async with server.session.post(url, json=wish, headers=admin) as answer:
        assert answer.status == 200, await answer.text()


@scenario(
    14,
    "a key is revoked, rotated, used by two gateways",
    "later batches refused, earlier valid; overlap works; a clone detected at its first fork",
)
def test_14_keys(tmp_path: Path, record_property: Record) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise(ENTERPRISE)
            old = await server.gateway(ENTERPRISE, "gw-1")
            assert (await verdict_of(server, old, old.seal_rows(NOW_US, ROW))).status == "receipt"
            new = await server.gateway(ENTERPRISE, "gw-1")
            assert new.voucher.epoch == old.voucher.epoch + 1
            assert new.key.public.raw != old.key.public.raw
            assert (await verdict_of(server, new, new.seal_rows(NOW_US, ROW))).status == "receipt"
            assert (await verdict_of(server, old, old.seal_rows(NOW_US, ROW))).status == "receipt", "keys overlap"
            await revoke(server, "gw-1", old.voucher.epoch)
            refused = await verdict_of(server, old, old.seal_rows(NOW_US, ROW))
            assert (refused.status, refused.receipt) == ("rejected", None)
            assert (await verdict_of(server, new, new.seal_rows(NOW_US, ROW))).status == "receipt"
            twin = SealingGateway(await server.voucher(ENTERPRISE, "gw-2"))
            await twin.post(server.session, server.url, twin.begin())
            seq, prev = twin.seq, twin.prev
            assert (await verdict_of(server, twin, twin.seal_rows(NOW_US, ROW))).status == "receipt"
            twin.seq, twin.prev = seq, prev  # the cloned card goes on from where it was copied
            assert (await verdict_of(server, twin, twin.seal_rows(NOW_US, [[9.0, 9.0, 9.0]]))).status == "rejected"
            alarms = await ask(server, "/alarms?active=1", await server.token("regulator", ENTERPRISE))
            assert "fork" in {alarm["rule"] for alarm in alarms}
            both = [e for e in await entries(server) if (e.gateway, e.seq) == ("gw-2", seq)]
            assert len(both) == 2, "both statements are in the log: proof for anyone"

    asyncio.run(run())
    faults = checked(tmp_path).faults
    assert [(fault.kind, fault.gateway) for fault in faults] == [("contradiction", "gw-2")]
    record_property("forks until the clone was found", 1)


async def mirrored(server: Server, folder: Path, vkey: str) -> int:
    """Let a regulator's copy look at the server once; return its size."""
    headers = await server.token("regulator", ENTERPRISE)
    with ThreadPoolExecutor(1) as executor:
        async with aiohttp.ClientSession(headers=headers) as session:
            log = LogReader(session, server.url, ENTERPRISE)
            mirror = await open_mirror(folder, ENTERPRISE, vkey, executor, lambda _: None, log)
            try:
                await mirror.look(log)
                return mirror.size
            finally:
                await mirror.close()


@scenario(
    15,
    "the server is restored from a backup older than what it acknowledged",
    "seen at the first exchange; the missing range sent again; the rest signed as a gap; the regulator's copy shows it",
)
def test_15_restored_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record) -> None:
    hasten(monkeypatch)

    async def feed(server: Server, count: int) -> Edge:
        edge = Edge(tmp_path / "gw", server.url)
        await edge.seal(count)
        async with edge.sending():
            await edge.sent()
        return edge

    async def run() -> None:
        async with serving(tmp_path / "data") as server:
            await server.enterprise(ENTERPRISE)
            enroll_folder(tmp_path / "gw", await server.voucher(ENTERPRISE, "gw-1"))
            edge = Edge(tmp_path / "gw", server.url)
            await edge.seal_manifest()
            await edge.store.close()
            await (await feed(server, 4)).store.close()
            vkey = (await server.app[LEDGER].open(ENTERPRISE)).row.log_vkey
        shutil.copytree(tmp_path / "data", tmp_path / "backup")
        async with serving(tmp_path / "data") as server:
            edge = await feed(server, 6)
            history = edge.store.queue.remote.history_id
            regulator = await mirrored(server, tmp_path / "copy", vkey)
            kept_until = edge.clock.time_us() // 1_000 + 1
            await edge.store.close()
            edge = await feed(server, 5)
            gone = edge.store.queue.retain(kept_until, 0)  # what the gateway had let go by then
            await edge.store.close()
        assert gone > 5
        shutil.copytree(tmp_path / "data/keys", tmp_path / "backup/keys", dirs_exist_ok=True)
        async with serving(tmp_path / "backup") as server:
            assert len(await entries(server)) < regulator
            edge = Edge(tmp_path / "gw", server.url)
            async with edge.sending():
                await edge.until(lambda: "server_restored" in edge.rules)
                await edge.sent()
            assert edge.store.queue.remote.history_id != history
            logged = await entries(server)
            assert any(e.kind == "gap" for e in logged), "what cannot be sent again is a signed gap"
            again = [e for e in logged if e.gateway == "gw-1" and e.kind == "data"]
            with pytest.raises(ProofError):
                await mirrored(server, tmp_path / "copy", vkey)
            record_property("batches of readings that the lost server had acknowledged", 15)
            record_property("of them there after the refill, the rest named in gap records", len(again))
            await edge.store.close()

    asyncio.run(run())
    assert {fault.kind for fault in checked(tmp_path / "backup").faults} <= {"anchor"}
    assert list((tmp_path / "copy").glob("contradiction-*.note")), "both signed heads are kept"


@scenario(
    16,
    "the primary of two servers on one database is killed during a burst",
    "no acked batch missing; the other takes over <= 5 s; the old one comes back without another history",
)
@pytest.mark.parametrize("kills", [1, pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_16_primary_killed(tmp_path: Path, postgres_server: Postgres, record_property: Record, kills: int) -> None:
    url, over_s, chance = postgres_server.schema(), [], random.Random(16)
    servers = Servers(tmp_path, url)
    roamers = asyncio.run(prepare(read_config(str(servers.config)), chance))

    def receipts() -> int:
        return sum(len(roamer.receipts) for roamer in roamers)

    async def burst() -> None:
        stop = asyncio.Event()
        tasks = [asyncio.create_task(roamer.run(servers, stop)) for roamer in roamers]
        try:
            for _ in range(kills):
                await asyncio.sleep(chance.uniform(0.5, 1.0))
                servers.kill(0)
                before, begin_s = receipts(), time.monotonic()
                while receipts() < before + len(roamers):
                    assert time.monotonic() < begin_s + 20
                    await asyncio.sleep(0.01)
                over_s.append(time.monotonic() - begin_s)
                await asyncio.to_thread(servers.start, 0)
        finally:
            stop.set()
            await asyncio.gather(*tasks)

    try:
        for which in (0, 1):
            servers.start(which)
        asyncio.run(burst())
        for which in (0, 1):
            servers.stop(which)
    finally:
        for which in (0, 1):
            servers.kill(which)
    asyncio.run(check(url, roamers))
    record_property("kills", kills)
    record_property("acknowledged, all of them in the one log", receipts())
    record_property("the other server goes on after, worst s", round(max(over_s), 2))
    assert max(over_s) <= stretched(5.0)


@scenario(17, "two servers both accept (split brain), then heal", "union, no contradiction; two heads are an alarm")
def test_17_split_brain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record) -> None:
    hasten(monkeypatch)

    async def run() -> None:
        async with wired(tmp_path) as (server, _, edge):
            async with edge.sending():
                await edge.seal(3)
                await edge.sent()
            vkey = (await server.app[LEDGER].open(ENTERPRISE)).row.log_vkey
        shutil.copytree(tmp_path / "data", tmp_path / "half")
        async with serving(tmp_path / "data") as one, serving(tmp_path / "half") as two:
            stray = await two.gateway(ENTERPRISE, "gw-9")  # each half goes on alone
            edge = Edge(tmp_path / "gw", two.url)
            async with edge.sending():
                await edge.seal(4)
                await edge.sent()
            await edge.store.close()
            await one.gateway(ENTERPRISE, "gw-8")
            await mirrored(two, tmp_path / "copy", vkey)
            edge = Edge(tmp_path / "gw", one.url)  # healed: all come back to one
            async with edge.sending():
                await edge.until(lambda: "log_inconsistent" in edge.rules)
                for _ in range(400):  # the gateway first has to hear what this half holds
                    held = {e.seq for e in await entries(one) if e.gateway == "gw-1"}
                    if len(held) == edge.store.queue.position.seq:
                        break
                    await asyncio.sleep(0.05)
            await assert_whole(one, edge)
            assert next(e for e in edge.events if e.rule == "log_inconsistent").severity == 2
            with pytest.raises(ProofError):
                await mirrored(one, tmp_path / "copy", vkey)
            assert stray.id == "gw-9"
            await edge.store.close()

    asyncio.run(run())
    kinds = {fault.kind for fault in checked(tmp_path / "data").faults}
    assert kinds <= {"anchor"}, "no contradiction between statements; an anchor in the other half is named"
    record_property("faults that name the other half", sorted(kinds))


@scenario(18, "captured batch replayed, foreign token on every route", "no effect; 0 cross-enterprise bytes")
def test_18_foreign_hands(tmp_path: Path, record_property: Record) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise(ENTERPRISE)
            await server.enterprise("south")
            gateway, foreign = await server.gateway(ENTERPRISE, "gw-1"), await server.gateway("south", "gw-2")
            sealed = gateway.seal_rows(NOW_US, ROW)
            await gateway.post(server.session, server.url, [sealed])
            size = len(await entries(server))
            for _ in range(20):
                assert (await verdict_of(server, gateway, sealed)).status == "duplicate"
                assert (await verdict_of(server, foreign, sealed)).receipt is None
            assert len([e for e in await entries(server) if e.gateway == "gw-1"]) == size - 1
            assert all(e.gateway != "gw-1" for e in await entries(server, "south"))
            book = await server.app[LEDGER].open(ENTERPRISE)
            secrets = [book.row.log_vkey, book.history_id, gateway.key.public.raw.hex(), book.last.root.hex()]
            asked = 0
            for role in ("enterprise", "regulator", "installer"):
                headers = await server.token(role, "south")
                for route in ROUTES:
                    path = route.path.replace("{e}", ENTERPRISE).replace("{p}", "gw-1:p0").replace("{g}", "gw-1")
                    url = server.url + path.replace("{tag}", "t1").replace("{id}", "1").replace("{kind}", "x")
                    query = {p.name: "1" if p.kind is not str else "because" for p in route.parameters}
                    async with server.session.request(
                        route.method, url, headers=headers, params=query, json={}
                    ) as answer:
                        text = await answer.text()
                        if "{e}" in route.path:
                            assert answer.status in (403, 404), (route.path, answer.status)
                        assert not any(secret in text for secret in secrets), route.path
                        assert "gw-1" not in text.replace(path, ""), route.path
                        asked += 1
            record_property("requests with a foreign token", asked)

    asyncio.run(run())
    assert checked(tmp_path).faults == []


@scenario(
    21,
    "poison: malformed, oversize, decompression bomb, a storm of NaN",
    "set aside < 1 s, following batches flow, memory + < 50 MB",
)
def test_21_poison(tmp_path: Path, record_property: Record) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise(ENTERPRISE)
            gateway = await server.gateway(ENTERPRISE, "gw-1")
            nan, bomb = float("nan"), zlib.compress(bytes(100 << 20), 9)
            poison = {
                "malformed": gateway.seal("data", b"\xff" * 500),
                "record that is none": gateway.seal("gap", zlib.compress(b"\xbf" * 900)),
                "decompression bomb": gateway.seal("gap", bomb),
                "bomb as readings": gateway.seal("manifest", bomb),
                "storm of NaN": gateway.seal_rows(NOW_US, [[nan, nan, nan]] * 20_000),
                "oversize": gateway.seal("data", bytes((1 << 20) + 1)),
            }
            before_mb, slowest_s = rss_mb(), 0.0
            peak_mb(reset=True)
            for name, envelope in poison.items():
                begin_s = time.monotonic()
                verdict = await verdict_of(server, gateway, envelope)
                slowest_s = max(slowest_s, time.monotonic() - begin_s)
                expected = ("receipt",) if name == "storm of NaN" else ("rejected", "need_manifest")
                assert verdict.status in expected, (name, verdict)
                good = await verdict_of(server, gateway, gateway.seal_rows(NOW_US + 30_000 * SECOND_US, ROW))
                assert good.status == "receipt", name
            points = await ask(server, "/points", await server.token("regulator", ENTERPRISE))
            assert points[0]["value"] == 1.0
            record_property("poisons", len(poison))
            record_property("slowest answer s", round(slowest_s, 3))
            record_property("memory at the peak, + MB", round(peak_mb() - before_mb, 1))
            assert slowest_s < stretched(1.0)
            assert peak_mb() - before_mb < 50

    asyncio.run(run())
