"""The command `edge-agent`: check, enroll, run and doctor; exit 0 well, 1 failed, 2 the configuration has faults."""

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from edge_agent.agent import work
from edge_agent.clock import SystemClock
from edge_agent.config import Config, load_config
from edge_agent.doctor import examine, open_sources
from edge_agent.identity import enroll, load_identity, now_s, voucher_from
from edge_agent.manifest import build_manifest, software
from twin_wire.errors import ConfigError, Error
from twin_wire.manifest import encode_manifest
from twin_wire.ruleset import unarmed_for

EPILOG = """the usual order:
  edge-agent check gateway.toml          every fault of gateway.toml and points.csv at once, with its place
  edge-agent doctor gateway.toml         ports, permissions, clock, disk, keys, server: what is well and what is not
  edge-agent enroll gateway.toml --voucher FILE_OR_LINE
                                         makes this gateway's key; works without a link; compare the key id shown
                                         here with the one on the server's screen
  edge-agent run gateway.toml            polls, seals and sends until SIGTERM; the installer's page is at the address
                                         in [page] listen

exit codes: 0 well, 1 failed (the log says why), 2 the configuration has faults, every one printed
"""


def main() -> None:
    """Run the command line and exit."""
    arguments = _parser().parse_args()
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    if arguments.verbose:
        for name in ("edge_agent", "drivers", "buffering"):
            logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        code = arguments.act(load_config(arguments.config), arguments)
    except BrokenPipeError:  # the reader of our output has gone, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except ConfigError as error:
        _print_faults(error)
        code = 2
    except Error as error:
        print(f"edge-agent: {error}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        code = 1
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-agent",
        description="Reads a mine's instruments, signs what they say, keeps it through power and link cuts, sends it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=software())
    parser.add_argument("--verbose", action="store_true", help="log more")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, act, text in (
        ("check", _check, "check gateway.toml and everything it names; print what the gateway will do"),
        ("enroll", _enroll, "make this gateway's key and its enrol statement from a voucher; needs no link"),
        ("run", _run, "poll, seal and send until SIGTERM or Ctrl-C"),
        ("doctor", _doctor, "look at ports, permissions, clock, disk, keys and server"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("config", type=Path, help="gateway.toml")
        command.set_defaults(act=act)
        if name == "enroll":
            command.add_argument("--voucher", required=True, help="the voucher's file, or its line MTV1.…")
    return parser


def _print_faults(error: ConfigError) -> None:
    print(f"edge-agent: {error}", file=sys.stderr)
    for path, message in error.faults:
        print(f"  {path}: {message}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)


def _refuse_unreadable(config: Config) -> None:
    findings = asyncio.run(open_sources(config))
    if findings:
        faults = tuple((finding.what, finding.seen) for finding in findings)
        raise ConfigError(f"{len(faults)} fault(s) found by the drivers", findings[0].advice, faults)


def _check(config: Config, _: argparse.Namespace) -> int:
    _refuse_unreadable(config)
    manifest = build_manifest(config, "not-enrolled", False, software())
    print(f"gateway {manifest.gateway} of site {manifest.site}")
    print(f"{len(manifest.points)} points in {len(manifest.groups)} groups, {len(manifest.anchors)} anchors")
    print(f"manifest {len(encode_manifest(manifest))} bytes, ruleset {manifest.ruleset or 'none'}")
    for link in config.links:
        print(f"link {link.id}  {link.kind}")
        for device in (d for d in config.devices if d.link == link.id):
            profile = config.profiles[device.profile]
            print(
                f"  device {device.id}  unit {device.unit}  every {device.period_s:g} s  {profile.id} ({profile.rung})"
            )
            for point in (p for p in config.points if p.row.device == device.id):
                limits = "  ".join(f"{k.kind} {k.value:g} (severity {k.severity}, {k.source})" for k in point.limits)
                print(f"    {point.row.point}  {point.signal.quantity} {point.signal.unit}  {limits}")
    unarmed = {
        (p.row.place, rule.quantity, rule.role, rule.value, rule.unit)
        for p in config.points
        if p.row.place and config.site.ruleset
        for rule in unarmed_for(config.site.ruleset, p.signal.quantity, p.row.place)
    }
    for place, quantity, role, value, unit in sorted(unarmed):
        print(f"not armed: {role} of {quantity} at {place}, {value:g} {unit}: nobody has confirmed this number")
    print("no fault")
    return 0


def _enroll(config: Config, arguments: argparse.Namespace) -> int:
    _refuse_unreadable(config)
    voucher = voucher_from(arguments.voucher, now_s())
    identity, key_id, new = enroll(config, voucher, software(), SystemClock())
    print(f"{'enrolled' if new else 'already enrolled'}: gateway {identity.gateway} of {identity.enterprise}")
    print(f"epoch   {identity.epoch}")
    print(f"server  {identity.server}")
    print(f"key id  {key_id}   compare it with the server's screen")
    print("next    edge-agent run " + str(arguments.config))
    return 0


def _run(config: Config, _: argparse.Namespace) -> int:
    _refuse_unreadable(config)
    identity, key = load_identity(config)
    return asyncio.run(work(config, identity, key))


def _doctor(config: Config, _: argparse.Namespace) -> int:
    findings = asyncio.run(examine(config))
    for finding in findings:
        print(f"{'!!' if finding.advice else 'ok'}  {finding.what}: {finding.seen}")
        if finding.advice:
            print(f"      {finding.advice}")
    return 1 if any(finding.advice for finding in findings) else 0


if __name__ == "__main__":
    main()
