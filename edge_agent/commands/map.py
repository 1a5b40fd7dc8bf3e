"""`edge-agent map`: the points of an instrument, from its profile into gateway.toml and points.csv."""

import argparse
import sys
from pathlib import Path

from edge_agent.commands.say import say
from edge_agent.config import Config, load_config
from edge_agent.mapping import Order, Place, addition, files_with, new_gateway, with_rows, write_files
from twin_wire.errors import ConfigError

EPILOG = """examples:
  edge-agent map vaisala-wxt530 --device weather --unit 10            shows what would be written
  edge-agent map draeger-polytron-8000 --device ch4-face --unit 3 --signals ch4 --place heading_face \\
      --config gateway.toml --port /dev/serial/by-path/… --baud 9600 --parity E
  edge-agent map … --config gateway.toml --gateway gw-1 --site mine   begins a folder that is empty

With --config it writes: first everything is checked together, then each file is replaced whole and the old one kept
beside it as *.bak. A port that no [[link]] has yet gets one. Next: edge-agent check gateway.toml
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the profile, the device and where it hangs."""
    parser.epilog = EPILOG
    parser.add_argument("profile", help="name of a profile, or profiles/ID.toml beside gateway.toml")
    parser.add_argument("--device", required=True, help="id of the instrument")
    parser.add_argument("--unit", type=int, help="its Modbus address (default the profile's)")
    parser.add_argument("--signals", default="", help="only these, such as ch4,status (default all measurements)")
    parser.add_argument("--name", default="", help="what people call it")
    parser.add_argument("--period", type=float, default=1.0, metavar="S", help="how often to read (default 1 s)")
    parser.add_argument("--zone", default="", help="id of a zone of the structure")
    parser.add_argument("--roadway", default="", help="id of a roadway of the structure")
    parser.add_argument("--chainage", default="", metavar="M", help="how far along it")
    parser.add_argument("--place", default="", help="place of the ruleset: it brings the alarm limits")
    parser.add_argument("--ask", action="store_true", help="ask for zone, roadway and place, showing what there is")
    parser.add_argument("--link", default="", help="id of the [[link]] it hangs on (default by --port or --host)")
    parser.add_argument("--port", default="", help="serial port")
    parser.add_argument("--host", default="", metavar="HOST[:PORT]", help="address of a TCP device or converter")
    parser.add_argument("--baud", type=int, default=9600)
    parser.add_argument("--parity", choices=("N", "E", "O"), default="N")
    parser.add_argument("--stop-bits", type=int, choices=(1, 2), default=1)
    parser.add_argument("--rtu", action="store_true", help="HOST is a converter with a serial line behind it")
    parser.add_argument("--config", type=Path, help="gateway.toml to add to")
    parser.add_argument("--gateway", default="", help="id of the gateway, for a new gateway.toml")
    parser.add_argument("--site", default="", help="id of the site, for a new gateway.toml")


def run(given: argparse.Namespace) -> int:
    """Show the tables and lines, or write them."""
    path: Path | None = given.config
    config = load_config(path) if path and path.exists() else None
    place = _place(given, config)
    order = Order(
        profile=given.profile,
        device=given.device,
        unit=given.unit,
        signals=tuple(name.strip() for name in given.signals.split(",") if name.strip()),
        name=given.name,
        period_s=given.period,
        **place._asdict(),
        link=given.link,
        target=given.port or given.host,
        baud=given.baud,
        parity=given.parity,
        stop_bits=given.stop_bits,
        rtu=given.rtu,
    )
    added = addition(order, config, path.absolute().parent if path else Path.cwd())
    if path is None:
        say("# gateway.toml")
        say(added.tables)
        say("# points.csv")
        say(with_rows(b"", added.rows).decode().rstrip("\n"))
        return 0
    if not path.exists() and not (given.gateway and given.site):
        text = f"{path} is not there"
        raise ConfigError(text, "to begin a folder give --gateway ID and --site ID", ((str(path), text),))
    backups = write_files(path, files_with(path, added, new_gateway(given.gateway, given.site)))
    points = ", ".join(row["point"] for row in added.rows)
    say(f"added {given.device} ({given.profile}) with {len(added.rows)} point(s): {points}")
    for backup in backups:
        say(f"kept {backup}")
    say(f"next: edge-agent check {path}")
    return 0


def _place(given: argparse.Namespace, config: Config | None) -> Place:
    place = Place(given.zone, given.roadway, given.chainage, given.place)
    if not given.ask:
        return place
    structure = config.site.structure if config else None
    ruleset = config.site.ruleset if config else None
    return Place(
        place.zone or _asked("zone", [z.id for z in structure.zones] if structure else []),
        place.roadway or _asked("roadway", [r.id for r in structure.roadways] if structure else []),
        place.chainage_m or _asked("chainage in m", []),
        place.place or _asked("place of the ruleset", [p.id for p in ruleset.places] if ruleset else []),
    )


def _asked(what: str, known: list[str]) -> str:
    if known:
        say(f"{what}: {', '.join(known)}")
    sys.stdout.write(f"{what} (empty for none): ")
    sys.stdout.flush()
    return sys.stdin.readline().strip()
