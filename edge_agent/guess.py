"""What unknown registers may hold: every type and order with the evidence for it, from two looks some seconds apart.

A guess is never more than that: it says what speaks for it (`for`) and lets the installer compare with the display.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

ORDERS = {"ABCD": (0, 1, 2, 3), "CDAB": (2, 3, 0, 1), "BADC": (1, 0, 3, 2), "DCBA": (3, 2, 1, 0)}
FLOAT_SPAN = (1e-3, 1e5)  # a measured float lies within, or is exactly 0
STEP_SHARE = 0.2  # between two looks a measurement moves by less than this share of itself
WHOLE_USUAL = 10_000  # most integers of instruments are below
TEXT_REGISTERS_MIN = 3


class Guess(NamedTuple):
    """One reading of one or more registers, with the words that speak for it and against it, best first."""

    address: int
    type: str
    order: str
    value: float | str
    score: int
    reasons: tuple[str, ...]  # codes: REASONS


REASONS = {
    "not_used": "holds what unused registers hold",
    "zero": "is zero both times",
    "small_float": "a float of everyday size",
    "round_float": "its digits end early, as a measured value's do",
    "only_order": "no other order gives an everyday number",
    "moves": "moved a little between the two looks, as a measurement does",
    "jumps": "jumped between the two looks",
    "steady": "did not move",
    "counts": "counted up",
    "text": "printable text",
    "sign": "small in two's complement",
}


def guesses(first: Mapping[int, int], second: Mapping[int, int]) -> list[Guess]:
    """Return the best guess for each place of the registers seen twice (address → 0 to 65535)."""
    found: list[Guess] = []
    addresses = sorted(first.keys() & second.keys())
    place = 0
    while place < len(addresses):
        address = addresses[place]
        guess = _text(addresses[place:], first) or _best(candidates(address, first, second))
        found.append(guess)
        place += max(1, len(str(guess.value)) // 2) if guess.type == "text" else 2 if guess.type[1:] == "32" else 1
    return found


def candidates(address: int, first: Mapping[int, int], second: Mapping[int, int]) -> list[Guess]:
    """Return every reading of what begins at `address`, the likeliest first."""
    made = [_whole(address, first[address], second[address], kind) for kind in ("u16", "i16")]
    if address + 1 in first and address + 1 in second:
        pair = [b"".join(look[address + k].to_bytes(2, "big") for k in (0, 1)) for look in (first, second)]
        floats = [_float(address, order, pair) for order in ORDERS]
        usual = [guess for guess in floats if "small_float" in guess.reasons]
        if len(usual) == 1:
            only = usual[0]
            floats[floats.index(only)] = only._replace(score=only.score + 1, reasons=(*only.reasons, "only_order"))
        made += floats
        made += [_long(address, order, pair) for order in ORDERS]
    return sorted(made, key=lambda guess: -guess.score)


def _best(made: Sequence[Guess]) -> Guess:
    return made[0]


def _whole(address: int, first: int, second: int, kind: str) -> Guess:
    values = [number - 65_536 if kind == "i16" and number > 32_767 else number for number in (first, second)]
    if {first, second} <= {0xFFFF, 0x7FFF, 0x8000}:
        return Guess(address, kind, "ABCD", float(values[1]), 3 if kind == "u16" else 0, ("not_used",))
    if first == second == 0:
        return Guess(address, kind, "ABCD", 0.0, 2 if kind == "u16" else 0, ("zero",))
    move, points = _movement(*map(float, values))
    signed = kind == "i16" and max(first, second) > 32_767 and abs(values[1]) < 5_000
    unsigned = 2 if max(first, second) < WHOLE_USUAL else 1
    score = points + (3 if signed else 0 if kind == "i16" else unsigned)
    return Guess(address, kind, "ABCD", float(values[1]), score, (move, *(("sign",) if signed else ())))


def _float(address: int, order: str, pair: Sequence[bytes]) -> Guess:
    values = [_ordered(">f", order, data) for data in pair]
    reasons: list[str] = []
    score = 0
    if all(_usual(value) for value in values) and any(values):
        reasons.append("small_float")
        score += 2
        if all(_is_round(value) for value in values):
            reasons.append("round_float")
            score += 3
        move, points = _movement(*values)
        reasons.append(move)
        score += points
    value = values[1] if math.isfinite(values[1]) else math.nan
    return Guess(address, "f32", order, value, score, tuple(reasons))


def _long(address: int, order: str, pair: Sequence[bytes]) -> Guess:
    values = [_ordered(">I", order, data) for data in pair]
    grew = 0 < values[1] - values[0] < 100_000
    high_used = any(value > 0xFFFF for value in values)
    score, reasons = 0, ["counts" if grew else _movement(*values)[0]]
    if grew and high_used and values[1] < 1 << 31:
        score = 5
    return Guess(address, "u32", order, values[1], score, tuple(reasons))


def _ordered(form: str, order: str, data: bytes) -> float:
    return float(struct.unpack(form, bytes(data[place] for place in ORDERS[order]))[0])


def _usual(value: float) -> bool:
    return value == 0 or (math.isfinite(value) and FLOAT_SPAN[0] <= abs(value) <= FLOAT_SPAN[1])


def _is_round(value: float) -> bool:
    """Tell whether a float32 is the nearest one to a number of at most five digits."""
    if not math.isfinite(value):
        return False
    short = float(f"{value:.5g}")
    return struct.pack(">f", short) == struct.pack(">f", value)


def _movement(first: float, second: float) -> tuple[str, int]:
    if first == second:
        return "steady", 0
    if abs(second - first) <= STEP_SHARE * max(abs(first), abs(second)):
        return "moves", 2
    return "jumps", -1


def _text(addresses: Sequence[int], look: Mapping[int, int]) -> Guess | None:
    """Return the text that begins here, if enough printable registers follow each other."""
    data = b""
    for step, address in enumerate(addresses):
        pair = look[address].to_bytes(2, "big")
        if address != addresses[0] + step or not all(32 <= byte < 127 for byte in pair):
            break
        data += pair
    if len(data) < 2 * TEXT_REGISTERS_MIN or not any(chr(byte).isalpha() for byte in data):
        return None
    return Guess(addresses[0], "text", "ABCD", data.decode("ascii"), 8, ("text",))
