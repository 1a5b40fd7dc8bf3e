"""The conditions that hold now: one per (point, rule), begun and ended once, kept over a restart with their begin."""

from collections.abc import Iterable, Mapping
from typing import Any

from twin_wire.manifest import Limit
from twin_wire.readings import Event


def rule_of(limit: Limit) -> str:
    """Return the rule's name: a point may have a warning and an alarm of one kind, told apart by severity."""
    return f"limit_{limit.kind}_{limit.severity}"


class Conditions:
    """Active conditions of one gateway; a begin of an active one is an update with the same begin."""

    def __init__(self) -> None:
        self._active: dict[tuple[str, str], Event] = {}

    def begin(self, event: Event) -> Event:
        """Return the event to send: as given, or with the begin of the condition already active."""
        known = self._active.get((event.point, event.rule))
        if known is not None:
            event = event._replace(begin_us=known.begin_us)
        self._active[event.point, event.rule] = event
        return event

    def end(self, point: str, rule: str, end_us: int, numbers: Mapping[str, float]) -> Event | None:
        """Return the ending event, or None when no such condition is active."""
        event = self._active.pop((point, rule), None)
        return event and event._replace(end_us=max(end_us, event.begin_us + 1), numbers={**event.numbers, **numbers})

    def find(self, point: str, rule: str) -> Event | None:
        """Return the active condition, or None."""
        return self._active.get((point, rule))

    def dump(self) -> list[dict[str, Any]]:
        """Return the active conditions as JSON-able documents."""
        return [{**e._asdict(), "numbers": dict(e.numbers)} for e in self._active.values()]

    def load(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Take back what dump() gave; later begins of these keep their begin_us."""
        for document in documents:
            event = Event(**document)
            self._active[event.point, event.rule] = event
