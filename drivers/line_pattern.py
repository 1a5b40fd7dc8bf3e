"""Lines that instruments print, by pattern: bytes in, numbers out; no I/O, and no line can make it slow.

A pattern is literal text with `{signal}` where a number stands, `{signal?}` where it may be missing, `{signal:3}` for
one of exactly three characters, `{status}` for a word, and `*` for anything up to the literal text behind it. A space
stands for one or more spaces. It is walked once from left to right and never back, so the work is that of reading the
line: there are no regular expressions here.
"""

import re
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

Faults = list[tuple[str, str]]

LINE_BYTES_MAX = 4096
NUMBER_CHARS_MAX = 24
WORD_CHARS_MAX = 16
GAP_S_MAX = 0.5  # a device does not pause within a line: what follows is another line's end
STATUS = "status"
BLANKS = " \t"
_PLACE = re.compile(r"\{([A-Za-z0-9_.\-]{1,64})(\?|:[1-9][0-9]?)?\}")
_DIGITS = frozenset("0123456789")

Text = Annotated[str, Meta(max_length=16)]


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line as a document prints it, without the terminator, and the values it gives; nan for a missing one."""

    line: str
    values: dict[str, float]


class LineFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How an instrument prints: start, body (the pattern), end, checksum (two hex digits), tail, terminator."""

    pattern: Annotated[str, Meta(min_length=1, max_length=1024)]
    terminator: Literal["\r\n", "\n", "\r"] = "\r\n"
    charset: Literal["ascii", "latin-1", "gbk", "utf-8"] = "ascii"
    start: Text = ""
    end: Text = ""
    tail: Text = ""
    checksum: Literal["none", "xor", "sum"] = "none"  # over the bytes of the body
    status_good: tuple[str, ...] = ()  # words of {status} with which the numbers count
    length_max: Annotated[int, Meta(ge=8, le=LINE_BYTES_MAX)] = 256  # bytes, terminator included
    baud: Annotated[int, Meta(ge=300, le=4_000_000)] = 9600  # as the maker delivers it
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1
    example: tuple[Example, ...] = ()


class Place(NamedTuple):
    """One part of a pattern."""

    kind: Literal["text", "number", "word", "any"]
    text: str  # the literal, or the signal
    optional: bool = False
    width: int = 0  # of a number: exactly so many characters; 0 as many as belong to it


class Matched(NamedTuple):
    """What one line says: the digits of each signal ("" where the instrument leaves one out), and the status word."""

    numbers: dict[str, str]
    status: str


def compile_pattern(pattern: str, faults: Faults) -> tuple[Place, ...]:
    """Return the parts of a pattern; what is wrong with it is added to `faults` as (path, message)."""
    places: list[Place] = []
    at = 0
    while at < len(pattern):
        found = _PLACE.match(pattern, at)
        if found:
            name, more = found[1], found[2] or ""
            kind: Literal["number", "word"] = "word" if name == STATUS else "number"
            places.append(Place(kind, name, more == "?", int(more[1:]) if more.startswith(":") else 0))
            at = found.end()
        elif pattern[at] == "*":
            places.append(Place("any", "*"))
            at += 1
        elif pattern[at] in "{}":
            faults.append(
                ("pattern", f"{pattern[at : at + 20]!r} is no place: write {{signal}}, {{signal?}}, {{signal:3}}")
            )
            return ()
        else:
            end = min((p for p in (pattern.find(sign, at) for sign in "{}*") if p >= 0), default=len(pattern))
            places.append(Place("text", pattern[at:end]))
            at = end
    names = [place.text for place in places if place.kind in ("number", "word")]
    faults += [("pattern", f"{{{name}}} is there twice") for name in sorted({n for n in names if names.count(n) > 1})]
    for place, after in pairwise(places):
        if place.kind == "any" and after.kind != "text":
            faults.append(("pattern", "* needs literal text behind it: it would not be known where it ends"))
        elif place.kind in ("number", "word") and not place.width and after.kind != "text":
            faults.append(("pattern", f"{{{place.text}}} needs literal text behind it, or a width: {{{place.text}:4}}"))
    if not any(place.kind == "number" for place in places):
        faults.append(("pattern", "has no {signal}"))
    return tuple(places)


def signals_of(places: tuple[Place, ...]) -> list[str]:
    """Return the signals a pattern gives."""
    return [place.text for place in places if place.kind == "number"]


def line_faults(form: LineFormat | None, protocol: str, signals: list[str]) -> Faults:
    """Return (path, message) of every fault of a profile's `[line]`."""
    if (form is None) == (protocol == "ascii-line"):
        return [("line", "missing" if form is None else f"is not for protocol {protocol!r}")]
    if form is None:
        return []
    found: Faults = []
    places = compile_pattern(form.pattern, found)
    printed = signals_of(places)
    found += [("pattern", f"{{{name}}} is no signal of this profile") for name in printed if name not in signals]
    found += [("pattern", f"lacks signal {name!r}") for name in signals if places and name not in printed]
    found += [
        (field, f"holds what {form.charset} has not")
        for field in ("start", "end", "tail")
        if not _has(form.charset, getattr(form, field))
    ]
    if form.status_good and not any(place.kind == "word" for place in places):
        found.append(("status_good", "the pattern has no {status}"))
    return [(f"line.{field}", message) for field, message in found]


def _has(charset: str, text: str) -> bool:
    try:
        text.encode(charset)
    except UnicodeEncodeError:
        return False
    return True


def match(places: tuple[Place, ...], text: str) -> Matched | None:
    """Return what a line says, None if it is not of this pattern; one pass, no way back."""
    numbers: dict[str, str] = {}
    status, at = "", 0
    for number, place in enumerate(places):
        if place.kind == "text":
            at = _skip(place.text, text, at)
        elif place.kind == "any":
            if number + 1 == len(places):
                return Matched(numbers, status)
            at = text.find((places[number + 1].text.split() or [" "])[0], at)
        elif place.kind == "word":
            end = at
            while end < len(text) and end - at < WORD_CHARS_MAX and text[end].isascii() and text[end].isalnum():
                end += 1
            status, at = text[at:end], end if end > at else -1
        else:
            at = _number(place, text, at, numbers)
        if at < 0:
            return None
    return Matched(numbers, status) if not text[at:].strip(BLANKS) else None


def _skip(literal: str, text: str, at: int) -> int:
    """Return the place behind `literal`, -1 if it does not stand there; a space matches one or more."""
    for sign in literal:
        if sign == " ":
            # They may have been taken already, by the number or the * before.
            if text[at : at + 1] not in (" ", "\t") and (at == 0 or text[at - 1] not in BLANKS):
                return -1
            while at < len(text) and text[at] in BLANKS:
                at += 1
        elif at < len(text) and text[at] == sign:
            at += 1
        else:
            return -1
    return at


def _number(place: Place, text: str, at: int, numbers: dict[str, str]) -> int:
    """Put the digits at `at` into `numbers` and return the place behind them, -1 if no number stands there."""
    end = at + place.width
    if place.width:
        word = text[at:end].strip(BLANKS)
        if end > len(text) or (word and _digits_end(word, 0) != len(word)):
            return -1
    else:
        while at < len(text) and text[at] in BLANKS:
            at += 1
        end = _digits_end(text, at)
        word = text[at:end] if end > 0 else ""
        end = max(end, at)
    if not word and not place.optional:
        return -1
    numbers[place.text] = word
    return end


def _digits_end(text: str, at: int) -> int:
    """Return the end of `[+-]digits[.digits]` at `at`, -1 if there is none or it is absurdly long."""
    end = at + (text[at : at + 1] in ("+", "-"))
    begin, dots = end, 0
    while end < len(text) and (text[end] in _DIGITS or (text[end] == "." and not dots)):
        dots += text[end] == "."
        end += 1
    digits = end - begin - dots
    return end if digits > 0 and end - at <= NUMBER_CHARS_MAX else -1


def checksum_of(kind: str, body: bytes) -> int:
    """Return the checksum of a body: all bytes xored, or their sum modulo 256."""
    total = 0
    for byte in body:
        total = total ^ byte if kind == "xor" else total + byte & 0xFF
    return total


class Lines:
    """Cuts a stream of bytes into whole, undamaged lines of one format; counts what it throws away."""

    def __init__(self, form: LineFormat) -> None:
        self.noise_bytes = 0  # binary garbage, half lines, lines too long
        self.damaged = 0  # lines whose checksum is wrong or missing
        self._form = form
        self._terminator = form.terminator.encode()
        self._ends = tuple(text.encode(form.charset) for text in (form.start, form.end, form.tail))
        self._buffer = bytearray()
        self._whole = bool(form.start)  # the next line begins where we hear it begin
        self._last_s = 0.0

    def reset(self) -> None:
        """Forget what was heard: the stream was interrupted, so the next line may lack its beginning."""
        self.noise_bytes += len(self._buffer)
        self._buffer.clear()
        self._whole = bool(self._form.start)

    def feed(self, data: bytes, time_s: float) -> list[tuple[bytes, str]]:
        """Return (line as heard, text of its body) of every line that ends in `data`, heard at `time_s`."""
        if self._buffer and time_s - self._last_s > GAP_S_MAX:
            self.reset()
        self._last_s = time_s
        self._buffer += data
        lines: list[tuple[bytes, str]] = []
        while True:
            end = self._buffer.find(self._terminator)
            if end < 0:
                break
            line = bytes(self._buffer[:end])
            del self._buffer[: end + len(self._terminator)]
            body = self._body(line) if self._whole and len(line) <= self._form.length_max else None
            self._whole = True
            if body is None:
                self.noise_bytes += len(line)
            else:
                lines.append((line, body))
        if len(self._buffer) > self._form.length_max:
            self._lose(len(self._buffer) - 1)  # the last byte may be half a terminator
        return lines

    def _lose(self, size: int) -> None:
        self.noise_bytes += size
        del self._buffer[:size]
        self._whole = False

    def _body(self, line: bytes) -> str | None:
        """Return the text between start and end, None if the line is empty, damaged or not text."""
        form, (start, end, tail) = self._form, self._ends
        line, at = line.strip(b"\r\n"), 0
        if not line:
            return None
        if start:
            # With a checksum noise before the start cannot do harm; without one the line has to begin with it.
            at = line.rfind(start) if form.checksum != "none" else 0 if line.startswith(start) else -1
            if at < 0:
                return None
            line = line[at + len(start) :]
        if not line.endswith(tail):
            return None
        line = line[: len(line) - len(tail)]
        if form.checksum != "none":
            line, digits = line[:-2], line[-2:]
            if not line.endswith(end) or not _is_sum(digits, checksum_of(form.checksum, line[: len(line) - len(end)])):
                self.damaged += 1
                return None
        elif not line.endswith(end):
            return None
        try:
            text = line[: len(line) - len(end)].decode(form.charset)
        except UnicodeDecodeError:
            return None
        if not text.replace("\t", " ").isprintable():
            return None
        self.noise_bytes += at  # what came before the start
        return text


def _is_sum(digits: bytes, wanted: int) -> bool:
    return digits.upper() == b"%02X" % wanted
