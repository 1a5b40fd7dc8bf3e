"""A small mine for server tests: two roadways, three zones, gateways with a handful of points, batches by the row."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from twin_server.store.rows import StoredBatch
from twin_server.twin import Arrival, Site
from twin_wire.manifest import DeviceSpec, GroupSpec, Limit, Manifest, PointSpec, encode_manifest
from twin_wire.readings import Batch, Block, Clock, Event, Fixes, no_fixes
from twin_wire.structure import Junction, Roadway, Structure, Zone, encode_structure, structure_digest

START_US = 1_760_000_000_000_000
SECOND_US = 1_000_000

STRUCTURE = Structure(
    site="demo",
    name="试验矿",
    junctions=(Junction("j0", 0, 0, 0), Junction("j1", 100, 0, 0), Junction("j2", 200, 0, 0)),
    roadways=(
        Roadway("r-main", "j0", "j1", 100.0, zone="z-main"),
        Roadway("r-head", "j1", "j2", 100.0, zone="z-head"),
    ),
    zones=(
        Zone("z-all", "North", "roadway"),
        Zone("z-main", "Main", "roadway", headcount_max=20, parent="z-all"),
        Zone("z-head", "Heading", "heading", headcount_max=3, parent="z-all"),
    ),
)
STRUCTURE_BODY = encode_structure(STRUCTURE)


def manifest(gateway: str = "gw-1", points: int = 3, limit: float = 1.0, enterprise: str = "e1") -> Manifest:
    """Return a manifest with one device, one group of `points` methane points p0, p1 … at 1 s."""
    ids = tuple(f"p{n}" for n in range(points))
    limits = (Limit("high", 1, limit, limit - 0.1, 2.0, "site"),)
    return Manifest(
        enterprise=enterprise,
        site="demo",
        gateway=gateway,
        software="test/1",
        simulated=True,
        structure=structure_digest(STRUCTURE_BODY),
        ruleset="",
        devices=(DeviceSpec("d0", "test", "bus-1", 1, "Device"),),
        groups=(GroupSpec("g0", "d0", 1.0, ids),),
        points=tuple(
            PointSpec(
                id=each,
                quantity="CH4",
                unit="%",
                decimals=2,
                raw=False,
                range_low=0.0,
                range_high=4.0,
                name=f"甲烷 {each}",
                zone="z-head",
                roadway="r-head",
                chainage_m=50.0,
                device="d0",
                limits=limits,
            )
            for each in ids
        ),
    )


def site(of: Manifest) -> Site:
    """Return the twin's view of a manifest."""
    return Site(hashlib.sha256(encode_manifest(of)).digest()[:8], of, STRUCTURE)


def block(of: Manifest, time_us: Sequence[int], value: Sequence[Sequence[float]], quality: int = 0) -> Block:
    """Return a block of the manifest's first group; value is [T][C] here, for reading."""
    columns = np.ascontiguousarray(np.array(value, float).reshape(len(time_us), -1).T)
    return Block(of.groups[0].points, np.array(time_us, np.int64), columns, np.full(columns.shape, quality, np.uint8))


def fixes(rows: Sequence[tuple[int, str, int, float, int]]) -> Fixes:
    """Return fixes from (time_us, tag, roadway, chainage_m, zone) rows."""
    if not rows:
        return no_fixes()
    mm = np.zeros(len(rows), np.int32)
    return Fixes(
        np.array([r[0] for r in rows], np.int64),
        tuple(r[1] for r in rows),
        np.array([r[2] for r in rows], np.int32),
        np.array([r[3] * 1000 for r in rows], np.int32),
        mm,
        mm,
        mm,
        np.full(len(rows), 1500, np.int32),
        np.full(len(rows), 1, np.uint8),
        np.array([r[4] for r in rows], np.int32),
    )


def batch(
    of: Manifest, blocks: Sequence[Block] = (), where: Fixes | None = None, events: Sequence[Event] = ()
) -> Batch:
    """Return a batch that refers to the manifest."""
    return Batch(site(of).key, Clock(1, 500, 0), tuple(blocks), where or no_fixes(), tuple(events))


def arrival(gateway: str, seq: int, t1_us: int, delay_s: float = 1.0, epoch: int = 1) -> Arrival:
    """Return when a batch that ends at t1_us came in."""
    return Arrival(gateway, epoch, seq, t1_us, t1_us + int(delay_s * SECOND_US))


def entry(seq: int, received_us: int, gateway: str = "gw-1", epoch: int = 1, kind: str = "data") -> StoredBatch:
    """Return a log entry without bytes, numbered like its statement."""
    return StoredBatch(
        index=seq,
        kind=kind,
        gateway=gateway,
        epoch=epoch,
        seq=seq,
        t0_us=received_us,
        t1_us=received_us,
        received_us=received_us,
        rows=1,
        disputed=False,
        readable=True,
        digest=b"",
        statement=b"",
        body=None,
    )


def event(
    begin_us: int,
    end_us: int = 0,
    point: str = "p0",
    rule: str = "limit_high_1",
    severity: int = 1,
    numbers: Mapping[str, float] | None = None,
) -> Event:
    """Return a limit event."""
    return Event(rule, severity, point, begin_us, end_us, "limits/1", numbers or {"value": 1.2, "delay_s": 2.0}, "high")
