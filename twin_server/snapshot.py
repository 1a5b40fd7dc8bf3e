"""A twin as bytes and back, so that a server starts without reading its whole log."""

from typing import Any, NamedTuple

import msgspec
import numpy as np

from twin_server import twin as mirror
from twin_server.sites import Sites
from twin_server.twin import Gateway, People, Points, Twin
from twin_wire.readings import Clock

NAME = "twin"  # of the note in the store
_VERSION = 1
_POINT_TYPES = ("<i8", "<i8", "<i8", "<i8", "<f8", "u1")


class Snapshot(NamedTuple):
    """A twin and how many entries of the log are in it."""

    size: int
    twin: Twin


class _Gateway(msgspec.Struct, array_like=True):
    epoch: int
    seq: int
    last_event_us: int
    last_received_us: int
    clock: tuple[int, int, int]
    clock_order: tuple[int, int]
    newest: tuple[int, int, int, int]
    site: bytes  # the manifest's key, empty for none
    site_order: tuple[int, int]


class _Saved(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    size: int
    gateways: dict[str, _Gateway]
    points: list[tuple[str, str]]
    point_columns: list[bytes]
    tags: list[str]
    tag_columns: list[bytes]
    places: list[tuple[str, str]]
    sources: list[str]


def encode(snapshot: Snapshot) -> bytes:
    """Return the snapshot's bytes; the manifests are named by digest, not held."""
    twin = snapshot.twin
    saved = _Saved(
        version=_VERSION,
        size=snapshot.size,
        gateways={name: _gateway(gateway) for name, gateway in twin.gateways.items()},
        points=list(twin.point_row),
        point_columns=[np.asarray(c, t).tobytes() for c, t in zip(tuple(twin.points), _POINT_TYPES, strict=True)],
        tags=list(twin.tag_row),
        tag_columns=[np.asarray(column, "<i8").tobytes() for column in twin.people],
        places=list(twin.places),
        sources=list(twin.sources),
    )
    return msgspec.msgpack.encode(saved)


async def decode(data: bytes, enterprise: str, sites: Sites) -> Snapshot | None:
    """Return the snapshot in `data`; None for one that this version did not write: the log is read instead."""
    try:
        saved = msgspec.msgpack.decode(data, type=_Saved)
    except msgspec.DecodeError:
        return None
    if saved.version != _VERSION:
        return None
    gateways = {}
    for name, g in saved.gateways.items():
        site = await sites.site(enterprise, g.site) if g.site else None
        gateways[name] = Gateway(
            g.epoch, g.seq, g.last_event_us, g.last_received_us, Clock(*g.clock), g.clock_order, g.newest, site,
            g.site_order,
        )  # fmt: skip
    twin = mirror.empty()._replace(
        gateways=gateways,
        point_row={key: row for row, key in enumerate(saved.points)},
        points=Points(*(_column(c, t) for c, t in zip(saved.point_columns, _POINT_TYPES, strict=True))),
        tag_row={tag: row for row, tag in enumerate(saved.tags)},
        people=People(*(_column(column, "<i8") for column in saved.tag_columns)),
        places={key: number for number, key in enumerate(saved.places)},
        sources={name: number for number, name in enumerate(saved.sources)},
    )
    return Snapshot(saved.size, twin)


def _gateway(g: Gateway) -> _Gateway:
    clock = (g.clock.sync, g.clock.error_us, g.clock.offset_us)
    times = (g.last_event_us, g.last_received_us, clock, g.clock_order, g.newest)
    return _Gateway(g.epoch, g.seq, *times, g.site.key if g.site else b"", g.site_order)


def _column(data: bytes, kind: str) -> np.ndarray[Any, np.dtype[Any]]:
    return np.frombuffer(data, kind).astype(np.dtype(kind).newbyteorder("="))
