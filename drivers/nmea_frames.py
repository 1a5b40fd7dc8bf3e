"""NMEA 0183 sentences of a satellite receiver out of a stream of bytes: GGA, RMC and GST of one second become a fix.

`$` talker (two letters: GN, GP, BD, GB …) type `,` fields `*` two hexadecimal digits: the exclusive or of all
characters between `$` and `*`; a sentence without it is not taken. Sentences with the same time belong together.
"""

import calendar
import math
import re
from typing import NamedTuple

SENTENCE_BYTES_MAX = 120  # the standard says 82, RTK receivers with more digits go beyond
EPOCH_S = 0.1  # sentences of one second follow each other within this
DAY_S = 86_400
YEAR_FIRST = 2020  # a date before is that of a receiver without one, or with a week counter that ran over
RTK_OF_QUALITY = {1: 0, 2: 1, 3: 0, 4: 3, 5: 2}  # GGA field 6; 0 none, 6 dead reckoning, 7 typed in, 8 simulated
_SENTENCE = re.compile(rb"\$([A-Z][A-Z0-9]{2,9}),([\x20-\x23\x25-\x29\x2b-\x7e]*)\*([0-9A-Fa-f]{2})")
_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,12})?")
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d)([0-5]\d|60)(\.\d{1,6})?", re.ASCII)


class Frame(NamedTuple):
    """One fix; `raw` are its sentences, angles in degrees, lengths in m, NaN where nothing is said."""

    raw: bytes
    time_s: float  # of the UTC day
    day: int | None  # days since 1970, None while no sentence told the date
    latitude_deg: float
    longitude_deg: float
    height_m: float
    sigma_m: float
    rtk: int
    satellites: float
    hdop: float

    @property
    def rows(self) -> int:
        """Return 1 if it is a fix, 0 if the receiver has none."""
        return int(self.rtk >= 0)


class Stream:
    """Finds fixes in bytes as they come; a fix is given when the next second begins or nothing more follows."""

    def __init__(self, _char_s: float = 0.0) -> None:
        self.noise_bytes = 0  # belonged to no sentence
        self.damaged = 0  # looked like a sentence, and its checksum or a field was wrong
        self.due_s = math.inf
        self._buffer = bytearray()
        self._pending: Frame | None = None
        self._sigma: tuple[float, float] | None = None  # (time of day, m)
        self._date: tuple[float, int] | None = None  # (time of day, days since 1970)

    def reset(self) -> None:
        """Forget what came: a new connection begins."""
        self._buffer.clear()
        self._pending, self._sigma, self._date, self.due_s = None, None, None, math.inf

    def feed(self, data: bytes, now_s: float) -> list[Frame]:
        """Take bytes that came at `now_s`; return the fixes they, or the time that passed, complete."""
        done = self._complete() if now_s >= self.due_s else []
        self._buffer += data
        *lines, rest = self._buffer.split(b"\n")
        if len(rest) > SENTENCE_BYTES_MAX:
            self.noise_bytes += len(rest)
            rest = bytearray()
        self._buffer = bytearray(rest)
        if data and self._pending is not None:
            self.due_s = now_s + EPOCH_S
        for line in lines:
            sentence = _SENTENCE.search(line)
            if sentence is None or sentence.end() < len(line.rstrip(b"\r")):
                self.noise_bytes += len(line) + 1
                self.damaged += b"$" in line
                continue
            self.noise_bytes += sentence.start()
            if checksum(sentence[0][1:-3]) != int(sentence[3], 16) or not self._take(sentence, now_s, done):
                self.damaged += 1
        return done

    def _take(self, sentence: re.Match[bytes], now_s: float, done: list[Frame]) -> bool:
        """Take a whole sentence; return whether its fields are those of its type."""
        address, fields = sentence[1].decode("ascii"), sentence[2].decode("ascii").split(",")
        kind = address[2:]
        if address[0] == "P" or kind not in ("GGA", "RMC", "GST"):  # P: a maker's own
            return True
        if not fields[0]:  # a receiver that has no time yet
            if kind == "GGA":
                done += self._complete()
                done.append(_without_fix(sentence[0]))
            return True
        time_s = time_of(fields[0])
        if time_s is None:
            return False
        if self._pending is not None and self._pending.time_s != time_s:
            done += self._complete()
        if kind == "RMC":
            day = date_of(fields[8]) if len(fields) > 8 else None
            self._date = self._date if day is None else (time_s, day)
            return len(fields) > 8 and (day is not None or fields[8] == "" or fields[1] == "V")
        if kind == "GST":
            sigma_m = _sigma(fields)
            self._sigma = None if sigma_m is None else (time_s, sigma_m)
            return sigma_m is not None
        frame = _gga(sentence[0], time_s, fields)
        if frame is None:
            return False
        done += self._complete()  # two GGA of one time: a receiver that prints them for two talkers
        self._pending, self.due_s = frame, now_s + EPOCH_S
        return True

    def _complete(self) -> list[Frame]:
        frame, self._pending, self.due_s = self._pending, None, math.inf
        if frame is None:
            return []
        if self._sigma is not None and self._sigma[0] == frame.time_s:
            frame = frame._replace(sigma_m=self._sigma[1])
        if self._date is not None:
            time_s, day = self._date
            frame = frame._replace(day=day + round((time_s - frame.time_s) / DAY_S))  # midnight lies between them
        return [frame]


def checksum(data: bytes) -> int:
    """Return the exclusive or of all bytes."""
    value = 0
    for byte in data:
        value ^= byte
    return value


def time_of(text: str) -> float | None:
    """Return hhmmss.sss as seconds of the day, None if it is not that."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    return int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3]) + float(found[4] or 0)


def date_of(text: str) -> int | None:
    """Return ddmmyy of this century as days since 1970; None if there is no such day, or it is before 2020."""
    if len(text) != 6 or not text.isascii() or not text.isdigit():
        return None
    day, month, year = int(text[:2]), int(text[2:4]), 2000 + int(text[4:])
    if year < YEAR_FIRST or not 1 <= month <= 12 or not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    return calendar.timegm((year, month, day, 0, 0, 0)) // DAY_S


def number_of(text: str) -> float:
    """Return a decimal number, NaN if the text is none."""
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def degrees_of(text: str, side: str, positive: str, negative: str) -> float:
    """Return [d]ddmm.mmmm and its side of the world as degrees, NaN if it is not that."""
    value = number_of(text)
    if math.isnan(value) or value < 0 or side not in (positive, negative) or value % 100 >= 60:
        return math.nan
    degrees = value // 100 + value % 100 / 60
    if degrees > (90 if positive == "N" else 180):
        return math.nan
    return degrees if side == positive else -degrees


def _gga(raw: bytes, time_s: float, fields: list[str]) -> Frame | None:
    """Return the fix of a GGA sentence, one with rtk -1 if the receiver has none, None if a field is not right."""
    if len(fields) < 9 or not fields[5].isdigit() or len(fields[5]) > 1:
        return None
    rtk = RTK_OF_QUALITY.get(int(fields[5]), -1)
    latitude = degrees_of(fields[1], fields[2], "N", "S")
    longitude = degrees_of(fields[3], fields[4], "E", "W")
    if rtk >= 0 and math.isnan(latitude + longitude):
        return None
    height_m = number_of(fields[8])
    satellites, hdop = number_of(fields[6]), number_of(fields[7])
    return Frame(raw, time_s, None, latitude, longitude, height_m, math.nan, rtk, satellites, hdop)


def _without_fix(raw: bytes) -> Frame:
    nan = math.nan
    return Frame(raw, nan, None, nan, nan, nan, nan, -1, 0.0, nan)


def _sigma(fields: list[str]) -> float | None:
    """Return the horizontal deviation of a GST sentence (of latitude and longitude together), None without one."""
    if len(fields) < 7:
        return None
    sigma_m = math.hypot(number_of(fields[5]), number_of(fields[6]))
    return sigma_m if sigma_m > 0 else math.nan
