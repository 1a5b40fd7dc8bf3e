"""Posts on their way into the log: order, duplicates, contradictions, manifests, and what is refused."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.support import small_mine
from tests.support.desk import Desk, desk, runner, statuses
from tests.support.gateway import SealingGateway
from twin_server.admit import FORKS_LOGGED_MAX
from twin_server.store.rows import LEVELS_US
from twin_wire.errors import FormatError
from twin_wire.exchange import Head
from twin_wire.manifest import digest, encode_manifest
from twin_wire.records import encode_record
from twin_wire.statement import statement_hash

START_US = 1_760_000_000_000_000
ROW = [[1.0, 2.0, 3.0]]
Test = Callable[[Desk], Awaitable[None]]


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Test], None]:
    """Return a function that runs a test on a fresh server with the enterprise e1."""
    return runner(tmp_path)


def _data(gateway: SealingGateway, count: int) -> list[bytes]:
    return [gateway.seal_rows(START_US + n * 10_000_000, ROW) for n in range(count)]


def test_batches_may_come_in_any_order_and_a_hole_is_a_notice(run: Callable[[Test], None]) -> None:
    async def test(at: Desk) -> None:
        gateway = await at.gateway("e1", "gw-1")
        sealed = _data(gateway, 6)
        answer = await at.post(gateway, [sealed[4], sealed[1]])
        assert statuses(answer) == ["receipt", "receipt"]
        assert answer.verdicts[0].detail == "hole: 3 of epoch 1 is missing"
        assert answer.head is not None
        assert (answer.head.seq, answer.above) == (2, ((1, 4, 4), (1, 7, 7)))
        answer = await at.post(gateway, [sealed[0], sealed[5]])
        assert answer.head is not None
        assert (answer.head.seq, answer.above) == (4, ((1, 7, 8),))
        answer = await at.post(gateway, [sealed[3], sealed[2]])
        assert answer.head == Head(1, 8, statement_hash(gateway.sealed[-1]))
        assert answer.above == ()

    run(test)


def test_what_is_computed_from_the_log_does_not_depend_on_the_order(tmp_path: Path) -> None:
    async def state(folder: Path, order: list[int]) -> tuple[object, ...]:
        async with desk(folder, lambda: START_US + 10**9) as at:
            await at.enterprise("e1")
            gateway = SealingGateway(await at.voucher("e1", "gw-1"), seed=bytes(32), now_s=START_US / 1e6)
            await at.post(gateway, gateway.begin())
            sealed = []
            for n in range(6):
                event = small_mine.event(START_US, end_us=START_US + 5 if n == 4 else 0)
                events = [event] if n in (1, 4) else []
                sealed.append(gateway.seal_rows(START_US + n * 37_000_000, [[n, -n, 0.5 * n]] * 9, events))
            for n in order:
                await at.post(gateway, [sealed[n]])
            found: list[object] = []
            for level in LEVELS_US:
                columns = await at.store.aggregates("e1", "gw-1", "p1", level, 0, 1 << 60)
                found.append([column.tolist() for column in columns])
            found.append(await at.store.arrivals("e1", 0, 1 << 60))
            found.append([(e.begin_us, e.end_us, e.seq) for e in await at.store.events("e1")])
            return tuple(found)

    straight = asyncio.run(state(tmp_path / "a", [0, 1, 2, 3, 4, 5]))
    assert asyncio.run(state(tmp_path / "b", [5, 2, 4, 0, 3, 1])) == straight
    assert asyncio.run(state(tmp_path / "c", [4, 1, 4, 0, 1, 2, 3, 5, 0])) == straight


def test_the_same_batch_again_is_a_duplicate_and_changes_nothing(run: Callable[[Test], None]) -> None:
    async def test(at: Desk) -> None:
        gateway = await at.gateway("e1", "gw-1")
        sealed = _data(gateway, 3)
        first = await at.post(gateway, sealed)
        again = await at.post(gateway, sealed + sealed)
        assert statuses(again) == ["duplicate"] * 6
        assert [v.receipt for v in again.verdicts] == [v.receipt for v in first.verdicts] * 2
        assert again.size == first.size
        [arrivals] = await at.store.arrivals("e1", 0, 1 << 60)
        assert arrivals.samples == 9

    run(test)


def test_a_statement_without_body_is_taken_and_its_body_may_follow(run: Callable[[Test], None]) -> None:
    async def test(at: Desk) -> None:
        gateway = await at.gateway("e1", "gw-1")
        [whole] = _data(gateway, 1)
        raw = gateway.sealed[-1]
        bare = b"\x82" + whole[1 : len(whole) - len(whole[1 + 3 + len(raw) :])] + b"\xf6"
        assert statuses(await at.post(gateway, [bare])) == ["receipt"]
        entry = await at.store.find("e1", "gw-1", 1, 3)
        assert entry is not None
        assert entry.body is None
        assert statuses(await at.post(gateway, [whole])) == ["duplicate"]
        entry = await at.store.find("e1", "gw-1", 1, 3)
        assert entry is not None
        assert entry.body is not None

    run(test)


def test_two_statements_for_one_number_are_both_logged_and_nothing_is_overwritten(run: Callable[[Test], None]) -> None:
    async def test(at: Desk) -> None:
        gateway = await at.gateway("e1", "gw-1")
        seq, prev = gateway.seq, gateway.prev
        [first] = _data(gateway, 1)
        await at.post(gateway, [first])
        clone = gateway
        clone.seq, clone.prev = seq, prev
        second = clone.seal_rows(START_US, [[9.0, 9.0, 9.0]])
        answer = await at.post(clone, [second])
        assert statuses(answer) == ["rejected"]
        assert "taken by another" in answer.verdicts[0].detail
        entries = await at.store.entries("e1", 4, 10)
        assert [(e.kind, e.disputed) for e in entries] == [("data", False), ("data", True), ("fork", False)]
        kept = await at.store.aggregates("e1", "gw-1", "p0", LEVELS_US[0], 0, 1 << 60)
        assert kept.max.tolist() == [1.0]
        [alarm] = await at.store.events("e1", active=True)
        assert (alarm.rule, alarm.severity) == ("fork", 1)
        for _ in range(2 * FORKS_LOGGED_MAX):
            assert statuses(await at.post(clone, [second])) == ["rejected"]
        assert (await at.store.gateways("e1"))[0].forks == FORKS_LOGGED_MAX
        assert await at.store.size("e1") == 5 + 2 * FORKS_LOGGED_MAX

    run(test)


def test_a_statement_that_does_not_join_its_neighbours_is_evidence_not_data(run: Callable[[Test], None]) -> None:
    async def test(at: Desk) -> None:
        gateway = await at.gateway("e1", "gw-1")
        sealed = _data(gateway, 3)
        await at.post(gateway, [sealed[0], sealed[2]])
        liar = gateway
        liar.seq, liar.prev = 4, statement_hash(gateway.sealed[3])
        between = liar.seal_rows(START_US, [[7.0, 7.0, 7.0]])
        answer = await at.post(liar, [between])
        assert statuses(answer) == ["rejected"]
        assert "does not continue" in answer.verdicts[0].detail
        answer = await at.post(gateway, [sealed[1]])
        assert statuses(answer) == ["receipt"]
        assert answer.head is not None
        assert answer.head.seq == 5

    run(test)


def test_a_batch_of_an_unknown_manifest_waits_for_it(run: Callable[[Test], None]) -> None:
    async def test(at: Desk) -> None:
        gateway = await at.gateway("e1", "gw-1")
        gateway.manifest = small_mine.manifest("gw-1", points=5)
        body = encode_manifest(gateway.manifest)
        batch = gateway.seal_rows(START_US, [[1.0, 2.0, 3.0, 4.0, 5.0]])
        with pytest.raises(FormatError, match="not asked for"):
            await at.ingest.put_manifest("e1", "gw-1", digest(body), body)
        answer = await at.post(gateway, [batch])
        assert statuses(answer) == ["need_manifest"]
        assert answer.verdicts[0].detail == digest(body)[:8].hex()
        assert await at.store.size("e1") == 4
        with pytest.raises(FormatError, match="not the one"):
            await at.ingest.put_manifest("e1", "gw-1", digest(body), body + b"x")
        await at.ingest.put_manifest("e1", "gw-1", digest(body), body)
        assert statuses(await at.post(gateway, [batch])) == ["receipt"]

    run(test)


def test_a_manifest_earlier_in_the_same_post_is_enough(run: Callable[[Test], None]) -> None:
    async def test(at: Desk) -> None:
        gateway = await at.gateway("e1", "gw-1")
        changed = gateway.seal_manifest(small_mine.manifest("gw-1", points=4))
        batch = gateway.seal_rows(START_US, [[1.0, 2.0, 3.0, 4.0]])
        assert statuses(await at.post(gateway, [changed, batch])) == ["receipt", "receipt"]
        assert len(await at.store.documents("e1", "manifest", "gw-1")) == 2

    run(test)


CUT = b"\xa2\x00\x01\x01\x48" + small_mine.site(small_mine.manifest("gw-1")).key
POISON = {
    "empty": b"",
    "rubbish": b"rubbish",
    "bomb": zlib.compress(bytes(64 << 20)),
    "bare map": zlib.compress(b"\xa0"),
    "known manifest, cut": zlib.compress(CUT),
    "known manifest, bomb": zlib.compress(CUT + bytes(64 << 20)),
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
def test_a_signed_body_nobody_understands_is_kept_as_evidence_and_stops_nothing(
    run: Callable[[Test], None], poison: bytes
) -> None:
    async def test(at: Desk) -> None:
        gateway = await at.gateway("e1", "gw-1")
        bad = gateway.seal("data", poison)
        after = _data(gateway, 2)
        answer = await at.post(gateway, [bad, *after])
        assert statuses(answer) == ["rejected", "receipt", "receipt"]
        assert "not understood" in answer.verdicts[0].detail
        assert answer.head is not None
        assert (answer.head.seq, answer.above) == (5, ())
        entry = await at.store.find("e1", "gw-1", 1, 3)
        assert entry is not None
        assert not entry.readable
        assert [b.seq async for b in at.store.batches("e1", 0, 1 << 60)] == [4, 5]

    run(test)


def test_what_does_not_belong_here_is_refused_one_by_one(run: Callable[[Test], None]) -> None:
    async def test(at: Desk) -> None:
        await at.enterprise("e2")
        gateway, other = await at.gateway("e1", "gw-1"), await at.gateway("e2", "gw-2")
        [wrong_body] = _data(gateway, 1)
        forged = wrong_body[:-1] + bytes([wrong_body[-1] ^ 1])
        statements = [
            forged,
            b"\x82\x43abc\x43abc",
            other.seal_rows(START_US, ROW),
            gateway.seal("genesis", encode_record({"simulated": False})),
        ]
        answer = await at.ingest.post("e1", "gw-1", b"".join(statements), 0)
        assert statuses(answer) == ["rejected"] * 4
        assert await at.store.size("e1") == 4
        for data in (b"\x82", b"\x9f\xff", b"\x80", b"\x82\x01\x02", b"\x00" * 9, forged * 257):
            with pytest.raises(FormatError):
                await at.ingest.post("e1", "gw-1", data, 0)

    run(test)


def test_a_simulated_gateway_cannot_report_into_a_real_log(run: Callable[[Test], None]) -> None:
    async def test(at: Desk) -> None:
        await at.enterprise("e9", simulated=False)
        gateway = SealingGateway(await at.voucher("e9", "gw-9"))
        answer = await at.post(gateway, gateway.begin())
        assert statuses(answer) == ["receipt", "receipt", "rejected"]
        assert "simulated" in answer.verdicts[2].detail
        assert statuses(await at.post(gateway, _data(gateway, 1))) == ["need_manifest"]

    run(test)


def test_many_posts_at_once_share_commits_and_none_is_lost(run: Callable[[Test], None]) -> None:
    async def test(at: Desk) -> None:
        gateways = [await at.gateway("e1", f"gw-{n}") for n in range(3)]
        posts = [at.post(gateway, [batch]) for gateway in gateways for batch in _data(gateway, 30)]
        answers = await asyncio.gather(*posts)
        assert [statuses(answer) for answer in answers] == [["receipt"]] * 90
        assert await at.store.size("e1") == 1 + 3 * 33
        signed = await at.store.checkpoints("e1", 0, 1000)
        assert len(signed) < 60
        assert [row.seq for row in await at.store.gateways("e1")] == [32, 32, 32]

    run(test)


def test_a_post_cannot_make_the_server_hold_more_samples_than_its_limit(run: Callable[[Test], None]) -> None:
    async def test(at: Desk) -> None:
        gateway = await at.gateway("e1", "gw-1", points=50)
        flat = [[1.0] * 50] * 20_000  # a million samples, nothing on the way
        sealed = [gateway.seal_rows(START_US, flat) for _ in range(5)]
        assert sum(map(len, sealed)) < 100_000
        answer = await at.post(gateway, sealed)
        assert statuses(answer) == ["receipt"] * 3 + ["pending"] * 2
        assert statuses(await at.post(gateway, sealed[3:])) == ["receipt"] * 2

    run(test)


def test_a_log_created_while_the_server_runs_begins_at_its_first_use(run: Callable[[Test], None]) -> None:
    async def test(at: Desk) -> None:
        await at.ledger.create("e5", "e5", True, "localhost/e5")
        assert await at.store.size("e5") == 0
        gateway = await at.gateway("e5", "gw-5")
        entry = await at.store.entry("e5", 0)
        assert entry is not None
        assert entry.kind == "genesis"
        assert gateway.seq == 3

    run(test)
