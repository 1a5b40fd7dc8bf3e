"""`edge-agent backtest`: run the gateway's detection over recorded or simulated episodes and write its verdicts."""

import argparse
import os
import sys
import time
from pathlib import Path

from edge_agent.commands.say import say
from twin_wire.errors import ConfigError

EPILOG = """DIR holds
  site.json          {"points": [{"id", "quantity", "unit", "place", "group", "range", "resolution", "t90_s", "limits",
                     "role"}], "edges": [[from, to]]}; what is missing or unknown is handled by its behaviour
  commission/*.npz   ordinary work to learn from: time_s [T], values [T, C], NaN where there was no sample
  episodes/*.npz     each is judged from the learnt model with fresh state; optional marks, a JSON string of
                     [{"time_s", "end_s", "point", "kind": calibrating | blasting | bypass}]
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is judged, how the rows are handed over, and what is written."""
    parser.epilog = EPILOG
    parser.add_argument("folder", type=Path, metavar="DIR", help="site.json, commission/ and episodes/")
    parser.add_argument("--out", type=Path, required=True, metavar="CSV", help="the verdicts, one line as each begins")
    parser.add_argument("--rows-per-call", default="0", metavar="N", help="rows a call, or random (changes nothing)")
    parser.add_argument("--seed", type=int, default=0, help="seed of --rows-per-call random")
    parser.add_argument("--limits", action="store_true", help="tell alarms of limits too, as kind limit")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write an HTML page with a plot per verdict")
    parser.add_argument("--chinese", action="store_true", help="sentences in Chinese")
    parser.add_argument("--workers", type=int, default=0, help="processes (default: as many as cores)")


def run(given: argparse.Namespace) -> int:
    """Learn, judge, write; progress goes to standard error."""
    from edge_agent import backtest  # numba and numpy are for this command only

    rows = -1 if given.rows_per_call == "random" else _rows(given.rows_per_call)
    plan = backtest.Plan(rows, given.seed, given.limits, given.chinese)
    begun_s = time.perf_counter()

    def tell(text: str) -> None:
        sys.stderr.write(f"[{time.perf_counter() - begun_s:6.1f} s] {text}\n")

    model, lines = backtest.run(given.folder, plan, tell, given.workers or os.cpu_count() or 1)
    backtest.write_lines(given.out, lines)
    if given.report:
        from edge_agent.backtest_report import write_report

        say(f"wrote {write_report(given.folder, given.report, model, lines)}")
    counts = {kind: sum(line.kind == kind for line in lines) for kind in ("hazard", "fault", "tamper", "benign")}
    told = ", ".join(f"{number} {kind}" for kind, number in counts.items())
    say(f"wrote {given.out}: {told}; model {model.version}, {len(model.site.channels)} channels")
    return 0


def _rows(text: str) -> int:
    if not text.isdecimal():
        raise ConfigError(f"--rows-per-call {text!r}: a number of rows, or random")
    return int(text)
