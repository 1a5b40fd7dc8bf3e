"""What one answer means by a profile, without a line: golden examples, known contents, texts, guesses of a page."""

import math

import numpy as np

from drivers.modbus.companions import Companions, Scales
from drivers.modbus.decode import Decoder, Field
from drivers.modbus.pdu import Function
from drivers.modbus.rtu import is_whole
from drivers.profile import Golden, Profile, Signal, Text, Verify
from twin_wire.readings import Quality

BITS = (Function.READ_COILS, Function.READ_DISCRETE_INPUTS)
FLOAT_SHARE = 1e-6  # how near a float has to come to what is expected: a single holds seven digits
SINGLE = {"f32", "f64"}


def values_of(profile: Profile, function: int, address: int, data: bytes) -> dict[str, tuple[float, Quality]]:
    """Return value and quality of every signal that lies whole in an answer's data, read from `address` on.

    Scales and companions count as far as they lie in it too; a value whose scale does not is BAD.
    """
    bits = function in BITS
    unpacked = np.frombuffer(data, np.uint8)
    if bits:
        unpacked = np.unpackbits(unpacked, bitorder="little")
    length = len(unpacked) if bits else len(unpacked) // 2
    inside = [
        signal
        for signal in profile.signals
        if signal.function == function and address <= signal.address <= address + length - signal.count
    ]
    if not inside:
        return {}
    fields = [Field(signal, (signal.address - address) * (1 if bits else 2), False) for signal in inside]
    value, quality = Decoder(fields).decode(unpacked[None, :])
    Scales(inside).check(value, quality, ())
    Companions(profile, inside, 0.0).judge(value, quality, 0.0)
    return {
        signal.id: (float(number), Quality(int(code)))
        for signal, number, code in zip(inside, value[:, 0], quality[:, 0], strict=True)
    }


def text_of(text: Text | Verify, data: bytes) -> str:
    """Return what registers of text say, without the padding; what is not printable ASCII becomes '?'."""
    data = data[: 2 * text.registers]
    if text.order == "BADC":
        data = b"".join(data[place : place + 2][::-1] for place in range(0, len(data), 2))
    data = data.split(b"\0", 1)[0]
    return "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in data).strip()


def agrees(verify: Verify, data: bytes) -> bool:
    """Tell whether the data read from the register of `verify` is what it is known to hold."""
    if len(data) < 2 * verify.count:
        return False
    if isinstance(verify.expect, str):
        return text_of(verify, data).startswith(verify.expect.strip())
    number = known_number(verify, data)
    low, high = verify.expect if isinstance(verify.expect, tuple) else (verify.expect, verify.expect)
    slack = FLOAT_SHARE * max(abs(low), abs(high)) if verify.type in SINGLE else 0.0
    return low - slack <= number <= high + slack  # NaN is never within


def golden_faults(profile: Profile, golden: Golden) -> list[str]:
    """Return what is wrong with an example: frames that are not whole, values that the answer does not give."""
    request, answer = bytes.fromhex(golden.request), bytes.fromhex(golden.answer)
    found = [f"{name} is no whole frame" for name, f in (("request", request), ("answer", answer)) if not is_whole(f)]
    if found or len(request) != 8 or request[1] not in (1, 2, 3, 4):
        return found or ["the request is no read"]
    if answer[:2] != request[:2] or answer[2] != len(answer) - 5:
        return ["the answer is not one to the request"]
    got = values_of(profile, request[1], int.from_bytes(request[2:4], "big"), answer[3:-2])
    for name, expected in golden.values.items():
        value, quality = got.get(name, (math.nan, Quality.GOOD))
        if name not in got:
            found.append(f"{name} does not lie in the answer")
        elif value != expected and not (math.isnan(value) and math.isnan(expected)):
            found.append(f"{name} is {value} ({quality.name}), not {expected}")
    return found


def known_number(verify: Verify, data: bytes) -> float:
    """Return the number in the register of `verify`."""
    signal = Signal(
        id="known",
        quantity="count",
        unit="1",
        function=verify.function,
        type="u16" if verify.type == "text" else verify.type,
        order=verify.order,
        decimals=verify.decimals,
    )
    raw = signal.type in SINGLE  # compared as it is
    value, _ = Decoder([Field(signal, 0, raw)]).decode(np.frombuffer(data[: 2 * verify.count], np.uint8)[None, :])
    return float(value[0, 0])
