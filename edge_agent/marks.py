"""Marks of people at work: ordered by a command, sealed by the agent, told in the quality of the readings covered."""

import contextlib
import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from twin_wire.errors import ConfigError, StoreError
from twin_wire.mark import MARK_BYTES_MAX, Mark, mark_faults
from twin_wire.readings import Block, Quality

FOLDER = "marks"  # of the state folder: orders that the agent has not sealed yet
ORDERS_MAX = 100  # waiting, and looked at per second
QUALITY = {"calibrating": Quality.CALIBRATING, "bypass": Quality.BYPASSED}  # blasting says nothing of the sensor


def order(state: Path, mark: Mark) -> Path:
    """Leave a mark for the agent, on disk when this returns; ConfigError with every fault, StoreError if it cannot."""
    found = mark_faults(mark)
    if found:
        raise ConfigError(f"mark: {found[0][0]} {found[0][1]} ({len(found)} faults)", faults=found)
    folder = state / FOLDER
    path = folder / f"{mark.begin_ms}-{mark.end_ms}-{mark.what}-{mark.point.replace(':', '_')}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if sum(1 for _ in folder.iterdir()) >= ORDERS_MAX:
            raise ConfigError(f"{folder}: {ORDERS_MAX} marks wait already", "is the agent running?")
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(mark))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}", "run it as the agent's user") from error
    return path


class Marks:
    """The marks in force on one gateway; `documents` is what `active` gave before a restart."""

    def __init__(self, state: Path, points: Collection[str], documents: Mapping[str, Any]) -> None:
        self._folder = state / FOLDER
        self._points = frozenset(points)
        marks = (msgspec.convert(row, Mark) for row in documents.get("marks", []))
        self._active = {(mark.point, mark.what): mark for mark in marks if mark.point in self._points}
        self.refused: list[str] = []  # of the last look: files that are no orders for this gateway, now removed

    def active(self) -> dict[str, Any]:
        """Return the marks in force as a state document."""
        return {"marks": [msgspec.to_builtins(mark) for mark in self._active.values()]}

    def look(self, now_ms: int) -> tuple[list[Mark], list[Path]]:
        """Return what has to be sealed now (begun, or ended with `end_ms`), and the order files behind it."""
        self.refused = []
        changed: list[Mark] = []
        paths: list[Path] = []
        with contextlib.suppress(FileNotFoundError):
            for path in sorted(self._folder.glob("*.json"))[:ORDERS_MAX]:
                mark = self._read(path)
                if mark is None:
                    self.refused.append(path.name)
                    path.unlink(missing_ok=True)
                    continue
                paths.append(path)
                changed += self._take(mark)
        for key, mark in list(self._active.items()):
            if mark.until_ms <= now_ms:
                del self._active[key]
                changed.append(msgspec.structs.replace(mark, end_ms=mark.until_ms))
        return changed, paths

    def apply(self, block: Block) -> Block:
        """Return the block with the good values of marked points told as such; the numbers stay."""
        for point, what in self._active:
            if point in block.points and what in QUALITY:
                quality = block.quality.copy()
                row = quality[block.points.index(point)]
                row[row == Quality.GOOD] = np.uint8(QUALITY[what])
                block = block._replace(quality=quality)
        return block

    def _take(self, mark: Mark) -> list[Mark]:
        """Note an order; one that says nothing new gives nothing to seal."""
        key = mark.point, mark.what
        held = self._active.get(key)
        if mark.end_ms:
            if held is None:
                return []
            del self._active[key]
            end_ms = min(max(mark.end_ms, held.begin_ms), held.until_ms)
            return [msgspec.structs.replace(held, end_ms=end_ms, by=mark.by, reason=mark.reason)]
        if held is not None and held.begin_ms == mark.begin_ms:
            return []
        self._active[key] = mark
        return [mark]

    def _read(self, path: Path) -> Mark | None:
        try:
            data = path.read_bytes()
            mark = msgspec.convert(json.loads(data), Mark) if len(data) <= MARK_BYTES_MAX else None
        except (OSError, ValueError, msgspec.ValidationError):
            return None
        if mark is None or mark_faults(mark) or mark.point not in self._points:
            return None
        return mark
