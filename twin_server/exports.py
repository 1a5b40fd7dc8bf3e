"""Readings to take away, streamed as they are read."""

from aiohttp import web

from twin_server.context import CLOCK
from twin_server.export import Wanted, open_format
from twin_server.live import LIVE
from twin_server.params import Call, bad
from twin_server.store.rows import Audit
from twin_wire.ids import is_id

SPAN_MAX_US = 366 * 86_400_000_000


async def export_csv(call: Call) -> web.StreamResponse:
    """Stream the samples of [from, to) as CSV, of `points` or of all; never a position or a name."""
    live, asked = call.app[LIVE], call.asked
    if not asked["from"] < asked["to"] <= asked["from"] + SPAN_MAX_US:
        raise bad("to", "not within a year after `from`")
    points = frozenset(filter(None, asked["points"].split(",")))
    for point in points:
        if not all(is_id(part) for part in point.split(":", 1)):
            raise bad("points", "not point ids with commas between")
    made = open_format("csv")
    wanted = Wanted(call.enterprise, asked["from"], asked["to"], points)
    name = f"{call.enterprise}-{wanted.from_us // 1_000_000}-{wanted.to_us // 1_000_000}.{made.suffix}"
    detail = f"{wanted.from_us}..{wanted.to_us}"
    await live.store.audit(call.enterprise, Audit(call.app[CLOCK](), call.caller.id, "export", call.enterprise, detail))
    response = web.StreamResponse(
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    )
    response.content_type, response.charset = made.media_type, "utf-8"
    await response.prepare(call.request)
    async for part in made.write(live.store, live.sites, wanted):
        await response.write(part)
    await response.write_eof()
    return response
