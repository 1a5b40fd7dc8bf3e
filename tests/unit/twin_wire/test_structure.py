"""A structure document is read strictly, and all that is wrong in it is said at once."""

import json
from typing import Any

import pytest

from twin_wire.errors import FormatError
from twin_wire.records import decode_record
from twin_wire.structure import (
    STRUCTURE_BYTES_MAX,
    Georeference,
    Roadway,
    encode_structure,
    open_structure,
    read_structure,
    structure_digest,
    structure_json,
)

DOCUMENT: dict[str, Any] = {
    "version": 1,
    "site": "demo-mine",
    "name": "示范矿",
    "revision": 3,
    "datum": "site grid",
    "junctions": [
        {"id": "j1", "x_m": 0, "y_m": 0, "z_m": 0, "name": "副井底"},
        {"id": "j2", "x_m": 100.5, "y_m": 0, "z_m": -10},
        {"id": "j3", "x_m": 100.5, "y_m": 80, "z_m": -10},
    ],
    "roadways": [
        {"id": "r1", "from": "j1", "to": "j2", "length_m": 101, "area_m2": 12.5, "zone": "z1", "name": "运输巷"},
        {"id": "r2", "from": "j2", "to": "j3", "length_m": 90, "walkable": False, "path": [[100.5, 40, -5]]},
    ],
    "zones": [{"id": "z0", "kind": "surface"}, {"id": "z1", "name": "掘进", "kind": "heading", "parent": "z0"}],
    "controls": [
        {
            "id": "f1",
            "kind": "local_fan",
            "roadway": "r1",
            "chainage_m": 5,
            "curve": [[0, 900], [9.5, 0]],
            "serves": "z1",
        }
    ],
    "exits": [{"id": "e1", "junction": "j1", "name": "副井"}],
    "refuges": [{"id": "s1", "roadway": "r2", "chainage_m": 90, "capacity": 20, "hours": 96}],
    "ponds": [{"id": "p1", "crest_m": 820, "storage": [[800, 0], [810, 5e6]]}],
}


def document(**changes: Any) -> bytes:
    return json.dumps(DOCUMENT | changes, ensure_ascii=False).encode()


def faults(**changes: Any) -> dict[str, str]:
    with pytest.raises(FormatError) as caught:
        read_structure(document(**changes))
    return dict(caught.value.faults)


def test_a_document_is_read_whole() -> None:
    structure = read_structure(document())
    assert [roadway.id for roadway in structure.roadways] == ["r1", "r2"]
    assert structure.roadways[0] == Roadway("r1", "j1", "j2", 101.0, area_m2=12.5, zone="z1", name="运输巷")
    assert structure.roadways[1].path == ((100.5, 40.0, -5.0),)
    assert structure.ponds[0].storage[1] == (810.0, 5e6)


def test_json_and_record_say_the_same() -> None:
    structure = read_structure(document())
    body = encode_structure(structure)
    assert open_structure(body) == structure == read_structure(structure_json(structure))
    assert encode_structure(open_structure(body)) == body
    assert len(bytes.fromhex(structure_digest(body))) == 32
    assert json.loads(structure_json(structure))["roadways"][0]["from"] == "j1"


def test_the_mark_that_windows_editors_leave_does_no_harm() -> None:
    assert read_structure(b"\xef\xbb\xbf" + document()) == read_structure(document())


def test_only_the_site_has_to_be_there() -> None:
    assert read_structure(b'{"site": "s"}').roadways == ()


def test_all_faults_are_listed_at_once_with_their_paths() -> None:
    found = faults(
        site="no id",
        junctions=[
            {"id": "j1", "x_m": "0", "y_m": 0, "z_m": 0},
            {"id": "j2", "x_m": 0, "y_m": 0, "z_m": 1e9},
            {"id": "j2", "x_m": 0, "y_m": 0, "z_m": 0, "depth": 5},
            {"id": "j 3", "x_m": 0, "y_m": 0, "z_m": 0},
            {"id": "j3", "x_m": 0, "y_m": 0, "z_m": 0},
        ],
        roadways=[
            {"id": "r1", "from": "j1", "to": "j9", "length_m": 0},
            {"id": "r2", "from": "j2", "to": "j3", "length_m": -5, "zone": "z9"},
        ],
        controls=[{"id": "f1", "kind": "magic", "roadway": "r1"}, {"id": "f2", "kind": "fan", "roadway": "r9"}],
        zones=[{"id": "z0", "parent": "z1"}, {"id": "z1", "parent": "z0", "headcount_max": -1}],
        exits=[{"id": "e1", "junction": "j1", "name": "two\nlines"}],
        refuges=[{"id": "s1", "roadway": "r2", "chainage_m": 5, "capacity": 1.5}],
        ponds=[{"id": "p1", "storage": [[5, 0], [5, 1]]}],
        extra=5,
    )
    assert list(found) == [
        "$",
        "$.junctions[0]",
        "$.junctions[2]",
        "$.controls[0]",
        "$.refuges[0]",
        "$.junctions[1].z_m",
        "$.junctions[3].id",
        "$.roadways[1].length_m",
        "$.zones[1].headcount_max",
        "$.exits[0].name",
        "$.ponds[0].storage",
        "$.roadways[0].length_m",
        "$.roadways[0].to",
        "$.roadways[1].zone",
        "$.controls[1].roadway",
        "$.zones[0].parent",
        "$.zones[1].parent",
    ]
    assert "extra" in found["$"]
    assert "x_m" in found["$.junctions[0]"]
    assert "depth" in found["$.junctions[2]"]


def test_a_row_that_cannot_be_read_raises_no_second_fault_elsewhere() -> None:
    broken = [{"id": "j1", "x_m": None, "y_m": 0, "z_m": 0}, *DOCUMENT["junctions"][1:]]
    assert list(faults(junctions=broken)) == ["$.junctions[0]"]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"version": 2}, "$.version"),
        ({"site": "a b"}, "$.site"),
        ({"name": "x" * 121}, "$.name"),
        ({"revision": -1}, "$.revision"),
        ({"kind": "moon"}, "$"),
        ({"zones": {"id": "z"}}, "$.zones"),
        ({"zones": [5]}, "$.zones[0]"),
        ({"junctions": [{"id": "j"}] * 20_001}, "$.junctions"),
        ({"refuges": [{"id": "s1", "roadway": "r2", "chainage_m": 90.5}]}, "$.refuges[0].chainage_m"),
        ({"ponds": [{"id": "p", "storage": [[n, n] for n in range(1001)]}]}, "$.ponds[0].storage"),
        ({"ponds": [{"id": "p", "storage": [[1, 2, 3]]}]}, "$.ponds[0]"),
    ],
)
def test_a_single_fault_names_its_place(changes: dict[str, Any], path: str) -> None:
    assert path in faults(**changes)


def test_a_file_of_the_wrong_kind_gives_a_bounded_list() -> None:
    with pytest.raises(FormatError) as caught:
        read_structure(document(zones=[5] * 5000))
    assert len(caught.value.faults) == 200
    assert "5002 faults" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{",
        b'{"site": "s", "site": "t"}',
        b'{"site": "s", "ponds": [{"id": "p", "crest_m": NaN}]}',
        b'{"site": "s", "ponds": [{"id": "p", "crest_m": 1e999}]}',
        b'{"site": "\xff"}',
        b'{"site": "s", "name": "\\ud800"}',
        b"[" * 100_000,
        b'{"site": "s"} 5',
        '{"site": "s"}'.encode("utf-16"),
        b'{"site": "s", "revision": ' + b"9" * 5000 + b"}",
        b" " * (STRUCTURE_BYTES_MAX + 1),
    ],
    ids=lambda text: text[:40].decode("latin-1"),
)
def test_text_that_is_not_such_a_document_is_refused(text: bytes) -> None:
    with pytest.raises(FormatError):
        read_structure(text)


def test_zones_may_lie_eight_deep_and_no_deeper() -> None:
    chain = [{"id": "z0"}] + [{"id": f"z{n}", "parent": f"z{n - 1}"} for n in range(1, 9)]
    read_structure(json.dumps({"site": "s", "zones": chain}).encode())
    chain.append({"id": "z9", "parent": "z8"})
    with pytest.raises(FormatError):
        read_structure(json.dumps({"site": "s", "zones": chain}).encode())


def test_a_georeference_survives_the_body_and_is_left_out_where_there_is_none() -> None:
    written = {"latitude_deg": 35.0, "longitude_deg": 113.0, "azimuth_deg": 12.5, "x_m": 4e5}
    found = read_structure(json.dumps({"site": "s", "georeference": written}).encode())
    assert open_structure(encode_structure(found)) == found
    assert found.georeference == Georeference(**written)
    plain = read_structure(b'{"site": "s"}')
    assert "georeference" not in decode_record(encode_structure(plain))
    assert not plain.georeference


@pytest.mark.parametrize("wrong", [{"latitude_deg": 90.0}, {"longitude_deg": 181.0}, {"azimuth_deg": float("1e9")}])
def test_a_georeference_off_the_earth_is_a_fault(wrong: dict[str, float]) -> None:
    written = {"latitude_deg": 35.0, "longitude_deg": 113.0} | wrong
    with pytest.raises(FormatError) as caught:
        read_structure(json.dumps({"site": "s", "georeference": written}).encode())
    assert caught.value.faults[0][0] == f"$.georeference.{next(iter(wrong))}"
