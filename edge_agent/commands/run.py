"""`edge-agent run`: the gateway at work."""

import argparse
import asyncio

from edge_agent.agent import AGAIN, work
from edge_agent.commands.say import checked_config, config_argument
from edge_agent.identity import load_identity

arguments = config_argument


def run(given: argparse.Namespace) -> int:
    """Poll, seal and send until stopped; begin anew when the installer's page asks for it."""
    code = AGAIN
    while code == AGAIN:
        config = checked_config(given.config)
        identity, key = load_identity(config)
        code = asyncio.run(work(config, identity, key, given.config))
    return code
