"""Sentences become fixes, dated and with their spread; a sentence whose checksum does not hold becomes nothing."""

import calendar
import math
import random

import pytest

from drivers.nmea import time_of
from drivers.nmea_frames import DAY_S, SENTENCE_BYTES_MAX, Frame, Stream, date_of, degrees_of
from drivers.nmea_frames import time_of as time_in

GGA = b"$GPGGA,092750.000,5321.6802,N,00630.3372,W,1,8,1.03,61.7,M,55.2,M,,*76\r\n"
RMC = b"$GPRMC,092750.000,A,5321.6802,N,00630.3372,W,0.02,31.66,280511,,,A*43\r\n"
DAY = calendar.timegm((2026, 11, 24, 0, 0, 0)) // DAY_S


def sentence(text: str) -> bytes:
    value = 0
    for byte in text.encode():
        value ^= byte
    return f"${text}*{value:02X}\r\n".encode()


def gga(time: str, quality: int = 4, talker: str = "GN", latitude: str = "3604.1111") -> bytes:
    return sentence(f"{talker}GGA,{time},{latitude},N,12018.2222,E,{quality},17,0.6,31.25,M,8.1,M,1.0,0001")


def rmc(time: str, date: str = "241126", status: str = "A") -> bytes:
    return sentence(f"GNRMC,{time},{status},3604.1111,N,12018.2222,E,0.1,0.0,{date},,,A")


def gst(time: str, latitude_m: str = "0.012", longitude_m: str = "0.016") -> bytes:
    return sentence(f"GNGST,{time},1.0,0.02,0.01,45.0,{latitude_m},{longitude_m},0.03")


def fixes_of(data: bytes, step: int = 10_000) -> list[Frame]:
    stream = Stream()
    found = [frame for n in range(0, len(data), step) for frame in stream.feed(data[n : n + step], n * 1e-5)]
    return found + stream.feed(b"", 1e9)


def test_a_printed_example_gives_its_place() -> None:
    [fix] = fixes_of(GGA)
    assert fix.latitude_deg == pytest.approx(53 + 21.6802 / 60, abs=1e-9)
    assert fix.longitude_deg == pytest.approx(-(6 + 30.3372 / 60), abs=1e-9)
    assert (fix.height_m, fix.rtk, fix.satellites, fix.hdop) == (61.7, 0, 8, 1.03)
    assert fix.time_s == 9 * 3600 + 27 * 60 + 50
    assert fix.day is None
    assert math.isnan(fix.sigma_m)


@pytest.mark.parametrize(
    ("quality", "rtk"), [(1, 0), (2, 1), (3, 0), (4, 3), (5, 2), (0, -1), (6, -1), (7, -1), (8, -1)]
)
def test_the_quality_of_a_fix_is_told_and_what_no_satellite_gave_is_no_fix(quality: int, rtk: int) -> None:
    [fix] = fixes_of(gga("120000.00", quality))
    assert fix.rtk == rtk
    assert fix.rows == (rtk >= 0)


@pytest.mark.parametrize("talker", ["GN", "GP", "BD", "GB", "GA", "GL"])
def test_any_talker_is_heard(talker: str) -> None:
    assert len(fixes_of(gga("120000.00", talker=talker))) == 1


def test_sentences_of_one_second_belong_together_in_any_order_and_however_cut() -> None:
    one, other = rmc("115959.80") + gga("115959.80") + gst("115959.80"), gga("120000.00") + gst("120000.00", "3", "4")
    for step in (10_000, 1, 7, 50):
        first, second = fixes_of(one + other, step)
        assert first.sigma_m == pytest.approx(0.02)
        assert second.sigma_m == pytest.approx(5.0)
        assert first.day == second.day == DAY


def test_a_spread_of_another_second_is_not_taken() -> None:
    [fix] = fixes_of(gst("115959.00") + gga("120000.00") + gst("120000.00", "", ""))
    assert math.isnan(fix.sigma_m)


def test_the_date_changes_at_midnight_whichever_sentence_comes_first() -> None:
    late, early = fixes_of(rmc("235959.50") + gga("235959.50") + gga("000000.50") + rmc("000000.50", "251126"))
    assert (late.day, early.day) == (DAY, DAY + 1)
    [before] = fixes_of(rmc("000000.10", "251126") + gga("235959.90"))
    assert before.day == DAY


def test_a_date_that_is_none_or_of_a_counter_that_ran_over_is_not_taken() -> None:
    assert date_of("241126") == DAY
    for text in ("000000", "310226", "241107", "2411", "24a126", "", "٢٤١١٢٦"):
        assert date_of(text) is None


def test_the_time_is_the_receivers_unless_the_clocks_are_an_hour_apart() -> None:
    fix = fixes_of(rmc("120000.25") + gga("120000.25"))[0]
    utc_us = (DAY * DAY_S + 43_200) * 1_000_000 + 250_000
    assert time_of(fix, utc_us + 700_000) == utc_us
    assert time_of(fix, utc_us - 3_600_000_000) == utc_us
    assert time_of(fix, utc_us + 3_600_000_001) == utc_us + 3_600_000_001
    undated = fix._replace(day=None, time_s=DAY_S - 0.5)
    midnight_us = DAY * DAY_S * 1_000_000
    assert time_of(undated, midnight_us + 100_000) == midnight_us - 500_000


def test_one_turned_bit_loses_the_sentence() -> None:
    line = gga("120000.00")
    for place in range(8 * (len(line) - 2)):
        damaged = bytearray(line)
        damaged[place // 8] ^= 1 << place % 8
        # A digit of the checksum in small letters is the same digit: its bit 5 means nothing.
        same = place // 8 in (len(line) - 4, len(line) - 3) and damaged.lower() == line.lower()
        assert len(fixes_of(bytes(damaged))) == same, place


@pytest.mark.parametrize(
    "text",
    [
        "GNGGA,120000.00,9104.1111,N,12018.2222,E,4,17,0.6,31.25,M,8.1,M,,",
        "GNGGA,120000.00,3660.0000,N,12018.2222,E,4,17,0.6,31.25,M,8.1,M,,",
        "GNGGA,120000.00,3604.1111,X,12018.2222,E,4,17,0.6,31.25,M,8.1,M,,",
        "GNGGA,250000.00,3604.1111,N,12018.2222,E,4,17,0.6,31.25,M,8.1,M,,",
        "GNGGA,120000.00,nan,N,12018.2222,E,4,17,0.6,31.25,M,8.1,M,,",
        "GNGGA,120000.00,1e1,N,12018.2222,E,4,17,0.6,31.25,M,8.1,M,,",
        "GNGGA,120000.00,3604.1111,N,12018.2222,E,44,17,0.6,31.25,M,8.1,M,,",
        "GNGGA,120000.00,3604.1111,N",
    ],
)
def test_a_field_that_cannot_be_is_no_fix(text: str) -> None:
    stream = Stream()
    assert stream.feed(sentence(text), 0.0) + stream.feed(b"", 9.0) == []
    assert stream.damaged == 1


def test_a_receiver_without_sky_is_alive() -> None:
    [frame] = fixes_of(sentence("GNGGA,,,,,,0,00,99.99,,,,,,"))
    assert frame.rows == 0


def test_sentences_of_others_and_noise_lie_between() -> None:
    noise = b"\x00$GNGGA,12\xff\n$PUBX,00,1*20\r\n" + sentence("GNGSA,A,3,01,,,1.0,0.6,0.8") + b"AT$$"
    stream = Stream()
    assert stream.feed(noise + gga("120000.00"), 0.0) == []
    assert len(stream.feed(b"", 0.3)) == 1


def test_a_fix_waits_for_its_spread_as_long_as_the_receiver_goes_on_printing() -> None:
    stream = Stream()
    assert stream.feed(gga("120000.00"), 5.0) == []
    assert stream.due_s == pytest.approx(5.1)
    assert stream.feed(b"$GPGSV,", 5.08) == []
    assert stream.feed(b"", 5.17) == []
    [fix] = stream.feed(b"", 5.2)
    assert math.isnan(fix.sigma_m)
    assert stream.due_s == math.inf


def test_the_buffer_stays_bounded_on_garbage() -> None:
    stream, rng = Stream(), random.Random(4)
    for number in range(200):
        stream.feed(rng.randbytes(500), number * 0.01)
        assert len(stream._buffer) <= SENTENCE_BYTES_MAX
    stream.feed(b"$" * 100_000, 3.0)
    assert len(stream._buffer) <= SENTENCE_BYTES_MAX


def test_degrees_and_times_at_their_edges() -> None:
    assert degrees_of("9000.0000", "S", "N", "S") == -90
    assert degrees_of("18000.0", "E", "E", "W") == 180
    assert math.isnan(degrees_of("9000.0001", "N", "N", "S"))
    assert time_in("235960.5") == 86_400.5
    assert time_in("12000") is None
