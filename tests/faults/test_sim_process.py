"""The simulator as a process: it serves, counts, tells the truth, takes orders and leaves nothing behind."""

import csv
import json
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymodbus import ModbusException
from pymodbus.client import ModbusSerialClient, ModbusTcpClient


class Sim:
    """A running simulator and its control door."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.tcp_port = free.getsockname()[1]
        self.folder = folder
        command = [sys.executable, "-m", "hardware_sim", "run", "--dir", str(folder), "--tcp-port", str(self.tcp_port)]
        self.process = subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not (folder / "dev" / "uwb-2").exists() or not (folder / "control.json").exists():
            assert time.monotonic() < deadline
            assert self.process.poll() is None
            time.sleep(0.05)
        self.url = json.loads((folder / "control.json").read_text())["url"]

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=5) as answer:
            return json.load(answer)

    def post(self, path: str, **body: object) -> Any:
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def unit(self, link: str, number: int) -> Any:
        return self.get("/status")["links"][link]["units"][str(number)]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Sim]:
    running = Sim(tmp_path / "gw", "--seed", "7")
    yield running
    running.process.kill()
    running.process.wait(10)


def test_what_a_master_reads_is_the_truth_is_counted_and_is_in_the_journal(sim: Sim) -> None:
    with ModbusSerialClient(str(sim.folder / "dev" / "bus-1"), baudrate=9600, timeout=1, retries=0) as client:
        registers = client.read_holding_registers(506, count=2, device_id=1).registers
        assert client.read_holding_registers(0, count=2, device_id=4).registers[1] == 0x0200
        assert client.read_holding_registers(0, count=1, device_id=1).exception_code == 2
    shown = struct.unpack(">f", struct.pack(">HH", *registers))[0]
    assert shown == pytest.approx(sim.get("/truth")["ch4.heading_a"], abs=0.05)
    with ModbusTcpClient("127.0.0.1", port=sim.tcp_port, timeout=2, retries=0) as client:
        assert len(client.read_input_registers(0, count=39, device_id=2).registers) == 39
        client.write_register(0, 1, device_id=2)
    first = sim.unit("bus-1", 1)
    assert (first["answers"], first["samples"], first["exceptions"]) == (1, 1, {"2": 1})
    plc = sim.unit("plc", 2)
    assert (plc["answers"], plc["samples"], plc["writes_refused"]) == (1, 33, 1)
    assert sim.stop() == 0
    with (sim.folder / "journal.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["function"] != "0"]
    assert [(row["link"], row["unit"], row["address"]) for row in rows] == [
        ("bus-1", "1", "506"),
        ("bus-1", "4", "0"),
        ("plc", "2", "0"),
    ]
    assert bytes.fromhex(rows[0]["payload"]) == struct.pack(">HH", *registers)


def test_orders_change_the_world_and_are_labelled(sim: Sim) -> None:
    assert sim.post("/action", verb="speed", amount=50)["done"] == "speed"
    before = sim.get("/status")["world_time_s"]
    sim.post("/action", verb="fan", subject="a", amount=0)
    sim.post("/scenario", name="unplug")
    time.sleep(1.2)
    status = sim.get("/status")
    assert status["world_time_s"] - before > 30
    assert status["scenario"] == "unplug"
    assert sim.get("/truth")["fan.a.speed"] < 200
    assert len(sim.get("/people")) >= 40


def answers(client: ModbusSerialClient, unit: int) -> bool:
    try:
        return len(client.read_holding_registers(506, count=2, device_id=unit).registers) == 2
    except ModbusException:
        return False


def test_faults_unplugging_and_dead_devices_on_demand(sim: Sim) -> None:
    sim.post("/action", verb="dead", subject="ch4-b-face")
    sim.post("/fault", link="bus-1", kind="silence", unit=2, times=1)
    with ModbusSerialClient(str(sim.folder / "dev" / "bus-1"), baudrate=9600, timeout=0.2, retries=0) as client:
        for number, alive in ((3, False), (2, False), (2, True)):
            assert answers(client, number) is alive
    sim.post("/action", verb="unplug", subject="bus-1")
    assert not (sim.folder / "dev" / "bus-1").exists()
    sim.post("/action", verb="plug", subject="bus-1")
    assert (sim.folder / "dev" / "bus-1").exists()
    assert sim.get("/status")["links"]["bus-1"]["absent"] == {"3": 1}


def test_bad_orders_are_refused_with_a_reason(sim: Sim) -> None:
    for path, body in (
        ("/scenario", {"name": "earthquake"}),
        ("/action", {"verb": "explode"}),
        ("/action", {"verb": "fan", "subject": "c"}),
        ("/action", {"verb": "speed", "amount": 1e9}),
        ("/fault", {"link": "bus-9", "kind": "flip"}),
        ("/fault", {"link": "bus-1", "kind": "half_open"}),
        ("/clear", {"link": 4}),
    ):
        with pytest.raises(urllib.error.HTTPError) as caught:
            sim.post(path, **body)
        with caught.value as answer:
            assert answer.code == 400
            assert json.load(answer)["error"]


def test_a_web_page_cannot_give_orders(sim: Sim) -> None:
    plain = urllib.request.Request(sim.url + "/stop", b"{}", {"Content-Type": "text/plain"})
    foreign = urllib.request.Request(sim.url + "/status", headers={"Host": "evil.example"})
    for request, code in ((plain, 415), (foreign, 403)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=5)
        with caught.value as answer:
            assert answer.code == code


def test_it_ends_cleanly_and_takes_its_ports_with_it(sim: Sim) -> None:
    assert sim.post("/stop")["stopping"]
    assert sim.process.wait(10) == 0
    assert list((sim.folder / "dev").iterdir()) == []
