"""Events inside a body: eight fields, each within its limits."""

import pytest

from twin_wire.errors import FormatError
from twin_wire.events import EVENTS_MAX, plain_events, read_events
from twin_wire.readings import Event

EVENT = Event("limit_high", 2, "ch4-1", 5, 0, "limits/1", {"value": 1.25}, "methane above the limit")
PLAIN: list[object] = ["limit_high", 2, "ch4-1", 5, 0, "limits/1", {"value": 1.25}, "methane above the limit"]


def test_an_event_is_eight_fields() -> None:
    assert plain_events((EVENT,)) == [PLAIN]
    assert read_events([PLAIN]) == (EVENT,)


def test_numbers_are_floats_even_when_whole() -> None:
    plain = plain_events((EVENT._replace(numbers={"n": 3}),))
    assert isinstance(plain[0], list)
    assert repr(plain[0][6]) == "{'n': 3.0}"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (0, 5),
        (0, "x" * 65),
        (1, 5),
        (1, -1),
        (1, True),
        (2, None),
        (3, -1),
        (3, 1.0),
        (4, 2**53),
        (5, b"x"),
        (6, {"n": 3}),
        (6, {1: 1.0}),
        (6, {f"n{at}": 1.0 for at in range(33)}),
        (6, []),
        (7, "x" * 501),
        (7, 1),
    ],
)
def test_a_field_outside_its_limits_is_refused(field: int, value: object) -> None:
    broken = list(PLAIN)
    broken[field] = value
    with pytest.raises(FormatError):
        read_events([broken])


@pytest.mark.parametrize("item", [[], None, {}, [PLAIN[:7]], [[*PLAIN, 0]], [PLAIN] * (EVENTS_MAX + 1), ["abcdefgh"]])
def test_what_is_not_a_list_of_events_is_refused(item: object) -> None:
    with pytest.raises(FormatError):
        read_events(item)
