"""The log as C2SP tlog-tiles for whoever may read the enterprise: checkpoint, tiles, entries, bodies, keys."""

import re

from aiohttp import web

from twin_server import proofs
from twin_server.context import ACCESS, LEDGER, STORE
from twin_server.cosign import COSIGNED
from twin_server.params import answer
from twin_server.problem import not_found
from twin_wire.errors import FormatError
from twin_wire.tiles import parse_tile_path

IMMUTABLE = {"Cache-Control": "private, max-age=31536000, immutable"}
_DIGEST = re.compile(r"[0-9a-f]{64}")


def add_routes(app: web.Application) -> None:
    """Add the log's routes."""
    app.router.add_get("/log/{e}/checkpoint", _checkpoint)
    app.router.add_get("/log/{e}/cosigned", _cosigned)
    app.router.add_get("/log/{e}/keys", _keys)
    app.router.add_get("/log/{e}/body/{digest}", _body)
    app.router.add_get("/log/{e}/tile/{path:.+}", _tile)


async def _checkpoint(request: web.Request) -> web.Response:
    enterprise = await request.app[ACCESS].enterprise(request)
    log = await request.app[LEDGER].open(enterprise)
    return web.Response(text=log.note(), content_type="text/plain", headers={"Cache-Control": "no-store"})


async def _cosigned(request: web.Request) -> web.Response:
    enterprise = await request.app[ACCESS].enterprise(request)
    note = await request.app[STORE].note(enterprise, COSIGNED)
    if note is None:
        raise not_found()
    return web.Response(body=note, content_type="text/plain", headers={"Cache-Control": "no-store"})


async def _tile(request: web.Request) -> web.Response:
    enterprise = await request.app[ACCESS].enterprise(request)
    try:
        level, n, width = parse_tile_path(f"tile/{request.match_info['path']}")
    except FormatError:
        raise not_found() from None
    ledger = request.app[LEDGER]
    data = await (
        proofs.bundle(ledger, enterprise, n, width)
        if isinstance(level, str)
        else proofs.tile(ledger, enterprise, level, n, width)
    )
    if data is None:
        raise not_found()
    return web.Response(body=data, content_type="application/octet-stream", headers=IMMUTABLE)


async def _body(request: web.Request) -> web.Response:
    enterprise = await request.app[ACCESS].enterprise(request)
    digest = request.match_info["digest"]
    body = await request.app[STORE].body(enterprise, bytes.fromhex(digest)) if _DIGEST.fullmatch(digest) else None
    if body is None:
        raise not_found()
    return web.Response(body=body, content_type="application/octet-stream", headers=IMMUTABLE)


async def _keys(request: web.Request) -> web.Response:
    enterprise = await request.app[ACCESS].enterprise(request)
    log = await request.app[LEDGER].open(enterprise)
    gateways = [
        {
            "gateway": chain.gateway,
            "kid": chain.kid.hex(),
            "public": chain.public.hex(),
            "epoch": chain.epoch,
            "enrolled_index": chain.enrolled_index,
            "revoked_index": chain.revoked_index,
        }
        for chain in await request.app[STORE].chains(enterprise)
    ]
    return answer({"origin": log.origin, "log_vkey": log.row.log_vkey, "gateways": gateways})
