"""`edge-agent alarm-test`: does an alarm get from here into the log, and does its receipt come back?"""

import argparse
import asyncio

from edge_agent.ask_page import running_agent
from edge_agent.commands.say import config_argument, say
from edge_agent.config import Config, load_config

EPILOG = """Needs the agent running on the same configuration. A test event is sealed and sent as an alarm is; its rule
(alarm_test) and text say that it is none. The receipt proves its place in the server's log.
"""
WAIT_S = 30.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the configuration and who tests."""
    parser.epilog = EPILOG
    config_argument(parser)
    parser.add_argument("--by", required=True, metavar="ID", help="your id, not your name")
    parser.add_argument("--wait", type=float, default=WAIT_S, metavar="S", help=f"for the receipt ({WAIT_S:g} s)")


def run(given: argparse.Namespace) -> int:
    """Test; 0 if the receipt came."""
    return asyncio.run(_test(load_config(given.config), given))


async def _test(config: Config, given: argparse.Namespace) -> int:
    async with running_agent(config) as agent:
        made = (await agent.order("/api/alarm-test", {"by": given.by}))["alarm_test"]
        say(f"test event sealed as {made['epoch']}/{made['seq']}")
        return say_receipt(await agent.receipt("alarm_test", given.wait))


def say_receipt(found: dict[str, object]) -> int:
    """Print where a statement lies in the log; 0 if that is proved."""
    if found["state"] == "proved":
        say(f"receipt: entry {found['index']} of the log, proved in the tree of {found['size']} entries")
        return 0
    if found["state"] == "held":
        say("the server holds it, but its receipt was lost on the way; test again")
    else:
        say("waiting for the link: it is sealed and kept here, and goes first when the server is reached")
    return 1
