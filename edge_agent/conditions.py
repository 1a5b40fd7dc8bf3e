"""What holds of the gateway itself and its devices: begun once, ended once, the same after a restart."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twin_wire.readings import Event


class OwnConditions:
    """Conditions the agent itself finds; events for the record (with an end) pass through."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._active: dict[tuple[str, str], Event] = {}

    def begin(self, event: Event) -> None:
        """Emit an event unless its condition is active already."""
        if not event.end_us:
            if (event.point, event.rule) in self._active:
                return
            self._active[event.point, event.rule] = event
        self._emit(event)

    def end(self, point: str, rule: str, numbers: Mapping[str, float], now_us: int) -> None:
        """Emit the end of an active condition; nothing if it is not active."""
        event = self._active.pop((point, rule), None)
        if event is not None:
            self._emit(event._replace(end_us=max(now_us, event.begin_us + 1), numbers={**event.numbers, **numbers}))

    def down_since(self) -> dict[str, int]:
        """Return when the devices that are down went down, µs."""
        return {point: e.begin_us for (point, rule), e in self._active.items() if rule == "device_down"}

    def end_strangers(self, devices: Iterable[str], links: Iterable[str], now_us: int) -> None:
        """End conditions of what is no longer configured, and those that begin anew if they still hold."""
        known = set(devices)
        for point, rule in list(self._active):
            if (rule == "device_down" and point not in known) or rule in ("link_error", "device_config", "poll_paused"):
                self.end(point, rule, {"no_longer_configured": float(point not in {*known, *links})}, now_us)

    def active(self) -> list[dict[str, Any]]:
        """Return the active conditions as JSON-able documents."""
        return [{**e._asdict(), "numbers": dict(e.numbers)} for e in self._active.values()]

    def restore(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Take back what `active` gave."""
        for document in documents:
            event = Event(**document)
            self._active[event.point, event.rule] = event


def pack(watched: list[dict[str, Any]], own: list[dict[str, Any]]) -> bytes:
    """Return what is stored in the transaction of every batch."""
    return json.dumps({"watched": watched, "own": own}, separators=(",", ":")).encode()


def unpack(data: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return (conditions of the detectors, of the agent) as stored with the last batch."""
    found = json.loads(data) if data else {}
    return found.get("watched", []), found.get("own", [])
