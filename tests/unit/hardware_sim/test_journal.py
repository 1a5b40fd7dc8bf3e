"""The journal holds every answer so that a script of someone else's can recompute every sample."""

import csv
from pathlib import Path

from hardware_sim.journal import Answer, Journal


def test_every_answer_is_a_line_with_both_clocks_and_the_bytes(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.csv") as journal:
        journal.add(Answer("bus-1", 1, 3, 506, 2, bytes.fromhex("3E23D70A")))
        journal.add(Answer("uwb-1", 0, 0, 0, 12, b"\x55\x00"))
    with (tmp_path / "j.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["link"] for row in rows] == ["bus-1", "uwb-1"]
    assert rows[0]["payload"] == "3e23d70a"
    assert (rows[0]["unit"], rows[0]["function"], rows[0]["address"], rows[0]["count"]) == ("1", "3", "506", "2")
    assert int(rows[0]["monotonic_ns"]) < int(rows[1]["monotonic_ns"])
    assert int(rows[0]["wall_us"]) > 1_600_000_000_000_000


def test_a_full_journal_is_kept_once_more_and_begins_anew(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.csv", bytes_max=500) as journal:
        for _ in range(30):
            journal.add(Answer("bus-1", 1, 3, 0, 1, b"\0\1"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["j.csv", "j.csv.1"]
    for path in tmp_path.iterdir():
        assert path.read_text().startswith("monotonic_ns,wall_us,link,")
        assert path.stat().st_size < 700


def test_a_full_disk_ends_the_journal_with_a_reason_and_nothing_else() -> None:
    with Journal(Path("/dev/full")) as journal:
        for _ in range(3):
            journal.add(Answer("bus-1", 1, 3, 0, 1, bytes(1 << 16)))
    assert "No space left" in journal.fault
    journal.add(Answer("bus-1", 1, 3, 0, 1, b""))
