"""The log: group commits, receipts that verify, proofs at every size, a restart, a restored backup."""

import asyncio
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.desk import Desk, desk
from tests.support.gateway import SealingGateway
from twin_server import proofs
from twin_server.log import Appender
from twin_server.timekeeper import state
from twin_wire.errors import ConfigError, ProofError, StoreError
from twin_wire.merkle import leaf_hash, root_of, verify_consistency, verify_inclusion
from twin_wire.note import read_checkpoint
from twin_wire.records import decode_record
from twin_wire.statement import ZERO_HASH, check, check_successor, read
from twin_wire.tiles import decode_entries

START_US = 1_760_000_000_000_000


async def _filled(at: Desk, batches: int = 20) -> SealingGateway:
    await at.enterprise("e1")
    gateway = await at.gateway("e1", "gw-1")
    await at.post(gateway, [gateway.seal_rows(START_US + n * 10_000_000, [[1.0, 2.0, 3.0]]) for n in range(batches)])
    return gateway


def test_a_log_begins_with_genesis_signed_by_its_own_key(tmp_path: Path) -> None:
    async def run() -> None:
        async with desk(tmp_path) as at:
            await at.enterprise("e1", simulated=True)
            log = await at.ledger.open("e1")
            entry = await at.store.entry("e1", 0)
            assert entry is not None
            statement = read(entry.statement)
            check(statement, log.key.public)
            check_successor(None, statement)
            assert (statement.kind, statement.subject) == ("genesis", log.origin)
            assert entry.body is not None
            record = decode_record(entry.body)
            assert record["simulated"] is True
            assert record["log_vkey"] == log.row.log_vkey
            assert read_checkpoint(log.note(), [log.row.log_vkey]).size == 1
            assert await proofs.receipt(at.ledger, "e1", 0) is None

    asyncio.run(run())


def test_jobs_that_wait_together_share_one_commit_and_one_signature(tmp_path: Path) -> None:
    async def run() -> None:
        async with desk(tmp_path) as at:
            await at.enterprise("e1")
            jobs = [at.ledger.append_statement("e1", "access", {"n": n}) for n in range(50)]
            indices = await asyncio.gather(*jobs)
            assert indices == list(range(1, 51))
            signed = await at.store.checkpoints("e1", 0, 100)
            assert signed[-1].size == 51
            assert len(signed) <= 4
            entries = await at.store.entries("e1", 0, 100)
            for before, after in pairwise(entries):
                check_successor(read(before.statement), read(after.statement))

    asyncio.run(run())


def test_every_receipt_verifies_and_comes_back_byte_for_byte(tmp_path: Path) -> None:
    async def run() -> None:
        async with desk(tmp_path) as at:
            await at.enterprise("e1")
            gateway = await at.gateway("e1", "gw-1")
            for round_ in range(30):
                envelopes = [
                    gateway.seal_rows(START_US + n * 1_000_000, [[1.0, 2.0, 3.0]]) for n in range(round_, round_ + 9)
                ]
                answer = await at.post(gateway, envelopes)
                again = await at.post(gateway, envelopes)
                for verdict, repeat, raw in zip(answer.verdicts, again.verdicts, gateway.sealed[-9:], strict=True):
                    assert (verdict.status, repeat.status) == ("receipt", "duplicate")
                    assert verdict.receipt is not None
                    assert repeat.receipt == verdict.receipt
                    proved = gateway.verify(verdict.receipt, raw)
                    entry = await at.store.entry("e1", proved.index)
                    assert entry is not None
                    assert entry.statement == raw
            assert answer.size == 4 + 30 * 9

    asyncio.run(run())


def test_proofs_and_tiles_hold_at_every_size(tmp_path: Path) -> None:
    async def run() -> None:
        async with desk(tmp_path) as at:
            await _filled(at, 250)
            await asyncio.gather(*(at.ledger.append_statement("e1", "access", {"n": n}) for n in range(300)))
            size = await at.store.size("e1")
            assert size > 512
            leaves = [leaf_hash(entry.statement) for entry in await at.store.entries("e1", 0, size, bodies=False)]
            for old in (1, 2, 255, 256, 257, 511, 512, size - 1, size):
                proof = await proofs.consistency(at.ledger, "e1", old, size)
                verify_consistency(old, size, proof, root_of(leaves[:old]), root_of(leaves))
                path = await proofs.inclusion(at.ledger, "e1", old - 1, old)
                verify_inclusion(leaves[old - 1], old - 1, old, path, root_of(leaves[:old]))
            for n, width in ((0, 256), (0, 7), (1, 256), (2, size - 512)):
                tile = await proofs.tile(at.ledger, "e1", 0, n, width)
                assert tile == b"".join(leaves[n * 256 : n * 256 + width])
                bundle = await proofs.bundle(at.ledger, "e1", n, width)
                assert bundle is not None
                assert [leaf_hash(raw) for raw in decode_entries(bundle)] == leaves[n * 256 : n * 256 + width]
            assert await proofs.tile(at.ledger, "e1", 1, 0, 2) == root_of(leaves[:256]) + root_of(leaves[256:512])
            assert await proofs.tile(at.ledger, "e1", 1, 0, 3) is None
            assert await proofs.tile(at.ledger, "e1", 0, 2, 256) is None
            assert await proofs.bundle(at.ledger, "e1", 2, 256) is None
            with pytest.raises(ProofError):
                await proofs.inclusion(at.ledger, "e1", size, size)

    asyncio.run(run())


def test_a_restarted_server_goes_on_in_the_same_tree_with_a_new_boot(tmp_path: Path) -> None:
    async def first() -> tuple[int, bytes, str]:
        async with desk(tmp_path) as at:
            await _filled(at, 250)
            log = await at.ledger.open("e1")
            return log.last.size, log.last.root, log.history_id

    async def second(size: int, root: bytes, history_id: str) -> None:
        async with desk(tmp_path) as at:
            log = await at.ledger.open("e1")
            assert (log.last.size, log.last.root, log.history_id) == (size, root, history_id)
            index = await at.ledger.append_statement("e1", "access", {"n": 1})
            assert index == size
            entry, genesis = await at.store.entry("e1", index), await at.store.entry("e1", 0)
            assert entry is not None
            assert genesis is not None
            check_successor(read(genesis.statement), read(entry.statement))
            assert read(entry.statement).chain.boot == read(genesis.statement).chain.boot + 1
            proof = await proofs.consistency(at.ledger, "e1", size, size + 1)
            verify_consistency(size, size + 1, proof, root, log.last.root)

    asyncio.run(second(*asyncio.run(first())))


def test_a_restored_backup_is_noticed_stated_and_gets_a_new_history_id(tmp_path: Path) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup"

    async def fill(batches: int) -> str:
        async with desk(data) as at:
            gateway = await _filled(at, batches) if batches else None
            if gateway is None:
                await at.ledger.append_statement("e1", "access", {"later": True})
            return (await at.ledger.open("e1")).history_id

    async def look() -> tuple[str, str]:
        async with desk(data) as at:
            log = await at.ledger.open("e1")
            entry = await at.store.entry("e1", log.last.size - 1)
            assert entry is not None
            return log.history_id, entry.kind

    before = asyncio.run(fill(5))
    shutil.copytree(data / "enterprises", backup)
    assert asyncio.run(fill(0)) == before
    shutil.rmtree(data / "enterprises")
    shutil.copytree(backup, data / "enterprises")
    restored, kind = asyncio.run(look())
    assert restored != before
    assert kind == "restore"
    assert asyncio.run(look())[0] == restored


def test_a_log_that_does_not_match_its_last_signed_size_is_refused(tmp_path: Path) -> None:
    async def fill() -> None:
        async with desk(tmp_path) as at:
            await _filled(at)

    async def damage() -> None:
        async with desk(tmp_path) as at:
            await at.store.write(
                "e1",
                lambda tx: tx.db.execute("update entry set statement = x'00' where idx = 7"),  # type: ignore[attr-defined]
            )
            with pytest.raises(StoreError, match="does not match"):
                await at.ledger.open("e1")

    asyncio.run(fill())
    asyncio.run(damage())


def test_another_key_file_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with desk(tmp_path) as at:
            await at.enterprise("e1")
            await at.enterprise("e2")
        shutil.copy(tmp_path / "keys" / "e2.key", tmp_path / "keys" / "e1.key")
        async with desk(tmp_path) as at:
            with pytest.raises(ConfigError, match="not the log's key"):
                await at.ledger.open("e1")
        (tmp_path / "keys" / "e2.key").chmod(0o644)
        async with desk(tmp_path) as at:
            with pytest.raises(ConfigError, match="open to other users"):
                await at.ledger.open("e2")

    asyncio.run(run())


def test_one_bad_job_does_not_take_its_group_along(tmp_path: Path) -> None:
    async def run() -> None:
        async with desk(tmp_path) as at:
            await at.enterprise("e1")

            def bad(appender: Appender) -> None:
                appender.state("access", {"bad": True})
                raise KeyError("bug")

            jobs = [at.ledger.run("e1", lambda appender: appender.state("access", {})) for _ in range(5)]
            results = await asyncio.gather(jobs[0], at.ledger.run("e1", bad), *jobs[1:], return_exceptions=True)
            assert isinstance(results[1], KeyError)
            assert sorted(result[0] for result in results if not isinstance(result, BaseException)) == [1, 2, 3, 4, 5]
            assert await at.store.size("e1") == 6

    asyncio.run(run())


def test_times_of_receipt_are_stated_once_each(tmp_path: Path) -> None:
    async def run() -> None:
        async with desk(tmp_path) as at:
            await _filled(at, 5)
            assert await state(at.store, at.ledger, "e1", now=True)
            assert not await state(at.store, at.ledger, "e1", now=True)
            entries = await at.store.entries("e1", 0, 100)
            clock = entries[-1]
            assert clock.kind == "clock"
            assert clock.body is not None
            record = decode_record(clock.body)
            assert record["from"] == 0
            assert record["received_ms"] == [entry.received_us // 1000 for entry in entries[:-1]]

    asyncio.run(run())


def test_the_first_statement_of_the_server_has_no_predecessor(tmp_path: Path) -> None:
    async def run() -> None:
        async with desk(tmp_path) as at:
            await at.enterprise("e1")
            entry = await at.store.entry("e1", 0)
            assert entry is not None
            assert read(entry.statement).chain.prev == ZERO_HASH

    asyncio.run(run())
