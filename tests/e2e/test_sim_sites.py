"""Every kind of site is served in real bytes and read by the drivers of the folder that it wrote: the truth arrives."""

import asyncio
import json
import math
import socket
from pathlib import Path

import pytest

from drivers import Source, open_link
from edge_agent.config import Config, load_config
from hardware_sim.scenarios import Action
from hardware_sim.simulator import Options, Simulator
from hardware_sim.site import SiteOptions, build_site, write_site
from hardware_sim.sites import SITES
from tests.support.modbus_peer import SystemClock
from twin_wire.errors import LinkError
from twin_wire.readings import Block, Quality

PROFILES = Path(__file__).parents[2] / "drivers" / "profiles"
POSITIONING = ("linktrack",)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def read_all(config: Config) -> dict[str, float]:
    """Read every polled point once with the drivers; point → value, all of them good."""
    clock, found = SystemClock(), dict[str, float]()
    for table in config.links:
        if table.kind in POSITIONING:
            continue
        link = await open_link(table.kind, table.options, clock)
        try:
            for source in link.sources(config.device_options(table.id), config.point_options(table.id)):
                found |= await read_once(source, clock)
        finally:
            await link.close()
    return found


async def read_once(source: Source, clock: SystemClock) -> dict[str, float]:
    for _ in range(3):  # a host with more work than cores answers late
        try:
            arrivals = await source.read(clock.monotonic_s() + 5.0)
            break
        except LinkError:
            await asyncio.sleep(1.0)
    else:
        raise AssertionError(f"{source.group.device} does not answer")
    found = {}
    for block in arrivals:
        assert isinstance(block, Block)
        for point, value, quality in zip(block.points, block.value[:, -1], block.quality[:, -1], strict=True):
            assert quality == Quality.GOOD, (point, value, quality)
            found[point] = float(value)
    return found


@pytest.mark.parametrize("kind", SITES)
def test_what_is_true_at_the_site_is_what_the_drivers_read(kind: str, tmp_path: Path) -> None:
    site, port = build_site(PROFILES, kind), free_port()
    write_site(site, tmp_path, SiteOptions(tcp_port=port))
    config = load_config(tmp_path / "gateway.toml")

    async def main() -> None:
        simulator = Simulator(site, Options(tmp_path, tcp_port=port))
        running = asyncio.create_task(simulator.run())
        await asyncio.sleep(0.2)
        found = await read_all(config)
        simulator.stop()
        await running
        plans = {point.id: point for device in site.devices for point in device.points}
        assert found.keys() == plans.keys()
        for point, value in found.items():
            sensor, truth = plans[point].sensor, simulator.mine.truth(plans[point].source) * plans[point].sensor.gain
            slack = 6.0 * math.hypot(sensor.noise, sensor.mixing * truth) + 0.12 * abs(truth) + 1.01
            assert abs(value - truth) <= slack, (point, value, truth)

    asyncio.run(main())


def test_live_happenings_write_labels_with_their_kind(tmp_path: Path) -> None:
    site = build_site(PROFILES, "tailings")

    async def main() -> None:
        simulator = Simulator(site, Options(tmp_path, tcp_port=free_port()))
        running = asyncio.create_task(simulator.run())
        await asyncio.sleep(0.1)
        begin, end = Action(0.0, "rain", amount=40.0, kind="hazard", cause="heavy rain"), Action(0.0, "rain")
        await simulator.act(begin)
        await simulator.act(end._replace(ends="heavy rain"))
        await simulator.act(Action(0.0, "swap", "seepage-1", detail="seepage-2"))
        await simulator.act(Action(0.0, "repair", "seepage-1"))
        simulator.stop()
        await running

    asyncio.run(main())
    rows = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert [(row["event"], row["kind"], row["cause"]) for row in rows] == [
        ("start", "hazard", "heavy rain"),
        ("stop", "hazard", "heavy rain"),
    ]
