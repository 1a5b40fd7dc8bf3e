"""A small HTTP door on 127.0.0.1: what the simulator has served, and what may be asked of it."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, get_args

from aiohttp import web

from hardware_sim.bus import RtuBus, TcpBus, Unit
from hardware_sim.faults import KINDS, Rule
from hardware_sim.modbus import Read
from hardware_sim.pusher import Pusher
from hardware_sim.scenarios import Action, Verb
from hardware_sim.simulator import Simulator
from twin_wire.errors import ConfigError

BODY_BYTES_MAX = 16_384
SIMULATOR = web.AppKey("simulator", Simulator)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(simulator: Simulator) -> web.Application:
    """Return the application: GET /status /truth /people /labels, POST /scenario /action /fault /clear /stop."""
    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[guard])
    app[SIMULATOR] = simulator
    app.router.add_get("/status", get_status)
    app.router.add_get("/truth", get_truth)
    app.router.add_get("/people", get_people)
    app.router.add_get("/labels", get_labels)
    app.router.add_post("/scenario", post_scenario)
    app.router.add_post("/action", post_action)
    app.router.add_post("/fault", post_fault)
    app.router.add_post("/clear", post_clear)
    app.router.add_post("/stop", post_stop)
    return app


async def serve(simulator: Simulator, directory: Path, port: int) -> tuple[web.AppRunner, str]:
    """Open the door on a port (0: a free one), note its address in control.json; return the runner and the address."""
    runner = web.AppRunner(make_app(simulator), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(f"control port {port}: {error.strerror}", hint="--control-port 0 takes a free one") from error
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    (directory / "control.json").write_text(json.dumps({"url": url}) + "\n")
    return runner, url


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what a web page could send here: foreign host names, and bodies that are not declared JSON."""
    if request.host.split(":")[0] not in ("127.0.0.1", "localhost"):
        raise web.HTTPForbidden(text="only 127.0.0.1\n")
    if request.method == "POST" and request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send application/json\n")
    try:
        return await handler(request)
    except ConfigError as error:
        return web.json_response({"error": str(error), "hint": error.hint}, status=400)


async def get_status(request: web.Request) -> web.Response:
    """Answer with all counts; `samples` is complete answers × the points configured on them."""
    return web.json_response(status(request.app[SIMULATOR]))


async def get_truth(request: web.Request) -> web.Response:
    """Answer with what is really so, by the names instruments use."""
    mine = request.app[SIMULATOR].mine
    return web.json_response({name: mine.truth(name) for name in mine.sources()})


async def get_people(request: web.Request) -> web.Response:
    """Answer with where every tag really is."""
    persons = request.app[SIMULATOR].mine.persons
    return web.json_response(
        [{"tag": p.tag, "roadway": p.place.roadway, "chainage_m": p.place.chainage_m} for p in persons]
    )


async def get_labels(request: web.Request) -> web.Response:
    """Answer with the ground truth of the run so far."""
    return web.json_response([label._asdict() for label in request.app[SIMULATOR].labels.all])


async def post_scenario(request: web.Request) -> web.Response:
    """Begin a scenario: {"name": …}."""
    body = await _body(request)
    request.app[SIMULATOR].tell(_text(body, "name"))
    return web.json_response({"scenario": body["name"], "actions": request.app[SIMULATOR].story.left})


async def post_action(request: web.Request) -> web.Response:
    """Do one thing now: {"verb": …, "subject": …, "amount": …, "detail": …}, as in scenarios.py."""
    body = await _body(request)
    verb = next((verb for verb in get_args(Verb) if verb == body.get("verb")), None)
    if verb is None:
        raise ConfigError(f"verb {body.get('verb')!r} is not known", hint=f"use one of {', '.join(get_args(Verb))}")
    action = Action(0.0, verb, _text(body, "subject"), _number(body, "amount", 0.0), _text(body, "detail"))
    await request.app[SIMULATOR].act(action)
    return web.json_response({"done": verb})


async def post_fault(request: web.Request) -> web.Response:
    """Put a fault on a line: {"link", "kind", "unit", "probability", "times", "amount"}; half_open is for TCP."""
    body = await _body(request)
    simulator, link = request.app[SIMULATOR], _text(body, "link")
    if body.get("kind") == "half_open":
        simulator.half_open(link)
        return web.json_response({"fault": "half_open"})
    kind = next((kind for kind in KINDS if kind == body.get("kind")), None)
    if kind is None:
        raise ConfigError(
            f"fault {body.get('kind')!r} is not known", hint=f"use half_open or one of {', '.join(KINDS)}"
        )
    unit = None if body.get("unit") is None else int(_number(body, "unit", 0))
    times = None if body.get("times") is None else int(_number(body, "times", 0))
    rule = Rule(kind, unit, _number(body, "probability", 1.0), times, _number(body, "amount", 0.5))
    simulator.add_fault(link, rule)
    return web.json_response({"fault": kind})


async def post_clear(request: web.Request) -> web.Response:
    """Take all faults off a line: {"link": …}."""
    body = await _body(request)
    request.app[SIMULATOR].clear_faults(_text(body, "link"))
    return web.json_response({"faults": 0})


async def post_stop(request: web.Request) -> web.Response:
    """End the simulator."""
    request.app[SIMULATOR].stop()
    return web.json_response({"stopping": True})


def status(simulator: Simulator) -> dict[str, Any]:
    """Return the counts of a run as plain data."""
    links: dict[str, Any] = {}
    for name, line in simulator.floor.lines.items():
        if isinstance(line, Pusher):
            links[name] = {"plugged": line.line.plugged, "frames": line.frames, "tags": line.tags, "lost": line.lost}
            links[name]["disturbed"] = dict(line.disturbed)
        else:
            links[name] = _bus_status(simulator, line)
    buses = [link for link in links.values() if "units" in link]
    return {
        "simulated": True,
        "seed": simulator.options.seed,
        "scenario": simulator.story.name,
        "speed": simulator.speed,
        "begun_us": simulator.begun_us,
        "world_time_s": simulator.mine.time_s,
        "late_steps": simulator.late_steps,
        "late_s": round(simulator.late_s, 3),
        "journal_fault": simulator.journal.fault,
        "people": len(simulator.mine.persons),
        "answers": sum(unit["answers"] for bus in buses for unit in bus["units"].values()),
        "samples": sum(unit["samples"] for bus in buses for unit in bus["units"].values()),
        "links": links,
    }


def _bus_status(simulator: Simulator, line: RtuBus | TcpBus) -> dict[str, Any]:
    names = {(plan.link, plan.unit): plan.id for plan in simulator.site.devices}
    return {
        "plugged": line.line.plugged,
        "absent": {str(unit): count for unit, count in line.absent.items()},
        "units": {
            str(number): {"device": names[line.link, number], **_unit_status(simulator, line.link, unit)}
            for number, unit in line.units.items()
        },
    }


def _unit_status(simulator: Simulator, link: str, unit: Unit) -> dict[str, Any]:
    requests = [_request(simulator, link, unit.number, read, n) for read, n in unit.answers.items()]
    return {
        "alive": unit.alive,
        "answers": sum(unit.answers.values()),
        "samples": sum(request["answers"] * request["points"] for request in requests),
        "exceptions": {str(code): count for code, count in unit.exceptions.items()},
        "disturbed": dict(unit.disturbed),
        "writes_refused": unit.writes_refused,
        "requests": requests,
    }


def _request(simulator: Simulator, link: str, unit: int, read: Read, answers: int) -> dict[str, Any]:
    return {
        "function": read.function,
        "address": read.address,
        "count": read.size,
        "answers": answers,
        "points": simulator.floor.samples(link, unit, read),
    }


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except ValueError as error:
        raise ConfigError(f"not JSON: {error}") from error
    if not isinstance(body, dict):
        raise ConfigError("send a JSON object")
    return body


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key, "")
    if not isinstance(value, str):
        raise ConfigError(f"{key} has to be a text")
    return value


def _number(body: dict[str, Any], key: str, otherwise: float) -> float:
    value = body.get(key, otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise ConfigError(f"{key} has to be a number")
    return float(value)
