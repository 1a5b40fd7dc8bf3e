"""Limits on how often: sliding windows and token buckets, bounded in memory."""

from twin_server.attempts import KEYS_MAX, Attempts, Pace

SECOND_US = 1_000_000


def test_after_too_many_failures_one_waits_until_the_first_is_old() -> None:
    attempts = Attempts(3, 60 * SECOND_US)
    for n in range(3):
        assert attempts.wait_us("a", n * SECOND_US) == 0
        attempts.failed("a", n * SECOND_US)
    assert attempts.wait_us("a", 3 * SECOND_US) == 57 * SECOND_US
    assert attempts.wait_us("b", 3 * SECOND_US) == 0
    assert attempts.wait_us("a", 60 * SECOND_US) == 0
    attempts.succeeded("a")
    assert attempts.wait_us("a", 3 * SECOND_US) == 0


def test_a_flood_of_keys_does_not_grow_without_end() -> None:
    attempts, pace = Attempts(3, SECOND_US), Pace(1, 1)
    for n in range(KEYS_MAX + 50):
        attempts.failed(n, 0)
        pace.take(n, 0)
    assert len(attempts._times) == len(pace._buckets) == KEYS_MAX


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    pace = Pace(2.0, 4.0)
    assert [pace.take("g", 0) for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert pace.take("g", SECOND_US // 2) == 0
    assert pace.take("g", SECOND_US // 2) > 0
    assert pace.take("other", 0) == 0
    assert pace.take("g", 0) > 0  # a clock that falls gives nothing away
