"""One rule for identifiers and names."""

import pytest

from twin_wire.ids import is_id, is_name


@pytest.mark.parametrize("text", ["a", "gw-1", "CH4_1.T0:x", "0", "x" * 64])
def test_identifiers_are_plain(text: str) -> None:
    assert is_id(text)


@pytest.mark.parametrize(
    "text", ["", "-a", "a b", "a/b", "矿", "a\n", "x" * 65, "'; drop table", "<script>", "..", "a+b"]
)
def test_what_could_mean_something_elsewhere_is_no_identifier(text: str) -> None:
    assert not is_id(text)


def test_names_are_for_people() -> None:
    assert is_name("1号风井 <north> 'wing'")
    assert is_name("")
    assert not is_name("x" * 121)
    assert not is_name("two\nlines")
    assert not is_name("bell\a")
