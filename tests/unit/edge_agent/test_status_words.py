"""The gateway's page shows an enumeration's word beside its number."""

import pytest

from drivers import Signal
from edge_agent.status import word_of

STATE = Signal(id="state", quantity="state", unit="1", words={"0": "off", "1": "on", "-1": "fault"})


@pytest.mark.parametrize(
    ("value", "word"), [(0.0, "off"), (1.0, "on"), (-1.0, "fault"), (2.0, ""), (0.5, ""), (None, "")]
)
def test_a_number_has_the_word_of_its_profile_or_none(value: float | None, word: str) -> None:
    assert word_of(STATE, value) == word
