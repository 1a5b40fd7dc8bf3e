"""Guesses at registers: the right type and order come first, and integers are not taken for floats."""

import struct

import pytest

from edge_agent.guess import ORDERS, candidates, guesses


def words(value: float, order: str) -> list[int]:
    data = struct.pack(">f", value)
    moved = bytes(data[ORDERS[order].index(place)] for place in range(4))
    return [int.from_bytes(moved[:2], "big"), int.from_bytes(moved[2:], "big")]


@pytest.mark.parametrize("order", ORDERS)
def test_a_measured_float_is_found_in_each_order(order):
    looks = [dict(enumerate(words(value, order), 100)) for value in (23.4, 23.5)]
    best = candidates(100, *looks)[0]
    assert (best.type, best.order, best.value) == ("f32", order, pytest.approx(23.5))
    assert {"round_float", "moves"} <= set(best.reasons)


def test_neighbouring_integers_stay_integers():
    rows = guesses({5: 331, 6: 815, 7: 65_500}, {5: 334, 6: 812, 7: 65_498})
    assert [(row.type, row.value) for row in rows] == [("u16", 334.0), ("u16", 812.0), ("i16", -38.0)]


def test_text_counters_and_unused_registers_are_told_apart():
    text = dict(enumerate([0x5644, 0x4D2D, 0x3031, 0x3230], 10))
    assert guesses(text, text)[0].value == "VDM-0120"
    counter = candidates(0, {0: 3, 1: 100}, {0: 3, 1: 110})
    assert any((row.type, row.order, row.reasons[0]) == ("u32", "ABCD", "counts") for row in counter)
    assert guesses({1: 0xFFFF, 2: 0}, {1: 0xFFFF, 2: 0})[0].reasons == ("not_used",)
