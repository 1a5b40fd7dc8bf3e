"""`edge-agent certificate`: the sealed end of a commissioning: who, what, and what each instrument said."""

import argparse
import asyncio
from hashlib import sha256
from pathlib import Path

from edge_agent.ask_page import running_agent
from edge_agent.commands.alarm_test import WAIT_S, say_receipt
from edge_agent.commands.say import config_argument, say
from edge_agent.commission import ROLES
from edge_agent.config import Config, load_config
from twin_wire.errors import ConfigError

EPILOG = """Needs the agent running on the same configuration. The certificate holds your id and role (never a name),
each instrument with its newest question, answer and values, the manifest in force, the newest alarm test, and the
SHA-256 of photographs; the photographs themselves stay with you. The regulator finds it among the site's changes.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the configuration, who ends the work, and photographs."""
    parser.epilog = EPILOG
    config_argument(parser)
    parser.add_argument("--by", required=True, metavar="ID", help="your id, not your name")
    parser.add_argument("--role", required=True, choices=ROLES)
    parser.add_argument("--photo", action="append", type=Path, default=[], metavar="FILE", help="may be repeated")
    parser.add_argument("--wait", type=float, default=WAIT_S, metavar="S", help=f"for the receipt ({WAIT_S:g} s)")


def run(given: argparse.Namespace) -> int:
    """Seal the certificate; 0 if its receipt came."""
    photos = [_hash_of(path) for path in given.photo]
    return asyncio.run(_certify(load_config(given.config), given, photos))


async def _certify(config: Config, given: argparse.Namespace, photos: list[str]) -> int:
    async with running_agent(config) as agent:
        body = {"by": given.by, "role": given.role, "photos": photos}
        made = (await agent.order("/api/certificate", body))["certificate"]
        say(f"certificate sealed as {made['epoch']}/{made['seq']}")
        for path, digest in zip(given.photo, photos, strict=True):
            say(f"photo {digest}  {path}")
        return say_receipt(await agent.receipt("certificate", given.wait))


def _hash_of(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        text = f"{path} cannot be read: {error.strerror}"
        raise ConfigError(text, faults=(("--photo", text),)) from error
