"""The route table: strict parameters that a 400 names, the OpenAPI document equal to the real routes."""

from pathlib import Path

import pytest
from aiohttp import web
from multidict import MultiDict

from twin_server import api, params
from twin_server.api import ROUTES
from twin_server.app import make_app
from twin_server.config import Config

HISTORY = next(route for route in ROUTES if route.path.endswith("/history")).parameters
NAME = next(route for route in ROUTES if route.path.endswith("/name")).parameters
REPLAY = next(route for route in ROUTES if route.path.endswith("/replay")).parameters


def refusal(query: list[tuple[str, str]], parameters: tuple[params.Parameter, ...] = HISTORY) -> str:
    with pytest.raises(web.HTTPBadRequest) as refused:
        params.read(MultiDict(query), parameters)
    return refused.value.text or ""


def test_good_parameters_are_read_and_defaults_filled_in() -> None:
    asked = params.read(MultiDict([("from", "10"), ("to", "20")]), HISTORY)
    assert asked == {"from": 10, "to": 20, "buckets": 500}
    assert params.read(MultiDict([("from", "0"), ("speed", "2.5")]), REPLAY) == {"from": 0, "speed": 2.5}


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ([("to", "20")], "from: is required"),
        ([("from", "10"), ("to", "20"), ("form", "1")], "form: not a parameter"),
        ([("from", "10"), ("from", "10"), ("to", "20")], "from: given twice"),
        ([("from", "1e9"), ("to", "20")], "from: not a whole number"),
        ([("from", ""), ("to", "20")], "from: not a whole number"),
        ([("from", "１０"), ("to", "20")], "from: not a whole number"),
        ([("from", "-1"), ("to", "20")], "from: not within"),
        ([("from", "1" * 18), ("to", "20")], "from: not within"),
        ([("from", "1"), ("to", "2"), ("buckets", "0")], "buckets: not within 1 to 5000"),
        ([("from", "1"), ("to", "2"), ("buckets", "5001")], "buckets: not within 1 to 5000"),
        ([("from", "1' or 1=1"), ("to", "2")], "from: not a whole number"),
    ],
)
def test_bad_parameters_are_refused_by_name(query: list[tuple[str, str]], named: str) -> None:
    assert refusal(query).startswith(named)


@pytest.mark.parametrize("speed", ["nan", "inf", "-1", "601", "1e2", "0x10", "1_0"])
def test_a_speed_is_a_plain_number_within_bounds(speed: str) -> None:
    assert refusal([("from", "1"), ("speed", speed)], REPLAY).startswith("speed: ")


@pytest.mark.parametrize("reason", ["", "no", "x" * 201, "line\nbreak", "bell\x07"])
def test_a_reason_is_printable_and_neither_empty_nor_long(reason: str) -> None:
    assert refusal([("reason", reason)], NAME).startswith("reason: ")


def test_the_openapi_document_describes_exactly_the_real_routes(tmp_path: Path) -> None:
    app = make_app(Config(data=str(tmp_path)))
    document = api.document(app)
    real = {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if route.resource and route.resource.canonical.startswith("/api/v1") and route.method != "HEAD"
    }
    described = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert described == real
    assert {(route.method.lower(), route.path) for route in ROUTES} <= described
    assert document["openapi"].startswith("3.1")
    for path, methods in document["paths"].items():
        for operation in methods.values():
            in_path = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert in_path == {part[1:-1] for part in path.split("/") if part.startswith("{")}
            assert operation["summary"]
    history = document["paths"]["/api/v1/enterprises/{e}/points/{p}/history"]["get"]
    assert [p["name"] for p in history["parameters"]] == ["e", "p", "from", "to", "buckets"]


def test_every_route_of_an_enterprise_is_authorised_by_its_path() -> None:
    assert all("{e}" in route.path or route.path == "/api/v1/enterprises" for route in ROUTES)
    changing = {route.path for route in ROUTES if route.method != "GET"}
    assert all(route.roles for route in ROUTES if route.path in changing and route.method != "GET")
