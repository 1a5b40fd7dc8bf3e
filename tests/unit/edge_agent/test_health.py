"""The gateway's own points and numbers: in the manifest's order and resolution, unknown ones without a value."""

import math
import socket

import numpy as np

from edge_agent.conditions import OwnConditions, pack, unpack
from edge_agent.health import (
    BUDGET_H_MAX,
    POINTS,
    Health,
    disk_free_mb,
    health_block,
    health_points,
    memory_mb,
    notify,
    offline_budget_s,
    prometheus,
    watchdog_period_s,
)
from twin_wire.readings import Event, Quality


def test_a_row_of_own_points_fits_the_manifest_and_unknown_ones_are_bad():
    points = health_points("gw-1", ["bus-1", "plc"])
    health = Health(*[1.23456] * len(POINTS))._replace(clock_error=math.nan)
    block = health_block(points, health, [0.5, 1.0], 77)
    assert block.points == tuple(p.id for p in points)
    assert len(Health._fields) == len(POINTS)
    unknown = [p.quantity for p in points].index("gateway_clock_error")
    assert (block.quality[unknown, 0], np.isnan(block.value[unknown, 0])) == (Quality.BAD, True)
    assert block.value[-2:, 0].tolist() == [50.0, 100.0]
    assert all(round(v, p.decimals) == v for v, p in zip(block.value[:, 0], points, strict=True) if v == v)


def test_the_offline_budget_is_the_room_left_over_the_rate():
    assert offline_budget_s(1_000_000, 470_000, 100) == 5_000
    assert offline_budget_s(1_000_000, 2_000_000, 100) == 0
    assert offline_budget_s(1_000_000, 0, 0) == BUDGET_H_MAX * 3_600


def test_labels_cannot_break_the_metrics_text():
    text = prometheus({"edge_x_total": {(("link", 'a"b\\c\nd'),): 2.0}, "edge_y": {(): math.nan}})
    assert (
        text == '# TYPE edge_x_total counter\nedge_x_total{link="a\\"b\\\\c\\nd"} 2\n# TYPE edge_y gauge\nedge_y nan\n'
    )


def test_the_machine_can_be_asked(tmp_path):
    assert 5 < memory_mb() < 10_000
    assert disk_free_mb(tmp_path) > 0


def test_systemd_is_told_where_it_listens(tmp_path, monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert not notify("READY=1")
    assert watchdog_period_s() == 15.0
    monkeypatch.setenv("WATCHDOG_USEC", "soon")
    assert watchdog_period_s() == 0.0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "n"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        assert notify("READY=1")
        assert systemd.recv(100) == b"READY=1"
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not notify("READY=1")


def down(point: str, begin_us: int = 5) -> Event:
    return Event("device_down", 3, point, begin_us, 0, "poll/1", {"failures": 3.0}, "no answer")


def test_a_condition_is_said_once_and_ends_with_what_it_began_with():
    said: list[Event] = []
    own = OwnConditions(said.append)
    own.begin(down("a"))
    own.begin(down("a", 9))
    own.begin(Event("restart", 0, "", 7, 8, "agent/1", {}, "for the record"))
    own.end("b", "device_down", {}, 20)
    own.end("a", "device_down", {"down_s": 1.5}, 20)
    own.end("a", "device_down", {}, 21)
    assert [(e.rule, e.begin_us, e.end_us) for e in said] == [
        ("device_down", 5, 0), ("restart", 7, 8), ("device_down", 5, 20),
    ]  # fmt: skip
    assert said[-1].numbers == {"failures": 3.0, "down_s": 1.5}


def test_conditions_survive_a_restart_and_those_of_vanished_devices_end():
    first = OwnConditions(lambda _: None)
    for point in ("a", "b"):
        first.begin(down(point))
    first.begin(Event("link_error", 3, "bus-1", 6, 0, "poll/1", {}, "bug"))
    watched, stored = unpack(pack([{"rule": "x"}], first.active()))
    assert watched == [{"rule": "x"}]
    said: list[Event] = []
    again = OwnConditions(said.append)
    again.restore(stored)
    assert again.down_since() == {"a": 5, "b": 5}
    again.end_strangers(["a"], ["bus-1"], 30)
    assert {(e.point, e.rule, e.end_us) for e in said} == {("b", "device_down", 30), ("bus-1", "link_error", 30)}
    assert again.down_since() == {"a": 5}
    assert unpack(b"") == ([], [])
