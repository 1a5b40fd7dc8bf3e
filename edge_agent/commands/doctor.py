"""`edge-agent doctor`: what is well and what is not, with advice."""

import argparse
import asyncio

from edge_agent.commands.say import config_argument, say
from edge_agent.config import load_config
from edge_agent.doctor import examine

arguments = config_argument


def run(given: argparse.Namespace) -> int:
    """Print every finding; 1 if one of them is not well."""
    findings = asyncio.run(examine(load_config(given.config)))
    for finding in findings:
        say(f"{'!!' if finding.advice else 'ok'}  {finding.what}: {finding.seen}")
        if finding.advice:
            say(f"      {finding.advice}")
    return 1 if any(finding.advice for finding in findings) else 0
