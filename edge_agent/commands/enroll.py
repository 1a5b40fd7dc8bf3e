"""`edge-agent enroll`: this gateway's key and its enrol statement, from a voucher."""

import argparse

from edge_agent.clock import SystemClock
from edge_agent.commands.say import checked_config, config_argument, say
from edge_agent.identity import enroll, now_s, voucher_from
from edge_agent.manifest import software


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the configuration and the voucher."""
    config_argument(parser)
    parser.add_argument("--voucher", required=True, help="the voucher's file, or its line MTV1.…")


def run(given: argparse.Namespace) -> int:
    """Enroll; print the key id that people compare on both screens."""
    config = checked_config(given.config)
    voucher = voucher_from(given.voucher, now_s())
    identity, key_id, new = enroll(config, voucher, software(), SystemClock())
    say(f"{'enrolled' if new else 'already enrolled'}: gateway {identity.gateway} of {identity.enterprise}")
    say(f"epoch   {identity.epoch}")
    say(f"server  {identity.server}")
    say(f"key id  {key_id}   compare it with the server's screen")
    say("next    edge-agent run " + str(given.config))
    return 0
