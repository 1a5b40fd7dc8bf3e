"""A KJ host in the simulated mine as a process, and the folder of a gateway that reads it."""

import argparse
import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from hardware_sim.kj_files import MINE, STYLES
from hardware_sim.kj_host import FAULTS, SENSORS, STATIONS, KjHost, Order
from hardware_sim.sight import Worn
from hardware_sim.simulator import warmed
from hardware_sim.site import SITE, structure_text
from hardware_sim.truth import Mine
from twin_wire.errors import ConfigError

# zone, roadway, chainage_m and place in the ruleset of each point
PLACES = {
    "001A01": ("z-face", "face", 20.0, "coal_face"),
    "001A02": ("z-heading-a", "heading-a", 400.0, "heading_face"),
}
DIALECTS = {"mt-1201-gbk": {"charset": "gbk"}, "non-coal": {"dialect": "non-coal"}}  # options of the link
log = logging.getLogger(__name__)
REACH_M = 150.0  # what a station hears
AREAS = tuple(dict.fromkeys(station.area for station in STATIONS))


def point_id(native: str) -> str:
    """Return the gateway's name of a point of the host."""
    return f"kj.{native}"


def write_gateway(directory: Path, inbox: Path, period_s: float, people_s: float, page: str, **options: object) -> None:
    """Write the folder; `options` are further ones of the link (dialect, charset, done …)."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "structure.json").write_text(structure_text(), encoding="utf-8")
    (directory / "points.csv").write_text(points_text(), encoding="utf-8", newline="")
    (directory / "gateway.toml").write_text(gateway_text(inbox, period_s, people_s, page, options), encoding="utf-8")


def points_text() -> str:
    """Return points.csv: a line a sensor, the head counts, the faults of the delivery that matter."""
    lines = ["point,device,signal,name,zone,roadway,chainage_m,place"]
    for sensor in SENSORS:
        zone, roadway, chainage_m, place = PLACES.get(sensor.native, ("", "", None, ""))
        where = f"{zone},{roadway},{'' if chainage_m is None else f'{chainage_m:g}'},{place}"
        lines.append(f"{point_id(sensor.native)},kj,{sensor.signal}:{sensor.code},{sensor.place}{sensor.name},{where}")
    lines.append(f"kj.state.001A01,kj,state:{SENSORS[0].code},1101工作面T1 状态位,,,,")
    lines.append(f"kj.substation.001,kj,substation:{MINE}001,分站001,,,,")
    lines += [f"kj.fault.{fault},kj,fault:{fault},,,,," for fault in ("incomplete", "missing", "late", "repeated")]
    lines.append("people.all,people,headcount,井下人数,,,,")
    lines += [f"people.{area[-4:]},people,area_headcount:{area},区域{area[-4:]}人数,,,," for area in AREAS]
    return "\n".join(lines) + "\n"


def gateway_text(inbox: Path, period_s: float, people_s: float, page: str, options: dict[str, object]) -> str:
    """Return gateway.toml with one link, two devices, and an anchor for every positioning station."""
    numbers = ", ".join(f'"{station.code}" = {station.number}' for station in STATIONS)
    more = [f"{key} = {_value(value)}" for key, value in options.items()]
    lines = [
        *("# Written by hardware-sim: the gateway beside a KJ host that does not exist.", "[gateway]", 'id = "gw-kj"'),
        *('name = "KJ host 监控主机"', f'site = "{SITE}"', 'structure = "structure.json"', 'ruleset = "coal-cn"'),
        *("", "[page]", f'listen = "{page}"'),
        *(
            "",
            "[[link]]",
            'id = "kj-1"',
            'kind = "kj-file"',
            f'folder = "{inbox}"',
            f"stations = {{ {numbers} }}",
            *more,
        ),
        *("", "[[device]]", 'id = "kj"', 'link = "kj-1"', 'profile = "kj-host"', f"period_s = {period_s}"),
        *("", "[[device]]", 'id = "people"', 'link = "kj-1"', 'profile = "kj-people"', f"period_s = {people_s}"),
    ]
    for station in STATIONS:
        lines += ["", "[[anchor]]", f"id = {station.number}", 'device = "people"']
        lines += [f'roadway = "{station.roadway}"', f"chainage_m = {station.chainage_m}", f"reach_m = {REACH_M}"]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def arguments(host: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    host.add_argument("--dir", type=Path, required=True, help="folder to write: inbox and a gateway's configuration")
    host.add_argument("--seed", type=int, default=1, help="same seed, same mine (default 1)")
    host.add_argument("--dialect", choices=STYLES, default="mt-1201", help="how the host writes (default mt-1201)")
    host.add_argument("--period", type=float, default=20.0, help="seconds between files of sensors (default 20)")
    host.add_argument("--people-period", type=float, default=60.0, help="seconds between files of people (default 60)")
    host.add_argument("--page", default="127.0.0.1:8765", help="where the gateway's own page listens")
    host.add_argument("--order", action="append", default=[], metavar="KIND[,FILE[,TIMES[,AMOUNT[,POINT]]]]",
                      help=f"a fault on the next file: {', '.join(FAULTS)}")  # fmt: skip


async def serve(options: argparse.Namespace) -> int:
    """Write the gateway's folder and drop files of a living mine until SIGINT or SIGTERM; ConfigError."""
    orders = [_order(text) for text in options.order]
    inbox = options.dir.resolve() / "inbox"
    inbox.mkdir(parents=True, exist_ok=True)
    more = DIALECTS.get(options.dialect, {})
    write_gateway(options.dir, inbox, options.period, options.people_period, options.page, **more)
    mine = warmed(options.seed)
    host = KjHost(inbox, mine.truth, lambda: worn_in(mine), options.dialect, options.seed)
    for order in orders:
        host.order(order)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    log.info("dropping files inbox=%s dialect=%s points=%d", inbox, options.dialect, len(SENSORS))
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(host.run(time.time, options.period, options.people_period)),
            group.create_task(_live(mine)),
        ]
        await stop.wait()
        for task in tasks:
            task.cancel()
    return 0


def worn_in(mine: Mine) -> Iterable[Worn]:
    """Return where everybody is."""
    return [Worn(p.tag, p.place.roadway, p.place.chainage_m, p.side_m) for p in mine.people.persons]


async def _live(mine: Mine) -> None:
    loop = asyncio.get_running_loop()
    due_s = loop.time()
    while True:
        due_s += 1.0
        await asyncio.sleep(max(0.0, due_s - loop.time()))
        mine.step()


def _order(text: str) -> Order:
    kind, file, times, amount, subject = (*text.split(","), *[""] * 5)[:5]
    found = next((fault for fault in FAULTS if fault == kind), None)
    if found is None:
        raise ConfigError(f"fault {kind!r} is not known", hint=f"use one of {', '.join(FAULTS)}")
    with contextlib.suppress(ValueError):
        return Order(found, file or "CDSS", int(times or 1), float(amount or 0), subject)
    raise ConfigError(f"{text!r} is no order", hint="KIND,FILE,TIMES,AMOUNT,POINT")
