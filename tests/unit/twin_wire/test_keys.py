"""Keys that verify anything, or that nobody can hold, are refused; the rest is Ed25519."""

import pytest

from tests.support.evidence import GATEWAY, vector
from twin_wire.errors import FormatError, ProofError
from twin_wire.keys import PublicKey, SigningKey, kid_text

P = 2**255 - 19
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",  # 1
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # 2
    "0000000000000000000000000000000000000000000000000000000000000000",  # 4
    "0000000000000000000000000000000000000000000000000000000000000080",  # 4
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",  # 8
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",  # 8
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",  # 8
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",  # 8
]
SECOND_ENCODINGS = [(y | sign << 255).to_bytes(32, "little").hex() for y in range(P, 2**255) for sign in (0, 1)] + [
    "0100000000000000000000000000000000000000000000000000000000000080",  # x = 0 with a sign
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]


@pytest.mark.parametrize("raw", SMALL_ORDER + SECOND_ENCODINGS)
def test_keys_of_small_order_and_second_encodings_are_refused(raw: str) -> None:
    with pytest.raises(ProofError):
        PublicKey(bytes.fromhex(raw))


def test_a_key_off_the_curve_is_refused_and_one_on_it_is_not() -> None:
    with pytest.raises(ProofError, match="curve"):
        PublicKey((2).to_bytes(32, "little"))
    assert PublicKey((3).to_bytes(32, "little")).raw[0] == 3


def test_wrong_lengths_are_format_errors() -> None:
    for raw in (b"", bytes(31), bytes(33)):
        with pytest.raises(FormatError):
            PublicKey(raw)
        with pytest.raises(FormatError):
            SigningKey.from_seed(raw)


def test_the_first_example_of_rfc_8032_holds() -> None:
    key = SigningKey.from_seed(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    assert key.public.raw.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    signature = key.sign(b"")
    assert signature.hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")
    key.public.verify(signature, b"")


def test_a_signature_holds_for_its_message_only_and_in_one_form() -> None:
    signature = GATEWAY.sign(b"message")
    GATEWAY.public.verify(signature, b"message")
    order = 2**252 + 27742317777372353535851937790883648493
    second = signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    for bad, message in ((signature, b"massage"), (second, b"message"), (b"", b"message"), (bytes(64), b"message")):
        with pytest.raises(ProofError):
            GATEWAY.public.verify(bad, message)


def test_the_key_id_is_the_frozen_one_and_readable() -> None:
    assert GATEWAY.public.raw == bytes.fromhex("9c1cc50dd9eedad4ecc9cfce2906befb205909117b6e51f9cf862be33bb19d8e")
    assert GATEWAY.public.kid == vector("kid_gateway")
    assert kid_text(GATEWAY.public.kid) == "ef30-cdaa-8997-4712"


def test_a_seed_makes_the_same_key_and_is_never_shown() -> None:
    key = SigningKey.generate()
    again = SigningKey.from_seed(key.seed)
    assert again.public == key.public
    assert len({again.public, key.public, GATEWAY.public}) == 2
    assert key.public != key.public.raw
    for text in (repr(key), repr(key.public), str(key)):
        assert key.seed.hex() not in text
        assert repr(key.seed) not in text
