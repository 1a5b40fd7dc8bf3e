"""Anchor0 frames hold what the vendor's unpacker expects where it expects it; ranging errs as UWB does in a mine."""

import math
import statistics
import struct

import pytest

from hardware_sim.linktrack import Network, Tag, Worn, anchor0
from hardware_sim.people import People
from hardware_sim.plan import ANCHORS, place_of


def test_a_frame_is_laid_out_as_the_vendor_s_unpacker_reads_it() -> None:
    tags = [Tag(7, (1.23, 0.0, 400.5)), Tag(250, (655.0,))]
    frame = anchor0(3, tags, local_ms=0x01020304, system_ms=0x0A0B0C0D, volts=4.95)
    assert len(frame) == 896
    assert frame[:2] == b"\x55\x00"
    assert frame[-1] == 0xEE
    assert frame[2:4] == bytes((7, 2))
    assert frame[4:13] == bytes(9)  # no 3-D position
    assert struct.unpack_from("<8H", frame, 13) == (123, 0, 40050, 0, 0, 0, 0, 0)
    assert frame[29] == 250
    assert struct.unpack_from("<H", frame, 29 + 11) == (65500,)
    assert all(frame[2 + 27 * place] == 0xFF for place in range(2, 30))
    assert struct.unpack_from("<I", frame, 879) == (0x01020304,)
    assert struct.unpack_from("<H", frame, 887) == (4950,)
    assert struct.unpack_from("<I", frame, 889) == (0x0A0B0C0D,)
    assert frame[893:895] == bytes((3, 1))


def test_a_full_frame_holds_thirty_tags() -> None:
    frame = anchor0(0, [Tag(n, (1.0,)) for n in range(30)], 0, 0)
    assert len(frame) == 896
    assert [frame[2 + 27 * n] for n in range(30)] == list(range(30))


def network(device: str = "uwb-2", seed: str = "1") -> Network:
    return Network([a for a in ANCHORS if a.device == device], seed)


def test_in_sight_a_range_is_right_to_a_decimetre_but_for_outliers_and_losses() -> None:
    worn, anchor = Worn(1, "heading-a", 200.0, 0.0), 1  # the anchor stands at chainage 20
    heard = [tag.distances_m[anchor] for tag in network(seed="9").measure([worn] * 4000)]
    ranges = [d for d in heard if d]
    true = math.dist(place_of("heading-a", 200.0), place_of("heading-a", 20.0))
    assert 0.08 < 1 - len(ranges) / len(heard) < 0.12
    assert statistics.median(ranges) == pytest.approx(true + 0.02, abs=0.05)
    assert 0.06 < sum(d > true + 0.5 for d in ranges) / len(ranges) < 0.16
    assert min(ranges) > true - 0.5


def test_nobody_is_heard_through_rock() -> None:
    assert network("uwb-1").measure([Worn(1, "heading-b", 300.0, 0.0)]) == []


def test_almost_everybody_is_heard_by_someone() -> None:
    people = People(seed=1)
    for _ in range(1200):
        people.step({"heading_a": 0.002, "heading_b": 0.002, "face": 0.004, "return": 0.003})
    worn = [Worn(p.tag, p.place.roadway, p.place.chainage_m, p.side_m) for p in people.persons]
    heard = {tag.id for device in ("uwb-1", "uwb-2") for tag in network(device).measure(worn)}
    assert len(heard) >= 0.9 * len(worn)


def test_the_same_seed_measures_the_same() -> None:
    worn = [Worn(n, "main-3", 10.0 * n, 0.5) for n in range(1, 20)]
    assert network(seed="4").measure(worn) == network(seed="4").measure(worn)
    assert network(seed="4").measure(worn) != network(seed="5").measure(worn)
