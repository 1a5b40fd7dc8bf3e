"""Command line: write the demo mine's folder, serve its instruments, or show the whole product at work."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from importlib import import_module
from pathlib import Path
from typing import Any

from hardware_sim.capture import Device, load_capture, play
from hardware_sim.control import serve
from hardware_sim.kj_site import arguments as kj_arguments
from hardware_sim.kj_site import serve as kj_serve
from hardware_sim.score import add_score
from hardware_sim.served import Served
from hardware_sim.simulator import Options, Simulator
from hardware_sim.site import Site, SiteOptions, build_site, write_site
from hardware_sim.sites import SITES
from hardware_sim.sources import with_sources
from twin_wire.errors import ConfigError, Error

HURRY = -10
PROFILES = Path(__file__).parents[1] / "drivers" / "profiles"


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return 0, or 2 when it cannot be done as asked."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    try:
        return int(options.command(options))
    except ConfigError as error:
        _explain(error)
        return 2
    except Error as error:
        _explain(error)
        return 1


def site_command(options: argparse.Namespace) -> int:
    """Write structure.json, points.csv and gateway.toml."""
    site = _site(options)
    write_site(site, options.dir, _site_options(options, options.tcp_port))
    print(f"wrote gateway.toml, points.csv and structure.json to {options.dir} ({_summary(site)})")
    return 0


def run_command(options: argparse.Namespace) -> int:
    """Serve the demo mine's instruments until SIGINT or SIGTERM."""
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_run(options))
    except ExceptionGroup as group:  # a line that cannot be opened ends the simulator's tasks together
        ours = group.subgroup(Error)
        if ours is None:
            raise
        first: BaseException = ours
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None
    return 0


def serve_config_command(options: argparse.Namespace) -> int:
    """Serve the devices of any gateway.toml until SIGINT or SIGTERM."""
    options.dir.mkdir(parents=True, exist_ok=True)
    served = Served(options.config, options.dir, options.profiles, options.seed)

    async def serve_all() -> None:
        task = asyncio.create_task(served.run())
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        print(f"simulated links: {len(served.lines)}", flush=True)
        for name in served.missing:
            print(f"  not simulated: {name}", flush=True)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(serve_all())
    return 0


def episodes_command(options: argparse.Namespace) -> int:
    """Write labelled episodes for edge-agent backtest, without any wire."""
    files = import_module("hardware_sim.episode_files")  # numpy is for this command only
    studio = import_module("hardware_sim.episodes").Studio(build_site(options.profiles, options.site), options.seed)
    lived_s = took_s = 0.0
    for told in files.write_all(studio, options.out, options.scenario, options.magnitude or (1.0, 0.5), options.days):
        lived_s, took_s = lived_s + told.lived_s, took_s + told.took_s
        print(f"  {told.file}: {told.lived_s / 3600:.1f} h lived in {told.took_s:.1f} s", flush=True)
    rate = lived_s / max(took_s, 1e-9)
    print(
        f"{len(studio.channels)} channels, {lived_s / 86400:.1f} days lived in {took_s:.0f} s: {rate:.0f} x real time"
    )
    return 0


def demo_command(options: argparse.Namespace) -> int:
    """Start the whole product around the simulator and tell its story."""
    return int(import_module("hardware_sim.demo").run(options))


def replay_command(options: argparse.Namespace) -> int:
    """Play recorded traffic of a bus: its devices, or the whole bus."""
    capture = load_capture(options.file)
    if options.speed <= 0:
        raise ConfigError("--speed has to be above 0")
    if options.bus:
        print(f"{options.port}: {capture.seconds:.0f} s of both voices, {options.speed:g} times as fast", flush=True)
        work: Coroutine[Any, Any, None] = play(capture, options.port, options.speed, options.rounds)
    else:
        device = Device(capture, options.port, options.speed, options.baud)
        print(f"{options.port}: answers {device.reads} reads as recorded over {capture.seconds:.0f} s", flush=True)
        work = device.run()
    asyncio.run(_until_stopped(work))
    return 0


async def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def kj_host_command(options: argparse.Namespace) -> int:
    """Drop files of a KJ host until SIGINT or SIGTERM."""
    return asyncio.run(kj_serve(options))


def _hurry() -> None:
    """Ask for more than a fair share of the processor, where allowed: an instrument does not wait for its readers."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, HURRY)


async def _run(options: argparse.Namespace) -> None:
    _hurry()
    site = _site(options)
    write_site(site, options.dir, _site_options(options, options.tcp_port))
    simulator = Simulator(
        site, Options(options.dir, options.seed, options.scenario, options.tcp_port, tuple(options.dead))
    )
    runner, url = await serve(simulator, options.dir, options.control_port)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, simulator.stop)
    _announce(site, options, url)
    try:
        await simulator.run()
    finally:
        await runner.cleanup()


def _announce(site: Site, options: argparse.Namespace, url: str) -> None:
    print(f"simulated mine: {_summary(site)}; seed {options.seed}, scenario {options.scenario}")
    for link in site.links:
        where = f"127.0.0.1:{options.tcp_port}" if link.kind == "modbus-tcp" else f"{options.dir / 'dev' / link.id}"
        units = ", ".join(f"{d.unit} {d.id} ({d.profile})" for d in site.devices if d.link == link.id)
        print(f"  {link.id:6} {link.kind:10} {where}: {units}")
    print(f"  control {url}/status")
    print(f"  next: edge-agent check {options.dir / 'gateway.toml'}", flush=True)


def _summary(site: Site) -> str:
    points = sum(len(device.points) for device in site.devices)
    return f"{len(site.links)} links, {len(site.devices)} devices, {points} points, {len(site.anchors)} anchors"


def _site(options: argparse.Namespace) -> Site:
    site = build_site(options.profiles, options.site)
    return with_sources(site, options.profiles) if options.positioning else site


def _site_options(options: argparse.Namespace, tcp_port: int) -> SiteOptions:
    return SiteOptions(options.gateway, tcp_port, options.page, options.ruleset)


def _explain(error: Error) -> None:
    print(f"hardware-sim: {error}", file=sys.stderr)
    for path, message in getattr(error, "faults", ()):
        print(f"  {path}: {message}", file=sys.stderr)
    if error.hint:
        print(f"  hint: {error.hint}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("hardware-sim", description="The mine that does not exist, in real bytes.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="serve the demo mine's instruments on pseudo-terminals and TCP")
    _add_site_arguments(run)
    run.add_argument("--seed", type=int, default=1, help="same seed, same mine (default 1)")
    run.add_argument("--scenario", default="quiet", help="what happens (default quiet); an unknown name lists them")
    run.add_argument("--dead", action="append", default=[], metavar="DEVICE", help="a device that never answers")
    run.add_argument("--control-port", type=int, default=0, help="port of the control door (default a free one)")
    run.set_defaults(command=run_command)
    site = commands.add_parser("site", help="write gateway.toml, points.csv and structure.json only")
    _add_site_arguments(site)
    site.set_defaults(command=site_command)
    told = commands.add_parser("episodes", help="labelled episodes as arrays for edge-agent backtest")
    _add_episode_arguments(told)
    told.set_defaults(command=episodes_command)
    add_score(commands)
    served = commands.add_parser("serve-config", help="serve the devices of any gateway.toml, with values that move")
    served.add_argument("config", type=Path, help="gateway.toml")
    served.add_argument("--dir", type=Path, required=True, help="folder for the ports and served.json")
    served.add_argument("--profiles", type=Path, default=PROFILES, help="folder of device profiles")
    served.add_argument("--seed", type=int, default=1, help="same seed, same values (default 1)")
    served.set_defaults(command=serve_config_command)
    replay = commands.add_parser("replay", help="play what edge-agent record has written: devices, or the whole bus")
    replay.add_argument("file", type=Path, help="the capture")
    replay.add_argument("--port", type=Path, required=True, help="where the port is to appear")
    replay.add_argument("--bus", action="store_true", help="both voices with their timing, for a tap to hear")
    replay.add_argument("--speed", type=float, default=1.0, help="times the recorded pace (default 1)")
    replay.add_argument("--rounds", type=int, default=0, help="with --bus: how often (default 0: for ever)")
    replay.add_argument("--baud", type=int, default=0, help="pace of the answers (default as recorded)")
    replay.set_defaults(command=replay_command)
    host = commands.add_parser("kj-host", help="drop files of a coal mine's monitoring host into a folder")
    kj_arguments(host)
    host.set_defaults(command=kj_host_command)
    demo = commands.add_parser("demo", help="simulator, server and agent together, with a story")
    demo.add_argument("--dir", type=Path, default=None, help="data folder (default a fresh one)")
    demo.add_argument("--seed", type=int, default=1, help="same seed, same mine (default 1)")
    demo.add_argument("--profiles", type=Path, default=PROFILES, help="folder of device profiles")
    demo.add_argument(
        "--seconds", type=float, default=None, help="end by itself after this long and check every promise"
    )
    demo.add_argument("--summary", type=Path, default=None, help="write the counts as JSON")
    demo.set_defaults(command=demo_command)
    return parser


def _add_episode_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--site", choices=SITES, default="coal", help="what kind of site (default coal)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same site (default 1)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--scenario", action="append", default=[], metavar="NAME", help="only this one (again for more)"
    )
    parser.add_argument("--magnitude", type=float, action="append", default=[], help="size (default 1 and 0.5)")
    parser.add_argument("--days", type=float, default=1.0, help="days of commissioning (default 1)")
    parser.add_argument("--profiles", type=Path, default=PROFILES, help="folder of device profiles")


def _add_site_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dir", type=Path, required=True, help="folder to write")
    parser.add_argument("--site", choices=SITES, default="coal", help="what kind of site (default coal)")
    parser.add_argument("--profiles", type=Path, default=PROFILES, help="folder of device profiles")
    parser.add_argument("--gateway", default="gw-1", help="the gateway's id (default gw-1)")
    parser.add_argument("--tcp-port", type=int, default=1502, help="port of the PLC (default 1502)")
    parser.add_argument("--page", default="127.0.0.1:8765", help="where the gateway's own page listens")
    parser.add_argument("--ruleset", default="", help="ruleset named in gateway.toml (default the site's)")
    parser.add_argument("--positioning", action="store_true", help="add DWM1001, Bluetooth, UHF, satellite sources")


if __name__ == "__main__":
    sys.exit(main())
