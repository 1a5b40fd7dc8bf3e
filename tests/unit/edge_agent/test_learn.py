"""From a recorded bus to a configuration that listens to it."""

import subprocess
import sys
from pathlib import Path

import pytest

from drivers.capture import encode_head
from drivers.profile import read_profile
from edge_agent.config import load_config
from edge_agent.learn import draft_id, learn, load_recording, proposal, write_proposal
from tests.support import recorded_bus
from twin_wire.errors import ConfigError, FormatError

VECTOR = Path(__file__).parents[2] / "vectors/bus.capture"
GATEWAY = '[gateway]\nid = "gw-1"\nname = "G"\nsite = "demo"\npoints = "points.csv"\n[page]\nlisten = ""\n'


@pytest.fixture(scope="module")
def lesson():
    return learn(load_recording(VECTOR))


def test_what_is_known_is_proposed_and_what_is_not_becomes_a_draft_that_says_so(lesson, tmp_path: Path) -> None:
    proposed = {unit.number: unit.proposed.id if unit.proposed else None for unit in lesson.units}
    assert proposed[7] == "eastron-sdm630"
    assert proposed[12] is None
    text = proposal(lesson, tmp_path)[f"{draft_id(12)}.toml"]
    draft = read_profile(text.encode(), draft_id(12))
    assert draft.provenance[0].document == "learned from traffic of 2025-11-24"
    assert draft.rung != "documented"
    assert draft.modbus.unit == 12
    assert draft.signal("r3_4000").order == "CDAB"
    assert draft.signal("r3_4003") is None, "unused"


def test_the_proposal_is_a_configuration_that_only_listens(lesson, tmp_path: Path) -> None:
    written = write_proposal(lesson, tmp_path)
    tables = (tmp_path / "gateway-tap.toml").read_text(encoding="utf-8")
    (tmp_path / "gateway.toml").write_text(GATEWAY + tables, encoding="utf-8")
    config = load_config(tmp_path / "gateway.toml")
    assert [link.kind for link in config.links] == ["modbus-tap"]
    assert {device.unit for device in config.devices} == {3, 7, 12}
    assert len(config.points) >= 8 + 3
    assert all(path.exists() for path in written)
    with pytest.raises(ConfigError):
        write_proposal(lesson, tmp_path)


def test_the_command_shows_questions_evidence_and_files(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "edge_agent", "learn", str(VECTOR), "--out", str(tmp_path / "proposal")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "profile eastron-sdm630" in done.stdout
    assert "only ever counted up, past 65535" in done.stdout
    assert (tmp_path / "proposal/points.csv").exists()
    refused = subprocess.run([*words[:4], str(Path(__file__))], capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert "no capture" in refused.stderr


def test_a_recording_without_a_question_teaches_nothing_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(encode_head(recorded_bus.HEAD) + b"5 55aa55aa\n")
    with pytest.raises(FormatError, match="no whole question"):
        learn(load_recording(tmp_path / "x"))
    with pytest.raises(ConfigError):
        load_recording(tmp_path / "none")
