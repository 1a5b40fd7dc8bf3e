"""Batches for tests: builders, a comparison bit for bit, and mine-like readings for sizes and speeds."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin_wire.readings import Batch, Block, Clock, Event, Fixes, no_fixes

T0_US = 1_700_000_000_000_000
MANIFEST = b"manifest"


def block(
    points: Sequence[str], value: Any, quality: Any = None, time_us: Any = None, period_us: int = 1_000_000
) -> Block:
    """Return a block of rows of values, all GOOD and strictly periodic unless said otherwise."""
    values = np.ascontiguousarray(value, np.float64)
    rows = values.shape[1]
    times = T0_US + np.arange(rows, dtype=np.int64) * period_us if time_us is None else np.array(time_us, np.int64)
    qualities = np.zeros(values.shape, np.uint8) if quality is None else np.array(quality, np.uint8)
    return Block(tuple(points), times, values, qualities)


def batch(*blocks: Block, fixes: Fixes | None = None, events: Sequence[Event] = ()) -> Batch:
    """Return a batch of the blocks."""
    return Batch(MANIFEST, Clock(1, 250, -3), tuple(blocks), fixes or no_fixes(), tuple(events))


def groups_of(*blocks: Block) -> dict[tuple[str, ...], int]:
    """Number the blocks' point lists in the order of first sight."""
    return {points: number for number, points in enumerate(dict.fromkeys(each.points for each in blocks))}


def fixes(rows: Sequence[Sequence[Any]]) -> Fixes:
    """Return positions from rows (time_us, tag, roadway, chainage, x, y, z, sigma, method, zone)."""
    time_us, tag, *numbers = zip(*rows, strict=True)
    columns: list[Any] = [np.array(column, np.uint8 if at == 6 else np.int32) for at, column in enumerate(numbers)]
    return Fixes(np.array(time_us, np.int64), tuple(tag), *columns)


def same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Tell whether two arrays are the same bit for bit."""
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def assert_same(one: Batch, other: Batch) -> None:
    """Fail unless two batches are the same bit for bit."""
    assert (one.manifest, one.clock) == (other.manifest, other.clock)
    assert len(one.blocks) == len(other.blocks)
    for mine, theirs in zip(one.blocks, other.blocks, strict=True):
        assert mine.points == theirs.points
        assert same(mine.time_us, theirs.time_us)
        assert same(mine.quality, theirs.quality)
        assert same(mine.value, theirs.value)
    assert one.fixes.tag == other.fixes.tag
    for name in set(Fixes._fields) - {"tag"}:
        assert same(getattr(one.fixes, name), getattr(other.fixes, name)), name
    assert len(one.events) == len(other.events)
    for event, again in zip(one.events, other.events, strict=True):
        assert event._replace(numbers={}) == again._replace(numbers={})
        assert {k: np.float64(v).tobytes() for k, v in event.numbers.items()} == {
            k: np.float64(v).tobytes() for k, v in again.numbers.items()
        }


def plain(item: Batch) -> dict[str, Any]:
    """Return a batch as JSON can say it; floats as the 16 hexadecimal digits of their bits."""
    return {
        "manifest": item.manifest.hex(),
        "clock": list(item.clock),
        "blocks": [
            {
                "points": list(each.points),
                "time_us": each.time_us.tolist(),
                "value": [[hex_float(number) for number in row] for row in each.value],
                "quality": each.quality.tolist(),
            }
            for each in item.blocks
        ],
        "fixes": {
            name: list(column) if name == "tag" else column.tolist() for name, column in item.fixes._asdict().items()
        },
        "events": [
            {**event._asdict(), "numbers": {name: hex_float(number) for name, number in event.numbers.items()}}
            for event in item.events
        ],
    }


def hex_float(number: float) -> str:
    """Return the bits of a float64, big end first."""
    return np.array(number, ">f8").tobytes().hex()


def per_sample_json(item: Batch) -> bytes:
    """Return the baseline of sizes: one JSON object per sample, as many platforms send them."""
    rows = [
        {"n": point, "ts": time_us // 1000, "v": value}
        for each in item.blocks
        for point, values in zip(each.points, each.value.tolist(), strict=True)
        for time_us, value in zip(each.time_us.tolist(), values, strict=True)
    ]
    return json.dumps(rows).encode()


def mine(
    points: int, rows: int, seed: int = 1, groups: int = 1
) -> tuple[Batch, dict[tuple[str, ...], int], dict[str, int | None]]:
    """Return mine-like readings at 1 Hz: the mix and the noise of a coal mine's 1,000 points, thinned to `points`."""
    rng = np.random.default_rng(seed)
    kinds = np.repeat(np.arange(7), (200, 200, 150, 100, 100, 150, 100))[:: max(1, 1000 // points)][:points]
    decimals = np.array([2, 1, 2, 0, 2, 0, 1])[kinds]
    level = (
        np.array([0.3, 20.0, 3.0, 6.0, 101.3, 0.5, 1500.0])[kinds]
        + rng.uniform(-1, 1, len(kinds)) * np.array([0.25, 8.0, 2.5, 5.0, 1.0, 0.5, 1500.0])[kinds]
    )
    slow = np.array([0.995, 0.9995, 0.9, 0.999, 0.9999, 0.0, 1.0])[kinds]
    spread = np.array([0.05, 0.6, 0.25, 2.0, 0.3, 0.0, 0.0])[kinds]
    noise = np.array([0.004, 0.03, 0.0, 0.3, 0.008, 0.0, 0.0])[kinds]
    state = rng.normal(0, 1, len(kinds)) * spread
    walk = np.zeros(len(kinds))
    moving = rng.random(len(kinds)) < 0.5
    switched = level > 0.5
    value = np.empty((len(kinds), rows))
    for row in range(rows):
        state = slow * state + rng.normal(0, 1, len(kinds)) * spread * np.sqrt(1 - np.minimum(slow, 1) ** 2)
        moving ^= rng.random(len(kinds)) < 1 / 120
        walk += np.where(moving, rng.normal(0.8, 0.4, len(kinds)), 0.0)
        switched ^= rng.random(len(kinds)) < 1 / 1800
        reading = level + state + rng.normal(0, 1, len(kinds)) * noise + np.where(kinds == 6, walk, 0.0)
        value[:, row] = np.where(kinds == 5, switched, np.abs(reading))
    value = np.rint(value * 10.0 ** decimals[:, None]) / 10.0 ** decimals[:, None]
    names = [f"p{number}" for number in range(len(kinds))]
    parts = [part for part in np.array_split(np.arange(len(kinds)), groups) if len(part)]
    blocks = [block([names[n] for n in part], value[part]) for part in parts]
    return batch(*blocks), groups_of(*blocks), dict(zip(names, decimals.tolist(), strict=True))
