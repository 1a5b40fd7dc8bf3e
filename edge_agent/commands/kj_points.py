"""`edge-agent kj-points`: a definition file of a KJ host as lines of points.csv, to choose from."""

import argparse
import sys
import time
from pathlib import Path

from drivers import load_profile
from drivers.kj_judge import propose
from drivers.kj_records import DIALECTS, FILE_BYTES_MAX, Definition, Style, of_kind, read_file, read_name
from edge_agent.commands.say import say
from edge_agent.mapping import with_rows
from twin_wire.errors import ConfigError, FormatError
from twin_wire.ids import NAME_CHARS_MAX, is_id, is_name

EPILOG = """example:
  edge-agent kj-points /srv/kj/140581001234_CDDY_20261124120000.txt --device kj > points.csv

Every sensor that has a signal becomes a line; zone, roadway, chainage and place of the ruleset are for you to fill in.
What has none goes to standard error with the reason.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file and the device it is for."""
    parser.epilog = EPILOG
    parser.add_argument("file", type=Path, help="a definition file (…_CDDY_….txt)")
    parser.add_argument("--device", default="kj", help="id of the [[device]] with profile kj-host (default kj)")
    parser.add_argument("--charset", choices=("utf-8", "gbk"), default="utf-8")
    parser.add_argument("--unit", action="append", default=[], metavar="HOST=OURS", help="a spelling of the host's own")


def run(given: argparse.Namespace) -> int:
    """Print the lines; 0 if there is one at least."""
    units = dict(pair.partition("=")[::2] for pair in given.unit)
    signals = load_profile("kj-host").signals
    rows: list[dict[str, str]] = []
    for definition in _definitions(given.file, given.charset):
        signal, reason = propose(definition, signals, units)
        point = definition.code if is_id(definition.code) else ""
        if not signal or not point:
            sys.stderr.write(f"{definition.code} {definition.place[:40]}: {reason or 'its code is no identifier'}\n")
            continue
        name = definition.place[:NAME_CHARS_MAX]
        rows.append({"point": point, "device": given.device, "signal": signal, "name": name if is_name(name) else ""})
    if rows:
        say(with_rows(b"", rows).decode().rstrip("\n"))
    return 0 if rows else 1


def _definitions(path: Path, charset: str) -> list[Definition]:
    """Return what a file defines; ConfigError if it is no definition file."""
    style = Style(DIALECTS["mt-1201"], "gb18030" if charset == "gbk" else charset)
    name = read_name(path.name, style.dialect)
    if name is None or name.kind != "CDDY":
        text = f"{path.name} is not the name of a definition file: <mine>_CDDY_<yyyyMMddHHmmss>.txt"
        raise ConfigError(text, faults=((str(path), text),))
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise ConfigError(f"{path} is larger than {FILE_BYTES_MAX} bytes", faults=((str(path), "too large"),))
        return of_kind(read_file(data, name, style, time.time_ns() // 1_000), Definition)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", faults=((str(path), str(error.strerror)),)) from error
    except FormatError as error:
        hint = "another --charset?" if error.faults[0][0] == "charset" else ""
        raise ConfigError(f"{path}: {error}", hint, ((str(path), str(error)),)) from error
