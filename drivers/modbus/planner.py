"""Which requests read a set of registers in the least time: exact, by dynamic programming over the sorted items.

A request costs its overhead (frames, silences, turnaround) once and time per register; whether it pays to read across a
gap depends on both, so no fixed "largest gap" is right for two buses.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from twin_wire.errors import ConfigError

Span = tuple[int, int]  # first address, count


class Cost(NamedTuple):
    """What reading costs in seconds: per request, and per register (or bit) in it."""

    request_s: float
    unit_s: float


class Rules(NamedTuple):
    """What the device demands; ranges hold both ends, `cuts` are addresses a request may begin at but not cross.

    `only`: the device answers these reads and no others.
    """

    count_max: int
    forbid: Sequence[tuple[int, int]] = ()
    atomic: Sequence[tuple[int, int]] = ()
    cuts: Collection[int] = ()
    only: Collection[Span] | None = None


def plan(items: Iterable[Span], cost: Cost, rules: Rules) -> list[Span]:
    """Return the requests that cover every item whole at the least cost, by address; ConfigError if one cannot be."""
    wanted = sorted({widen(item, rules.atomic) for item in items})
    for first, count in wanted:
        if count > rules.count_max or not may_read(rules, first, count):
            raise ConfigError(f"cannot read {count} at {first}: forbidden, or more than {rules.count_max} at once")
    if rules.only is not None:
        return wanted
    starts = [first for first, _ in wanted]
    ends = [first + count for first, count in wanted]
    barriers = sorted({high + 1 for _, high in rules.forbid} | set(rules.cuts))
    best = [0.0] + [float("inf")] * len(wanted)
    begin = [0] * (len(wanted) + 1)
    for last in range(1, len(wanted) + 1):
        end = ends[last - 1]
        for first in range(last - 1, -1, -1):
            end = max(end, ends[first])
            alone = first == last - 1
            if not alone and (end - starts[first] > rules.count_max or _crosses(barriers, starts[first], end)):
                break
            total = best[first] + cost.request_s + (end - starts[first]) * cost.unit_s
            if total < best[last]:
                best[last], begin[last] = total, first
    requests: list[Span] = []
    last = len(wanted)
    while last:
        first = begin[last]
        requests.append((starts[first], max(ends[first:last]) - starts[first]))
        last = first
    return requests[::-1]


def may_read(rules: Rules, address: int, count: int) -> bool:
    """Tell whether a request of these registers touches no forbidden one and no part of an atomic block."""
    end = address + count
    if rules.only is not None and (address, count) not in rules.only:
        return False
    if any(address <= high and low < end for low, high in rules.forbid):
        return False
    return all(end <= low or address > high or (address <= low and high < end) for low, high in rules.atomic)


def widen(item: Span, atomic: Sequence[tuple[int, int]]) -> Span:
    """Return the item, grown to the atomic blocks it touches."""
    first, end = item[0], item[0] + item[1]
    for low, high in atomic:
        if first <= high and low < end:
            first, end = min(first, low), max(end, high + 1)
    return first, end - first


def join(pairs: Sequence[tuple[Span, Span]], items: Sequence[Span], rules: Rules) -> list[Span]:
    """Return the items without those that lie in others, the two of a pair as one where one request may read both."""
    joined = set(items)
    for one, other in pairs:
        first, end = min(one[0], other[0]), max(sum(one), sum(other))
        first, count = widen((first, end - first), rules.atomic)
        holed = any(first < cut < first + count for cut in rules.cuts)
        if count <= rules.count_max and may_read(rules, first, count) and not holed:
            joined.add((first, count))
    kept: list[Span] = []
    for span in sorted(joined, key=lambda span: (span[0], -span[1])):
        if not kept or sum(span) > sum(kept[-1]):
            kept.append(span)
    return kept


def complement(spans: Iterable[Span]) -> list[tuple[int, int]]:
    """Return the ranges of addresses, both ends included, that no span holds."""
    found, place = [], 0
    for first, count in sorted(spans):
        if first > place:
            found.append((place, first - 1))
        place = max(place, first + count)
    return [*found, (place, 0xFFFF)] if place <= 0xFFFF else found


def plan_cost_s(requests: Sequence[Span], cost: Cost) -> float:
    """Return the time the requests take together."""
    return len(requests) * cost.request_s + sum(count for _, count in requests) * cost.unit_s


def _crosses(barriers: Sequence[int], start: int, end: int) -> bool:
    place = bisect_left(barriers, start + 1)
    return place < len(barriers) and barriers[place] < end
