"""Acts 1 to 10 of the threat table against the real server, gateway and verifiers, with the verdict that is promised.

What no software can catch is in here too: the test shows that nothing is noticed, so that nobody believes otherwise.
"""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.e2e.test_scenarios_server import verdict_of
from tests.support.edge import Edge, enroll_folder
from tests.support.gateway import SealingGateway
from tests.support.report import act
from tests.support.scenes import ENTERPRISE, SECOND_US, ask, checked, entries, hasten
from tests.support.server import Server, serving
from twin_wire.keys import SigningKey

NOW_US = 1_790_000_000_000_000
ROW = [[1.0, 2.0, 3.0]]
CAUGHT, NOT = "caught", "not caught, as said"
Record = Any  # pytest's record_property


async def filled(server: Server, batches: int = 5) -> SealingGateway:
    await server.enterprise(ENTERPRISE)
    gateway = await server.gateway(ENTERPRISE, "gw-1")
    for n in range(batches):
        assert (await verdict_of(server, gateway, gateway.seal_rows(NOW_US + n * SECOND_US, ROW))).receipt
    return gateway


def kinds_after(folder: Path, harm: Callable[[sqlite3.Connection], object]) -> set[tuple[str, int]]:
    """Fill a log, let its server do harm to the stored bytes, return what a verifier names: (kind, entry)."""

    async def run() -> None:
        async with serving(folder) as server:
            await filled(server)

    asyncio.run(run())
    with sqlite3.connect(folder / "enterprises" / f"{ENTERPRISE}.db") as db:
        harm(db)
    db.close()
    return {(fault.kind, fault.index) for fault in checked(folder).faults}


@act(1, "the server edits a reading", f"{CAUGHT}: the batch is named as altered")
def test_edited_reading(tmp_path: Path) -> None:
    def harm(db: sqlite3.Connection) -> None:
        [(body,)] = db.execute("select body from body where digest = (select digest from entry where idx = 6)")
        bad = body[:-9] + bytes((body[-9] ^ 1,)) + body[-8:]
        db.execute("update body set body = ? where digest = (select digest from entry where idx = 6)", (bad,))

    assert ("altered", 6) in kinds_after(tmp_path, harm)


@act(2, "the server deletes a reading, or a whole entry", f"{CAUGHT}: named, not undone")
def test_deleted_reading(tmp_path: Path) -> None:
    def harm(db: sqlite3.Connection) -> None:
        db.execute("delete from body where digest = (select digest from entry where idx = 5)")
        db.execute("delete from entry where idx = 7")

    assert {("absent", 5), ("missing", 7)} <= kinds_after(tmp_path, harm)


@act(3, "a batch forged under another key", f"{CAUGHT}: refused, and nothing of it is logged")
def test_forged_batch(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            gateway = await filled(server)
            size = len(await entries(server))
            gateway.key = SigningKey.generate()
            verdict = await verdict_of(server, gateway, gateway.seal_rows(NOW_US, ROW))
            assert (verdict.status, verdict.receipt, len(await entries(server))) == ("rejected", None, size)

    asyncio.run(run())


@act(4, "a captured batch is replayed", f"{CAUGHT}: the same receipt, the log does not grow")
def test_replayed_batch(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            gateway = await filled(server)
            sealed = gateway.seal_rows(NOW_US, ROW)
            first = await verdict_of(server, gateway, sealed)
            again = await verdict_of(server, gateway, sealed)
            assert (again.status, again.receipt) == ("duplicate", first.receipt)
            assert sum(e.gateway == "gw-1" for e in await entries(server)) == len(gateway.sealed)

    asyncio.run(run())


@act(5, "a batch dropped on the way, or two swapped", f"{CAUGHT}: the hole is named; order does not matter")
def test_dropped_and_swapped(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            gateway = await filled(server)
            sealed = [gateway.seal_rows(NOW_US + n, ROW) for n in range(4)]
            for n in (0, 3, 2):
                await verdict_of(server, gateway, sealed[n])

    asyncio.run(run())
    [fault] = checked(tmp_path).faults
    assert (fault.kind, fault.gateway, fault.seq) == ("missing", "gw-1", 9)


async def copied(tmp_path: Path, server: Server) -> tuple[Edge, Path]:
    """Return a gateway that has sent, and a full copy of its box."""
    await server.enterprise(ENTERPRISE)
    enroll_folder(tmp_path / "gw", await server.voucher(ENTERPRISE, "gw-1"))
    edge = Edge(tmp_path / "gw", server.url)
    await edge.seal_manifest()
    async with edge.sending():
        await edge.seal(3)
        await edge.sent()
    await edge.store.close()
    shutil.copytree(tmp_path / "gw", tmp_path / "clone")
    shutil.copytree(tmp_path / "gw/state", tmp_path / "gw-state")
    return edge, tmp_path / "clone"


@act(6, "a card is cloned and both boxes run", f"{CAUGHT} at the first collision: both signed statements are logged")
def test_cloned_card(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path / "data") as server:
            gateway = await filled(server)
            seq, prev = gateway.seq, gateway.prev
            await verdict_of(server, gateway, gateway.seal_rows(NOW_US, ROW))
            gateway.seq, gateway.prev = seq, prev
            assert (await verdict_of(server, gateway, gateway.seal_rows(NOW_US, [[7, 7, 7]]))).receipt is None
            alarms = await ask(server, "/alarms?active=1", await server.token("regulator", ENTERPRISE))
            assert "fork" in {alarm["rule"] for alarm in alarms}

    asyncio.run(run())
    assert {fault.kind for fault in checked(tmp_path / "data").faults} == {"contradiction"}


@act(7, "a cloned box replaces the original for good", f"{NOT}: the copy goes on as the original would")
def test_clone_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)

    async def run() -> None:
        async with serving(tmp_path / "data") as server:
            _, clone = await copied(tmp_path, server)
            shutil.rmtree(tmp_path / "gw")  # the original is never seen again
            edge = Edge(clone, server.url)
            await edge.store.record_damage()
            async with edge.sending():
                await edge.seal(3)
                await edge.sent()
            assert not {"rollback", "fork"} & set(edge.rules)
            await edge.store.close()

    asyncio.run(run())
    assert checked(tmp_path / "data").faults == []


@act(
    8, "values edited on the gateway before signing; a sensor wrapped", f"{NOT}: a signature says who, not what is true"
)
def test_edited_before_signing(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            gateway = await filled(server, 0)
            invented = gateway.seal_rows(NOW_US, [[0.01, 0.01, 0.01]] * 60)  # whatever the instruments said
            assert (await verdict_of(server, gateway, invented)).status == "receipt"

    asyncio.run(run())
    assert checked(tmp_path).faults == []


@act(
    9,
    "a box fed by simulated hardware, enrolled as a real one",
    f"{NOT} by any proof: `one party only` stands in the changes",
)
def test_simulated_hardware_enrolled_as_real(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise(ENTERPRISE, simulated=False)
            gateway = SealingGateway(await server.voucher(ENTERPRISE, "gw-1"))
            gateway.manifest = msgspec.structs.replace(gateway.manifest, simulated=False)  # the lie
            answer = await gateway.post(server.session, server.url, gateway.begin())
            assert {verdict.status for verdict in answer.verdicts} == {"receipt"}
            assert (await verdict_of(server, gateway, gateway.seal_rows(NOW_US, ROW))).receipt
            told = await ask(server, "/changes", await server.token("regulator", ENTERPRISE))
            enrol = next(row for row in told if row["kind"] == "enrol")
            assert enrol["summary"]["countersigned"] == [], "no second party has seen the box"

    asyncio.run(run())
    report = checked(tmp_path)
    assert (report.faults, report.simulated, report.countersigned) == ([], False, [])


@act(10, "a simulated gateway reports into a real log, and says so", f"{CAUGHT}: its plan is refused")
def test_simulated_into_real(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise(ENTERPRISE, simulated=False)
            gateway = SealingGateway(await server.voucher(ENTERPRISE, "gw-1"))
            answer = await gateway.post(server.session, server.url, gateway.begin())
            assert answer.verdicts[2].status == "rejected"

    asyncio.run(run())
