"""A voucher survives paste and refuses damage; an enrol record binds both keys to its secret."""

from base64 import urlsafe_b64encode
from dataclasses import asdict, astuple, replace
from typing import Any

import pytest

from tests.support.evidence import GATEWAY, LOG, ORIGIN, VECTORS, named_key, vector
from twin_wire.cbor import decode, deflate, encode, inflate
from twin_wire.errors import FormatError, ProofError
from twin_wire.note import vkey
from twin_wire.voucher import (
    Voucher,
    check_enrolment,
    encode_voucher,
    enrol_body,
    enrol_mac,
    read_enrol_body,
    read_voucher,
)

EXPIRES_S = 1_795_000_000
VOUCHER = Voucher(
    server="https://twin.example:8443",
    enterprise="e-1001",
    gateway="gw/42",
    epoch=7,
    site="demo-mine",
    origin=ORIGIN,
    log_vkey=vkey(ORIGIN, LOG.public),
    secret=bytes(range(16)),
    expires_s=EXPIRES_S,
    simulated=True,
)
LINE = VECTORS["voucher"]


def signed_by_hand(fields: object) -> str:
    """Make a voucher's line out of any fields, with the log's good signature."""
    line = "MTV1." + urlsafe_b64encode(encode(fields)).rstrip(b"=").decode()
    return line + "." + urlsafe_b64encode(LOG.sign(line.encode())).rstrip(b"=").decode()


def test_the_frozen_voucher_is_written_and_read() -> None:
    assert encode_voucher(VOUCHER, LOG) == LINE
    assert read_voucher(LINE, EXPIRES_S - 1) == VOUCHER
    assert read_voucher(f"  {LINE}\r\n", 0) == VOUCHER
    assert VOUCHER.log_public == LOG.public
    assert "\n" not in LINE


def test_an_expired_voucher_says_what_to_do() -> None:
    with pytest.raises(ProofError, match="expired") as caught:
        read_voucher(LINE, EXPIRES_S)
    assert "new one" in caught.value.hint


def test_every_changed_character_is_refused() -> None:
    for at in range(len(LINE)):
        for other in "Ab.=+水":
            if LINE[at] != other:
                with pytest.raises(FormatError):
                    read_voucher(LINE[:at] + other + LINE[at + 1 :], 0)


def test_a_second_form_of_the_same_bytes_is_refused() -> None:
    spare = LINE[:-1] + chr(ord(LINE[-1]) + 1)  # 64 bytes leave four bits of the last character unused
    for other in (spare, LINE[:-3] + "!" + LINE[-3:], LINE + "=="):
        with pytest.raises(FormatError, match=r"second form|not base64url"):
            read_voucher(other, 0)


@pytest.mark.parametrize("text", ["", "MTV1", "MTV1..", LINE[:-1], LINE + "A", LINE + ".", LINE * 20, "\ud800.a.b"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(FormatError):
        read_voucher(text, 0)


BAD_FIELDS: list[dict[str, Any]] = [
    {"version": 2},
    {"server": "ftp://twin.example"},
    {"server": "https://twin.example/ x"},
    {"server": "https://" + "x" * 300},
    {"enterprise": ""},
    {"gateway": "a b"},
    {"site": "a\nb"},
    {"origin": "else.example"},
    {"epoch": -1},
    {"expires_s": 2**53},
    {"secret": bytes(15)},
    {"secret": bytes(65)},
    {"log_vkey": "nonsense"},
]


@pytest.mark.parametrize("changes", BAD_FIELDS, ids=str)
def test_fields_out_of_their_limits_are_neither_written_nor_read(changes: dict[str, Any]) -> None:
    bad = replace(VOUCHER, **changes)
    with pytest.raises(FormatError):
        encode_voucher(bad, LOG)
    with pytest.raises(FormatError):
        read_voucher(signed_by_hand(astuple(bad)), 0)


def test_fields_of_other_kinds_are_refused() -> None:
    assert read_voucher(signed_by_hand(astuple(VOUCHER)), 0) == VOUCHER
    good = list(astuple(VOUCHER))
    for at in range(len(good)):
        for other in (None, 1, "x", b"x", True, 1.5):
            if type(other) is not type(good[at]):
                with pytest.raises(FormatError):
                    read_voucher(signed_by_hand([*good[:at], other, *good[at + 1 :]]), 0)
    for fields in (good[:-1], [*good, 0], asdict(VOUCHER), 1):
        with pytest.raises(FormatError):
            read_voucher(signed_by_hand(fields), 0)


def test_only_the_log_key_named_in_it_signs_a_voucher() -> None:
    with pytest.raises(ProofError, match="another log key"):
        encode_voucher(VOUCHER, GATEWAY)


def test_the_secret_is_never_shown() -> None:
    assert repr(VOUCHER.secret) not in repr(VOUCHER)
    assert VOUCHER.secret not in inflate(enrol_body(VOUCHER, GATEWAY.public, ""), 4096)


def test_the_enrol_record_binds_both_keys_to_the_secret() -> None:
    enrolment = read_enrol_body(enrol_body(VOUCHER, GATEWAY.public, "edge-agent 0.1.0"))
    assert enrolment[:4] == ("gw/42", 7, GATEWAY.public, LOG.public)
    assert enrolment.software == "edge-agent 0.1.0"
    assert enrolment.mac == enrol_mac(VOUCHER.secret, GATEWAY.public, LOG.public) == vector("enrol_mac")
    assert read_enrol_body(vector("enrol_body")) == enrolment
    check_enrolment(enrolment, VOUCHER.secret, LOG.public)
    thief = named_key("thief").public
    for bad, secret, log_public in (
        (enrolment, bytes(16), LOG.public),
        (enrolment, VOUCHER.secret, thief),
        (enrolment._replace(public=thief), VOUCHER.secret, LOG.public),
        (enrolment._replace(log_public=thief), VOUCHER.secret, LOG.public),
        (enrolment._replace(mac=bytes(32)), VOUCHER.secret, LOG.public),
    ):
        with pytest.raises(ProofError):
            check_enrolment(bad, secret, log_public)


def test_enrol_records_out_of_form_are_refused() -> None:
    record: Any = decode(inflate(enrol_body(VOUCHER, GATEWAY.public, "x"), 4096))
    identity = b"\1" + bytes(31)
    changes: list[dict[str, Any]] = [
        {"gateway": ""},
        {"gateway": 1},
        {"epoch": -1},
        {"public": "x" * 32},
        {"public": identity},
    ]
    changes += [
        {"log_public": None},
        {"mac": b""},
        {"mac": "x" * 32},
        {"software": 1},
        {"software": "x" * 129},
        {"more": 1},
    ]
    for change in changes:
        with pytest.raises(FormatError):
            read_enrol_body(deflate(encode(record | change)))
    del record["mac"]
    for body in (deflate(encode(record)), deflate(encode([])), encode(record), deflate(bytes(5000)), b""):
        with pytest.raises(FormatError):
            read_enrol_body(body)
