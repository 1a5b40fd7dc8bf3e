"""Reliability scenarios 1 to 4: kills, power cuts, full and failing disks."""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from buffering.room import number_of
from edge_agent.seal import seal_record
from tests.faults.test_agent_process import free_port
from tests.faults.test_queue_images import recorded, torn
from tests.support.desk import desk
from tests.support.edge import Edge, enroll_folder
from tests.support.gateway_folder import write_folder
from tests.support.queues import assert_unbroken, open_queue, rows_of
from tests.support.report import scenario
from tests.support.scenes import (
    ENTERPRISE,
    SECOND_US,
    ask,
    assert_whole,
    checked,
    entries,
    hasten,
    stretched,
    verified,
    wired,
)
from tests.support.server import Server, serving
from tests.support.vfs import Layer, lay
from twin_server.context import CLOCK, CONFIG, STORE, WATCHED
from twin_server.vouchers import issue_voucher
from twin_wire.records import encode_record

START_US = 1_760_000_000_000_000
Record = Any  # pytest's record_property

CHILD = """
import asyncio, sys, time
from pathlib import Path
from tests.support.edge import Edge
async def main():
    begin_s = time.perf_counter()
    edge = Edge(Path(sys.argv[1]), sys.argv[2])
    await edge.store.record_damage()
    if edge.store.queue.position.seq == 1:
        await edge.seal_manifest()
    await edge.seal()
    print("up", time.perf_counter() - begin_s, flush=True)
    async with edge.sending():
        while True:
            await edge.seal()
            print("sealed", edge.store.queue.position.seq - 1, flush=True)
            await asyncio.sleep(0.004)
asyncio.run(main())
"""


@scenario(1, "kill -9 of the gateway at random points under load", "0 acked lost, 0 double, chain verifies, up < 1 s")
@pytest.mark.parametrize("kills", [6, pytest.param(500, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
def test_01_kill_the_gateway(tmp_path: Path, record_property: Record, kills: int) -> None:
    chance, up_s, acknowledged = random.Random(1), [], set()

    def one(folder: Path, url: str) -> None:
        command = [sys.executable, "-c", CHILD, str(folder), url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            up_s.append(float(process.stdout.readline().split()[1]))
            time.sleep(chance.uniform(0.0, 0.5))
            os.kill(process.pid, signal.SIGKILL)
            words = [line.split() for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        acknowledged.update(int(seq) for _, seq in words)

    async def run() -> None:
        async with serving(tmp_path / "data") as server:
            await server.enterprise(ENTERPRISE)
            enroll_folder(tmp_path / "gw", await server.voucher(ENTERPRISE, "gw-1"))
            for _ in range(kills):
                await asyncio.to_thread(one, tmp_path / "gw", server.url)
            edge = Edge(tmp_path / "gw", server.url)
            async with edge.sending():
                await edge.sent()
            await assert_whole(server, edge)
            held = {e.seq for e in await entries(server) if e.gateway == "gw-1"}
            assert acknowledged <= held
            await edge.store.close()

    asyncio.run(run())
    assert checked(tmp_path / "data").faults == []
    assert max(up_s) < stretched(1.0)
    record_property("kills", kills)
    record_property("batches acknowledged, all of them in the log once", len(acknowledged))
    record_property("from opening the queue to the first sealed batch, worst s", round(max(up_s), 3))


@scenario(2, "power cut: torn and reordered disk images", "opens every time; every synced batch present once")
@pytest.mark.parametrize(
    ("queue_images", "server_images"),
    [(60, 30), pytest.param(6_000, 4_000, marks=[pytest.mark.long, pytest.mark.timeout(3600)])],
)
def test_02_power_cut(tmp_path: Path, record_property: Record, queue_images: int, server_images: int) -> None:
    rng = random.Random(2)
    start, log, acknowledged = recorded(tmp_path / "written", 60)
    for _ in range(queue_images):
        cut = rng.randrange(1, len(log) + 1)
        lay(torn(rng, start, log, cut, rng.choice((512, 4_096))), tmp_path / "cut")
        queue = open_queue(tmp_path / "cut", quota_bytes=1 << 20)
        assert queue.position.seq > max((seq for length, seq in acknowledged if length <= cut), default=-1)
        assert not queue.damage
        queue.close()
        assert_unbroken(rows_of(tmp_path / "cut"))
        shutil.rmtree(tmp_path / "cut")
    asyncio.run(_server_images(tmp_path, rng, server_images))
    record_property("images of the queue", queue_images)
    record_property("images of the server's store", server_images)


async def _server_images(tmp_path: Path, rng: random.Random, images: int) -> None:
    """Record every write of a server's log, then open it as power cuts may have left it."""
    data, receipts, layer = tmp_path / "data", [], Layer()
    async with desk(data) as at:
        await at.enterprise(ENTERPRISE)
        gateway = await at.gateway(ENTERPRISE, "gw-1", points=20)
    files = data / "enterprises"
    start = {path.name: path.read_bytes() for path in files.iterdir()}
    shutil.copytree(data, tmp_path / "cut")  # keys and sizes as they were before the load
    with layer.installed():
        async with desk(data) as at:
            for n in range(40):
                sealed = gateway.seal_rows(START_US + n * SECOND_US, [[n + p / 100 for p in range(20)]])
                [verdict] = (await at.post(gateway, [sealed])).verdicts
                assert verdict.status == "receipt"
                receipts.append((len(layer.log), gateway.sealed[-1]))
    log = layer.log[: receipts[-1][0]]
    for _ in range(images):
        cut = rng.randrange(1, len(log) + 1)
        images_of = torn(rng, start, log, cut, rng.choice((512, 4_096)))
        shutil.rmtree(tmp_path / "cut/enterprises")
        lay(
            {name: image for name, image in images_of.items() if name.startswith(ENTERPRISE)},
            tmp_path / "cut/enterprises",
        )
        async with desk(tmp_path / "cut") as at:
            await at.ledger.open(ENTERPRISE)
            logged = [entry.statement for entry in await at.store.entries(ENTERPRISE, 0, 1 << 20)]
        assert len(set(logged)) == len(logged)
        assert {raw for length, raw in receipts if length <= cut} <= set(logged), "a receipted batch is gone"
        [report] = await verified(tmp_path / "cut")
        assert report.faults == []


@contextmanager
def small_disk(folder: Path, size: str) -> Any:
    """A file system of that size on `folder` until the block ends; skips where it cannot be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mounted, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> None:
    """Take every free byte of a disk, beside what is taken already."""
    with (disk / "other").open("ab", buffering=0) as other:
        for size in (1 << 16, 512):
            try:
                while other.write(bytes(size)) == size:
                    pass
            except OSError:
                continue


@scenario(
    3, "the gateway's disk fills up, then is freed", "all alarms kept, evictions have signed gap records, no restart"
)
def test_03_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record) -> None:
    hasten(monkeypatch)
    state, chance, urgent = tmp_path / "gw/state", random.Random(3), set()

    async def seal(edge: Edge, count: int) -> None:
        for n in range(count):
            body, alarm = encode_record({"note": chance.randbytes(5_000)}), n % 25 == 0
            now_ms = edge.clock.time_us() // 1_000
            sealing = partial(
                seal_record, edge.signer, "calibration", body, now_ms, edge.store.anchor, priority=0 if alarm else 2
            )
            entry = await edge.store.append(sealing)
            if alarm:
                urgent.add(entry.statement)

    async def run() -> None:
        async with wired(tmp_path) as (server, relay, edge):
            async with edge.sending():
                await edge.sent()
            relay.cut = True
            await seal(edge, 500)
            for _ in range(3):
                fill(state)
                await seal(edge, 120)
            held = edge.store.queue.held
            (state / "other").unlink()
            if edge.store.queue._spill is not None:
                edge.store.queue._spill.hasten()
            await seal(edge, 60)
            assert edge.store.fault == "", "no restart is needed"
            relay.cut = False
            async with edge.sending():
                await edge.until(lambda: edge.store.unsent == 0, 40)
            logged = await entries(server)
            bodies = {entry.statement for entry in logged if entry.body is not None}
            assert urgent <= bodies, "an alarm lost its body"
            gone = sum(entry.body is None for entry in logged)
            assert gone > 50, "the disk was never full"
            record_property("bodies given up, each in a signed gap record", gone)
            record_property("alarms kept", len(urgent))
            record_property("batches held in memory at the worst", held)

    with small_disk(state, "14m"):
        asyncio.run(run())
    report = checked(tmp_path / "data")
    assert report.faults == []
    assert report.counts["given_up"] > 50


async def voucher_to(server: Server, url: str, gateway: str = "gw-1") -> str:
    """Return a voucher's line that names another address than the server's own."""
    config = msgspec.structs.replace(server.app[CONFIG], url=url)
    return await issue_voucher(server.app[STORE], config, ENTERPRISE, gateway, gateway, "demo", 7, server.app[CLOCK]())


AGENT = """
import sys
from pathlib import Path
from edge_agent.__main__ import main
from tests.support.vfs import IOERR_FSYNC, IOERR_WRITE, Layer
broken, layer = Path(sys.argv[1]), Layer()
def fail(number, kind, name):
    return (IOERR_FSYNC if kind == "sync" else IOERR_WRITE, False) if broken.exists() else None
layer.fail = fail
sys.argv = ["edge-agent", *sys.argv[2:]]
with layer.installed():
    main()
"""


@scenario(
    4,
    "the gateway's storage takes no more writes",
    "no false 'stored'; storage alarm upstream <= 5 s; live values still flow from memory",
)
def test_04_storage_fails(tmp_path: Path, record_property: Record) -> None:
    folder, broken = tmp_path / "sim", tmp_path / "broken"

    async def until(server: Server, reader: dict[str, str], reached: Any, seconds: float) -> float:
        begin_s = time.monotonic()
        while not reached(await ask(server, "", reader), await ask(server, "/alarms?active=1", reader)):
            assert time.monotonic() < begin_s + seconds, (tmp_path / "log").read_text()[-2000:]
            await asyncio.sleep(0.05)
        return time.monotonic() - begin_s

    def faulty(detail: Any, alarms: Any) -> bool:
        return any(alarm["rule"] == "storage_fault" and not alarm["end_us"] for alarm in alarms)

    async def run() -> None:
        async with serving(tmp_path / "data") as server:
            await server.enterprise(ENTERPRISE)
            server.app[WATCHED][ENTERPRISE] = 1
            words = ("--voucher", await voucher_to(server, server.url), "--dir", str(folder))
            words += ("--page", f"127.0.0.1:{free_port()}")
            config = str(write_folder(tmp_path / "gw"))
            reader = await server.token("regulator", ENTERPRISE)
            with (tmp_path / "log").open("wb") as log:
                command = [sys.executable, "-c", AGENT, str(broken), "simulate", config, *words]
                process = await asyncio.to_thread(subprocess.Popen, command, stdout=log, stderr=log)
            try:
                await until(server, reader, lambda detail, _: detail["points"] and detail["state"] == "live", 40)
                broken.touch()
                alarm_s = await until(server, reader, faulty, 20)
                seen_us = (await ask(server, "", reader))["last_event_us"]
                await until(server, reader, lambda detail, _: detail["last_event_us"] > seen_us + 2 * SECOND_US, 15)
                broken.unlink()
                healed_s = await until(server, reader, lambda *found: not faulty(*found), 30)
            finally:
                process.terminate()
                await asyncio.to_thread(process.wait, 20)
            record_property("storage alarm at the server after s", round(alarm_s, 2))
            record_property("alarm over, after the disk was freed, s", round(healed_s, 2))
            assert alarm_s <= stretched(5.0)

    asyncio.run(run())
    assert checked(tmp_path / "data").faults == []
    kept = {number_of(row["id"])[1] for row in rows_of(folder / "state")}
    logged = asyncio.run(_numbers(tmp_path / "data"))
    assert logged <= kept, "the server holds what the gateway said it had kept, and has not"


async def _numbers(data: Path) -> set[int]:
    """Return the numbers of the gateway's statements in a server's folder."""
    async with desk(data) as at:
        found = await at.store.entries(ENTERPRISE, 0, 1 << 20, bodies=False)
        return {entry.seq for entry in found if entry.gateway == "gw-1"}
