"""The configuration: everything wrong is said at once, with its place and what was probably meant."""

import pytest

from edge_agent.config import is_loopback, listen_address, load_config
from edge_agent.manifest import build_manifest
from tests.support.gateway_folder import GATEWAY, POINTS, write_folder
from twin_wire.errors import ConfigError
from twin_wire.manifest import encode_manifest, read_manifest


def faults_of(folder, **texts) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load_config(write_folder(folder, **texts))
    return dict(caught.value.faults)


def test_a_right_folder_becomes_a_manifest_that_reads_back(tmp_path):
    config = load_config(write_folder(tmp_path))
    manifest = build_manifest(config, "north", True, "test 1")
    assert read_manifest(encode_manifest(manifest)) == manifest
    by_id = {point.id: point for point in manifest.points}
    limits = [(k.kind, k.severity, k.value, k.restore, k.source) for k in by_id["ch4-face"].limits]
    assert ("high", 3, 0.8, 0.75, "site") in limits
    assert any(source.startswith("coal-cn/") for *_, source in limits)
    assert by_id["ch4-face"].chainage_m == 90
    assert by_id["gw-1.cpu"].device == ""
    assert [group.id for group in manifest.groups] == ["ch4-1", "dust-1", "fan-1", "gateway"]
    assert manifest.groups[1].period_s == 2.0
    assert manifest.simulated


def test_every_fault_in_every_file_is_listed_at_once(tmp_path):
    gateway = (
        GATEWAY.replace('site = "demo"', 'site = "demo"\nrulset = "x"')
        .replace('kind = "modbus-tcp"', 'kind = "modbus-tpc"')
        .replace("baud = 19200", 'baud = "fast"')
        .replace('profile = "abb-acs550"', 'profile = "abb-acs500"')
        .replace("unit = 4", "unit = 3")
    )
    points = POINTS.replace("dust,dust-1,pm10", "dust,dust-2,pm10").replace(
        "z-heading,heading,90", "z-heding,heading,900"
    )
    points += "ch4-face,ch4-1,ch5,,,,,headng_face,x,,,\n"
    found = faults_of(tmp_path, gateway=gateway, points=points)
    assert "did you mean 'ruleset'?" in found["gateway.rulset"]
    assert "did you mean 'modbus-tcp'?" in found["link[1].kind"]
    assert "link[0].baud" in found
    assert "did you mean 'abb-acs550'?" in found["device[2].profile"]
    assert "is the unit of 'ch4-1'" in found["device[1].unit"]
    assert "did you mean 'dust-1'?" in found["points.csv:3:device"]
    assert "did you mean 'z-heading'?" in found["points.csv:2:zone"]
    assert "is not within 0 to 100 m" in found["points.csv:2:chainage_m"]
    assert found["points.csv:5:warn_high"] == "'x' is not a number"


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        ("ch4-face,ch4-1,ch4", "point", "is in line 2 already"),
        ("p,ch4-1,ch5", "signal", "no signal 'ch5'"),
        ("p,ch4-1,ch4,,,,,headng_face", "place", "did you mean 'heading_face'?"),
        ("p q,ch4-1,ch4", "point", "is not an identifier"),
        ("'; drop table,ch4-1,ch4", "point", "is not an identifier"),
        ("<script>,ch4-1,ch4", "point", "is not an identifier"),
        ("p,ch4-1,ch4,a\x07b", "name", "printable"),
        ("p,ch4-1,ch4,,,,5", "chainage_m", "needs a roadway"),
        ("p,ch4-1,ch4,,,,,,2,1", "warn_high", "lies above alarm_high"),
        ("p,ch4-1,ch4,,,,,,,,-1", "hysteresis", "is negative"),
        ("p,ch4-1,ch4,,,,,,nan", "warn_high", "is not a number"),
        ("p,ch4-1,ch4,,,heding", "roadway", "did you mean 'heading'?"),
    ],
)
def test_a_fault_in_points_csv_is_given_with_line_and_column(tmp_path, row, column, words):
    found = faults_of(tmp_path, points=POINTS + row + "\n")
    assert words in found[f"points.csv:5:{column}"]


def test_a_point_list_saved_by_a_spreadsheet_is_read(tmp_path):
    path = write_folder(tmp_path, points="\ufeff" + POINTS.replace("\n", "\r\n") + "\r\n,,,,,,,,,,,\r\n")
    assert len(load_config(path).points) == 3


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ("point,device,signl\n", "did you mean 'signal'?"),
        ("point,device,signal,point\n", "twice"),
        ("point,device\n", "column 'signal' is missing"),
        ("", "is missing"),
    ],
)
def test_a_wrong_header_is_a_fault(tmp_path, points, words):
    assert any(words in message for message in faults_of(tmp_path, points=points).values())


def test_a_list_in_another_encoding_says_how_to_save_it(tmp_path):
    path = write_folder(tmp_path)
    (tmp_path / "points.csv").write_bytes(POINTS.encode("gbk"))
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert "CSV UTF-8" in caught.value.faults[0][1]


@pytest.mark.parametrize("text", ["[gateway", "a = 1", "[gateway]\nid = 5", "gateway = 3", "[[gateway]]\n", "\x00"])
def test_nonsense_is_a_config_error_and_nothing_else(tmp_path, text):
    assert faults_of(tmp_path, gateway=text)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (('listen = "127.0.0.1:0"', 'listen = "0.0.0.0:80"'), "page.listen"),
        (('listen = "127.0.0.1:0"', 'listen = "here"'), "page.listen"),
        (("quota_mb = 4", "quota_mb = 1"), "queue.quota_mb"),
        (('ruleset = "coal-cn"', 'ruleset = "coal-ch"'), "gateway.ruleset"),
        (('site = "demo"', 'site = "other"'), "gateway.site"),
        (('id = "gw-1"', 'id = "g w"'), "gateway.id"),
        (('id = "plc"', 'id = "bus-1"'), "link[1].id"),
        (("period_s = 2.0", "period_s = 0"), "device[1].period_s"),
        (('structure = "structure.json"', 'structure = "none.json"'), "gateway.structure"),
    ],
)
def test_a_single_fault_is_named_by_its_path(tmp_path, change, path):
    assert path in faults_of(tmp_path, gateway=GATEWAY.replace(*change))


def test_beyond_loopback_the_page_needs_a_pin_of_digits(tmp_path):
    gateway = GATEWAY.replace('listen = "127.0.0.1:0"', 'listen = "0.0.0.0:8765"\npin_file = "pin"')
    write_folder(tmp_path, gateway=gateway)
    (tmp_path / "pin").write_text("123\n", encoding="ascii")
    assert "page.pin_file" in faults_of(tmp_path, gateway=gateway)
    (tmp_path / "pin").write_text("493027\n", encoding="ascii")
    assert load_config(tmp_path / "gateway.toml").page.pin_file == "pin"


def test_anchors_stand_on_roadways_of_positioning_devices(tmp_path):
    anchor = '[[anchor]]\nid = 0\ndevice = "uwb-1"\nroadway = "heading"\nchainage_m = 10.0\n'
    found = faults_of(tmp_path, gateway=GATEWAY + anchor)
    assert "there is no device 'uwb-1'" in found["anchor[0].device"]


def test_a_gate_has_two_sides_and_counts_into_a_zone_of_the_site(tmp_path):
    place = 'device = "uwb-1"\nroadway = "heading"\nchainage_m = 10.0\n'
    anchors = f'[[anchor]]\nid = 0\n{place}gate = "g"\nside = "inner"\nzone = "nowhere"\nreach_m = -1.0\n'
    anchors += f'[[anchor]]\nid = 1\n{place}side = "outer"\n[[anchor]]\nid = 2\n{place}gate = "h"\nside = "left"\n'
    found = faults_of(tmp_path, gateway=GATEWAY + anchors)
    assert "each side" in found["anchor"]
    assert "nowhere" in found["anchor[0].zone"]
    assert {"anchor[0].reach_m", "anchor[1].side", "anchor[2].side"} <= found.keys()


def test_addresses_are_told_apart():
    assert listen_address("[::1]:80") == ("::1", 80)
    assert listen_address("127.0.0.1") is None
    assert listen_address("a:99999") is None
    assert is_loopback("127.3.2.1")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("example")
