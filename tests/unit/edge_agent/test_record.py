"""A recording: nothing is said, nothing is written over, and what was heard stays whatever happens."""

import asyncio
from pathlib import Path

import pytest

from drivers.capture import Capture, read_capture
from edge_agent.claim import Setting, Target
from edge_agent.record import Plan, Progress, Recorder
from tests.support.modbus_peer import SystemClock
from tests.support.tap_stand_in import Master
from twin_wire.errors import ConfigError, LinkError


def plan(master: Master, out: Path, seconds: float = 30.0, megabytes: float = 1.0) -> Plan:
    return Plan(Target(port=master.path), Setting(9600, "N", 1), seconds, out, megabytes)


def whole(path: Path) -> Capture:
    with path.open("rb") as file:
        return read_capture(file)


def test_until_it_is_stopped_it_writes_all_that_is_said_and_tells_how_far_it_is(tmp_path: Path) -> None:
    told: list[Progress] = []

    async def main() -> bytes:
        master = Master()
        recorder = Recorder(plan(master, tmp_path / "x", seconds=0), SystemClock(), told.append)
        recording = asyncio.create_task(recorder.run())
        await asyncio.sleep(0.05)
        for _ in range(10):
            await master.poll()
            await asyncio.sleep(0.08)
        recorder.stop()
        done = await recording
        spoken = master.heard_back
        master.close()
        assert done.units == (1,)
        assert done.questions >= 19
        assert done.file_bytes == (tmp_path / "x").stat().st_size
        return spoken

    assert asyncio.run(main()) == b""
    capture = whole(tmp_path / "x")
    assert not capture.cut
    assert sum(len(piece.data) for piece in capture.pieces) == 10 * (8 + 13 + 8 + 11)
    assert told


def test_it_ends_when_the_file_is_full_and_what_is_there_is_whole(tmp_path: Path) -> None:
    async def main() -> Recorder:
        master = Master()
        recorder = Recorder(plan(master, tmp_path / "x", megabytes=0.001), SystemClock(), lambda _: None)
        recording = asyncio.create_task(recorder.run())
        await asyncio.sleep(0.05)
        while not recording.done():
            await master.poll()
        await recording
        master.close()
        return recorder

    assert asyncio.run(main()).full
    assert (tmp_path / "x").stat().st_size <= 1000
    assert not whole(tmp_path / "x").cut


def test_a_port_that_goes_ends_it_with_what_was_heard(tmp_path: Path) -> None:
    async def main() -> None:
        master = Master()
        recorder = Recorder(plan(master, tmp_path / "x"), SystemClock(), lambda _: None)
        recording = asyncio.create_task(recorder.run())
        await asyncio.sleep(0.05)
        await master.poll()
        master.close()
        with pytest.raises(LinkError):
            await recording

    asyncio.run(main())
    assert whole(tmp_path / "x").pieces


def test_a_recording_is_never_written_over_and_no_plan_is_without_end(tmp_path: Path) -> None:
    async def main() -> None:
        master = Master()
        (tmp_path / "x").write_text("mine")
        with pytest.raises(ConfigError, match="is there already"):
            await Recorder(plan(master, tmp_path / "x", 0.1), SystemClock(), lambda _: None).run()
        with pytest.raises(ConfigError):
            Recorder(plan(master, tmp_path / "y", megabytes=1e6), SystemClock(), lambda _: None)
        master.close()

    asyncio.run(main())
    assert (tmp_path / "x").read_text() == "mine"
