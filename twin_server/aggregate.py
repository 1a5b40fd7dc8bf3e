"""What one batch adds to the history: buckets per point and level, arrivals per minute. Pure."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from twin_server.store.rows import LATE_US, LEVELS_US, MINUTE_US, AggregateBlock, Arrivals
from twin_wire.readings import Batch, Block, Quality


def aggregates(batch: Batch) -> list[AggregateBlock]:
    """Return the buckets of all points on every level; a sample counts with a finite number and a quality below BAD."""
    return [made for block in batch.blocks for level_us in LEVELS_US for made in _buckets(block, level_us)]


def bucket_count(batch: Batch) -> int:
    """Return how many buckets `aggregates` would make, and minutes with positions, to refuse before making them."""
    return int(np.unique(batch.fixes.time_us // MINUTE_US).size) + sum(
        len(block.points) * sum(_starts(block.time_us // level_us).size for level_us in LEVELS_US)
        for block in batch.blocks
    )


def arrivals(batch: Batch, gateway: str, received_us: int) -> list[Arrivals]:
    """Return the samples of a batch per minute of event time; a batch counts once, in its first minute."""
    minutes: dict[int, list[int]] = {}
    for block in batch.blocks:
        good = _good(block).sum(axis=0)
        of_minute = block.time_us // MINUTE_US
        delay_us = received_us - block.time_us
        for first, end in _ranges(of_minute):
            row = minutes.setdefault(int(of_minute[first]), [0, 0, 0, 0])
            row[0] += (end - first) * len(block.points)
            row[1] += int(good[first:end].sum())
            row[2] += int((delay_us[first:end] > LATE_US).sum()) * len(block.points)
            row[3] = max(row[3], int(delay_us[first:end].max()))
    return [
        Arrivals(gateway, minute * MINUTE_US, int(at == 0), *minutes[minute])
        for at, minute in enumerate(sorted(minutes))
    ]


def time_range_us(batch: Batch) -> tuple[int, int] | None:
    """Return the first and last event time of the readings and positions, None when there are none."""
    times = [block.time_us for block in batch.blocks if block.time_us.size]
    if batch.fixes.time_us.size:
        times.append(batch.fixes.time_us)
    if not times:
        return None
    return min(int(t.min()) for t in times), max(int(t.max()) for t in times)


def _buckets(block: Block, level_us: int) -> Iterator[AggregateBlock]:
    bucket = block.time_us // level_us
    if not bucket.size:
        return
    good = _good(block)
    for first, end in _ranges(bucket):
        value, fine = block.value[:, first:end], good[:, first:end]
        n = fine.sum(axis=1)
        none = n == 0
        low = np.where(fine, value, np.inf).min(axis=1)
        high = np.where(fine, value, -np.inf).max(axis=1)
        place = end - first - 1 - fine[:, ::-1].argmax(axis=1)  # of the last good sample
        last = value[np.arange(len(value)), place]
        last_us = np.where(none, 0, block.time_us[first:end][place])
        for column in (low, high, last):
            column[none] = np.nan
        total = np.where(fine, value, 0.0).sum(axis=1)
        bad = end - first - n
        t0_us = int(bucket[first]) * level_us
        yield AggregateBlock(block.points, level_us, t0_us, n, bad, low, high, total, last, last_us)


def _good(block: Block) -> NDArray[np.bool_]:
    return np.isfinite(block.value) & (block.quality < Quality.BAD)


def _starts(bucket: NDArray[np.int64]) -> NDArray[np.intp]:
    return np.flatnonzero(np.diff(bucket, prepend=bucket[:1] - 1))


def _ranges(bucket: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    starts = _starts(bucket).tolist()
    return zip(starts, [*starts[1:], bucket.size], strict=True)
