"""What people do on an enterprise's page: read and acknowledge alarms, put up a notice for everyone who watches."""

from typing import Annotated

import msgspec
from aiohttp import web

from twin_server import alarms
from twin_server.context import CLOCK, LEDGER
from twin_server.live import LIVE, NOTICES_MAX, Live, Notice
from twin_server.log import Appender
from twin_server.params import TIME_US_MAX, Call, answer, bad, body
from twin_server.people import check_nameless
from twin_server.store.rows import Acknowledgement, Audit

ALARMS_MAX = 5_000
NOTE_CHARS_MAX = 500
NOTICE_S_MAX = 86_400


class AckBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the person says with an acknowledgement; it goes on record and may hold no name."""

    note: Annotated[str, msgspec.Meta(max_length=NOTE_CHARS_MAX)] = ""


class NoticeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sentence on every page of an enterprise for a while; `factor` is the pace of a simulated world."""

    text: Annotated[str, msgspec.Meta(max_length=200)]
    factor: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 1.0
    seconds: Annotated[float, msgspec.Meta(gt=0, le=NOTICE_S_MAX)] = 600.0


async def list_alarms(call: Call) -> web.Response:
    """List alarms, newest first: of the last day, of [from, to), or with active=1 all that are not normal."""
    live, asked = call.app[LIVE], call.asked
    scene = (await live.room(call.enterprise)).scene
    book = scene.book
    if asked["from"] or asked["to"] != TIME_US_MAX:
        if asked["from"] >= asked["to"]:
            raise bad("from", "not before `to`")
        book = await _between(live, call.enterprise, asked["from"], asked["to"])
    found = alarms.alarms(book, active=bool(asked["active"]))
    return answer(found[:ALARMS_MAX])


async def acknowledge(call: Call) -> web.Response:
    """Acknowledge an alarm: a statement of the log with the person's opaque id; again changes nothing."""
    if not call.caller.csrf:
        raise web.HTTPForbidden(text="a person has to sign in for this: a program cannot take notice")
    live = call.app[LIVE]
    scene = (await live.room(call.enterprise)).scene
    alarm = alarms.find(scene.book, call.path("id"))
    if alarm is None:
        raise web.HTTPNotFound(text="no such alarm")
    note = (await body(call, AckBody)).note
    if not note.replace("\n", " ").isprintable():
        raise bad("note", "only printable characters and line breaks")
    check_nameless("note", note, await live.store.people(call.enterprise))
    if alarm.state in ("acked", "normal"):
        return answer(alarm)
    identity = (alarm.gateway, alarm.point, alarm.rule, alarm.begin_us)
    by, severity = call.caller.id, alarm.severity

    def job(appender: Appender) -> int:
        ack = Acknowledgement(*identity, by, appender.now_us, note, severity)
        entry = appender.state("acknowledgement", ack._asdict())
        appender.tx.acknowledge(ack)
        appender.tx.audit(Audit(appender.now_us, by, "ack", alarm.id, note))
        return entry

    entry, _ = await call.app[LEDGER].run(call.enterprise, job)
    await scene.reach(entry)
    return answer(alarms.find(scene.book, alarm.id) or alarm)


async def put_notice(call: Call) -> web.Response:
    """Put up, or with an empty text take down, a notice of a kind; it is not kept over a restart."""
    room = await call.app[LIVE].room(call.enterprise)
    given, kind = await body(call, NoticeBody), call.path("kind")
    if not given.text.isprintable():
        raise bad("text", "only printable characters")
    if given.text and kind not in room.notices and len(room.notices) >= NOTICES_MAX:
        raise web.HTTPConflict(text=f"there are {NOTICES_MAX} notices already")
    until_us = call.app[CLOCK]() + int(given.seconds * 1e6)
    room.notices.pop(kind, None)
    if given.text:
        room.notices[kind] = Notice(kind, given.text, given.factor, until_us)
    return web.Response(status=204)


async def _between(live: Live, enterprise: str, from_us: int, to_us: int) -> alarms.Book:
    words = await live.store.events(enterprise, from_us, to_us)
    book, _ = alarms.put(alarms.empty(), words)
    first_us = min((word.begin_us for word in words), default=to_us)
    for ack in await live.store.acknowledgements(enterprise, first_us, to_us):
        book, _ = alarms.acknowledge(book, ack)
    return book
