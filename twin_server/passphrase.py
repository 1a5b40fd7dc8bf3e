"""Passphrases of people: scrypt with a salt, and the slow comparison kept off the event loop."""

import hashlib
import hmac
import secrets

from twin_wire.errors import ConfigError

N, R, P = 1 << 15, 8, 1
MEMORY_BYTES_MAX = 64 << 20  # OpenSSL refuses the 32 MiB these settings need unless told so
SALT_BYTES = 16
CHARS_MIN, CHARS_MAX = 10, 256


def check_new(passphrase: str) -> None:
    """ConfigError when a passphrase is too short or too long to accept."""
    if not CHARS_MIN <= len(passphrase) <= CHARS_MAX:
        raise ConfigError(f"a passphrase has {CHARS_MIN} to {CHARS_MAX} characters")


def scramble(passphrase: str, salt: bytes) -> bytes:
    """Return the 32-byte scrypt of a passphrase; takes about 0.1 s, so never on the event loop."""
    secret = passphrase.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(secret, salt=salt, n=N, r=R, p=P, maxmem=MEMORY_BYTES_MAX, dklen=32)


def new_salt() -> bytes:
    """Return a fresh salt."""
    return secrets.token_bytes(SALT_BYTES)


def matches(passphrase: str, salt: bytes, expected: bytes) -> bool:
    """Tell whether a passphrase is the one scrambled; takes the same time either way."""
    return hmac.compare_digest(scramble(passphrase, salt), expected)
