"""What a batch adds to the history, against a slow and obvious count."""

import math
from typing import NamedTuple

import numpy as np

from tests.support import small_mine
from twin_server.aggregate import aggregates, arrivals, bucket_count, time_range_us
from twin_server.store.rows import LEVELS_US, MINUTE_US
from twin_wire.readings import Batch, Quality

SECOND_US = 1_000_000
START_US = 1_760_000_000_000_000 // LEVELS_US[2] * LEVELS_US[2]


class Row(NamedTuple):
    point: str
    level_us: int
    t0_us: int
    n: int
    bad: int
    min: float
    max: float
    sum: float
    last: float
    last_us: int


def _rows(batch: Batch) -> list[Row]:
    return [
        Row(point, block.level_us, block.t0_us, *cells)
        for block in aggregates(batch)
        for point, *cells in zip(block.points, *(column.tolist() for column in block[3:]), strict=True)
    ]


def _slow(batch: Batch) -> dict[tuple[str, int, int], Row]:
    found: dict[tuple[str, int, int], Row] = {}
    for level in LEVELS_US:
        for block in batch.blocks:
            for row, point in enumerate(block.points):
                for time_us, value, quality in zip(block.time_us, block.value[row], block.quality[row], strict=True):
                    key = (point, level, int(time_us) // level * level)
                    old = found.get(key, Row(*key, 0, 0, math.inf, -math.inf, 0.0, math.nan, 0))
                    if quality < Quality.BAD and math.isfinite(value):
                        low, high = min(old.min, value), max(old.max, value)
                        new = old._replace(n=old.n + 1, min=low, max=high, sum=old.sum + value)
                        found[key] = new._replace(last=float(value), last_us=int(time_us))
                    else:
                        found[key] = old._replace(bad=old.bad + 1)
    return found


def _batch() -> Batch:
    manifest = small_mine.manifest(points=4)
    random = np.random.default_rng(7)
    times = START_US + np.cumsum(random.integers(0, 40 * SECOND_US, 200))
    values = random.normal(size=(200, 4))
    values[random.random((200, 4)) < 0.2] = np.nan
    values[3, 1] = np.inf
    values[:, 3] = np.nan
    return small_mine.batch(manifest, [small_mine.block(manifest, times.tolist(), values.tolist())])


def test_aggregates_equal_a_slow_count() -> None:
    batch = _batch()
    slow = _slow(batch)
    rows = _rows(batch)
    assert len(rows) == len(slow) == bucket_count(batch)
    for row in rows:
        expected = slow[row.point, row.level_us, row.t0_us]
        assert (row.n, row.bad, row.last_us) == (expected.n, expected.bad, expected.last_us)
        assert math.isclose(row.sum, expected.sum, abs_tol=1e-12)
        if row.n:
            assert (row.min, row.max, row.last) == (expected.min, expected.max, expected.last)
        else:
            assert math.isnan(row.min)
            assert math.isnan(row.max)
            assert math.isnan(row.last)


def test_a_bad_quality_is_no_sample_whatever_its_number() -> None:
    manifest = small_mine.manifest(points=1)
    block = small_mine.block(manifest, [START_US], [[5.0]], quality=Quality.NO_ANSWER)
    [row, *_] = _rows(small_mine.batch(manifest, [block]))
    assert (row.n, row.bad) == (0, 1)


def test_arrivals_count_samples_per_minute_and_what_came_late() -> None:
    manifest = small_mine.manifest(points=3)
    times = [START_US + n * SECOND_US for n in (0, 30, 61, 119, 120)]
    batch = small_mine.batch(manifest, [small_mine.block(manifest, times, [[1.0, 2.0, math.nan]] * 5)])
    rows = arrivals(batch, "gw-1", received_us=times[-1] + 30 * SECOND_US)
    assert [(row.t0_us - START_US, row.samples, row.good) for row in rows] == [
        (0, 6, 4),
        (MINUTE_US, 6, 4),
        (2 * MINUTE_US, 3, 2),
    ]
    assert [row.late for row in rows] == [6, 3, 0]
    assert [row.batches for row in rows] == [1, 0, 0]
    assert rows[0].delay_us == 150 * SECOND_US


def test_an_empty_batch_adds_nothing() -> None:
    batch = small_mine.batch(small_mine.manifest())
    assert aggregates(batch) == []
    assert arrivals(batch, "gw-1", 0) == []
    assert time_range_us(batch) is None
