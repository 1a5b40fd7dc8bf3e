"""`edge-agent check`: every fault of the configuration at once, or what the gateway will do."""

import argparse
import asyncio

from edge_agent.commands.say import checked_config, config_argument, say
from edge_agent.config import Config
from edge_agent.load import link_loads, load_advice, load_text
from edge_agent.manifest import build_manifest, software
from twin_wire.manifest import encode_manifest
from twin_wire.ruleset import unarmed_for

arguments = config_argument


def run(given: argparse.Namespace) -> int:
    """Print what the configuration means; ConfigError with all its faults."""
    config = checked_config(given.config)
    manifest = build_manifest(config, "not-enrolled", False, software())
    say(f"gateway {manifest.gateway} of site {manifest.site}")
    say(f"{len(manifest.points)} points in {len(manifest.groups)} groups, {len(manifest.anchors)} anchors")
    say(f"manifest {len(encode_manifest(manifest))} bytes, ruleset {manifest.ruleset or 'none'}")
    loads = dict(asyncio.run(link_loads(config)))
    for link in config.links:
        say(f"link {link.id}  {link.kind}  {load_text(loads[link.id]) if link.id in loads else ''}".rstrip())
        if link.id in loads and load_advice(loads[link.id]):
            say(f"  warning: {load_advice(loads[link.id])}")
        _say_devices(config, link.id)
    unarmed = {
        (p.row.place, rule.quantity, rule.role, rule.value, rule.unit)
        for p in config.points
        if p.row.place and config.site.ruleset
        for rule in unarmed_for(config.site.ruleset, p.signal.quantity, p.row.place)
    }
    for place, quantity, role, value, unit in sorted(unarmed):
        say(f"not armed: {role} of {quantity} at {place}, {value:g} {unit}: nobody has confirmed this number")
    say("no fault")
    return 0


def _say_devices(config: Config, link: str) -> None:
    for device in (d for d in config.devices if d.link == link):
        profile = config.profiles[device.profile]
        say(f"  device {device.id}  unit {device.unit}  every {device.period_s:g} s  {profile.id} ({profile.rung})")
        for point in (p for p in config.points if p.row.device == device.id):
            limits = "  ".join(f"{k.kind} {k.value:g} (severity {k.severity}, {k.source})" for k in point.limits)
            say(f"    {point.row.point}  {point.signal.quantity} {point.signal.unit}  {limits}")
