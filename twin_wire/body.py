"""The body of a data batch: one CBOR map under zlib whose streams hold the readings of all its blocks; see SPEC.md.

Blocks that follow one another with the same number of rows form one matrix, so a batch of sixty small groups costs
about as much work as one large group.
"""

import zlib
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from twin_wire import cbor
from twin_wire.columns import Lanes, join_columns, lane_starts, split_columns
from twin_wire.errors import FormatError
from twin_wire.events import plain_events, read_events
from twin_wire.fixes import FIX_COLUMNS, read_fixes, read_tags, split_fixes
from twin_wire.planes import Wide, unpack_planes
from twin_wire.readings import Batch, Block, Clock, Qualities, no_fixes
from twin_wire.streams import (
    TIME_PLANES_MAX,
    TIME_US_MAX,
    Streams,
    join_steps,
    read_codes,
    read_lanes,
    read_qualities,
    read_times,
    steps_in_stream,
    write_lanes,
    write_qualities,
    write_times,
)

BODY_BYTES_MAX = 1 << 20  # as sent
INFLATED_BYTES_MAX = 16 << 20
SAMPLES_MAX = 1 << 20  # in one body: a constant column costs no bytes, so only this bounds what a reader allocates
ROWS_MAX = 1 << 16  # in one block or table of fixes
BLOCKS_MAX = 4_096
PREFIX_BYTES = 8  # of the manifest's digest
SMALL_BYTES = 2_048  # below this zlib's default strategy is worth a try

_VERSION = 1
(
    VERSION,
    MANIFEST,
    CLOCK,
    ORIGIN,
    BLOCKS,
    CODES,
    FIRSTS,
    HALVES,
    PLANES,
    STEPS,
    QUALITY_CODES,
    QUALITY_LENGTHS,
    FIXES,
    EVENTS,
) = range(14)
_KEYS = set(range(EVENTS + 1))
_CLOCK_US_MAX = 1 << 53


class _Shape(NamedTuple):
    """What the heads of a body promise before any stream is opened."""

    origin_us: int
    groups: list[tuple[str, ...]]  # per block
    rows: list[int]  # per block
    times: list[list[object]]  # per block, then of the fixes
    tags: tuple[str, ...]
    fix_rows: int


def encode_body(batch: Batch, groups: Mapping[tuple[str, ...], int], decimals: Mapping[str, int | None]) -> bytes:
    """Return the body of `batch`; `groups` numbers each block's points, `decimals` is the declared resolution."""
    _check_batch(batch)
    body: dict[int, object] = {VERSION: _VERSION, MANIFEST: batch.manifest, CLOCK: list(batch.clock)}
    tables = [block.time_us for block in batch.blocks]
    if len(batch.fixes.time_us):
        tables.append(batch.fixes.time_us)
    origin_us = int(tables[0][0]) if tables else 0
    heads: list[object] = []
    steps: list[Wide | None] = []
    for block in batch.blocks:
        head, part = write_times(block.time_us, origin_us)
        heads.append([groups[block.points], len(block.time_us), *head])
        steps.append(part)
    parts = [_split_run(list(run), decimals) for _, run in groupby(batch.blocks, lambda block: len(block.time_us))]
    if heads:
        body[BLOCKS] = heads
        runs = write_qualities([block.quality for block in batch.blocks])
        if runs is not None:
            body[QUALITY_CODES], body[QUALITY_LENGTHS] = runs
    if len(batch.fixes.time_us):
        head, part = write_times(batch.fixes.time_us, origin_us)
        tags, lanes = split_fixes(batch.fixes)
        body[FIXES] = [list(tags), len(batch.fixes.time_us), *head]
        steps.append(part)
        parts.append(lanes)
    if tables:
        body[ORIGIN] = origin_us
    _put_streams(body, parts, join_steps(steps))
    if batch.events:
        body[EVENTS] = plain_events(batch.events)
    sent = _compress(cbor.encode(body), text=bool(batch.events or batch.fixes.tag))
    assert len(sent) <= BODY_BYTES_MAX, "cut batches smaller"
    return sent


def decode_body(data: bytes, groups: Sequence[tuple[str, ...]], bytes_max: int = INFLATED_BYTES_MAX) -> Batch:
    """Return the batch in a body; `groups` are the point ids by number; FormatError for whatever SPEC.md forbids."""
    if len(data) > BODY_BYTES_MAX:
        raise FormatError(f"body of more than {BODY_BYTES_MAX} bytes")
    body = cbor.decode(cbor.inflate(data, bytes_max), size_max=bytes_max)
    if not isinstance(body, dict) or not set(body) <= _KEYS or not {VERSION, MANIFEST, CLOCK} <= set(body):
        raise FormatError("body: not a map of the known keys")
    if body[VERSION] != _VERSION or isinstance(body[VERSION], bool):
        raise FormatError("body: version is not known")
    shape = _read_shape(body, groups)
    parts = _read_parts(body, shape)
    qualities = _read_qualities(body, shape)
    times = _split_steps(body, shape)
    blocks: list[Block] = []
    at = 0
    for run, part in zip(_runs(shape), parts, strict=False):
        columns, rows = sum(len(shape.groups[n]) for n in run), shape.rows[run[0]]
        quality, at = _take(qualities, at, columns, rows)
        value = join_columns(part, quality)
        row = 0
        for n in run:
            end = row + len(shape.groups[n])
            time_us = read_times(shape.times[n], rows, times[n], shape.origin_us)
            blocks.append(Block(shape.groups[n], time_us, value[row:end], quality[row:end]))
            row = end
    fixes = no_fixes()
    if shape.fix_rows:
        time_us = read_times(shape.times[-1], shape.fix_rows, times[-1], shape.origin_us)
        fixes = read_fixes(parts[-1], time_us, shape.tags)
    events = read_events(body[EVENTS]) if EVENTS in body else ()
    return Batch(_bytes(body[MANIFEST], PREFIX_BYTES), _clock(body[CLOCK]), tuple(blocks), fixes, events)


def body_manifest(data: bytes) -> bytes:
    """Return the 8 bytes that name a body's manifest without reading the rest; FormatError when they are not there."""
    try:
        start = zlib.decompressobj().decompress(data[:256], 13)
    except zlib.error as error:
        raise FormatError(f"body: {error}") from None
    if len(start) != 13 or start[1:5] != b"\x00\x01\x01\x48":
        raise FormatError("body: does not begin with version 1 and a manifest")
    return start[5:]


def _check_batch(batch: Batch) -> None:
    """Fail on a batch that no reader would take: the caller cut it wrongly."""
    assert len(batch.manifest) == PREFIX_BYTES
    assert len(batch.blocks) <= BLOCKS_MAX
    assert len(batch.fixes.time_us) <= ROWS_MAX
    samples = FIX_COLUMNS * len(batch.fixes.time_us)
    for block in batch.blocks:
        rows = len(block.time_us)
        assert 0 < rows <= ROWS_MAX
        assert block.points, "a block without points"
        assert block.value.shape == block.quality.shape == (len(block.points), rows)
        assert block.value.dtype == np.float64
        assert block.quality.dtype == np.uint8
        samples += block.value.size
    assert samples <= SAMPLES_MAX


def _split_run(blocks: list[Block], decimals: Mapping[str, int | None]) -> Lanes:
    wanted = [decimals.get(point) for block in blocks for point in block.points]
    if len(blocks) == 1:
        value, quality = np.ascontiguousarray(blocks[0].value), blocks[0].quality
    else:
        value = np.concatenate([block.value for block in blocks])
        quality = np.concatenate([block.quality for block in blocks])
    return split_columns(value, quality, wanted)


def _put_streams(body: dict[int, object], parts: list[Lanes], steps: bytes | None) -> None:
    if parts:
        streams = write_lanes(parts)
        body[CODES], body[FIRSTS] = streams.codes, streams.firsts
        if streams.halves:
            body[HALVES] = streams.halves
        if streams.planes:
            body[PLANES] = list(streams.planes)
    if steps is not None:
        body[STEPS] = steps


def _compress(raw: bytes, text: bool) -> bytes:
    """Return one zlib stream; run lengths alone suit the planes best, texts and small bodies want matches as well."""
    runs = zlib.compressobj(6, zlib.DEFLATED, 15, 5, zlib.Z_RLE)
    best = runs.compress(raw) + runs.flush()
    if text or len(raw) <= SMALL_BYTES:
        other = zlib.compress(raw, 6)
        if len(other) < len(best):
            return other
    return best


def _runs(shape: _Shape) -> list[list[int]]:
    """Return the blocks' numbers, those that follow one another with the same number of rows together."""
    return [list(run) for _, run in groupby(range(len(shape.rows)), lambda n: shape.rows[n])]


def _read_shape(body: dict[object, object], groups: Sequence[tuple[str, ...]]) -> _Shape:
    heads = _list(body.get(BLOCKS, []), BLOCKS_MAX)
    if BLOCKS in body and not heads:
        raise FormatError("body: an empty list of blocks")
    if (ORIGIN in body) != (BLOCKS in body or FIXES in body):
        raise FormatError("body: an origin belongs to times and to nothing else")
    shape = _Shape(_count(body.get(ORIGIN, 0), TIME_US_MAX, 0), [], [], [], (), 0)
    samples = 0
    for head in heads:
        group, rows, *times = _list(head, 5, 4)
        number = _count(group, len(groups) - 1, 0)
        shape.groups.append(groups[number])
        shape.rows.append(_count(rows, ROWS_MAX))
        shape.times.append(times)
        samples += shape.rows[-1] * len(groups[number])
    if FIXES in body:
        tags, rows, *times = _list(body[FIXES], 5, 4)
        shape.times.append(times)
        shape = shape._replace(tags=read_tags(tags), fix_rows=_count(rows, ROWS_MAX))
        samples += shape.fix_rows * FIX_COLUMNS
    if samples > SAMPLES_MAX:
        raise FormatError(f"body: more than {SAMPLES_MAX} samples")
    return shape


def _read_parts(body: dict[object, object], shape: _Shape) -> list[Lanes]:
    """Return the lanes of each run of blocks, then those of the fixes."""
    widths = [len(group) for group in shape.groups] + ([FIX_COLUMNS] if shape.fix_rows else [])
    if not widths:
        if any(key in body for key in (CODES, FIRSTS, HALVES, PLANES)):
            raise FormatError("body: lanes of no block")
        return []
    codes = _bytes(body.get(CODES))
    starts = lane_starts(read_codes(codes) & np.uint8(15))
    if len(starts) != sum(widths):
        raise FormatError("body: the lanes do not fit the points")
    ends = np.append(starts, len(codes))[np.cumsum([0, *widths])].tolist()
    shapes = [(ends[run[-1] + 1] - ends[run[0]], shape.rows[run[0]]) for run in _runs(shape)]
    if shape.fix_rows:
        shapes.append((ends[-1] - ends[-2], shape.fix_rows))
    planes = tuple(_bytes(plane) for plane in _list(body.get(PLANES, []), 4))
    return read_lanes(Streams(codes, _bytes(body.get(FIRSTS)), _bytes(body.get(HALVES, b"")), planes), shapes)


def _read_qualities(body: dict[object, object], shape: _Shape) -> Qualities | None:
    """Return the flat qualities of all blocks, None when all are GOOD."""
    if QUALITY_CODES not in body and QUALITY_LENGTHS not in body:
        return None
    samples = sum(rows * len(group) for rows, group in zip(shape.rows, shape.groups, strict=True))
    return read_qualities(_bytes(body.get(QUALITY_CODES)), _bytes(body.get(QUALITY_LENGTHS)), samples)


def _take(qualities: Qualities | None, at: int, columns: int, rows: int) -> tuple[Qualities, int]:
    end = at + columns * rows
    flat = np.zeros(columns * rows, np.uint8) if qualities is None else qualities[at:end]
    return flat.reshape(columns, rows), end


def _split_steps(body: dict[object, object], shape: _Shape) -> list[Wide]:
    """Return what the stream of times holds for each block, then for the fixes."""
    rows = [*shape.rows, shape.fix_rows] if shape.fix_rows else shape.rows
    counts = [steps_in_stream(head, each) for head, each in zip(shape.times, rows, strict=True)]
    if (STEPS in body) != (sum(counts) > 0):
        raise FormatError("body: the stream of times does not fit the blocks")
    if STEPS not in body:
        return [np.zeros(0, np.uint64)] * len(counts)
    number = unpack_planes(_bytes(body[STEPS]), sum(counts), TIME_PLANES_MAX)
    return np.split(number, np.cumsum(counts)[:-1])


def _clock(item: object) -> Clock:
    sync, error_us, offset_us = _list(item, 3, 3)
    return Clock(
        _count(sync, 255, 0), _count(error_us, _CLOCK_US_MAX, -1), _count(offset_us, _CLOCK_US_MAX, -_CLOCK_US_MAX)
    )


def _bytes(item: object, length: int | None = None) -> bytes:
    if not isinstance(item, bytes) or (length is not None and len(item) != length):
        raise FormatError("body: a string of bytes is missing or has a wrong length")
    return item


def _list(item: object, most: int, least: int = 0) -> list[object]:
    if not isinstance(item, list) or not least <= len(item) <= most:
        raise FormatError(f"body: not an array of {least} to {most}")
    return item


def _count(item: object, most: int, least: int = 1) -> int:
    if not isinstance(item, int) or isinstance(item, bool) or not least <= item <= most:
        raise FormatError(f"body: not a whole number within {least} to {most}")
    return item
