"""Patterns of printed lines, and the cutting of a stream into whole lines."""

import math
import random
import time

import pytest

from drivers import load_profile, profile_names
from drivers.ascii_line import judge_number
from drivers.line_pattern import GAP_S_MAX, LineFormat, Lines, checksum_of, compile_pattern, line_faults, match
from drivers.profile import Signal
from twin_wire.readings import Quality

PRINTERS = [name for name in profile_names() if load_profile(name).line]


def numbers(pattern: str, text: str) -> dict[str, str] | None:
    faults: list[tuple[str, str]] = []
    places = compile_pattern(pattern, faults)
    assert not faults
    found = match(places, text)
    return found.numbers if found else None


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("{w} kg", "   12.50   kg", {"w": "12.50"}),
        ("{w} kg", "12.50kg", None),
        ("{w}kg", "-0.5kg", {"w": "-0.5"}),
        ("{w} kg", "12.50 kg extra", None),
        ("{w} kg*", "12.50 kg extra", {"w": "12.50"}),
        ("*W:{w} kg", "ID 7 W: +1 kg", {"w": "+1"}),
        ("* kg {w} t", "a kg 5 t", {"w": "5"}),
        ("{a?},{b?};", ",3;", {"a": "", "b": "3"}),
        ("{a},{b};", ",3;", None),
        ("W{a:3}{b:4}T", "W12000.5T", {"a": "120", "b": "00.5"}),
        ("{a};", "1.2.3;", None),
        ("{a};", "1e5;", None),
        ("{a};", ".;", None),
        ("{a};", "1234567890123456789012345;", None),
        ("{a};", "٣;", None),  # Arabic digits are no number of ours
        ("{a},{status};", "5,00;", {"a": "5"}),
        ("{a},{status};", "5,;", None),
    ],
)
def test_a_pattern_takes_exactly_the_lines_it_describes(pattern: str, text: str, expected: dict | None) -> None:
    assert numbers(pattern, text) == expected


@pytest.mark.parametrize(
    "pattern", ["{a}{b}", "*{a};", "**x{a};", "{a", "a}{b};", "{a};{a};", "text", "{a:0};", "{a};*{b};"]
)
def test_a_pattern_that_could_be_read_two_ways_is_a_configuration_fault(pattern: str) -> None:
    faults: list[tuple[str, str]] = []
    compile_pattern(pattern, faults)
    assert faults


def test_a_profile_whose_pattern_and_signals_differ_is_told_every_difference() -> None:
    form = LineFormat(pattern="{a},{b};", status_good=("00",))
    assert [message for _, message in line_faults(form, "ascii-line", ["a", "c"])] == [
        "{b} is no signal of this profile",
        "lacks signal 'c'",
        "the pattern has no {status}",
    ]
    marked = LineFormat(pattern="{a};", start="°", charset="ascii")
    assert line_faults(marked, "ascii-line", ["a"]) == [("line.start", "holds what ascii has not")]
    assert line_faults(None, "ascii-line", ["a"])
    assert line_faults(form, "modbus", ["a", "b"])


@pytest.mark.parametrize("name", PRINTERS)
def test_the_lines_a_document_prints_give_the_values_it_means(name: str) -> None:
    profile = load_profile(name)
    assert profile.line is not None
    assert profile.line.example
    for example in profile.line.example:
        lines = Lines(profile.line)
        lines.feed(profile.line.terminator.encode(), 0.0)
        [(_, text)] = lines.feed((example.line + profile.line.terminator).encode(profile.line.charset), 0.0)
        found = match(compile_pattern(profile.line.pattern, []), text)
        assert found is not None
        assert not profile.line.status_good or found.status in profile.line.status_good
        for signal in profile.signals:
            value, quality = judge_number(signal, found.numbers[signal.id])
            expected = example.values[signal.id]
            assert (value == expected and quality == Quality.GOOD) or (math.isnan(value) and math.isnan(expected))


def test_a_sentinel_is_no_number_and_a_number_out_of_range_is_kept() -> None:
    signal = Signal(id="a", quantity="level", unit="m", decimals=2, type="i32", sentinels=(99999,), range=(0.0, 10.0))
    got = [judge_number(signal, digits) for digits in ("999.99", "10.01", "-0.01", "", "10.00")]
    assert [quality for _, quality in got] == [
        Quality.SENTINEL,
        Quality.OVER_RANGE,
        Quality.UNDER_RANGE,
        Quality.SENTINEL,
        Quality.GOOD,
    ]
    assert [value for value, _ in got][1:3] == [10.01, -0.01]


BARE = LineFormat(pattern="{w} kg", terminator="\r\n", length_max=32)


def bodies(form: LineFormat, *chunks: tuple[bytes, float]) -> tuple[list[str], Lines]:
    lines = Lines(form)
    return [text for data, time_s in chunks for _, text in lines.feed(data, time_s)], lines


def test_a_line_whose_beginning_was_not_heard_is_never_a_value() -> None:
    """12.50 kg with its first character cut is 2.50 kg: nothing in the line would tell."""
    assert bodies(BARE, (b"2.50 kg\r\n3.00 kg\r\n", 0.0))[0] == ["3.00 kg"]
    got, lines = bodies(BARE, (b"\r\n12", 0.0), (b".50 kg\r\n", GAP_S_MAX + 0.1), (b"3.00 kg\r\n", 1.0))
    assert got == ["3.00 kg"]
    assert lines.noise_bytes == len("12.50 kg")
    lines = Lines(BARE)
    lines.feed(b"\r\n1", 0.0)
    lines.reset()
    assert lines.feed(b"2.50 kg\r\n", 0.1) == []


def test_a_line_too_long_is_thrown_away_as_it_comes_and_the_next_one_counts() -> None:
    got, lines = bodies(BARE, (b"\r\n" + b"9" * 10_000, 0.0), (b"9 kg\r\n1.00 kg\r\n", 0.1))
    assert got == ["1.00 kg"]
    assert lines.noise_bytes == 10_000 + len("9 kg")
    got, lines = bodies(BARE, (b"\r\n" + b"0" * 30 + b" kg\r\n", 0.0))
    assert got == []


def test_binary_garbage_and_foreign_characters_are_counted_and_are_no_line() -> None:
    got, lines = bodies(BARE, (b"\r\n\xff\xfe\x00 kg\r\n1.\x0750 kg\r\n2.00 kg\r\n", 0.0))
    assert got == ["2.00 kg"]
    assert lines.noise_bytes == 6 + 8


SUMMED = LineFormat(pattern="{w} kg", terminator="\n", start="$", end="*", tail="#", checksum="sum", length_max=64)
XORED = LineFormat(pattern="{w} kg", terminator="\r", start="\x02", end="\x03", checksum="xor", length_max=64)


@pytest.mark.parametrize("form", [SUMMED, XORED])
def test_with_a_checksum_every_flipped_bit_and_every_cut_is_found(form: LineFormat) -> None:
    body = b"12.50 kg"
    digits = b"%02X" % checksum_of(form.checksum, body)
    line = form.start.encode() + body + form.end.encode() + digits + form.tail.encode()
    end = form.terminator.encode()
    assert bodies(form, (b"\x00\xffnoise" + line + end, 0.0))[0] == ["12.50 kg"]
    for place in range(len(line)):
        for bit in range(8):
            bent = bytearray(line)
            bent[place] ^= 1 << bit
            for text in bodies(form, (bytes(bent) + end, 0.0))[0]:
                assert text == "12.50 kg"  # the case of a hexadecimal digit, noise before the start
        assert bodies(form, (line[:place] + line[place + 1 :] + end, 0.0))[0] in ([], ["12.50 kg"])
    _, lines = bodies(form, (line.replace(b"12", b"13") + end, 0.0))
    assert lines.damaged == 1


def test_hostile_lines_cost_no_more_than_their_length() -> None:
    places = compile_pattern("*a*b*c{x};*", [])
    hostile = ["a" * 4096, "ab" * 2048, "abc" * 1365, "abc9" * 1024, "abc" + "9" * 4093, " " * 4096]
    begin_s = time.perf_counter()
    for _ in range(50):
        for text in hostile:
            match(places, text)
    assert time.perf_counter() - begin_s < 1.0


def test_no_stream_of_bytes_raises_or_fills_the_memory() -> None:
    random_ = random.Random(4)
    alphabet = [
        b"\r",
        b"\n",
        b"\x02",
        b"\x03",
        b"$",
        b"*",
        b"#",
        b"12.50 kg",
        b"Q,,",
        b"\xff",
        b"\xd6\xd0",
        b" ",
        b"00",
    ]
    for form in (BARE, SUMMED, XORED, LineFormat(pattern="{a}称;", charset="gbk", length_max=16)):
        lines, time_s = Lines(form), 0.0
        for _ in range(3_000):
            time_s += random_.choice((0.0, 0.01, 0.6))
            data = b"".join(random_.choices(alphabet, k=random_.randrange(12)))
            for raw, text in lines.feed(data, time_s):
                assert len(raw) <= form.length_max
                match(compile_pattern(form.pattern, []), text)
            assert len(lines._buffer) <= form.length_max
