"""Modbus masters we did not write read the right values from our simulated slaves."""

import subprocess
from pathlib import Path

import pytest
from pymodbus import FramerType, ModbusException
from pymodbus.client import ModbusSerialClient, ModbusTcpClient

from tests.support.debian import Missing, program
from tests.support.sim_lines import rtu_bus, serving, tcp_bus, unit


def test_pymodbus_reads_every_table_over_tcp() -> None:
    bus = tcp_bus([unit(1), unit(2)])
    with serving(bus), ModbusTcpClient("127.0.0.1", port=bus.line.port, timeout=2, retries=0) as client:
        for number in (1, 2):
            holding = client.read_holding_registers(10, count=125, device_id=number)
            assert holding.registers == [number * 1000 + a for a in range(10, 135)]
            assert client.read_input_registers(299, count=1, device_id=number).registers == [number * 1000 + 299]
            assert client.read_coils(0, count=9, device_id=number).bits[:9] == [n % 3 == 0 for n in range(9)]
            assert client.read_discrete_inputs(1, count=4, device_id=number).bits[:4] == [False, False, True, False]


def test_pymodbus_understands_our_refusals_over_tcp() -> None:
    bus = tcp_bus([unit(1)], gateway=True)
    with serving(bus), ModbusTcpClient("127.0.0.1", port=bus.line.port, timeout=2, retries=0) as client:
        assert client.read_holding_registers(299, count=2, device_id=1).exception_code == 2
        assert client.write_register(5, 1, device_id=1).exception_code == 1
        assert client.read_holding_registers(0, count=1, device_id=9).exception_code == 11
    assert bus.units[1].writes_refused == 1
    assert bus.absent == {9: 1}


def test_pymodbus_reads_over_a_serial_line(tmp_path: Path) -> None:
    bus = rtu_bus(tmp_path / "bus", 115200, [unit(3, 0.005), unit(4, 0.005)])
    with (
        serving(bus),
        ModbusSerialClient(
            str(tmp_path / "bus"), framer=FramerType.RTU, baudrate=115200, timeout=1, retries=0
        ) as client,
    ):
        for number in (3, 4, 3):
            found = client.read_holding_registers(100, count=60, device_id=number)
            assert found.registers == [number * 1000 + a for a in range(100, 160)]
        assert client.read_input_registers(300, count=1, device_id=3).exception_code == 2


def test_a_unit_that_is_not_there_says_nothing_on_a_serial_line(tmp_path: Path) -> None:
    bus = rtu_bus(tmp_path / "bus", 115200, [unit(3)])
    with (
        serving(bus),
        ModbusSerialClient(
            str(tmp_path / "bus"), framer=FramerType.RTU, baudrate=115200, timeout=0.2, retries=0
        ) as client,
    ):
        with pytest.raises(ModbusException):
            client.read_holding_registers(0, count=1, device_id=9)
        assert client.read_holding_registers(0, count=1, device_id=3).registers == [3000]
    assert bus.absent == {9: 1}


def test_mbpoll_reads_over_tcp() -> None:
    bus = tcp_bus([unit(1)])
    with serving(bus):
        assert polled("-m", "tcp", "-p", str(bus.line.port), "-a", "1", "-r", "21", "-c", "3", "127.0.0.1") == [
            1020,
            1021,
            1022,
        ]


def test_mbpoll_reads_over_a_serial_line(tmp_path: Path) -> None:
    with serving(rtu_bus(tmp_path / "bus", 9600, [unit(2, 0.01)])):
        arguments = ("-m", "rtu", "-b", "9600", "-P", "none", "-a", "2", "-r", "1", "-c", "2")
        assert polled(*arguments, str(tmp_path / "bus")) == [2000, 2001]


def polled(*arguments: str) -> list[int]:
    """Return the holding registers mbpoll printed."""
    try:
        mbpoll, environment = program("mbpoll")
    except Missing as why:
        pytest.skip(f"no mbpoll: {why}")
    command = [mbpoll, "-t", "4", "-1", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True, env=environment)
    rows = [line.split("]:")[1] for line in done.stdout.splitlines() if line.startswith("[")]
    return [int(row.split()[0]) for row in rows]
