"""The site as detection sees it: channels with their words, and the places that air or water connects."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

GAS_UP = frozenset(("CH4", "CO", "NO2", "H2S", "NO", "SO2", "CO2", "NH3", "H2", "dust", "pm10", "pm2_5", "smoke"))
WATER = frozenset(("level", "head", "flow", "seepage", "turbidity", "pore_pressure", "water_level"))
GROUND = frozenset(("displacement", "tilt", "crack", "settlement", "stress", "strain"))
MACHINE = frozenset(("vibration",))
CONTEXT = frozenset(("humidity", "rain", "pressure", "position", "wind_direction", "rain_intensity"))
AIR = frozenset(("wind", "wind_speed", "velocity"))
KNOWN = GAS_UP | WATER | GROUND | MACHINE | CONTEXT | AIR | {"O2", "temperature", "current", "power", "fan_speed"}
ROLES = ("", "fan_main", "fan_aux", "load", "machine", "pump")
FAN_ROLES = ("fan_main", "fan_aux")
BAROMETER_PA = (40_000.0, 150_000.0)


class Channel(NamedTuple):
    """One point; range ends are infinite and resolution and t90 are 0 where nobody knows them."""

    id: str
    quantity: str = ""
    unit: str = ""
    place: str = ""
    group: str = ""
    low: float = float("-inf")
    high: float = float("inf")
    resolution: float = 0.0
    t90_s: float = 0.0
    limits: Mapping[str, float] = {}
    role: str = ""

    @property
    def gas(self) -> bool:
        """Return whether more of it is danger in the air."""
        return self.quantity in GAS_UP

    @property
    def air(self) -> bool:
        """Return whether it tells the speed of the air."""
        return self.quantity in AIR

    @property
    def fan(self) -> bool:
        """Return whether it is the current of a fan."""
        return self.role in FAN_ROLES


class Site(NamedTuple):
    """Channels in the order of the columns, and pairs of places: air or water flows from the first to the second."""

    channels: tuple[Channel, ...]
    edges: tuple[tuple[str, str], ...] = ()


def hops(site: Site, most: int = 3) -> list[list[int]]:
    """Return [C][C] the number of edges between the places of two channels, either way; most + 1 where further.

    Places that are not known connect nothing; where a site has no edges only one and the same place counts.
    """
    beside: dict[str, set[str]] = {}
    for one, other in site.edges:
        beside.setdefault(one, set()).add(other)
        beside.setdefault(other, set()).add(one)
    places = {channel.place for channel in site.channels}
    near = {place: _around(place, beside, most) for place in places if place}
    return [
        [near[a.place].get(b.place, most + 1) if a.place and b.place else most + 1 for b in site.channels]
        for a in site.channels
    ]


def _around(place: str, beside: Mapping[str, set[str]], most: int) -> dict[str, int]:
    found, edge = {place: 0}, [place]
    for far in range(1, most + 1):
        edge = sorted({other for one in edge for other in beside.get(one, ()) if other not in found})
        found |= dict.fromkeys(edge, far)
    return found


def downstream(site: Site) -> dict[str, set[str]]:
    """Return the places each place's air or water goes to at last."""
    ahead: dict[str, set[str]] = {}
    for one, other in site.edges:
        ahead.setdefault(one, set()).add(other)
    found: dict[str, set[str]] = {}
    for place in {channel.place for channel in site.channels}:
        seen: set[str] = set()
        wait = list(ahead.get(place, ()))
        while wait:
            at = wait.pop()
            if at not in seen:
                seen.add(at)
                wait += ahead.get(at, ())
        found[place] = seen - {place}
    return found


def read_site(document: Any) -> tuple[Site, list[str]]:
    """Return the site of a site.json and what was strange about it; ValueError if there are no points at all."""
    told: list[str] = []
    rows = document.get("points") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not rows:
        raise ValueError("site.json: no points")
    channels = tuple(_channel(row, place, told) for place, row in enumerate(rows))
    names = [channel.id for channel in channels]
    told += [f"point {name}: named more than once" for name in sorted({n for n in names if names.count(n) > 1})]
    edges = tuple(_edges(document.get("edges"), told))
    return Site(channels, edges), told


def _edges(rows: Any, told: list[str]) -> Iterable[tuple[str, str]]:
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, Sequence) and not isinstance(row, str) and len(row) >= 2:
            yield str(row[0]), str(row[1])
        else:
            told.append(f"edge {row!r}: not a pair of places, left out")


def _channel(row: Any, place: int, told: list[str]) -> Channel:
    if not isinstance(row, dict):
        told.append(f"point {place}: not an object, handled by its behaviour")
        row = {}
    name = str(row.get("id") or f"point-{place}")

    def text(key: str) -> str:
        value = row.get(key)
        return "" if value is None else str(value)

    quantity = {"wind_speed": "wind", "velocity": "wind", "wind_velocity": "wind"}.get(
        text("quantity"), text("quantity")
    )
    if quantity not in KNOWN:
        told.append(f"point {name}: quantity {quantity!r} is not known, handled by its behaviour")
    if text("role") not in ROLES:
        told.append(f"point {name}: role {text('role')!r} is not known")
    ends = row.get("range")
    low, high = ends if isinstance(ends, list | tuple) and len(ends) == 2 else (None, None)
    given = row.get("limits")
    limits = {str(key): number(value, 0.0) for key, value in given.items()} if isinstance(given, dict) else {}
    low, high = number(low, float("-inf")), number(high, float("inf"))
    if low >= high:
        told.append(f"point {name}: range {ends!r} is empty, left out")
        low, high = float("-inf"), float("inf")
    return Channel(
        *(name, quantity, text("unit"), text("place"), text("group"), low, high),
        *(max(number(row.get("resolution"), 0.0), 0.0), max(number(row.get("t90_s"), 0.0), 0.0), limits, text("role")),
    )


def number(value: Any, other: float) -> float:
    """Return a finite number, or `other` for anything else."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return other
    return found if abs(found) < float("inf") else other
