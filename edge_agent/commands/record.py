"""`edge-agent record`: write down what is said on a bus that another master polls, without saying anything."""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from edge_agent.claim import Setting, target_of
from edge_agent.clock import SystemClock
from edge_agent.commands.say import say
from edge_agent.record import MEGABYTES_MAX, Plan, Progress, Recorder, run_recorder

EPILOG = """examples:
  edge-agent record /dev/serial/by-path/… --baud 9600 --parity E --seconds 600 --out bus.capture
  edge-agent record 10.0.0.7:4001 --baud 9600 --out bus.capture     the monitor port of a converter

It never transmits: the port is opened for reading alone. Ctrl-C ends it and keeps what was heard.
next: edge-agent learn bus.capture         what the master reads there, and what it may mean
      hardware-sim replay bus.capture …    the same bus again, without the devices
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the port, its settings and the file."""
    parser.epilog = EPILOG
    parser.add_argument("target", metavar="PORT|HOST:PORT", help="serial port, or monitor port of a converter")
    parser.add_argument("--baud", type=int, default=9600, help="speed (default 9600)")
    parser.add_argument("--parity", choices=("N", "E", "O"), default="N", help="parity (default N)")
    parser.add_argument("--stop-bits", type=int, choices=(1, 2), default=1, help="stop bits (default 1)")
    parser.add_argument("--seconds", type=float, default=600.0, metavar="S", help="how long (default 600; 0 no end)")
    parser.add_argument("--megabytes", type=float, default=64.0, help=f"at most (default 64, up to {MEGABYTES_MAX})")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a new file")


def run(given: argparse.Namespace) -> int:
    """Record; 0 if anything was heard."""
    setting = Setting(given.baud, given.parity, given.stop_bits)
    plan = Plan(target_of(given.target), setting, given.seconds, given.out, given.megabytes)
    recorder = Recorder(plan, SystemClock(), _tell)

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        recorder.stop()

    before = {number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        run_recorder(recorder)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K")
    done = recorder.progress
    say(f"{given.out}: {_text(done)}")
    if recorder.full:
        say(f"it is full ({given.megabytes:g} MB); --megabytes allows more")
    if not done.heard_bytes:
        say("nothing was heard: is the bus's master running? A and B wired, ground joined?")
        return 1
    if not done.questions:
        say("no whole question was among it: another --baud or --parity? A and B swapped?")
    say(f"next: edge-agent learn {given.out}")
    return 0


def _tell(now: Progress) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{_text(now)}")
    elif round(now.seconds) % 10 == 0:
        sys.stderr.write(f"{_text(now)}\n")
    sys.stderr.flush()


def _text(now: Progress) -> str:
    units = f" to units {', '.join(map(str, now.units))}" if now.units else ""
    return (
        f"{now.seconds:.0f} s, {now.heard_bytes} bytes heard, {now.questions} questions{units}, "
        f"{now.tied} answers tied to theirs, file {now.file_bytes / 1e3:.0f} kB"
    )
