"""Instruments lag, wander and fail the way their plans say."""

import itertools
import math
import statistics

import pytest

from hardware_sim.catalogue import Sensor
from hardware_sim.sensors import SensorState


def test_ninety_percent_of_a_step_shows_after_t90() -> None:
    sensor = SensorState(Sensor(t90_s=20.0), "x")
    sensor.read(0.0, 1.0)
    for _ in range(20):
        shown = sensor.read(1.0, 1.0)
    assert shown == pytest.approx(0.9, abs=1e-9)


def test_lag_does_not_depend_on_how_often_it_is_read() -> None:
    often, seldom = (SensorState(Sensor(t90_s=20.0), "x") for _ in range(2))
    often.read(0.0, 1.0)
    seldom.read(0.0, 1.0)
    for _ in range(10):
        shown = often.read(1.0, 1.0)
    assert seldom.read(1.0, 10.0) == pytest.approx(shown)


def test_noise_has_the_size_it_says() -> None:
    sensor = SensorState(Sensor(noise=0.5), "n")
    assert statistics.stdev(sensor.read(10.0, 1.0) for _ in range(4000)) == pytest.approx(0.5, rel=0.06)


def test_imperfect_mixing_wanders_slowly_about_the_truth() -> None:
    sensor = SensorState(Sensor(mixing=0.1), "m")
    shown = [sensor.read(1.0, 10.0) for _ in range(20_000)]
    assert statistics.mean(shown) == pytest.approx(1.0, abs=0.02)
    assert statistics.stdev(shown) == pytest.approx(0.1, rel=0.15)
    assert max(abs(a - b) for a, b in itertools.pairwise(shown)) < 0.15


def test_a_stuck_sensor_repeats_itself_until_repaired() -> None:
    sensor = SensorState(Sensor(noise=0.1), "s")
    last = sensor.read(1.0, 1.0)
    sensor.fail("stuck")
    assert {sensor.read(2.0, 1.0) for _ in range(50)} == {last}
    sensor.repair()
    assert sensor.read(2.0, 1.0) != last


def test_drift_grows_with_world_time_and_calibration_ends_it() -> None:
    sensor = SensorState(Sensor(), "d")
    sensor.fail("drift", 0.2)
    for _ in range(3600):
        shown = sensor.read(1.0, 1.0)
    assert shown == pytest.approx(1.2)
    sensor.repair()
    assert sensor.read(1.0, 1.0) == 1.0


def test_a_dead_sensor_and_an_unknown_truth_are_no_number() -> None:
    sensor = SensorState(Sensor(noise=0.1), "k")
    assert math.isnan(sensor.read(math.nan, 1.0))
    sensor.fail("dead")
    assert math.isnan(sensor.read(1.0, 1.0))


def test_a_coarse_sensor_shows_whole_steps_and_offset_shifts() -> None:
    sensor = SensorState(Sensor(step=0.25), "c")
    assert sensor.read(1.1, 1.0) == 1.0
    sensor.fail("coarse", 0.5)
    assert sensor.read(1.3, 1.0) == 1.5
    sensor.fail("offset", -0.5)
    assert sensor.read(1.0, 1.0) == 0.5


def test_the_same_seed_gives_the_same_readings() -> None:
    one, other = (SensorState(Sensor(noise=1.0, mixing=0.1), "same") for _ in range(2))
    assert [one.read(1.0, 1.0) for _ in range(50)] == [other.read(1.0, 1.0) for _ in range(50)]
