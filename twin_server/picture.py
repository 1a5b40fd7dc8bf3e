"""The twin drawn as columns: the layout that names them, the frame that fills them, the headcount of the zones."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from twin_server import alarms
from twin_server.alarms import Book
from twin_server.twin import NO_TIME_US, Rows, Twin
from twin_wire.frame import AGE_S_MAX, Frame
from twin_wire.manifest import PointSpec
from twin_wire.readings import Quality
from twin_wire.structure import Structure, Zone

SECOND_US = 1_000_000
PRESENT_US = 600 * SECOND_US  # a tag heard within this counts in its zone's headcount
ZONE_DEPTH_MAX = 9  # zones inside one another: more than one document may hold
SHOWN_US = 43_200 * SECOND_US  # one unheard for longer than a double shift is not drawn any more


class Place(NamedTuple):
    """A point of the layout: where it comes from and what the manifest in force says about it."""

    gateway: str
    spec: PointSpec


class Layout(NamedTuple):
    """What the columns of a frame mean; the number is drawn from the content, equal wherever it is computed."""

    number: int
    points: tuple[str, ...]  # names for readers: the point's id, or gateway:id where two gateways share it
    places: tuple[Place, ...]
    rows: Rows  # row in Twin.points, -1 before the first sample
    row_of: Mapping[tuple[str, str], int]  # (gateway, point id) -> column here
    tags: tuple[str, ...]
    tag_rows: Rows
    roadways: tuple[str, ...]
    zones: tuple[str, ...]
    roadway_of: NDArray[np.int16]  # Twin.places number -> index into roadways; last cell -1
    zone_of: NDArray[np.int16]


class ZoneCount(msgspec.Struct, frozen=True):
    """People heard of in one zone or the zones inside it within the last minutes."""

    id: str
    name: str
    kind: str
    headcount: int
    headcount_max: int


def layout_of(twin: Twin) -> Layout:
    """Return the layout of a twin: points as the manifests in force list them, gateways and tags by id."""
    places = [
        Place(name, spec)
        for name, gateway in sorted(twin.gateways.items())
        if gateway.site
        for spec in gateway.site.manifest.points
    ]
    ids = [place.spec.id for place in places]
    shared = {each for each, times in Counter(ids).items() if times > 1}
    points = tuple(f"{p.gateway}:{p.spec.id}" if p.spec.id in shared else p.spec.id for p in places)
    keys = [(place.gateway, place.spec.id) for place in places]
    tags = tuple(sorted(twin.tag_row))
    structures = structures_of(twin)
    roadways = tuple(dict.fromkeys(each.id for s in structures for each in s.roadways))
    zones = tuple(dict.fromkeys(each.id for s in structures for each in s.zones))
    content = msgspec.json.encode([points, tags, roadways, zones])
    return Layout(
        number=int.from_bytes(hashlib.sha256(content).digest()[:4], "little"),
        points=points,
        places=tuple(places),
        rows=np.array([twin.point_row.get(key, -1) for key in keys], np.intp),
        row_of={key: column for column, key in enumerate(keys)},
        tags=tags,
        tag_rows=np.array([twin.tag_row[tag] for tag in tags], np.intp),
        roadways=roadways,
        zones=zones,
        roadway_of=_table(twin, "roadway", roadways),
        zone_of=_table(twin, "zone", zones),
    )


def structures_of(twin: Twin) -> list[Structure]:
    """Return the different structure documents in force, by gateway id."""
    found: dict[str, Structure] = {}
    for _, gateway in sorted(twin.gateways.items()):
        if gateway.site and gateway.site.structure:
            found.setdefault(gateway.site.manifest.structure, gateway.site.structure)
    return list(found.values())


def frame_of(twin: Twin, layout: Layout, alarm: NDArray[np.uint8], time_us: int) -> Frame:
    """Return the picture as of an event time; `alarm` are the alarm bytes of the layout's points."""
    value, quality, point_us = point_columns(twin, layout)
    rows, shown = _shown(twin, layout, time_us)
    people = twin.people
    return Frame(
        layout=layout.number,
        time_us=time_us,
        value=value,
        tag=np.flatnonzero(shown).astype(np.uint32),
        chainage_m=(people.chainage_mm[rows] / 1000.0).astype(np.float32),
        sigma_m=(people.sigma_mm[rows] / 1000.0).astype(np.float32),
        roadway=layout.roadway_of[people.roadway[rows]],
        zone=layout.zone_of[people.zone[rows]],
        point_age_s=_age_s(time_us, point_us),
        person_age_s=_age_s(time_us, people.time_us[rows]),
        quality=quality,
        alarm=alarm,
    )


def alarm_column(layout: Layout, book: Book, as_of_us: int | None = None) -> NDArray[np.uint8]:
    """Return the alarm byte of every point of the layout, as things stand or as they stood at an event time."""
    return alarms.codes(book, layout.row_of, len(layout.points), as_of_us)


def point_columns(twin: Twin, layout: Layout) -> tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.int64]]:
    """Return (value, quality, time_us) in the layout's order; NaN, NO_ANSWER, NO_TIME_US before the first sample."""
    size, seen = len(layout.points), layout.rows >= 0
    value = np.full(size, np.nan)
    quality = np.full(size, int(Quality.NO_ANSWER), np.uint8)
    time_us = np.full(size, NO_TIME_US, np.int64)
    rows = layout.rows[seen]
    value[seen], quality[seen], time_us[seen] = (
        twin.points.value[rows], twin.points.quality[rows], twin.points.time_us[rows],
    )  # fmt: skip
    return value, quality, time_us


def headcounts(twin: Twin, layout: Layout, time_us: int) -> list[ZoneCount]:
    """Return every zone with the people heard of in it, or in zones inside it, within PRESENT_US."""
    zones: dict[str, Zone] = {zone.id: zone for s in reversed(structures_of(twin)) for zone in s.zones}
    fresh = layout.tag_rows[twin.people.time_us[layout.tag_rows] > time_us - PRESENT_US]
    index = layout.zone_of[twin.people.zone[fresh]]
    direct = np.bincount(index[index >= 0], minlength=len(layout.zones))
    total = dict.fromkeys(layout.zones, 0)
    for name, count in zip(layout.zones, direct, strict=True):
        above = name
        for _ in range(ZONE_DEPTH_MAX):  # zones never lie in a circle within one document; across documents they might
            total[above] += int(count)
            above = zones[above].parent
            if above not in zones:
                break
    return [
        ZoneCount(name, zones[name].name, zones[name].kind, total[name], zones[name].headcount_max)
        for name in layout.zones
    ]


def _table(twin: Twin, kind: str, names: tuple[str, ...]) -> NDArray[np.int16]:
    index = {name: number for number, name in enumerate(names[: np.iinfo(np.int16).max])}
    table = np.full(len(twin.places) + 1, -1, np.int16)
    for (each, name), number in twin.places.items():
        if each == kind:
            table[number] = index.get(name, -1)
    return table


def _shown(twin: Twin, layout: Layout, time_us: int) -> tuple[Rows, NDArray[np.bool_]]:
    shown: NDArray[np.bool_] = twin.people.time_us[layout.tag_rows] > time_us - SHOWN_US
    return layout.tag_rows[shown], shown


def _age_s(time_us: int, held_us: NDArray[np.int64]) -> NDArray[np.uint16]:
    age = np.clip((time_us - np.maximum(held_us, 0)) // SECOND_US, 0, AGE_S_MAX)
    return np.where(held_us == NO_TIME_US, AGE_S_MAX, age).astype(np.uint16)
