"""Simulated lines behave badly on demand: slow, late, unplugged, half-open, with dead units and pipelined masters."""

import asyncio
import os
import socket
import time
from pathlib import Path

import pytest

from hardware_sim.faults import FaultPlan, Rule
from hardware_sim.journal import Answer
from hardware_sim.linktrack import FRAME_BYTES, Console, Network, Worn
from hardware_sim.modbus import rtu_frame, tcp_frame
from hardware_sim.plan import ANCHORS
from tests.support.sim_lines import rtu_bus, serving, tcp_bus, unit

READ_TEN = bytes.fromhex("03 00 00 00 0A")


def ask(port: int, unit_number: int, pdu: bytes, size: int, within_s: float) -> tuple[bytes, float]:
    """Send one RTU request and return what came within a time, and when it was whole."""
    begin, got = time.monotonic(), b""
    os.write(port, rtu_frame(unit_number, pdu))
    while len(got) < size and time.monotonic() - begin < within_s:
        try:
            got += os.read(port, 4096)
        except BlockingIOError:
            time.sleep(0.001)
    return got, time.monotonic() - begin


def hung_up(master: socket.socket) -> bool:
    try:
        return master.recv(100) == b""
    except ConnectionResetError:
        return True


def opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)


def test_an_answer_takes_as_long_as_on_a_real_wire(tmp_path: Path) -> None:
    with serving(rtu_bus(tmp_path / "bus", 9600, [unit(1, 0.02)])):
        port = opened(tmp_path / "bus")
        got, took_s = ask(port, 1, READ_TEN, 25, 1.0)
        os.close(port)
    assert len(got) == 25
    on_the_wire_s = (8 + 25) * 10 / 9600 + 0.02
    assert on_the_wire_s <= took_s < on_the_wire_s + 0.15


def test_a_late_answer_is_whole_but_late(tmp_path: Path) -> None:
    seen: list[Answer] = []
    bus = rtu_bus(tmp_path / "bus", 115200, [unit(1)], seen)
    bus.faults.add(Rule("late", times=1, amount=0.3))
    with serving(bus):
        port = opened(tmp_path / "bus")
        nothing, _ = ask(port, 1, READ_TEN, 25, 0.15)
        late, _ = ask(port, 1, READ_TEN, 50, 1.0)
        os.close(port)
    assert nothing == b""
    assert len(late) == 50  # the late one, then its own
    assert len(seen) == 1  # only an undisturbed answer counts
    assert bus.units[1].disturbed == {"late": 1}


def test_an_unplugged_adapter_vanishes_and_comes_back_as_another_port(tmp_path: Path) -> None:
    bus = rtu_bus(tmp_path / "bus", 115200, [unit(1)])
    with serving(bus) as running:
        port = opened(tmp_path / "bus")
        assert len(ask(port, 1, READ_TEN, 25, 1.0)[0]) == 25
        running.call(bus.unplug)
        assert not (tmp_path / "bus").exists()
        with pytest.raises(OSError, match="Input/output error"):
            os.write(port, b"x")
        os.close(port)
        running.call(bus.plug)
        port = opened(tmp_path / "bus")
        assert len(ask(port, 1, READ_TEN, 25, 1.0)[0]) == 25
        os.close(port)
    assert not (tmp_path / "bus").is_symlink()


def test_a_dead_unit_among_nine_is_silent_and_the_others_answer(tmp_path: Path) -> None:
    units = [unit(number) for number in range(1, 10)]
    units[4].alive = False
    bus = rtu_bus(tmp_path / "bus", 115200, units)
    with serving(bus):
        port = opened(tmp_path / "bus")
        sizes = [len(ask(port, number, READ_TEN, 25, 0.2)[0]) for number in range(1, 10)]
        os.close(port)
    assert sizes == [25, 25, 25, 25, 0, 25, 25, 25, 25]
    assert bus.absent == {5: 1}


def test_pipelined_requests_are_answered_in_order_and_all_counted() -> None:
    seen: list[Answer] = []
    bus = tcp_bus([unit(1, 0.001)], seen)
    with serving(bus), socket.create_connection(("127.0.0.1", bus.line.port), timeout=2) as master:
        asked = [tcp_frame(1, bytes((3, 0, address, 0, 1)), 100 + address) for address in range(5)]
        master.sendall(b"".join(asked))
        got = b""
        while len(got) < 5 * 11:
            got += master.recv(4096)
    assert got == b"".join(tcp_frame(1, bytes((3, 2, *(1000 + a).to_bytes(2))), 100 + a) for a in range(5))
    assert [answer.address for answer in seen] == [0, 1, 2, 3, 4]


def test_a_half_open_port_accepts_and_says_nothing() -> None:
    bus = tcp_bus([unit(1)])
    bus.line.half_open = True
    with serving(bus), socket.create_connection(("127.0.0.1", bus.line.port), timeout=0.2) as master:
        master.sendall(tcp_frame(1, READ_TEN, 1))
        with pytest.raises(TimeoutError):
            master.recv(1)


def test_an_unplugged_tcp_port_cuts_its_masters_and_opens_again_on_the_same_number() -> None:
    bus = tcp_bus([unit(1)])
    with serving(bus) as running:
        with socket.create_connection(("127.0.0.1", bus.line.port), timeout=2) as master:
            master.sendall(tcp_frame(1, READ_TEN, 1))
            assert master.recv(100)
            running.call(bus.unplug)
            assert hung_up(master)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", bus.line.port), timeout=2)
        running.call(bus.plug)
        with socket.create_connection(("127.0.0.1", bus.line.port), timeout=2) as master:
            master.sendall(tcp_frame(1, READ_TEN, 1))
            assert master.recv(100)


def test_a_console_pushes_frames_and_drops_what_nobody_reads(tmp_path: Path) -> None:
    network = Network([a for a in ANCHORS if a.device == "uwb-2"], "1")
    worn = [Worn(5, "heading-a", 100.0, 0.0)]
    seen: list[Answer] = []

    async def run() -> tuple[bytes, Console]:
        console = Console(
            "uwb", tmp_path / "uwb", 921600, network, lambda: worn, FaultPlan("s"), seen.append, period_s=0.03
        )
        task = asyncio.create_task(console.run())
        await asyncio.sleep(0.3)
        port = opened(tmp_path / "uwb")
        got = os.read(port, 8192)
        os.close(port)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return got, console

    got, console = asyncio.run(run())
    assert console.lost > 0
    assert len(got) % FRAME_BYTES == 0
    assert got[:2] == b"\x55\x00"
    assert got[FRAME_BYTES - 1] == 0xEE
    assert console.frames == len(seen) > 0
