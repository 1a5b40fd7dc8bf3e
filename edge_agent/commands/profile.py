"""`edge-agent profile`: describe an instrument that no profile fits, from registers compared with its display."""

import argparse
import time
from pathlib import Path

from edge_agent.commands.say import say
from edge_agent.site_profile import ProfileOrder, Register, write_profile
from twin_wire.errors import ConfigError

EPILOG = """example, after identify has shown guesses and the display confirmed them:
  edge-agent profile anemometer-x --vendor Unknown --model "X1" --by p-0042 --config gateway.toml \\
      --signal speed,wind_speed,m/s,3:100,f32,CDAB,2 --signal temperature,temperature,Cel,3:102,i16,ABCD,1

A signal is ID,QUANTITY,UNIT,FUNCTION:ADDRESS,TYPE,ORDER,DECIMALS (value = integer / 10**DECIMALS; for floats the
resolution). The file profiles/ID.toml is written beside gateway.toml. Next: edge-agent map profiles/ID.toml …
"""
FIELDS = 7


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the instrument and its signals."""
    parser.epilog = EPILOG
    parser.add_argument("id", help="of the profile")
    parser.add_argument("--vendor", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--by", required=True, metavar="ID", help="who compared it with the display: an id, not a name")
    parser.add_argument("--signal", action="append", required=True, metavar="ID,QUANTITY,UNIT,F:ADDRESS,TYPE,ORDER,D")
    parser.add_argument("--unit", type=int, default=1)
    parser.add_argument("--baud", type=int, default=9600)
    parser.add_argument("--parity", choices=("N", "E", "O"), default="N")
    parser.add_argument("--stop-bits", type=int, choices=(1, 2), default=1)
    parser.add_argument("--config", type=Path, required=True, help="gateway.toml: the profile goes beside it")


def run(given: argparse.Namespace) -> int:
    """Write the profile; ConfigError with every fault."""
    order = ProfileOrder(
        id=given.id,
        vendor=given.vendor,
        model=given.model,
        by=given.by,
        baud=given.baud,
        parity=given.parity,
        stop_bits=given.stop_bits,
        unit=given.unit,
        signals=tuple(_register(text) for text in given.signal),
    )
    name = write_profile(given.config.absolute().parent, order, time.strftime("%Y-%m-%d"))
    say(f"wrote {name}")
    say(f"next: edge-agent map {name} --config {given.config} --device ID --unit {given.unit}")
    return 0


def _register(text: str) -> Register:
    fields = [field.strip() for field in text.split(",")]
    function, _, address = fields[3].partition(":") if len(fields) == FIELDS else ("", "", "")
    try:
        name, quantity, unit, _, kind, order, decimals = fields
        return Register(
            id=name, quantity=quantity, unit=unit, function=3 if int(function) == 3 else 4, address=int(address),
            type=kind, order=order, decimals=int(decimals),
        )  # fmt: skip
    except ValueError as error:
        told = f"{text!r} is not ID,QUANTITY,UNIT,FUNCTION:ADDRESS,TYPE,ORDER,DECIMALS"
        raise ConfigError(told, "see the example of --help", (("--signal", told),)) from error
