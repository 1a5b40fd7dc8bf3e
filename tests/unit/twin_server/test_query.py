"""History arithmetic against a slow, obvious version; completeness."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.small_mine import SECOND_US, START_US, manifest
from twin_server import query
from twin_server.query import Rows, Valid
from twin_server.store.rows import LEVELS_US, Aggregates, Arrivals
from twin_wire.readings import Quality

HOUR_US = 3600 * SECOND_US


@pytest.mark.parametrize(
    ("span_us", "buckets", "level_us"),
    [
        (60 * SECOND_US, 600, 0),
        (2 * HOUR_US, 1000, 0),
        (6 * HOUR_US, 1000, LEVELS_US[0]),
        (6 * HOUR_US, 100, LEVELS_US[0]),
        (24 * HOUR_US, 1000, LEVELS_US[0]),
        (24 * HOUR_US, 5000, LEVELS_US[0]),
        (30 * 24 * HOUR_US, 1000, LEVELS_US[1]),
        (366 * 24 * HOUR_US, 1000, LEVELS_US[2]),
    ],
)
def test_the_level_follows_the_zoom(span_us: int, buckets: int, level_us: int) -> None:
    asked = query.plan(START_US, START_US + span_us, buckets)
    assert asked.level_us == level_us
    assert asked.from_us <= START_US
    assert asked.to_us >= START_US + span_us
    assert asked.size <= buckets + 1 or level_us == LEVELS_US[0]
    assert not level_us or (asked.bucket_us % level_us == 0 and asked.from_us % level_us == 0)


def slow(rows: Rows, asked: query.Plan) -> list[tuple[object, ...]]:
    out: list[tuple[object, ...]] = []
    for number in range(asked.size):
        begin = asked.from_us + number * asked.bucket_us
        inside = [
            (v, q)
            for t, v, q in zip(rows.time_us.tolist(), rows.value.tolist(), rows.quality.tolist(), strict=True)
            if begin <= t < begin + asked.bucket_us
        ]
        good = [v for v, q in inside if q < Quality.BAD]
        nan = math.nan
        out.append(
            (
                len(good),
                min(good, default=nan),
                max(good, default=nan),
                sum(good) / len(good) if good else nan,
                good[-1] if good else nan,
                len(inside) - len(good),
            )
        )
    return out


samples = st.lists(
    st.tuples(st.integers(0, 3599), st.integers(-500, 500), st.sampled_from([0, 16, 33])), min_size=0, max_size=60
)


def rows_of(made: list[tuple[int, int, int]]) -> Rows:
    made = sorted(made)
    return Rows(
        np.array([START_US + t * SECOND_US for t, _, _ in made], np.int64),
        np.array([math.nan if q >= 32 else v / 100 for _, v, q in made], float),
        np.array([q for _, _, q in made], np.uint8),
    )


@settings(max_examples=100, deadline=None)
@given(samples, st.integers(1, 40))
def test_buckets_of_rows_equal_the_slow_way(made: list[tuple[int, int, int]], buckets: int) -> None:
    rows, asked = rows_of(made), query.plan(START_US, START_US + HOUR_US, buckets)
    fast = list(zip(*(c.tolist() for c in query.bucketed(rows, asked)), strict=True))
    np.testing.assert_allclose(np.array(fast, float), np.array(slow(rows, asked), float), rtol=1e-12)


@settings(max_examples=100, deadline=None)
@given(samples, st.integers(1, 30))
def test_buckets_of_aggregates_equal_buckets_of_the_rows_they_came_from(
    made: list[tuple[int, int, int]], buckets: int
) -> None:
    rows, asked = rows_of(made), query.plan(START_US, START_US + 4 * HOUR_US, buckets)
    minute = query.Plan(LEVELS_US[0], LEVELS_US[0], asked.from_us // LEVELS_US[0] * LEVELS_US[0], asked.to_us)
    n, low, high, mean, last, bad = query.bucketed(rows, minute)
    some = np.flatnonzero((n + bad) > 0)
    t0_us = minute.from_us + some * minute.bucket_us
    total = np.where(n > 0, np.nan_to_num(mean) * n, 0.0)
    found = Aggregates(t0_us, n[some], bad[some], low[some], high[some], total[some], last[some], t0_us)
    for fast, want in zip(query.regrouped(found, asked), query.bucketed(rows, asked), strict=True):
        np.testing.assert_allclose(fast, want, rtol=1e-9)


def test_exact_rows_are_given_as_they_are() -> None:
    rows = rows_of([(0, 50, 0), (1, 0, 33)])
    found = query.exact("p0", rows, START_US, START_US + HOUR_US)
    assert (found.bucket_us, found.n, found.bad) == (0, [1, 0], [0, 1])
    assert found.last[0] == 0.5
    assert math.isnan(found.last[1])


def test_parts_are_joined_in_time_order_and_cut_to_the_range() -> None:
    late, early = rows_of([(5, 5, 0), (9, 9, 0)]), rows_of([(1, 1, 0), (6, 6, 0)])
    joined = query.join([late, early], START_US + SECOND_US, START_US + 9 * SECOND_US)
    assert ((joined.time_us - START_US) // SECOND_US).tolist() == [1, 5, 6]


def test_what_was_owed_follows_the_manifest_in_force() -> None:
    versions = [Valid(START_US, manifest(points=3)), Valid(START_US + 60 * SECOND_US, manifest(points=5))]
    assert query.expected(versions, START_US - HOUR_US, START_US) == 0
    assert query.expected(versions, START_US, START_US + 120 * SECOND_US) == 3 * 60 + 5 * 60


def test_completeness_counts_each_gateway_and_owes_nothing_in_the_future() -> None:
    begin_us = START_US // LEVELS_US[0] * LEVELS_US[0]
    asked = query.Plan(0, LEVELS_US[0], begin_us, begin_us + 3 * LEVELS_US[0])
    arrived = [
        Arrivals("gw-1", begin_us, 6, 180, 170, 12, 90),
        Arrivals("gw-1", begin_us + LEVELS_US[0], 3, 90, 90, 0, 5),
        Arrivals("gw-2", begin_us, 1, 7, 7, 0, 1),
    ]
    now_us = begin_us + 2 * LEVELS_US[0]
    row = query.completeness("gw-1", [Valid(begin_us, manifest(points=3))], arrived, asked, now_us)
    assert (row.expected, row.received, row.good, row.late) == ([180, 180, 0], [180, 90, 0], [170, 90, 0], [12, 0, 0])
    assert query.share([row]) == 0.75
    assert query.share([]) is None


def test_more_than_was_owed_in_one_bucket_does_not_fill_another() -> None:
    row = query.Completeness("gw-1", 1, [0, 1], [10, 10], [20, 5], [0, 0], [0, 0], [0, 0])
    assert query.share([row]) == 0.75
