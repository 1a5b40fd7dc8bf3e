"""Answer times are learned: fast units are given up early, slow ones are not, failures are forgiving."""

from drivers.modbus.turnaround import ALLOWANCE_S_MIN, Turnaround


def test_a_unit_never_heard_gets_its_full_timeout() -> None:
    assert Turnaround(0.02, 0.3).allowance_s == 0.3


def test_a_fast_unit_is_given_up_early_and_a_slow_one_is_not() -> None:
    fast, slow = Turnaround(0.02, 1.0), Turnaround(0.02, 1.0)
    for _ in range(10):
        fast.answered(0.005)
        slow.answered(0.2)
    assert fast.allowance_s == ALLOWANCE_S_MIN
    assert 0.5 < slow.allowance_s <= 1.0


def test_silence_doubles_the_patience_up_to_the_timeout() -> None:
    turnaround = Turnaround(0.02, 1.5)
    for _ in range(10):
        turnaround.answered(0.01)
    seen = []
    for _ in range(5):
        turnaround.failed()
        seen.append(turnaround.allowance_s)
    assert seen == [min(1.5, ALLOWANCE_S_MIN * 2**n) for n in range(1, 6)]
    turnaround.answered(0.01)
    assert turnaround.allowance_s == ALLOWANCE_S_MIN


def test_one_slow_answer_is_remembered() -> None:
    turnaround = Turnaround(0.02, 1.0)
    for seconds in (0.01, 0.01, 0.15, 0.01, 0.01):
        turnaround.answered(seconds)
    assert turnaround.allowance_s > 0.4
    for _ in range(200):
        turnaround.answered(0.01)
    assert turnaround.allowance_s == ALLOWANCE_S_MIN


def test_the_mean_follows_what_is_seen() -> None:
    turnaround = Turnaround(0.5, 1.0)
    for _ in range(60):
        turnaround.answered(0.04)
    assert abs(turnaround.mean_s - 0.04) < 0.001


def test_a_device_is_never_given_up_before_twice_what_its_profile_declares() -> None:
    logger = Turnaround(60.0, 180.0)
    for _ in range(10):
        logger.answered(0.05)
    assert logger.allowance_s == 120.0
