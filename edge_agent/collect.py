"""What has arrived since the last seal: rows of poll groups, positions, events, joined into the columns of a batch."""

import numpy as np

from twin_wire.readings import Batch, Block, Clock, Event, Fixes, no_fixes

EVENTS_MAX = 1_024  # what one body holds; the rest waits for the next


class Collector:
    """Pending rows of one gateway; owned by the event loop."""

    def __init__(self, groups: tuple[tuple[str, ...], ...]) -> None:
        self._order = {points: number for number, points in enumerate(groups)}
        self._blocks: dict[tuple[str, ...], list[Block]] = {}
        self._fixes: list[Fixes] = []
        self._events: list[Event] = []
        self.samples = 0
        self.fix_rows = 0

    def add_block(self, block: Block) -> None:
        """Add the rows of one poll group; a group the manifest does not know is a programmer's mistake."""
        assert block.points in self._order, block.points
        if len(block.time_us):
            self._blocks.setdefault(block.points, []).append(block)
            self.samples += block.value.size

    def add_fixes(self, fixes: Fixes) -> None:
        """Add positions of tags."""
        if len(fixes.time_us):
            self._fixes.append(fixes)
            self.fix_rows += len(fixes.time_us)

    def add_events(self, events: list[Event]) -> None:
        """Add events."""
        self._events += events

    @property
    def events(self) -> int:
        """How many events wait."""
        return len(self._events)

    @property
    def rows(self) -> int:
        """Samples, positions and events that wait."""
        return self.samples + self.fix_rows + len(self._events)

    def take(self, manifest: bytes, clock: Clock) -> Batch:
        """Return everything that waits as one batch, and wait for more."""
        blocks = [
            b for points in sorted(self._blocks, key=self._order.__getitem__) for b in _join(self._blocks[points])
        ]
        events, rest = self._events[:EVENTS_MAX], self._events[EVENTS_MAX:]
        batch = Batch(manifest, clock, tuple(blocks), _join_fixes(self._fixes), tuple(events))
        self._blocks, self._fixes, self._events = {}, [], rest
        self.samples = self.fix_rows = 0
        return batch


def rows_of(batch: Batch) -> int:
    """Return samples, positions and events in a batch, as its statement counts them."""
    return sum(block.value.size for block in batch.blocks) + len(batch.fixes.time_us) + len(batch.events)


def span_ms(batch: Batch, now_ms: int) -> tuple[int, int]:
    """Return the earliest and latest time of what was measured; of a batch of events alone, now."""
    times = [column for column in (*(b.time_us for b in batch.blocks), batch.fixes.time_us) if len(column)]
    if not times:
        return max(now_ms, 0), max(now_ms, 0)
    first, last = min(int(c.min()) for c in times), max(int(c.max()) for c in times)
    return max(first // 1_000, 0), max(last // 1_000, 0)


def _join(blocks: list[Block]) -> list[Block]:
    """Join rows of one group; where the clock fell, a new block begins, since times within one never fall."""
    runs: list[list[Block]] = []
    for block in blocks:
        if runs and block.time_us[0] >= runs[-1][-1].time_us[-1]:
            runs[-1].append(block)
        else:
            runs.append([block])
    return [
        Block(
            run[0].points,
            np.concatenate([b.time_us for b in run]),
            np.concatenate([b.value for b in run], axis=1),
            np.concatenate([b.quality for b in run], axis=1),
        )
        for run in runs
    ]


def _join_fixes(parts: list[Fixes]) -> Fixes:
    if not parts:
        return no_fixes()
    time_us = np.concatenate([part.time_us for part in parts])
    order = np.argsort(time_us, kind="stable")
    tags = [tag for part in parts for tag in part.tag]
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])[order]
        for name in Fixes._fields
        if name not in ("time_us", "tag")
    }
    return Fixes(time_us=time_us[order], tag=tuple(tags[i] for i in order), **columns)
