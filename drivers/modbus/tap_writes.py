"""What another master writes to devices, as events for the record: once per place and minute, however often it does."""

from collections.abc import Mapping

import msgspec

from drivers.modbus.tap import Written
from twin_wire.readings import Event

AGAIN_US = 60_000_000
PLACES_MAX = 256  # more are told without being remembered one by one
RULE, DETECTOR = "bus_write", "tap/1"
WHAT = {5: "coil", 6: "register", 15: "coils", 16: "registers", 22: "bits of register", 23: "registers"}


class _Place(msgspec.Struct):
    newest: Written
    first_us: int
    last_us: int
    writes: int
    told_us: int = 0


class Writes:
    """The writes heard on one bus."""

    def __init__(self) -> None:
        self._places: dict[tuple[int, int, int], _Place] = {}

    def add(self, write: Written, time_us: int) -> None:
        """Take one write."""
        key = write.unit, write.function, write.address
        if key not in self._places and len(self._places) >= PLACES_MAX:
            key = -1, 0, 0
        place = self._places.get(key)
        if place is None or not place.writes:
            told_us = place.told_us if place is not None else 0
            self._places[key] = _Place(write, time_us, time_us, 1, told_us)
            return
        place.newest, place.last_us = write, max(time_us, place.last_us)
        place.writes += 1

    def due(self, now_us: int, devices: Mapping[int, str]) -> list[Event]:
        """Return what is to be told now; `devices` names the device of a unit."""
        events = []
        for key, place in list(self._places.items()):
            waited = now_us - place.told_us >= AGAIN_US
            if place.writes and waited:
                events.append(_event(place, devices))
                place.writes, place.told_us = 0, now_us
            elif waited:
                del self._places[key]
        return events


def _event(place: _Place, devices: Mapping[int, str]) -> Event:
    write = place.newest
    whom = "all units" if write.unit == 0 else f"unit {write.unit}"
    device = devices.get(write.unit, "")
    many = f" and {write.registers - 1} more" if write.registers > 1 else ""
    text = f"another master wrote {WHAT[write.function]} {write.address}{many} of {whom} (function {write.function})"
    numbers = {
        "unit": float(write.unit),
        "function": float(write.function),
        "address": float(write.address),
        "registers": float(write.registers),
        "writes": float(place.writes),
    }
    if write.function in (5, 6):
        numbers["value"] = float(int.from_bytes(write.frame[4:6], "big"))
    return Event(RULE, 0, device, place.first_us, max(place.last_us, place.first_us + 1), DETECTOR, numbers, text)
