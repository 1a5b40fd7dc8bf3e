"""What every simulated site is to the rest: a model stepped second by second, looked at by names, acted on by verbs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from hardware_sim.people import Person
from hardware_sim.sight import Worn
from twin_wire.errors import ConfigError

Look = dict[str, Callable[[], float]]
T = TypeVar("T")


class Model:
    """A site: subclasses fill `_look` and `_verbs` and say how a second passes; they are made with (seed)."""

    def __init__(self) -> None:
        self._look: Look = {}
        self._verbs: dict[str, Callable[[str, float], None]] = {}

    @property
    def time_s(self) -> float:
        """Return the world's seconds since it began."""
        raise NotImplementedError

    @property
    def persons(self) -> Sequence[Person]:
        """Return everybody who wears a tag."""
        return ()

    def step(self) -> None:
        """Advance everything by one second."""
        self.step_things()

    def step_things(self) -> None:
        """Advance everything but people by one second."""
        raise NotImplementedError

    def warm(self) -> None:
        """Let it run until what it shows has settled."""

    def reseed(self, text: str, time_s: float) -> None:
        """Begin another stretch of the same site's life: other chances, another time of day."""
        raise NotImplementedError

    def truth(self, source: str) -> float:
        """Return a quantity by name, in the unit people use (%, ppm, m/s, degrees Celsius); KeyError if unknown."""
        return self._look[source]()

    def sources(self) -> list[str]:
        """Return the names that `truth` knows."""
        return sorted(self._look)

    def lookers(self, sources: Iterable[str]) -> list[Callable[[], float]]:
        """Return what `truth` would call for some names; KeyError if one is unknown."""
        return [self._look[source] for source in sources]

    def verbs(self) -> list[str]:
        """Return the verbs that `act` knows."""
        return sorted(self._verbs)

    def act(self, verb: str, subject: str, amount: float) -> None:
        """Do one thing to the site; ConfigError if this kind of site knows no such verb or subject."""
        known(self._verbs, verb, "verb of this site")(subject, amount)

    def worn(self) -> list[Worn]:
        """Return where everybody's tag is, tags that are lost left out."""
        found = self.persons
        return [Worn(p.tag, p.place.roadway, p.place.chainage_m, p.side_m) for p in found if not p.lost]


def known(table: Mapping[str, T], name: str, what: str) -> T:
    """Return an entry of a table; ConfigError with the names there are."""
    if name not in table:
        raise ConfigError(f"no {what} {name!r}", hint=f"known: {', '.join(sorted(table)[:40])}")
    return table[name]
