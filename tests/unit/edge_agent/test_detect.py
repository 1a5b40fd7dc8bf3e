"""What the detectors say about channels a person can picture."""

import numpy as np

from edge_agent import detect
from twin_wire.manifest import GroupSpec, Limit, Manifest, PointSpec
from twin_wire.readings import Block, Event

SECOND, HOUR_S = 1_000_000, 3600
ALARM = Limit("high", 1, 1.0, 0.95, 0.0, "coal-cn/1")
WARNING = Limit("high", 3, 0.8, 0.75, 2.0, "site")


def point(name: str, *limits: Limit, quantity: str = "CH4") -> PointSpec:
    return PointSpec(name, quantity, "%", 2, False, 0.0, 4.0, f"{name} gas", "", "", None, "d", tuple(limits))


def manifest(*points: PointSpec) -> Manifest:
    group = GroupSpec("g", "d", 1.0, tuple(p.id for p in points))
    return Manifest(
        enterprise="e", site="s", gateway="g", software="x", simulated=True, structure="", ruleset="", devices=(),
        groups=(group,), points=points,
    )  # fmt: skip


def block(begin_s: int, *channels: np.ndarray) -> Block:
    value = np.vstack(channels).astype(float)
    time_us = (np.arange(value.shape[1], dtype=np.int64) + begin_s) * SECOND
    return Block(tuple("abcdef"[: len(channels)]), time_us, value, np.zeros(value.shape, np.uint8))


def told(events: list[Event]) -> list[tuple[str, int, int]]:
    return [(e.rule, e.begin_us // SECOND, e.end_us // SECOND) for e in events]


def test_methane_climbing_raises_the_warning_then_the_alarm_and_both_end_below_their_restore() -> None:
    detector = detect.build(manifest(point("a", WARNING, ALARM)))
    up = np.round(np.linspace(0.5, 1.1, 61), 2)
    events = detector.feed(block(1000, up)) + detector.feed(block(1061, up[::-1]))
    limits = [e for e in told(events) if e[0].startswith("limit")]
    assert limits == [
        ("limit_high_3", 1030, 0),
        ("limit_high_1", 1050, 0),
        ("limit_high_1", 1050, 1077),
        ("limit_high_3", 1030, 1097),
    ]


def test_a_restart_in_an_alarm_repeats_its_begin_and_still_ends_it() -> None:
    one = detect.build(manifest(point("a", ALARM)))
    assert told(one.feed(block(1000, np.full(5, 1.2)))) == [("limit_high_1", 1000, 0)]
    two = detect.build(manifest(point("a", ALARM)), {"active": one.active(), "learned": one.learned()})
    assert two.feed(block(1010, np.full(5, 1.2))) == []
    assert told(two.feed(block(1020, np.full(2, 0.5)))) == [("limit_high_1", 1000, 1020)]


def test_an_alarm_whose_limit_was_removed_from_the_configuration_ends() -> None:
    one = detect.build(manifest(point("a", ALARM)))
    one.feed(block(1000, np.full(5, 1.2)))
    two = detect.build(manifest(point("a")), {"active": one.active()})
    (event,) = two.feed(block(1010, np.full(2, 1.2)))
    assert event.end_us == 1011 * SECOND
    assert event.numbers["no_longer_configured"] == 1.0


def test_missing_samples_neither_raise_nor_clear_an_alarm() -> None:
    detector = detect.build(manifest(point("a", ALARM)))
    detector.feed(block(1000, np.full(5, 1.2)))
    assert detector.feed(block(1010, np.full(100, np.nan))) == []
    assert len(detector.active()) == 1


def test_a_steady_rise_is_told_before_any_limit() -> None:
    detector = detect.build(manifest(point("a", ALARM)))
    calm = np.full(300, 0.3)
    rising = np.round(0.3 + 0.1 / 60 * np.arange(240), 2)
    events = detector.feed(block(1000, calm)) + detector.feed(block(1300, rising))
    assert [e.rule for e in events] == ["rate"]
    assert events[0].numbers["per_min"] >= 0.05


def test_a_flat_coarse_channel_raises_nothing_in_twelve_hours() -> None:
    detector = detect.build(manifest(point("a", ALARM), point("b", ALARM)))
    events = []
    for hour in range(12):
        events += detector.feed(block(1000 + hour * HOUR_S, np.full(HOUR_S, 0.3), np.full(HOUR_S, 0.4)))
    assert events == []


def test_a_frozen_channel_is_a_sensor_fault_once_learned_and_ends_when_it_moves_again() -> None:
    detector = detect.build(manifest(*(point(n) for n in "abc")))
    rng = np.random.default_rng(1)
    events = []
    for hour in range(9):
        wave = 1.0 + 0.8 * np.sin((np.arange(HOUR_S) + hour * HOUR_S) / 400.0)
        noisy = [np.round(wave + rng.normal(0, 0.02, HOUR_S), 2) for _ in range(3)]
        if hour == 7:
            noisy[0] = np.full(HOUR_S, 1.0)
        events += [e for e in detector.feed(block(1000 + hour * HOUR_S, *noisy)) if e.rule == "sensor_fault"]
        if hour == 7:
            assert [(e.point, e.end_us, e.detector[:8]) for e in events] == [("a", 0, "stuck/1+")]
            assert "\u4f20\u611f\u5668\u6545\u969c" in events[0].text
            again = detect.build(manifest(*(point(n) for n in "abc")),
                                 {"active": detector.active(), "learned": detector.learned()})  # fmt: skip
    assert [(e.point, e.end_us > 0) for e in events[1:]] == [("a", True)]
    calm = [np.round(1 + 0.5 * np.sin(np.arange(HOUR_S) / 400.0) + rng.normal(0, 0.02, HOUR_S), 2) for _ in range(3)]
    ended = [e for e in again.feed(block(1000 + 8 * HOUR_S, *calm)) if e.rule == "sensor_fault"]
    assert [(e.point, e.begin_us, e.end_us > 0) for e in ended] == [("a", events[0].begin_us, True)]


def test_a_verdict_engine_that_breaks_takes_no_limit_alarm_along_and_is_on_record_until_the_restart() -> None:
    detector = detect.build(manifest(point("a", WARNING, ALARM)))
    detector._verdicts._number = {}  # whatever the bug: the engine cannot take a block any more
    first = detector.feed(block(1000, np.full(20, 1.2)))
    assert {"limit_high_1", "limit_high_3", "verdicts_off"} <= {e.rule for e in first}
    later = detector.feed(block(1020, np.full(20, 0.2)))
    assert {e.rule for e in later if e.end_us} >= {"limit_high_1", "limit_high_3"}
    assert "verdicts_off" not in {e.rule for e in later}, "said once"
    again = detect.build(manifest(point("a", WARNING, ALARM)), {"active": detector.active()})
    assert ("verdicts_off", True) in [(e.rule, bool(e.end_us)) for e in again.feed(block(1040, np.full(9, 0.2)))]
