"""The page's own certificate for the LAN: made once, kept in the state folder, known by its fingerprint."""

import datetime
import ipaddress
import os
import socket
import ssl
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CERTIFICATE, KEY = "page-cert.pem", "page-key.pem"
BEGIN = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)  # a gateway's clock may not be set yet
END = datetime.datetime(2049, 12, 31, tzinfo=datetime.UTC)


def page_context(state: Path, gateway: str, host: str) -> ssl.SSLContext:
    """Return the TLS of the page; key and certificate are made at the first call."""
    ensure_certificate(state, gateway, host)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(state / CERTIFICATE, state / KEY)
    return context


def ensure_certificate(state: Path, gateway: str, host: str) -> str:
    """Make the certificate if there is none; return its fingerprint."""
    if not (state / CERTIFICATE).exists() or not (state / KEY).exists():
        _make(state, gateway, host)
    return fingerprint(state)


def fingerprint(state: Path) -> str:
    """Return the SHA-256 of the certificate as browsers show it, "" if there is none."""
    path = state / CERTIFICATE
    if not path.exists():
        return ""
    digest = sha256(ssl.PEM_cert_to_DER_cert(path.read_text("ascii"))).hexdigest().upper()
    return ":".join(digest[place : place + 2] for place in range(0, len(digest), 2))


def _make(state: Path, gateway: str, host: str) -> None:
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gateway)])
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.DNSName(f"{gateway.lower()}.local")]
    try:
        address = ipaddress.ip_address(host)
        names += [x509.IPAddress(address)] if not address.is_unspecified else _own_addresses()
    except ValueError:
        names.append(x509.DNSName(host))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(END)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    _write(state / KEY, pem, 0o600)
    _write(state / CERTIFICATE, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _own_addresses() -> list[x509.GeneralName]:
    """Return this machine's own addresses, as far as its name tells them."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), None)
    except OSError:
        return []
    return [
        x509.IPAddress(ipaddress.ip_address(text)) for text in sorted({str(row[4][0]).split("%")[0] for row in found})
    ]


def _write(path: Path, data: bytes, mode: int) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.rename(path)
