"""From a profile to lines of points.csv and tables of gateway.toml, checked as a whole before a byte is written."""

import csv
import io
import json
import os
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from drivers import Profile, Signal
from edge_agent.claim import Setting, Target, is_at, target_of
from edge_agent.config import Config, load_config
from edge_agent.points import COLUMNS, REQUIRED
from edge_agent.site_profile import load_site_profile
from twin_wire.errors import ConfigError, StoreError

BACKUPS_KEPT = 20
NEW_GATEWAY = """[gateway]
id = {id}
name = {name}
site = {site}
state = "state"
points = "points.csv"
[page]
listen = "127.0.0.1:8765"
"""


class Place(NamedTuple):
    """Where an instrument hangs; all may be empty."""

    zone: str = ""
    roadway: str = ""
    chainage_m: str = ""
    place: str = ""  # of the ruleset: it brings the limits


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One instrument to be added: what it is, where it hangs on a bus, and where it stands in the mine."""

    profile: str
    device: str
    unit: int | None = None  # None: as delivered
    signals: tuple[str, ...] = ()  # none: all measurements
    name: str = ""
    period_s: float = 1.0
    zone: str = ""
    roadway: str = ""
    chainage_m: str = ""
    place: str = ""
    link: str = ""  # "": the one at `target`, or a new one
    target: str = ""
    baud: int = 9600
    parity: str = "N"
    stop_bits: int = 1
    rtu: bool = False


class Addition(NamedTuple):
    """What an order adds: text for gateway.toml, lines for points.csv."""

    tables: str
    rows: list[dict[str, str]]


class Files(NamedTuple):
    """New contents of the two files; None leaves one as it is."""

    gateway: bytes | None
    points: bytes | None


def chosen_signals(profile: Profile, wanted: Sequence[str]) -> list[Signal]:
    """Return the wanted signals, or all that are measurements; ConfigError if that needs a choice or one is unknown."""
    if wanted:
        unknown = [name for name in wanted if profile.signal(name) is None]
        if unknown:
            known = ", ".join(signal.id for signal in profile.signals)
            raise ConfigError(
                f"{profile.id} has no signal {unknown[0]}", f"known: {known}", (("--signals", unknown[0]),)
            )
        return [signal for name in wanted if (signal := profile.signal(name)) is not None]
    helpers = {companion.signal for companion in profile.companions}
    helpers |= {name for signal in profile.signals for name in signal.scales}
    left = [signal for signal in profile.signals if signal.id not in helpers]
    by_register: dict[object, list[str]] = {}
    for signal in left:
        by_register.setdefault((signal.function, signal.address, signal.field), []).append(signal.id)
    rivals = [names for names in by_register.values() if len(names) > 1]
    if rivals:
        text = f"{profile.id} means one of {', '.join(rivals[0])} by one register, as the sensor head is"
        raise ConfigError(text, f"choose: --signals {rivals[0][0]}", (("--signals", text),))
    return left


def addition(order: Order, config: Config | None, folder: Path) -> Addition:
    """Return what an order adds to a configuration (None: to an empty folder); ConfigError if it cannot be done."""
    profile = load_site_profile(folder, order.profile)
    signals = chosen_signals(profile, order.signals)
    rows = point_rows(
        order.device, signals, Place(order.zone, order.roadway, order.chainage_m, order.place), order.name
    )
    known = next((device for device in config.devices if device.id == order.device), None) if config else None
    if known is not None:  # more points of an instrument that is there
        if known.profile != order.profile:
            text = f"{order.device} is a {known.profile}"
            raise ConfigError(text, "give the new instrument an id of its own", (("device", text),))
        return Addition("", rows)
    unit = profile.modbus.unit if order.unit is None else order.unit
    link, new_link = _link_for(order, config)
    tables = new_link + device_table(order.device, link, order.profile, unit, order.period_s, order.name)
    return Addition(tables, rows)


def files_with(path: Path, added: Addition, begin: bytes = b"") -> Files:
    """Return both files with an addition; `begin` is a new gateway.toml where there is none."""
    before = path.read_bytes() if path.exists() else begin
    points = path.absolute().parent / _points_name(before)
    old = points.read_bytes() if points.exists() else b""
    gap = b"" if before.endswith(b"\n") else b"\n"
    gateway = before + gap + added.tables.encode() if added.tables else None
    return Files(gateway, with_rows(old, added.rows))


def _link_for(order: Order, config: Config | None) -> tuple[str, str]:
    """Return the id of the link, and its table if it is new."""
    target = target_of(order.target) if order.target else None
    known = link_at(config, target) if config and target else ""
    if known or target is None:
        return order.link or known or "bus-1", ""
    taken = {link.id for link in config.links} if config else set()
    if order.link in taken:
        text = f"link {order.link} is at another place than {target}"
        raise ConfigError(text, "leave the link out", (("link", text),))
    stem = "bus" if target.port or order.rtu else "tcp"
    link = order.link or next(f"{stem}-{n}" for n in range(1, 1000) if f"{stem}-{n}" not in taken)
    return link, link_table(link, target, Setting(order.baud, order.parity, order.stop_bits), rtu=order.rtu)


def point_rows(device: str, signals: Sequence[Signal], where: Place, name: str = "") -> list[dict[str, str]]:
    """Return a line of points.csv for each signal."""
    rows = []
    for signal in signals:
        point = device if len(signals) == 1 else f"{device}-{signal.id.replace('_', '-')}"
        label = name if len(signals) == 1 else f"{name} {signal.name or signal.id}".strip()
        rows.append({"point": point, "device": device, "signal": signal.id, "name": label, **where._asdict()})
    return [{column: text for column, text in row.items() if text} for row in rows]


def with_rows(data: bytes, rows: Sequence[Mapping[str, str]]) -> bytes:
    """Return points.csv with lines added, its own bytes kept unless a column is new; ConfigError if it is none."""
    try:
        lines = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"points.csv is not CSV: {error}", faults=(("points.csv", str(error)),)) from error
    header = [cell.strip() for cell in lines[0]] if lines else [*REQUIRED]
    wanted = {column for row in rows for column in row}
    new = [column for column in COLUMNS if column in wanted and column not in header]
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    if new or not lines:
        writer.writerow([*header, *new])
        writer.writerows([*cells, *[""] * (len(header) + len(new) - len(cells))] for cells in lines[1:] if any(cells))
        kept = b""
    else:
        kept = data if data.endswith(b"\n") else data + b"\n"
    writer.writerows([row.get(column, "") for column in (*header, *new)] for row in rows)
    return kept + out.getvalue().encode()


def device_table(device: str, link: str, profile: str, unit: int, period_s: float, name: str) -> str:
    """Return a `[[device]]` table."""
    text = f"[[device]]\nid = {_text(device)}\nlink = {_text(link)}\nprofile = {_text(profile)}\n"
    return text + f"unit = {unit}\nperiod_s = {period_s:g}\nname = {_text(name)}\n"


def link_table(link: str, target: Target, setting: Setting, *, rtu: bool = False) -> str:
    """Return a `[[link]]` table of a serial port, a converter (`rtu`) or a TCP address."""
    kind = "modbus-rtu" if target.port or rtu else "modbus-tcp"
    where = f"port = {_text(target.port)}\n"
    if not target.port:
        where = f"host = {_text(target.host)}\ntcp_port = {target.tcp_port}\n"
    line = ""
    if kind == "modbus-rtu":
        line = f"baud = {setting.baud}\nparity = {_text(setting.parity)}\nstop_bits = {setting.stop_bits}\n"
    return f"[[link]]\nid = {_text(link)}\nkind = {_text(kind)}\n{where}{line}"


def new_gateway(gateway: str, site: str, name: str = "") -> bytes:
    """Return the beginning of a gateway.toml."""
    return NEW_GATEWAY.format(id=_text(gateway), site=_text(site), name=_text(name)).encode()


def link_at(config: Config, target: Target) -> str:
    """Return the id of the link that uses a port or address, "" if none does."""
    return next((link.id for link in config.links if is_at(link.options, target)), "")


def try_files(path: Path, files: Files) -> Config:
    """Return the configuration as it would be with the new contents, nothing written; ConfigError with every fault."""
    folder = path.absolute().parent
    with tempfile.TemporaryDirectory() as name:
        trial = Path(name)
        for each in folder.iterdir() if folder.is_dir() else ():
            (trial / each.name).symlink_to(each)
        for target, data in _targets(path, files):
            copy = trial / target.name
            copy.unlink(missing_ok=True)
            copy.write_bytes(data)
        return load_config(trial / path.name)


def write_files(path: Path, files: Files) -> list[Path]:
    """Write what is new after a successful try, each file whole or not at all, the old one kept; return the backups."""
    try_files(path, files)
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    backups = []
    for target, data in _targets(path, files):
        if target.exists():
            backups.append(_back_up(target))
        _replace(target, data)
    return backups


def _targets(path: Path, files: Files) -> list[tuple[Path, bytes]]:
    """Return what to write; the points first, so that a cut in between leaves a configuration that loads."""
    folder = path.absolute().parent
    named = _points_name(files.gateway if files.gateway is not None else path.read_bytes())
    made = [(folder / named, files.points), (path.absolute(), files.gateway)]
    return [(target, data) for target, data in made if data is not None]


def _points_name(gateway: bytes) -> str:
    try:
        return str(tomllib.loads(gateway.decode()).get("gateway", {}).get("points", "points.csv"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"gateway.toml is not TOML: {error}", faults=(("gateway.toml", str(error)),)) from error


def _back_up(target: Path) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    backup = target.with_name(f"{target.name}.{stamp}.bak")
    number = 1
    while backup.exists():
        number += 1
        backup = target.with_name(f"{target.name}.{stamp}-{number}.bak")
    backup.write_bytes(target.read_bytes())
    for old in sorted(target.parent.glob(f"{target.name}.*.bak"))[:-BACKUPS_KEPT]:
        old.unlink()
    return backup


def _replace(target: Path, data: bytes) -> None:
    fresh = target.with_name(f".{target.name}.new")
    try:
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(target)
    except OSError as error:
        raise StoreError(
            f"{target} cannot be written: {error.strerror}", "whose folder is it? is the disk full?"
        ) from error


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a JSON string is a TOML basic string
