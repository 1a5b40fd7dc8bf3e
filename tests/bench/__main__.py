"""`./dev bench`: every bench_*.py here, each line a figure and its ratio to a baseline of the same run."""

import importlib
import sys
from pathlib import Path

Row = tuple[str, str, str, float]


def main(words: list[str]) -> int:
    """Run the benches whose name contains one of the words (all without words); medians, one process."""
    names = sorted(p.stem for p in Path(__file__).parent.glob("bench_*.py"))
    for name in [n for n in names if not words or any(w in n for w in words)]:
        sys.stdout.write(f"\n{name}\n")
        rows: list[Row] = importlib.import_module(f"tests.bench.{name}").run()
        for what, value, baseline, ratio in rows:
            sys.stdout.write(f"  {what:<52} {value:>16}   {ratio:8.2f} x {baseline}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
