"""`edge-agent map`: the points of an instrument, from its profile into gateway.toml and points.csv."""

import argparse
import sys
from pathlib import Path

from drivers import Profile, load_profile
from edge_agent.claim import Setting, Target, target_of
from edge_agent.commands.say import say
from edge_agent.config import Config, load_config
from edge_agent.mapping import (
    Files,
    Place,
    chosen_signals,
    device_table,
    link_at,
    link_table,
    new_gateway,
    point_rows,
    points_path,
    with_rows,
    write_files,
)
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
    parser.add_argument("profile", help="name of a profile (drivers/profiles), or a .toml file")
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
    profile = load_profile(given.profile)
    config = load_config(given.config) if given.config and given.config.exists() else None
    target = target_of(given.port or given.host) if given.port or given.host else None
    link, new_link = _link(given, config, target)
    signals = chosen_signals(profile, [name.strip() for name in given.signals.split(",") if name.strip()])
    rows = point_rows(given.device, signals, _place(given, config), given.name)
    unit = profile.modbus.unit if given.unit is None else given.unit
    tables = new_link + device_table(given.device, link, given.profile, unit, given.period, given.name)
    if not given.config:
        say("# gateway.toml")
        say(tables)
        say("# points.csv")
        say(with_rows(b"", rows).decode().rstrip("\n"))
        return 0
    _write(given, profile, tables, rows)
    return 0


def _write(given: argparse.Namespace, profile: Profile, tables: str, rows: list[dict[str, str]]) -> None:
    path: Path = given.config
    if path.exists():
        before = path.read_bytes()
    elif given.gateway and given.site:
        before = new_gateway(given.gateway, given.site)
    else:
        text = f"{path} is not there"
        raise ConfigError(text, "to begin a folder give --gateway ID and --site ID", ((str(path), text),))
    points = points_path(path)
    old = points.read_bytes() if points.exists() else b""
    gap = b"" if before.endswith(b"\n") else b"\n"
    backups = write_files(path, Files(before + gap + tables.encode(), with_rows(old, rows)))
    say(f"added {given.device} ({profile.id}) with {len(rows)} point(s): {', '.join(row['point'] for row in rows)}")
    for backup in backups:
        say(f"kept {backup}")
    say(f"next: edge-agent check {path}")


def _link(given: argparse.Namespace, config: Config | None, target: Target | None) -> tuple[str, str]:
    """Return the id of the link, and its table if it is new."""
    known = link_at(config, target) if config and target else ""
    if known or target is None:
        return given.link or known or "bus-1", ""
    taken = {link.id for link in config.links} if config else set()
    if given.link in taken:
        text = f"link {given.link} is at another place than {target}"
        raise ConfigError(text, "leave --link out", (("--link", text),))
    stem = "bus" if target.port or given.rtu else "tcp"
    link = given.link or next(f"{stem}-{n}" for n in range(1, 1000) if f"{stem}-{n}" not in taken)
    setting = Setting(given.baud, given.parity, given.stop_bits)
    return link, link_table(link, target, setting, rtu=given.rtu)


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
