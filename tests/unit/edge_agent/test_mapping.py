"""Points from a profile: what is there stays to the byte, and nothing is written that check would refuse."""

import msgspec
import pytest

from drivers import load_profile
from edge_agent.claim import Setting, Target
from edge_agent.config import load_config
from edge_agent.mapping import Order, addition, chosen_signals, files_with, link_table, with_rows, write_files
from edge_agent.site_profile import ProfileOrder, Register, profile_text, write_profile
from tests.support.gateway_folder import POINTS, write_folder
from twin_wire.errors import ConfigError


def test_lines_are_added_and_the_old_ones_kept_to_the_byte():
    row = {"point": "t", "device": "w", "signal": "temperature"}
    assert with_rows(POINTS.encode(), [row]) == POINTS.encode() + b"t,w,temperature,,,,,,,,,\n"
    wider = with_rows(b"point,device,signal\na,d,s", [{**row, "raw": "yes"}]).decode()
    assert wider == "point,device,signal,raw\na,d,s,\nt,w,temperature,yes\n"


def test_a_sensor_head_that_decides_what_a_register_means_has_to_be_chosen():
    profile = load_profile("draeger-polytron-8000")
    with pytest.raises(ConfigError, match="one of ch4, co"):
        chosen_signals(profile, [])
    assert [signal.id for signal in chosen_signals(profile, ["co"])] == ["co"]


def test_a_new_instrument_on_a_known_port_joins_its_link_and_the_old_files_are_kept(tmp_path):
    path = write_folder(tmp_path)
    order = Order(profile="vaisala-wxt530", device="weather", unit=9, target="127.0.0.1:1502", signals=("humidity",))
    added = addition(order, load_config(path), tmp_path)
    assert 'link = "plc"' in added.tables
    assert "[[link]]" not in added.tables
    before = path.read_bytes()
    backups = write_files(path, files_with(path, added))
    assert backups[1].read_bytes() == before
    assert [p.row.point for p in load_config(path).points][-1] == "weather"
    again = Order(profile="vaisala-wxt530", device="weather", signals=("temperature", "pressure"))
    assert addition(again, load_config(path), tmp_path).tables == "", "more points of an instrument that is there"


def test_a_configuration_with_a_fault_is_not_written(tmp_path):
    path = write_folder(tmp_path)
    before = (path.read_bytes(), (tmp_path / "points.csv").read_bytes())
    order = Order(profile="vaisala-wxt530", device="weather", unit=3, link="bus-1", zone="nowhere")
    with pytest.raises(ConfigError) as caught:
        write_files(path, files_with(path, addition(order, load_config(path), tmp_path)))
    assert any("is the unit of 'ch4-1'" in message for _, message in caught.value.faults)
    assert any("no zone 'nowhere'" in message for _, message in caught.value.faults)
    assert (path.read_bytes(), (tmp_path / "points.csv").read_bytes()) == before
    assert list(tmp_path.glob("*.bak")) == []


def test_an_instrument_nobody_described_gets_a_profile_of_the_site(tmp_path):
    path = write_folder(tmp_path)
    speed = Register(id="speed", quantity="wind_speed", unit="m/s", address=100, type="f32", order="CDAB", decimals=2)
    made = ProfileOrder(id="vane", vendor="unknown", model="X1", by="p-0042", signals=(speed,))
    name = write_profile(tmp_path, made, "2026-11-24")
    with pytest.raises(ConfigError, match="is there already"):
        write_profile(tmp_path, made, "2026-11-24")
    order = Order(profile=name, device="vane-1", unit=9, link="plc")
    write_files(path, files_with(path, addition(order, load_config(path), tmp_path)))
    profile = load_config(path).profiles[name]
    assert (profile.id, profile.rung, profile.signals[0].address) == ("vane", "field", 100)
    assert "compared with its display by p-0042 on 2026-11-24" in profile.provenance[0].note
    for change in ({"by": "Wang Wei"}, {"signals": (msgspec.structs.replace(speed, unit="ppm"),)}, {"signals": ()}):
        with pytest.raises(ConfigError):
            profile_text(msgspec.structs.replace(made, **change), "2026-11-24")


def test_links_of_each_kind_are_written():
    assert 'kind = "modbus-rtu"' in link_table("b", Target("", "10.0.0.7", 4001), Setting(19_200, "E"), rtu=True)
    assert "baud" not in link_table("b", Target("", "10.0.0.7", 502), Setting())
