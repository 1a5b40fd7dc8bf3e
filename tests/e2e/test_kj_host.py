"""A simulated KJ host, its files, the agent as a process, sealed batches: every value once, right, at its own time."""

import asyncio
import math
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardware_sim.kj_host import SENSORS, STATIONS, KjHost, Order
from hardware_sim.kj_site import point_id, write_gateway
from hardware_sim.sight import Worn
from hardware_sim.site import SITE
from tests.faults.test_agent_process import free_port
from tests.support.sealed import Gateway, read_batches, rows_of
from twin_wire.readings import Batch, Quality

PERIOD_S, PEOPLE_S = 1.0, 2.0
TRUTH = {sensor.source: 0.5 for sensor in SENSORS} | {"fan.a.on": 1.0, "door-1a": 0.0, "door.1.pressure": 800.0}
PEOPLE = [Worn(tag, "face", 80.0 + tag, 0.0) for tag in range(3)] + [Worn(9, "main-2", 149.0, 0.0)]


def polls(seen: dict[str, Any]) -> int:
    return int(seen["links"][0]["answers"])


async def story(gateway: Gateway, host: KjHost, kill: bool) -> subprocess.Popen[bytes]:
    """Run the host beside the agent: good files, faults on order, gas, perhaps a kill."""
    process = gateway.start()
    running = asyncio.create_task(host.run(time.time, PERIOD_S, PEOPLE_S))
    try:
        await gateway.until(lambda seen: polls(seen) > 20)
        for order in (
            Order("half"),
            Order("late", amount=3.3),
            Order("repeat", amount=2.0),
            Order("state", amount=128, subject="001A02"),
            Order("charset"),
        ):
            host.order(order)
        await asyncio.sleep(7.0)
        TRUTH["ch4.face"] = 1.7
        await gateway.until(lambda seen: any(event["point"] == point_id("001A01") for event in seen["active"]))
        TRUTH["ch4.face"] = 0.5
        if kill:
            await asyncio.sleep(6.0)  # the end of the alarm was sealed at once, what came since was not
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = gateway.start()
        before = len(host.written)
        await gateway.until(lambda seen: polls(seen) > 20 and len(host.written) > before + (6 if kill else 2))
    finally:
        running.cancel()
        await asyncio.wait([running])
    await asyncio.sleep(1.0)
    return process


@pytest.mark.parametrize("kill", [False, pytest.param(True, marks=pytest.mark.long)])
def test_files_of_a_host_become_sealed_readings_once_and_right(tmp_path: Path, kill: bool) -> None:
    inbox, page = tmp_path / "inbox", f"127.0.0.1:{free_port()}"
    inbox.mkdir()
    done = tmp_path / "done"
    write_gateway(tmp_path, inbox, PERIOD_S, PEOPLE_S, page, done=str(done), scan_s=0.2)
    gateway = Gateway(tmp_path, page, "gw-kj", SITE)
    host = KjHost(inbox, lambda name: TRUTH[name], lambda: PEOPLE)

    async def main() -> None:
        process = await story(gateway, host, kill)
        process.terminate()
        assert process.wait(15) == 0

    asyncio.run(main())
    batches = read_batches(tmp_path)
    check_values(batches, host, kill)
    check_faults(batches, host)
    check_people(batches, tmp_path)
    names = {path.name for path in done.iterdir() if path.is_file()}
    good = {written.name for written in host.written if written.fault in ("", "late", "repeat", "state")}
    assert good <= names, "every file taken is put away"
    assert len(list((done / "refused").iterdir())) == 1


def check_values(batches: list[Batch], host: KjHost, kill: bool) -> None:
    """Every sample is what the host wrote for that point and second; after the kill none is lost."""
    files = [written for written in host.written if written.kind == "CDSS"]
    for sensor in SENSORS:
        shown = {int(written.time_s): written.shown[sensor.code] for written in files}
        rows = rows_of(batches, point_id(sensor.native))
        for second, value, quality in rows:
            if quality == Quality.NO_ANSWER:  # while the agent was down or a file overdue: a gap, and no number
                assert math.isnan(value)
                continue
            said = shown[second]
            assert quality == {128: Quality.DEVICE_FAULT}.get(said.state, Quality.GOOD)
            if quality != Quality.DEVICE_FAULT:
                text = {"开": "1", "关": "0"}.get(said.value, said.value)
                assert value == float(text) * (1000 if sensor.signal == "wind_pressure" else 1)
        taken = Counter(second for second, _, quality in rows if quality != Quality.NO_ANSWER)
        wanted = {int(written.time_s) for written in files if written.fault not in ("half", "charset")}
        assert taken.keys() == wanted, "none lost"
        twice = [second for second, count in taken.items() if count > 1]
        # What was taken in the last 12 s before a kill is read again: the same row, never another value.
        assert len(twice) <= (14 if kill else 0), "counted twice"
        assert len(
            {(second, repr(value)) for second, value, quality in rows if second in twice and quality < 32}
        ) <= len(twice)


def check_faults(batches: list[Batch], host: KjHost) -> None:
    highest = {
        fault: max(value for _, value, _ in rows_of(batches, f"kj.fault.{fault}") if not math.isnan(value))
        for fault in ("incomplete", "late", "repeated")
    }
    assert highest == {"incomplete": 1, "late": 1, "repeated": 1}
    events = [event for batch in batches for event in batch.events]
    limits = [event for event in events if event.rule.startswith("limit_high") and event.point == point_id("001A01")]
    begun = {(event.rule, event.severity) for event in limits if not event.end_us}
    assert {severity for _, severity in begun} == {1, 2}
    first = min(int(w.time_s) for w in host.written if w.kind == "CDSS" and w.shown[SENSORS[0].code].value == "1.70")
    assert {event.begin_us // 1_000_000 for event in limits} == {first}, "the alarm begins at the host's time"
    assert all(event.end_us for event in limits if event is limits[-1])


def check_people(batches: list[Batch], folder: Path) -> None:
    counts = {value for _, value, quality in rows_of(batches, "people.all") if quality == Quality.GOOD}
    assert counts == {4.0}
    text = b"".join(str(batch).encode() for batch in batches).decode()
    assert "矿工" not in text
    assert all(station.area not in text for station in STATIONS[:1])
    tags = {tag for batch in batches for tag in batch.fixes.tag}
    assert len(tags) == 4, "a place on a roadway for everybody"
    book = (folder / "inbox.memory" / "tags.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert tags <= {line.split(",")[1] for line in book}
    assert len(book) == 4
    assert all(np.all(np.diff(block.time_us) >= 0) for batch in batches for block in batch.blocks)
