"""Signal strengths wait for their second: readings of one reader are averaged, for they scatter together."""

from typing import NamedTuple

from edge_agent.position.likelihood import STRENGTH
from edge_agent.position.tracks import BACK_US, Epoch, Heard

SECOND_US = 1_000_000
LATE_US = 500_000  # how long after its second a tag's readings may still come from another reader
REFERENCE_DBM = -59.0  # at 1 m, of a tag that announces nothing
PLAUSIBLE_DBM = (-130.0, 30.0)  # the filter takes logarithms of what is left
SIGMA_DB = 5.0
TAGS_MAX = 8_192


class _Sum(NamedTuple):
    total_db: float
    readings: int
    time_us: int


class Strengths:
    """Readings of the running second of every tag."""

    def __init__(self) -> None:
        self._tags: dict[str, tuple[int, dict[int, _Sum]]] = {}  # tag -> when its second began, by anchor

    def add(self, tag: str, anchor: int, time_us: int, rssi_dbm: float, reference_dbm: float) -> list[Epoch]:
        """Take a reading; return the tag's epoch once the second before it is full."""
        reference = reference_dbm if PLAUSIBLE_DBM[0] <= reference_dbm <= PLAUSIBLE_DBM[1] else REFERENCE_DBM
        if not PLAUSIBLE_DBM[0] <= rssi_dbm <= PLAUSIBLE_DBM[1]:
            return []
        done: list[Epoch] = []
        begin_us, sums = self._tags.get(tag, (time_us, {}))
        if not -BACK_US < time_us - begin_us < SECOND_US:
            done, begin_us, sums = [_epoch(tag, sums)] if sums else [], time_us, {}
        if tag not in self._tags and len(self._tags) >= TAGS_MAX:
            return done
        held = sums.get(anchor, _Sum(0.0, 0, time_us))
        sums[anchor] = _Sum(held.total_db + rssi_dbm - reference, held.readings + 1, max(held.time_us, time_us))
        self._tags[tag] = begin_us, sums
        return done

    def due(self, now_us: int) -> list[Epoch]:
        """Return the epochs of all tags whose second is over."""
        over = [t for t, (begin_us, _) in self._tags.items() if now_us - begin_us >= SECOND_US + LATE_US]
        return [_epoch(tag, self._tags.pop(tag)[1]) for tag in over]


def _epoch(tag: str, sums: dict[int, _Sum]) -> Epoch:
    rows = [Heard(STRENGTH, anchor, s.total_db / s.readings, SIGMA_DB, s.time_us) for anchor, s in sums.items()]
    return Epoch(tag, max(row.time_us for row in rows), rows)
