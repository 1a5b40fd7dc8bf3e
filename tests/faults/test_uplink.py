"""The way to a real server through cuts, lies, refusals, restored copies: nothing lost, nothing unproven believed."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from buffering.room import number_of, row_id
from tests.support.edge import Edge, Relay, enroll_folder, relaying
from tests.support.server import Server, serving
from tests.support.vfs import IOERR_WRITE, Layer, failing
from twin_server.context import LEDGER, STORE, WATCHED
from twin_server.verify import verify
from twin_wire.exchange import Answer, Verdict
from twin_wire.readings import Event
from twin_wire.statement import read


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    """Pauses of seconds become hundredths; everything else is as in the product."""
    for name in ("BACKOFF_S", "REJECTED_BACKOFF_S"):
        monkeypatch.setattr(f"edge_agent.uplink.{name}", (0.02, 0.1))
    monkeypatch.setattr("edge_agent.uplink.IDLE_S", 0.2)


@contextlib.asynccontextmanager
async def wired(tmp_path: Path) -> AsyncIterator[tuple[Server, Relay, Edge]]:
    """A server with one enterprise, a relay, and an enrolled gateway behind it."""
    async with serving(tmp_path / "data") as server, relaying(server.url) as relay:
        await server.enterprise("north")
        enroll_folder(tmp_path / "gw", await server.voucher("north", "gw-1"))
        edge = Edge(tmp_path / "gw", relay.url)
        try:
            await edge.seal_manifest()
            yield server, relay, edge
        finally:
            await edge.store.close()


def run(tmp_path: Path, scenario: Callable[[Server, Relay, Edge], object]) -> None:
    async def main() -> None:
        async with wired(tmp_path) as parts:
            await scenario(*parts)

    asyncio.run(main())


async def head_of(server: Server) -> int:
    (row,) = await server.app[STORE].gateways("north")
    return row.seq


def test_everything_arrives_in_order_with_receipts_and_the_log_is_followed(tmp_path):
    async def scenario(server, relay, edge):
        await edge.seal(20)
        async with edge.sending():
            await edge.sent()
            await edge.seal(5)
            await edge.sent()
            await edge.until(lambda: edge.uplink.receipts == 28)  # counted just after nothing waits any more
        assert await head_of(server) == edge.store.queue.position.seq - 1 == 27
        remote = edge.store.queue.remote
        assert remote.verified_size == 29  # the log's genesis is its own
        assert remote.anchored_id == row_id(1, 27)
        assert edge.rules == []
        await edge.seal()
        newest = edge.store.queue.offer()[0]
        assert read(newest.statement).chain.anchor_size == 29, "the next statement carries what was verified"

    run(tmp_path, scenario)


def test_a_cut_keeps_everything_and_lost_answers_make_no_second_copy(tmp_path):
    async def scenario(server, relay, edge):
        relay.lose_answers = 2
        await edge.seal(10)
        async with edge.sending():
            await edge.sent()
            relay.cut = True
            await edge.seal(30)
            await edge.until(lambda: edge.uplink.state == "offline")
            assert edge.store.unsent == 30
            assert not edge.uplink.link_up
            relay.cut = False
            await edge.sent()
            relay.status = 503
            await edge.seal(3)
            await edge.until(lambda: edge.uplink.state == "offline")
            relay.status = 0
            await edge.sent()
        assert await head_of(server) == 45
        assert edge.rules == []

    run(tmp_path, scenario)


def test_an_alarm_overtakes_the_backlog_and_the_newest_follow_it(tmp_path):
    async def scenario(server, relay, edge):
        async with edge.sending():
            await edge.sent()
        relay.posts.clear()
        await edge.seal(300)
        await edge.seal(1, Event("limit_high_1", 1, "ch4-face", 5, 0, "limits/1", {}, "high"))
        await edge.seal(300)
        order = [o.seq for o in edge.store.queue.offer(newest=4)]
        assert order[:5] == [303, 600, 601, 602, 603]
        async with edge.sending():
            await edge.sent()
        assert await head_of(server) == 603

    run(tmp_path, scenario)


def _with_verdicts(answer: Answer, change: Callable[[Verdict], Verdict]) -> Answer:
    return answer._replace(verdicts=tuple(change(verdict) for verdict in answer.verdicts))


def _bent_receipt(verdict: Verdict) -> Verdict:
    return verdict._replace(receipt=verdict.receipt and verdict.receipt[:-1] + b"\0")


def _bent_proof(answer: Answer) -> Answer:
    return answer._replace(consistency=(*answer.consistency[:-1], bytes(32))) if answer.consistency else answer


@pytest.mark.parametrize(
    ("lie", "rule"),
    [
        (lambda a: _with_verdicts(a, _bent_receipt), "receipt_invalid"),
        (lambda a: _with_verdicts(a, lambda v: v._replace(seq=v.seq + 1)), "receipt_invalid"),
        (lambda a: a._replace(checkpoint=a.checkpoint[:-6] + b"AAAA=\n"), "answer_invalid"),
        (lambda a: a._replace(size=a.size + 1), "answer_invalid"),
        (_bent_proof, "log_inconsistent"),
        (lambda a: a._replace(consistency_from=0, consistency=()), "log_inconsistent"),
    ],
    ids=["receipt", "number", "signature", "size", "consistency", "no-proof"],
)
def test_a_lie_of_the_server_is_an_event_and_nothing_is_let_go(tmp_path, lie, rule):
    async def scenario(server, relay, edge):
        async with edge.sending():
            await edge.sent()
            before = edge.store.queue.remote
            relay.edit = lie
            await edge.seal(5)
            await edge.until(lambda: rule in edge.rules)
            await asyncio.sleep(0.3)
            assert edge.store.queue.remote.verified_size in (before.verified_size, 9)
            assert edge.rules.count(rule) == 1, "said once"
            if rule == "log_inconsistent":
                assert edge.store.queue.remote.anchored_id == before.anchored_id
                assert edge.store.queue.remote.verified_size == before.verified_size
            relay.edit = None
            await edge.seal()
            await edge.until(lambda: any(e.rule == rule and e.end_us for e in edge.events))
            await edge.sent()
        assert await head_of(server) == 8

    run(tmp_path, scenario)


def test_a_batch_refused_for_good_is_set_aside_and_the_rest_goes_on(tmp_path):
    async def scenario(server, relay, edge):
        await edge.seal(6)
        bad = edge.store.queue.offer()[6].statement
        relay.refuse = lambda body: 400 if bad in body else 0
        async with edge.sending():
            await edge.sent()
            await edge.seal(2)
            await edge.sent()
        assert edge.uplink.refused == 1
        assert "batch_refused" in edge.rules
        assert edge.store.fill.quarantined == 1
        refused = read(bad).chain.seq
        assert await head_of(server) == refused - 1
        assert number_of(edge.store.queue.remote.anchored_id)[1] == 10, "what lies behind it may still be let go"

    run(tmp_path, scenario)


def test_a_manifest_the_server_lacks_is_given_when_asked_for(tmp_path):
    async def scenario(server, relay, edge):
        await edge.seal(2)
        edge.store.queue.quarantine(1, 2, "kept back by the test", 1)
        async with edge.sending():
            await edge.sent()
        assert relay.puts == 1
        assert edge.uplink.receipts == 4

    run(tmp_path, scenario)


def test_a_server_restored_from_a_backup_is_filled_again(tmp_path):
    async def main() -> None:
        async with serving(tmp_path / "data") as server:
            await server.enterprise("north")
            enroll_folder(tmp_path / "gw", await server.voucher("north", "gw-1"))
            edge = Edge(tmp_path / "gw", server.url)
            await edge.seal_manifest()
            await edge.seal(4)
            async with edge.sending():
                await edge.sent()
        await edge.store.close()
        shutil.copytree(tmp_path / "data", tmp_path / "backup")
        async with serving(tmp_path / "data") as server:
            edge = Edge(tmp_path / "gw", server.url)
            await edge.seal(5)
            async with edge.sending():
                await edge.sent()
            assert await head_of(server) == 11
        old_history = edge.store.queue.remote.history_id
        await edge.store.close()
        shutil.rmtree(tmp_path / "data")
        shutil.copytree(tmp_path / "backup", tmp_path / "data")
        async with serving(tmp_path / "data") as server:
            await server.app[LEDGER].declare_restored("north")
            edge = Edge(tmp_path / "gw", server.url)
            async with edge.sending():
                await edge.until(lambda: "server_restored" in edge.rules)
                await edge.sent()
            assert await head_of(server) == 11, "what the backup lacked was sent again"
            assert edge.store.queue.remote.history_id != old_history
            await edge.store.close()

    asyncio.run(main())


def test_what_the_server_lost_and_the_gateway_no_longer_keeps_is_named_in_the_log(tmp_path):
    async def main() -> None:
        async with serving(tmp_path / "data") as server:
            await server.enterprise("north")
            enroll_folder(tmp_path / "gw", await server.voucher("north", "gw-1"))
            edge = Edge(tmp_path / "gw", server.url)
            await edge.seal_manifest()
            await edge.seal(4)
            async with edge.sending():
                await edge.sent()
            shutil.copytree(tmp_path / "data", tmp_path / "backup")
            await edge.seal(5)
            async with edge.sending():
                await edge.sent()
            await edge.store.retain(-1_000_000)  # everything but the newest is safe, and old
            await edge.store.close()
        shutil.rmtree(tmp_path / "data")
        shutil.copytree(tmp_path / "backup", tmp_path / "data")
        async with serving(tmp_path / "data") as server:
            await server.app[LEDGER].declare_restored("north")
            edge = Edge(tmp_path / "gw", server.url)
            async with edge.sending():
                await edge.until(lambda: "server_restored" in edge.rules)
                await edge.sent()
            told = next(e for e in edge.events if e.rule == "server_restored")
            assert told.numbers["gone"] == 5
            assert told.numbers["lost"] == 4
            await edge.seal(1)
            async with edge.sending():
                await edge.sent()
            assert edge.rules.count("server_restored") == 1, "said once"
            await edge.store.close()
        (report,) = await verify(str(tmp_path / "data"), "north", "", "", True, lambda *_: None)
        assert report.faults == [], "the hole has a signed reason"

    asyncio.run(main())


@pytest.mark.parametrize("heals", [False, True])
def test_what_was_sent_from_memory_on_a_bad_disk_never_contradicts_what_comes_after(tmp_path, heals):
    async def main() -> None:
        layer = Layer(records=False)
        async with serving(tmp_path / "data") as server:
            await server.enterprise("north")
            enroll_folder(tmp_path / "gw", await server.voucher("north", "gw-1"))
            with layer.installed():
                edge = Edge(tmp_path / "gw", server.url)
                await edge.seal_manifest()
                await edge.seal(3)
                layer.fail = failing(layer.count + 11, IOERR_WRITE, True)  # a commit that fails and is on disk
                await edge.seal(4)
                assert edge.store.fault
                async with edge.sending():
                    await edge.sent()
                assert edge.store.queue.held == 5, "the record of what was left out, and the batches"
                if heals:
                    layer.fail = lambda *_: None
                    edge.store.queue._spill.hasten()
                    await edge.seal(1)
                    assert not edge.store.fault
                shutil.copytree(tmp_path / "gw/state", tmp_path / "cut")
                edge.store.queue._db.close()
                edge.store.state.close()
            shutil.rmtree(tmp_path / "gw/state")
            (tmp_path / "cut").rename(tmp_path / "gw/state")
            edge = Edge(tmp_path / "gw", server.url)
            assert await edge.store.record_damage() == (0 if heals else 1)
            await edge.seal(3)
            async with edge.sending():
                await edge.sent()
            assert "rollback" not in edge.rules
            assert edge.uplink.refused == 0, "no statement contradicts another"
            await edge.store.close()
        (report,) = await verify(str(tmp_path / "data"), "north", "", "", True, lambda *_: None)
        assert report.faults == []

    asyncio.run(main())


def test_an_old_copy_of_the_queue_is_noticed_and_its_forks_are_set_aside(tmp_path):
    async def main() -> None:
        async with serving(tmp_path / "data") as server:
            await server.enterprise("north")
            enroll_folder(tmp_path / "gw", await server.voucher("north", "gw-1"))
            edge = Edge(tmp_path / "gw", server.url)
            await edge.seal_manifest()
            await edge.seal(2)
            await edge.store.close()
            shutil.copytree(tmp_path / "gw/state", tmp_path / "old")
            edge = Edge(tmp_path / "gw", server.url)
            await edge.seal(6)
            async with edge.sending():
                await edge.sent()
            await edge.store.close()
            shutil.rmtree(tmp_path / "gw/state")
            shutil.copytree(tmp_path / "old", tmp_path / "gw/state")
            edge = Edge(tmp_path / "gw", server.url)
            async with edge.sending():
                await edge.until(lambda: "rollback" in edge.rules)
            assert next(e for e in edge.events if e.rule == "rollback").severity == 2
            await edge.store.close()

    asyncio.run(main())


def test_a_server_that_does_not_know_the_key_loses_nothing(tmp_path):
    async def main() -> None:
        async with serving(tmp_path / "data") as server, serving(tmp_path / "other") as other:
            for each in (server, other):
                await each.enterprise("north")
            await other.gateway("north", "gw-1")  # another box of that name
            enroll_folder(tmp_path / "gw", await server.voucher("north", "gw-1"))
            edge = Edge(tmp_path / "gw", other.url)
            await edge.seal_manifest()
            await edge.seal(3)
            async with edge.sending():
                await edge.until(lambda: edge.uplink.state == "rejected")
                await asyncio.sleep(0.3)
            assert edge.store.fill.quarantined == 0
            assert edge.store.unsent == 6
            await edge.store.close()

    asyncio.run(main())


def test_the_watch_hint_is_believed_for_a_while(tmp_path):
    async def scenario(server, relay, edge):
        server.app[WATCHED]["north"] = 1
        async with edge.sending():
            await edge.until(lambda: edge.uplink.watched)

    run(tmp_path, scenario)


def test_an_urgent_batch_does_not_wait_out_the_pause_between_attempts(tmp_path, monkeypatch):
    monkeypatch.setattr("edge_agent.uplink.BACKOFF_S", (30.0, 30.0))

    async def scenario(server, relay, edge):
        relay.cut = True
        await edge.seal(1)
        async with edge.sending():
            await edge.until(lambda: edge.uplink.state == "offline" and edge.uplink.backoff_s > 10)
            relay.cut = False
            await edge.seal(1)
            await asyncio.sleep(0.3)
            assert edge.store.unsent > 0, "an ordinary batch waits for the next attempt"
            edge.uplink.wake(urgent=True)
            await edge.sent()

    run(tmp_path, scenario)
