"""Enrolment: the one-use voucher a server hands out, and the record with which a gateway makes its key known.

The voucher's own signature guards against damage only; trust comes from the way it reached the gateway (file, line,
QR) and from the people who compare key ids. Its secret never leaves the two sides: the record carries a MAC under it.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import astuple, dataclass, field
from typing import NamedTuple

from twin_wire.cbor import decode, encode
from twin_wire.cose import is_count, is_name
from twin_wire.errors import FormatError, ProofError
from twin_wire.keys import PublicKey, SigningKey
from twin_wire.note import parse_vkey
from twin_wire.records import decode_record, encode_record

VERSION = 1
PREFIX = "MTV1"
SECRET_BYTES_MIN, SECRET_BYTES_MAX = 16, 64
VOUCHER_CHARS_MAX = 2048
URL_CHARS_MAX = 256
MAC_BYTES = 32

_MAC_CONTEXT = b"minetwin enrol 1\0"
_BODY_BYTES_MAX = 4096
_SOFTWARE_CHARS_MAX = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Voucher:
    """What a gateway has to know to begin: where to send, which log to believe, and a secret to be believed."""

    version: int = VERSION
    server: str  # URL, http:// or https://
    enterprise: str
    gateway: str
    epoch: int
    site: str
    origin: str
    log_vkey: str  # of the log at `origin`
    secret: bytes = field(repr=False)  # 16 to 64 random bytes
    expires_s: int  # s since 1970 UTC; the server holds to it too
    simulated: bool

    @property
    def log_public(self) -> PublicKey:
        """The log's public key, out of `log_vkey`."""
        return parse_vkey(self.log_vkey)[1]


_FIELDS = tuple(Voucher.__dataclass_fields__)
_TYPES = [int, str, str, str, int, str, str, str, bytes, int, bool]


class Enrolment(NamedTuple):
    """What an enrol record says; `check_enrolment` tells whether the voucher's holder wrote it."""

    gateway: str
    epoch: int
    public: PublicKey  # the gateway's new key, which also signs the statement over this record
    log_public: PublicKey  # the log the gateway believes in
    mac: bytes
    software: str


def encode_voucher(voucher: Voucher, log_key: SigningKey) -> str:
    """Return the voucher as one line of text, signed by the log's key; FormatError if a field is out of its limits."""
    _check_voucher(voucher)
    if voucher.log_public != log_key.public:
        raise ProofError("voucher names another log key than the one that signs it")
    line = f"{PREFIX}.{_base64url(encode(astuple(voucher)))}"
    return f"{line}.{_base64url(log_key.sign(line.encode()))}"


def read_voucher(text: str, now_s: float) -> Voucher:
    """Read a voucher's line; FormatError if damaged in form, ProofError if its signature fails or it has expired."""
    text = text.strip()
    parts = text.split(".") if len(text) <= VOUCHER_CHARS_MAX else []
    if len(parts) != 3 or parts[0] != PREFIX:
        raise FormatError("not a voucher", "paste the whole line that begins with MTV1.")
    fields = decode(_unbase64url(parts[1]), VOUCHER_CHARS_MAX, depth_max=1)
    if not isinstance(fields, list) or [type(value) for value in fields] != _TYPES:
        raise FormatError("voucher with other fields than its own")
    voucher = Voucher(**dict(zip(_FIELDS, fields, strict=True)))
    _check_voucher(voucher)
    voucher.log_public.verify(_unbase64url(parts[2]), f"{PREFIX}.{parts[1]}".encode())
    if now_s >= voucher.expires_s:
        raise ProofError("voucher has expired", "ask the server's administrator for a new one, and check the clock")
    return voucher


def enrol_mac(secret: bytes, gateway_public: PublicKey, log_public: PublicKey) -> bytes:
    """Return the MAC that binds both keys to the voucher: HMAC-SHA-256 under its secret, 32 bytes."""
    return hmac.digest(secret, _MAC_CONTEXT + gateway_public.raw + log_public.raw, "sha256")


def enrol_body(voucher: Voucher, public: PublicKey, software: str) -> bytes:
    """Return the body of the gateway's first statement (kind "enrol", seq 0 of the voucher's epoch)."""
    record = {
        "gateway": voucher.gateway,
        "epoch": voucher.epoch,
        "public": public.raw,
        "log_public": voucher.log_public.raw,
        "mac": enrol_mac(voucher.secret, public, voucher.log_public),
        "software": software,
    }
    return encode_record(record)


def read_enrol_body(body: bytes) -> Enrolment:
    """Read an enrol record without judging its MAC; FormatError or ProofError (unusable key) otherwise."""
    record = decode_record(body, _BODY_BYTES_MAX)
    if record.keys() != set(Enrolment._fields):
        raise FormatError("enrol record with other fields than its own")
    gateway, epoch, public, log_public, mac, software = (record[name] for name in Enrolment._fields)
    if not is_name(gateway) or not is_count(epoch):
        raise FormatError("enrol record's gateway or epoch out of its limits")
    if not isinstance(public, bytes) or not isinstance(log_public, bytes):
        raise FormatError("enrol record without keys")
    if not isinstance(mac, bytes) or len(mac) != MAC_BYTES:
        raise FormatError("enrol record's MAC is not 32 bytes")
    if not isinstance(software, str) or len(software) > _SOFTWARE_CHARS_MAX:
        raise FormatError("enrol record's software is not a short text")
    assert isinstance(gateway, str)
    assert isinstance(epoch, int)
    return Enrolment(gateway, epoch, PublicKey(public), PublicKey(log_public), mac, software)


def check_enrolment(enrolment: Enrolment, secret: bytes, log_public: PublicKey) -> None:
    """Return if the record was made with this voucher's secret for this log; ProofError otherwise."""
    expected = enrol_mac(secret, enrolment.public, log_public)
    if enrolment.log_public != log_public or not hmac.compare_digest(expected, enrolment.mac):
        raise ProofError("enrol record was not made with the voucher", "make a new voucher and enrol again")


def _check_voucher(voucher: Voucher) -> None:
    names = (voucher.enterprise, voucher.gateway, voucher.site, voucher.origin)
    if voucher.version != VERSION or not all(map(is_name, names)):
        raise FormatError("voucher's version or a name in it is out of its limits")
    if not is_count(voucher.epoch) or not is_count(voucher.expires_s):
        raise FormatError("voucher's epoch or expiry is out of its limits")
    if not SECRET_BYTES_MIN <= len(voucher.secret) <= SECRET_BYTES_MAX:
        raise FormatError("voucher's secret is not 16 to 64 bytes")
    if not _is_url(voucher.server):
        raise FormatError("voucher's server is not an http or https URL")
    if parse_vkey(voucher.log_vkey)[0] != voucher.origin:
        raise FormatError("voucher's log key does not bear the origin's name")


def _is_url(text: str) -> bool:
    plain = text.isascii() and text.isprintable() and " " not in text
    return plain and len(text) <= URL_CHARS_MAX and text.startswith(("http://", "https://"))


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _unbase64url(text: str) -> bytes:
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (Base64Error, ValueError):
        raise FormatError("not base64url") from None
    if _base64url(data) != text:
        raise FormatError("base64url in a second form")
    return data
