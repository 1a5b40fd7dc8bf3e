"""Ed25519 keys: public keys that are safe to trust, signing keys, and the short id that people compare."""

from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from twin_wire.cbor import encode
from twin_wire.errors import FormatError, ProofError

KEY_BYTES = 32
KID_BYTES = 8
SIGNATURE_BYTES = 64

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P  # the curve's constant, RFC 8032 section 5.1
_Y_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
# The y of every point of order 1, 2, 4 or 8: with such a key one signature fits any message.
_Y_SMALL_ORDER = frozenset((0, 1, _P - 1, _Y_ORDER_8, _P - _Y_ORDER_8))


class PublicKey:
    """A public key of 32 raw bytes; ProofError if it has small order, another encoding, or lies off the curve."""

    __slots__ = ("_key", "kid", "raw")

    def __init__(self, raw: bytes) -> None:
        if len(raw) != KEY_BYTES:
            raise FormatError(f"Ed25519 public key of {len(raw)} bytes")
        y = int.from_bytes(raw, "little") & (2**255 - 1)
        if y >= _P or y in _Y_SMALL_ORDER:
            raise ProofError("Ed25519 public key of small order or in a second encoding")
        if pow((y * y - 1) * (_D * y * y + 1), (_P - 1) // 2, _P) != 1:
            raise ProofError("Ed25519 public key is not a point of the curve")
        self.raw = bytes(raw)
        self.kid = key_id(self.raw)
        self._key = Ed25519PublicKey.from_public_bytes(self.raw)

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return if the signature holds; ProofError otherwise."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            raise ProofError(f"signature does not hold under key {kid_text(self.kid)}") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and other.raw == self.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"PublicKey({kid_text(self.kid)})"


class SigningKey:
    """A private key; `seed` is the only thing to keep, in a file of its own, and never to log."""

    __slots__ = ("_key", "public", "seed")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.seed = key.private_bytes_raw()
        self.public = PublicKey(key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> "SigningKey":
        """Make a new key from the system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> "SigningKey":
        """Rebuild a key from its 32-byte seed; FormatError at another length."""
        if len(seed) != KEY_BYTES:
            raise FormatError(f"Ed25519 seed of {len(seed)} bytes")
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"SigningKey({kid_text(self.public.kid)})"


def key_id(raw: bytes) -> bytes:
    """Return the first 8 bytes of the COSE key thumbprint (RFC 9679) of an Ed25519 public key."""
    return sha256(encode({1: 1, -1: 6, -2: raw})).digest()[:KID_BYTES]


def kid_text(kid: bytes) -> str:
    """Write a key id for people: `ef30-cdaa-8997-4712`."""
    return kid.hex("-", 2)
