"""Marks ordered by a person: sealed once, in force until their end, over restarts; hostile files change nothing."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge_agent.marks import FOLDER, ORDERS_MAX, Marks, order
from twin_wire.errors import ConfigError
from twin_wire.mark import Mark
from twin_wire.readings import Block, Quality

MARK = Mark(point="p0", what="bypass", begin_ms=1000, until_ms=61_000, by="person-7", reason="new cable")


def block() -> Block:
    quality = np.array([[0, Quality.OVER_RANGE], [0, 0]], np.uint8)
    return Block(("p0", "p1"), np.array([1, 2], np.int64), np.ones((2, 2)), quality)


def sealed(marks: Marks, now_ms: int) -> list[Mark]:
    changed, paths = marks.look(now_ms)
    for path in paths:
        path.unlink()
    return changed


def test_a_mark_is_sealed_when_it_begins_and_when_its_time_is_over(tmp_path: Path) -> None:
    marks = Marks(tmp_path, ["p0", "p1"], {})
    order(tmp_path, MARK)
    assert sealed(marks, 1500) == [MARK]
    assert sealed(marks, 2000) == []
    assert marks.apply(block()).quality.tolist() == [[Quality.BYPASSED, Quality.OVER_RANGE], [0, 0]]
    assert sealed(marks, 61_000) == [msgspec.structs.replace(MARK, end_ms=61_000)]
    assert marks.apply(block()).quality.tolist() == block().quality.tolist()


def test_a_person_ends_it_earlier_and_is_named_by_id(tmp_path: Path) -> None:
    marks = Marks(tmp_path, ["p0"], {})
    order(tmp_path, MARK)
    sealed(marks, 1500)
    order(tmp_path, msgspec.structs.replace(MARK, begin_ms=9000, until_ms=9001, end_ms=9000, by="person-8"))
    assert sealed(marks, 9100) == [msgspec.structs.replace(MARK, end_ms=9000, by="person-8")]
    assert marks.active() == {"marks": []}


def test_a_restart_keeps_it_and_an_order_sealed_before_a_crash_is_not_sealed_again(tmp_path: Path) -> None:
    marks = Marks(tmp_path, ["p0"], {})
    order(tmp_path, MARK)
    assert marks.look(1500)[0] == [MARK]  # the file stays: the agent died before it removed it
    again = Marks(tmp_path, ["p0"], marks.active())
    assert sealed(again, 2000) == []
    assert again.apply(block()).quality[0, 0] == Quality.BYPASSED


def test_files_that_are_no_orders_for_this_gateway_are_removed_and_named(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    (folder / "a.json").write_bytes(b"\xff{")
    (folder / "b.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(MARK, point="elsewhere")))
    (folder / "c.json").write_bytes(b" " * 5000)
    marks = Marks(tmp_path, ["p0"], {})
    assert marks.look(1500) == ([], [])
    assert marks.refused == ["a.json", "b.json", "c.json"]
    assert list(folder.iterdir()) == []


def test_orders_that_nobody_takes_do_not_fill_the_disk(tmp_path: Path) -> None:
    for n in range(ORDERS_MAX):
        order(tmp_path, msgspec.structs.replace(MARK, begin_ms=1000 + n))
    with pytest.raises(ConfigError, match="wait already"):
        order(tmp_path, msgspec.structs.replace(MARK, begin_ms=900))
