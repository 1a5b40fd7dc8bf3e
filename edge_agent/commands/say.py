"""How the commands speak: lines on the terminal, and the one argument that most of them share."""

import argparse
import asyncio
import sys
from pathlib import Path

from edge_agent.config import Config, load_config
from twin_wire.errors import ConfigError


def say(text: str = "") -> None:
    """Write one line for the person at the terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def config_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the configuration."""
    parser.add_argument("config", type=Path, help="gateway.toml")


def checked_config(path: Path) -> Config:
    """Return the configuration after its drivers have looked at it; ConfigError with every fault."""
    from edge_agent.doctor import open_sources

    config = load_config(path)
    findings = asyncio.run(open_sources(config))
    if findings:
        faults = tuple((finding.what, finding.seen) for finding in findings)
        raise ConfigError(f"{len(faults)} fault(s) found by the drivers", findings[0].advice, faults)
    return config
