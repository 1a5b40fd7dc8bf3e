"""After a failure the line rests, and the unit's next answer is proven to be its own."""

import pytest

from drivers.modbus.fence import Fence, shape_of
from drivers.modbus.pdu import Function, Read
from twin_wire.errors import LinkError

ASK = Read(1, Function.READ_HOLDING_REGISTERS, 100, 4)


def anything(_address: int, _length: int) -> bool:
    return True


def test_a_line_without_failures_never_rests() -> None:
    fence = Fence()
    assert fence.quiet_until_s(1) == 0
    assert not fence.in_doubt(1, 5.0)
    assert fence.first_read(ASK, anything, 5.0) is ASK


def test_the_line_rests_as_long_as_was_waited_and_the_unit_twice_its_timeout() -> None:
    fence = Fence()
    fence.failed(ASK, sent_s=10.0, now_s=10.12, timeout_s=0.3)
    assert fence.quiet_until_s(2) == pytest.approx(10.24)
    assert fence.quiet_until_s(1) == pytest.approx(10.6)


def test_the_next_read_is_preceded_by_one_of_another_length() -> None:
    fence = Fence()
    fence.failed(ASK, 10.0, 10.3, 0.3)
    token = fence.first_read(ASK, anything, 10.6)
    assert token is not ASK
    assert token.address == ASK.address
    assert shape_of(token) != shape_of(ASK)
    fence.answered(token)
    assert fence.first_read(ASK, anything, 10.7) is ASK


def test_a_read_of_another_length_needs_no_token() -> None:
    fence = Fence()
    fence.failed(ASK, 10.0, 10.3, 0.3)
    other = ASK._replace(length=9)
    assert fence.first_read(other, anything, 10.6) is other


def test_tokens_given_up_are_not_used_again_and_when_none_is_left_the_unit_rests() -> None:
    fence = Fence()
    fence.failed(ASK, 10.0, 10.3, 0.3)
    seen = {ASK.length}
    for step in range(3):
        token = fence.first_read(ASK, anything, 11 + step * 0.1)
        assert token.length not in seen
        seen.add(token.length)
        fence.failed(token, 11 + step * 0.1, 11.05 + step * 0.1, 0.3)
    with pytest.raises(LinkError, match="rests"):
        fence.first_read(ASK, anything, 11.5)
    assert fence.quiet_until_s(1) == pytest.approx(11.2 + 3.0)
    assert fence.first_read(ASK, anything, 14.3) is ASK, "the window is over: nothing can still come"


def test_a_token_never_reads_what_the_device_must_not_see() -> None:
    fence = Fence()
    fence.failed(ASK, 10.0, 10.3, 0.3)
    assert fence.first_read(ASK, lambda _address, length: length == 3, 10.6).length == 3
    with pytest.raises(LinkError):
        fence.first_read(ASK, lambda _address, _length: False, 10.6)


@pytest.mark.parametrize("function", [Function.READ_COILS, Function.READ_DISCRETE_INPUTS])
def test_tokens_of_bits_differ_in_bytes_of_answer(function: Function) -> None:
    fence = Fence()
    ask = Read(1, function, 0, 5)
    fence.failed(ask, 0.0, 0.3, 0.3)
    assert shape_of(fence.first_read(ask, anything, 1.0))[1] == 2


def test_doubt_ends_with_its_window() -> None:
    fence = Fence()
    fence.failed(ASK, 10.0, 10.3, 0.5)
    assert fence.in_doubt(1, 14.9)
    assert not fence.in_doubt(1, 15.1)
    assert not fence.in_doubt(2, 10.4), "another unit's answers name that unit"


def test_the_window_of_a_fast_device_is_still_three_seconds() -> None:
    fence = Fence()
    fence.failed(ASK, 10.0, 10.01, 0.01)
    assert fence.in_doubt(1, 12.9)
