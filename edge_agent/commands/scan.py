"""`edge-agent scan`: who is on this bus."""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from edge_agent.claim import refuse_heard_only, target_of
from edge_agent.commands.say import say
from edge_agent.config import load_config
from edge_agent.scan import LISTEN_S, WAIT_S, Plan, Progress, Scan, settings_of, units_of

WARNING = "This asks on the bus. Only when no other master is on it: two masters spoil each other's readings."
EPILOG = """examples:
  edge-agent scan /dev/serial/by-path/…-usb-0:1.4:1.0-port0
  edge-agent scan /dev/ttyUSB0 --baud 9600 --units 1-32
  edge-agent scan 10.0.0.7:502                     Modbus TCP
  edge-agent scan 10.0.0.7:4001 --rtu --baud 9600  a serial line behind a converter

It listens first, tries the likely settings and units first, and stays with the first setting that works.
Ctrl-C ends it and keeps what was found. It refuses a port that another process holds.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the target and what is known of it."""
    parser.epilog = EPILOG
    parser.add_argument("target", metavar="PORT|HOST[:PORT]", help="serial port, or address of a Modbus TCP device")
    parser.add_argument("--baud", type=int, help="only this speed")
    parser.add_argument("--parity", choices=("N", "E", "O"), help="only this parity")
    parser.add_argument("--units", default="", help="only these, such as 1-20,126")
    parser.add_argument("--wait", type=float, default=WAIT_S, metavar="S", help=f"for an answer (default {WAIT_S} s)")
    parser.add_argument("--listen", type=float, default=LISTEN_S, metavar="S", help=f"first (default {LISTEN_S:g} s)")
    parser.add_argument("--rtu", action="store_true", help="HOST is a converter with a serial line behind it")
    parser.add_argument("--config", type=Path, help="gateway.toml: refuse its links that only listen")
    parser.add_argument("--i-am-the-only-master", action="store_true", help="do not listen first")


def run(given: argparse.Namespace) -> int:
    """Scan; 0 if anybody was found."""
    target = target_of(given.target)
    if given.config:
        refuse_heard_only(target, load_config(given.config))
    plan = Plan(
        settings=settings_of(given.baud, given.parity),
        units=units_of(given.units),
        wait_s=given.wait,
        listen_s=given.listen,
        only_master=given.i_am_the_only_master,
        rtu=given.rtu,
    )
    say(WARNING)
    if target.port and not plan.only_master:
        say(f"listening for {plan.listen_s:g} s before the first question …")
    scan = Scan(target, plan, _Teller().tell)

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        scan.stop()

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        scan.run()
    finally:
        signal.signal(signal.SIGINT, before)
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K")
    return _result(scan, given)


class _Teller:
    """Shows how far it is: on a terminal in one line that moves, else a line per setting."""

    def __init__(self) -> None:
        self._setting = ""

    def tell(self, now: Progress) -> None:
        """Show the progress."""
        text = f"{now.setting}  unit {now.unit:3}  {now.done} of {now.planned}, about {now.left_s:.0f} s left"
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{text}")
        elif now.setting != self._setting:
            sys.stderr.write(f"{text}\n")
        self._setting = now.setting


def _result(scan: Scan, given: argparse.Namespace) -> int:
    for found in scan.found:
        setting = f"  {found.setting}" if found.setting else ""
        say(f"unit {found.unit}{setting}  function {found.function}: {found.said}")
    if scan.ignores_unit:
        say("the device answers whatever unit is asked: it is one device, use unit 1")
    if not scan.found:
        say("nobody answered")
        say("  check power, A/B (swap the two wires), the common ground, and that the device speaks Modbus RTU")
        if scan.noise:
            say(f"  bytes came that were no answer at: {', '.join(scan.noise)}: nearly the right speed, or two devices")
            say("  with one unit number talking at once")
        return 1
    first = scan.found[0]
    flags = ["--rtu"] if given.rtu else []
    if first.setting:
        flags += [f"--baud {first.setting.baud}", f"--parity {first.setting.parity}"]
    say(f"next: edge-agent identify {given.target} --unit {first.unit} {' '.join(flags)}".rstrip())
    return 0
