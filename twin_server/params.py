"""Routes as a table: each authorises through access.py before it reads a parameter; a 400 names the parameter."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec
from aiohttp import hdrs, web
from multidict import MultiMapping

from twin_server.access import Caller
from twin_server.context import ACCESS

T = TypeVar("T")

BODY_BYTES_MAX = 64 << 10
TIME_US_MAX = 1 << 53  # exact in JavaScript; the year 2255
TEXT_CHARS_MAX = 2_000
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")


class Parameter(NamedTuple):
    """One query parameter; a default of None makes it required, low and high bound its value or its length."""

    name: str
    kind: type[int] | type[float] | type[str]
    low: float
    high: float
    default: int | float | str | None
    about: str


class Call(NamedTuple):
    """An authorised request: who asks, for which enterprise ("" where the path names none), and what exactly."""

    request: web.Request
    caller: Caller
    enterprise: str
    asked: Mapping[str, Any]

    @property
    def app(self) -> web.Application:
        """The application that serves it."""
        return self.request.app

    def path(self, name: str) -> str:
        """Return a part of the path."""
        return self.request.match_info[name]


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """One row of the table: `roles` beside admin, () for everyone who may see the enterprise."""

    method: str
    path: str
    handler: Handler
    roles: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    answer: str  # media type


def time(name: str, about: str, default: int | None = None) -> Parameter:
    """Return a parameter that is a time in microseconds since 1970 UTC."""
    return Parameter(name, int, 0, TIME_US_MAX, default, about)


def bad(parameter: str, message: str) -> web.HTTPBadRequest:
    """Return the 400 that names the parameter at fault."""
    return web.HTTPBadRequest(text=f"{parameter}: {message}")


def authorised(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return the aiohttp handler of a row: first who asks and for what, then the parameters, then the work."""

    async def handle(request: web.Request) -> web.StreamResponse:
        access = request.app[ACCESS]
        enterprise = await access.enterprise(request, *route.roles) if "{e}" in route.path else ""
        caller = await access.caller(request)
        return await route.handler(Call(request, caller, enterprise, read(request.query, route.parameters)))

    handle.__doc__ = route.handler.__doc__
    return handle


def read(query: MultiMapping[str], parameters: tuple[Parameter, ...]) -> dict[str, Any]:
    """Return every parameter's value; 400 for one unknown, missing, given twice, malformed or out of bounds."""
    known = {parameter.name: parameter for parameter in parameters}
    given: dict[str, str] = {}
    for name, text in query.items():
        if name not in known:
            raise bad(name[:40], f"not a parameter of this route; it knows {', '.join(known) or 'none'}")
        if name in given:
            raise bad(name, "given twice")
        given[name] = text
    return {name: _value(parameter, given.get(name)) for name, parameter in known.items()}


def _value(parameter: Parameter, text: str | None) -> int | float | str:
    if text is None:
        if parameter.default is None:
            raise bad(parameter.name, "is required")
        return parameter.default
    low, high = parameter.low, parameter.high
    if parameter.kind is str:
        if not low <= len(text) <= high or not text.isprintable():
            raise bad(parameter.name, f"not {low:.0f} to {high:.0f} printable characters")
        return text
    pattern, wanted = (_WHOLE, "a whole number") if parameter.kind is int else (_NUMBER, "a plain decimal number")
    if pattern.fullmatch(text) is None:
        raise bad(parameter.name, f"not {wanted}")
    value = int(text) if parameter.kind is int else float(text)
    if not low <= value <= high:
        raise bad(parameter.name, f"not within {low:.17g} to {high:.17g}")
    return value


async def body(call: Call, kind: type[T]) -> T:
    """Return the JSON body as `kind`; 400 with the place of the fault, 413 beyond 64 KiB, 415 for another type."""
    if call.request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="the body has to be application/json")
    data = await call.request.content.read(BODY_BYTES_MAX + 1)
    while len(data) <= BODY_BYTES_MAX and (more := await call.request.content.read(BODY_BYTES_MAX + 1)):
        data += more
    if len(data) > BODY_BYTES_MAX:
        raise web.HTTPRequestEntityTooLarge(BODY_BYTES_MAX, len(data), text="body too large")
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as fault:
        raise bad("body", str(fault)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise bad("body", f"not JSON: {fault}") from None


def answer(document: object, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a JSON answer; NaN becomes null, and no cache keeps what belongs to one reader."""
    return web.Response(
        body=msgspec.json.encode(document),
        content_type="application/json",
        headers={hdrs.CACHE_CONTROL: "no-store", **(headers or {})},
    )
