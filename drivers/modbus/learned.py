"""What a device's map taught: places no request may cross, and registers the device refuses; kept across restarts.

Nothing is believed for ever: a device that is starting refuses too, so everything is tried again, ever more seldom.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from drivers.modbus.planner import Span

RETRY_S = (10.0, 3_600.0)  # a register that was refused
CUT_RETRY_S = (600.0, 86_400.0)  # a request across a place where two halves worked and the whole did not
RETRY_FACTOR = 6.0
ITEMS_MAX = 4096


class Refused(NamedTuple):
    """Registers that a device refused: with which code, and when they are asked for again (monotonic)."""

    code: int
    retry_s: float
    pause_s: float


class Cut(NamedTuple):
    """A place no request may cross, and until when (monotonic)."""

    retry_s: float
    pause_s: float


class Learned:
    """The knowledge of one poll group about its device's registers; `version` counts what a plan depends on."""

    def __init__(self) -> None:
        self.version = 0
        self._cuts: dict[tuple[int, int], Cut] = {}  # function, address
        self._trial_cuts: set[tuple[int, int]] = set()
        self._refused: dict[tuple[int, Span], Refused] = {}

    def cuts(self, function: int, now_s: float) -> frozenset[int]:
        """Return the addresses that no request of `function` may cross."""
        holes = {place for known, place in self._trial_cuts if known == function}
        holes |= {place for (known, place), cut in self._cuts.items() if known == function and now_s < cut.retry_s}
        for known, item in self._refused:
            if known == function:
                holes |= {item[0], sum(item)}
        return frozenset(holes)

    def cut(self, function: int, address: int, now_s: float) -> None:
        """Note that a request across `address` is refused while both sides of it are not."""
        before = self._cuts.get((function, address))
        pause_s = min(before.pause_s * RETRY_FACTOR, CUT_RETRY_S[1]) if before else CUT_RETRY_S[0]
        self._cuts[function, address] = Cut(now_s + pause_s, pause_s)
        self.version += 1

    def try_cut(self, function: int, address: int) -> None:
        """Note where a search was, so that a scan that is cut off goes on from there."""
        self.version += 1
        self._trial_cuts.add((function, address))

    def end_trial(self, function: int, address: int) -> None:
        """Note that the search at `address` is over."""
        self.version += 1
        self._trial_cuts.discard((function, address))

    def refuse(self, function: int, item: Span, code: int, now_s: float) -> None:
        """Note that `item`, asked for alone, was refused: it is left out, and out of the way of its neighbours."""
        before = self._refused.get((function, item))
        pause_s = min(before.pause_s * RETRY_FACTOR, RETRY_S[1]) if before else RETRY_S[0]
        self._refused[function, item] = Refused(code, now_s + pause_s, pause_s)
        self.version += 1

    def accept(self, function: int, items: Iterable[Span]) -> None:
        """Note that `items` were answered."""
        for item in items if self._refused else ():
            if self._refused.pop((function, item), None) is not None:
                self.version += 1

    def withheld(self, function: int, item: Span, now_s: float) -> int:
        """Return the code that `item` was refused with if it is not to be asked for now, else 0."""
        refused = self._refused.get((function, item))
        return refused.code if refused is not None and now_s < refused.retry_s else 0

    def next_retry_s(self, now_s: float) -> float:
        """Return when something is to be tried again next, infinity if there is nothing."""
        retries = [r.retry_s for r in self._refused.values()] + [cut.retry_s for cut in self._cuts.values()]
        return min((retry_s for retry_s in retries if retry_s > now_s), default=float("inf"))

    def document(self, now_s: float) -> dict[str, object]:
        """Return what is worth keeping, JSON-able."""
        return {
            "cuts": [list(place) for place, cut in sorted(self._cuts.items()) if now_s < cut.retry_s],
            "refused": [[function, *item, r.code] for (function, item), r in sorted(self._refused.items())],
        }

    def recall(self, document: Mapping[str, object], now_s: float) -> None:
        """Take back what `document` gave; anything else in it is ignored, for it only costs a search."""
        for row in _rows(document.get("cuts"), 2):
            self.cut(row[0], row[1], now_s)
        for function, address, count, code in _rows(document.get("refused"), 4):
            if 1 <= code <= 3:
                self.refuse(function, (address, count), code, now_s)


def _rows(table: object, width: int) -> list[list[int]]:
    rows = table if isinstance(table, list) else []
    return [
        row
        for row in rows[:ITEMS_MAX]
        if isinstance(row, list) and len(row) == width and all(type(n) is int and 0 <= n <= 65_536 for n in row)
    ]
