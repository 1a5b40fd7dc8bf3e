"""What the frozen files of the data part in `tests/vectors` hold.

`python -m tests.support.wire_vectors` writes them anew. They are frozen: change one only together with the version
of the format.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tests.support import bodies
from twin_wire.body import encode_body
from twin_wire.exchange import Answer, Head, Verdict, encode_answer
from twin_wire.frame import Frame, encode_frame
from twin_wire.manifest import Anchor, DeviceSpec, GroupSpec, Limit, Manifest, PointSpec, encode_manifest
from twin_wire.readings import Batch, Event
from twin_wire.structure import Structure, encode_structure, read_structure

FOLDER = Path(__file__).parents[1] / "vectors"
NAN = float("nan")
INF = float("inf")
Case = tuple[Batch, dict[tuple[str, ...], int], dict[str, int | None]]


def small() -> Case:
    """One block of two points and two rows."""
    block = bodies.block(["ch4-1", "fan-1"], [[0.52, 0.54], [1.0, 1.0]])
    return bodies.batch(block), bodies.groups_of(block), {"ch4-1": 2, "fan-1": 0}


def mixed() -> Case:
    """Every kind and width of lane, every form of times, qualities, positions, events."""
    widths = bodies.block(
        [f"w{number}" for number in range(6)],
        [[5.0] * 4, [5, 6, 5, -2], [50, 177, 50, 50], [0, 300, -0.5, 1], [1e6, 0, 1e6, 0], [2**31 - 1.0, 1, 1, 1]],
    )
    floats = bodies.block(
        ["f32", "f64", "odd", "verbatim", "counter"],
        [
            [0.5, 0.25, NAN],
            [0.1, 1 / 3, NAN],
            [-0.0, INF, -INF],
            [1.0, 7.5, NAN],
            [2.0**45, 2.0**45 + 1, 2.0**45 + 9],
        ],
        [[0, 0, 33], [0, 0, 34], [0, 16, 16], [0, 33, 33], [0, 0, 0]],
        [bodies.T0_US - 1_000_000, bodies.T0_US, bodies.T0_US + 1_002_000],
    )
    jitter = bodies.block(
        ["j"], [[1.5, NAN, NAN, 1.6, 1.6]], [[21, 33, 33, 0, 0]], [1, 1_000_100, 2_000_001, 3_000_350, 3_000_350]
    )
    wild = bodies.block(["w"], [[7, 8, 9]], time_us=[0, 2**40, 2**52])
    single = bodies.block(["j"], [[NAN]], [[35]], time_us=[2**50])
    blocks = (widths, floats, jitter, wild, single)
    walk = [
        [bodies.T0_US + 1_000_000 * second, tag, at, 1000 * second, -5, 2**31 - 1, -(2**31), 300, at % 4, -1]
        for second in range(3)
        for at, tag in enumerate(("t-7", "t-12", "标签"))
    ]
    events = [
        Event(
            "limit_high", 1, "w1", bodies.T0_US, 0, "limits/1", {"value": 1.5, "limit": 1.0, "gone": NAN}, "above 1.0 %"
        ),
        Event("restart", 0, "", 5, 5, "agent/1", {}, "重新启动"),
    ]
    hints: dict[str, int | None] = {point: 0 for block in blocks for point in block.points}
    hints |= {"w3": 1, "f32": None, "j": 1}
    return bodies.batch(*blocks, fixes=bodies.fixes(walk), events=events), bodies.groups_of(*blocks), hints


def empty() -> Case:
    """A batch that says nothing but when the clock was good."""
    return bodies.batch(), {}, {}


CASES = {
    "body_small": small,
    "body_mixed": mixed,
    "body_empty": empty,
    "body_mine": lambda: bodies.mine(60, 10, groups=6),
}


def frame() -> Frame:
    """Three points, two people."""
    return Frame(
        layout=7,
        time_us=bodies.T0_US + 123_456,
        value=np.array([0.52, NAN, -0.0]),
        tag=np.array([0, 40_000], np.uint32),
        chainage_m=np.array([1.5, 95.25], np.float32),
        sigma_m=np.array([0.5, 12.0], np.float32),
        roadway=np.array([3, -1], np.int16),
        zone=np.array([-1, 2], np.int16),
        point_age_s=np.array([0, 65_535, 5], np.uint16),
        person_age_s=np.array([1, 60], np.uint16),
        quality=np.array([0, 33, 16], np.uint8),
        alarm=np.array([0b1001, 0, 0b10011], np.uint8),
    )


def answer() -> Answer:
    """An answer that uses every field."""
    receipt = Verdict(1, 42, "receipt", b"\xd2\x84", "")
    return Answer(
        "9a3f",
        Head(1, 42, bytes(range(32))),
        ((1, 44, 50),),
        Head(1, 30, bytes(32)),
        1234,
        b"mine.example/e/1001\n1234\n",
        1000,
        (b"\x01" * 32,),
        True,
        bodies.T0_US,
        (receipt, Verdict(1, 44, "pending", None, "expected 43"), Verdict(1, 51, "rejected", None, "no such key")),
    )


def manifest() -> Manifest:
    """A gateway of one device."""
    limit = Limit(kind="high", severity=2, value=1.0, restore=1.0, delay_s=0.0, source="coal-cn/2026.11")
    place: dict[str, Any] = {"zone": "heading-1", "roadway": "r-1", "chainage_m": 95.0, "device": "d-1"}
    methane = PointSpec(
        "ch4-1", "CH4", "%", 2, False, 0.0, 4.0, "掘进头甲烷", limits=(limit,), calibrated="2026-11-01", **place
    )
    fan = PointSpec("fan-1", "state", "1", 0, False, None, None, "局扇", **place)
    return Manifest(
        enterprise="1001",
        site="demo-mine",
        gateway="gw-1",
        software="edge-agent 0.1.0",
        simulated=True,
        structure="",
        ruleset="coal-cn/2026.11",
        devices=(DeviceSpec("d-1", "gas-4ch", "bus-1", 3, "头部"),),
        groups=(GroupSpec("g-1", "d-1", 1.0, ("ch4-1", "fan-1")),),
        points=(methane, fan),
        anchors=(Anchor(0, "d-1", "r-1", 0.5),),
    )


def structure() -> Structure:
    """Two roadways with all that can stand on them."""
    document = {
        "site": "demo-mine",
        "name": "示范矿",
        "junctions": [{"id": f"j-{n}", "x_m": 100.5 * n, "y_m": 0, "z_m": -10 * n} for n in range(3)],
        "roadways": [
            {"id": "r-1", "from": "j-0", "to": "j-1", "length_m": 101, "area_m2": 12.5, "zone": "heading-1"},
            {"id": "r-2", "from": "j-1", "to": "j-2", "length_m": 120, "walkable": False, "path": [[150, 9.5, -15]]},
        ],
        "zones": [{"id": "heading-1", "name": "掘进", "kind": "heading", "headcount_max": 16}],
        "controls": [{"id": "f-1", "kind": "local_fan", "roadway": "r-1", "curve": [[0, 900], [9.5, 0]]}],
        "exits": [{"id": "e-1", "junction": "j-0"}],
        "refuges": [{"id": "s-1", "roadway": "r-2", "chainage_m": 60, "capacity": 20, "hours": 96}],
        "ponds": [{"id": "p-1", "crest_m": 820, "storage": [[800, 0], [810, 5e6]]}],
    }
    return read_structure(json.dumps(document).encode())


def plain_frame(item: Frame) -> dict[str, Any]:
    """Return a frame as JSON can say it; values as the hexadecimal digits of their bits."""
    columns = {name: getattr(item, name).tolist() for name in Frame._fields[2:]}
    return {**item._asdict(), **columns, "value": [bodies.hex_float(value) for value in item.value]}


def plain_answer(item: Answer) -> dict[str, Any]:
    """Return an answer as JSON can say it; bytes in hexadecimal."""
    return json.loads(json.dumps(item._asdict(), default=lambda data: data.hex()))  # type: ignore[no-any-return]


def write() -> None:
    """Write all files anew."""
    files: dict[str, tuple[bytes, Any]] = {}
    for name, make in CASES.items():
        batch, groups, decimals = make()
        contents = {"groups": [list(points) for points in groups], "batch": bodies.plain(batch)}
        files[f"{name}.bin"] = encode_body(batch, groups, decimals), contents
    files["frame.bin"] = encode_frame(frame()), plain_frame(frame())
    files["answer.cbor"] = encode_answer(answer()), plain_answer(answer())
    files["manifest.bin"] = encode_manifest(manifest()), msgspec.to_builtins(manifest())
    files["structure.bin"] = encode_structure(structure()), msgspec.to_builtins(structure())
    for name, (data, contents) in files.items():
        (FOLDER / name).write_bytes(data)
        text = json.dumps(contents, ensure_ascii=False, indent=1)
        (FOLDER / name).with_suffix(".json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    write()
