"""The grammar of a KJ host's files, their dialects, and what makes a receiver refuse one."""

import random

import pytest

from drivers.kj_records import (
    DIALECTS,
    Definition,
    HostFile,
    Person,
    Reading,
    Station,
    Style,
    is_passed_over,
    is_whole,
    read_file,
    read_name,
)
from tests.support.kj_files import CH4, CO, FAN, MINE, defined, definitions, name, person, reading, text
from twin_wire.errors import FormatError

NOW = 1_780_000_000.0
COAL = Style(DIALECTS["mt-1201"], "utf-8")
GBK = Style(DIALECTS["mt-1201"], "gb18030")
NON_COAL = Style(DIALECTS["non-coal"], "utf-8")


def parse(content: str | bytes, kind: str = "CDSS", style: Style = COAL, time_s: float = NOW) -> HostFile:
    known = read_name(name(kind, time_s), style.dialect)
    assert known is not None
    return read_file(content if isinstance(content, bytes) else content.encode(), known, style, round(NOW * 1e6))


def refused(content: str | bytes, kind: str = "CDSS", style: Style = COAL) -> str:
    with pytest.raises(FormatError) as caught:
        parse(content, kind, style)
    return caught.value.faults[0][0]


GOOD = text(NOW, reading(CH4, "0.42", NOW - 3), reading(CO, "6", NOW, "3", "ppm", "一氧化碳"))


def test_the_fields_of_every_type_come_out_in_their_places() -> None:
    file = parse(GOOD)
    assert (file.time_us, file.bad) == (round(NOW * 1e6), 0)
    assert file.records == [
        Reading(CH4, "0.42", "%CH4", 0, round((NOW - 3) * 1e6)),
        Reading(CO, "6", "ppm", 3, round(NOW * 1e6)),
    ]
    [definition] = parse(definitions(NOW, defined(FAN, "1001", "", "", "", "开;停")), "CDDY").records
    assert definition == Definition(FAN, 1001, "", None, None, "开", "停", "1101工作面")
    [station] = parse(text(NOW, f"{MINE}001;2;1;2026-05-28 15:06:40"), "FZSS").records
    assert station == Station(f"{MINE}001", 2, 1, 1_779_952_000_000_000)
    [seen] = parse(text(NOW, person(f"{MINE}00042", f"{MINE}0001000007", NOW)), "RYSS").records
    assert isinstance(seen, Person)
    assert (seen.card, seen.inside, seen.area) == (f"{MINE}00042", True, f"{MINE}0001")
    assert seen.station == f"{MINE}0001000007"


@pytest.mark.parametrize(
    ("content", "style"),
    [
        ("\ufeff" + GOOD, COAL),
        (GOOD.replace("~", "~\r\n") + "\r\n\0", COAL),
        (GOOD.encode("gbk"), GBK),
    ],
)
def test_byte_order_marks_line_breaks_and_gbk_change_nothing(content: str | bytes, style: Style) -> None:
    assert parse(content, style=style).records == parse(GOOD).records


def test_the_non_coal_variant_has_marks_and_names_of_its_own() -> None:
    out = person(f"{MINE}00042", f"{MINE}0001000007", NOW, out="xxxx-xx-xx xx:xx:xx")
    content = text(NOW, out, end="^", last="]]]")
    assert len(parse(content, "NRYSS", NON_COAL).records) == 1
    assert read_name(name("RYSS", NOW), NON_COAL.dialect) is None
    assert read_name(name("NRYSS", NOW), COAL.dialect) is None
    assert not is_whole(content.encode(), COAL)


@pytest.mark.parametrize("mine", ["1" * 12, "1" * 18, "150622B0012000200092"])
def test_a_mine_code_has_no_fixed_length(mine: str) -> None:
    file = read_name(name("CDSS", NOW, mine), COAL.dialect)
    assert file is not None
    assert file.mine == mine


def test_names_that_are_none_and_names_that_hold_no_readings_are_told_apart() -> None:
    assert read_name("../CDSS_20260101000000.txt", COAL.dialect) is None
    assert read_name(f"{MINE}_CDSS_20260101000000.txt.tmp", COAL.dialect) is None
    assert is_passed_over(f"{MINE}_YCBJ_20260101000000.txt")
    assert not is_passed_over("readme.txt")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (GOOD[:-2], "incomplete"),
        (GOOD[: len(GOOD) // 2], "incomplete"),
        (GOOD.encode("gbk"), "charset"),
        (GOOD.replace("示范", "示；"), "charset"),
        (GOOD.replace(MINE, "999999999999", 1), "mine"),
        (GOOD.replace(";示范煤矿", "", 1), "header"),
        (GOOD[:-2] + "||" + GOOD, "header"),
        ("||", "header"),
        (text(NOW + 301, reading(CH4, "1", NOW)), "future"),
        (text(NOW, reading(CH4, "1", NOW), "x;y", reading(CO, "1", NOW), reading(FAN, "1", NOW)), "too_many_bad"),
        (text(NOW, reading(CH4, "1", NOW) + ";", reading(CO, "1", NOW)), "too_many_bad"),
    ],
)
def test_a_file_is_refused_whole_and_the_refusal_has_a_name(content: str | bytes, fault: str) -> None:
    assert refused(content) == fault


def test_one_bad_record_in_six_costs_itself_alone() -> None:
    good = [reading(f"{MINE}{number}", "1", NOW) for number in range(5)]
    for bad in ("x", "a;b;c;d;e;f;g", reading(CH4, "1", NOW, "-1"), reading(CH4, "1", NOW).replace(":", "："),
                reading(CH4, "1", NOW + 400), reading("a b", "1", NOW), "y" * 600 + ";1;1;1;1;0;1"):  # fmt: skip
        file = parse(text(NOW, *good, bad))
        assert (len(file.records), file.bad) == (5, 1)


def test_no_name_of_a_person_is_in_what_comes_out() -> None:
    first, again, other = (
        parse(text(NOW, person(f"{MINE}00001", "s", NOW, who=who)), "RYSS") for who in ("张三丰", "张三丰", "李四")
    )
    assert "张三丰" not in repr(first)
    assert first.records == again.records
    assert first.records != other.records


def test_bent_bytes_give_a_format_error_or_records_and_nothing_else() -> None:
    random_ = random.Random(7)
    whole = text(NOW, *[reading(CH4, "0.42", NOW - n) for n in range(6)]).encode()
    parts = [
        b"~",
        b";",
        b"||",
        b"\xef\xbb\xbf",
        b"\r\n",
        "；".encode(),
        b"\xff",
        b"9" * 40,
        b"0",
        b"-",
        whole[:40],
        b"\0",
    ]
    refusals = 0
    for _ in range(3_000):
        data = bytearray(whole)
        for _ in range(random_.randrange(1, 4)):
            at = random_.randrange(len(data))
            data[at : at + random_.choice((0, 1, 5))] = random_.choice(parts)
        for kind in ("CDSS", "CDDY", "RYSS", "FZSS"):
            try:
                parse(bytes(data), kind)
            except FormatError as error:
                refusals += bool(error.faults)
    assert refusals > 1_000
