"""A commissioning certificate: read back as written, and refused with every fault at once."""

import msgspec
import pytest

from twin_wire.commissioning import Certificate, Device, Value, Word, encode_certificate, read_certificate
from twin_wire.errors import FormatError
from twin_wire.records import decode_record, encode_record

CERTIFICATE = Certificate(
    by="p-0042", role="installer", at_ms=1_700_000_000_000, manifest="ab" * 32, software="mine-twin 1", points=1,
    limits=2, devices=(
        Device("ch4", "draeger-polytron-8000", "documented", "bus-1", 3, (Word(1, "0303", "0383"),),
               (Value("ch4-face", None, 33, 1),)),
    ), photos=("cd" * 32,),
)  # fmt: skip


def test_it_is_read_back_as_written():
    assert read_certificate(encode_certificate(CERTIFICATE)) == CERTIFICATE


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"by": "Wang Wei"}, "by"),
        ({"manifest": "AB" * 32}, "manifest"),
        ({"photos": ("x" * 64,)}, "photos"),
        ({"at_ms": -1}, "at_ms"),
        ({"version": 2}, "version"),
    ],
)
def test_names_and_damage_are_refused_on_both_sides(change, field):
    broken = msgspec.structs.replace(CERTIFICATE, **change)
    for act in (
        lambda: encode_certificate(broken),
        lambda: read_certificate(encode_record(msgspec.to_builtins(broken))),
    ):
        with pytest.raises(FormatError) as caught:
            act()
        assert caught.value.faults[0][0] == field


def test_an_unknown_role_or_field_is_refused():
    for change in ({"role": "owner"}, {"name": "Wang Wei"}):
        record = {**decode_record(encode_certificate(CERTIFICATE)), **change}
        with pytest.raises(FormatError):
            read_certificate(encode_record(record))
