"""Columns of instruments behave as single ones do, fault by fault, and chances do not depend on what is done."""

import math

import numpy as np
import pytest

from hardware_sim.catalogue import Sensor
from hardware_sim.sensor_bank import Head, SensorBank
from hardware_sim.sensors import FaultKind, SensorState

CALM = Sensor(t90_s=20.0, gain=1.1, drift_per_h=0.01)
RAMP = [0.2 + 0.003 * second for second in range(400)]


def bank_life(kind: FaultKind | None, amount: float, spec: Sensor = CALM) -> list[float]:
    bank, past = SensorBank([Head(spec, 0.01)], "b"), []
    for second, truth in enumerate(RAMP):
        if second == 100 and kind:
            bank.fail(0, kind, amount, np.array(past))
        if second == 300:
            bank.repair(0)
        past.append(float(bank.read(np.array([truth]))[0]))
    return past


def single_life(kind: FaultKind | None, amount: float) -> list[float]:
    sensor, past = SensorState(CALM._replace(step=0.01), "s"), []
    for second, truth in enumerate(RAMP):
        if second == 100 and kind:
            sensor.fail(kind, amount)
        if second == 300:
            sensor.repair()
        past.append(sensor.read(truth, 1.0))
    return past


@pytest.mark.parametrize(
    ("kind", "amount"),
    [
        (None, 0.0), ("stuck", 0.0), ("drift", 2.0), ("coarse", 0.1), ("offset", -0.3), ("scaled", 1.6), ("dead", 0.0),
        ("covered", 0.2), ("gas", 2.0), ("replay", 60.0),
    ],
)  # fmt: skip
def test_a_column_and_a_single_instrument_show_the_same(kind: FaultKind | None, amount: float) -> None:
    np.testing.assert_allclose(bank_life(kind, amount), single_life(kind, amount), atol=1e-9)


@pytest.mark.parametrize("kind", ["noisy", "spikes", "dropout"])
def test_what_is_left_to_chance_disturbs_as_much_as_it_says(kind: FaultKind) -> None:
    spec = Sensor(noise=0.05)
    life = np.array(bank_life(kind, 8.0 if kind == "noisy" else 1.0, spec))[100:300] - np.array(RAMP)[100:300]
    if kind == "dropout":
        assert 0.2 < np.isnan(life).mean() < 0.4
    elif kind == "noisy":
        assert np.std(life) == pytest.approx(0.4, rel=0.2)
    else:
        assert 0 < (np.abs(life) > 0.3).sum() < 12


def test_a_replay_repeats_what_was_shown_exactly() -> None:
    life = bank_life("replay", 60.0, Sensor(noise=0.05))
    assert life[100:160] == life[40:100]
    assert life[160:220] == life[40:100]
    assert life[300:360] != life[40:100]


def test_swapped_wires_show_each_other_until_repaired() -> None:
    bank = SensorBank([Head(Sensor(), 0.1), Head(Sensor(), 0.1)], "w")
    truth = np.array([1.0, 20.0])
    assert bank.read(truth).tolist() == [1.0, 20.0]
    bank.swap(0, 1)
    assert bank.read(truth).tolist() == [20.0, 1.0]
    bank.repair(1)
    assert bank.read(truth).tolist() == [1.0, 20.0]


def test_a_fault_of_one_changes_nothing_at_the_others_and_nothing_after_its_repair() -> None:
    heads = [Head(Sensor(noise=0.1, mixing=0.1), 0.0) for _ in range(3)]
    quiet, harmed = SensorBank(heads, "q"), SensorBank(heads, "q")
    truth = np.array([1.0, 2.0, 3.0])
    harmed.fail(1, "spikes", 1.0, np.zeros(0))
    for second in range(200):
        if second == 100:
            harmed.repair(1)
        one, other = quiet.read(truth), harmed.read(truth)
        assert one[[0, 2]].tolist() == other[[0, 2]].tolist()
        if second >= 100:
            assert one.tolist() == other.tolist()


def test_a_coarse_head_stays_until_it_is_surely_another_alone_and_in_columns() -> None:
    spec = Sensor(deadband=0.09)
    bank, single = SensorBank([Head(spec, 0.1)], "d"), SensorState(spec._replace(step=0.1), "d")
    truth = [0.30, 0.36, 0.38, 0.33, 0.41, 0.35, 0.29]
    shown = [float(bank.read(np.array([value]))[0]) for value in truth]
    assert shown == pytest.approx([0.3, 0.3, 0.3, 0.3, 0.4, 0.4, 0.3])
    assert [single.read(value, 1.0) for value in truth] == pytest.approx(shown)


def test_values_end_where_the_scale_ends() -> None:
    bank = SensorBank([Head(Sensor(), 0.1, 0.0, 4.0)], "e")
    assert bank.read(np.array([9.0])).tolist() == [4.0]
    assert bank.read(np.array([-9.0])).tolist() == [0.0]
    assert not math.isnan(bank.read(np.array([1.0]))[0])
