"""The command `edge-agent`: finds the command, runs it; exit 0 well, 1 failed, 2 the configuration has faults."""

import argparse
import logging
import os
import sys
from importlib import import_module, metadata

from edge_agent.commands import COMMANDS
from twin_wire.errors import ConfigError, Error

EPILOG = """the usual order, from an empty folder:
  edge-agent scan PORT                    who is on the bus (only if no other master is on it)
  edge-agent identify PORT --unit N       what instrument that is: profiles that fit, guesses at registers
  edge-agent profile ID --signal … --config gateway.toml
                                          where no profile fits: registers compared with the display
  edge-agent map PROFILE --device ID --config gateway.toml …
                                          its points into gateway.toml and points.csv, checked before it writes
  edge-agent check gateway.toml           every fault of gateway.toml and points.csv at once, with its place
  edge-agent simulate gateway.toml        the same configuration against simulated devices, without any wire
  edge-agent doctor gateway.toml          ports, wiring, permissions, clock, disk, keys, server: well or not
  edge-agent enroll gateway.toml --voucher FILE_OR_LINE
                                          makes this gateway's key; works without a link; compare the key id shown
                                          here with the one on the server's screen
  edge-agent run gateway.toml             polls, seals and sends until SIGTERM; the installer's page is at the address
                                          in [page] listen
  edge-agent alarm-test gateway.toml --by ID
  edge-agent certificate gateway.toml --by ID --role installer
                                          the end: a test alarm with its receipt, and the sealed certificate

exit codes: 0 well, 1 failed (the log says why), 2 the configuration has faults, every one printed
"""


def main() -> None:
    """Run the command line and exit."""
    arguments = _parser(sys.argv[1:]).parse_args()
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    if arguments.verbose:
        for name in ("edge_agent", "drivers", "buffering"):
            logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        code = arguments.act(arguments)
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


def _parser(words: list[str]) -> argparse.ArgumentParser:
    """Return the parser; of all commands only the one that is named among `words` is imported."""
    parser = argparse.ArgumentParser(
        prog="edge-agent",
        description="Reads a mine's instruments, signs what they say, keeps it through power and link cuts, sends it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    parser.add_argument("--verbose", action="store_true", help="log more")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    wanted = next((word for word in words if not word.startswith("-")), "")
    for row in COMMANDS:
        command = commands.add_parser(
            row.name, help=row.text, description=row.text, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if row.name == wanted:
            module = import_module(row.module)
            module.arguments(command)
            command.set_defaults(act=module.run)
    return parser


def _version() -> str:
    try:
        return f"mine-twin {metadata.version('mine-twin')}"
    except metadata.PackageNotFoundError:
        return "mine-twin (from a checkout)"


def _print_faults(error: ConfigError) -> None:
    print(f"edge-agent: {error}", file=sys.stderr)
    for path, message in error.faults:
        print(f"  {path}: {message}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)


if __name__ == "__main__":
    main()
