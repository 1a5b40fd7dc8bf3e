"""Scan and doctor on a bus with other masters, echoes and damaged wires; simulate beside a real gateway's state."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tty
from pathlib import Path

import pytest

from edge_agent.claim import Target, refuse_heard_only, target_of
from edge_agent.config import load_config
from edge_agent.mapping import link_at
from edge_agent.scan import Plan, Scan, Setting, units_of
from edge_agent.wiring import ask_line, judge_line
from hardware_sim.bus import Unit
from hardware_sim.faults import Rule
from hardware_sim.journal import Answer
from tests.support.gateway_folder import GATEWAY, POINTS, write_folder
from tests.support.sim_lines import rtu_bus, serving, tcp_bus, unit
from twin_wire.errors import ConfigError, LinkError

ONE = (Setting(9600, "N", 1),)


def agent(*words: str) -> list[str]:
    return [sys.executable, "-m", "edge_agent", *words]


def test_a_scan_hears_another_master_and_stays_silent():
    near, far = os.openpty()
    tty.setraw(far)
    try:
        scan = Scan(Target(os.ttyname(far)), Plan(ONE, (1, 2), 0.05, 0.5))
        threading.Timer(0.2, os.write, (near, bytes.fromhex("0103000800 0245C9"))).start()
        with pytest.raises(LinkError, match="another master may be on"):
            scan.run()
        os.set_blocking(near, False)
        with pytest.raises(BlockingIOError):
            os.read(near, 100)
    finally:
        os.close(near)
        os.close(far)


def test_a_port_that_another_process_holds_is_refused_by_the_holder_s_name(tmp_path):
    near, far = os.openpty()
    code = f"import serial,time; p = serial.Serial({os.ttyname(far)!r}, exclusive=True); print('held', flush=True); time.sleep(60)"  # noqa: E501
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LinkError, match=f"in use by process {holder.pid}"):
            Scan(Target(os.ttyname(far)), Plan(ONE, (1,), 0.05, 0.0, True)).run()
    finally:
        holder.kill()
        holder.communicate()
        os.close(near)
        os.close(far)


def test_a_connection_that_another_process_holds_is_refused(tmp_path):
    bus = tcp_bus([unit(1)])
    with serving(bus):
        code = f"import socket,time; s = socket.create_connection(('127.0.0.1', {bus.line.port})); print('held', flush=True); time.sleep(60)"  # noqa: E501
        holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            with pytest.raises(LinkError, match=f"in use by process {holder.pid}"):
                Scan(Target("", "127.0.0.1", bus.line.port), Plan(units=(1,))).run()
        finally:
            holder.kill()
            holder.communicate()


def test_a_link_that_only_listens_is_never_asked(tmp_path):
    port = tmp_path / "bus-1"
    port.touch()
    listening = GATEWAY.replace("baud = 19200", "baud = 19200\nlisten_only = true")
    path = write_folder(tmp_path, listening, "point,device,signal\n")
    words = ["scan", str(port), "--config", str(path)]
    done = subprocess.run(agent(*words), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nothing may be sent" in done.stderr
    config = load_config(write_folder(tmp_path))
    refuse_heard_only(target_of(str(port)), config)  # a link that is polled is no matter of this rule
    with pytest.raises(ConfigError):
        target_of(str(tmp_path / "none"))


def test_a_converter_that_only_listens_is_never_asked_by_another_of_its_names(tmp_path):
    heard = '[[link]]\nid = "heard"\nkind = "modbus-tap"\nhost = "LocalHost"\ntcp_port = 4001\n[[device]]'
    config = load_config(write_folder(tmp_path, GATEWAY.replace("[[device]]", heard, 1)))
    for name in ("localhost", "127.0.0.1"):
        with pytest.raises(ConfigError, match="nothing may be sent"):
            refuse_heard_only(target_of(f"{name}:4001"), config)
        assert link_at(config, target_of(f"{name}:4001")) == "heard"
    refuse_heard_only(target_of("127.0.0.1:4002"), config)


def test_units_that_are_no_units_are_refused_before_they_are_counted():
    for text in ("1-2000000000", "300", "5-256"):
        with pytest.raises(ConfigError):
            units_of(text)


def test_an_adapter_unplugged_between_two_questions_is_told_as_gone():
    near, far = os.openpty()
    name = os.ttyname(far)
    os.close(far)
    held = [near]
    plan = Plan((Setting(),), (1, 2, 3), wait_s=0.05, only_master=True)
    with pytest.raises(LinkError, match="is gone"):
        Scan(Target(name), plan, lambda _: os.close(held.pop()) if held else None).run()


def test_ctrl_c_ends_a_scan_and_keeps_what_was_found(tmp_path):
    path = tmp_path / "bus"
    seen: list[Answer] = []
    with serving(rtu_bus(path, 115_200, [unit(2)], seen)):
        words = agent("scan", str(path), "--wait", "0.4", "--listen", "0")
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        end_s = time.monotonic() + 20
        while not seen and time.monotonic() < end_s:
            time.sleep(0.02)
        time.sleep(0.4)  # it is asking the next one
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 0, err
    assert "unit 2  9600 8N1" in out


def test_one_device_that_answers_every_unit_is_told_as_one(tmp_path):
    one = unit(1)
    bus = tcp_bus([Unit(number, one.image, 0.0) for number in range(256)])
    with serving(bus):
        scan = Scan(Target("", "127.0.0.1", bus.line.port), Plan())
        scan.run()
    assert scan.ignores_unit
    assert [found.unit for found in scan.found] == [1]


@pytest.mark.parametrize(
    ("kind", "unit_number", "advice"),
    [
        ("echo", None, "echo = true"),
        ("flip", 4, "the end of the line or a long stub"),
        ("flip", None, "120 ohm at both ends"),
        ("silence", None, "swap A and B"),
        ("", None, ""),
    ],
)
def test_the_doctor_tells_wires_apart_by_their_errors(tmp_path, kind, unit_number, advice):
    bus = rtu_bus(tmp_path / "bus-1", 115_200, [unit(3), unit(4)])
    if kind:
        bus.faults.add(Rule(kind, unit_number, 1.0 if kind != "flip" else 0.5))
    config = load_config(write_folder(tmp_path, points=POINTS))
    with serving(bus):
        findings = judge_line("bus-1", asyncio.run(ask_line(config, config.links[0], 10)))
    said = [finding.advice for finding in findings if finding.advice]
    assert any(advice in text for text in said) if advice else said == []


def test_simulate_runs_the_very_configuration_and_leaves_the_real_state_alone(tmp_path):
    path = write_folder(tmp_path)
    before = {each: each.read_bytes() for each in tmp_path.iterdir()}
    words = agent("simulate", str(path), "--seconds", "3", "--page", "127.0.0.1:0")
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 devices answered" in done.stdout
    assert "ch4-face" in done.stdout
    assert "GOOD" in done.stdout
    assert {each: each.read_bytes() for each in tmp_path.iterdir() if each.is_file()} == before
    assert not (tmp_path / "state").exists()
    served = json.loads((tmp_path / "simulated" / "served.json").read_text())
    assert Path(served["links"]["bus-1"]["port"]).is_relative_to(tmp_path / "simulated")
