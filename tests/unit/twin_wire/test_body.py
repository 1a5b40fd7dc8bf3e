"""A data body says all a batch holds in few bytes, and its reader believes nothing it was not told."""

import zlib

import numpy as np
import pytest

from tests.support import bodies
from twin_wire import cbor
from twin_wire.body import BODY_BYTES_MAX, SAMPLES_MAX, body_manifest, decode_body, encode_body
from twin_wire.errors import FormatError
from twin_wire.readings import Batch, Event

NAN = float("nan")
ONE = bodies.block(["a", "b"], [[0.1, 0.2], [5, 5]])


def encoded(batch: Batch, **decimals: int | None) -> bytes:
    return encode_body(batch, bodies.groups_of(*batch.blocks), decimals)


def opened(body: bytes) -> dict[int, object]:
    document = cbor.decode(cbor.inflate(body, 1 << 20))
    assert isinstance(document, dict)
    return document


def closed(document: dict[int, object]) -> bytes:
    return cbor.deflate(cbor.encode(document))


def test_a_small_batch_is_what_the_specification_says() -> None:
    document = opened(encoded(bodies.batch(ONE), a=1, b=0))
    assert document == {
        0: 1,
        1: b"manifest",
        2: [1, 250, -3],
        3: bodies.T0_US,
        4: [[0, 2, 0, 1_000_000]],
        5: bytes([0x11, 0x00]),
        6: bytes([2, 8]),
        7: bytes([2]),
    }


def test_an_empty_batch_still_says_when_the_clock_was_good() -> None:
    batch = bodies.batch()
    assert sorted(opened(encoded(batch))) == [0, 1, 2]
    bodies.assert_same(batch, decode_body(encoded(batch), []))


def test_blocks_of_different_lengths_share_their_streams() -> None:
    blocks = [
        bodies.block(["a", "b"], [[1, 2, 3], [1, 2, 500]]),
        bodies.block(["c"], [[7]], [[33]]),
        bodies.block(["d", "e"], [[1, 9, 1], [0.5, 0.25, NAN]], [[0, 0, 0], [0, 0, 33]]),
        bodies.block(["a", "b"], [[4], [70_000]], time_us=[bodies.T0_US - 5]),
    ]
    batch = bodies.batch(*blocks)
    bodies.assert_same(batch, decode_body(encoded(batch, a=0, b=0, c=0, d=0, e=2), list(bodies.groups_of(*blocks))))


def test_columns_are_contiguous_and_may_be_written() -> None:
    block = decode_body(encoded(bodies.batch(ONE), a=1), [ONE.points]).blocks[0]
    assert block.value.flags.c_contiguous
    block.value[0, 0] = block.quality[0, 0] = block.time_us[0] = 1


def test_positions_and_events_come_back() -> None:
    row = [3, 1000, -5, 6, 7, 80, 1, -1]
    fixes = bodies.fixes([[5, "t2", *row], [5, "t1", *row], [9, "t2", -1, 2**31 - 1, *row[2:]], [9, "t1", *row]])
    events = [
        Event("limit_high", 1, "a", 5, 0, "limits/1", {"value": 1.5, "limit": 1.0, "none": NAN}, "CH4 高于限值"),
        Event("restart", 0, "", 9, 9, "agent/1", {}, ""),
    ]
    batch = bodies.batch(ONE, fixes=fixes, events=events)
    bodies.assert_same(batch, decode_body(encoded(batch, a=1, b=0), [ONE.points]))
    alone = bodies.batch(fixes=fixes)
    bodies.assert_same(alone, decode_body(encoded(alone), []))


def test_a_tag_is_compared_with_itself() -> None:
    walk = [
        [second * 1_000_000, f"t{tag}", tag, 5000 * tag + 1200 * second, 0, 0, 0, 500, 1, 2]
        for second in range(30)
        for tag in range(50)
    ]
    batch = bodies.batch(fixes=bodies.fixes(walk))
    assert len(encoded(batch)) < 1500  # 1,500 positions at one and the same pace: hardly more than the tags' names


def test_a_text_for_people_is_cut_and_nothing_else() -> None:
    event = Event("restart", 0, "", 9, 9, "agent/1", {}, "x" * 501)
    assert decode_body(encoded(bodies.batch(events=[event])), []).events == (event._replace(text="x" * 500),)


def test_the_manifest_is_known_before_the_body_is_opened() -> None:
    body = encoded(bodies.batch(ONE), a=1)
    assert body_manifest(body) == b"manifest"
    assert body_manifest(body[:60] + bytes(1000)) == b"manifest"
    for bad in (b"", b"x", body[:9], zlib.compress(b"\xa2\x00\x01\x01\x47manifes"), cbor.deflate(b"\x01")):
        with pytest.raises(FormatError):
            body_manifest(bad)


BREAKS: dict[str, dict[int, object]] = {
    "another version": {0: 2},
    "version true": {0: True},
    "an unknown key": {14: 0},
    "a short manifest": {1: b"seven77"},
    "no clock": {2: None},
    "a clock of two": {2: [0, 0]},
    "no origin": {3: None},
    "no blocks, but an origin": {4: None},
    "an empty list of blocks": {4: []},
    "a group that is not there": {4: [[1, 2, 0, 1_000_000]]},
    "no rows": {4: [[0, 0, 0, 1_000_000]]},
    "another number of rows": {4: [[0, 4, 0, 1_000_000]]},
    "rows as text": {4: [[0, "2", 0, 1_000_000]]},
    "too few lanes": {5: bytes([0x11])},
    "too many lanes": {5: bytes([0x11, 0, 0])},
    "no lanes": {5: None},
    "no first numbers": {6: None},
    "first numbers that are no planes": {6: bytes(3)},
    "a first number too large": {6: bytes(10) + b"\xff\xff"},
    "halves left over": {7: bytes(2)},
    "no halves": {7: None},
    "a plane nobody needs": {8: [b"\0"]},
    "five planes": {8: [b""] * 5},
    "steps nobody needs": {9: b"\0"},
    "steps that are needed": {4: [[0, 2, 0, 1_000_000, 1]]},
    "codes of qualities alone": {10: b"\1"},
    "lengths of qualities alone": {11: b"\4"},
    "qualities too short": {10: b"\1", 11: b"\3"},
    "fixes without rows": {12: [["t"], 0, 0, 0]},
    "fixes without lanes": {12: [["t"], 1, 0, 0]},
    "an empty list of events": {13: []},
    "an event of seven": {13: [["", 0, "", 0, 0, "", {}]]},
}


@pytest.mark.parametrize("changes", BREAKS.values(), ids=BREAKS.keys())
def test_every_inconsistency_is_a_format_error(changes: dict[int, object]) -> None:
    document = opened(encoded(bodies.batch(ONE), a=1, b=0)) | changes
    with pytest.raises(FormatError):
        decode_body(closed({key: value for key, value in document.items() if value is not None}), [ONE.points])


def test_a_wide_lane_uses_every_plane_up() -> None:
    block = bodies.block(["a", "b"], [[0, 70_000], [0, 100]])
    document = opened(encoded(bodies.batch(block), a=0, b=0))
    assert document[8] == [bytes([0xE0, 0xC8]), b"\x22", b"\x02"]
    for planes in ([b"\xe0\xc8", b"\x22"], [b"\xe0\xc8\x00", b"\x22", b"\x02"], [b"\xe0\xc8", b"\x22", b"\x02", b""]):
        with pytest.raises(FormatError):
            decode_body(closed(document | {8: planes}), [block.points])


def test_what_is_not_a_map_is_refused() -> None:
    documents: list[object] = [[], 5, {"a": 1}, {}, {0: 1, 1: b"manifest"}]
    for document in documents:
        with pytest.raises(FormatError):
            decode_body(cbor.deflate(cbor.encode(document)), [])


def test_a_body_has_its_limits() -> None:
    wide = bodies.block(["a", "b", "c", "d", "e"], np.tile([0.0, 2.0**30], (5, 30_000)))
    body = encoded(bodies.batch(wide), **dict.fromkeys("abcde", 0))
    stored = zlib.compress(cbor.inflate(body, 1 << 21), 0)
    assert len(body) < BODY_BYTES_MAX < len(stored)
    bodies.assert_same(bodies.batch(wide), decode_body(body, [wide.points]))
    with pytest.raises(FormatError):
        decode_body(stored, [wide.points])
    with pytest.raises(FormatError):
        decode_body(encoded(bodies.batch(ONE)), [ONE.points], bytes_max=20)


def test_a_batch_no_reader_would_take_is_a_mistake_of_ours() -> None:
    long = bodies.block(["a"], np.zeros((1, 60_000)))
    assert SAMPLES_MAX < 60_000 * 18
    with pytest.raises(AssertionError):
        encoded(bodies.batch(*[long] * 18), a=0)
    with pytest.raises(AssertionError):
        encoded(bodies.batch(bodies.block(["a"], [[1, 2]], time_us=[5, 4])))
    with pytest.raises(AssertionError):
        encoded(bodies.batch(bodies.block(["a", "b"], [[1, 2]])))


@pytest.mark.parametrize(
    ("points", "rows", "limit"), [(1000, 60, 0.36), (1000, 10, 0.5), (60, 10, 0.65), (60, 60, 0.45)]
)
def test_bodies_are_as_small_as_promised(points: int, rows: int, limit: float) -> None:
    sizes = [len(encode_body(*bodies.mine(points, rows, seed))) for seed in range(3)]
    assert sum(sizes) / 3 / points / rows <= limit
