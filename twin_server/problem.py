"""Errors on the wire: problem documents of RFC 9457, made from our own error classes in one place."""

from http import HTTPStatus

import msgspec
from aiohttp import web

from twin_wire.errors import ConfigError, Error, FormatError, ProofError, StoreError, UplinkError

_STATUS: tuple[tuple[type[Error], HTTPStatus], ...] = (
    (ProofError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (FormatError, HTTPStatus.BAD_REQUEST),
    (StoreError, HTTPStatus.SERVICE_UNAVAILABLE),
    (UplinkError, HTTPStatus.SERVICE_UNAVAILABLE),  # the store's server: whoever asks tries again
    (ConfigError, HTTPStatus.CONFLICT),
)


def problem(status: int, detail: str, hint: str = "", headers: dict[str, str] | None = None) -> web.Response:
    """Return a problem document; `detail` must not say more than its reader may know."""
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    if hint:
        document["hint"] = hint
    return web.Response(
        status=status, body=msgspec.json.encode(document), content_type="application/problem+json", headers=headers
    )


def problem_of(error: Error) -> web.Response:
    """Return the problem document of one of our errors."""
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return problem(status, str(error), error.hint)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the request failed")


def not_found() -> web.HTTPException:
    """Return the one answer for what is not there and for what the caller may not know of."""
    return web.HTTPNotFound(text="no such thing, or not yours to see")
