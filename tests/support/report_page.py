"""The evidence report as a page: one table for scenarios, one for acts, one for the suites beside them, the limits."""

import html
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from tests.support.report import ROOT, SUITES, Result

SCENARIO_COUNT = 22
WORDS = {
    "passed": "holds",
    "failed": "FAILED",
    "xfailed": "not in the product",
    "xpassed": "FAILED: passes though it was said that it cannot",
    "skipped": "not run here",
}
LIMITS = (
    "A signature says who sealed a record and that it is unaltered since. It does not say that a reading is true.",
    "A wrapped, moved or detuned sensor is outside cryptography (act 8); neighbours, air flow, bump tests may tell.",
    "Whoever is root on the gateway before a batch is sealed decides what is sealed (act 8).",
    "A cloned box that replaces the original for good looks like the original (act 7). Until a key can live in a chip, "
    "only people on the site can tell; two boxes that both run are found at their first collision (act 6).",
    "A box fed by simulated hardware and enrolled as real is not found by any proof (act 9). What is left is the "
    "second party: an enrolment that nobody else has signed says `one party only` in the list of changes.",
    "A server can refuse to show anything, and a gateway can fall silent: both are shown, neither is prevented.",
    "Power cuts are simulated from recorded writes with sectors of 512 and 4,096 bytes, not made with real cards; "
    "pauses between attempts to send are shortened in the link scenarios; scenario 7 has every batch of "
    "its seven days in the long run, with three points instead of a thousand; instruments are simulated.",
    "Scenario 1 kills the gateway's keeping and sending half, fed faster than by instruments; the whole agent and "
    "the server are killed in tests/e2e/test_kills.py. The short run makes few of each fault: see the figures.",
    "Two servers share one database in scenario 16; that database's own standby is its operator's and not tried here.",
    "What is tested here was tested by those who wrote it. The bundles, the log's files and the verifier of 300 lines "
    "are there so that others need not rely on this page.",
)


class Run(NamedTuple):
    """One run of the tests behind the page."""

    began: datetime
    seconds: float
    long: bool
    results: Sequence[Result]


class Table(NamedTuple):
    """A heading, a line of text, the names of the columns and rows of plain text."""

    title: str
    text: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def write(run: Run, folder: Path) -> list[Path]:
    """Write evidence-report.md and .html into a folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = [_proofs(run, "scenario"), _proofs(run, "threat"), _suites(run)]
    pages = {"md": _markdown(run, tables), "html": _html(run, tables)}
    made = []
    for ending, text in pages.items():
        path = folder / f"evidence-report.{ending}"
        path.write_text(text, encoding="utf-8")
        made.append(path)
    return made


def summary(run: Run) -> list[str]:
    """Return what the run comes to, in a few sentences."""
    said = [r for r in run.results if r.proof is not None]
    missing = sorted(
        {f"{r.proof.group} {r.proof.number}" for r in said if r.proof and r.outcome == "xfailed"}, key=_natural
    )
    failed = sum(r.outcome in ("failed", "xpassed") for r in run.results)
    seen = {r.proof.number for r in said if r.proof and r.proof.group == "scenario"}
    absent = sorted(set(range(1, SCENARIO_COUNT + 1)) - seen)
    lines = [
        f"{len(run.results)} tests ran in {run.seconds:.0f} s; {failed} failed. The scenarios took "
        f"{_took(said, 'scenario'):.0f} s, the acts {_took(said, 'threat'):.0f} s.",
        f"Scenarios with a test: {len(seen)} of {SCENARIO_COUNT}"
        + (f"; none for {', '.join(map(str, absent))}." if absent else "."),
        f"Not in the product, wholly or in part, and marked so below: {', '.join(missing) or 'nothing'}.",
    ]
    if not run.long:
        lines.append(
            "This is the short run; `./dev evidence-report --long` does what the criteria ask in full numbers."
        )
    return lines


def _took(said: Sequence[Result], group: str) -> float:
    return sum(result.seconds for result in said if result.proof and result.proof.group == group)


def _natural(text: str) -> tuple[str, int]:
    group, number = text.split()
    return group, int(number)


def facts(run: Run) -> list[str]:
    """Return what was tested, when and on what."""
    return [
        f"Begun {run.began:%Y-%m-%d %H:%M} UTC on {platform.machine()}, Python {platform.python_version()}.",
        f"Sources: commit {_git('rev-parse', '--short=12', 'HEAD') or 'unknown'}"
        + (", with changes that are not committed." if _git("status", "--porcelain", "-uno") else "."),
        f"Cores: {os.cpu_count()}; processes at work at the end: {os.getloadavg()[0]:.1f}. Limits in seconds are "
        "those of an idle machine; where more processes than cores were at work they were stretched by that ratio.",
    ]


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _proofs(run: Run, group: str) -> Table:
    chosen = [r for r in run.results if r.proof is not None and r.proof.group == group]
    chosen.sort(key=lambda r: r.proof.number if r.proof else 0)
    rows = [
        (str(r.proof.number), r.proof.name, r.proof.passes, WORDS[r.outcome], _found(r), r.test)
        for r in chosen
        if r.proof is not None
    ]
    title = "Reliability scenarios" if group == "scenario" else "Acts of the threat table"
    text = "Each row is one test; what has to come out is asserted in it, the figures are what it measured."
    return Table(title, text, ("No.", "What is done", "What has to come out", "Result", "Figures", "Test"), rows)


def _found(result: Result) -> str:
    figures = "; ".join(f"{name}: {value}" for name, value in result.figures)
    return "; ".join(part for part in (figures, result.reason) if part)


def _suites(run: Run) -> Table:
    rows = []
    for title, path in SUITES:
        here = [r for r in run.results if r.file == path]
        bad = [r.test for r in here if r.outcome in ("failed", "xpassed")]
        idle = sum(r.outcome == "skipped" for r in here)
        result = (
            "FAILED: " + ", ".join(bad) if bad else f"{len(here) - idle} hold" + (f", {idle} not run" if idle else "")
        )
        tests = "; ".join(_sentence(r.test) for r in here if not r.figures) or "no test ran"
        tried = "; ".join(_found(r) for r in here if r.figures)
        rows.append((title, result, "; ".join(part for part in (tried, tests) if part), path))
    text = "What else tries to break the same promises. A test's name is the promise it keeps."
    return Table("Suites beside them", text, ("What", "Result", "Promises", "File"), rows)


def _sentence(test: str) -> str:
    return test.removeprefix("test_").replace("_", " ")


def _markdown(run: Run, tables: Iterable[Table]) -> str:
    lines = ["# Evidence report of Mine Twin", "", *facts(run), "", *(f"- {each}" for each in summary(run)), ""]
    for table in tables:
        lines += [f"## {table.title}", "", table.text, "", "| " + " | ".join(table.columns) + " |"]
        lines.append("|" + "---|" * len(table.columns))
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table.rows] + [""]
    lines += ["## Limits", "", *(f"- {each}" for each in LIMITS), ""]
    return "\n".join(lines)


STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:78rem;padding:0 1rem;color:#1b1f24}
table{border-collapse:collapse;width:100%;margin:1rem 0 2rem}th,td{border:1px solid #c8ccd2;padding:.35rem .5rem;
text-align:left;vertical-align:top}th{background:#eef0f3}td:last-child{font-size:12px;overflow-wrap:anywhere}
.failed{background:#fbd9d6}.missing{background:#fdf0cd}"""


def _html(run: Run, tables: Iterable[Table]) -> str:
    def items(texts: Iterable[str]) -> str:
        return "<ul>" + "".join(f"<li>{html.escape(text)}</li>" for text in texts) + "</ul>"

    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Evidence report of Mine Twin</title>',
        f"<style>{STYLE}</style><h1>Evidence report of Mine Twin</h1>",
        *(f"<p>{html.escape(text)}</p>" for text in facts(run)),
        items(summary(run)),
    ]
    for table in tables:
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in table.columns)
        body = "".join(
            f"<tr{_class(row)}>{''.join(f'<td>{html.escape(c)}</td>' for c in row)}</tr>" for row in table.rows
        )
        parts.append(f"<h2>{table.title}</h2><p>{table.text}</p><table><tr>{head}</tr>{body}</table>")
    return "\n".join([*parts, "<h2>Limits</h2>", items(LIMITS), "</html>\n"])


def _class(row: Sequence[str]) -> str:
    if any(cell.startswith("FAILED") for cell in row):
        return ' class="failed"'
    return ' class="missing"' if WORDS["xfailed"] in row else ""
