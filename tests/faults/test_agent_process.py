"""The agent as a process without a server: killed and started again it repeats no number and no alarm."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from buffering.queue import Queue
from tests.support.gateway_folder import GATEWAY, write_folder
from tests.support.queues import gap_entry
from tests.support.vouchers import voucher_line
from twin_wire.body import decode_body
from twin_wire.keys import PublicKey
from twin_wire.manifest import groups_of, read_manifest
from twin_wire.readings import Event
from twin_wire.statement import Statement, check, check_successor, read
from twin_wire.voucher import read_enrol_body


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def agent(*words: str) -> list[str]:
    return [sys.executable, "-m", "edge_agent", *words]


@pytest.fixture
def folder(tmp_path) -> Path:
    """An enrolled gateway whose instruments are not there."""
    gateway = GATEWAY.replace("127.0.0.1:0", f"127.0.0.1:{free_port()}")
    path = write_folder(tmp_path, gateway=gateway, tcp_port=free_port())
    subprocess.run(agent("enroll", str(path), "--voucher", voucher_line()), check=True, capture_output=True)
    return tmp_path


def state(folder: Path) -> dict:
    """Ask the running agent's page until it answers."""
    address = (folder / "gateway.toml").read_text(encoding="utf-8").split('listen = "')[1].split('"')[0]
    end = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}/api/state", timeout=2) as response:
                return json.load(response)
        except OSError:
            assert time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.05)


def wait_for(folder: Path, reached) -> dict:
    end = time.monotonic() + 30
    while not reached(seen := state(folder)):
        assert time.monotonic() < end, seen
        time.sleep(0.1)
    return seen


def start(folder: Path) -> subprocess.Popen:
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(agent("run", str(folder / "gateway.toml")), stdout=log, stderr=log)


def begun(seen: dict) -> dict[str, int]:
    return {e["point"]: e["begin_us"] for e in seen["active"] if e["rule"] == "device_down"}


def read_queue(folder: Path, holes: bool = False) -> tuple[list[Statement], list[Event]]:
    """Check every statement of the queue as a server would, across holes only if told; return them and all events."""
    queue = Queue(folder / "state/queue.db", gap_entry, 4 << 20, ballast_bytes=0)
    offers = sorted(queue.offer(batches_max=10_000), key=lambda o: (o.epoch, o.seq))
    queue.close()
    public: PublicKey = read_enrol_body(offers[0].body).public
    statements: list[Statement] = []
    events: list[Event] = []
    groups = []
    for offer in offers:
        statement = read(offer.statement)
        check(statement, public)
        if not holes or not statements or statement.chain.seq == statements[-1].chain.seq + 1:
            check_successor(statements[-1] if statements else None, statement)
        statements.append(statement)
        if statement.kind == "manifest":
            groups = groups_of(read_manifest(offer.body))
        elif statement.kind == "data":
            events += decode_body(offer.body, groups).events
    return statements, events


def test_killed_and_started_again_it_repeats_the_same_conditions_and_numbers_once(folder):
    process = start(folder)
    first = wait_for(folder, lambda seen: len(begun(seen)) == 3 and seen["sync"]["seq"] >= 5)
    numbers = [first["sync"]["seq"]]
    for _ in range(3):
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = start(folder)
        seen = state(folder)
        assert begun(seen) == begun(first), "the same alarm, not a new one"
        numbers.append(seen["sync"]["seq"])
    time.sleep(3.5)
    process.terminate()
    assert process.wait(15) == 0
    assert numbers == sorted(numbers)
    statements, events = read_queue(folder)
    assert statements[-1].chain.seq >= numbers[-1] - 1
    assert [s.kind for s in statements[:4]] == ["enrol", "structure", "manifest", "data"]
    assert sum(s.kind == "manifest" for s in statements) == 1, "said once as long as nothing changes"
    downs = [(e.point, e.begin_us) for e in events if e.rule == "device_down"]
    assert len(downs) == len(set(downs)) == 3
    assert len([e for e in events if e.rule == "restart"]) == 4
    assert len({s.chain.boot for s in statements}) == 5  # enrolment is one


def test_a_changed_configuration_is_a_new_manifest_and_ends_what_is_no_longer_there(folder):
    process = start(folder)
    wait_for(folder, lambda seen: len(begun(seen)) == 3)
    process.terminate()
    assert process.wait(15) == 0
    path = folder / "gateway.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: text.index('[[device]]\nid = "fan-1"')], encoding="utf-8")
    points = (folder / "points.csv").read_text(encoding="utf-8")
    (folder / "points.csv").write_text(points[: points.index("fan-speed")], encoding="utf-8")
    process = start(folder)
    wait_for(folder, lambda seen: set(begun(seen)) == {"ch4-1", "dust-1"})
    process.terminate()
    assert process.wait(15) == 0
    statements, events = read_queue(folder)
    assert sum(s.kind == "manifest" for s in statements) == 2
    ends = [e for e in events if e.rule == "device_down" and e.end_us]
    assert [e.point for e in ends] == ["fan-1"]
    assert ends[0].begin_us in [e.begin_us for e in events if e.point == "fan-1" and not e.end_us]


def test_a_second_agent_on_the_same_folder_is_refused(folder):
    process = start(folder)
    state(folder)
    second = subprocess.run(agent("run", str(folder / "gateway.toml")), capture_output=True, text=True, timeout=20)
    assert second.returncode == 1
    assert "stop it first" in second.stderr
    process.send_signal(signal.SIGINT)
    assert process.wait(15) == 0


def test_an_old_copy_of_the_queue_alone_is_noticed_without_a_server(folder):
    shutil.copy(folder / "state/queue.db", folder / "old")
    process = start(folder)
    wait_for(folder, lambda seen: seen["sync"]["seq"] >= 4)
    process.terminate()
    assert process.wait(15) == 0
    shutil.copy(folder / "old", folder / "state/queue.db")
    process = start(folder)
    assert "rollback" in [e["rule"] for e in state(folder)["active"]]
    process.terminate()
    assert process.wait(15) == 0
    (folder / "state/queue.db").unlink()
    refused = subprocess.run(agent("run", str(folder / "gateway.toml")), capture_output=True, text=True, timeout=20)
    assert refused.returncode == 2
    assert "enroll again" in refused.stderr


def test_commands_end_with_the_exit_codes_they_promise(folder, tmp_path):
    def run(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run(agent(*words), capture_output=True, text=True, timeout=30)

    config = str(folder / "gateway.toml")
    good = run("check", config)
    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, "no fault")
    assert "nobody has confirmed" in good.stdout or "not armed" not in good.stdout
    looked = run("doctor", config)
    assert looked.returncode == 1
    assert "is not there" in looked.stdout
    (folder / "points.csv").write_text("point,device\n", encoding="utf-8")
    bad = run("check", config)
    assert bad.returncode == 2
    assert "points.csv:1" in bad.stderr
    assert run("run", str(tmp_path / "none.toml")).returncode == 2
    assert "enroll" in run("--help").stdout
    assert os.path.exists(folder / "state")


def test_a_bypass_ordered_by_command_is_sealed_once_and_told_in_the_readings(folder):
    words = ["mark", str(folder / "gateway.toml"), "ch4-face", "bypass", "--minutes", "60", "--reason", "new cable"]
    nameless = subprocess.run(agent(*words, "--by", "Li Lei"), capture_output=True, text=True, check=False)
    assert (nameless.returncode, "by" in nameless.stderr) == (2, True), nameless.stderr
    subprocess.run(agent(*words, "--by", "person-7"), check=True, capture_output=True)
    process = start(folder)
    try:
        wait_for(folder, lambda seen: seen["running_s"] > 3 if "running_s" in seen else True)
        end = time.monotonic() + 20
        while list((folder / "state/marks").glob("*.json")):
            assert time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    statements, _ = read_queue(folder)
    assert [statement.kind for statement in statements].count("mark") == 1


def test_what_waits_is_copied_to_a_stick_beside_the_running_agent_and_without_it(folder, tmp_path):
    process = start(folder)
    wait_for(folder, lambda seen: seen["sync"]["unsent"] >= 4)
    words = ("export-usb", str(folder / "gateway.toml"))
    beside = subprocess.run(agent(*words, str(tmp_path / "a")), capture_output=True, text=True, timeout=30)
    assert beside.returncode == 0, beside.stderr
    process.terminate()
    assert process.wait(15) == 0
    alone = subprocess.run(agent(*words, str(tmp_path / "b")), capture_output=True, text=True, timeout=30)
    assert alone.returncode == 0, alone.stderr
    first, second = (b"".join(p.read_bytes() for p in sorted((tmp_path / n).glob("*.cborseq"))) for n in "ab")
    assert second.startswith(first)
    assert len(second) > len(first) > 1_000, "the same bytes, and what was sealed since"
    assert "twin-server import" in (tmp_path / "a/README.txt").read_text(encoding="utf-8")


ON_A_BAD_DISK = """
import sys
from pathlib import Path
from edge_agent import seal
from tests.support.vfs import IOERR_WRITE, Layer
seal.PERIOD_S = 1.0
from edge_agent.__main__ import main
flag, layer = Path(sys.argv[1]), Layer(records=False)
layer.fail = lambda number, kind, name: (IOERR_WRITE, False) if flag.exists() else None
sys.argv = ["edge-agent", "run", sys.argv[2]]
with layer.installed():
    main()
"""


def test_a_disk_that_takes_no_writes_is_an_alarm_and_sealing_goes_on_through_it(folder, tmp_path):
    flag, config = tmp_path / "broken", str(folder / "gateway.toml")
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", ON_A_BAD_DISK, str(flag), config],
            stdout=log,
            stderr=log,
            cwd=Path(__file__).parents[2],
        )
    wait_for(folder, lambda seen: seen["sync"]["seq"] >= 4)
    flag.touch()

    def faulty(seen: dict) -> bool:
        return "storage_fault" in [event["rule"] for event in seen["active"]]

    at = wait_for(folder, faulty)["sync"]["seq"]
    wait_for(folder, lambda seen: seen["sync"]["seq"] >= at + 3)
    flag.unlink()
    wait_for(folder, lambda seen: not faulty(seen))
    process.terminate()
    assert process.wait(15) == 0, (folder / "log").read_text()
    statements, events = read_queue(folder, holes=True)
    assert [e.rule for e in events if e.rule == "storage_fault"] == ["storage_fault"] * 2, "its begin and its end"
    (gap,) = (s for s in statements if s.kind == "gap")
    numbers = [s.chain.seq for s in statements]
    left_out = set(range(numbers[-1] + 1)) - set(numbers)
    assert left_out == {gap.chain.seq - 2, gap.chain.seq - 1}, "one that was tried, and the one behind it"
