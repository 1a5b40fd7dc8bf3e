"""Register maps learned from traffic: what moves like a measurement is told from what does not, with the reason."""

import math
import random
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import load_profile
from drivers.capture import read_capture
from drivers.line import char_time_s, silence_s
from drivers.modbus.learn import SAMPLES_MAX, Meaning, Survey, _Samples, match_profile, meanings
from drivers.modbus.pdu import Function, Read
from tests.support import recorded_bus

VECTOR = Path(__file__).parents[2] / "vectors/bus.capture"
ORDERS = {"ABCD": (0, 1, 2, 3), "CDAB": (2, 3, 0, 1), "BADC": (1, 0, 3, 2), "DCBA": (3, 2, 1, 0)}


@pytest.fixture(scope="module")
def survey() -> Survey:
    with VECTOR.open("rb") as file:
        capture = read_capture(file)
    char_s = char_time_s(capture.head.baud, capture.head.parity, capture.head.stop_bits)
    made = Survey(char_s, silence_s(capture.head.baud, char_s))
    for piece in capture.pieces:
        made.feed(piece.data, piece.offset_us / 1e6)
    return made


def learned(words: list[bytes], length: int) -> list[Meaning]:
    request = Read(1, Function.READ_HOLDING_REGISTERS, 10, length)
    return meanings(request, np.frombuffer(b"".join(words), np.uint8).reshape(len(words), -1))


def test_the_masters_questions_are_found_with_their_period(survey: Survey) -> None:
    asked = survey.asked()
    assert {item.request for item in asked} == set(recorded_bus.ROUND)
    for item in asked:
        assert item.asked == recorded_bus.SECONDS
        assert item.period_s == pytest.approx(1.0, abs=0.01)
        assert item.answered >= 0.95 * item.asked


def test_the_unknown_device_is_understood(survey: Survey) -> None:
    found = {(m.function, m.address): m for m in survey.readings(12)}
    assert [(place, m.type, m.order) for place, m in found.items() if place[0] == 3] == [
        ((3, 4000), "f32", "CDAB"),
        ((3, 4002), "i16", "ABCD"),
        ((3, 4003), "u16", "ABCD"),
        ((3, 4004), "u32", "ABCD"),
    ]
    assert found[3, 4003].evidence == ("always holds what unused registers hold",)
    assert 0.3 < found[3, 4000].low < found[3, 4000].high < 0.9
    assert found[2, 9].evidence == ("changed 1 times",)


def test_a_known_instrument_is_recognised_and_a_foreign_one_is_not(survey: Survey) -> None:
    meter = match_profile(survey, 7, load_profile("eastron-sdm630"))
    dust_as_meter = match_profile(survey, 3, load_profile("eastron-sdm630"))
    assert meter is not None
    assert (meter.asked, meter.good) == (8, 8)
    assert meter.score > 0.6
    assert dust_as_meter is None or dust_as_meter.score < 0.3
    assert match_profile(survey, 7, load_profile("draeger-polytron-8000")) is None, "none of its registers is read"


@pytest.mark.parametrize("order", ORDERS)
def test_a_float_that_moves_is_found_in_every_order(order: str) -> None:
    words = []
    for n in range(60):
        plain = struct.pack(">f", 21.5 + math.sin(n / 7))
        words.append(bytes(plain[place] for place in ORDERS[order]) + b"\x00\x05")
    first, second = learned(words, 3)
    assert (first.type, first.order, first.address) == ("f32", order, 10)
    assert "no other order gives an everyday number" in first.evidence
    assert (second.type, second.low, second.high) == ("u16", 5.0, 5.0)


def test_two_whole_numbers_are_not_taken_for_a_float_nor_noise_for_a_measurement() -> None:
    rng = random.Random(1)
    words = [struct.pack(">3H", 400 + n, 900 - n, rng.randrange(65_536)) for n in range(60)]
    first, second, noise = learned(words, 3)
    assert (first.type, second.type) == ("u16", "u16")
    assert "smooth" in first.evidence[0]
    assert noise.score < first.score
    assert "jumps" in noise.evidence[0]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6).flatmap(lambda n: st.lists(st.binary(min_size=2 * n, max_size=2 * n), min_size=1, max_size=9)))
def test_whatever_the_registers_hold_each_has_one_meaning(words: list[bytes]) -> None:
    length = len(words[0]) // 2
    places = [m.address + n for m in learned(words, length) for n in range(m.size)]
    assert places == list(range(10, 10 + length))


def test_a_long_recording_is_thinned_out_over_its_whole_time() -> None:
    samples = _Samples()
    for n in range(10_000):
        samples.add(n.to_bytes(2, "big"))
    kept = [int.from_bytes(row, "big") for row in samples.rows]
    assert SAMPLES_MAX / 2 <= len(kept) <= SAMPLES_MAX
    assert kept[0] < 100
    assert kept[-1] > 9_900
    assert len(set(np.diff(kept))) == 1
