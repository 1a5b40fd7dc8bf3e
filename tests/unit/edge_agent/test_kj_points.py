"""`edge-agent kj-points`: lines that points.csv takes as they are, and a reason for every sensor left out."""

import argparse
from pathlib import Path

import pytest

from edge_agent.commands.kj_points import arguments, run
from edge_agent.points import read_points
from tests.support.kj_files import CH4, CO, FAN, MINE, defined, definitions, name
from twin_wire.errors import ConfigError

NOW = 1_780_000_000.0


def given(path: Path, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    arguments(parser)
    return parser.parse_args([str(path), *words])


def test_a_definition_file_becomes_points_and_what_has_no_signal_is_named(tmp_path, capsys) -> None:
    path = tmp_path / name("CDDY", NOW)
    records = (
        defined(CH4, "0001", "%CH4"),
        defined(CO, "0004", "百万分之"),
        defined(FAN, "1001", "", "", "", "开;停"),
        defined(f"{MINE}x", "0045", "%"),
    )
    path.write_text(definitions(NOW, *records), encoding="gbk")
    assert run(given(path, "--charset", "gbk")) == 0
    out, problems = capsys.readouterr()
    faults: list[tuple[str, str]] = []
    rows = read_points(out.encode(), "points.csv", faults)
    assert not faults
    assert [(row.point, row.signal, row.name) for row in rows] == [
        (CH4, f"ch4:{CH4}", "1101工作面"),
        (FAN, f"local_fan:{FAN}", "1101工作面"),
    ]
    assert [line.split()[0] for line in problems.splitlines()] == [CO, f"{MINE}x"]
    assert run(given(path, "--charset", "gbk", "--unit", "百万分之=ppm")) == 0
    assert f"co:{CO}" in capsys.readouterr().out


def test_another_file_is_refused_with_the_reason(tmp_path) -> None:
    wrong = tmp_path / name("CDSS", NOW)
    wrong.write_text("x", encoding="utf-8")
    bad = tmp_path / name("CDDY", NOW)
    bad.write_text(definitions(NOW, defined(CH4, "0001", "%")), encoding="gbk")
    for path in (wrong, bad, tmp_path / name("CDDY", NOW + 1)):
        with pytest.raises(ConfigError):
            run(given(path))
