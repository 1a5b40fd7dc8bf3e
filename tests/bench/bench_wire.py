"""Bytes and speed of data bodies with their statements, against one JSON object per sample in the same run."""

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.support import bodies
from twin_wire.body import decode_body, encode_body
from twin_wire.keys import SigningKey
from twin_wire.readings import Batch, Block
from twin_wire.statement import ZERO_HASH, Chain, check, read, seal

SHAPES = ((1000, 60, 1), (1000, 10, 1), (60, 60, 1), (60, 10, 1), (60, 10, 12), (1000, 10, 60))
JSON = "JSON per sample"


def run() -> list[tuple[str, str, str, float]]:
    """Return (what, value, baseline, ratio): bytes per sample, then samples per second to write and to read."""
    rows: list[tuple[str, str, str, float]] = []
    for points, times, groups in SHAPES:
        name = f"{points} points x {times} s" + (f", {groups} groups" if groups > 1 else "")
        rows += _shape(name, *bodies.mine(points, times, groups=groups))
    rows += _floats()
    return rows


def _shape(
    name: str, batch: Batch, groups: dict[tuple[str, ...], int], decimals: Any
) -> list[tuple[str, str, str, float]]:
    samples = sum(block.value.size for block in batch.blocks)
    key, order = SigningKey.from_seed(bytes(32)), list(groups)

    def write() -> tuple[bytes, bytes]:
        body = encode_body(batch, groups, decimals)
        chain = Chain(1, 1, 1, ZERO_HASH, 1, 1, 2, samples, 0, ZERO_HASH)
        return seal(key, "mine.example/e/1", "gw-1", "data", hashlib.sha256(body).digest(), chain), body

    statement, body = write()

    def take() -> Batch:
        parts = read(statement)
        check(parts, key.public)
        assert hashlib.sha256(body).digest() == parts.digest
        return decode_body(body, order)

    bodies.assert_same(batch, take())
    text = bodies.per_sample_json(batch)
    size, size_json = len(body) / samples, len(text) / samples
    speed, speed_json = samples / _best(write), samples / _best(lambda: bodies.per_sample_json(batch), 3)
    back, back_json = samples / _best(take), samples / _best(lambda: _read_json(text), 3)
    return [
        (f"{name}: body", f"{size:.3f} B/sample", f"{JSON} {size_json:.1f} B, smaller by", size_json / size),
        (
            f"{name}: body and statement",
            f"{size + len(statement) / samples:.3f} B/sample",
            f"{JSON}, smaller by",
            size_json / (size + len(statement) / samples),
        ),
        (f"{name}: encode and sign", f"{speed / 1e6:.1f} M/s", f"{JSON}, unsigned", speed / speed_json),
        (f"{name}: verify and decode", f"{back / 1e6:.1f} M/s", f"{JSON}, unverified", back / back_json),
    ]


def _floats() -> list[tuple[str, str, str, float]]:
    """Return the cost of readings whose exact float is kept."""
    rng = np.random.default_rng(1)
    value = 20 + np.cumsum(rng.normal(0, 0.01, (100, 60)), axis=1) + rng.normal(0, 0.02, (100, 60))
    rows = []
    for name, exact in (("float32", value.astype(np.float32).astype(np.float64)), ("float64", value)):
        block: Block = bodies.block([f"p{n}" for n in range(100)], exact)
        size = len(encode_body(bodies.batch(block), bodies.groups_of(block), {})) / exact.size
        raw = int(name[5:]) / 8
        rows.append(
            (f"100 noisy points x 60 s kept as {name}", f"{size:.2f} B/sample", f"raw {name}, smaller by", raw / size)
        )
    return rows


def _read_json(text: bytes) -> Any:
    return json.loads(text)


def _best(work: Callable[[], object], times: int = 60) -> float:
    """Return the shortest of some runs in seconds: what the machine can do when nobody else uses it."""
    work()
    shortest = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        work()
        shortest = min(shortest, time.perf_counter() - began)
    return shortest
