"""What records of a KJ host are worth, and every fault of a receiver's list by its name."""

import math

import pytest

from drivers import kj_host, load_profile
from drivers.kj_host import FAULTS, Host, Row, Wanted
from drivers.kj_judge import judge, quality_of
from drivers.kj_records import DIALECTS, Definition, Reading, Style, read_file, read_name
from tests.support.kj_files import CH4, CO, FAN, MINE, defined, definitions, name, person, reading, text
from twin_wire.readings import Quality

NOW = 1_780_000_000.0
PERIOD_S = 30.0
PROFILE, PEOPLE = load_profile("kj-host"), load_profile("kj-people")
STYLE = Style(DIALECTS["mt-1201"], "utf-8")


def wanted(point: str, signal: str) -> Wanted:
    known = PROFILE.signal(signal) or PEOPLE.signal(signal)
    assert known is not None
    return Wanted(point, known, PERIOD_S)


def host(*pairs: tuple[str, str], units: dict[str, str] | None = None, by_file_time: bool = False) -> Host:
    pairs = pairs or (("ch4", f"ch4:{CH4}"), ("co", f"co:{CO}"))
    return Host([wanted(*pair) for pair in pairs], units or {}, by_file_time, ())


def take(one: Host, kind: str, content: str, time_s: float, now_s: float | None = None) -> list[Row] | None:
    known = read_name(name(kind, time_s), STYLE.dialect)
    assert known is not None
    now_us = round((time_s if now_s is None else now_s) * 1e6)
    return one.take(read_file(content.encode(), known, STYLE, now_us), now_us)


def define(one: Host, *records: str) -> None:
    records = records or (defined(CH4, "0001", "%CH4"), defined(CO, "0004", "ppm", high="500"))
    take(one, "CDDY", definitions(NOW - 100, *records), NOW - 100)


def both(time_s: float, ch4: str = "0.42", co: str = "6", state: str = "0") -> str:
    return text(time_s, reading(CH4, ch4, time_s, state), reading(CO, co, time_s, unit="ppm", kind="一氧化碳"))


def rows(one: Host, content: str, time_s: float = NOW, kind: str = "CDSS") -> dict[str, tuple[float, Quality]]:
    return {row.point: (row.value, row.quality) for row in take(one, kind, content, time_s) or []}


def test_a_defined_point_gives_its_value_at_the_hosts_time() -> None:
    one = host()
    define(one)
    assert take(one, "CDSS", both(NOW), NOW) == [
        Row("ch4", round(NOW * 1e6), 0.42, Quality.GOOD, late=False),
        Row("co", round(NOW * 1e6), 6.0, Quality.GOOD, late=False),
    ]
    assert not one.faults


@pytest.mark.parametrize(
    ("state", "quality"),
    [
        (0, Quality.GOOD),
        (1, Quality.GOOD),
        (3, Quality.GOOD),
        (4, Quality.CALIBRATING),
        (4 + 8 + 1, Quality.CALIBRATING),
        (8, Quality.OVER_RANGE),
        (16, Quality.DEVICE_FAULT),
        (32, Quality.NO_ANSWER),
        (64, Quality.NO_ANSWER),
        (128, Quality.DEVICE_FAULT),
        (128 + 4, Quality.DEVICE_FAULT),
        (64 + 8, Quality.NO_ANSWER),
        (255, Quality.DEVICE_FAULT),
    ],
)
def test_state_bits_are_a_set_and_the_worst_one_wins(state: int, quality: Quality) -> None:
    assert quality_of(state) == quality
    one = host(("ch4", f"ch4:{CH4}"), ("bits", f"state:{CH4}"))
    define(one)
    got = rows(one, text(NOW, reading(CH4, "0.42", NOW, str(state))))
    assert got["bits"] == (float(state), Quality.GOOD)
    assert got["ch4"][1] == quality
    assert math.isnan(got["ch4"][0]) == (quality >= Quality.BAD)


DEFINED = Definition(CH4, 1, "%CH4", 4.0, 0.0, "", "")


@pytest.mark.parametrize(
    ("signal", "value", "unit", "state", "definition", "expected"),
    [
        (f"ch4:{CH4}", "0.42", "%CH4", 0, DEFINED, (0.42, Quality.GOOD, "")),
        (f"ch4:{CH4}", "0.42", "", 0, DEFINED, (0.42, Quality.GOOD, "")),
        (f"ch4:{CH4}", "0.42", "%", 0, DEFINED, (0.42, Quality.GOOD, "")),
        (f"ch4:{CH4}", "0.42", "%CH4", 0, None, (0.42, Quality.UNCERTAIN, "undefined")),
        (f"ch4:{CH4}", "0.42", "ppm", 0, DEFINED, (None, Quality.DEVICE_FAULT, "unit")),
        (f"ch4:{CH4}", "0.42", "", 0, None, (None, Quality.DEVICE_FAULT, "unit")),
        (f"ch4:{CH4}", "0.42", "furlong", 0, None, (None, Quality.DEVICE_FAULT, "unit")),
        (f"ch4:{CH4}", "4.01", "%CH4", 0, DEFINED, (4.01, Quality.OVER_RANGE, "range")),
        (f"ch4:{CH4}", "-0.1", "%CH4", 0, DEFINED, (-0.1, Quality.UNDER_RANGE, "range")),
        (f"ch4:{CH4}", "断线", "%CH4", 0, DEFINED, (None, Quality.BAD, "value")),
        (f"ch4:{CH4}", "1e3", "%CH4", 0, DEFINED, (None, Quality.BAD, "value")),
        (f"ch4:{CH4}", "0.42", "%CH4", 512, DEFINED, (0.42, Quality.UNCERTAIN, "state")),
        (f"co:{CH4}", "0.0024", "%", 0, None, (24.0, Quality.UNCERTAIN, "undefined")),
        (f"co:{CH4}", "0.42", "%CH4", 0, DEFINED, (None, Quality.DEVICE_FAULT, "type")),
        (f"local_fan:{CH4}", "开", "", 0, Definition(CH4, 1001, "", None, None, "开", "停"), (1.0, Quality.GOOD, "")),
        (f"local_fan:{CH4}", "停", "", 0, Definition(CH4, 1001, "", None, None, "开", "停"), (0.0, Quality.GOOD, "")),
        (f"local_fan:{CH4}", "开", "", 0, None, (None, Quality.BAD, "value")),
        (f"local_fan:{CH4}", "1", "", 0, Definition(CH4, 1001, "", None, None, "", ""), (1.0, Quality.GOOD, "")),
    ],
)
def test_a_value_counts_as_far_as_its_record_and_its_definition_agree(
    signal: str, value: str, unit: str, state: int, definition: Definition | None, expected: tuple
) -> None:
    verdict = judge(wanted("p", signal).signal, Reading(CH4, value, unit, state, 0), definition, {})
    number, quality, fault = expected
    assert (verdict.quality, verdict.fault) == (quality, fault)
    assert math.isnan(verdict.value) if number is None else verdict.value == number


def test_a_site_may_teach_a_spelling_of_its_host() -> None:
    one = host(("ch4", f"ch4:{CH4}"), units={"％": "%"})
    assert rows(one, text(NOW, reading(CH4, "0.42", NOW, unit="％")))["ch4"][0] == 0.42


def test_nothing_is_counted_twice_and_nothing_old_is_the_present() -> None:
    one = host(("ch4", f"ch4:{CH4}"))
    define(one, defined(CH4, "0001", "%CH4"))
    at = [NOW + PERIOD_S * n for n in range(4)]
    contents = [text(t, reading(CH4, f"0.{n}", t)) for n, t in enumerate(at)]
    assert [row.late for row in take(one, "CDSS", contents[0], at[0]) or []] == [False]
    assert [row.late for row in take(one, "CDSS", contents[2], at[2]) or []] == [False]
    assert one.faults == {"missing": 1}
    [late] = take(one, "CDSS", contents[1], at[1], now_s=at[2]) or []
    assert late == Row("ch4", round(at[1] * 1e6), 0.1, Quality.GOOD, late=True)
    assert one.faults == {"missing": 1, "late": 1}
    same_time = text(at[3], reading(CH4, "0.9", at[2]))
    assert take(one, "CDSS", same_time, at[3]) == []


def test_a_point_whose_time_stands_still_is_no_answer_after_ten_periods() -> None:
    one = host(("ch4", f"ch4:{CH4}"))
    define(one, defined(CH4, "0001", "%CH4"))
    last: list[Row] = []
    for n in range(12):
        last = take(one, "CDSS", text(NOW + n * PERIOD_S, reading(CH4, "0.4", NOW)), NOW + n * PERIOD_S) or []
    assert [row.quality for row in last] == [Quality.NO_ANSWER]
    assert one.faults["stalled"] == 1
    by_file = host(("ch4", f"ch4:{CH4}"), by_file_time=True)
    got = [take(by_file, "CDSS", text(NOW + n, reading(CH4, "0.4", NOW)), NOW + n) or [] for n in range(2)]
    assert [row.time_us for rows_ in got for row in rows_] == [round(NOW * 1e6), round((NOW + 1) * 1e6)]


def test_a_point_missing_from_a_file_is_a_gap_at_that_time_and_a_strange_file_is_none() -> None:
    one = host()
    define(one)
    got = rows(one, text(NOW, reading(CH4, "0.42", NOW)))
    assert got["ch4"] == (0.42, Quality.GOOD)
    assert got["co"][1] == Quality.NO_ANSWER
    assert one.faults == {"absent": 1}
    assert take(one, "CDSS", text(NOW + 30, reading(f"{MINE}x", "1", NOW + 30)), NOW + 30) is None
    assert one.faults["stranger"] == 1


def test_one_code_twice_is_used_only_where_both_say_the_same() -> None:
    for other, quality in (("0.42", Quality.GOOD), ("0.43", Quality.DEVICE_FAULT)):
        one = host(("ch4", f"ch4:{CH4}"))
        define(one, defined(CH4, "0001", "%CH4"))
        got = rows(one, text(NOW, reading(CH4, "0.42", NOW), reading(CH4, other, NOW)))
        assert got["ch4"][1] == quality
        assert one.faults == {"duplicate": 1}


def test_a_changed_or_contradictory_definition_is_named_and_rules_from_then_on() -> None:
    one = host(("ch4", f"ch4:{CH4}"))
    define(one, defined(CH4, "0001", "%CH4"))
    assert one.redefined
    take(one, "CDDY", definitions(NOW, defined(CH4, "0004", "ppm")), NOW)
    assert one.faults == {"redefined": 1, "type": 1}
    assert one.told["ch4"].startswith("type")
    assert rows(one, text(NOW, reading(CH4, "0.42", NOW)))["ch4"][1] == Quality.DEVICE_FAULT
    twice = definitions(NOW + 1, defined(CH4, "0001", "%CH4"), defined(CH4, "0001", "ppm"))
    take(one, "CDDY", twice, NOW + 1)
    assert one.faults["duplicate"] == 1
    assert CH4 not in one.definitions


def test_a_host_far_behind_makes_its_newest_values_unsure_of_their_time() -> None:
    one = host(("ch4", f"ch4:{CH4}"))
    define(one, defined(CH4, "0001", "%CH4"))
    [row] = take(one, "CDSS", text(NOW, reading(CH4, "0.42", NOW)), NOW, now_s=NOW + 301) or []
    assert (row.value, row.quality) == (0.42, Quality.CLOCK_UNSURE)
    assert one.faults == {"clock": 1}


def test_a_host_whose_clock_was_set_back_is_watched_again_after_three_files() -> None:
    one = host(("ch4", f"ch4:{CH4}"))
    define(one, defined(CH4, "0001", "%CH4"))
    take(one, "CDSS", text(NOW, reading(CH4, "0.4", NOW)), NOW)
    late = []
    for n in range(1, 6):
        back = NOW - 3600 + n * PERIOD_S
        [row] = take(one, "CDSS", text(back, reading(CH4, "1.6", back)), back, now_s=NOW + n * PERIOD_S) or []
        late.append((row.late, row.quality))
    assert late == [(True, Quality.GOOD)] * 3 + [(False, Quality.CLOCK_UNSURE)] * 2
    assert one.faults["clock"] == 3
    assert one.faults["late"] == 3


def test_old_files_sent_again_beside_new_ones_stay_history() -> None:
    one = host(("ch4", f"ch4:{CH4}"))
    define(one, defined(CH4, "0001", "%CH4"))
    for n in range(8):
        for at in (NOW + n * PERIOD_S, NOW - 3600 + n * PERIOD_S):
            now_s = NOW + n * PERIOD_S
            [row] = take(one, "CDSS", text(at, reading(CH4, "0.4", at)), at, now_s) or []
            assert row.late == (at < now_s)


def test_people_are_counted_by_card_and_area_and_only_those_inside() -> None:
    one = host(("all", "headcount"), ("area", f"area_headcount:{MINE}0002"))
    area = f"{MINE}0002"
    content = text(
        NOW,
        person(f"{MINE}00001", "s1", NOW),
        person(f"{MINE}00002", "s1", NOW - 60, area=area),
        person(f"{MINE}00002", "s2", NOW, area=area, who="李四"),
        person(f"{MINE}00003", "s1", NOW, flag="2"),
    )
    assert rows(one, content, kind="RYSS") == {"all": (2.0, Quality.GOOD), "area": (1.0, Quality.GOOD)}
    assert one.faults == {"duplicate": 1, "renamed_card": 1}
    assert one.snapshot is not None
    assert [(p.card[-1], p.station) for p in one.snapshot.persons] == [("1", "s1"), ("2", "s2")]
    assert "张三" not in repr(vars(one))
    take(one, "RYSS", text(NOW - 300, person(f"{MINE}00001", "s9", NOW - 300)), NOW - 300, now_s=NOW)
    assert one.snapshot.time_us == round(NOW * 1e6)


def test_cards_that_never_come_again_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kj_host, "CARDS_MAX", 3)
    one = host(("all", "headcount"))
    for n in range(20):
        at = NOW + n * PERIOD_S
        take(one, "RYSS", text(at, person(f"{MINE}0001", "s1", at), person(f"{MINE}9{n:03}", "s1", at)), at)
    assert len(one._name_marks) <= 3
    at = NOW + 20 * PERIOD_S
    take(one, "RYSS", text(at, person(f"{MINE}0001", "s1", at, who="李四")), at)
    assert one.faults["renamed_card"] == 1, "a card that goes on coming is still known"


def test_switches_and_substations_come_as_their_numbers() -> None:
    one = host(("fan", f"local_fan:{FAN}"), ("run", f"substation:{MINE}001"), ("power", f"substation_power:{MINE}001"))
    define(one, defined(FAN, "1001", "", "", "", "开;停"))
    assert rows(one, text(NOW, reading(FAN, "开", NOW, unit="")))["fan"] == (1.0, Quality.GOOD)
    got = rows(one, text(NOW, f"{MINE}001;0;2;2026-05-28 15:06:40"), kind="FZSS")
    assert got == {"run": (0.0, Quality.GOOD), "power": (2.0, Quality.GOOD)}


def test_every_fault_has_a_name_a_person_understands() -> None:
    assert all(name_ == name_.lower() and text_ for name_, text_ in FAULTS.items())
