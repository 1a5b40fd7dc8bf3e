"""The demo as a person starts it: every promise it can check holds, and a stranger's script counts the same."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
RECOUNT = ROOT / "tests" / "support" / "recount.py"


def demo(folder: Path, seconds: int) -> tuple[int, dict[str, Any], str]:
    """Run the demo to its end; return exit code, summary and what it printed."""
    out = folder.with_suffix(".json")
    words = ["demo", "--dir", folder, "--seconds", str(seconds), "--summary", out]
    done = subprocess.run([BIN / "hardware-sim", *words], capture_output=True, text=True, timeout=seconds + 200)
    return done.returncode, json.loads(out.read_text()) if out.exists() else {}, done.stdout + done.stderr


def recounted(folder: Path) -> str:
    """Return what the independent script says of a demo's folder."""
    export = folder / "export.csv"
    words = ["export", "-e", "demo", "--data", folder / "server", "--out", export]
    subprocess.run([BIN / "twin-server", *words], check=True, timeout=60)
    words = [RECOUNT, folder / "gateway", export, ROOT / "drivers" / "profiles"]
    done = subprocess.run([sys.executable, "-I", *words], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_a_short_demo_counts_the_same_at_the_sensors_and_in_the_twin(tmp_path: Path) -> None:
    code, summary, said = demo(tmp_path / "demo", 15)
    assert code == 0, said
    assert summary["samples_at_sensors"] == summary["samples_in_twin"] > 1000
    assert (summary["duplicates"], summary["gaps"], summary["faults"]) == (0, 0, [])
    assert summary["promises"]["backlog"]["held"] is None  # too short for the story
    assert (
        recounted(tmp_path / "demo")
        .strip()
        .endswith(
            f"{summary['samples_at_sensors']} samples served, {summary['samples_in_twin']} exported, "
            "0 answered too late, 0 differences"
        )
    )


@pytest.mark.long
@pytest.mark.timeout(500)
def test_the_whole_story_holds_every_promise(tmp_path: Path) -> None:
    code, summary, said = demo(tmp_path / "demo", 150)
    assert code == 0, said
    assert {name: promise["held"] for name, promise in summary["promises"].items() if not promise["held"]} == {}
    assert 20 < summary["warning_at_s"] - summary["fan_stop_at_s"] < 38
    assert {"late", "silent"} & set(summary["cut_states"])
    assert ", 0 differences" in recounted(tmp_path / "demo")


@pytest.mark.timeout(180)
def test_ctrl_c_ends_every_process_the_demo_started(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    process = subprocess.Popen([BIN / "hardware-sim", "demo", "--dir", folder], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if "Ctrl-C" in line:
            break
    time.sleep(1.0)
    assert len(started(folder)) == 3
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    process.stdout.close()
    assert process.wait(60) == 0
    assert "all processes ended" in rest
    assert started(folder) == []


def started(folder: Path) -> list[int]:
    """Return the ids of living processes, the demo itself apart, whose command names the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if str(folder) in " ".join(words) and "demo" not in words:
                found.append(int(entry.name))
    return found
