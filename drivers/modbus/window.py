"""Several questions at once on TCP: only to a unit that has shown that it keeps their answers apart.

A device that takes several questions may still label an answer with another question's transaction. So before its
answers become values it is asked several questions of different lengths at once: a mix-up shows as a wrong length.
"""

from collections.abc import Callable, Mapping, Sequence

from drivers.modbus.fence import shape_of
from drivers.modbus.pdu import Function, Read

PROOFS = 3  # rounds of questions of different lengths
SHORTER_MAX, LONGER_MAX = 40, 4  # how far a length may be changed to make it another

Allowed = Mapping[Function, Callable[[int, int], bool]]


class Window:
    """How many questions each unit of one connection may be asked at once, and why not more."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._proven: set[int] = set()
        self._narrow: dict[int, str] = {}

    def of(self, unit: int) -> int:
        """Return how many questions `unit` may be asked at once."""
        return 1 if unit in self._narrow else self.size

    def is_proven(self, unit: int) -> bool:
        """Tell whether `unit` has kept several answers apart."""
        return unit in self._proven

    def prove(self, unit: int) -> None:
        """Note that it has."""
        self._proven.add(unit)

    def narrow(self, unit: int, why: str) -> None:
        """Ask `unit` one question at a time from now on."""
        self._narrow.setdefault(unit, f"unit {unit} {why}: it is asked one question at a time; set window = 1")

    def notes(self) -> list[str]:
        """Return why units are asked one question at a time."""
        return [self._narrow[unit] for unit in sorted(self._narrow)]


def probes_of(requests: Sequence[Read], size: int, allowed: Allowed, turn: int) -> list[Read]:
    """Return questions whose answers all differ in form, made of the first requests, or [] if there are none such."""
    probes: list[Read] = []
    taken: set[tuple[int, int]] = set()
    first = requests[: max(2, size)]
    for request in [*first[turn % len(first) :], *first[: turn % len(first)]]:
        lengths = [request.length - less for less in range(SHORTER_MAX) if request.length > less]
        lengths += [request.length + more for more in range(1, LONGER_MAX)]
        for length in lengths:
            probe = request._replace(length=length)
            whole = length == request.length or allowed[request.function](request.address, length)
            if whole and shape_of(probe) not in taken:
                probes.append(probe)
                taken.add(shape_of(probe))
                break
        else:
            return []
    return probes
