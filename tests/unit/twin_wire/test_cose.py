"""What statements and receipts share: names, numbers, the signed structure, and no need for numpy."""

import subprocess
import sys

import pytest

from tests.support.evidence import VECTORS, vector
from twin_wire.cbor import Tag, encode
from twin_wire.cose import decode_sign1, encode_sign1, is_count, is_name, is_number, to_be_signed
from twin_wire.errors import FormatError

EVIDENCE = "cbor keys cose statement merkle tiles note receipt voucher"


def test_taking_apart_and_putting_together_gives_the_same_bytes() -> None:
    for name in ("statement", "receipt", "receipt_v1", "consistency_receipt_3_5"):
        raw = vector(name)
        protected, _, unprotected, payload, signature = decode_sign1(raw, 4096)
        assert encode_sign1(protected, unprotected, payload, signature) == raw  # type: ignore[arg-type]
        with pytest.raises(FormatError, match="limit"):
            decode_sign1(raw, len(raw) - 1)


def test_parts_of_other_kinds_are_refused() -> None:
    protected, _, unprotected, payload, signature = decode_sign1(vector("statement"), 1024)
    good = [protected, unprotected, payload, signature]
    for at, others in enumerate(((None, "x", 1), (None, [], b""), (1, "x", []), (None, "x" * 64, b"s" * 63))):
        for other in others:
            with pytest.raises(FormatError, match="COSE_Sign1"):
                decode_sign1(encode(Tag(18, [*good[:at], other, *good[at + 1 :]])), 1024)


def test_the_signed_structure_is_the_frozen_one() -> None:
    parts = decode_sign1(vector("statement"), 1024)
    assert parts.payload is not None
    assert to_be_signed(parts.protected, parts.payload).hex() == VECTORS["statement_tbs"]


def test_names_are_printable_without_space_or_plus() -> None:
    for good in ("a", "mine.example/e/1001", "gw/42", "北风井-1", "x" * 128, "水" * 42):
        assert is_name(good)
    for bad in ("", "a b", "a+b", "a\n", "a\u00a0b", "a\u2028", "\ud800", "\0", "x" * 129, "水" * 43, b"a", 1, None):
        assert not is_name(bad)


def test_numbers_are_integers_every_language_can_hold() -> None:
    assert all(map(is_count, (0, 1, 2**53 - 1)))
    assert not any(map(is_count, (-1, 2**53, True, 1.0, "1", None)))
    assert is_number(-19, -19)
    assert not any(is_number(value, 1) for value in (2, True, 1.0, "1", None))


def test_a_verifier_needs_no_numpy_and_no_cbor2() -> None:
    lines = [f"import twin_wire.{name}" for name in EVIDENCE.split()]
    code = "\n".join(["import sys", *lines, "assert not {'numpy', 'cbor2', 'asyncio'} & set(sys.modules), sys.modules"])
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
