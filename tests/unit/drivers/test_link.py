"""Points fall into groups of one device and one period; options and kinds are checked before anything opens."""

import asyncio

import pytest

from drivers import DRIVERS, DeviceOptions, PointOptions, check_options, load_profile, open_link, poll_groups
from tests.support.modbus_peer import SystemClock
from twin_wire.errors import ConfigError

WEATHER = load_profile("vaisala-wxt530")


def device(name: str, period_s: float = 1.0) -> DeviceOptions:
    return DeviceOptions(id=name, profile=WEATHER, unit=1, period_s=period_s)


def point(name: str, of: str, signal: str = "humidity", period_s: float | None = None) -> PointOptions:
    return PointOptions(id=name, device=of, signal=signal, period_s=period_s)


def test_points_of_one_device_and_period_make_one_group_in_their_order() -> None:
    groups = poll_groups(
        [device("a"), device("b", 5.0)], [point("3", "b"), point("1", "a"), point("2", "a", "pressure")]
    )
    assert [(g.id, g.device, g.period_s, g.points) for g in groups] == [
        ("b", "b", 5.0, ("3",)),
        ("a", "a", 1.0, ("1", "2")),
    ]


def test_two_periods_on_one_device_are_two_groups() -> None:
    groups = poll_groups([device("a")], [point("1", "a"), point("2", "a", "pressure", 60.0), point("3", "a")])
    assert [(g.id, g.period_s, g.points) for g in groups] == [("a:1", 1.0, ("1", "3")), ("a:60", 60.0, ("2",))]


def test_every_fault_in_the_points_is_reported() -> None:
    with pytest.raises(ConfigError) as caught:
        poll_groups([device("a")], [point("1", "a"), point("1", "z"), point("2", "a", "taste", -1.0)])
    assert [path for path, _ in caught.value.faults] == [
        "points[1].id",
        "points[1].device",
        "points[2].signal",
        "points[2].period_s",
    ]


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        check_options("profinet", {})
    assert all(kind in caught.value.hint for kind in DRIVERS)


@pytest.mark.parametrize(
    ("kind", "options", "paths"),
    [
        ("modbus-rtu", {}, {"port"}),
        ("modbus-rtu", {"port": "x", "baud": 1, "parity": "X", "buad": 2}, {"baud", "parity", "buad"}),
        ("modbus-rtu", {"host": "h", "tcp_port": 0, "rs485": True}, {"tcp_port", "rs485"}),
        ("modbus-tcp", {"host": "", "echo": True}, {"host", "echo"}),
        ("linktrack", {"port": 5, "listen_only": "yes"}, {"port", "listen_only"}),
    ],
)
def test_bad_options_are_all_reported(kind: str, options: dict[str, object], paths: set[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        check_options(kind, options)
    assert {path for path, _ in caught.value.faults} == paths


def test_links_that_share_an_address_can_be_told() -> None:
    assert check_options("modbus-tcp", {"host": "PLC", "tcp_port": 502}) == check_options("modbus-rtu", {"host": "plc"})
    assert check_options("modbus-rtu", {"port": "/dev/../dev/null"}) == "/dev/null"


@pytest.mark.parametrize("kind", ["modbus-rtu", "modbus-tcp"])
def test_a_listen_only_link_has_no_transmitter_and_refuses_to_poll(kind: str) -> None:
    async def main() -> None:
        options: dict[str, object] = {"port": "/dev/null"} if kind == "modbus-rtu" else {"host": "127.0.0.1"}
        link = await open_link(kind, {**options, "listen_only": True}, SystemClock())
        assert link.listen_only
        assert not hasattr(link._listener, "write")  # type: ignore[attr-defined]
        with pytest.raises(ConfigError, match="no transmitter"):
            link.sources([device("a")], [point("1", "a")])
        await link.close()

    asyncio.run(main())


def test_a_device_that_does_not_fit_its_link_is_a_configuration_fault() -> None:
    async def main() -> None:
        link = await open_link("modbus-rtu", {"port": "/dev/null"}, SystemClock())
        beacon = DeviceOptions(id="b", profile=load_profile("linktrack"), unit=0)
        broadcast = DeviceOptions(id="c", profile=WEATHER, unit=0)
        with pytest.raises(ConfigError) as caught:
            link.sources([beacon, broadcast], [])
        assert {path for path, _ in caught.value.faults} == {
            "devices[0].profile",
            "devices[0].unit",
            "devices[1].unit",
        }

    asyncio.run(main())
