"""Signing in and out, and who one is."""

import msgspec
from aiohttp import web

from twin_server.access import COOKIE, Access, Caller
from twin_server.context import ACCESS, STORE
from twin_server.inputs import read_body
from twin_server.params import BODY_BYTES_MAX, answer, bad


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a sign-in."""

    name: str
    passphrase: str


def add_routes(app: web.Application) -> None:
    """Add the session's routes."""
    app.router.add_post("/api/v1/login", _login)
    app.router.add_post("/api/v1/logout", _logout)
    app.router.add_get("/api/v1/me", _me)


async def _login(request: web.Request) -> web.Response:
    access = request.app[ACCESS]
    if request.content_type != "application/json":  # a form of another site cannot send this without asking first
        raise web.HTTPUnsupportedMediaType(text="send JSON")
    try:
        login = msgspec.json.decode(await read_body(request, BODY_BYTES_MAX), type=Login)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise bad("body", str(fault)) from None
    caller, cookie = await access.sign_in(login.name, login.passphrase, access.address(request))
    response = answer(await _describe(request, caller) | {"roles": [caller.role]})
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=access.session_us // 1_000_000,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=access.is_secure(request),
    )
    return response


async def _logout(request: web.Request) -> web.Response:
    access: Access = request.app[ACCESS]
    await access.caller(request)
    await access.sign_out(request)
    response = web.Response(status=204)
    response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict", secure=access.is_secure(request))
    return response


async def _me(request: web.Request) -> web.Response:
    return answer(await _describe(request, await request.app[ACCESS].caller(request)))


async def _describe(request: web.Request, caller: Caller) -> dict[str, object]:
    known = [row.id for row in await request.app[STORE].enterprises()]
    return {
        "user": caller.name,
        "id": caller.id,
        "role": caller.role,
        "enterprises": [enterprise for enterprise in known if caller.may_see(enterprise)],
        "csrf": caller.csrf,
    }
