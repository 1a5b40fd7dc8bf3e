"""What pages and programs read of one enterprise: structure, points, history, evidence, completeness, pictures."""

import hashlib
from typing import Any

import msgspec
import numpy as np
from aiohttp import hdrs, web

from twin_server import alarms, picture, query
from twin_server.context import CLOCK, LEDGER
from twin_server.live import LIVE, Live, Room, layout_message
from twin_server.params import Call, answer, bad
from twin_server.query import Plan, Rows
from twin_server.replay import Reader
from twin_server.sites import Opened
from twin_server.store.rows import MINUTE_US, StoredBatch
from twin_server.twin import NO_TIME_US
from twin_wire.frame import encode_frame
from twin_wire.structure import Structure

LOOK_BACK_US = (60_000_000, 600_000_000, 3_600_000_000)  # for the batch that holds a sample
EXACT_ROWS_MAX = 20_000


async def structure(call: Call) -> web.Response:
    """Return the structure document in force; of several sites the tables joined."""
    room = await call.app[LIVE].room(call.enterprise)
    found = picture.structures_of(room.scene.twin)
    if not found:
        raise web.HTTPNotFound(text="no structure document has come yet")
    body = msgspec.json.encode(found[0] if len(found) == 1 else _joined(found))
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {hdrs.ETAG: tag, hdrs.CACHE_CONTROL: "private, no-cache"}
    if call.request.headers.get(hdrs.IF_NONE_MATCH) == tag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type="application/json", headers=headers)


async def points(call: Call) -> web.Response:
    """List the points of the manifests in force with their latest value, quality and alarm byte."""
    scene = (await call.app[LIVE].room(call.enterprise)).scene
    layout = scene.layout
    value, quality, time_us = picture.point_columns(scene.twin, layout)
    alarm = alarms.codes(scene.book, layout.row_of, len(layout.points))
    periods = {
        (name, point): group.period_s
        for name, gateway in scene.twin.gateways.items()
        if gateway.site
        for group in gateway.site.manifest.groups
        for point in group.points
    }
    columns = (layout.points, layout.places, value.tolist(), quality.tolist(), time_us.tolist(), alarm.tolist())
    rows = []
    for name, place, *now in zip(*columns, strict=True):
        row = msgspec.to_builtins(place.spec) | {"id": name, "gateway": place.gateway}
        row["period_s"] = periods.get((place.gateway, place.spec.id), 0.0)
        row |= dict(zip(("value", "quality", "time_us", "alarm"), now, strict=True))
        rows.append(row | {"time_us": max(row["time_us"], 0)})
    return answer(rows)


async def history(call: Call) -> web.Response:
    """Return one point's n, min, max, mean, last, bad per bucket at any zoom; bucket_us 0: the samples themselves."""
    live, asked = call.app[LIVE], call.asked
    room = await live.room(call.enterprise)
    name = call.path("p")
    gateway, point = _point(room, name)
    from_us, to_us = _span(asked, query.SPAN_MAX_US)
    plan = query.plan(from_us, to_us, asked["buckets"])
    if plan.level_us:
        found = await live.store.aggregates(call.enterprise, gateway, point, plan.level_us, plan.from_us, plan.to_us)
        return answer(query.history(name, plan, query.regrouped(found, plan)))
    rows = await _rows(live, call.enterprise, gateway, point, plan)
    inside = query.join([rows], from_us, to_us)
    if len(inside.time_us) <= min(asked["buckets"], EXACT_ROWS_MAX):
        return answer(query.exact(name, inside, from_us, to_us))
    return answer(query.history(name, plan, query.bucketed(rows, plan)))


async def evidence(call: Call) -> web.Response:
    """Name the log entry whose body holds the sample of a point shown at `time_us` (0: the latest)."""
    live = call.app[LIVE]
    room = await live.room(call.enterprise)
    gateway, point = _point(room, call.path("p"))
    time_us = call.asked["time_us"]
    if time_us:
        found = await _holder(live, call.enterprise, gateway, point, time_us)
    else:
        row = room.scene.twin.point_row.get((gateway, point), -1)
        held = room.scene.twin.points
        entry = (
            await live.store.find(call.enterprise, gateway, int(held.epoch[row]), int(held.seq[row]))
            if row >= 0
            else None
        )
        found = (entry, int(held.time_us[row])) if entry else None
    if found is None:
        raise web.HTTPNotFound(text="no sample of this point up to that time")
    entry, sample_us = found
    opened = await live.sites.open(call.enterprise, entry)
    document = await live.store.document(call.enterprise, opened.site.key) if opened else None
    log = await call.app[LEDGER].open(call.enterprise)
    return answer(
        {
            "gateway": gateway,
            "epoch": entry.epoch,
            "seq": entry.seq,
            "index": entry.index,
            "digest": entry.digest.hex(),
            "size": log.last.size,
            "manifest_digest": document.digest.hex() if document else "",
            "time_us": sample_us,
        }
    )


async def completeness(call: Call) -> web.Response:
    """Return what every gateway owed and delivered per bucket, in samples."""
    live, asked = call.app[LIVE], call.asked
    from_us, to_us = _span(asked, query.SPAN_MAX_US)
    bucket_us = -(-asked["bucket_us"] // MINUTE_US) * MINUTE_US
    first_us = from_us // bucket_us * bucket_us
    plan = Plan(0, bucket_us, first_us, first_us + -(-(to_us - first_us) // bucket_us) * bucket_us)
    if plan.size > query.BUCKETS_MAX:
        raise bad("bucket_us", f"makes {plan.size} buckets, at most {query.BUCKETS_MAX}")
    arrived = await live.store.arrivals(call.enterprise, plan.from_us, plan.to_us)
    rows = []
    for gateway in await live.store.gateways(call.enterprise):
        versions = await live.sites.versions(call.enterprise, gateway.gateway)
        rows.append(query.completeness(gateway.gateway, versions, arrived, plan, call.app[CLOCK]()))
    return answer(rows)


async def frame(call: Call) -> web.Response:
    """Return one binary picture: of now, or of the event time `t`."""
    data, _ = await _picture(call)
    return web.Response(body=data, content_type="application/octet-stream", headers={hdrs.CACHE_CONTROL: "no-store"})


async def layout(call: Call) -> web.Response:
    """Return the layout that names the columns of the picture with the same `t`."""
    _, message = await _picture(call)
    return web.Response(text=message, content_type="application/json", headers={hdrs.CACHE_CONTROL: "no-store"})


async def _picture(call: Call) -> tuple[bytes, str]:
    live = call.app[LIVE]
    room = await live.room(call.enterprise)
    if not call.asked["t"]:
        return room.frame(), layout_message(room.scene.layout)
    reader = Reader(live.store, live.sites, call.enterprise, live.trail_from_us)
    await reader.seek(call.asked["t"])
    return encode_frame(reader.frame()), layout_message(reader.layout)


def _point(room: Room, name: str) -> tuple[str, str]:
    """Return (gateway, point) of a point's name in the layout, or of gateway:point; 404 for none, or several."""
    layout = room.scene.layout
    if name in layout.points:
        place = layout.places[layout.points.index(name)]
        return place.gateway, place.spec.id
    held = [key for key in room.scene.twin.point_row if name in (key[1], f"{key[0]}:{key[1]}")]
    if len(held) != 1:
        raise web.HTTPNotFound(text="no such point, or more than one: write gateway:point")
    return held[0]


def _span(asked: Any, most_us: int) -> tuple[int, int]:
    from_us, to_us = asked["from"], asked["to"]
    if from_us >= to_us:
        raise bad("from", "not before `to`")
    if to_us - from_us > most_us:
        raise bad("to", f"more than {most_us // 1_000_000} s after `from`")
    return from_us, to_us


async def _rows(live: Live, enterprise: str, gateway: str, point: str, plan: Plan) -> Rows:
    """Return a point's exact samples from the bodies that touch a plan's range."""
    parts: list[Rows] = []
    chunk: list[StoredBatch] = []
    async for entry in live.store.batches(enterprise, plan.from_us, plan.to_us, gateway):
        chunk.append(entry)
        if len(chunk) == 256:
            parts += _of_point(await live.sites.open_many(enterprise, chunk), point)
            chunk = []
    parts += _of_point(await live.sites.open_many(enterprise, chunk), point)
    return query.join(parts, plan.from_us, plan.to_us)


def _of_point(opened: list[Opened], point: str) -> list[Rows]:
    found = []
    for each in opened:
        for block in each.batch.blocks:
            if point in block.points:
                column = block.points.index(point)
                found.append(Rows(block.time_us, block.value[column], block.quality[column]))
    return found


async def _holder(
    live: Live, enterprise: str, gateway: str, point: str, time_us: int
) -> tuple[StoredBatch, int] | None:
    """Return the entry with the latest sample of a point up to a time, by the order of the twin, and its time."""
    for back_us in LOOK_BACK_US:
        entries = [e async for e in live.store.batches(enterprise, time_us - back_us, time_us + 1, gateway)]
        best: tuple[int, int, int] = (NO_TIME_US, -1, -1)
        found = None
        for each in await live.sites.open_many(enterprise, entries):
            for rows in _of_point([each], point):
                last = int(np.searchsorted(rows.time_us, time_us, "right")) - 1
                order = (int(rows.time_us[last]), each.entry.epoch, each.entry.seq) if last >= 0 else best
                if order > best:
                    best, found = order, each.entry
        if found is not None:
            return found, best[0]
    return None


def _joined(found: list[Structure]) -> Structure:
    tables: dict[str, Any] = {}
    for name in ("junctions", "roadways", "zones", "controls", "exits", "refuges", "ponds"):
        rows = {row.id: row for each in reversed(found) for row in getattr(each, name)}
        tables[name] = tuple(rows.values())
    return msgspec.structs.replace(found[0], **tables)
