"""A master we did not write polls a bus; beside it the agent as a process hears, seals, and never says a byte."""

import asyncio
import contextlib
import os
import pty
import struct
import subprocess
import sys
import time
import tty
from collections.abc import Callable
from pathlib import Path

import pytest
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient

from buffering.queue import Queue
from drivers.capture import read_capture
from hardware_sim.capture import exchanges_of, load_capture
from tests.support import recorded_bus
from tests.support.gateway_folder import write_folder
from tests.support.modbus_peer import Device, RtuPeer, Sent, honest
from tests.support.queues import gap_entry
from tests.support.vouchers import voucher_line
from twin_wire.body import decode_body
from twin_wire.manifest import groups_of, read_manifest
from twin_wire.readings import Block, Event, Quality
from twin_wire.statement import read

BAUD = 19_200
VECTOR = Path(__file__).parents[1] / "vectors/bus.capture"
GATEWAY = """
[gateway]
id = "gw-1"
name = "Beside a certified substation"
site = "demo"
structure = "structure.json"
[page]
listen = ""
[queue]
quota_mb = 4
[[link]]
id = "bus"
kind = "modbus-tap"
port = "{port}"
baud = 19200
[[device]]
id = "ch4-1"
link = "bus"
profile = "draeger-polytron-8000"
unit = 3
period_s = 0.4
[[device]]
id = "dust-1"
link = "bus"
profile = "delta-ohm-pmsense"
unit = 4
period_s = 0.4
"""
POINTS = "point,device,signal\nch4-face,ch4-1,ch4\ndust,dust-1,pm10\n"
CH4 = tuple(round(0.5 + n / 100, 2) for n in range(50))
DUST = tuple(300 + n for n in range(50))


class Bridge:
    """Master and device of one bus, and a third port that hears both; counts what that one ever says."""

    def __init__(self, device_path: str) -> None:
        self.device = os.open(device_path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self.master, self._master_far = self._port()
        self.tap, self._tap_far = self._port()
        self.master_path, self.tap_path = os.ttyname(self._master_far), os.ttyname(self._tap_far)
        self.spoken = b""
        loop = asyncio.get_running_loop()
        loop.add_reader(self.master, self._carry, self.master, self.device)
        loop.add_reader(self.device, self._carry, self.device, self.master)
        loop.add_reader(self.tap, self._spoke)

    @staticmethod
    def _port() -> tuple[int, int]:
        near, far = pty.openpty()
        tty.setraw(near)
        tty.setraw(far)
        os.set_blocking(near, False)
        return near, far

    def _carry(self, source: int, target: int) -> None:
        data = os.read(source, 4096)
        os.write(target, data)
        with contextlib.suppress(BlockingIOError):
            os.write(self.tap, data)

    def _spoke(self) -> None:
        self.spoken += os.read(self.tap, 4096)

    def close(self) -> None:
        for fd in (self.master, self.device, self.tap):
            asyncio.get_running_loop().remove_reader(fd)
        for fd in (self.master, self._master_far, self.device, self.tap, self._tap_far):
            os.close(fd)


def registers(round_of: Callable[[], int]) -> Callable[[int, int, int], int]:
    """Return devices whose every value tells in which round it was read."""

    def at(unit: int, _function: int, address: int) -> int:
        number = round_of() % len(CH4)
        if unit == 3:
            return struct.unpack(">2H", struct.pack(">f", CH4[number]))[address - 506]
        return DUST[number] if address == 5 else 7

    return at


def every_now_and_then(number: int, request: bytes, answer: bytes) -> Sent:
    """Damage, hold back or lose an answer now and then."""
    if number % 17 == 3:
        return [(0.0, answer[:-3] + bytes((answer[-3] ^ 4,)) + answer[-2:])]
    if number % 17 == 9:
        return []
    return [(0.0, b"\x00" + answer)] if number % 17 == 14 else honest(number, request, answer)


async def run_bus(
    folder: Path, seconds: float, fault: Callable[[int, bytes, bytes], Sent]
) -> tuple[int, int, bytes, set[int]]:
    """Poll with pymodbus while the agent runs; return reads, failures, what the tap said, its open modes."""
    rounds = 0
    peer = RtuPeer(Device((3, 4), registers(lambda: rounds)), fault, BAUD, 0.005)
    bridge = Bridge(peer.path)
    (folder / "gateway.toml").write_text(GATEWAY.replace("{port}", bridge.tap_path), encoding="utf-8")
    client = AsyncModbusSerialClient(bridge.master_path, framer=FramerType.RTU, baudrate=BAUD, timeout=0.3, retries=0)
    assert await client.connect()
    with (folder / "log").open("wb") as log:
        words = [sys.executable, "-m", "edge_agent", "run", str(folder / "gateway.toml")]
        agent = await asyncio.create_subprocess_exec(*words, stdout=log, stderr=log)
    end, reads, failed = time.monotonic() + 60, 0, 0
    modes: set[int] = set()
    started = False
    while time.monotonic() < end:
        if not started and b"running gateway" in (folder / "log").read_bytes():
            started, end = True, time.monotonic() + seconds
        for ask in (
            lambda: client.read_holding_registers(506, count=2, device_id=3),
            lambda: client.read_input_registers(0, count=12, device_id=4),
            lambda: client.write_register(40, 1, device_id=4),
        ):
            try:
                answer = await ask()
                failed += answer.isError() and ask.__code__.co_names[0] != "write_register"
            except Exception:  # noqa: BLE001 (whatever pymodbus raises: a read that failed)
                failed += 1
            reads += 1
            await asyncio.sleep(0.02)
        rounds += 1
        modes |= modes_of(agent.pid, bridge.tap_path)
        await asyncio.sleep(0.1)
    agent.terminate()
    assert await agent.wait() == 0, (folder / "log").read_text()
    spoken = bridge.spoken
    client.close()
    bridge.close()
    peer.close()
    return reads, failed, spoken, modes


def modes_of(pid: int, path: str) -> set[int]:
    """Return the access modes with which a process has a file open."""
    modes = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if os.readlink(fd) == path:
                flags = (fd.parents[1] / "fdinfo" / fd.name).read_text().split("flags:\t")[1].split()[0]
                modes.add(int(flags, 8) & os.O_ACCMODE)
    return modes


def sealed(folder: Path) -> tuple[list[Block], list[Event]]:
    """Return what the agent has sealed."""
    queue = Queue(folder / "state/queue.db", gap_entry, 4 << 20, ballast_bytes=0)
    offers = sorted(queue.offer(batches_max=10_000), key=lambda o: (o.epoch, o.seq))
    queue.close()
    blocks: list[Block] = []
    events: list[Event] = []
    groups = []
    for offer in offers:
        kind = read(offer.statement).kind
        if kind == "manifest":
            groups = groups_of(read_manifest(offer.body))
        elif kind == "data":
            batch = decode_body(offer.body, groups)
            blocks += batch.blocks
            events += batch.events
    return blocks, events


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An enrolled gateway that is to hear a bus."""
    path = write_folder(tmp_path, gateway=GATEWAY.replace("{port}", "/dev/null"), points=POINTS)
    words = [sys.executable, "-m", "edge_agent", "enroll", str(path), "--voucher", voucher_line()]
    subprocess.run(words, check=True, capture_output=True)
    return tmp_path


@pytest.mark.parametrize("fault", [honest, every_now_and_then], ids=["good bus", "bad bus"])
def test_the_agent_beside_a_foreign_master_seals_its_readings_and_says_nothing(folder: Path, fault) -> None:
    reads, failed, spoken, modes = asyncio.run(run_bus(folder, 6.0, fault))
    assert spoken == b"", "a tap has spoken"
    assert modes == {os.O_RDONLY}
    blocks, events = sealed(folder)
    good: dict[str, list[float]] = {"ch4-face": [], "dust": []}
    for block in blocks:
        if block.points[0] in good:
            good[block.points[0]] += block.value[0][block.quality[0] == Quality.GOOD].tolist()
    sys.stdout.write(f"{reads} questions, {failed} failed for the master, sealed {[len(v) for v in good.values()]}\n")
    assert set(good["ch4-face"]) <= set(CH4)
    assert set(good["dust"]) <= {dust / 10 for dust in DUST}
    for values in good.values():
        assert len(values) >= 3
        assert values == sorted(values), "in the order in which they were read"
    if fault is honest:
        assert failed == 0, "the master must not feel the tap"
        [write] = [event for event in events if event.rule == "bus_write"][:1]
        assert (write.point, write.numbers["address"], write.severity) == ("dust-1", 40.0, 0)


def test_a_recorded_bus_is_recorded_again_by_the_command_and_is_the_same(tmp_path: Path) -> None:
    bus, out = tmp_path / "bus", tmp_path / "again.capture"
    words = [sys.executable, "-m", "hardware_sim", "replay", str(VECTOR), "--port", str(bus), "--bus", "--rounds", "1"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as player:
        while not bus.exists():
            assert player.poll() is None
            time.sleep(0.02)
        words = [sys.executable, "-m", "edge_agent", "record", str(bus), "--seconds", "3", "--out", str(out)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        refused = subprocess.run(words, capture_output=True, text=True, timeout=60)
        player.terminate()
    assert done.returncode == 0, done.stderr
    assert "questions to units 3, 7, 12" in done.stdout
    again = {(e.unit, e.request, e.answer) for e in exchanges_of(load_capture(out))}
    first = {(e.unit, e.request, e.answer) for e in exchanges_of(load_capture(VECTOR))}
    assert len(again) >= 2 * len(recorded_bus.ROUND)
    assert again <= first
    with out.open("rb") as file:
        assert not read_capture(file).cut
    assert refused.returncode == 2, "a recording is never written over"
    assert "is there already" in refused.stderr
