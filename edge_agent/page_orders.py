"""What the gateway's page may order: work on a bus, points, alarm test, certificate, restart; each with its token."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from aiohttp import web

from drivers import Profile
from edge_agent.bench import Bench
from edge_agent.bench import Place as BusPlace
from edge_agent.claim import HEARD_ONLY
from edge_agent.commission import ROLES, alarm_test, certify, receipt_state
from edge_agent.config import load_config
from edge_agent.door import Door
from edge_agent.identify import usable_profiles
from edge_agent.mapping import Order, addition, files_with, try_files, write_files
from edge_agent.site_profile import ProfileOrder, load_site_profile, site_profiles, write_profile
from twin_wire.errors import ConfigError, Error
from twin_wire.quantity import QUANTITIES

if TYPE_CHECKING:
    from edge_agent.agent import Agent

BODY_BYTES_MAX = 64 << 10
COOKIE = "edge_page"
AGENT: "web.AppKey[Agent]" = web.AppKey("agent")
DOOR = web.AppKey("door", Door)
BENCH = web.AppKey("bench", Bench)
T = TypeVar("T")

log = logging.getLogger(__name__)


class Who(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who does something: an opaque id, never a name."""

    by: str


class Ending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The end of the work: who, as what, and the SHA-256 of photographs."""

    by: str
    role: str
    photos: tuple[str, ...] = ()


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An instrument to be added; `dry` only shows what would be written."""

    order: Order
    dry: bool = False


def add_orders(app: web.Application) -> None:
    """Add the routes of everything that is more than looking."""
    app.router.add_get("/api/job", _job)
    app.router.add_get("/api/ports", _ports)
    app.router.add_get("/api/profiles", _profiles)
    for kind in ("scan", "identify", "registers"):
        app.router.add_post(f"/api/{kind}", _ordered(_starter(kind)))
    for path, act in (
        ("/api/job/stop", _stop),
        ("/api/map", _map),
        ("/api/profile", _profile),
        ("/api/alarm-test", _alarm_test),
        ("/api/certificate", _certificate),
        ("/api/restart", _restart),
    ):
        app.router.add_post(path, _ordered(act))


def commissioning(agent: "Agent") -> dict[str, Any]:
    """Return what the page shows of test and certificate."""
    return {
        "alarm_test": receipt_state(agent, "alarm_test"),
        "certificate": receipt_state(agent, "commissioning"),
        "roles": list(ROLES),
        "paused": sorted(agent.lines.paused),
    }


def _ordered(
    act: Callable[[web.Request], Awaitable[dict[str, Any]]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Let an order through only with the session's token; a fault becomes 409 with every fault and a hint."""

    async def handle(request: web.Request) -> web.Response:
        cookie, token = request.cookies.get(COOKIE, ""), request.headers.get("X-CSRF-Token", "")
        if not request.app[DOOR].may_order(cookie, token):
            raise web.HTTPForbidden(text="an order needs the token of /api/state in X-CSRF-Token")
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="send application/json")
        try:
            found = await act(request)
        except Error as error:
            faults = [list(fault) for fault in error.faults] if isinstance(error, ConfigError) else []
            return web.json_response({"error": str(error), "hint": error.hint, "faults": faults}, status=409)
        log.info("order path=%s from=%s", request.path, request.remote)
        return web.json_response(found)

    return handle


async def _read(request: web.Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise web.HTTPBadRequest(text=str(error)) from error


def _starter(kind: str) -> Callable[[web.Request], Awaitable[dict[str, Any]]]:
    async def start(request: web.Request) -> dict[str, Any]:
        return (await request.app[BENCH].start(kind, await _read(request, BusPlace))).shown()

    return start


async def _job(request: web.Request) -> web.Response:
    job = request.app[BENCH].job
    return web.json_response(job.shown() if job else None, headers={"Cache-Control": "no-store"})


async def _stop(request: web.Request) -> dict[str, Any]:
    bench = request.app[BENCH]
    bench.stop()
    return bench.job.shown() if bench.job else {}


async def _ports(request: web.Request) -> web.Response:
    """Serial ports of this machine by their lasting names, and where the configured links hang."""
    rows = await asyncio.to_thread(_plugged)
    for link in request.app[AGENT].config.links:
        options = link.options
        target = str(options.get("port") or f"{options.get('host')}:{options.get('tcp_port', 502)}")
        rows = [row for row in rows if row["target"] != target]
        setting: dict[str, Any] = {name: options[name] for name in ("baud", "parity", "stop_bits") if name in options}
        heard_only = bool(options.get("listen_only")) or link.kind in HEARD_ONLY
        rows.append({"target": target, "link": link.id, "listen_only": heard_only, **setting})
    return web.json_response(rows)


def _plugged() -> list[dict[str, Any]]:
    stable = sorted(Path("/dev/serial/by-path").glob("*"))
    real = {path.resolve() for path in stable}
    plain = [path for pattern in ("ttyUSB*", "ttyACM*", "ttyAMA*") for path in sorted(Path("/dev").glob(pattern))]
    return [{"target": str(path), "link": ""} for path in [*stable, *(path for path in plain if path not in real)]]


async def _profiles(request: web.Request) -> web.Response:
    folder = request.app[AGENT].config_path.absolute().parent
    rows = [
        {
            "id": name,
            "vendor": profile.vendor,
            "model": profile.model,
            "unit": profile.modbus.unit,
            "signals": [{"id": s.id, "quantity": s.quantity, "unit": s.unit, "name": s.name} for s in profile.signals],
        }
        for name, profile in await asyncio.to_thread(_usable, folder)
    ]
    site = request.app[AGENT].config.site
    return web.json_response(
        {
            "profiles": rows,
            "quantities": [quantity._asdict() for quantity in QUANTITIES.values()],
            "zones": [zone.id for zone in site.structure.zones] if site.structure else [],
            "roadways": [way.id for way in site.structure.roadways] if site.structure else [],
            "places": [place.id for place in site.ruleset.places] if site.ruleset else [],
        }
    )


def _usable(folder: Path) -> list[tuple[str, Profile]]:
    """Return every Modbus profile by the name a device gives it, the site's own first."""
    found = []
    for name in site_profiles(folder):
        with contextlib.suppress(ConfigError):
            found.append((name, load_site_profile(folder, name)))
    return [*found, *((profile.id, profile) for profile in usable_profiles())]


async def _profile(request: web.Request) -> dict[str, Any]:
    """Write a profile of the site; only an instrument that is mapped with it uses it."""
    asked = await _read(request, ProfileOrder)
    folder = request.app[AGENT].config_path.absolute().parent
    return {"profile": await asyncio.to_thread(write_profile, folder, asked, time.strftime("%Y-%m-%d"))}


async def _map(request: web.Request) -> dict[str, Any]:
    asked = await _read(request, Mapping)
    path = request.app[AGENT].config_path

    def work() -> dict[str, Any]:
        name, folder = asked.order.profile, path.absolute().parent
        if name.endswith(".toml") and name not in site_profiles(folder):  # a page reads no other file of the box
            raise ConfigError(f"there is no profile {name!r}", faults=(("profile", "is not of this site"),))
        added = addition(asked.order, load_config(path), path.absolute().parent)
        files = files_with(path, added)
        if asked.dry:
            try_files(path, files)
            return {"tables": added.tables, "rows": added.rows, "backups": []}
        backups = write_files(path, files)
        return {"tables": added.tables, "rows": added.rows, "backups": [backup.name for backup in backups]}

    return await asyncio.to_thread(work)


async def _alarm_test(request: web.Request) -> dict[str, Any]:
    agent = request.app[AGENT]
    await alarm_test(agent, (await _read(request, Who)).by)
    return commissioning(agent)


async def _certificate(request: web.Request) -> dict[str, Any]:
    agent, asked = request.app[AGENT], await _read(request, Ending)
    await certify(agent, asked.by, asked.role, asked.photos)
    return commissioning(agent)


async def _restart(request: web.Request) -> dict[str, Any]:
    """Begin anew with the files as they are now, if they have no fault."""
    agent, bench = request.app[AGENT], request.app[BENCH]
    if bench.job is not None and bench.job.state == "running":
        raise ConfigError("work on a bus is going on", "stop it first")
    await asyncio.to_thread(load_config, agent.config_path)
    agent.again = True
    asyncio.get_running_loop().call_later(0.2, agent.stop)  # after this answer has left
    return {"restarting": True}
