"""Who may write: vouchers, keys, epochs, and to whom the head is told."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.desk import Desk, desk, runner, statuses
from tests.support.gateway import SealingGateway
from twin_server.revocation import RevokeBody, revocation
from twin_server.verify import verify
from twin_server.vouchers import extend_voucher
from twin_wire.errors import ConfigError
from twin_wire.exchange import Head, head_authorization
from twin_wire.keys import SigningKey
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


def test_a_gateway_enrols_and_every_batch_gets_its_receipt(run: Callable[[Test], None]) -> None:
    async def test(at: Desk) -> None:
        gateway = await at.gateway("e1", "gw-1")
        answer = await at.post(gateway, _data(gateway, 5))
        assert statuses(answer) == ["receipt"] * 5
        gateway.check_answer(answer)
        assert answer.head == Head(1, 7, statement_hash(gateway.sealed[-1]))
        assert answer.anchored == answer.head
        assert answer.above == ()
        [row] = await at.store.gateways("e1")
        assert (row.kid, row.enrolled_index, row.seq) == (gateway.key.public.kid, 1, 7)
        assert row.last_event_us == START_US + 40_000_000

    run(test)


def test_a_foreign_key_is_refused_and_leaves_no_trace_in_the_log(run: Callable[[Test], None]) -> None:
    async def test(at: Desk) -> None:
        gateway = await at.gateway("e1", "gw-1")
        thief = SealingGateway(await at.voucher("e1", "gw-2"))
        thief.voucher, thief.key, thief.seq = gateway.voucher, SigningKey.generate(), 3
        answer = await at.post(thief, [thief.seal_rows(START_US, ROW)])
        assert statuses(answer) == ["rejected"]
        assert "not enrolled" in answer.verdicts[0].detail
        assert (answer.history_id, answer.head, answer.size, answer.checkpoint) == ("", None, 0, b"")
        assert await at.store.size("e1") == 4
        [audit] = await at.store.audits("e1", 0, 1 << 60)
        assert (audit.act, audit.subject) == ("rejected", "gw-1")

    run(test)


def test_data_before_the_enrol_statement_has_to_wait(run: Callable[[Test], None]) -> None:
    async def test(at: Desk) -> None:
        gateway = SealingGateway(await at.voucher("e1", "gw-1"))
        begin = gateway.begin()
        [late] = _data(gateway, 1)
        assert statuses(await at.post(gateway, [late, begin[2]])) == ["pending", "pending"]
        assert statuses(await at.post(gateway, [*begin, late])) == ["receipt"] * 4

    run(test)


def test_a_voucher_works_once_for_one_box_and_only_with_its_secret(run: Callable[[Test], None]) -> None:
    async def test(at: Desk) -> None:
        line = await at.voucher("e1", "gw-1")
        forger = SealingGateway(line)
        object.__setattr__(forger.voucher, "secret", b"x" * 32)
        assert statuses(await at.post(forger, [forger.seal_enrol()])) == ["rejected"]
        honest, second = SealingGateway(line), SealingGateway(line)
        assert statuses(await at.post(honest, [honest.seal_enrol()])) == ["receipt"]
        answer = await at.post(second, [second.seal_enrol()])
        assert statuses(answer) == ["rejected"]
        assert await at.store.size("e1") == 2

    run(test)


def test_an_expired_voucher_waits_until_it_is_extended(tmp_path: Path) -> None:
    now = [START_US]

    async def body() -> None:
        async with desk(tmp_path, lambda: now[0]) as at:
            await at.enterprise("e1")
            gateway = SealingGateway(await at.voucher("e1", "gw-1", days=365), now_s=START_US / 1e6)
            now[0] += 366 * 86_400_000_000
            begin = gateway.seal_enrol()
            answer = await at.post(gateway, [begin])
            assert statuses(answer) == ["pending"]
            assert "expired" in answer.verdicts[0].detail
            await extend_voucher(at.store, "gw-1", 1, now[0])
            assert statuses(await at.post(gateway, [begin])) == ["receipt"]
            with pytest.raises(ConfigError):
                await extend_voucher(at.store, "gw-1", 1, now[0])

    asyncio.run(body())


def test_a_replaced_box_gets_the_next_epoch_and_the_old_ones_batches_still_count(run: Callable[[Test], None]) -> None:
    async def test(at: Desk) -> None:
        old = await at.gateway("e1", "gw-1")
        sealed = _data(old, 2)
        await at.post(old, [sealed[1]])
        new = await at.gateway("e1", "gw-1")
        assert new.voucher.epoch == 2
        answer = await at.post(new, _data(new, 1))
        assert answer.head is not None
        assert (answer.head.epoch, answer.head.seq, answer.above) == (2, 3, ((1, 4, 4),))
        answer = await at.post(old, [sealed[0]])
        assert statuses(answer) == ["receipt"]
        assert answer.above == ()
        [row] = await at.store.gateways("e1")
        assert (row.epoch, row.kid) == (2, new.key.public.kid)
        assert [chain.epoch for chain in await at.store.chains("e1")] == [1, 2]

    run(test)


def test_the_secret_of_a_used_voucher_is_forgotten(run: Callable[[Test], None]) -> None:
    async def test(at: Desk) -> None:
        await at.gateway("e1", "gw-1")
        kept = await at.store.voucher("gw-1")
        assert kept is not None
        assert kept.used_us
        assert kept.secret == b""

    run(test)


def test_the_head_is_told_to_the_gateways_key_alone(run: Callable[[Test], None]) -> None:
    async def test(at: Desk) -> None:
        gateway = await at.gateway("e1", "gw-1")
        origin = gateway.voucher.origin
        told = await at.ingest.head("e1", "gw-1", head_authorization(gateway.key, origin, "gw-1"), 2)
        assert (told.size, told.consistency_from) == (4, 2)
        gateway.check_answer(told)
        at.watched["e1"] = 1
        assert (await at.ingest.head("e1", "gw-1", head_authorization(gateway.key, origin, "gw-1"), 0)).watch
        for header in ("", "Gateway 00", head_authorization(SigningKey.generate(), origin, "gw-1"),
                       head_authorization(gateway.key, origin, "gw-2")):  # fmt: skip
            told = await at.ingest.head("e1", "gw-1", header, 0)
            assert (told.history_id, told.head, told.size, told.checkpoint, told.watch) == ("", None, 0, b"", False)

    run(test)


def test_a_revoked_key_signs_nothing_more_and_a_new_voucher_gives_the_next_epoch(tmp_path: Path) -> None:
    async def run() -> None:
        async with desk(tmp_path / "data") as at:
            await at.enterprise("e1")
            gateway = await at.gateway("e1", "gw-1")
            assert statuses(await at.post(gateway, _data(gateway, 2))) == ["receipt", "receipt"]
            wish = RevokeBody(1, "stolen from the substation", 4)
            entry, _ = await at.ledger.run("e1", revocation("gw-1", wish, "u-1"))
            again, _ = await at.ledger.run("e1", revocation("gw-1", wish, "u-1"))
            assert entry == again
            at.ingest.forget_keys("gw-1")
            assert statuses(await at.post(gateway, _data(gateway, 1))) == ["rejected"]
            fresh = await at.gateway("e1", "gw-1")
            assert fresh.voucher.epoch == 2
            assert statuses(await at.post(fresh, _data(fresh, 1))) == ["receipt"]

    asyncio.run(run())
    [report] = asyncio.run(verify(str(tmp_path / "data"), "", "", "", True, lambda *_: None))
    assert report.faults == []
    assert report.suspect == [("gw-1", 1, 4, 6)]


def test_a_revocation_of_a_key_there_is_not_changes_nothing(run: Callable[[Test], None]) -> None:
    async def test(at: Desk) -> None:
        await at.gateway("e1", "gw-1")
        size = (await at.ledger.open("e1")).last.size
        for gateway, wish in (
            ("gw-1", RevokeBody(9, "stolen")),
            ("gw-2", RevokeBody(1, "stolen")),
            ("gw-1", RevokeBody(1, "stolen", size + 50)),
        ):
            with pytest.raises(ConfigError):
                await at.ledger.run("e1", revocation(gateway, wish, "u-1"))
        assert (await at.ledger.open("e1")).last.size == size

    run(test)
