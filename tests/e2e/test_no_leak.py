"""Two enterprises, three gateways: every route the application has, asked with a foreign credential, tells nothing."""

import asyncio
import re
from pathlib import Path

import aiohttp

from tests.support.server import Server, serving
from twin_server.context import ACCESS, LEDGER, STORE

START_US = 1_790_000_000_000_000
OPEN = {"/healthz", "/metrics", "/{path}", "/api/v1/login", "/api/v1/openapi.json"}
ACCOUNT = {"/api/v1/me", "/api/v1/enterprises", "/api/v1/logout"}


async def _two_enterprises(server: Server) -> set[bytes]:
    """Fill e-own and e-foreign; return what of the foreign one must never be told."""
    secrets: set[bytes] = {b"e-foreign", b"gw-two", b"gw-three", b"localhost/e-foreign"}
    for enterprise, gateways in (("e-own", ("gw-one",)), ("e-foreign", ("gw-two", "gw-three"))):
        await server.enterprise(enterprise)
        for name in gateways:
            gateway = await server.gateway(enterprise, name)
            await gateway.post(server.session, server.url, [gateway.seal_rows(START_US, [[4.2, 4.3, 4.4]])])
            if enterprise == "e-foreign":
                secrets |= {gateway.key.public.kid.hex().encode(), gateway.key.public.raw.hex().encode()}
    log = await server.app[LEDGER].open("e-foreign")
    return secrets | {log.row.log_vkey.encode(), log.last.root.hex().encode(), log.history_id.encode()}


async def _paths(server: Server) -> list[tuple[str, str, str]]:
    """Return (method, template, path into the foreign enterprise) of every route of the application."""
    entry = (await server.app[STORE].entries("e-foreign", 0, 1))[0]
    values = {
        "e": "e-foreign", "index": "1", "digest": entry.digest.hex(), "p": "gw-two:p0", "id": "gw-two", "tag": "t1",
        "path": "0/000.p/3", "kind": "x", "g": "gw-two",
    }  # fmt: skip
    found = []
    for route in server.app.router.routes():
        resource = route.resource
        assert resource is not None
        template = resource.canonical
        path = re.sub(r"\{(\w+)\}", lambda match: values[match[1]], template)
        found.append((route.method, template, path))
    return found


async def _ask(server: Server, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes, str]:
    query = (
        "?from=1&to=2&index=1&size=3&t=1&time_us=1&reason=because&buckets=3&limit=5&since_index=0&bucket_us=60000000"
    )
    for suffix in (query, ""):
        async with server.session.request(
            method, f"{server.url}{path}{suffix}", headers=headers, allow_redirects=False
        ) as response:
            body = await response.read()
            status, kept = response.status, str(response.headers)
        if status != 400:
            break
    return status, body, kept


def test_no_route_tells_a_foreign_caller_anything(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            secrets = await _two_enterprises(server)
            callers = [await server.token(role, "e-own") for role in ("enterprise", "regulator", "installer")]
            callers += [{}, {"Authorization": "Bearer mtt_guess"}, {"Authorization": "Gateway " + "0" * 128}]
            asked = 0
            for method, template, path in await _paths(server):
                if template in OPEN:
                    continue
                for headers in callers:
                    status, body, kept = await _ask(server, method, path, headers)
                    asked += 1
                    if "{e}" in template:
                        expected = (404,) if headers in callers[:3] else (401,)
                        assert status in expected, (method, template, status, body[:200])
                    elif template not in ACCOUNT and not template.startswith("/api/v1/gateways/"):
                        assert status in (401, 403, 404, 405), (method, template, status)
                    for secret in secrets:
                        assert secret not in body, (method, template, secret)
                        assert secret.decode() not in kept, (method, template, secret)
            assert asked > 150

    asyncio.run(run())


def test_an_own_credential_opens_the_same_routes(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await _two_enterprises(server)
            token = await server.token("regulator", "e-foreign")
            opened = 0
            for method, template, path in await _paths(server):
                if method == "GET" and template.startswith(("/log/{e}", "/api/v1/enterprises/{e}")):
                    status, _, _ = await _ask(server, method, path, token)
                    opened += status == 200
            assert opened >= 15

    asyncio.run(run())


def test_what_is_not_there_and_what_is_foreign_look_the_same(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await _two_enterprises(server)
            token = await server.token("regulator", "e-own")
            for path in ("/log/{}/checkpoint", "/api/v1/enterprises/{}", "/api/v1/enterprises/{}/envelopes/1"):
                foreign = await _ask(server, "GET", path.format("e-foreign"), token)
                nobody = await _ask(server, "GET", path.format("e-nobody"), token)
                assert (foreign[0], foreign[1]) == (nobody[0], nobody[1])

    asyncio.run(run())


def test_every_answer_carries_the_security_headers_and_errors_are_problem_documents(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            for method, path, status in (
                ("GET", "/", 200),
                ("GET", "/any/page", 200),
                ("GET", "/healthz", 200),
                ("GET", "/api/v1/none", 404),
                ("POST", "/any/page", 405),
                ("GET", "/api/v1/me", 401),
                ("POST", "/api/v1/login", 415),
            ):
                async with server.session.request(method, server.url + path) as response:
                    assert response.status == status, path
                    assert response.headers["Content-Security-Policy"].startswith("default-src 'self'")
                    assert response.headers["X-Content-Type-Options"] == "nosniff"
                    if status >= 400:
                        assert response.content_type == "application/problem+json"
                        assert (await response.json(content_type=None))["status"] == status

    asyncio.run(run())


def test_signing_in_over_http_gives_a_strict_cookie_and_out_takes_it_away(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            await server.app[ACCESS].add_user("李", "a long passphrase", "regulator", ("e1",))
            jar = aiohttp.CookieJar(unsafe=True)
            async with aiohttp.ClientSession(cookie_jar=jar) as browser:
                login = {"name": "李", "passphrase": "a long passphrase"}
                async with browser.post(f"{server.url}/api/v1/login", json=login) as response:
                    assert response.status == 200
                    cookie = response.headers["Set-Cookie"]
                    assert "HttpOnly" in cookie
                    assert "SameSite=Strict" in cookie
                    csrf = (await response.json())["csrf"]
                async with browser.get(f"{server.url}/api/v1/me") as response:
                    assert (await response.json()) | {"id": ""} == {
                        "user": "李", "id": "", "role": "regulator", "enterprises": ["e1"], "csrf": csrf,
                    }  # fmt: skip
                async with browser.post(f"{server.url}/api/v1/logout") as response:
                    assert response.status == 403
                async with browser.post(f"{server.url}/api/v1/logout", headers={"X-CSRF-Token": csrf}) as response:
                    assert response.status == 204
                async with browser.get(f"{server.url}/api/v1/me") as response:
                    assert response.status == 401

    asyncio.run(run())


def test_only_an_admin_revokes_a_key_and_it_works_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            gateway = await server.gateway("e1", "gw-1")
            url = f"{server.url}/api/v1/enterprises/e1/gateways/gw-1/revoke"
            wish = {"epoch": 1, "reason": "stolen"}
            for role, enterprises, status in (
                ("enterprise", ("e1",), 403),
                ("regulator", ("e1",), 403),
                ("admin", (), 200),
            ):
                headers = await server.token(role, *enterprises)
                async with server.session.post(url, json=wish, headers=headers) as response:
                    assert response.status == status, await response.text()
            answer = await gateway.post(
                server.session, server.url, [gateway.seal_rows(1_760_000_000_000_000, [[1, 2, 3]])]
            )
            assert [verdict.status for verdict in answer.verdicts] == ["rejected"]

    asyncio.run(run())
