"""Each line fault does to a frame what its name says, and the same seed does the same again."""

import pytest

from hardware_sim.faults import KINDS, FaultPlan, Rule, Sent
from hardware_sim.modbus import crc, rtu_frame
from twin_wire.errors import ConfigError

REQUEST = bytes.fromhex("01 03 00 08 00 02 45 C9")
ANSWER = bytes.fromhex("03 04 00 00 00 D1")
WHOLE = bytes.fromhex("01 03 04 00 00 00 D1 3A 6F")


def bent(rule: Rule, unit: int = 1, times: int = 1, seed: str = "s") -> list[Sent]:
    plan = FaultPlan(seed)
    plan.add(rule)
    return [plan.disturb(rtu_frame, REQUEST, unit, ANSWER, 0, float(n)) for n in range(times)]


def test_without_a_fault_the_answer_is_whole() -> None:
    assert FaultPlan("s").disturb(rtu_frame, REQUEST, 1, ANSWER, 0, 0.0) == Sent(0.0, WHOLE, "")


def test_what_each_fault_does() -> None:
    assert bent(Rule("silence")) == [Sent(0.0, b"", "silence")]
    assert bent(Rule("late", amount=0.45)) == [Sent(0.45, WHOLE, "late")]
    assert bent(Rule("echo"))[0].data == REQUEST + WHOLE
    assert len(bent(Rule("drop"))[0].data) == len(WHOLE) - 1
    cut = bent(Rule("truncate"))[0].data
    assert WHOLE.startswith(cut)
    assert 0 < len(cut) < len(WHOLE)
    noisy = bent(Rule("noise"))[0].data
    assert noisy.endswith(WHOLE)
    assert 1 <= len(noisy) - len(WHOLE) <= 4
    flipped = bent(Rule("flip"))[0].data
    assert sum((a ^ b).bit_count() for a, b in zip(flipped, WHOLE, strict=True)) == 1


def test_a_wrong_unit_or_function_comes_in_a_frame_that_is_right() -> None:
    for kind, place in (("wrong_unit", 0), ("wrong_function", 1)):
        data = bent(Rule(kind))[0].data  # type: ignore[arg-type]
        assert crc(data[:-2]) == data[-2:]
        assert data[place] != WHOLE[place]
        assert data[2:-2] == WHOLE[2:-2]


def test_a_hanging_device_is_silent_for_its_time_and_no_other_with_it() -> None:
    sent = bent(Rule("hang", amount=3.0, times=1), times=5)
    assert [s.fault for s in sent] == ["hang", "hang", "hang", "", ""]
    plan = FaultPlan("s")
    plan.add(Rule("hang", unit=1, amount=9.0))
    plan.disturb(rtu_frame, REQUEST, 1, ANSWER, 0, 0.0)
    assert plan.disturb(rtu_frame, REQUEST, 2, ANSWER, 0, 1.0).fault == ""


def test_a_fault_happens_as_often_as_asked() -> None:
    assert [s.fault for s in bent(Rule("silence", times=2), times=4)] == ["silence", "silence", "", ""]
    often = [s.fault for s in bent(Rule("flip", probability=0.25), times=2000)]
    assert 0.21 < often.count("flip") / len(often) < 0.29


def test_a_fault_of_one_unit_leaves_the_others_alone() -> None:
    assert bent(Rule("silence", unit=2), unit=1)[0].fault == ""
    assert bent(Rule("silence", unit=2), unit=2)[0].fault == "silence"


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_bends_frames_the_same_way(kind: str) -> None:
    rule = Rule(kind, probability=0.5)  # type: ignore[arg-type]
    assert bent(rule, times=40, seed="a") == bent(rule, times=40, seed="a")
    assert bent(rule, times=40, seed="a") != bent(rule, times=40, seed="b")


@pytest.mark.parametrize("rule", [Rule("melt"), Rule("late", amount=-1.0), Rule("flip", probability=1.5)])  # type: ignore[arg-type]
def test_a_rule_that_is_none_is_refused(rule: Rule) -> None:
    with pytest.raises(ConfigError):
        FaultPlan("s").add(rule)
