"""`edge-agent label`: what belongs on the box: who it is, its key, and how its page is known on the LAN."""

import argparse
import asyncio

from edge_agent.commands.say import config_argument, say
from edge_agent.config import is_loopback, listen_address, load_config
from edge_agent.doctor import running_state
from edge_agent.identity import load_identity
from edge_agent.page_tls import ensure_certificate
from twin_wire.errors import ConfigError, StoreError
from twin_wire.keys import kid_text

arguments = config_argument


def run(given: argparse.Namespace) -> int:
    """Print the lines of the label; makes the page's certificate if the page is open to the LAN and has none."""
    config = load_config(given.config)
    say(f"gateway      {config.gateway.id}")
    say(f"site         {config.gateway.site}")
    running = asyncio.run(running_state(config))
    try:
        key_id = running["key_id"] if running else kid_text(load_identity(config)[1].public.kid)
        say(f"key id       {key_id}")
    except (ConfigError, StoreError) as error:
        say(f"key id       none: {error}")
    where = listen_address(config.page.listen) if config.page.listen else None
    if where is None:
        say("page         none")
    elif is_loopback(where[0]):
        say(f"page         http://{config.page.listen}, on the box itself alone")
    else:
        say(f"page         https://{config.page.listen}")
        say(f"certificate  SHA-256 {ensure_certificate(config.state, config.gateway.id, where[0])}")
        say("             the browser warns once: compare this fingerprint before you go on")
    return 0
