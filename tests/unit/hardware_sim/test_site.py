"""The folder the simulator writes is one the agent takes as it is, and every point looks at something real."""

import asyncio
import math
from pathlib import Path

import pytest

from edge_agent.config import load_config
from hardware_sim.__main__ import main
from hardware_sim.devices import Floor
from hardware_sim.instruments import devices
from hardware_sim.modbus import Read
from hardware_sim.site import SiteOptions, build_site, write_site
from hardware_sim.truth import Mine
from twin_wire.errors import ConfigError

PROFILES = Path(__file__).parents[3] / "drivers" / "profiles"


def test_the_agent_takes_the_folder_as_it_is(tmp_path: Path) -> None:
    write_site(build_site(PROFILES), tmp_path / "gw", SiteOptions(tcp_port=15_021))
    config = load_config(tmp_path / "gw" / "gateway.toml")
    assert len(config.points) == sum(len(device.points) for device in devices())
    assert len(config.anchors) == 16
    limits = {p.row.point: {(limit.kind, limit.value) for limit in p.limits} for p in config.points}
    assert {("high", 0.8), ("high", 1.0)} <= limits["ch4-a-face"]


def test_the_demo_mine_has_the_instruments_of_a_mine() -> None:
    planned = devices()
    by_link = {link: [d for d in planned if d.link == link] for link in ("bus-1", "bus-2", "plc", "uwb-1", "uwb-2")}
    assert len(by_link["bus-1"]) >= 9
    assert {d.profile for d in by_link["bus-2"]} == {"abb-acs550", "vaisala-wxt530", "delta-ohm-pmsense"}
    assert 100 <= sum(len(d.points) for d in by_link["plc"]) <= 300
    ids = [point.id for device in planned for point in device.points]
    assert len(ids) == len(set(ids))


def test_every_point_shows_a_number_within_its_instrument_s_range() -> None:
    mine, site = Mine(), build_site(PROFILES)
    for _ in range(60):
        mine.step()
    for device in site.devices:
        for point in device.points:
            value, signal = mine.truth(point.source), site.profiles[device.profile].signals[point.signal]
            assert math.isfinite(value), point.id
            if signal.low is not None and signal.high is not None:
                assert signal.low <= value <= signal.high, point.id


def test_every_point_sits_where_its_zone_is() -> None:
    for device in devices():
        for point in device.points:
            assert (point.chainage_m is None) == (point.roadway == ""), point.id
            assert point.zone, point.id


def test_a_signal_the_profile_lacks_is_a_config_error_that_names_it(tmp_path: Path) -> None:
    for path in PROFILES.glob("*.toml"):
        text = path.read_text()
        if path.stem == "vaisala-wxt530":
            text = text.replace('id = "humidity"', 'id = "moisture"')
        (tmp_path / path.name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        build_site(tmp_path)
    assert caught.value.faults == (("weather.weather-humidity", "profile vaisala-wxt530 has no signal 'humidity'"),)


def test_samples_are_the_points_that_lie_whole_in_an_answer(tmp_path: Path) -> None:
    async def build() -> Floor:
        return Floor(build_site(PROFILES), tmp_path, 0, 1, list, lambda _: None)

    floor = asyncio.run(build())
    assert floor.samples("bus-1", 1, Read(3, 506, 2)) == 1
    assert floor.samples("bus-1", 1, Read(3, 506, 1)) == 0  # half a float is no sample
    assert floor.samples("bus-1", 1, Read(4, 506, 2)) == 0  # another table
    assert floor.samples("plc", 1, Read(3, 0, 125)) == 64
    assert floor.samples("plc", 2, Read(4, 32, 2)) == 1  # the u32 alone
    assert floor.samples("plc", 9, Read(3, 0, 1)) == 0


def test_the_command_writes_the_three_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["site", "--dir", str(tmp_path / "x")]) == 0
    assert sorted(p.name for p in (tmp_path / "x").iterdir()) == ["gateway.toml", "points.csv", "structure.json"]
    assert "214 points" in capsys.readouterr().out


def test_a_folder_without_profiles_is_refused_with_a_hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["site", "--dir", str(tmp_path / "x"), "--profiles", str(tmp_path)]) == 2
    assert "--profiles" in capsys.readouterr().err
