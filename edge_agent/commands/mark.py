"""`edge-agent mark`: log that a point is being calibrated or is bypassed, or that there is blasting."""

import argparse

from edge_agent.clock import SystemClock
from edge_agent.commands.say import config_argument, say
from edge_agent.config import load_config
from edge_agent.marks import order
from twin_wire.errors import ConfigError
from twin_wire.mark import SPAN_MS_MAX, Mark

WHAT = ("calibrating", "bypass", "blasting")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add which point, what and how long, and who says so."""
    config_argument(parser)
    parser.add_argument("point", help="the point's id in points.csv")
    parser.add_argument("what", choices=WHAT)
    parser.add_argument("--minutes", type=float, default=30.0, help="it ends by itself after so long (30)")
    parser.add_argument("--end", action="store_true", help="it is over now")
    parser.add_argument("--by", required=True, help="your id: never a name, it stays in the log for good")
    parser.add_argument("--reason", required=True, help="why, for the log: no names of people")


def run(given: argparse.Namespace) -> int:
    """Leave the mark for the running agent, which seals it within a second; limits go on acting on the point."""
    config = load_config(given.config)
    points = [point.row.point for point in config.points]
    if given.point not in points:
        raise ConfigError(f"no point {given.point!r}", f"known: {', '.join(points[:12])}", (("point", given.point),))
    now_ms = SystemClock().time_us() // 1_000
    until_ms = now_ms + round(min(max(given.minutes * 60_000, 0), 2 * SPAN_MS_MAX))
    if given.end:
        until_ms = now_ms + 1
    end_ms = now_ms if given.end else 0
    mark = Mark(
        point=given.point,
        what=given.what,
        begin_ms=now_ms,
        until_ms=until_ms,
        end_ms=end_ms,
        by=given.by,
        reason=given.reason,
    )
    order(config.state, mark)
    span = "has ended" if given.end else f"for {given.minutes:g} min"
    say(f"{given.what} of {given.point} {span}: the running agent seals it within a second")
    say("limits go on acting on the point; the mark shows in the quality of its readings and in the log")
    return 0
