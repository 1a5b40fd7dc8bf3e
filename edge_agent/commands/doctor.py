"""`edge-agent doctor`: what is well and what is not, with advice."""

import argparse
import asyncio

from edge_agent.commands.say import config_argument, say
from edge_agent.config import load_config
from edge_agent.doctor import examine

EPILOG = """While the agent runs, its counters tell about the wires. Otherwise --wiring asks every Modbus device some
questions: only when no other master is on the bus. Error patterns point to power, A/B, echo, termination, bias, speed.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the configuration and whether instruments may be asked."""
    parser.epilog = EPILOG
    config_argument(parser)
    parser.add_argument("--wiring", action="store_true", help="ask the devices of serial lines that nobody polls")


def run(given: argparse.Namespace) -> int:
    """Print every finding; 1 if one of them is not well."""
    findings = asyncio.run(examine(load_config(given.config), given.wiring))
    for finding in findings:
        say(f"{'!!' if finding.advice else 'ok'}  {finding.what}: {finding.seen}")
        if finding.advice:
            say(f"      {finding.advice}")
    return 1 if any(finding.advice for finding in findings) else 0
