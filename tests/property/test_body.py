"""A body gives back every batch bit for bit, whatever numbers, times and qualities it holds."""

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests import naive_body
from tests.support import bodies
from twin_wire.body import body_manifest, decode_body, encode_body
from twin_wire.errors import FormatError
from twin_wire.readings import Batch, Block, Clock, Event, Fixes, no_fixes

CANONICAL_NAN = np.float64(np.nan)
ODD = [0.0, -0.0, np.inf, -np.inf, CANONICAL_NAN, 5e-324, 1.7976931348623157e308, 2.0**46, 0.1, 1 / 3]

any_bits = st.integers(0, 2**64 - 1).map(lambda bits: np.array(bits, np.uint64).view(np.float64).item())


@st.composite
def columns(draw: st.DrawFn, rows: int) -> tuple[int | None, list[float], list[int]]:
    """One point's declared decimals, values and qualities."""
    decimals = draw(st.none() | st.integers(0, 9))
    shape = draw(st.sampled_from(["integers", "steps", "float32", "odd", "bits", "constant"]))
    if shape == "integers":
        reach = 10 ** draw(st.integers(0, 14))
        numbers = draw(st.lists(st.integers(-reach, reach), min_size=rows, max_size=rows))
        values = [number / 10.0 ** (decimals or 0) for number in numbers]
    elif shape == "steps":
        start = draw(st.integers(-(2**46), 2**46))
        step = draw(st.sampled_from([7, 8, 127, 128, 32767, 2**23, 2**31 - 1, 2**31]))
        values = [(start + step * (row % 2)) / 10.0 ** (decimals or 0) for row in range(rows)]
    elif shape == "float32":
        values = draw(st.lists(st.floats(width=32), min_size=rows, max_size=rows))
    elif shape == "constant":
        values = [draw(st.sampled_from(ODD))] * rows
    else:
        element = st.sampled_from(ODD) if shape == "odd" else any_bits
        values = draw(st.lists(element, min_size=rows, max_size=rows))
    quality = draw(
        st.just([0] * rows) | st.lists(st.sampled_from([0, 0, 16, 31, 32, 33, 255]), min_size=rows, max_size=rows)
    )
    if draw(st.integers(0, 9)):  # the contract; once in a while a bad sample keeps a number and must come back too
        values = [CANONICAL_NAN if code >= 32 else value for value, code in zip(values, quality, strict=True)]
    return decimals, values, quality


@st.composite
def times(draw: st.DrawFn, rows: int) -> list[int]:
    """Strictly periodic, jittered on a millisecond or microsecond grid, or wild; never falling."""
    start = draw(st.integers(0, 2**50))
    form = draw(st.sampled_from(["periodic", "jitter_ms", "jitter_us", "wild"]))
    if form == "periodic":
        period = draw(st.integers(0, 2**36))
        return [start + period * row for row in range(rows)]
    if form == "wild":
        steps = draw(st.lists(st.integers(0, 2**44), min_size=rows - 1, max_size=rows - 1))
    else:
        grid = 1000 if form == "jitter_ms" else 1
        late = draw(st.lists(st.integers(0, 5000 // grid), min_size=rows - 1, max_size=rows - 1))
        steps = [1_000_000 + each * grid for each in late]
    return [int(each) for each in np.cumsum([start, *steps])]


@st.composite
def blocks(draw: st.DrawFn, number: int) -> tuple[Block, dict[str, int | None]]:
    rows = draw(st.sampled_from([1, 1, 2, 3, 10, 17]))
    points = [f"g{number}.p{at}" for at in range(draw(st.integers(1, 5)))]
    drawn = [draw(columns(rows)) for _ in points]
    block = bodies.block(points, [each[1] for each in drawn], [each[2] for each in drawn], draw(times(rows)))
    return block, {point: each[0] for point, each in zip(points, drawn, strict=True)}


@st.composite
def positions(draw: st.DrawFn) -> Fixes:
    rows = draw(st.integers(0, 12))
    if not rows:
        return no_fixes()
    word = st.integers(-(2**31), 2**31 - 1) | st.integers(0, 1000)
    table: list[Any] = [np.array(draw(times(rows)), np.int64)]
    table.append(tuple(draw(st.lists(st.sampled_from(["t1", "t2", "标签", ""]), min_size=rows, max_size=rows))))
    for name in Fixes._fields[2:]:
        kind = np.uint8 if name == "method" else np.int32
        element = st.integers(0, 255) if name == "method" else word
        table.append(draw(hnp.arrays(kind, rows, elements=element)))
    return Fixes(*table)


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=64)
moments = st.integers(0, 2**53 - 1)
happenings = st.builds(
    Event,
    rule=words,
    severity=st.integers(0, 4),
    point=words,
    begin_us=moments,
    end_us=moments,
    detector=words,
    numbers=st.dictionaries(words, st.floats(allow_nan=False) | st.just(CANONICAL_NAN), max_size=4),
    text=words,
)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Batch, dict[tuple[str, ...], int], dict[str, int | None]]:
    drawn = [draw(blocks(number)) for number in range(draw(st.integers(0, 4)))]
    decimals = {point: each for _, hints in drawn for point, each in hints.items()}
    offset = st.integers(-(2**53), 2**53)
    clock = Clock(draw(st.integers(0, 255)), draw(st.integers(-1, 2**53)), draw(offset))
    events = tuple(draw(st.lists(happenings, max_size=2)))
    made = Batch(draw(st.binary(min_size=8, max_size=8)), clock, tuple(b for b, _ in drawn), draw(positions()), events)
    return made, bodies.groups_of(*made.blocks), decimals


@given(batches())
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_every_batch_comes_back_bit_for_bit(drawn: Any) -> None:
    batch, groups, decimals = drawn
    body = encode_body(batch, groups, decimals)
    bodies.assert_same(batch, decode_body(body, list(groups)))
    assert body_manifest(body) == batch.manifest


@given(batches())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_a_decoder_written_from_the_specification_reads_the_same(drawn: Any) -> None:
    batch, groups, decimals = drawn
    found = naive_body.decode(encode_body(batch, groups, decimals), [list(points) for points in groups])
    assert found == bodies.plain(batch)


@given(batches())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_the_decimals_are_only_a_hint(drawn: Any) -> None:
    batch, groups, _ = drawn
    bodies.assert_same(batch, decode_body(encode_body(batch, groups, {}), list(groups)))


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_are_a_format_error(data: bytes) -> None:
    try:
        decode_body(data, [("a",), ("b", "c")])
    except FormatError:
        return
    raise AssertionError("random bytes made a body")
