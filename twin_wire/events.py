"""Events inside a data body: arrays of eight fields."""

from twin_wire.errors import FormatError
from twin_wire.readings import Event
from twin_wire.streams import TIME_US_MAX, read_whole, read_word

EVENTS_MAX = 1_024
NUMBERS_MAX = 32
TEXT_CHARS_MAX = 500


def plain_events(events: tuple[Event, ...]) -> list[object]:
    """Return events as arrays; a text longer than TEXT_CHARS_MAX is cut, for it is for people."""
    assert len(events) <= EVENTS_MAX
    return [
        [
            *event[:6],
            {name: float(number) for name, number in event.numbers.items()},
            event.text[:TEXT_CHARS_MAX],
        ]
        for event in events
    ]


def read_events(item: object) -> tuple[Event, ...]:
    """Return the events of a body; FormatError for anything that is not one."""
    if not isinstance(item, list) or not 0 < len(item) <= EVENTS_MAX:
        raise FormatError(f"body: events are not an array of 1 to {EVENTS_MAX}")
    return tuple(map(_event, item))


def _event(item: object) -> Event:
    if not isinstance(item, list) or len(item) != 8:
        raise FormatError("body: an event has 8 fields")
    rule, severity, point, begin_us, end_us, detector, numbers, text = item
    if not isinstance(text, str) or len(text) > TEXT_CHARS_MAX:
        raise FormatError(f"body: an event's text is not a text of at most {TEXT_CHARS_MAX} characters")
    if not isinstance(numbers, dict) or len(numbers) > NUMBERS_MAX:
        raise FormatError(f"body: an event's numbers are not a map of at most {NUMBERS_MAX}")
    if not all(isinstance(number, float) for number in numbers.values()):
        raise FormatError("body: an event's numbers are floats")
    return Event(
        read_word(rule),
        read_whole(severity, 4),
        read_word(point),
        read_whole(begin_us, TIME_US_MAX),
        read_whole(end_us, TIME_US_MAX),
        read_word(detector),
        {read_word(name): number for name, number in numbers.items()},
        text,
    )
