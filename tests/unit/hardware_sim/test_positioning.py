"""Simulated positioning devices say what their makers' documents print, and err as such devices do in a mine."""

import math
import re
import statistics
from pathlib import Path

import numpy as np
import pytest

from hardware_sim.__main__ import PROFILES, main
from hardware_sim.ble import LE_EVENT_MASK, POWER_DBM, SCAN_ENABLE, Controller, complete, report
from hardware_sim.dwm1001 import Module
from hardware_sim.linktrack import Frames, Network, Tag, node2, tag0
from hardware_sim.nmea import HEIGHT_M, LATITUDE_DEG, LONGITUDE_DEG, Place, Receiver, geodetic, sentences
from hardware_sim.plan import Anchor
from hardware_sim.rfid import REACH_M, READ_SHARE, Reader, epc_of, r2000_frame, ur_frame
from hardware_sim.sight import Worn
from hardware_sim.site import build_site
from hardware_sim.sources import with_sources
from twin_wire.errors import ConfigError
from twin_wire.geodesy import grid_of
from twin_wire.structure import Georeference

AT = [Anchor(0, "r", "main-2", 150.0), Anchor(1, "r", "main-2", 200.0), Anchor(2, "r", "main-2", 250.0)]
NEAR, FAR = Worn(17, "main-2", 155.0, 0.5), Worn(20, "heading-b", 300.0, 0.0)


def test_linktrack_frames_of_a_tag_and_of_an_anchor_are_laid_out_as_the_unpacker_reads_them() -> None:
    frame = tag0(Tag(7, (0.0, 250.123, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)), 5)
    assert (len(frame), frame[:4].hex(), frame[25:28].hex(), frame[43:46].hex()) == (
        128,
        "55010702",
        "0bd103",
        "e80300",
    )
    assert frame[120:122] == (3700).to_bytes(2, "little")
    frame = node2(3, [(11, 40.0)], 5)
    assert (len(frame), frame[:6].hex(), frame[116:124].hex()) == (133, "550485000103", "e02e01020b409c00")
    for each in (tag0(Tag(7, (1.0,)), 5), frame):
        assert sum(each[:-1]) & 0xFF == each[-1]
    assert Frames(Network(AT, "1"), lambda: [NEAR, FAR], "node2", 0).due(1.0)[0].tags <= 1


def typed(module: Module, text: bytes, now_s: float, byte_s: float = 0.02) -> bytes:
    said = [s.data for n in range(len(text)) for s in module.hear(text[n : n + 1], now_s + n * byte_s)]
    return b"".join(said)


def test_a_module_opens_its_shell_and_prints_when_it_is_told_to_and_stops_when_told_again() -> None:
    module = Module(AT, lambda: [NEAR, FAR], "1", tag=17)
    assert module.due(0.0) == []
    assert typed(module, b"lec\r", 0.0) == b"", "no shell yet"
    assert typed(module, b"\r\r", 5.0).endswith(b"dwm> ")
    assert typed(module, b"lec\r", 7.0, byte_s=0.001) == b"l", "a program types too fast"
    assert b"dwm> " in typed(module, b"\r", 8.0)
    typed(module, b"lec\r", 9.0)
    assert module.printing == "lec"
    line = module.due(10.0)[0].data.decode()
    assert re.fullmatch(r"DIST,\d(,AN\d,[0-9A-F]{4}(,-?\d+\.\d\d){4})*(,POS(,-?\d+\.\d\d){3},\d+)?\r\n", line)
    typed(module, b"\r", 11.0)
    assert module.printing == "", "a carriage return repeats the command, and that ends it"


def test_a_module_that_listens_tells_of_the_tags_near_it() -> None:
    module = Module(AT, lambda: [NEAR, FAR], "1", printing="lep")
    [said] = module.due(0.0)
    assert re.fullmatch(rb"POS,0,0011(,-?\d+\.\d\d){3},70,x05\r\n", said.data)


def test_a_controller_answers_commands_and_reports_once_it_scans() -> None:
    controller = Controller(AT[:1], lambda: [NEAR, FAR], "1", scanning=False)
    assert controller.due(0.0) == []
    data = bytes.fromhex("01030C00 01010C08FFFFFFFFFFFFFF3F 010B200700A000A0000000 010C20020100 01992002 0000")
    said = b"".join(each.data for n in range(0, len(data), 3) for each in controller.hear(data[n : n + 3], 0.0))
    assert said.hex() == "040e0401030c00040e0401010c00040e04010b2000040e04010c2000040e0401992001"
    assert len(controller.due(0.0)) == 1
    assert complete(SCAN_ENABLE) == bytes.fromhex("040E04010C2000")
    assert controller.hear(bytes.fromhex("01030C00 010C20020100"), 0.0)[1].data == complete(SCAN_ENABLE)
    assert controller.due(0.0) == [], "after a reset the events of a scan are masked"
    assert LE_EVENT_MASK == 0x2001


def test_beacons_are_laid_out_as_printed() -> None:
    assert report(3, -69).hex().startswith("043e2a02010301")
    assert len(report(3, -69)) == 45
    assert report(4, -70)[14:22].hex() == "0303aafe1516aafe"
    assert report(5, -70)[14:20].hex() == "1bff1801beac"


def test_strength_falls_with_the_logarithm_of_distance_and_scatters_by_five_decibels() -> None:
    controller = Controller(AT[:1], list, "3")
    for metres in (3.0, 30.0):
        drawn = [controller.strength_dbm(Worn(1, "main-2", 150.0 + metres, 0.0)) for _ in range(3000)]
        assert statistics.fmean(drawn) == pytest.approx(POWER_DBM - 22 * math.log10(metres), abs=0.4)
        assert statistics.stdev(drawn) == pytest.approx(5.0, abs=0.3)
    assert controller.strength_dbm(FAR) == -math.inf


def test_frames_of_readers_hold_their_sums() -> None:
    assert r2000_frame(0xFF, 0x89, b"\x14").hex() == "a004ff8914c0"
    assert ur_frame(0, 0, bytes((4, 12)) + epc_of(17) + b"\x62")[:7].hex() == "1400ee00040ce2"


def test_a_tag_at_an_antenna_is_read_most_of_the_time_and_one_beyond_its_reach_never() -> None:
    reader = Reader(AT[:1], lambda: [Worn(17, "main-2", 151.0, 0.0), Worn(18, "main-2", 150.5 + REACH_M, 0.0)], "2")
    found = [tag for _ in range(2000) for _, tag in reader.inventory()]
    assert set(found) == {17}
    assert len(found) / 2000 == pytest.approx(READ_SHARE, abs=0.04)


def test_a_reader_answers_an_inventory_with_reports_and_a_summary_and_a_ur_reader_lives() -> None:
    reader = Reader(AT, lambda: [Worn(17, "main-2", 150.0, 0.0), Worn(18, "main-2", 200.0, 0.0)], "2")
    assert reader.due(0.0) == []
    said = [
        s
        for _ in range(20)
        for s in reader.hear(b"\x00" + r2000_frame(0xFF, 0x8A, bytes.fromhex("0001FF01FF01FF010014")), 0.0)
    ]
    assert {s.data[7:19] for s in said if s.tags} == {epc_of(17)}, "only the antenna asked for"
    assert sum(not s.tags for s in said) == 20
    idle = Reader(AT, list, "2", "ur")
    beats = [len(idle.due(now_s)) for now_s in range(11)]
    assert sum(beats) == 3


def test_the_earth_is_as_round_here_as_in_the_twin() -> None:
    here = Georeference(latitude_deg=LATITUDE_DEG, longitude_deg=LONGITUDE_DEG, height_m=HEIGHT_M)
    for place in (Place(0, 0, 0), Place(800.0, -600.0, 12.0), Place(-45.0, 45.0, -3.0)):
        grid = grid_of(here, *(np.array([value]) for value in geodetic(place)))
        assert np.abs(np.array(grid)[:, 0] - np.array(place)).max() < 0.003


def test_sentences_are_as_the_standard_prints_them() -> None:
    text = sentences(-36.5, 120.25, 31.25, 4, 0.014, 1_795_521_600.25).decode()
    assert re.fullmatch(r"(\$[ -~]*\*[0-9A-F]{2}\r\n){3}", text)
    assert "GNGGA,120000.25,3630.0000000,S,12015.0000000,E,4,17,0.7,31.250,M," in text
    assert ",241126,,,R*" in text


def test_a_receiver_errs_as_much_as_its_quality_says() -> None:
    receiver = Receiver("1")
    seen: list[int] = []
    for _ in range(4000):
        receiver.due(0.0)
        seen.append(receiver.quality)
    assert seen.count(4) > seen.count(5) > seen.count(1) > 0


def test_the_command_adds_every_source_to_the_coal_mine_and_to_no_other_site(tmp_path: Path) -> None:
    assert main(["site", "--dir", str(tmp_path), "--positioning"]) == 0
    text = (tmp_path / "gateway.toml").read_text()
    assert all(f'kind = "{kind}"' in text for kind in ("linktrack", "dwm1001", "ble-hci", "rfid", "nmea"))
    elsewhere = build_site(PROFILES)
    with pytest.raises(ConfigError, match="coal"):
        with_sources(elsewhere._replace(plan=elsewhere.plan._replace(site="elsewhere")), PROFILES)
