"""Status words, heartbeats and ages: what other registers say about a value."""

import math
from typing import Any

import numpy as np
import pytest

from drivers.modbus.companions import Companions, Scales, helpers_of
from drivers.profile import Companion, Modbus, Profile, Signal
from twin_wire.errors import ConfigError
from twin_wire.readings import Quality


def signal(name: str, **more: Any) -> Signal:
    return Signal(id=name, quantity=more.pop("quantity", "count"), unit=more.pop("unit", "1"), function=3, **more)


def profile(companions: list[Companion], *signals: Signal) -> Profile:
    head = {"id": "p", "vendor": "", "model": "", "protocol": "modbus", "rung": "simulated", "provenance": ()}
    return Profile(**head, modbus=Modbus(), signals=signals, companions=tuple(companions))  # type: ignore[arg-type]


def judged(companions: Companions, numbers: list[float], now_s: float = 0.0, good: Quality = Quality.GOOD) -> Any:
    """Return the first column's value and quality, and the age, after judging one scan."""
    value, quality = np.array(numbers)[:, None], np.full((len(numbers), 1), good, np.uint8)
    age = companions.judge(value, quality, now_s)
    return float(value[0, 0]), Quality(int(quality[0, 0])), age


def watching(companion: Companion, period_s: float = 1.0, **status: Any) -> Companions:
    gas, teller = signal("gas"), signal("status", **status)
    return Companions(profile([companion], gas, teller), [gas, teller], period_s)


@pytest.mark.parametrize(
    ("number", "quality"),
    [
        (0, Quality.GOOD),
        (2, Quality.CALIBRATING),
        (3, Quality.DEVICE_FAULT),  # the worst of the bits that are set
        (4, Quality.GOOD),  # a bit nobody speaks of
        (math.nan, Quality.UNCERTAIN),  # nobody knows
    ],
)
def test_a_status_word_lowers_the_quality_by_its_worst_bit(number: float, quality: Quality) -> None:
    words = watching(Companion(signal="status", of=("gas",), bits={"0": "DEVICE_FAULT", "1": "CALIBRATING"}))
    value, got, _ = judged(words, [5.0, number])
    assert got == quality
    assert math.isnan(value) == (quality >= Quality.BAD), "below BAD the number is kept, from there on there is none"


@pytest.mark.parametrize(("number", "quality"), [(1, Quality.GOOD), (7, Quality.BYPASSED), (2, Quality.BAD)])
def test_a_validity_register_speaks_by_number(number: float, quality: Quality) -> None:
    words = watching(Companion(signal="status", of=("gas",), values={"1": "GOOD", "7": "BYPASSED"}, other="BAD"))
    assert judged(words, [5.0, number])[1] == quality


def test_a_companion_never_makes_anything_better() -> None:
    words = watching(Companion(signal="status", of=("gas",), values={"1": "UNCERTAIN"}))
    assert judged(words, [5.0, 1.0], good=Quality.OVER_RANGE)[:2] == (5.0, Quality.OVER_RANGE)


def test_a_heartbeat_that_does_not_change_in_time_is_a_stuck_device() -> None:
    beat = watching(Companion(signal="status", of=("gas",), alive_s=4.0))
    seen = [(0, 1), (3, 1), (4.1, 1), (5, math.nan), (6, 2), (9, 2), (9.9, math.nan), (10.1, math.nan)]
    stuck = [judged(beat, [5.0, number], at_s)[1] == Quality.STUCK for at_s, number in seen]
    assert stuck == [False, False, True, True, False, False, False, True], "an answer that lacks it is no beat"


def test_a_heartbeat_that_is_read_too_rarely_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="too rarely"):
        watching(Companion(signal="status", of=("gas",), alive_s=4.0), period_s=2.1)


@pytest.mark.parametrize(
    ("unit", "decimals", "number", "age_us", "quality"),
    [
        ("s", 0, 90.0, 90_000_000, Quality.GOOD),
        ("min", 0, 61.0, 3_660_000_000, Quality.UNCERTAIN),  # stale after an hour
        ("s", 1, 0.5, 500_000, Quality.GOOD),
        ("s", 0, -1.0, 0, Quality.UNCERTAIN),
        ("s", 0, math.nan, 0, Quality.UNCERTAIN),
        ("s", 0, 1e300, 0, Quality.UNCERTAIN),  # no age of anything: there is no time so long ago
    ],
)
def test_the_age_of_the_data_is_known_or_doubted(
    unit: str, decimals: int, number: float, age_us: int, quality: Quality
) -> None:
    aged = watching(
        Companion(signal="status", of=("gas",), age=True, stale_s=3600),
        quantity="data_age",
        unit=unit,
        decimals=decimals,
    )
    _, got, age = judged(aged, [5.0, number])
    assert (age.age_us, got) == (age_us, quality)


def test_helpers_of_helpers_are_read_and_points_are_not_read_twice() -> None:
    gas, scale, status = signal("gas", exponent="scale"), signal("scale", type="i16"), signal("status")
    known = profile([Companion(signal="status", of=("scale",), bits={"0": "BAD"})], gas, scale, status)
    assert helpers_of(known, [gas]) == [scale, status]
    assert helpers_of(known, [gas, scale, status]) == []


def test_a_scale_from_another_request_counts_once_it_has_been_the_same_twice() -> None:
    gas, scale = signal("gas", exponent="scale"), signal("scale", type="i16")
    scales = Scales([gas, scale])
    seen = []
    for held in (1.0, 1.0, 2.0, 2.0, math.nan, 2.0, 2.0):
        value, quality = np.array([[5.0], [held]]), np.zeros((2, 1), np.uint8)
        scales.check(value, quality, {(0, 1)})
        seen.append((Quality(int(quality[0, 0])), math.isnan(value[0, 0])))
    unsure, good, bad = (Quality.UNCERTAIN, False), (Quality.GOOD, False), (Quality.BAD, True)
    assert seen == [unsure, good, bad, good, bad, bad, good]
    value, quality = np.array([[5.0], [9.0]]), np.zeros((2, 1), np.uint8)
    scales.check(value, quality, ())
    assert quality[0, 0] == Quality.GOOD, "in one request with its value it is the one the value was counted in"
