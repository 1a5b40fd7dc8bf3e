"""The JSON routes of one enterprise as one table, and the OpenAPI document made from it and from the router."""

import re
from typing import Any

from aiohttp import web

from twin_server import acts, changes, exports, parties, people, query, reads, revocation, sockets, summary
from twin_server.access import ROLES
from twin_server.live import hang_up, start
from twin_server.params import TIME_US_MAX, Call, Parameter, Route, answer, authorised, time

API = "/api/v1"
E = f"{API}/enterprises/{{e}}"
JSON, BINARY, CSV = "application/json", "application/octet-stream", "text/csv"

FROM = time("from", "event time, µs since 1970 UTC, first inside")
TO = time("to", "event time, µs, first outside")
SINCE = time("from", "event time, µs; 0: the last day", 0)
UNTIL = time("to", "event time, µs; not given: no end", TIME_US_MAX)
AT = time("t", "event time, µs; 0: now", 0)
BUCKETS = Parameter(
    "buckets", int, 1, query.BUCKETS_MAX, 500, "at most so many buckets; fewer samples come as they are"
)
BUCKET_US = Parameter("bucket_us", int, 60_000_000, TIME_US_MAX, 3_600_000_000, "width, made whole minutes")
ACTIVE = Parameter("active", int, 0, 1, 0, "1: only alarms that are not normal")
REASON = Parameter("reason", str, 3, 200, None, "why; goes on record, no names in it")
SPEED = Parameter("speed", float, 0, sockets.SPEED_MAX, 1.0, "event seconds per second; 0 stands still")
SINCE_INDEX = Parameter("since_index", int, 0, TIME_US_MAX, 0, "first index of the log to look at")
LIMIT = Parameter("limit", int, 1, 1_000, 200, "at most so many entries")
POINTS = Parameter("points", str, 0, 2_000, "", "point ids with commas between; empty: all")
TIME_US = time("time_us", "event time, µs; 0: the latest sample", 0)

ROUTES = (
    Route("GET", f"{API}/enterprises", summary.list_enterprises, (), (), JSON),
    Route("GET", E, summary.enterprise_detail, (), (), JSON),
    Route("GET", f"{E}/structure", reads.structure, (), (), JSON),
    Route("GET", f"{E}/points", reads.points, (), (), JSON),
    Route("GET", f"{E}/points/{{p}}/history", reads.history, (), (FROM, TO, BUCKETS), JSON),
    Route("GET", f"{E}/points/{{p}}/evidence", reads.evidence, (), (TIME_US,), JSON),
    Route("GET", f"{E}/completeness", reads.completeness, (), (FROM, TO, BUCKET_US), JSON),
    Route("GET", f"{E}/frame", reads.frame, (), (AT,), BINARY),
    Route("GET", f"{E}/layout", reads.layout, (), (AT,), JSON),
    Route("GET", f"{E}/live", sockets.live, (), (), BINARY),
    Route("GET", f"{E}/replay", sockets.replay, (), (FROM, SPEED), BINARY),
    Route("GET", f"{E}/alarms", acts.list_alarms, (), (ACTIVE, SINCE, UNTIL), JSON),
    Route("POST", f"{E}/alarms/{{id}}/ack", acts.acknowledge, ("enterprise",), (), JSON),
    Route("PUT", f"{E}/notices/{{kind}}", acts.put_notice, ("enterprise",), (), ""),
    Route("GET", f"{E}/people", people.people, (), (), JSON),
    Route("GET", f"{E}/people/{{tag}}/track", people.track, (), (FROM, TO), JSON),
    Route("GET", f"{E}/people/{{tag}}/name", people.show_name, people.NAMERS, (REASON,), JSON),
    Route("PUT", f"{E}/people/{{tag}}", people.put_person, people.KEEPERS, (), ""),
    Route("DELETE", f"{E}/people/{{tag}}", people.erase_person, people.KEEPERS, (), ""),
    Route("POST", f"{E}/gateways/{{g}}/revoke", revocation.revoke, ("admin",), (), JSON),
    Route("POST", f"{E}/parties", parties.add_party, ("admin",), (), JSON),
    Route("POST", f"{E}/countersignatures", parties.post_countersignature, ("regulator", "enterprise"), (), JSON),
    Route("GET", f"{E}/changes", changes.list_changes, (), (SINCE_INDEX, LIMIT), JSON),
    Route("GET", f"{E}/export.csv", exports.export_csv, (), (FROM, TO, POINTS), CSV),
)


def add_routes(app: web.Application) -> None:
    """Add every route of the table, the OpenAPI document, and the life of the rooms behind them."""
    for route in (*ROUTES, Route("GET", f"{API}/openapi.json", openapi, (), (), JSON)):
        app.router.add_route(route.method, route.path, authorised(route))
    app.cleanup_ctx.append(start)
    app.on_shutdown.append(hang_up)


async def openapi(call: Call) -> web.Response:
    """Describe every route of the API (OpenAPI 3.1)."""
    return answer(document(call.app))


def document(app: web.Application) -> dict[str, Any]:
    """Return the OpenAPI document of what the router really serves below /api/v1."""
    table = {(route.method, route.path): route for route in ROUTES}
    paths: dict[str, dict[str, Any]] = {}
    for each in app.router.routes():
        path = each.resource.canonical if each.resource else ""
        if path.startswith(API) and each.method not in ("HEAD", "OPTIONS", "*"):
            row = table.get((each.method, path))
            paths.setdefault(path, {})[each.method.lower()] = _operation(each, path, row)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mine Twin",
            "version": "1",
            "description": "Times are whole microseconds since 1970 UTC; errors are problem documents (RFC 9457).",
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "twin_session"},
            },
            "responses": {"Problem": {"description": "problem document", "content": {_PROBLEM: {"schema": _FAULT}}}},
        },
        "security": [{"token": []}, {"session": []}],
    }


_PROBLEM = "application/problem+json"
_FAULT = {
    "type": "object",
    "required": ["title", "status", "detail"],
    "properties": {"title": {"type": "string"}, "status": {"type": "integer"}, "detail": {"type": "string"}},
}
_TYPES = {int: "integer", float: "number", str: "string"}


def _operation(each: web.AbstractRoute, path: str, row: Route | None) -> dict[str, Any]:
    about = (each.handler.__doc__ or path).strip().splitlines()[0]
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)[^}]*\}", path)
    ]
    responses: dict[str, Any] = {"default": {"$ref": "#/components/responses/Problem"}}
    success = "204" if row and not row.answer else "101" if path.endswith(("/live", "/replay")) else "200"
    responses[success] = {"description": about}
    if row and row.answer and success == "200":
        responses[success]["content"] = {row.answer: {}}
    operation: dict[str, Any] = {"summary": about, "responses": responses}
    if row:
        parameters += [_parameter(parameter) for parameter in row.parameters]
        operation["x-roles"] = ["admin", *row.roles] if row.roles else list(ROLES)
    return operation | ({"parameters": parameters} if parameters else {})


def _parameter(parameter: Parameter) -> dict[str, Any]:
    bounds = ("minLength", "maxLength") if parameter.kind is str else ("minimum", "maximum")
    schema = {"type": _TYPES[parameter.kind], bounds[0]: parameter.low, bounds[1]: parameter.high}
    if parameter.default is not None:
        schema["default"] = parameter.default
    required = parameter.default is None
    return {
        "name": parameter.name,
        "in": "query",
        "required": required,
        "schema": schema,
        "description": parameter.about,
    }
