"""The load of a line is told before anybody polls it, with the shortest period that fits."""

import pytest

from edge_agent.load import FULL, Demand, load_advice, load_text, predicted_load


def test_a_bus_with_room_says_its_share_and_nothing_else():
    load = predicted_load([Demand(0.1, 1.0), Demand(0.2, 2.0)])
    assert load.utilisation == pytest.approx(0.2)
    assert (load.needs_s, load_advice(load)) == (0.0, "")
    assert load_text(load) == "predicted 20% of the line's time"


def test_a_bus_too_full_says_which_period_fits():
    load = predicted_load([Demand(0.765, 1.0), Demand(0.765, 1.0)])
    assert load_text(load) == "predicted 153% of the line's time: this bus cannot do 1 s, it needs 1.7 s"
    assert "period_s = 1.7" in load_advice(load)


@pytest.mark.parametrize("slow_s", [3.0, 60.0, 3_600.0])
def test_with_the_period_it_names_the_bus_fits_and_slow_groups_keep_theirs(slow_s: float):
    demands = [Demand(0.4, 0.5), Demand(0.3, 1.0), Demand(0.5, slow_s), Demand(0.2, 10.0)]
    needs_s = predicted_load(demands).needs_s
    assert needs_s < 3.0
    slowed = [Demand(d.scan_s, max(d.period_s, needs_s)) for d in demands]
    assert predicted_load(slowed).needs_s == 0.0
    shorter = [Demand(d.scan_s, max(d.period_s, needs_s - 0.11)) for d in demands]
    assert predicted_load(shorter).utilisation > FULL


def test_nothing_to_poll_is_no_load():
    assert predicted_load([]) == (0.0, 0.0, 0.0)
    assert predicted_load([Demand(0.0, 0.1)]).utilisation == 0.0
