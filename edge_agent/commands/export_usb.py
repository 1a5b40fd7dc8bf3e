"""`edge-agent export-usb`: what the server lacks onto a memory stick, while the agent runs or not."""

import argparse
import asyncio
from pathlib import Path

from buffering.queue import Queue
from buffering.room import Gap
from buffering.rows import Entry, Position
from edge_agent.ask_page import running_agent
from edge_agent.commands.say import config_argument, say
from edge_agent.config import Config, load_config
from edge_agent.doctor import running_state
from edge_agent.stick import Stick, fill_stick
from twin_wire.errors import StoreError
from twin_wire.statement import encode_envelope

EPILOG = """Take the folder to a machine that reaches the server and run there: twin-server import DIR --server URL
Interrupted, the same command goes on. Nothing is deleted here: the gateway sends it too when the link is back.
With the agent running its page is asked, so [page] listen has to be set; what is in memory alone is not copied.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the configuration and the folder on the stick."""
    parser.epilog = EPILOG
    config_argument(parser)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder on the stick; made if it is not there")


def run(given: argparse.Namespace) -> int:
    """Copy everything unsent; 0 when the stick holds it all."""
    config = load_config(given.config)
    return asyncio.run(_export(config, Stick(given.folder, config.gateway.id), given.folder))


async def _export(config: Config, stick: Stick, folder: Path) -> int:
    running = await running_state(config)
    if running is not None:
        async with running_agent(config) as agent:
            copied = await fill_stick(stick, agent.unsent, running["sync"]["unsent"], say)
    else:
        queue = Queue(config.state / "queue.db", _nothing, config.quota_bytes)
        try:

            async def fetch(after: int) -> bytes:
                return b"".join(encode_envelope(o.statement, o.body) for o in queue.unsent_after(after))

            copied = await fill_stick(stick, fetch, queue.unsent(), say)
        finally:
            queue.close()
    say(f"{copied} batches copied to {folder}; it is safe to take the stick out after unmounting it")
    return 0


def _nothing(position: Position, gap: Gap) -> Entry:
    raise StoreError(f"a copy seals nothing, not even a {gap.reason} record as number {position.seq}")
