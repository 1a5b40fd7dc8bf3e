"""The life of an alarm (ISA-18.2) as a pure function of the words heard about it, in whatever order they came."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from twin_server.store.rows import LATE_US, Acknowledgement, StoredBatch, StoredEvent
from twin_wire.frame import RETURNED_UNACKNOWLEDGED, UNACKNOWLEDGED
from twin_wire.readings import Event

Series = tuple[str, str, str]  # (gateway, point, rule)

SERIES_MAX = 20_000  # (gateway, point, rule) in memory; the store keeps the rest, which only a hostile gateway makes
DELAY_S_MAX = 86_400.0
SERVER = "server/1"  # detector of what only the server can see


class Alarm(msgspec.Struct, frozen=True):
    """One alarm as people see it; times in µs, 0 for not yet; `late` = told long after it began."""

    id: str
    gateway: str
    point: str
    rule: str
    severity: int
    state: str  # unacked, acked, rtn_unacked, normal
    begin_us: int
    end_us: int
    received_us: int
    late: bool
    acked_us: int
    acked_by: str
    note: str
    text: str
    detector: str
    numbers: dict[str, float]
    index: int


class Book(NamedTuple):
    """All conditions and acknowledgements of one enterprise; never changed in place."""

    words: Mapping[Series, tuple[StoredEvent, ...]]  # rising begin_us; per begin_us the word of greatest (epoch, seq)
    acks: Mapping[tuple[Series, int], Acknowledgement]


def empty() -> Book:
    """Return the book with nothing in it."""
    return Book({}, {})


def alarm_id(gateway: str, point: str, rule: str, begin_us: int) -> str:
    """Return the opaque identity of an alarm, the same wherever and whenever it is computed (16 hex digits)."""
    return hashlib.sha256("\0".join((gateway, point, rule, str(begin_us))).encode()).hexdigest()[:16]


def word(event: Event, entry: StoredBatch) -> StoredEvent:
    """Return an event of a batch as a word about a condition, with the log entry that carried it."""
    return StoredEvent(
        entry.gateway, event.point, event.rule, event.begin_us, event.end_us, event.severity, event.detector,
        dict(event.numbers), event.text, entry.epoch, entry.seq, entry.index, entry.received_us, entry.received_us,
    )  # fmt: skip


def merge(held: StoredEvent | None, new: StoredEvent) -> StoredEvent:
    """Join two words about one condition: the later by (epoch, seq) speaks, the first receipt stays."""
    if held is None:
        return new
    newest = new if (new.epoch, new.seq) >= (held.epoch, held.seq) else held
    return newest._replace(received_us=min(held.received_us, new.received_us))


def put(book: Book, words: Iterable[StoredEvent]) -> tuple[Book, list[Alarm]]:
    """Take words into the book; return it with every alarm that is new or looks different."""
    touched: dict[Series, dict[int, StoredEvent]] = {}
    for new in words:
        key = (new.gateway, new.point, new.rule)
        if key not in book.words and len(book.words) + len(touched) >= SERIES_MAX and new.detector != SERVER:
            continue
        series = touched.setdefault(key, {held.begin_us: held for held in book.words.get(key, ())})
        series[new.begin_us] = merge(series.get(new.begin_us), new)
    changed = {key: tuple(series[begin] for begin in sorted(series)) for key, series in touched.items()}
    after = Book({**book.words, **changed}, book.acks)
    return after, _differences(book, after, changed)


def acknowledge(book: Book, ack: Acknowledgement) -> tuple[Book, list[Alarm]]:
    """Take an acknowledgement into the book; of several the most urgent, then the first, counts."""
    series = (ack.gateway, ack.point, ack.rule)
    held = book.acks.get((series, ack.begin_us))
    kept = ack if held is None else min(held, ack, key=lambda a: (a.severity, a.at_us, a.by, a.note))
    after = book._replace(acks={**book.acks, (series, ack.begin_us): kept})
    return after, _differences(book, after, [series])


def alarms(book: Book, active: bool = False) -> list[Alarm]:
    """Return all alarms, newest begin first; `active` leaves out those that are normal again."""
    found = [alarm for series in book.words for alarm in _series(book, series)]
    if active:
        found = [alarm for alarm in found if alarm.state != "normal"]
    return sorted(found, key=lambda alarm: (-alarm.begin_us, alarm.id))


def find(book: Book, identity: str) -> Alarm | None:
    """Return the alarm with this identity."""
    return next((alarm for alarm in alarms(book) if alarm.id == identity), None)


def counts(book: Book) -> dict[str, int]:
    """Return how many alarms stand per severity, those that returned to normal unacknowledged included."""
    found = {str(severity): 0 for severity in range(1, 5)}
    for alarm in alarms(book, active=True):
        found[str(alarm.severity)] += 1
    return found


def codes(
    book: Book, row_of: Mapping[tuple[str, str], int], size: int, as_of_us: int | None = None
) -> NDArray[np.uint8]:
    """Return the frame's alarm byte per row; `as_of_us` asks for the state that was true then (replay)."""
    active = np.full(size, 8, np.uint8)  # most urgent severity per row, 8 for none
    returned = np.full(size, 8, np.uint8)
    flags = np.zeros(size, np.uint8)
    for series in book.words:
        row = row_of.get(series[:2])
        if row is None:
            continue
        for alarm in _series(book, series):
            state = alarm.state if as_of_us is None else _state_at(alarm, as_of_us)
            if state in ("unacked", "acked"):
                active[row] = min(active[row], alarm.severity)
                flags[row] |= UNACKNOWLEDGED if state == "unacked" else 0
            elif state == "rtn_unacked":
                returned[row] = min(returned[row], alarm.severity)
                flags[row] |= RETURNED_UNACKNOWLEDGED
    severity = np.where(active < 8, active, returned)
    return np.where(severity < 8, severity | flags, 0).astype(np.uint8)


def prune(book: Book, before_us: int) -> Book:
    """Forget what has been normal and began before `before_us`; the store still has it."""
    words = {}
    for series, held in book.words.items():
        keep = {alarm.begin_us for alarm in _series(book, series) if alarm.state != "normal"}
        first = min(keep | {before_us})
        left = tuple(word for word in held if word.begin_us >= first)
        if left:
            words[series] = left
    begins = {(series, word.begin_us) for series, held in words.items() for word in held}
    return Book(words, {key: ack for key, ack in book.acks.items() if key in begins})


def _differences(before: Book, after: Book, touched: Iterable[Series]) -> list[Alarm]:
    found = []
    for series in touched:
        known = {alarm.id: alarm for alarm in _series(before, series)}
        found += [alarm for alarm in _series(after, series) if known.get(alarm.id) != alarm]
    return found


def _series(book: Book, series: Series) -> list[Alarm]:
    """The alarms of one (gateway, point, rule): conditions that overlap are one alarm, begun with the first."""
    return [
        _alarm(first, whole, book.acks.get((series, first))) for first, whole in _episodes(book.words.get(series, ()))
    ]


def _episodes(words: tuple[StoredEvent, ...]) -> Iterator[tuple[int, StoredEvent]]:
    """A begin for a condition still active is an update of it; severity 0 is for the record only."""
    episode: StoredEvent | None = None
    first = 0
    for word in words:
        if not word.severity:
            continue
        if episode is not None and (episode.end_us == 0 or word.begin_us < episode.end_us):
            episode = _joined(episode, word)
            continue
        if episode is not None:
            yield first, episode
        episode, first = word, word.begin_us
    if episode is not None:
        yield first, episode


def _joined(episode: StoredEvent, word: StoredEvent) -> StoredEvent:
    """A new epoch's word replaces what the old one left open; within an epoch whatever is open keeps it open."""
    if word.epoch > episode.epoch and episode.end_us == 0:
        end_us = word.end_us
    else:
        end_us = 0 if 0 in (episode.end_us, word.end_us) else max(episode.end_us, word.end_us)
    return merge(episode, word)._replace(begin_us=word.begin_us, end_us=end_us)


def _alarm(begin_us: int, word: StoredEvent, ack: Acknowledgement | None) -> Alarm:
    late = is_late(begin_us, word)
    if ack is not None and ack.severity > word.severity:
        ack = None  # it has become more urgent than what was acknowledged
    # Told late and over by then: nobody could act on it, so nothing asks for an acknowledgement.
    told_after = late and 0 < word.end_us <= word.received_us
    settled = ack is not None or told_after
    names = ("acked", "unacked") if word.end_us == 0 else ("normal", "rtn_unacked")
    return Alarm(
        alarm_id(word.gateway, word.point, word.rule, begin_us), word.gateway, word.point, word.rule, word.severity,
        names[0] if settled else names[1], begin_us, word.end_us, word.received_us, late,
        ack.at_us if ack else 0, ack.by if ack else "", ack.note if ack else "",
        word.text, word.detector, dict(word.numbers), word.index,
    )  # fmt: skip


def is_late(begin_us: int, word: StoredEvent) -> bool:
    """Tell whether a condition reached us long after it began; the rule's own delay does not count."""
    if word.detector == SERVER:
        return False
    delay_s = word.numbers.get("delay_s", 0.0)
    delay_us = int(delay_s * 1e6) if 0.0 <= delay_s <= DELAY_S_MAX else 0  # NaN is neither
    return word.received_us - begin_us > LATE_US + delay_us


def _state_at(alarm: Alarm, as_of_us: int) -> str:
    if alarm.begin_us > as_of_us:
        return "normal"
    acked = 0 < alarm.acked_us <= as_of_us or (alarm.acked_us == 0 and alarm.state in ("acked", "normal"))
    if alarm.end_us == 0 or alarm.end_us > as_of_us:
        return "acked" if acked else "unacked"
    return "normal" if acked else "rtn_unacked"
