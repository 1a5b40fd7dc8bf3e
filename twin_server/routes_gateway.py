"""What gateways call: head, batches, manifests; they authenticate by their signatures."""

import re

from aiohttp import web

from twin_server.context import ACCESS, CLOCK, INGEST, PACE, STORE
from twin_server.ingest import POST_BYTES_MAX, Ingest
from twin_server.inputs import read_body, whole
from twin_server.prepare import BODY_BYTES_MAX
from twin_wire.exchange import encode_answer

CBOR = "application/cbor"
_GATEWAY = re.compile(r"[!-~]{1,128}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def add_routes(app: web.Application) -> None:
    """Add the gateways' routes."""
    app.router.add_get("/api/v1/gateways/{id}/head", _head)
    app.router.add_post("/api/v1/gateways/{id}/batches", _batches)
    app.router.add_put("/api/v1/gateways/{id}/manifests/{digest}", _manifest)


async def _head(request: web.Request) -> web.Response:
    enterprise, gateway = await _gateway(request)
    authorization = request.headers.get("Authorization", "")
    found = await request.app[INGEST].head(enterprise, gateway, authorization, whole(request, "from", 0))
    return _cbor(encode_answer(found))


async def _batches(request: web.Request) -> web.Response:
    enterprise, gateway = await _gateway(request)
    data = await read_body(request, POST_BYTES_MAX)
    ingest: Ingest = request.app[INGEST]
    return _cbor(encode_answer(await ingest.post(enterprise, gateway, data, whole(request, "from", 0))))


async def _manifest(request: web.Request) -> web.Response:
    enterprise, gateway = await _gateway(request)
    digest = request.match_info["digest"]
    if not _DIGEST.fullmatch(digest):
        raise web.HTTPBadRequest(text="the digest is not 64 hexadecimal digits")
    body = await read_body(request, BODY_BYTES_MAX)
    await request.app[INGEST].put_manifest(enterprise, gateway, bytes.fromhex(digest), body)
    return web.Response(status=204)


async def _gateway(request: web.Request) -> tuple[str, str]:
    """Return (enterprise, gateway) of the path; 404 for an unknown gateway, 429 when it comes too often."""
    gateway = request.match_info["id"]
    enterprise = await request.app[STORE].owner(gateway) if _GATEWAY.fullmatch(gateway) else None
    if enterprise is None:
        raise web.HTTPNotFound(text="no such gateway here: is this the server of the voucher?")
    key = (gateway, request.app[ACCESS].address(request))  # a stranger elsewhere must not use up the gateway's share
    wait_s = request.app[PACE].take(key, request.app[CLOCK]())
    if wait_s:
        raise web.HTTPTooManyRequests(text="too many requests", headers={"Retry-After": str(int(wait_s) + 1)})
    return enterprise, gateway


def _cbor(data: bytes) -> web.Response:
    return web.Response(body=data, content_type=CBOR, headers={"Cache-Control": "no-store"})
