"""The fixtures outside developers get: a bus that a blocking reader reads, its faults, a mine."""

import time
from collections.abc import Callable

import minimalmodbus
import pytest
import serial

from hardware_sim.fixtures import SimBus, SimFaults, SimMine
from twin_wire.errors import ConfigError


def reader(bus: SimBus, unit: int) -> minimalmodbus.Instrument:
    port = serial.Serial(bus.port, 115_200, timeout=0.5)
    return minimalmodbus.Instrument(port, unit)


@pytest.fixture
def gas(sim_bus: SimBus) -> SimBus:
    sim_bus.add("pemtech-pt495", unit=3, ch4=0.8)
    return sim_bus


def ch4_of(bus: SimBus, unit: int) -> float:
    """Read the register of the profile's CH4, wherever it is."""
    signal = bus._devices[unit].profile.signals["ch4"]
    made = reader(bus, unit)
    try:
        return made.read_register(signal.address, signal.decimals, functioncode=signal.function)
    finally:
        made.serial.close()


def test_a_blocking_reader_reads_what_the_device_shows(gas: SimBus) -> None:
    assert ch4_of(gas, 3) == 0.8
    gas.show(3, ch4=1.2)
    assert ch4_of(gas, 3) == 1.2
    assert [answer.unit for answer in gas.answers] == [3, 3]


def test_a_fault_disturbs_and_clearing_ends_it(gas: SimBus, sim_faults: SimFaults) -> None:
    sim_faults.add("silence", unit=3)
    with pytest.raises(minimalmodbus.NoResponseError):
        ch4_of(gas, 3)
    sim_faults.clear()
    assert ch4_of(gas, 3) == 0.8


def test_a_device_without_power_is_silent_and_an_unplugged_bus_is_gone(gas: SimBus) -> None:
    gas.power(3, on=False)
    with pytest.raises(minimalmodbus.NoResponseError):
        ch4_of(gas, 3)
    gas.power(3, on=True)
    assert ch4_of(gas, 3) == 0.8
    gas.unplug()
    with pytest.raises(serial.SerialException):
        ch4_of(gas, 3)
    gas.plug()
    assert ch4_of(gas, 3) == 0.8


def test_what_is_not_there_is_refused_by_name(gas: SimBus) -> None:
    for ask, what in (
        (lambda: gas.show(3, moisture=1.0), "moisture"),
        (lambda: gas.show(4, ch4=1.0), "unit 4"),
        (lambda: gas.add("pemtech-pt495", unit=3), "already"),
        (lambda: gas.add("no-such-profile"), "no-such-profile"),
    ):
        with pytest.raises(ConfigError, match=what):
            ask()


def test_two_buses_are_two(make_sim_bus: Callable[..., SimBus]) -> None:
    one, other = make_sim_bus(), make_sim_bus()
    one.add("pemtech-pt495", unit=1, ch4=0.5)
    other.add("pemtech-pt495", unit=1, ch4=1.5)
    assert (ch4_of(one, 1), ch4_of(other, 1)) == (0.5, 1.5)
    assert one.tcp_port != other.tcp_port


def test_a_mine_lives_as_fast_as_it_can(sim_mine: SimMine) -> None:
    before = sim_mine.truth("ch4.heading_a")
    sim_mine.act("fan", "a", 0.0)
    begun_s = time.perf_counter()
    sim_mine.run(300)
    assert time.perf_counter() - begun_s < 3.0
    assert sim_mine.truth("ch4.heading_a") > before + 0.2
    with pytest.raises(ConfigError, match="no verb"):
        sim_mine.act("earthquake")
