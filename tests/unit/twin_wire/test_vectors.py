"""The frozen files of the data part: read by our decoder and by one written from the specification alone."""

import json
from typing import Any

import msgspec
import pytest

from tests import naive_body
from tests.support import bodies, wire_vectors
from tests.support.wire_vectors import CASES, FOLDER
from twin_wire.body import decode_body, encode_body
from twin_wire.cbor import inflate
from twin_wire.exchange import encode_answer, read_answer
from twin_wire.frame import decode_frame, encode_frame
from twin_wire.manifest import encode_manifest, read_manifest
from twin_wire.structure import encode_structure, open_structure


def frozen(name: str) -> tuple[bytes, Any]:
    path = FOLDER / name
    return path.read_bytes(), json.loads(path.with_suffix(".json").read_text("utf-8"))


@pytest.mark.parametrize("name", CASES)
def test_a_frozen_body_still_says_what_it_said(name: str) -> None:
    data, contents = frozen(f"{name}.bin")
    batch = decode_body(data, [tuple(points) for points in contents["groups"]])
    assert bodies.plain(batch) == contents["batch"]
    assert naive_body.decode(data, contents["groups"]) == contents["batch"]


@pytest.mark.parametrize("name", CASES)
def test_the_encoder_still_says_the_same(name: str) -> None:
    data, contents = frozen(f"{name}.bin")
    groups = [tuple(points) for points in contents["groups"]]
    _, numbers, decimals = CASES[name]()
    again = encode_body(decode_body(data, groups), numbers, decimals)
    assert inflate(again, 1 << 20) == inflate(data, 1 << 20)


def test_the_frozen_bodies_hold_every_kind_and_width_of_lane() -> None:
    data, _ = frozen("body_mixed.bin")
    document, _ = naive_body.cbor(inflate(data, 1 << 20))
    assert {code % 16 for code in document[5]} == {0, 1, 10, 11, 12, 13, 14}
    assert {code // 16 for code in document[5]} == set(range(6))
    assert set(document) == set(range(14))
    assert {len(head) for head in document[4]} == {4, 5}


def test_the_frozen_frame_still_says_what_it_said() -> None:
    data, contents = frozen("frame.bin")
    assert wire_vectors.plain_frame(decode_frame(data)) == contents
    assert encode_frame(wire_vectors.frame()) == data


def test_the_frozen_answer_still_says_what_it_said() -> None:
    data, contents = frozen("answer.cbor")
    assert wire_vectors.plain_answer(read_answer(data)) == contents
    assert encode_answer(wire_vectors.answer()) == data


def test_the_frozen_records_still_say_what_they_said() -> None:
    data, contents = frozen("manifest.bin")
    assert json.loads(msgspec.json.encode(read_manifest(data))) == contents
    assert inflate(encode_manifest(wire_vectors.manifest()), 1 << 20) == inflate(data, 1 << 20)
    data, contents = frozen("structure.bin")
    assert json.loads(msgspec.json.encode(open_structure(data))) == contents
    assert inflate(encode_structure(wire_vectors.structure()), 1 << 20) == inflate(data, 1 << 20)
