"""Where people are, by tag; who a tag is, from the erasable directory, each look on record."""

from typing import Annotated

import msgspec
import numpy as np
from aiohttp import web

from twin_server import picture
from twin_server.context import CLOCK, LEDGER
from twin_server.live import LIVE
from twin_server.log import Appender
from twin_server.params import Call, answer, bad, body
from twin_server.store.rows import Audit, Person
from twin_wire.ids import is_id
from twin_wire.readings import Method

NAMERS = ("enterprise", "regulator")  # may ask who a tag is: an accident needs it; every look is on record
KEEPERS = ("enterprise",)
TRACK_SPAN_MAX_US = 86_400_000_000
TRACK_ROWS_MAX = 100_000
NAME_CHARS_MIN = 2  # shorter names are not searched for in free text

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class PersonBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an enterprise keeps of a person: all of it erasable."""

    name: Text
    team: Annotated[str, msgspec.Meta(max_length=120)] = ""
    details: Annotated[dict[Text, Annotated[str, msgspec.Meta(max_length=200)]], msgspec.Meta(max_length=16)] = {}


class PersonFix(msgspec.Struct, frozen=True):
    """A tag's latest place; `named` tells whether the directory knows it."""

    tag: str
    roadway: str
    chainage_m: float
    sigma_m: float
    zone: str
    method: str
    time_us: int
    named: bool


class TrackPoint(msgspec.Struct, frozen=True):
    """One fix of a trail."""

    time_us: int
    roadway: str
    chainage_m: float
    sigma_m: float
    zone: str


async def people(call: Call) -> web.Response:
    """List where every tag was heard last, and the headcount of every zone; never a name."""
    live = call.app[LIVE]
    scene = (await live.room(call.enterprise)).scene
    named = {row.tag for row in await live.store.people(call.enterprise)}
    layout, as_of_us = scene.layout, scene.as_of_us
    frame = picture.frame_of(scene.twin, layout, picture.alarm_column(layout, scene.book), as_of_us)
    held = scene.twin.people
    rows = []
    for at, tag in enumerate(frame.tag.tolist()):
        row = layout.tag_rows[tag]
        roadway, zone = int(frame.roadway[at]), int(frame.zone[at])
        rows.append(
            PersonFix(
                tag=layout.tags[tag],
                roadway=layout.roadways[roadway] if roadway >= 0 else "",
                chainage_m=int(held.chainage_mm[row]) / 1000,
                sigma_m=int(held.sigma_mm[row]) / 1000,
                zone=layout.zones[zone] if zone >= 0 else "",
                method=method_name(int(held.method[row])),
                time_us=int(held.time_us[row]),
                named=layout.tags[tag] in named,
            )
        )
    return answer({"people": rows, "zones": picture.headcounts(scene.twin, layout, as_of_us)})


async def track(call: Call) -> web.Response:
    """Return one tag's trail; only as far back as trails are kept, at most a day at once."""
    live, tag = call.app[LIVE], _tag(call)
    from_us, to_us = call.asked["from"], call.asked["to"]
    if not from_us < to_us <= from_us + TRACK_SPAN_MAX_US:
        raise bad("to", "not within a day after `from`")
    from_us = max(from_us, live.trail_from_us)
    entries = [e async for e in live.store.batches(call.enterprise, from_us, to_us)] if from_us < to_us else []
    found: list[TrackPoint] = []
    for opened in await live.sites.open_many(call.enterprise, entries):
        fixes, structure = opened.batch.fixes, opened.site.structure
        if tag not in fixes.tag:
            continue
        roadways = [each.id for each in structure.roadways] if structure else []
        zones = [each.id for each in structure.zones] if structure else []
        for row in np.flatnonzero(np.array(fixes.tag) == tag):
            if from_us <= fixes.time_us[row] < to_us:
                place = (_name(roadways, int(fixes.roadway[row])), int(fixes.chainage_mm[row]) / 1000)
                where = (*place, int(fixes.sigma_mm[row]) / 1000, _name(zones, int(fixes.zone[row])))
                found.append(TrackPoint(int(fixes.time_us[row]), *where))
        if len(found) > TRACK_ROWS_MAX:
            raise bad("to", f"more than {TRACK_ROWS_MAX} fixes: ask for less time")
    return answer(sorted(found, key=lambda point: point.time_us))


async def show_name(call: Call) -> web.Response:
    """Tell who a tag is, after the look and its reason are on record."""
    tag, reason = _tag(call), call.asked["reason"]
    directory = await call.app[LIVE].store.people(call.enterprise)
    check_nameless("reason", reason, directory)
    person = next((row for row in directory if row.tag == tag), None)
    if person is None:
        raise web.HTTPNotFound(text="the directory does not know this tag")
    await _on_record(call, "name_shown", tag, reason)
    return answer({"tag": tag, "name": person.name, "team": person.team, "details": dict(person.details)})


async def put_person(call: Call) -> web.Response:
    """Write who a tag is into the directory, in place of what was there."""
    tag, given = _tag(call), await body(call, PersonBody)
    texts = (given.name, given.team, *given.details, *given.details.values())
    if not all(text.isprintable() for text in texts) or not given.name.strip():
        raise bad("body", "only printable characters, and a name that is not blank")
    now_us = call.app[CLOCK]()
    row = Person(tag, given.name, given.team, given.details, now_us)
    store = call.app[LIVE].store
    await store.put_person(call.enterprise, row)
    await store.audit(call.enterprise, Audit(now_us, call.caller.id, "person_changed", tag, ""))
    return web.Response(status=204)


async def erase_person(call: Call) -> web.Response:
    """Erase who a tag is: no byte of it stays in any file; the log keeps the opaque tag alone."""
    tag = _tag(call)
    if not await call.app[LIVE].store.erase_person(call.enterprise, tag):
        raise web.HTTPNotFound(text="the directory does not know this tag")
    await _on_record(call, "person_erased", tag, "")
    return web.Response(status=204)


def check_nameless(parameter: str, text: str, directory: list[Person]) -> None:
    """400 when free text that cannot be erased holds a name of the directory."""
    folded = text.casefold()
    for person in directory:
        if len(person.name) >= NAME_CHARS_MIN and person.name.casefold() in folded:
            raise bad(parameter, "it goes on record for ever: write the tag, not a name")


def method_name(method: int) -> str:
    """Return the name of a way to find a position."""
    return next((each.name.lower() for each in Method if each == method), "none")


async def _on_record(call: Call, act: str, tag: str, reason: str) -> None:
    """State an act on a person in the log, by opaque ids only, with its audit row."""
    record = {"act": act, "who": call.caller.id, "tag": tag, "reason": reason}

    def job(appender: Appender) -> None:
        appender.state("access", record)
        appender.tx.audit(Audit(appender.now_us, call.caller.id, act, tag, reason))

    await call.app[LEDGER].run(call.enterprise, job)


def _tag(call: Call) -> str:
    tag = call.path("tag")
    if not is_id(tag):
        raise bad("tag", "not an identifier")
    return tag


def _name(names: list[str], number: int) -> str:
    return names[number] if 0 <= number < len(names) else ""
