"""Damaged bodies, records, answers, frames: FormatError only, bounded in time and memory, and nothing made up."""

import random
import resource
import time
from collections.abc import Callable

import pytest

from tests.support import bodies
from twin_wire import cbor
from twin_wire.body import SAMPLES_MAX, decode_body, encode_body
from twin_wire.errors import FormatError
from twin_wire.exchange import Answer, Head, Verdict, encode_answer, read_answer
from twin_wire.frame import decode_frame
from twin_wire.manifest import read_manifest
from twin_wire.readings import Batch, Event
from twin_wire.records import decode_record, encode_record
from twin_wire.structure import open_structure, read_structure

ROUNDS = 4000
NAN = float("nan")
BLOCKS = (
    bodies.block(["a", "b"], [[0.1, 0.2, 0.3, 9.0], [5, 5, 5, 5]]),
    bodies.block(["c", "d"], [[0.5, NAN, 0.25, 300.0], [1 / 3, 2e300, -0.0, 1.0]], [[0, 33, 0, 0], [0, 0, 16, 0]]),
    bodies.block(["e"], [[1, 70000, -70000]], time_us=[10, 20, 3000]),
    bodies.block(["f"], [[1, 2]], time_us=[0, 2**52]),
)
ROW = [3, 1000, -5, 6, 7, 80, 1, -1]
FIXES = bodies.fixes([[5, "t1", *ROW], [5, "t2", *ROW], [9, "t1", 3, 1400, *ROW[2:]]])
EVENT = Event("limit_high", 1, "a", 5, 0, "limits/1", {"value": 1.5, "limit": 1.0}, "over")
BATCH = bodies.batch(*BLOCKS, fixes=FIXES, events=[EVENT])
GROUPS = list(bodies.groups_of(*BLOCKS))
BODY = encode_body(BATCH, bodies.groups_of(*BLOCKS), dict.fromkeys("abcdef", 2))
INSIDE = cbor.inflate(BODY, 1 << 20)
HEAD = Head(1, 2, bytes(32))
ANSWER = encode_answer(
    Answer("h", HEAD, ((1, 4, 5),), None, 9, b"note", 3, (bytes(32),), True, 5, (Verdict(1, 2, "receipt", b"r", ""),))
)


def decode(data: bytes) -> Batch:
    """Decode a body of the sample's groups."""
    return decode_body(data, GROUPS)


def damaged(rng: random.Random, good: bytes) -> bytes:
    """Return good bytes with one to three faults: flipped bits, bytes cut, doubled, set, or inserted."""
    data = bytearray(good)
    for _ in range(rng.randint(1, 3)):
        at, reach = rng.randrange(len(data) or 1), rng.randint(1, 8)
        fault = rng.randrange(5)
        if fault == 0 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif fault == 1:
            del data[at : at + reach]
        elif fault == 2:
            data[at:at] = data[at : at + reach]
        elif fault == 3 and data:
            data[at] = rng.choice([0, 1, 0x1B, 0x3B, 0x5B, 0x7F, 0x80, 0x9B, 0xBB, 0xDB, 0xFB, 0xFF])
        else:
            data[at:at] = rng.randbytes(reach)
    return bytes(data)


@pytest.mark.parametrize("inside", [True, False], ids=["inflated", "as sent"])
def test_a_damaged_body_is_a_format_error_or_a_whole_batch(inside: bool) -> None:
    rng = random.Random(7)
    opened = 0
    for _ in range(ROUNDS):
        data = cbor.deflate(damaged(rng, INSIDE)) if inside else damaged(rng, BODY)
        try:
            batch = decode(data)
        except FormatError:
            continue
        opened += 1
        for block in batch.blocks:
            assert block.points in GROUPS
            assert block.value.shape == block.quality.shape == (len(block.points), len(block.time_us))
            assert (block.time_us[1:] >= block.time_us[:-1]).all()
        encode_body(batch, {points: n for n, points in enumerate(GROUPS)}, dict.fromkeys("abcdef", 2))
    assert not inside or opened, "no damage went through: the faults are too coarse to test anything"


def other_values(item: object) -> list[object]:
    """Return what an attacker may put in the place of an item."""
    values: list[object] = [
        None,
        True,
        0,
        1,
        -1,
        2**16,
        2**31,
        2**53,
        2**63,
        -(2**63),
        0.5,
        b"",
        b"\xff" * 9,
        "",
        [],
        {},
    ]
    if isinstance(item, bytes):
        values += [item[:-1], item + b"\0", bytes(len(item)), b"\xff" * len(item)]
    if isinstance(item, list):
        values += [item[:-1], item + item[-1:], item * 2]
    return values


def with_one_changed(item: object) -> list[object]:
    """Return copies of a plain document with one part changed in every place."""
    made: list[object] = list(other_values(item))
    if isinstance(item, list):
        for at, part in enumerate(item):
            made += [[*item[:at], other, *item[at + 1 :]] for other in with_one_changed(part)]
    if isinstance(item, dict):
        for key, part in item.items():
            made += [{**item, key: other} for other in with_one_changed(part)]
            made.append({k: v for k, v in item.items() if k != key})
    return made


def test_every_part_of_a_body_may_hold_anything() -> None:
    for document in with_one_changed(cbor.decode(INSIDE)):
        try:
            decode(cbor.deflate(cbor.encode(document)))
        except FormatError:
            continue


def test_every_part_of_an_answer_may_hold_anything() -> None:
    for document in with_one_changed(cbor.decode(ANSWER)):
        try:
            read_answer(cbor.encode(document))
        except FormatError:
            continue


@pytest.mark.parametrize("read", [decode_record, read_manifest, open_structure], ids=lambda read: read.__name__)
def test_damaged_records_are_format_errors(read: Callable[[bytes], object]) -> None:
    rng = random.Random(11)
    point = {"id": "a", "quantity": "CH4", "limits": [{"kind": "high", "value": 1.5}], "raw": False}
    record = cbor.encode({"version": 1, "site": "s", "points": [point] * 3, "zones": [{"id": "z"}], "devices": []})
    for _ in range(ROUNDS):
        try:
            read(cbor.deflate(damaged(rng, record)))
        except FormatError:
            continue


@pytest.mark.parametrize(
    ("read", "good"),
    [
        (decode_frame, b"MTF1" + bytes(4 + 8) + b"\1\0\0\0\1\0\0\0" + bytes(30)),
        (read_structure, b'{"site":"s","zones":[{"id":"z","name":"\xe5\x8c\xba"}],"junctions":[]}'),
    ],
    ids=["frame", "structure"],
)
def test_damaged_frames_and_documents_are_format_errors(read: Callable[[bytes], object], good: bytes) -> None:
    rng = random.Random(13)
    read(good)
    for _ in range(ROUNDS):
        try:
            read(damaged(rng, good))
        except FormatError:
            continue


def body(**keys: object) -> bytes:
    """Return a body whose map holds what the attacker likes."""
    numbers = {"blocks": 4, "codes": 5, "firsts": 6, "halves": 7, "planes": 8, "quality": 10, "lengths": 11}
    document: dict[int, object] = {0: 1, 1: b"manifest", 2: [0, 0, 0], 3: 0}
    document |= {numbers[name]: value for name, value in keys.items()}
    return cbor.deflate(cbor.encode(document))


BOMBS = {
    "rows of nothing": body(blocks=[[0, 65_536, 0, 1]] * 17, codes=b"\0" * 17, firsts=bytes(17)),
    "heads without end": body(blocks=[[0, 1, 0, 0]] * 5_000, codes=bytes(5_000), firsts=bytes(5_000)),
    "quality runs": body(blocks=[[0, 2, 0, 1]], codes=b"\0", firsts=b"\0", quality=b"\1", lengths=b"\xff" * 4),
    "zeros": cbor.deflate(bytes(17 << 20)),
    "nesting": cbor.deflate(b"\x81" * 100_000),
    "an array of four thousand millions": cbor.deflate(b"\x9a\xff\xff\xff\xff"),
    "a string longer than the body": cbor.deflate(b"\xa1\x00\x5b\x00\x00\x00\xff\xff\xff\xff\xff"),
    "a body too long to open": bytes((1 << 20) + 1),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_before_it_costs_anything(bomb: bytes) -> None:
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(FormatError):
        decode_body(bomb, [("a",)])
    assert time.process_time() - began < 1.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB


def test_the_largest_body_that_costs_no_bytes_is_bounded() -> None:
    rows = SAMPLES_MAX // 16
    made = decode_body(body(blocks=[[0, rows, 0, 1]] * 16, codes=bytes(16), firsts=bytes(16)), [("a",)])
    assert sum(each.value.size for each in made.blocks) == SAMPLES_MAX


def test_a_record_that_inflates_beyond_the_limit_is_refused() -> None:
    with pytest.raises(FormatError):
        decode_record(cbor.deflate(bytes(5 << 20)))
    with pytest.raises(FormatError):
        decode_record(encode_record({"a": "b" * 1000}), bytes_max=500)
