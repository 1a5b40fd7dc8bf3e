"""History at any zoom as arithmetic: which level answers, buckets from rows or from aggregates, completeness."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from twin_server.store.rows import LEVELS_US, MINUTE_US, Aggregates, Arrivals
from twin_wire.manifest import Manifest
from twin_wire.readings import Quality

EXACT_SPAN_US = 2 * 3_600_000_000  # longer spans are answered from aggregates: 720 bodies, 7,200 if always watched
BUCKETS_MAX = 5_000
SPAN_MAX_US = 100 * 366 * 86_400_000_000

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


class Plan(NamedTuple):
    """How a range is answered: level_us 0 = exact rows; buckets of bucket_us cover [from_us, to_us)."""

    level_us: int
    bucket_us: int
    from_us: int
    to_us: int

    @property
    def size(self) -> int:
        """Return the number of buckets."""
        return (self.to_us - self.from_us) // self.bucket_us


class History(msgspec.Struct, frozen=True):
    """One point over a range; bucket_us 0: the rows themselves. NaN (JSON null) where a bucket has no number."""

    point: str
    from_us: int = msgspec.field(name="from")
    to_us: int = msgspec.field(name="to")
    bucket_us: int
    time_us: list[int]
    n: list[int]
    min: list[float]
    max: list[float]
    mean: list[float]
    last: list[float]
    bad: list[int]


class Rows(NamedTuple):
    """Exact samples of one point in time order."""

    time_us: I64
    value: F64
    quality: NDArray[np.uint8]


class Completeness(msgspec.Struct, frozen=True):
    """What one gateway owed and delivered per bucket, in samples; `delay_us` is the greatest of each bucket."""

    gateway: str
    bucket_us: int
    time_us: list[int]
    expected: list[int]
    received: list[int]
    good: list[int]
    late: list[int]
    delay_us: list[int]


class Valid(NamedTuple):
    """A manifest and the event time from which it was in force."""

    from_us: int
    manifest: Manifest


def plan(from_us: int, to_us: int, buckets: int) -> Plan:
    """Return the finest level that answers with at most `buckets` buckets, aligned to whole buckets."""
    assert from_us < to_us
    assert 0 < buckets <= BUCKETS_MAX
    wanted_us = -(-(to_us - from_us) // buckets)
    if to_us - from_us <= EXACT_SPAN_US and wanted_us < MINUTE_US:
        return _aligned(0, wanted_us, from_us, to_us)
    level_us = max((level for level in LEVELS_US if level <= wanted_us), default=MINUTE_US)
    return _aligned(level_us, -(-wanted_us // level_us) * level_us, from_us, to_us)


def bucketed(rows: Rows, asked: Plan) -> tuple[NDArray[np.generic], ...]:
    """Return (n, min, max, mean, last, bad) per bucket of the plan from exact samples."""
    inside = (rows.time_us >= asked.from_us) & (rows.time_us < asked.to_us)
    index = (rows.time_us[inside] - asked.from_us) // asked.bucket_us
    value, good = rows.value[inside], _good(rows)[inside]
    at, number = index[good], value[good]
    n = np.bincount(at, minlength=asked.size)
    bad = np.bincount(index[~good], minlength=asked.size)
    low, high, last = (np.full(asked.size, np.nan) for _ in range(3))
    np.fmin.at(low, at, number)
    np.fmax.at(high, at, number)
    last[at] = number  # in time order, so the last assignment stays
    return n, low, high, _mean(np.bincount(at, number, asked.size), n), last, bad


def regrouped(found: Aggregates, asked: Plan) -> tuple[NDArray[np.generic], ...]:
    """Return (n, min, max, mean, last, bad) per bucket of the plan from stored aggregates."""
    index = (found.t0_us - asked.from_us) // asked.bucket_us
    n = np.bincount(index, found.n, asked.size).astype(np.int64)
    bad = np.bincount(index, found.bad, asked.size).astype(np.int64)
    low, high, last = (np.full(asked.size, np.nan) for _ in range(3))
    np.fmin.at(low, index, found.min)
    np.fmax.at(high, index, found.max)
    some = found.n > 0
    last[index[some]] = found.last[some]
    return n, low, high, _mean(np.bincount(index[some], found.sum[some], asked.size), n), last, bad


def history(point: str, asked: Plan, columns: Sequence[NDArray[np.generic]]) -> History:
    """Return the answer for a plan from its columns."""
    n, low, high, mean, last, bad = (column.tolist() for column in columns)
    time_us = [asked.from_us + number * asked.bucket_us for number in range(asked.size)]
    return History(point, asked.from_us, asked.to_us, asked.bucket_us, time_us, n, low, high, mean, last, bad)


def exact(point: str, rows: Rows, from_us: int, to_us: int) -> History:
    """Return the rows themselves as an answer, one sample each."""
    good = _good(rows)
    value = np.where(good, rows.value, np.nan).tolist()
    n, bad = good.astype(int).tolist(), (~good).astype(int).tolist()
    return History(point, from_us, to_us, 0, rows.time_us.tolist(), n, value, value, value, value, bad)


def join(parts: Iterable[Rows], from_us: int, to_us: int) -> Rows:
    """Return samples of many blocks in time order, those outside [from_us, to_us) left out."""
    pieces = list(parts)
    if not pieces:
        return Rows(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.uint8))
    time_us, value, quality = (np.concatenate(columns) for columns in zip(*pieces, strict=True))
    order = np.argsort(time_us, kind="stable")
    order = order[(time_us[order] >= from_us) & (time_us[order] < to_us)]
    return Rows(time_us[order], value[order], quality[order])


def samples_per_s(manifest: Manifest) -> float:
    """Return how many samples a gateway owes each second; groups without a period owe none."""
    return sum(len(group.points) / group.period_s for group in manifest.groups if group.period_s > 0)


def expected(versions: Sequence[Valid], from_us: int, to_us: int) -> float:
    """Return how many samples were owed in [from_us, to_us) by the manifests in force then (rising from_us)."""
    owed = 0.0
    for number, version in enumerate(versions):
        ends_us = versions[number + 1].from_us if number + 1 < len(versions) else to_us
        overlap_us = min(ends_us, to_us) - max(version.from_us, from_us)
        if overlap_us > 0:
            owed += samples_per_s(version.manifest) * overlap_us / 1e6
    return owed


def completeness(
    gateway: str, versions: Sequence[Valid], arrived: Iterable[Arrivals], asked: Plan, now_us: int
) -> Completeness:
    """Return owed and delivered per bucket; nothing is owed after `now_us`."""
    received, good, late, delay_us = (np.zeros(asked.size, np.int64) for _ in range(4))
    for row in arrived:
        at = (row.t0_us - asked.from_us) // asked.bucket_us
        if row.gateway == gateway and 0 <= at < asked.size:
            received[at] += row.samples
            good[at] += row.good
            late[at] += row.late
            delay_us[at] = max(delay_us[at], row.delay_us)
    time_us = [asked.from_us + number * asked.bucket_us for number in range(asked.size)]
    owed = [round(expected(versions, start, min(start + asked.bucket_us, now_us))) for start in time_us]
    return Completeness(
        gateway, asked.bucket_us, time_us, owed, received.tolist(), good.tolist(), late.tolist(), delay_us.tolist()
    )


def share(rows: Iterable[Completeness]) -> float | None:
    """Return delivered over owed, bucket by bucket never above 1; None when nothing was owed."""
    pairs = [pair for row in rows for pair in zip(row.expected, row.received, strict=True)]
    owed = sum(expected for expected, _ in pairs)
    return sum(min(pair) for pair in pairs) / owed if owed else None


def _good(rows: Rows) -> NDArray[np.bool_]:
    good: NDArray[np.bool_] = (rows.quality < Quality.BAD) & np.isfinite(rows.value)
    return good


def _aligned(level_us: int, bucket_us: int, from_us: int, to_us: int) -> Plan:
    first_us = from_us // bucket_us * bucket_us
    return Plan(level_us, bucket_us, first_us, -(-(to_us - first_us) // bucket_us) * bucket_us + first_us)


def _mean(total: NDArray[Any], n: NDArray[Any]) -> F64:
    mean: F64 = np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)
    return mean
