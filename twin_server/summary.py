"""Enterprises and gateways as the pages list them: who is there, how fresh, how complete, what stands open."""

from typing import Any

import msgspec
import numpy as np
from aiohttp import web

from twin_server import alarms, picture, query, watch
from twin_server.context import CLOCK, LEDGER, STORE
from twin_server.live import LIVE, Live, Room
from twin_server.params import Call, answer
from twin_server.store.rows import MINUTE_US, Enterprise
from twin_server.store.rows import Gateway as GatewayRow
from twin_server.twin import Gateway
from twin_wire.keys import kid_text

DAY_US = 86_400_000_000
SHARE_KEPT_US = MINUTE_US  # a day's completeness is counted again at most once a minute
HOLES_MAX = 100


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One enterprise in one row; `completeness_24h` is null while nothing was owed."""

    id: str
    name: str
    simulated: bool
    origin: str
    log_vkey: str
    tree_size: int
    gateways: Any  # their number; in the detail the gateways themselves
    points: int
    people: int
    alarms: dict[str, int]
    state: str
    last_event_us: int
    last_received_us: int
    completeness_24h: float | None
    history_id: str | msgspec.UnsetType = msgspec.UNSET


class GatewayDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One gateway: its chain, its freshness, what it says of its own queue and clock."""

    id: str
    name: str
    site: str
    epoch: int
    seq: int
    kid: str
    state: str
    last_event_us: int
    last_received_us: int
    software: str
    holes: list[tuple[int, int, int]]  # (epoch, first, last) not received although later ones were
    queue: float | None
    clock: dict[str, int]
    forks: int
    revoked: bool


async def list_enterprises(call: Call) -> web.Response:
    """List the enterprises the caller may see, with state, open alarms and completeness."""
    rows = [row for row in await call.app[STORE].enterprises() if call.caller.may_see(row.id)]
    return answer([await _summary(call, row) for row in rows])


async def enterprise_detail(call: Call) -> web.Response:
    """Return one enterprise with its gateways."""
    rows = {row.id: row for row in await call.app[STORE].enterprises()}
    log = await call.app[LEDGER].open(call.enterprise)
    summary = await _summary(call, rows[call.enterprise])
    gateways = await _gateways(call)
    return answer(msgspec.structs.replace(summary, gateways=gateways, history_id=log.history_id))


async def share_24h(live: Live, room: Room, now_us: int) -> float | None:
    """Return the share of the last day's owed samples that arrived, None when nothing was owed."""
    counted_us, held = room.share
    if now_us - counted_us < SHARE_KEPT_US:
        return held
    enterprise = room.scene.enterprise
    end_us = now_us // MINUTE_US * MINUTE_US - MINUTE_US  # what is still on its way is not missing
    asked = query.Plan(0, MINUTE_US, end_us - DAY_US, end_us)
    arrived = await live.store.arrivals(enterprise, asked.from_us, asked.to_us)
    rows = []
    for name in room.scene.twin.gateways:
        versions = await live.sites.versions(enterprise, name)
        rows.append(query.completeness(name, versions, arrived, asked, end_us))
    room.share = (now_us, query.share(rows))
    return room.share[1]


async def _summary(call: Call, row: Enterprise) -> Summary:
    live, now_us = call.app[LIVE], call.app[CLOCK]()
    room = await live.room(row.id)
    scene = room.scene
    gateways = scene.twin.gateways.values()
    people = scene.twin.people.time_us[scene.layout.tag_rows]
    return Summary(
        id=row.id,
        name=row.name,
        simulated=row.simulated,
        origin=row.origin,
        log_vkey=row.log_vkey,
        tree_size=(await call.app[LEDGER].open(row.id)).last.size,
        gateways=len(scene.rows.keys() | scene.twin.gateways.keys()),
        points=len(scene.layout.points),
        people=int(np.count_nonzero(people > scene.as_of_us - picture.PRESENT_US)),
        alarms=alarms.counts(scene.book),
        state=watch.worst(list(room.states(now_us, live.silent_us).values())),
        last_event_us=max((max(each.last_event_us, 0) for each in gateways), default=0),
        last_received_us=max((max(each.last_received_us, 0) for each in gateways), default=0),
        completeness_24h=await share_24h(live, room, now_us),
    )


async def _gateways(call: Call) -> list[GatewayDetail]:
    live, now_us = call.app[LIVE], call.app[CLOCK]()
    room = await live.room(call.enterprise)
    states = room.states(now_us, live.silent_us)
    rows = {row.gateway: row for row in await live.store.gateways(call.enterprise)}
    return [_detail(room, row, states.get(name, "silent")) for name, row in sorted(rows.items())]


def _detail(room: Room, row: GatewayRow, state: str) -> GatewayDetail:
    held = room.scene.twin.gateways.get(row.gateway, Gateway())
    return GatewayDetail(
        id=row.gateway,
        name=row.name,
        site=row.site,
        epoch=row.epoch,
        seq=row.seq,
        kid=kid_text(row.kid) if row.kid else "",
        state=state,
        last_event_us=max(held.last_event_us, row.last_event_us),
        last_received_us=max(held.last_received_us, row.last_received_us),
        software=held.site.manifest.software if held.site else "",
        holes=watch.holes(row)[:HOLES_MAX],
        queue=_queue(room, row.gateway),
        clock={"sync": held.clock.sync, "error_us": held.clock.error_us, "offset_us": held.clock.offset_us},
        forks=row.forks,
        revoked=row.revoked_index >= 0,
    )


def _queue(room: Room, gateway: str) -> float | None:
    """What the gateway last said of the batches waiting in it."""
    twin, layout = room.scene.twin, room.scene.layout
    for place in layout.places:
        if place.gateway == gateway and place.spec.quantity == "gateway_queue_batches":
            row = twin.point_row.get((gateway, place.spec.id))
            return float(twin.points.value[row]) if row is not None else None
    return None
