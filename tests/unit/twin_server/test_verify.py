"""`verify`: a good log has no fault; every act against a log, a folder or a bundle is named with its batch."""

import asyncio
import random
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import small_mine
from tests.support.desk import Desk, desk
from tests.support.gateway import SealingGateway
from twin_server.evidence import Span, bundle, choose
from twin_server.log import Appender
from twin_server.revocation import RevokeBody, revocation
from twin_server.store.rows import StoredBatch
from twin_server.timekeeper import state
from twin_server.verify import Report, verify
from twin_wire.errors import ConfigError, FormatError
from twin_wire.keys import SigningKey
from twin_wire.note import vkey
from twin_wire.records import encode_record
from twin_wire.statement import read, seal, statement_hash

NOW_US = 1_790_000_000_000_000
START_US = NOW_US - 3_600_000_000
ROW = [[1.0, 2.0, 3.0]]


async def _fill(at: Desk, batches: int = 12) -> SealingGateway:
    await at.enterprise("e1")
    gateway = SealingGateway(await at.voucher("e1", "gw-1"), now_s=NOW_US / 1e6)
    await at.post(gateway, gateway.begin())
    for n in range(batches):
        await at.post(gateway, [gateway.seal_rows(NOW_US - 20_000_000 + n * 1_000_000, ROW)])
    return gateway


def _verify(target: Path | str, vkey: str = "") -> Report:
    [report] = asyncio.run(verify(str(target), "", "", vkey, bodies=True, progress=lambda *_: None))
    return report


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a data folder with one enterprise and a good log of 16 entries and a clock statement."""

    async def run() -> None:
        async with desk(tmp_path / "data", lambda: NOW_US) as at:
            await _fill(at)
            await state(at.store, at.ledger, "e1", now=True)

    asyncio.run(run())
    return tmp_path / "data"


def _change(folder: Path, query: str, *values: object) -> None:
    db = sqlite3.connect(folder / "enterprises" / "e1.db")
    with db:
        assert db.execute(query, values).rowcount > 0
    db.close()


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_a_good_log_has_no_fault(folder: Path) -> None:
    report = _verify(folder)
    assert report.faults == []
    assert report.simulated
    assert report.size == 17
    assert report.counts["signatures"] == report.counts["entries"] == 17
    assert report.late == []


def test_any_flipped_byte_of_any_body_or_entry_is_named(folder: Path) -> None:
    chance = random.Random(5)
    db = sqlite3.connect(folder / "enterprises" / "e1.db")
    rows = db.execute("select e.idx, e.statement, e.digest, b.body from entry e join body b using (digest)").fetchall()
    db.close()
    for index, statement, digest, body in rows:
        _change(folder, "update body set body = ? where digest = ?", _flip(body, chance.randrange(len(body))), digest)
        assert ("altered", index) in {(f.kind, f.index) for f in _verify(folder).faults}
        _change(folder, "update body set body = ? where digest = ?", body, digest)
        bad = _flip(statement, chance.randrange(len(statement)))
        _change(folder, "update entry set statement = ? where idx = ?", bad, index)
        report = _verify(folder)
        assert index in {fault.index for fault in report.faults}, index
        assert "root" in {fault.kind for fault in report.faults}
        _change(folder, "update entry set statement = ? where idx = ?", statement, index)
    assert _verify(folder).faults == []


def test_a_deleted_body_or_entry_is_named(folder: Path) -> None:
    _change(folder, "delete from body where digest = (select digest from entry where idx = 9)")
    [fault] = _verify(folder).faults
    assert (fault.kind, fault.index, fault.gateway, fault.seq) == ("absent", 9, "gw-1", 8)
    _change(folder, "delete from entry where idx = 9")
    found = {(fault.kind, fault.index, fault.seq) for fault in _verify(folder).faults}
    assert ("missing", 9, 0) in found
    assert ("missing", -1, 8) in found
    assert any(kind == "root" for kind, _, _ in found)


def test_a_cut_tail_and_swapped_entries_are_named(folder: Path) -> None:
    _change(folder, "delete from entry where idx >= 14")
    assert "the last signed size is 17, the log has 14 entries" in [fault.text for fault in _verify(folder).faults]
    db = sqlite3.connect(folder / "enterprises" / "e1.db")
    five, six = (db.execute("select statement from entry where idx = ?", (n,)).fetchone()[0] for n in (5, 6))
    db.close()
    _change(folder, "update entry set statement = ? where idx = 5", six)
    _change(folder, "update entry set statement = ? where idx = 6", five)
    assert any(fault.kind == "root" and fault.index >= 5 for fault in _verify(folder).faults)


def test_a_wrong_key_given_by_another_way_is_a_fault(folder: Path) -> None:
    other = vkey("localhost/e1", SigningKey.generate().public)
    assert [fault.kind for fault in _verify(folder, other).faults] == ["key"]


def _log_with(tmp_path: Path, act: Callable[[Desk, SealingGateway, Appender], None]) -> Report:
    """Return the report on a log whose server itself did something wrong: it appended what it should not."""

    async def run() -> None:
        async with desk(tmp_path / "data", lambda: NOW_US) as at:
            gateway = await _fill(at, 3)
            await at.ledger.run("e1", lambda appender: act(at, gateway, appender))

    asyncio.run(run())
    return _verify(tmp_path / "data")


def test_a_server_that_logs_a_batch_twice_or_two_for_one_number_is_caught(tmp_path: Path) -> None:
    def twice(at: Desk, gateway: SealingGateway, appender: Appender) -> None:
        held = appender.tx.statement("gw-1", 1, 4)
        assert held is not None
        _append(appender, held[1])
        chain = read(held[1]).chain._replace(rows=9)
        _append(appender, seal(gateway.key, gateway.voucher.origin, "gw-1", "data", bytes(32), chain))

    kinds = [(fault.kind, fault.seq) for fault in _log_with(tmp_path, twice).faults]
    assert ("duplicate", 4) in kinds
    assert ("contradiction", 4) in kinds


def _append(appender: Appender, raw: bytes, body: bytes | None = None) -> None:
    s = read(raw)
    appender.append(
        StoredBatch(0, s.kind, s.subject, s.chain.epoch, s.chain.seq, 0, 0, 0, 0, True, True, s.digest, raw, body)
    )


def test_a_statement_under_a_key_that_was_never_enrolled_is_caught(tmp_path: Path) -> None:
    def foreign(at: Desk, gateway: SealingGateway, appender: Appender) -> None:
        gateway.key = SigningKey.generate()
        gateway.seal_rows(START_US, ROW)
        _append(appender, gateway.sealed[-1])

    report = _log_with(tmp_path, foreign)
    assert ("signature", 6) in {(fault.kind, fault.seq) for fault in report.faults}


def test_an_anchor_that_is_not_in_this_log_is_caught(tmp_path: Path) -> None:
    def anchored(at: Desk, gateway: SealingGateway, appender: Appender) -> None:
        held = appender.tx.statement("gw-1", 1, 5)
        assert held is not None
        chain = read(held[1]).chain._replace(seq=6, prev=statement_hash(held[1]), anchor_size=3, anchor_root=b"x" * 32)
        _append(appender, seal(gateway.key, gateway.voucher.origin, "gw-1", "gap", bytes(32), chain))

    assert ("anchor", 6) in {(fault.kind, fault.seq) for fault in _log_with(tmp_path, anchored).faults}


def test_a_signed_statement_that_does_not_continue_its_chain_is_caught(tmp_path: Path) -> None:
    def jump(at: Desk, gateway: SealingGateway, appender: Appender) -> None:
        gateway.prev = b"x" * 32
        gateway.seal_rows(NOW_US, ROW)
        _append(appender, gateway.sealed[-1])

    assert ("chain", 6) in {(fault.kind, fault.seq) for fault in _log_with(tmp_path, jump).faults}


def test_holes_are_named_unless_a_gap_record_explains_them(tmp_path: Path) -> None:
    async def run(explained: bool) -> None:
        async with desk(tmp_path / str(explained), lambda: NOW_US) as at:
            gateway = await _fill(at, 2)
            lost = [gateway.seal_rows(NOW_US - n, ROW) for n in range(4)]
            kept = gateway.seal_rows(NOW_US, ROW)
            await at.post(gateway, [lost[0], kept])
            if explained:
                await at.post(gateway, [gateway.seal_gap(reason="damage", epoch=1, ranges=[[6, 8]])])

    asyncio.run(run(False))
    [fault] = _verify(tmp_path / "False").faults
    assert (fault.kind, fault.gateway, fault.epoch, fault.seq) == ("missing", "gw-1", 1, 6)
    assert "statements 6 to 8" in fault.text
    asyncio.run(run(True))
    assert _verify(tmp_path / "True").faults == []


def test_a_fork_and_a_late_batch_are_named(tmp_path: Path) -> None:
    async def run() -> None:
        async with desk(tmp_path, lambda: NOW_US) as at:
            gateway = await _fill(at, 2)
            seq, prev = gateway.seq, gateway.prev
            await at.post(gateway, [gateway.seal_rows(START_US, ROW)])
            gateway.seq, gateway.prev = seq, prev
            await at.post(gateway, [gateway.seal_rows(NOW_US, ROW)])
            await state(at.store, at.ledger, "e1", now=True)

    asyncio.run(run())
    report = _verify(tmp_path)
    assert [(fault.kind, fault.seq) for fault in report.faults] == [("contradiction", 5)]
    assert report.late == [("gw-1", 1, 5)]


async def _bundle(at: Desk, span: Span) -> bytes:
    log = await at.ledger.open("e1")
    choice = await choose(at.store, "e1", span, log)
    assert choice is not None
    return b"".join([part async for part in bundle(at.store, at.ledger, "e1", span, choice, log)])


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Return an evidence bundle of the middle of a log, out of order and with a second gateway in between."""

    async def run() -> bytes:
        async with desk(tmp_path / "data", lambda: NOW_US) as at:
            gateway = await _fill(at, 0)
            other = SealingGateway(await at.voucher("e1", "gw-2"), now_s=NOW_US / 1e6)
            await at.post(other, other.begin())
            sealed = [gateway.seal_rows(START_US + n * 600_000_000, ROW) for n in range(6)]
            for n in (0, 3, 2, 1, 5, 4):
                await at.post(gateway, [sealed[n]])
                await at.post(other, [other.seal_rows(START_US + n, ROW)])
            span = Span(START_US + 600_000_000, START_US + 4 * 600_000_000, "gw-1")
            return await _bundle(at, span)

    path = tmp_path / "evidence.zip"
    path.write_bytes(asyncio.run(run()))
    return path


def _rewrite(archive: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    changed = archive.with_name("changed.zip")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            data = change(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
    return changed


def test_a_bundle_verifies_without_the_server_and_says_what_it_is(archive: Path) -> None:
    report = _verify(archive)
    assert report.faults == []
    assert report.counts["receipts"] == report.counts["entries"] == report.size
    with zipfile.ZipFile(archive) as opened:
        text = opened.read("README.txt").decode()
    assert "SIMULATED" in text
    assert "does not say that a reading is true" in text


def test_every_flipped_byte_of_a_bundle_is_noticed(archive: Path) -> None:
    chance = random.Random(3)
    with zipfile.ZipFile(archive) as opened:
        names = [name for name in opened.namelist() if name.startswith("entries/")]
    for victim in names:
        changed = _rewrite(
            archive,
            lambda name, data, victim=victim: _flip(data, chance.randrange(len(data))) if name == victim else data,
        )
        index = int(victim.removeprefix("entries/").partition(".")[0])
        assert index in {fault.index for fault in _verify(changed).faults}, victim


def test_an_entry_taken_out_of_a_bundle_is_named(archive: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        last = max(int(name[8:-5]) for name in opened.namelist() if name.endswith(".cbor"))
    changed = _rewrite(archive, lambda name, data: None if name.startswith(f"entries/{last}.") else data)
    assert {fault.kind for fault in _verify(changed).faults} == {"missing"}
    changed = _rewrite(archive, lambda name, data: None if name == f"entries/{last}.receipt" else data)
    assert {fault.kind for fault in _verify(changed).faults} == {"receipt"}


def test_what_is_no_log_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"not a zip")
    with pytest.raises(FormatError):
        _verify(tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as made:
        made.writestr("facts.json", "{}")
    with pytest.raises(FormatError):
        _verify(tmp_path / "y.zip")
    with pytest.raises(ConfigError):
        _verify(tmp_path / "nowhere")


def test_a_record_of_the_wrong_shape_is_a_fault_not_a_crash(tmp_path: Path) -> None:
    async def run() -> None:
        async with desk(tmp_path, lambda: NOW_US) as at:
            gateway = await _fill(at, 1)
            shapes: list[dict[str, object]] = [
                {}, {"epoch": "x", "ranges": 5}, {"epoch": 1, "ranges": [[1], "ab", [None, 2], [5, 1]]},
            ]  # fmt: skip
            for shape in shapes:
                await at.post(gateway, [gateway.seal("gap", encode_record(shape))])
            await at.post(gateway, [gateway.seal_manifest(small_mine.manifest("gw-1", points=5))])

    asyncio.run(run())
    assert _verify(tmp_path).faults == []


def test_a_server_that_takes_entries_under_a_revoked_key_is_caught(tmp_path: Path) -> None:
    def after(at: Desk, gateway: SealingGateway, appender: Appender) -> None:
        revocation("gw-1", RevokeBody(1, "stolen"), "u-1")(appender)
        gateway.seal_rows(NOW_US, ROW)
        _append(appender, gateway.sealed[-1])

    assert ("revoked", 6) in {(fault.kind, fault.seq) for fault in _log_with(tmp_path, after).faults}
