"""Only reading requests can be expressed, and only their own answers have the right shape."""

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.ascii import AsciiFraming
from drivers.modbus.pdu import Function, Identify, Read, answer_bytes, identification, reply_of, request_pdu
from drivers.modbus.rtu import RtuFraming
from drivers.modbus.tcp import DatagramFraming, TcpFraming
from twin_wire.errors import ConfigError

READING = {1, 2, 3, 4, 0x2B}
DRIVERS = Path(__file__).parents[3] / "drivers"


def test_the_four_reading_functions_and_identification_are_all_there_is() -> None:
    assert {int(function) for function in Function} == {1, 2, 3, 4}
    assert request_pdu(Read(1, Function.READ_HOLDING_REGISTERS, 107, 3)) == bytes.fromhex("03006B0003")
    assert request_pdu(Identify(1, 4, 2)) == bytes.fromhex("2B0E0402")


@given(st.integers(-5, 300), st.integers(-5, 70_000), st.integers(-5, 3_000))
def test_no_number_makes_a_request_that_writes(function: int, address: int, length: int) -> None:
    request = Read(1, function, address, length)  # type: ignore[arg-type]
    for framing in (RtuFraming(), TcpFraming(), DatagramFraming(), AsciiFraming()):
        try:
            frame = framing.begin(request)
        except ConfigError:
            continue
        if isinstance(framing, AsciiFraming):
            frame = bytes.fromhex(frame[1:-2].decode())
        code = frame[7] if isinstance(framing, TcpFraming) else frame[1]
        assert code == function
        assert code in READING


@given(st.integers(-2, 300), st.integers(-2, 300))
def test_an_identification_is_one_whatever_its_numbers(level: int, object_id: int) -> None:
    try:
        frame = RtuFraming().begin(Identify(1, level, object_id))
    except ConfigError:
        return
    assert frame[1:3] == b"\x2b\x0e"


SENDERS = {  # files that only pass on what they are given, and one that asks
    ("bus.py", "frame"),
    ("dial_in_line.py", "data"),
    ("pymodbus_lines.py", "data"),
    ("serial_line.py", "self._fd, data"),
    ("tcp_line.py", "data"),
    ("pushed.py", "data"),  # DWM1001's shell commands; no Modbus
}


def test_one_place_of_modbus_sends_bytes_and_it_sends_what_a_framing_made() -> None:
    calls = {
        (path.name, call)
        for path in DRIVERS.rglob("*.py")
        if not path.name.startswith("kj_")  # writes files of its own
        for call in re.findall(r"\.(?:write|send|sendto|sendall)\(([^)]*)\)", path.read_text())
    }
    assert calls <= SENDERS
    bus = ast.parse((DRIVERS / "modbus/bus.py").read_text())
    made = {
        ast.unparse(node.value.func)
        for node in ast.walk(bus)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and "frame" in {name.id for name in ast.walk(node.targets[0]) if isinstance(name, ast.Name)}
    }
    assert made == {"self._framing.begin", "framing.begin_ahead"}


def test_a_listener_has_no_way_to_transmit() -> None:
    for name, listener in (("serial_line.py", "SerialListener"), ("tcp_line.py", "TcpListener")):
        tree = ast.parse((DRIVERS / name).read_text())
        [found] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == listener]
        assert not found.bases
        assert "write" not in ast.unparse(found)


@pytest.mark.parametrize(
    ("function", "count", "data"),
    [(Function.READ_COILS, 9, 2), (Function.READ_DISCRETE_INPUTS, 8, 1), (Function.READ_INPUT_REGISTERS, 125, 250)],
)
def test_an_answer_has_exactly_the_length_asked_for(function: Function, count: int, data: int) -> None:
    request = Read(7, function, 0, count)
    assert answer_bytes(request, bytes((function, data))) == data + 2
    assert answer_bytes(request, bytes((function, data - 1))) == 0
    assert answer_bytes(request, bytes((function, data + 1))) == 0
    assert answer_bytes(request, bytes((function,))) is None
    assert answer_bytes(request, bytes((function ^ 1, data))) == 0
    assert answer_bytes(request, bytes((function | 0x80, 2))) == 2


def test_an_exception_keeps_its_code_and_a_code_of_zero_is_still_a_refusal() -> None:
    assert reply_of(b"\x83\x02", b"").code == 2
    assert reply_of(b"\x83\x00", b"").code == 1


def test_identification_objects_are_walked_to_their_end() -> None:
    pdu = bytes.fromhex("2B0E01010000 03") + b"\x00\x03KBR" + b"\x01\x02ab" + b"\x02\x00"
    request = Identify(1)
    assert answer_bytes(request, pdu) == len(pdu)
    assert all(answer_bytes(request, pdu[:n]) in (None, len(pdu)) for n in range(len(pdu)))
    assert identification(reply_of(pdu, b"").data) == {0: "KBR", 1: "ab", 2: ""}
    assert answer_bytes(request, bytes.fromhex("2B0E02")) == 0, "another level answers another question"


@pytest.mark.parametrize("count", [0, 126])
def test_counts_beyond_the_standard_are_refused(count: int) -> None:
    with pytest.raises(ConfigError):
        request_pdu(Read(1, Function.READ_HOLDING_REGISTERS, 0, count))
