"""What an answer says for or against a profile."""

import pytest

from drivers import load_profile
from drivers.profile import Text, Verify
from edge_agent.identify import CONTRADICTED, ODD, PLAUSIBLE, VERIFIED, judge
from edge_agent.probe import Seen

PROFILE = load_profile("draeger-polytron-8000")


@pytest.mark.parametrize(
    ("item", "data", "weight"),
    [
        (Verify(address=1, type="text", registers=2, expect="AB"), b"ABC\0", VERIFIED),
        (Verify(address=1, type="text", registers=2, order="BADC", expect="AB"), b"BA\0C", VERIFIED),
        (Verify(address=1, type="text", registers=2, expect="AB"), b"BA\0C", CONTRADICTED),
        (Verify(address=1, type="f32", expect=1.5), bytes.fromhex("3fc00000"), VERIFIED),
        (Verify(address=1, expect=(3, 5)), b"\0\6", CONTRADICTED),
        (Text(id="serial", address=1, registers=2, order="BADC"), b"1A2B", PLAUSIBLE),
        (Text(id="serial", address=1, registers=2), b"\xc1\xc2\0\0", ODD),
        (Text(id="serial", address=1, registers=2), bytes(4), ODD),
    ],
)
def test_known_registers_and_texts_speak_by_their_own_order(item: Verify | Text, data: bytes, weight: int):
    assert judge(PROFILE, item, Seen(data, 0, b"", b"", "", 0)).weight == weight
