"""Turns a run of the scenario and threat tests into one page: what was tried, what came out, where it ends.

A test says what it stands for with `@proof(...)` and its figures with pytest's own `record_property`. Nothing on the
page is written by hand but the limits in `report_page.py`, and each of those names what it rests on.
"""

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted(ROOT.glob("tests/e2e/test_scenarios_*.py"))
THREATS = sorted(ROOT.glob("tests/e2e/test_threats*.py"))
SUITES = (  # heading, file: what else tries to break the same promises
    ("kill -9 of the queue's writer", "tests/faults/test_queue_kill.py"),
    ("kill -9 of the server under load", "tests/faults/test_server_kill.py"),
    ("images of the queue after power cuts, flipped bits", "tests/faults/test_queue_images.py"),
    ("a disk that fails at any write", "tests/faults/test_queue_disk.py"),
    ("torn log tails, full disks, old copies", "tests/faults/test_queue_power.py"),
    ("two servers on one database, both killed, the database crashed", "tests/faults/test_two_servers.py"),
    ("a server's store that cannot write", "tests/faults/test_server_store.py"),
    ("hostile posts", "tests/faults/test_hostile_posts.py"),
    ("a server that lies to a gateway", "tests/faults/test_uplink.py"),
    ("damaged proofs", "tests/unit/twin_wire/test_merkle.py"),
    ("damaged bytes into every decoder of evidence", "tests/fuzz/test_evidence_decoders.py"),
    ("every act against a log, a folder, a bundle", "tests/unit/twin_server/test_verify.py"),
    ("the stand-alone verifier", "tests/interop/test_stand_alone_verifier.py"),
    ("a witness, the log's side of it, the verifier's", "tests/unit/twin_server/test_witness.py"),
    ("peers we did not write read our bytes", "tests/interop/test_evidence_peers.py"),
    ("foreign credentials on every route", "tests/e2e/test_no_leak.py"),
)

T = TypeVar("T", bound=Callable[..., object])


class Proof(NamedTuple):
    """What one test stands for: `group` scenario or threat, its number, what is done, and what has to come out."""

    group: str
    number: int
    name: str
    passes: str


class Result(NamedTuple):
    """What came out of one test; `outcome` is pytest's, `figures` are (name, value)."""

    file: str
    test: str
    proof: Proof | None
    outcome: str  # passed, failed, skipped, xfailed, xpassed
    reason: str
    seconds: float
    figures: tuple[tuple[str, object], ...]


def proof(group: str, number: int, name: str, passes: str) -> Callable[[T], T]:
    """Mark a test with what it stands for."""

    def mark(function: T) -> T:
        function.proof = Proof(group, number, name, passes)  # type: ignore[attr-defined]
        return function

    return mark


def scenario(number: int, name: str, passes: str) -> Callable[[T], T]:
    """Mark a test as one of the numbered reliability scenarios."""
    return proof("scenario", number, name, passes)


def act(number: int, name: str, passes: str) -> Callable[[T], T]:
    """Mark a test as one act of the threat table."""
    return proof("threat", number, name, passes)


class Collected:
    """The pytest plugin: keeps one `Result` for each test that ran."""

    def __init__(self) -> None:
        self.results: list[Result] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
        """Note the outcome of a test's body, or of the set-up that kept it from running."""
        report = yield
        if call.when == "call" or (call.when == "setup" and report.outcome != "passed"):
            self.results.append(_result(item, report))
        elif call.when == "teardown" and report.outcome == "failed":
            self.results.append(_result(item, report)._replace(test=f"{item.name} (clean-up)"))
        return report


def _result(item: pytest.Item, report: pytest.TestReport) -> Result:
    expected = getattr(report, "wasxfail", None)
    outcome, reason = report.outcome, ""
    if expected is not None:
        outcome, reason = ("xfailed" if report.outcome == "skipped" else "xpassed"), str(expected)
    elif report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2])
    elif report.outcome == "failed":
        reason = str(report.longrepr).strip().splitlines()[-1][:300]
    path = str(item.path.relative_to(ROOT))
    said = getattr(getattr(item, "function", None), "proof", None)
    return Result(path, item.name, said, outcome, reason, report.duration, tuple(item.user_properties))


def main(words: list[str]) -> int:
    """Run the tests and write dist/evidence-report.md and .html; 0 only if nothing failed."""
    from tests.support.report_page import Run, write

    collected = Collected()
    chosen = [str(path) for path in (*SCENARIOS, *THREATS)] + [str(ROOT / path) for _, path in SUITES]
    long = "--long" in words
    marks = [] if long else ["-m", "not long"]
    began, begun_s = datetime.now(UTC), time.monotonic()
    code = pytest.main(["-q", *marks, *[w for w in words if w != "--long"], *chosen], plugins=[collected])
    run = Run(began, time.monotonic() - begun_s, long, collected.results)
    for path in write(run, ROOT / "dist"):
        sys.stdout.write(f"{path}\n")
    return int(code)


if __name__ == "__main__":
    from tests.support import report  # the module the tests import, not this copy of it

    sys.exit(report.main(sys.argv[1:]))
