"""The mirror of one enterprise as a value: batches in any order give one state; latest is by event time."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from twin_wire.manifest import Manifest
from twin_wire.readings import Batch, Block, Clock, Event, Fixes
from twin_wire.structure import Structure

ROWS_MAX = 200_000  # points and tags of one enterprise ever named; what a hostile gateway invents beyond is left out
CLOCK_SLACK_US = 5_000_000  # a gateway's clock may lead ours by this much before its times are doubted
NO_TIME_US = -(1 << 62)

Rows = NDArray[np.intp]
Columns = TypeVar("Columns", "Points", "People")


class Arrival(NamedTuple):
    """What is known of a statement besides its body; the order of the state is (time, gateway, epoch, seq)."""

    gateway: str
    epoch: int
    seq: int
    t1_us: int  # last event time the statement claims
    received_us: int  # server's clock at the commit


class Site(NamedTuple):
    """A manifest and the structure document it names, with the first 8 bytes of the manifest's digest."""

    key: bytes
    manifest: Manifest
    structure: Structure | None


class Gateway(NamedTuple):
    """What the twin knows of one gateway; every field is a maximum over what arrived."""

    epoch: int = -1
    seq: int = -1
    last_event_us: int = NO_TIME_US
    last_received_us: int = NO_TIME_US
    clock: Clock = Clock(0, -1, 0)  # of the greatest (epoch, seq)
    clock_order: tuple[int, int] = (-1, -1)
    newest: tuple[int, int, int, int] = (NO_TIME_US, -1, -1, 0)  # received_us, epoch, seq, delay_us of the last arrival
    site: Site | None = None
    site_order: tuple[int, int] = (-1, -1)


class Points(NamedTuple):
    """Latest sample of every point, R rows in order of first mention."""

    order_us: NDArray[np.int64]  # event time, or the receive time where the gateway's clock ran ahead of it
    epoch: NDArray[np.int64]
    seq: NDArray[np.int64]
    time_us: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]


class People(NamedTuple):
    """Latest fix of every tag, N rows in order of first mention; places index `Twin.places`, -1 none; mm."""

    order_us: NDArray[np.int64]
    gateway: NDArray[np.int64]  # index into Twin.sources
    epoch: NDArray[np.int64]
    seq: NDArray[np.int64]
    time_us: NDArray[np.int64]
    roadway: NDArray[np.int64]
    zone: NDArray[np.int64]
    chainage_mm: NDArray[np.int64]
    sigma_mm: NDArray[np.int64]
    x_mm: NDArray[np.int64]
    y_mm: NDArray[np.int64]
    z_mm: NDArray[np.int64]
    method: NDArray[np.int64]


class Twin(NamedTuple):
    """State of one enterprise; never changed in place, the memos do not belong to the state."""

    gateways: Mapping[str, Gateway]
    point_row: Mapping[tuple[str, str], int]  # (gateway, point) -> row of `points`
    points: Points
    tag_row: Mapping[str, int]
    people: People
    places: Mapping[tuple[str, str], int]  # ("roadway" | "zone", id) -> number, in order of first mention
    sources: Mapping[str, int]  # gateway id -> number used in `people`
    memo: Mapping[tuple[str, tuple[str, ...]], Rows]  # (gateway, points of a block) -> their rows
    place_memo: Mapping[tuple[bytes, bool], tuple[NDArray[np.int64], NDArray[np.int64]]]  # of roadways, of zones


class Changes(NamedTuple):
    """What a batch changed: numbers of newer samples and fixes, the events it carried, whether names were added."""

    samples: int
    fixes: int
    events: tuple[Event, ...]
    names: bool


def empty() -> Twin:
    """Return the twin that has heard nothing."""
    i64, f64, u8 = np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.uint8)
    return Twin({}, {}, Points(i64, i64, i64, i64, f64, u8), {}, People(*[i64] * 13), {}, {}, {}, {})


def put_site(twin: Twin, arrival: Arrival, site: Site) -> Twin:
    """Take note of a manifest statement; in force is what the statement of greatest (epoch, seq) names."""
    return touch(_put_site(twin, arrival, site), arrival)


def touch(twin: Twin, arrival: Arrival) -> Twin:
    """Take note that a statement came, whatever it says; only readings move the event time."""
    gateway = twin.gateways.get(arrival.gateway, Gateway())
    received_us = arrival.received_us
    epoch, seq = max((gateway.epoch, gateway.seq), (arrival.epoch, arrival.seq))
    newest = (received_us, arrival.epoch, arrival.seq, received_us - arrival.t1_us)
    gateway = gateway._replace(
        epoch=epoch,
        seq=seq,
        last_received_us=max(gateway.last_received_us, received_us),
        newest=max(gateway.newest, newest),
    )
    return twin._replace(gateways={**twin.gateways, arrival.gateway: gateway})


def apply(twin: Twin, arrival: Arrival, batch: Batch, site: Site, until_us: int | None = None) -> tuple[Twin, Changes]:
    """Return the twin with a batch in it; `until_us` leaves out rows with a later event time (replay)."""
    before = twin
    twin = _put_site(_put_clock(touch(twin, arrival), arrival, batch.clock), arrival, site)
    twin, samples, last_us = _apply_blocks(twin, arrival, batch.blocks, until_us)
    fixes = 0
    if len(batch.fixes.time_us):
        twin, fixes, fix_us = _apply_fixes(twin, arrival, batch.fixes, site, until_us)
        last_us = max(last_us, fix_us)
    if last_us == NO_TIME_US and until_us is None:
        last_us = _order_us(arrival.t1_us, arrival.received_us)  # nothing to read up to then is news too
    gateway = twin.gateways[arrival.gateway]
    if last_us > gateway.last_event_us:
        gateway = gateway._replace(last_event_us=last_us)
        twin = twin._replace(gateways={**twin.gateways, arrival.gateway: gateway})
    events = batch.events if until_us is None else tuple(e for e in batch.events if e.begin_us <= until_us)
    return twin, Changes(samples, fixes, events, _names(before, arrival.gateway) != _names(twin, arrival.gateway))


def as_of_us(twin: Twin) -> int:
    """Return the greatest event time heard, NO_TIME_US before the first batch."""
    return max((gateway.last_event_us for gateway in twin.gateways.values()), default=NO_TIME_US)


def state_hash(twin: Twin) -> bytes:
    """Return SHA-256 over the state in canonical order: equal twins have equal hashes, whatever the arrival order."""
    digest = hashlib.sha256()
    for point, row in sorted(twin.point_row.items()):
        digest.update(repr((point, [column[row].tobytes() for column in twin.points])).encode())
    place = {number: key for key, number in twin.places.items()}
    source = {number: name for name, number in twin.sources.items()}
    for tag, row in sorted(twin.tag_row.items()):
        fix = {name: int(column[row]) for name, column in zip(People._fields, twin.people, strict=True)}
        named = (source[fix.pop("gateway")], place.get(fix.pop("roadway")), place.get(fix.pop("zone")))
        digest.update(repr((tag, named, sorted(fix.items()))).encode())
    for name, gateway in sorted(twin.gateways.items()):
        key = gateway.site.key if gateway.site else b""
        digest.update(repr((name, gateway._replace(site=None), key)).encode())
    return digest.digest()


def _order_us(time_us: int, received_us: int) -> int:
    """A time ahead of our own clock would pin a value until we catch up: then the receive time orders."""
    return time_us if time_us <= received_us + CLOCK_SLACK_US else received_us


def _put_site(twin: Twin, arrival: Arrival, site: Site) -> Twin:
    gateway = twin.gateways.get(arrival.gateway, Gateway())
    order = (arrival.epoch, arrival.seq)
    if order < gateway.site_order:
        return twin
    gateway = gateway._replace(site=site, site_order=order)
    return twin._replace(gateways={**twin.gateways, arrival.gateway: gateway})


def _names(twin: Twin, gateway: str) -> tuple[int, int, int]:
    """What a layout is drawn from; sites are opened once, so the same object means the same names."""
    held = twin.gateways.get(gateway)
    return len(twin.point_row), len(twin.tag_row), id(held.site) if held else 0


def _put_clock(twin: Twin, arrival: Arrival, clock: Clock) -> Twin:
    gateway = twin.gateways[arrival.gateway]
    if (arrival.epoch, arrival.seq) < gateway.clock_order:
        return twin
    gateway = gateway._replace(clock=clock, clock_order=(arrival.epoch, arrival.seq))
    return twin._replace(gateways={**twin.gateways, arrival.gateway: gateway})


def _apply_blocks(
    twin: Twin, arrival: Arrival, blocks: tuple[Block, ...], until_us: int | None
) -> tuple[Twin, int, int]:
    """Return (twin, newer samples, greatest order time)."""
    lasts = [(block, _last_row(block.time_us, until_us)) for block in blocks]
    lasts = [(block, last) for block, last in lasts if last >= 0 and _has_room(twin, arrival.gateway, block.points)]
    if not lasts:
        return twin, 0, NO_TIME_US
    for block, _ in lasts:
        twin = _with_points(twin, arrival.gateway, block.points)
    points = Points._make(column.copy() for column in twin.points)
    samples, greatest_us = 0, NO_TIME_US
    for block, last in lasts:
        rows = twin.memo[(arrival.gateway, block.points)]
        time_us = int(block.time_us[last])
        order_us = _order_us(time_us, arrival.received_us)
        greatest_us = max(greatest_us, order_us)
        newer = _newer(points, rows, order_us, arrival)
        samples += int(np.count_nonzero(newer))
        at = rows[newer]
        points.order_us[at], points.epoch[at], points.seq[at] = order_us, arrival.epoch, arrival.seq
        points.time_us[at] = time_us
        points.value[at] = block.value[:, last][newer]
        points.quality[at] = block.quality[:, last][newer]
    return twin._replace(points=points), samples, greatest_us


def _has_room(twin: Twin, gateway: str, names: tuple[str, ...]) -> bool:
    return (gateway, names) in twin.memo or len(twin.point_row) + len(names) <= ROWS_MAX


def _last_row(time_us: NDArray[np.int64], until_us: int | None) -> int:
    if until_us is None:
        return len(time_us) - 1
    return int(np.searchsorted(time_us, until_us, "right")) - 1


def _newer(points: Points, rows: Rows, order_us: int, arrival: Arrival) -> NDArray[np.bool_]:
    """Ties within one batch go to the later block, so an equal (epoch, seq) counts as newer."""
    held_us, held_epoch, held_seq = points.order_us[rows], points.epoch[rows], points.seq[rows]
    behind = (held_epoch < arrival.epoch) | ((held_epoch == arrival.epoch) & (held_seq <= arrival.seq))
    newer: NDArray[np.bool_] = (held_us < order_us) | ((held_us == order_us) & behind)
    return newer


def _with_points(twin: Twin, gateway: str, names: tuple[str, ...]) -> Twin:
    """Make sure every point of a block has a row, and remember the rows of this tuple of points."""
    if (gateway, names) in twin.memo:
        return twin
    point_row = dict(twin.point_row)
    for name in names:
        point_row.setdefault((gateway, name), len(point_row))
    rows = np.array([point_row[(gateway, name)] for name in names], np.intp)
    more = len(point_row) - len(twin.point_row)
    points = twin.points
    if more:
        fresh = np.full(more, NO_TIME_US, np.int64)
        none, nan, bad = np.full(more, -1, np.int64), np.full(more, np.nan), np.full(more, 255, np.uint8)
        points = _grown(points, Points(fresh, none, none, fresh, nan, bad))
    memo = {**twin.memo, (gateway, names): rows}
    return twin._replace(point_row=point_row, points=points, memo=memo)


def _grown(columns: Columns, more: Columns) -> Columns:
    pairs: Iterable[Any] = zip(columns, more, strict=True)
    return type(columns)(*(np.concatenate(pair) for pair in pairs))


def _apply_fixes(twin: Twin, arrival: Arrival, fixes: Fixes, site: Site, until_us: int | None) -> tuple[Twin, int, int]:
    """Return (twin, tags moved, greatest order time); of a tag's rows in one batch only the last one counts."""
    count = len(fixes.tag) if until_us is None else _last_row(fixes.time_us, until_us) + 1
    last = {tag: row for row, tag in enumerate(fixes.tag[:count])}
    if len(twin.tag_row) + len(last) > ROWS_MAX:
        last = {tag: row for tag, row in last.items() if tag in twin.tag_row}
    if not last:
        return twin, 0, NO_TIME_US
    twin = _with_people(twin, arrival.gateway, last, site)
    tags = tuple(last)
    rows = np.array([twin.tag_row[tag] for tag in tags], np.intp)
    take = np.array([last[tag] for tag in tags], np.intp)
    time_us = fixes.time_us[take]
    order_us = np.where(time_us <= arrival.received_us + CLOCK_SLACK_US, time_us, arrival.received_us)
    newer = _newer_people(twin, rows, order_us, arrival)
    at, take = rows[newer], take[newer]
    tables = twin.place_memo[site.key, site.structure is None]
    roadway, zone = _numbers(tables[0], fixes.roadway[take]), _numbers(tables[1], fixes.zone[take])
    fresh: tuple[Any, ...] = (
        order_us[newer], twin.sources[arrival.gateway], arrival.epoch, arrival.seq, fixes.time_us[take],
        roadway, zone, fixes.chainage_mm[take], fixes.sigma_mm[take],
        fixes.x_mm[take], fixes.y_mm[take], fixes.z_mm[take], fixes.method[take],
    )  # fmt: skip
    people = People._make(column.copy() for column in twin.people)
    for column, values in zip(people, fresh, strict=True):
        column[at] = values
    return twin._replace(people=people), len(at), int(order_us.max())


def _newer_people(twin: Twin, rows: Rows, order_us: NDArray[np.int64], arrival: Arrival) -> NDArray[np.bool_]:
    """Two gateways may see one tag at one time: ties go by (gateway, epoch, seq)."""
    held_us = twin.people.order_us[rows]
    newer: NDArray[np.bool_] = held_us < order_us
    names = {number: name for name, number in twin.sources.items()}
    for i in np.flatnonzero(held_us == order_us):
        row = rows[i]
        held = (names[int(twin.people.gateway[row])], int(twin.people.epoch[row]), int(twin.people.seq[row]))
        newer[i] = held <= (arrival.gateway, arrival.epoch, arrival.seq)
    return newer


def _with_people(twin: Twin, gateway: str, tags: Mapping[str, int], site: Site) -> Twin:
    """Make sure tags, gateway and the places of this structure have numbers."""
    twin = _with_places(twin, site)
    tag_row, sources = dict(twin.tag_row), twin.sources
    for tag in tags:
        tag_row.setdefault(tag, len(tag_row))
    if gateway not in sources:
        sources = {**sources, gateway: len(sources)}
    people, more = twin.people, len(tag_row) - len(twin.tag_row)
    if more:
        blank = np.full(more, -1, np.int64)
        people = _grown(people, People(np.full(more, NO_TIME_US, np.int64), *[blank] * 12))
    return twin._replace(tag_row=tag_row, people=people, sources=sources)


def _with_places(twin: Twin, site: Site) -> Twin:
    """Make sure the places of this structure have numbers, and remember them by the structure's index."""
    memo = (site.key, site.structure is None)
    if memo in twin.place_memo:
        return twin
    places = dict(twin.places)
    tables: dict[str, list[int]] = {"roadway": [], "zone": []}
    for key in place_keys(site.structure):
        tables[key[0]].append(places.setdefault(key, len(places)))
    roadway, zone = (np.array([*numbers, -1], np.int64) for numbers in tables.values())
    return twin._replace(places=places, place_memo={**twin.place_memo, memo: (roadway, zone)})


def place_keys(structure: Structure | None) -> list[tuple[str, str]]:
    """Return the keys of `Twin.places` for every roadway and zone of a structure."""
    if structure is None:
        return []
    keys = [("roadway", roadway.id) for roadway in structure.roadways]
    return keys + [("zone", zone.id) for zone in structure.zones]


def _numbers(table: NDArray[np.int64], column: NDArray[np.int32]) -> NDArray[np.int64]:
    """Structure index -> number in `places`; -1 and an index beyond the structure are no place: the last cell, -1."""
    beyond = len(table) - 1
    return table[np.where((column >= 0) & (column < beyond), column, beyond)]
