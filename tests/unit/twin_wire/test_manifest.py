"""A manifest says what a gateway is, in one form, and contradicts itself nowhere."""

import hashlib
import math
from typing import Any

import msgspec
import pytest

from twin_wire.errors import FormatError
from twin_wire.manifest import (
    Anchor,
    DeviceSpec,
    GroupSpec,
    Limit,
    Manifest,
    PointSpec,
    decimals_of,
    digest,
    encode_manifest,
    faults,
    groups_index,
    groups_of,
    read_manifest,
)
from twin_wire.records import decode_record, encode_record

LIMIT = Limit(kind="high", severity=2, value=1.0, restore=1.0, delay_s=0.0, source="coal-cn/2026.11")


def point(name: str, **changes: Any) -> PointSpec:
    fields: dict[str, Any] = {
        "id": name,
        "quantity": "CH4",
        "unit": "%",
        "decimals": 2,
        "raw": False,
        "range_low": 0.0,
        "range_high": 4.0,
        "name": "掘进头甲烷",
        "zone": "z1",
        "roadway": "r1",
        "chainage_m": 95.0,
        "device": "d1",
        "limits": (LIMIT,),
        "calibrated": "2026-11-01",
    }
    return PointSpec(**fields | changes)


def manifest(**changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "enterprise": "1001",
        "site": "demo-mine",
        "gateway": "gw-1",
        "software": "edge-agent 0.1.0",
        "simulated": True,
        "structure": "ab" * 32,
        "ruleset": "coal-cn/2026.11",
        "devices": (DeviceSpec(id="d1", profile="p", link="bus-1", unit=3, name="头部"),),
        "groups": (
            GroupSpec(id="g1", device="d1", period_s=1.0, points=("a", "b")),
            GroupSpec(id="health", device="", period_s=10.0, points=("c",)),
        ),
        "points": (point("a"), point("b", raw=True), point("c", device="", chainage_m=None, limits=())),
        "anchors": (Anchor(id=0, device="d1", roadway="r1", chainage_m=0.0),),
    }
    return Manifest(**fields | changes)


def test_a_manifest_comes_back_whole() -> None:
    body = encode_manifest(manifest())
    assert read_manifest(body) == manifest()
    assert encode_manifest(read_manifest(body)) == body


def test_its_digest_is_over_the_body_as_sent() -> None:
    body = encode_manifest(manifest())
    assert digest(body) == hashlib.sha256(body).digest()


def test_it_says_what_bodies_need() -> None:
    assert groups_index(manifest()) == {("a", "b"): 0, ("c",): 1}
    assert groups_of(manifest()) == (("a", "b"), ("c",))
    assert decimals_of(manifest()) == {"a": 2, "b": None, "c": 2}


def test_fields_with_a_default_may_be_left_out() -> None:
    record = decode_record(encode_manifest(manifest(anchors=())))
    del record["anchors"], record["version"]
    assert read_manifest(encode_record(record)) == manifest(anchors=())


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"version": 2}, "$.version"),
        ({"enterprise": "'; drop table"}, "$.enterprise"),
        ({"gateway": ""}, "$.gateway"),
        ({"site": "x" * 65}, "$.site"),
        ({"software": "x" * 121}, "$.software"),
        ({"structure": "AB" * 32}, "$.structure"),
        ({"devices": (DeviceSpec("d1", "p", "b", 3, ""),) * 2}, "$.devices[1].id"),
        ({"devices": (DeviceSpec("d1", "../p", "b", 3, ""),)}, "$.devices[0]"),
        ({"devices": (DeviceSpec("d1", "p", "b", 256, ""),)}, "$.devices[0].unit"),
        ({"devices": (DeviceSpec("d1", "p", "b", 3, "a\nb"),)}, "$.devices[0].name"),
        ({"groups": (GroupSpec("g", "d9", 1.0, ("a",)),)}, "$.groups[0].device"),
        ({"groups": (GroupSpec("g", "d1", -1.0, ("a",)),)}, "$.groups[0].period_s"),
        ({"groups": (GroupSpec("g", "d1", math.nan, ("a",)),)}, "$.groups[0].period_s"),
        ({"groups": (GroupSpec("g", "d1", 1.0, ()),)}, "$.groups[0].points"),
        ({"groups": (GroupSpec("g", "d1", 1.0, ("z",)),)}, "$.groups[0].points"),
        ({"groups": (GroupSpec("g", "d1", 1.0, ("a", "a")),)}, "$.groups[0].points"),
        ({"groups": (GroupSpec("g", "", 1.0, ("a",)), GroupSpec("h", "", 1.0, ("a",)))}, "$.groups[1].points"),
        ({"anchors": (Anchor(0, "d9", "r1", 0.0),)}, "$.anchors[0].device"),
        ({"anchors": (Anchor(0, "d1", "r1", math.inf),)}, "$.anchors[0]"),
        ({"anchors": (Anchor(0, "d1", "r1", 0.0),) * 2}, "$.anchors"),
        ({"anchors": (Anchor(0, "d1", "r1", 0.0, -1.0),)}, "$.anchors[0].reach_m"),
        ({"anchors": (Anchor(0, "d1", "r1", 0.0, gate="g"),)}, "$.anchors[0]"),
    ],
)
def test_a_contradiction_names_its_place(changes: dict[str, Any], path: str) -> None:
    assert path in dict(faults(manifest(**changes)))


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"quantity": "a b"}, ".quantity"),
        ({"unit": "%\n"}, ""),
        ({"decimals": 10}, ".decimals"),
        ({"decimals": -1}, ".decimals"),
        ({"device": "d9"}, ".device"),
        ({"zone": "<script>"}, ""),
        ({"range_high": math.nan}, ""),
        ({"chainage_m": math.inf}, ""),
        ({"calibrated": "1.11.2026"}, ".calibrated"),
        ({"limits": (LIMIT,) * 17}, ".limits"),
        ({"limits": (msgspec.structs.replace(LIMIT, severity=0),)}, ".limits[0].severity"),
        ({"limits": (msgspec.structs.replace(LIMIT, delay_s=-1.0),)}, ".limits[0].delay_s"),
        ({"limits": (msgspec.structs.replace(LIMIT, restore=1.1),)}, ".limits[0].restore"),
        ({"limits": (msgspec.structs.replace(LIMIT, kind="low", restore=0.9),)}, ".limits[0].restore"),
        ({"limits": (msgspec.structs.replace(LIMIT, value=math.nan),)}, ""),
        ({"limits": (msgspec.structs.replace(LIMIT, source="a\nb"),)}, ".limits[0].source"),
    ],
)
def test_a_point_out_of_its_limits_names_its_place(changes: dict[str, Any], path: str) -> None:
    broken = manifest(points=(point("a", **changes), *manifest().points[1:]))
    assert f"$.points[0]{path}" in dict(faults(broken))
    with pytest.raises(AssertionError):
        encode_manifest(broken)
    with pytest.raises(FormatError):
        read_manifest(encode_record(msgspec.to_builtins(broken)))


def test_all_contradictions_are_listed_at_once() -> None:
    broken = manifest(version=2, site="", groups=(GroupSpec("g", "d9", -1.0, ("z",)),))
    with pytest.raises(FormatError) as caught:
        read_manifest(encode_record(msgspec.to_builtins(broken)))
    assert len(caught.value.faults) == 5


@pytest.mark.parametrize("change", [{"colour": 1}, {"points": 5}, {"simulated": 1}, {"gateway": 7}, {"points": [{}]}])
def test_fields_of_another_kind_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        read_manifest(encode_record(decode_record(encode_manifest(manifest())) | change))


def test_ten_thousand_points_are_read_in_a_moment() -> None:
    names = [f"p{number}" for number in range(10_000)]
    groups = tuple(GroupSpec(f"g{n}", "d1", 1.0, tuple(names[n : n + 10])) for n in range(0, 10_000, 10))
    big = manifest(points=tuple(map(point, names)), groups=groups)
    assert read_manifest(encode_manifest(big)).points[-1].id == "p9999"
