"""Manifests compared and every kind of entry said in a sentence."""

import hashlib

import msgspec
import pytest

from tests.support.small_mine import entry, manifest
from twin_server import changes
from twin_server.store.rows import StoredBatch
from twin_wire.manifest import Limit, Manifest, PointSpec
from twin_wire.records import encode_record

M = manifest()


def with_point(of: Manifest, place: int, **fields: object) -> Manifest:
    points = list(of.points)
    points[place] = msgspec.structs.replace(points[place], **fields)
    return msgspec.structs.replace(of, points=tuple(points))


def limit(
    kind: str = "high", value: float = 1.0, restore: float = 0.9, delay_s: float = 2.0, severity: int = 1
) -> Limit:
    return Limit(kind, severity, value, restore, delay_s, "site")  # type: ignore[arg-type]


def test_the_first_manifest_says_how_much_there_is() -> None:
    assert changes.compare(None, M) == {"first": True, "points": 3, "devices": 1, "software": "test/1"}


def test_the_same_manifest_again_changes_nothing() -> None:
    assert changes.compare(M, M) == {}
    assert changes.sentence("manifest", "gw-1", {}) == "Gateway gw-1: manifest sent again without a change."


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (limit(), limit(value=1.5), "limits_loosened"),
        (limit(), limit(value=0.8, restore=0.7), "limits_tightened"),
        (limit("low", 0.5, 0.6), limit("low", 0.3, 0.6), "limits_loosened"),
        (limit("low", 0.5, 0.6), limit("low", 0.55, 0.6), "limits_tightened"),
        (limit(), limit(delay_s=60), "limits_loosened"),
        (limit(), limit(delay_s=0), "limits_tightened"),
        (limit(), limit(restore=0.5), "limits_changed"),
        (limit(), None, "limits_removed"),
        (None, limit(), "limits_added"),
        (limit("rate", 0.2, 0.1), limit("rate", 0.4, 0.1), "limits_loosened"),
    ],
)
def test_a_changed_limit_is_told_with_its_direction(before: Limit | None, after: Limit | None, told: str) -> None:
    old, new = (with_point(M, 0, limits=(each,) if each else ()) for each in (before, after))
    summary = changes.compare(old, new)
    assert list(summary) == [told]
    (row,) = summary[told]
    assert (row["point"], row["unit"]) == ("p0", "%")
    assert (row["from"] or {}).get("value") == (before.value if before else None)
    assert (row["to"] or {}).get("value") == (after.value if after else None)
    assert changes.sentence("manifest", "gw-1", summary) == f"Gateway gw-1: 1 {told.replace('_', ' ')}."


def test_points_devices_software_and_places_are_told() -> None:
    wider = manifest(points=4)
    new = with_point(wider, 0, roadway="r-main", calibrated="2026-10-01")
    new = msgspec.structs.replace(new, software="test/2", devices=(msgspec.structs.replace(M.devices[0], unit=9),))
    summary = changes.compare(M, new)
    assert summary["points_added"] == ["p3"]
    assert summary["software"] == {"from": "test/1", "to": "test/2"}
    assert summary["devices_changed"] == ["d0"]
    assert [(row["field"], row["to"]) for row in summary["points_changed"]] == [
        ("roadway", "r-main"),
        ("calibrated", "2026-10-01"),
    ]
    assert changes.compare(wider, M)["points_removed"] == ["p3"]


def test_a_long_list_is_cut_and_says_by_how_much() -> None:
    summary = changes.compare(M, manifest(points=300))
    assert (len(summary["points_added"]), summary["points_added_more"]) == (changes.LIST_MAX, 97)
    assert "297 points added" in changes.sentence("manifest", "gw-1", summary)


def stated(kind: str, record: dict[str, object]) -> StoredBatch:
    body = encode_record(record)
    return entry(1, 0, kind=kind)._replace(body=body, digest=hashlib.sha256(body).digest())


@pytest.mark.parametrize(
    ("kind", "record", "text"),
    [
        ("genesis", {"simulated": True}, "The log begins, marked as simulated."),
        ("gap", {"reason": "quota", "batches": 12}, "Gateway gw-1 says that 12 batches are missing: quota."),
        ("silence", {"gateway": "gw-2", "rule": "silent", "end_us": 0}, "Gateway gw-2 is silent."),
        ("silence", {"gateway": "gw-2", "rule": "silent", "end_us": 5}, "Gateway gw-2 is silent no more."),
        ("clock", {"gateway": "gw-2", "rule": "clock", "end_us": 0}, "The clock of gateway gw-2 runs ahead."),
        ("clock", {"from": 3, "received_ms": [1, 2]}, "The server stated when it received the entries before."),
        ("acknowledgement", {"by": "u-1", "rule": "high", "point": "p0"}, "u-1 acknowledged high of p0."),
        ("access", {"who": "u-1", "act": "name_shown", "tag": "t1"}, "u-1: name_shown for tag t1."),
        ("calibration", {"point": "p0"}, "calibration of gw-1."),
    ],
)
def test_every_kind_has_a_sentence(kind: str, record: dict[str, object], text: str) -> None:
    summary = changes.record_summary(stated(kind, record))
    assert changes.sentence(kind, "gw-1", summary) == text


def test_bytes_become_hex_and_what_cannot_be_read_says_so() -> None:
    assert changes.record_summary(stated("calibration", {"raw": b"\x01\xff"})) == {"raw": "01ff"}
    assert "unreadable" in changes.record_summary(stated("gap", {})._replace(body=b"no record"))
    assert changes.record_summary(stated("gap", {})._replace(body=None)) == {"body": "not here any more"}


def test_every_point_field_but_id_and_limits_is_compared() -> None:
    fields = set(PointSpec.__struct_fields__) - {"id", "limits"}
    assert {"quantity", "unit", "decimals", "range_high", "zone", "device", "calibrated"} <= fields
