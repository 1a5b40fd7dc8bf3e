"""`edge-agent identify`: what instrument is this unit."""

import argparse
import asyncio
import sys
from pathlib import Path

from edge_agent.claim import Setting, refuse_heard_only, target_of
from edge_agent.commands.say import say
from edge_agent.config import load_config
from edge_agent.guess import REASONS
from edge_agent.identify import LOOK_AGAIN_S, SURVEY_REGISTERS, WAIT_S, Identified, identify

EPILOG = """examples:
  edge-agent identify /dev/ttyUSB0 --unit 3 --baud 9600 --parity N
  edge-agent identify 10.0.0.7 --unit 1 --from 100 --count 60

It asks for the identification (function 43/14), reads what each known profile would read, and shows for every profile
what speaks for it and against it. Then it reads registers twice, some seconds apart, and guesses at type and order:
compare the guesses with the instrument's display. Next: edge-agent map PROFILE …
"""
OBJECTS = {0: "vendor", 1: "product", 2: "revision", 3: "home page", 4: "product name", 5: "model"}
SHOWN = 3


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the target, its setting and what to look at."""
    parser.epilog = EPILOG
    parser.add_argument("target", metavar="PORT|HOST[:PORT]", help="as for scan")
    parser.add_argument("--unit", type=int, required=True, help="as scan found it")
    parser.add_argument("--baud", type=int, default=9600)
    parser.add_argument("--parity", choices=("N", "E", "O"), default="N")
    parser.add_argument("--stop-bits", type=int, choices=(1, 2), default=1)
    parser.add_argument("--rtu", action="store_true", help="HOST is a converter with a serial line behind it")
    parser.add_argument("--wait", type=float, default=WAIT_S, metavar="S", help=f"for an answer (default {WAIT_S} s)")
    parser.add_argument("--from", dest="first", type=int, default=0, help="first wire address to guess at (default 0)")
    parser.add_argument("--count", type=int, default=SURVEY_REGISTERS, help=f"registers (default {SURVEY_REGISTERS})")
    parser.add_argument("--again", type=float, default=LOOK_AGAIN_S, metavar="S", help="between the two looks")
    parser.add_argument("--all", action="store_true", help="show every profile and every register")
    parser.add_argument("--config", type=Path, help="gateway.toml: refuse its links that only listen")


def run(given: argparse.Namespace) -> int:
    """Identify and print; 0 if a profile fits."""
    target = target_of(given.target)
    if given.config:
        refuse_heard_only(target, load_config(given.config))
    setting = Setting(given.baud, given.parity, given.stop_bits)

    def tell(text: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{text}")

    found = asyncio.run(
        identify(
            target,
            setting,
            given.unit,
            tell,
            wait_s=given.wait,
            again_s=given.again,
            rtu=given.rtu,
            first=given.first,
            count=given.count,
        )
    )
    tell("")
    _say_identity(found)
    fits = _say_matches(found, given)
    _say_registers(found, given)
    return 0 if fits else 1


def _say_identity(found: Identified) -> None:
    if not found.identity:
        say("it does not tell who it is (function 43/14)")
    for number, text in ((number, text) for number, text in found.identity.items() if text):
        say(f"it says: {OBJECTS.get(number, f'object {number}')} {text}")


def _say_matches(found: Identified, given: argparse.Namespace) -> bool:
    fitting = [match for match in found.matches if match.weight > 0]
    for match in found.matches if given.all else fitting[:SHOWN]:
        profile = match.profile
        say(f"{profile.id}  {profile.vendor} {profile.model}: fits {match.share:.0%}")
        for each in match.evidence:
            sign = "+" if each.weight > 0 else "-" if each.weight < 0 else " "
            frame = f"   [{each.frame}]" if each.frame else ""
            say(f"  {sign} {each.what}: {each.seen}{frame}")
    if not fitting:
        say("no profile fits: see the registers below and write one (drivers/README.md), with the vendor's table")
        return False
    best = fitting[0].profile.id
    rival = fitting[1] if len(fitting) > 1 else None
    if rival and rival.share >= fitting[0].share:
        say(f"not decided: {rival.profile.id} fits as well; look at the type plate")
    where = f"--port {given.target} --baud {given.baud} --parity {given.parity}"
    if not target_of(given.target).port:
        where = f"--host {given.target}"
    say(f"next: edge-agent map {best} --config gateway.toml --device ID --unit {given.unit} {where}")
    return True


def _say_registers(found: Identified, given: argparse.Namespace) -> None:
    for function, guessed in found.guesses.items():
        say(f"function {function}:  address  hex        guess")
        values = found.registers[function]
        for guess in guessed:
            if guess.reasons[:1] in (("zero",), ("not_used",)) and not given.all:
                continue
            wide = guess.type[1:] == "32" and guess.address + 1 in values
            words = [values[guess.address], *([values[guess.address + 1]] if wide else [])]
            shown = guess.value if isinstance(guess.value, str) else f"{guess.value:g}"
            order = f" {guess.order}" if wide else ""
            why = "; ".join(REASONS[reason] for reason in guess.reasons)
            hexes = " ".join(f"{word:04x}" for word in words)
            say(f"  {guess.address:12}  {hexes:9}  {guess.type}{order} {shown}  ({why})")
