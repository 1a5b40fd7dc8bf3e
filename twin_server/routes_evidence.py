"""Proofs for programs and evidence for people: envelopes, inclusion, consistency, the evidence bundle."""

from aiohttp import web

from twin_server import proofs
from twin_server.context import ACCESS, CLOCK, LEDGER, STORE
from twin_server.evidence import ENTRIES_MAX, Span, bundle, choose
from twin_server.inputs import whole
from twin_server.params import answer
from twin_server.problem import not_found
from twin_server.store.rows import Audit
from twin_wire.ids import is_id
from twin_wire.statement import encode_envelope


def add_routes(app: web.Application) -> None:
    """Add the evidence routes."""
    app.router.add_get("/api/v1/enterprises/{e}/envelopes/{index}", _envelope)
    app.router.add_get("/api/v1/enterprises/{e}/proof", _proof)
    app.router.add_get("/api/v1/enterprises/{e}/consistency", _consistency)
    app.router.add_get("/api/v1/enterprises/{e}/evidence.zip", _evidence)


async def _envelope(request: web.Request) -> web.Response:
    enterprise = await request.app[ACCESS].enterprise(request)
    text = request.match_info["index"]
    known = text.isascii() and text.isdigit() and len(text) <= 15
    entry = await request.app[STORE].entry(enterprise, int(text)) if known else None
    if entry is None:
        raise not_found()
    data = encode_envelope(entry.statement, entry.body)
    return web.Response(body=data, content_type="application/cbor", headers={"Cache-Control": "no-store"})


async def _proof(request: web.Request) -> web.Response:
    """Inclusion of entry `index` in the tree of `size` (default: now), and the entry's own receipt."""
    enterprise = await request.app[ACCESS].enterprise(request)
    ledger = request.app[LEDGER]
    log = await ledger.open(enterprise)
    newest = log.last.size
    index = whole(request, "index", high=newest - 1)
    size = whole(request, "size", newest, low=index + 1, high=newest)
    path = await proofs.inclusion(ledger, enterprise, index, size)
    receipt = await proofs.receipt(ledger, enterprise, index)
    return answer(
        {
            "index": index,
            "size": size,
            "path": [step.hex() for step in path],
            "receipt": receipt.hex() if receipt else None,
            "checkpoint": log.note() if size == newest else None,
        }
    )


async def _consistency(request: web.Request) -> web.Response:
    """Proof that the tree of size `to` (default: now) begins with the one of size `from`."""
    enterprise = await request.app[ACCESS].enterprise(request)
    ledger = request.app[LEDGER]
    newest = (await ledger.open(enterprise)).last.size
    first = whole(request, "from", low=1, high=newest)
    last = whole(request, "to", newest, low=first, high=newest)
    path = await proofs.consistency(ledger, enterprise, first, last)
    return answer({"from": first, "to": last, "path": [step.hex() for step in path]})


async def _evidence(request: web.Request) -> web.StreamResponse:
    access = request.app[ACCESS]
    enterprise = await access.enterprise(request, "enterprise", "regulator")
    caller = await access.caller(request)
    from_us = whole(request, "from", 0)
    span = Span(from_us, whole(request, "to", request.app[CLOCK]() + 1, low=from_us), request.query.get("gateway", ""))
    if span.gateway and not is_id(span.gateway):
        raise not_found()
    store, ledger = request.app[STORE], request.app[LEDGER]
    log = await ledger.open(enterprise)
    choice = await choose(store, enterprise, span, log)
    if choice is None:
        raise web.HTTPRequestEntityTooLarge(ENTRIES_MAX, 0, text=f"more than {ENTRIES_MAX} entries: ask for less time")
    detail = f"{span.from_us}..{span.to_us} {span.gateway}"
    await store.audit(enterprise, Audit(request.app[CLOCK](), caller.id, "evidence", enterprise, detail))
    headers = {"Content-Disposition": 'attachment; filename="evidence.zip"', "Cache-Control": "no-store"}
    response = web.StreamResponse(headers=headers)
    response.content_type = "application/zip"
    await response.prepare(request)
    async for part in bundle(store, ledger, enterprise, span, choice, log):
        await response.write(part)
    await response.write_eof()
    return response
