"""The clock: a step is seen and named, slewing is not, the kernel's own judgement is asked."""

import pytest

from edge_agent.clock import NONE, NTP, SystemClock, Watch, read_kernel_clock
from twin_wire.readings import Clock

FREE, SYNCED = Clock(NONE, -1, 0), Clock(NTP, 900, 0)
S = 1_000_000


@pytest.mark.parametrize(("step_s", "words"), [(3600.0, "ahead by 3600.000 s"), (-0.5, "back by 0.500 s")])
def test_a_step_of_the_wall_clock_is_an_event(step_s, words):
    watch = Watch(100 * S, 7 * S, FREE)
    (event,) = watch.look(101 * S + round(step_s * S), 8 * S, FREE)
    assert event.rule == "clock_step"
    assert words in event.text
    assert event.numbers["step_s"] == pytest.approx(step_s)
    assert watch.look(102 * S + round(step_s * S), 9 * S, FREE) == []


def test_slewing_is_no_step():
    watch = Watch(0, 0, FREE)
    wall = 0.0
    for second in range(1, 2_000):
        wall += S * 1.0005  # the most the kernel slews
        assert watch.look(round(wall), second * S, FREE) == []


def test_gaining_and_losing_the_time_source_are_events():
    watch = Watch(0, 0, FREE)
    assert [e.rule for e in watch.look(S, S, SYNCED)] == ["clock_sync"]
    assert watch.clock == SYNCED
    (lost,) = watch.look(2 * S, 2 * S, FREE)
    assert "not synchronised" in lost.text


def test_the_machine_s_own_clock_can_be_read():
    clock = read_kernel_clock()
    assert clock.sync in (0, 1, 2)
    assert clock.error_us >= -1
    system = SystemClock()
    assert system.monotonic_ms() <= system.monotonic_ms()
    assert system.time_us() > 1_700_000_000_000_000
