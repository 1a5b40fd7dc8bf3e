"""Free text that goes on record holds no name; a method has a word."""

import pytest
from aiohttp import web

from twin_server.people import check_nameless, method_name
from twin_server.store.rows import Person
from twin_wire.readings import Method

DIRECTORY = [Person("t1", "Zhang Wei", "", {}, 0), Person("t2", "欧阳小明", "", {}, 0), Person("t3", "X", "", {}, 0)]


@pytest.mark.parametrize("text", ["call ZHANG WEI", "zhang wei", "找欧阳小明", "Straße, Zhang Wei!"])
def test_a_name_in_a_reason_is_refused(text: str) -> None:
    with pytest.raises(web.HTTPBadRequest) as refused:
        check_nameless("reason", text, DIRECTORY)
    assert (refused.value.text or "").startswith("reason: ")
    assert "Wei" not in (refused.value.text or "")


@pytest.mark.parametrize("text", ["", "roof fall at the heading", "Zhang alone", "X marks it"])
def test_other_words_pass(text: str) -> None:
    check_nameless("reason", text, DIRECTORY)


def test_methods_have_names_and_an_unknown_one_is_none() -> None:
    assert [method_name(each) for each in (*Method, 77)] == [
        "none",
        "nearest_anchor",
        "ranges_projected",
        "device",
        "ranges_plane",
        "signal_strength",
        "reader",
        "satellite",
        "satellite_rtk",
        "none",
    ]
