"""The planner's requests cover every item, obey the device, and cost the least."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.planner import Cost, Rules, Span, complement, join, may_read, plan, plan_cost_s
from twin_wire.errors import ConfigError

CHAR_S = 11 / 9600


def cost(turnaround_s: float, char_s: float = CHAR_S) -> Cost:
    return Cost(13 * char_s + 2 * max(3.5 * char_s, 0.00175) + turnaround_s, 2 * char_s)


def covers(requests: list[Span], items: list[Span]) -> bool:
    return all(any(a <= first and first + n <= a + m for a, m in requests) for first, n in items)


def cheapest(items: list[Span], price: Cost, rules: Rules) -> float:
    """Every way to cut the sorted items into runs, tried."""
    wanted = sorted(set(items))

    @cache
    def best(first: int) -> float:
        if first == len(wanted):
            return 0.0
        costs = []
        for last in range(first, len(wanted)):
            start = wanted[first][0]
            length = max(a + n for a, n in wanted[first : last + 1]) - start
            if last == first or (length <= rules.count_max and may_read(rules, start, length)):
                costs.append(price.request_s + length * price.unit_s + best(last + 1))
        return min(costs)

    return best(0)


@given(
    st.lists(st.tuples(st.integers(0, 120), st.sampled_from([1, 2, 4])), min_size=1, max_size=12),
    st.floats(0.001, 0.1),
    st.integers(4, 40),
    st.lists(st.integers(0, 120), max_size=3),
)
def test_a_plan_covers_everything_at_the_least_cost(
    items: list[Span], turnaround_s: float, count_max: int, holes: list[int]
) -> None:
    forbid = tuple((hole, hole) for hole in holes)
    items = [(a, n) for a, n in items if not any(a <= hole < a + n for hole in holes)] or [(200, 1)]
    rules = Rules(count_max, forbid)
    requests = plan(items, cost(turnaround_s), rules)
    assert covers(requests, items)
    assert all(n <= count_max and may_read(rules, a, n) for a, n in requests)
    assert plan_cost_s(requests, cost(turnaround_s)) == pytest.approx(cheapest(items, cost(turnaround_s), rules))


def test_whether_a_gap_is_read_across_depends_on_the_bus() -> None:
    items = [(0, 2), (22, 2)]
    assert plan(items, cost(0.005), Rules(125)) == [(0, 2), (22, 2)]
    assert plan(items, cost(0.040), Rules(125)) == [(0, 24)]
    assert plan(items, cost(0.005, 11 / 115200), Rules(125)) == [(0, 24)]


def test_clusters_are_joined_only_across_gaps_that_are_cheaper_than_a_request() -> None:
    items = [(a, 2) for a in [*range(0, 40, 2), 52, 54, 72, 74, 78, 80, 100, 104, 110, 118]]
    assert plan(items, cost(0.040), Rules(125)) == [(0, 120)]
    assert plan(items, cost(0.005), Rules(125)) == [(0, 56), (72, 10), (100, 20)]


def test_a_forbidden_register_is_never_touched() -> None:
    assert plan([(0, 2), (3, 2)], cost(1.0), Rules(125, forbid=((2, 2),))) == [(0, 2), (3, 2)]
    with pytest.raises(ConfigError):
        plan([(1, 2)], cost(1.0), Rules(125, forbid=((2, 9),)))


def test_an_atomic_block_is_read_whole_or_not_at_all() -> None:
    rules = Rules(125, atomic=((100, 119),))
    assert plan([(105, 1)], cost(0.01), rules) == [(100, 20)]
    assert plan([(98, 1), (105, 1), (119, 1)], cost(1.0), rules) == [(98, 22)]
    assert not may_read(rules, 100, 4)
    assert may_read(rules, 90, 40)


def test_a_learned_cut_is_not_crossed_but_may_begin_a_request() -> None:
    assert plan([(0, 2), (2, 2), (4, 2)], cost(1.0), Rules(125, cuts={4})) == [(0, 4), (4, 2)]


def test_an_item_wider_than_the_device_allows_is_a_configuration_fault() -> None:
    with pytest.raises(ConfigError):
        plan([(0, 4)], cost(0.01), Rules(2))


def test_a_thousand_registers_are_planned_in_eight_requests() -> None:
    assert plan([(n, 1) for n in range(1000)], cost(0.002), Rules(125)) == [(125 * n, 125) for n in range(8)]


def test_a_pair_is_one_item_where_one_request_may_read_both() -> None:
    pair = [((0, 2), (60, 1))]
    assert join(pair, [(0, 2), (60, 1), (10, 2)], Rules(125)) == [(0, 61)]
    assert plan(join(pair, [(0, 2), (60, 1)], Rules(125)), cost(0.001), Rules(125)) == [(0, 61)], "at any price"
    for rules in (Rules(60), Rules(125, forbid=((30, 30),)), Rules(125, cuts={9}), Rules(125, only={(0, 2), (60, 1)})):
        assert join(pair, [(0, 2), (60, 1)], rules) == [(0, 2), (60, 1)]
    assert join(pair, [(0, 2), (60, 1)], Rules(125, atomic=((55, 70),))) == [(0, 71)], "its block with it"


def test_nested_items_are_read_once() -> None:
    assert join([], [(0, 10), (0, 2), (4, 2), (8, 4), (8, 4)], Rules(125)) == [(0, 10), (8, 4)]


def test_a_device_that_answers_certain_reads_only_gets_those() -> None:
    rules = Rules(125, only={(0, 2), (2, 1)})
    assert plan([(0, 2), (2, 1)], cost(1.0), rules) == [(0, 2), (2, 1)]
    assert not may_read(rules, 0, 3)
    assert may_read(rules, 2, 1)
    with pytest.raises(ConfigError):
        plan([(4, 1)], cost(1.0), rules)


def test_what_no_span_holds() -> None:
    assert complement([(4, 2), (0, 1), (5, 3), (65_535, 1)]) == [(1, 3), (8, 65_534)]
    assert complement([]) == [(0, 65_535)]
