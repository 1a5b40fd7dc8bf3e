"""Numbers that pymodbus writes into registers are the numbers we read, and those of our simulator are what it reads."""

import random
import struct

import numpy as np
import pytest
from pymodbus.client.mixin import ModbusClientMixin

import hardware_sim.profile as sim
from drivers.modbus.decode import Decoder, Field
from drivers.profile import Signal
from hardware_sim.encoding import encode

KINDS = {
    "i16": ModbusClientMixin.DATATYPE.INT16,
    "u16": ModbusClientMixin.DATATYPE.UINT16,
    "i32": ModbusClientMixin.DATATYPE.INT32,
    "u32": ModbusClientMixin.DATATYPE.UINT32,
    "i64": ModbusClientMixin.DATATYPE.INT64,
    "u64": ModbusClientMixin.DATATYPE.UINT64,
    "f32": ModbusClientMixin.DATATYPE.FLOAT32,
    "f64": ModbusClientMixin.DATATYPE.FLOAT64,
}
ORDERS = {"ABCD": "big", "CDAB": "little"}  # pymodbus swaps words, never bytes


def numbers(kind: str, rng: random.Random) -> list[float]:
    if kind[0] == "f":
        found = [0.0, -2.5, 1e-3, 123456.125, *(rng.uniform(-1e6, 1e6) for _ in range(20))]
        return [struct.unpack(">f", struct.pack(">f", n))[0] for n in found] if kind == "f32" else found
    bits = int(kind[1:])
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if kind[0] == "i" else (0, (1 << bits) - 1)
    return [low, high, 0, 1, *(rng.randint(low, high) for _ in range(20))]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", KINDS)
def test_pymodbus_and_we_mean_the_same(kind: str, order: str) -> None:
    ours = Signal(id="s", quantity="count", unit="1", function=3, type=kind, order=order)  # type: ignore[arg-type]
    theirs = sim.Signal("s", "count", "1", 3, 0, kind, order, 0, 1, (), None, None)
    decoder = Decoder([Field(ours, 0, True)])
    for number in numbers(kind, random.Random(kind)):
        registers = ModbusClientMixin.convert_to_registers(number, KINDS[kind], word_order=ORDERS[order])  # type: ignore[arg-type]
        data = b"".join(register.to_bytes(2) for register in registers)
        assert decoder.decode(np.frombuffer(data, np.uint8)[None, :])[0][0, 0] == float(number)
        shown = list(encode(theirs, number))
        assert shown == registers
        assert ModbusClientMixin.convert_from_registers(shown, KINDS[kind], word_order=ORDERS[order]) == number  # type: ignore[arg-type]
