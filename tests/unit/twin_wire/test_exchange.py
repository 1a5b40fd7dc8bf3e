"""Answers of the server: whole, and refused when any part is out of form."""

from typing import Any

import pytest

from twin_wire import cbor
from twin_wire.errors import FormatError, ProofError
from twin_wire.exchange import (
    Answer,
    Head,
    Verdict,
    check_head_authorization,
    encode_answer,
    head_authorization,
    read_answer,
)
from twin_wire.keys import SigningKey

HEAD = Head(1, 41, b"h" * 32)
ANSWER = Answer(
    history_id="9a3f",
    head=HEAD,
    above=((1, 44, 50), (2, 0, 0)),
    anchored=Head(1, 30, b"a" * 32),
    size=1234,
    checkpoint=b"origin\n1234\n",
    consistency_from=1000,
    consistency=(b"1" * 32, b"2" * 32),
    watch=True,
    time_us=1_700_000_000_000_000,
    verdicts=(
        Verdict(1, 42, "receipt", b"cose", ""),
        Verdict(1, 44, "pending", None, "expected 43"),
        Verdict(1, 42, "duplicate", b"cose", ""),
        Verdict(1, 50, "duplicate", None, ""),
        Verdict(1, 51, "need_manifest", None, "ab" * 8),
        Verdict(1, 52, "rejected", None, "unknown key"),
    ),
)
EMPTY = Answer("h", None, (), None, 0, b"", 0, (), False, 0, ())


@pytest.mark.parametrize("answer", [ANSWER, EMPTY])
def test_an_answer_comes_back_whole(answer: Answer) -> None:
    assert read_answer(encode_answer(answer)) == answer


BREAKS: dict[str, tuple[int, Any]] = {
    "another version": (0, 2),
    "version true": (0, True),
    "a history as bytes": (1, b"h"),
    "a long history": (1, "h" * 65),
    "a head of two": (2, [1, 2]),
    "a head with a short hash": (2, [1, 2, b"h" * 31]),
    "a negative number": (2, [1, -1, b"h" * 32]),
    "a true number": (2, [True, 1, b"h" * 32]),
    "a range backwards": (3, [[1, 5, 4]]),
    "too many ranges": (3, [[1, 1, 1]] * 1001),
    "a size as float": (5, 3.0),
    "a size beyond all languages": (5, 2**53),
    "a checkpoint as text": (6, "note"),
    "a checkpoint too long": (6, bytes((64 << 10) + 1)),
    "a short hash": (8, [b"h"]),
    "too many hashes": (8, [b"h" * 32] * 64),
    "watch as number": (9, 1),
    "no time": (10, None),
    "verdicts that are none": (11, {}),
    "too many verdicts": (11, [[1, 1, "pending", None, ""]] * 257),
    "an unknown status": (11, [[1, 1, "maybe", None, ""]]),
    "a status as number": (11, [[1, 1, 5, None, ""]]),
    "a receipt without its status": (11, [[1, 1, "pending", b"r", ""]]),
    "the status without a receipt": (11, [[1, 1, "receipt", None, ""]]),
    "a long receipt": (11, [[1, 1, "receipt", bytes(4097), ""]]),
    "a long detail": (11, [[1, 1, "pending", None, "x" * 501]]),
    "another key": (12, 0),
}


@pytest.mark.parametrize(("key", "value"), BREAKS.values(), ids=BREAKS.keys())
def test_an_answer_out_of_form_is_refused(key: int, value: Any) -> None:
    document = cbor.decode(encode_answer(ANSWER))
    assert isinstance(document, dict)
    with pytest.raises(FormatError):
        read_answer(cbor.encode({**document, key: value}))


def test_every_field_has_to_be_there() -> None:
    document = cbor.decode(encode_answer(ANSWER))
    assert isinstance(document, dict)
    for key in document:
        with pytest.raises(FormatError):
            read_answer(cbor.encode({k: v for k, v in document.items() if k != key}))
    for other in (b"", cbor.encode([]), bytes((2 << 20) + 1)):
        with pytest.raises(FormatError):
            read_answer(other)


KEY, OTHER = SigningKey.from_seed(bytes(32)), SigningKey.from_seed(b"\1" * 32)
ORIGIN = "mine.example/e/1001"


def test_the_head_is_told_to_the_gateways_key_alone() -> None:
    header = head_authorization(KEY, ORIGIN, "gw-1")
    check_head_authorization(header, KEY.public, ORIGIN, "gw-1")
    for public, origin, gateway in (
        (OTHER.public, ORIGIN, "gw-1"),
        (KEY.public, ORIGIN, "gw-2"),
        (KEY.public, "mine.example/e/1002", "gw-1"),
        (KEY.public, ORIGIN + "\0gw", "-1"),
    ):
        with pytest.raises(ProofError):
            check_head_authorization(header, public, origin, gateway)


@pytest.mark.parametrize(
    "header", ["", "Gateway", "Gateway 00", "Bearer " + "0" * 128, "Gateway " + "x" * 128, "Gateway " + "AB" * 64]
)
def test_another_authorization_is_refused(header: str) -> None:
    with pytest.raises(ProofError):
        check_head_authorization(header, KEY.public, ORIGIN, "gw-1")
