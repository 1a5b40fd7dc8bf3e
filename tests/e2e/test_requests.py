"""Every JSON route against odd requests: a problem document that names the fault, never a 500, nothing leaked."""

import asyncio
import time
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import yarl

from tests.support.server import Server, serving
from tests.support.small_mine import SECOND_US, event
from twin_server.api import ROUTES
from twin_server.live import LIVE
from twin_server.params import Route
from twin_wire.manifest import Limit

ODD = [
    "",
    "0",
    "-1",
    "nan",
    "1e400",
    "9" * 30,
    "' or 1=1 --",
    "<script>",
    "../../etc/passwd",
    "\u0000",
    "𝟙",
    "a" * 3000,
]
ODD_PATHS = ["x", "..%2f..%2fsystem.db", "%00", "p0;drop", "a" * 300, "%F0%9F%92%A5", "gw-1:p0"]
ODD_BODIES = [b"", b"{", b"[]", b"null", b'{"note": 1}', b'{"name": ""}', b"[" * 50_000, b'"\\ud800"', b"\xff\xfe"]


def url_of(server: Server, route: Route, part: str, query: dict[str, str]) -> yarl.URL:
    path = route.path.replace("{e}", "e1")
    for name in ("p", "id", "tag", "kind"):
        path = path.replace(f"{{{name}}}", part)
    return yarl.URL(server.url + path, encoded=True).with_query(query)


async def checked(server: Server, method: str, url: yarl.URL, headers: dict[str, str], **more: Any) -> int:
    async with server.session.request(method, url, headers=headers, **more) as response:
        text = await response.text(errors="replace")
        assert response.status < 500, (method, str(url)[:200], text[:300])
        if response.status >= 400:
            assert response.content_type == "application/problem+json", (str(url)[:200], text[:200])
            assert msgspec.json.decode(text)["status"] == response.status
        return response.status


def good_value(name: str) -> str:
    now_us = time.time_ns() // 1000
    known = {"from": now_us - 3600 * SECOND_US, "to": now_us, "reason": "roof fall", "points": "p0"}
    return str(known.get(name, 1))


def test_no_parameter_path_or_body_makes_a_500(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            gateway = await server.gateway("e1", "gw-1")
            now_us = time.time_ns() // 1000
            await gateway.post(
                server.session, server.url, [gateway.seal_rows(now_us, [[1, float("inf"), 3]], [event(now_us)])]
            )
            token = await server.token("enterprise", "e1")
            asked = 0
            for route in ROUTES:
                for parameter in route.parameters:
                    good = {p.name: good_value(p.name) for p in route.parameters if p.default is None}
                    for text in ODD:
                        url = url_of(server, route, "p0", good | {parameter.name: text})
                        if not route.path.endswith(("/live", "/replay")):
                            await checked(server, route.method, url, token)
                            asked += 1
                for part in ODD_PATHS if route.path.count("{") > 1 else ():
                    good = {p.name: good_value(p.name) for p in route.parameters if p.default is None}
                    await checked(server, route.method, url_of(server, route, part, good), token)
                    asked += 1
                if route.method in ("POST", "PUT"):
                    for body, kind in product(ODD_BODIES, ("application/json", "text/plain")):
                        headers = token | {"Content-Type": kind}
                        status = await checked(
                            server, route.method, url_of(server, route, "p0", {}), headers, data=body
                        )
                        assert status >= 400
                        asked += 1
            assert asked > 150
            assert not any(task.done() for task in (await server.app[LIVE].room("e1")).tasks)

    asyncio.run(run())


def test_a_body_beyond_its_limit_is_not_read_on(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            token = await server.token("enterprise", "e1") | {"Content-Type": "application/json"}
            url = yarl.URL(f"{server.url}/api/v1/enterprises/e1/people/t1")
            big = b'{"name": "' + b"x" * 100_000 + b'"}'
            assert await checked(server, "PUT", url, token, data=big) == 413

    asyncio.run(run())


def test_reads_say_what_changed_and_what_is_there(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1", "Mine <One>")
            gateway = await server.gateway("e1", "gw-1")
            points = list(gateway.manifest.points)
            points[0] = msgspec.structs.replace(points[0], limits=(Limit("high", 1, 2.5, 2.4, 2.0, "site"),))
            raised = msgspec.structs.replace(gateway.manifest, points=tuple(points), software="test/2")
            sealed = [gateway.seal_manifest(raised), gateway.seal_rows(time.time_ns() // 1000, [[1, 2, 3]])]
            await gateway.post(server.session, server.url, sealed)
            token = await server.token("regulator", "e1")
            url = f"{server.url}/api/v1/enterprises/e1"

            async def get(path: str, **query: str) -> Any:
                async with server.session.get(url + path, headers=token, params=query) as response:
                    assert response.status == 200, await response.text()
                    return await response.json()

            told = await get("/changes")
            assert [row["kind"] for row in told] == ["genesis", "enrol", "structure", "manifest", "manifest"]
            assert told[-1]["text"] == "Gateway gw-1: 1 limits loosened, software changed."
            assert told[-1]["summary"]["limits_loosened"][0]["to"]["value"] == 2.5
            assert await get("/changes", since_index="5") == []
            rows = await get("/points")
            assert (rows[0]["id"], rows[0]["value"], rows[0]["period_s"]) == ("p0", 1.0, 1.0)
            assert rows[0]["limits"][0]["value"] == 2.5
            detail = await get("")
            assert (detail["name"], detail["simulated"], detail["tree_size"]) == ("Mine <One>", True, 6)
            (row,) = detail["gateways"]
            assert (row["id"], row["software"], row["holes"], row["forks"]) == ("gw-1", "test/2", [], 0)
            assert len(detail["history_id"]) == 36
            async with server.session.get(f"{url}/structure", headers=token) as response:
                assert (await response.json())["roadways"][0]["from"] == "j0"
                tag = response.headers["ETag"]
            async with server.session.get(f"{url}/structure", headers=token | {"If-None-Match": tag}) as response:
                assert response.status == 304
            assert (await (await server.session.get(f"{server.url}/api/v1/openapi.json", headers=token)).json())[
                "paths"
            ]

    asyncio.run(run())
