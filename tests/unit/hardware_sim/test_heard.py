"""A bus that its own master polls, for a gateway that only listens: the configuration of a tap can be simulated."""

import asyncio
from pathlib import Path

import drivers
from edge_agent.config import load_config
from hardware_sim.heard import HeardBus, blocks_of
from hardware_sim.served import Served
from tests.support.gateway_folder import GATEWAY, POINTS, write_folder
from tests.support.modbus_peer import SystemClock
from twin_wire.errors import LinkError
from twin_wire.readings import Block, Quality

PROFILES = Path(__file__).parents[3] / "drivers/profiles"


def test_a_master_reads_what_touches_in_one_question() -> None:
    assert blocks_of([(3, 4, 2), (3, 0, 2), (3, 2, 2), (4, 0, 2)], 5, False) == [(3, 0, 4), (3, 4, 2), (4, 0, 2)]
    assert blocks_of([(3, 0, 2), (3, 0, 6), (3, 2, 2)], 60, False) == [(3, 0, 6)]
    assert blocks_of([(3, 0, 2), (3, 2, 2)], 60, True) == [(3, 0, 2), (3, 2, 2)]
    assert blocks_of([], 60, False) == []


def test_the_configuration_of_a_tap_is_simulated_with_both_voices(tmp_path: Path) -> None:
    gateway = GATEWAY.replace('kind = "modbus-rtu"', 'kind = "modbus-tap"')
    path = write_folder(tmp_path / "config", gateway, POINTS)
    config = load_config(path)

    async def main() -> dict[str, Block]:
        served = Served(path, tmp_path / "sim", PROFILES, seed=1)
        running = asyncio.create_task(served.run())
        while not (tmp_path / "sim/served.json").exists():  # noqa: ASYNC110 (a file says so, nothing else)
            await asyncio.sleep(0.02)
        line = served.lines["bus-1"]
        assert isinstance(line, HeardBus)
        options = {"port": str(tmp_path / "sim/dev/bus-1"), "baud": 19_200}
        link = await drivers.open_link("modbus-tap", options, SystemClock())
        found: dict[str, Block] = {}
        sources = link.sources(config.device_options("bus-1"), config.point_options("bus-1"))
        for source in sources:
            for _ in range(3):
                try:
                    blocks = [a for a in await source.read(SystemClock().monotonic_s() + 6) if isinstance(a, Block)]
                except LinkError:
                    continue
                found[source.group.device] = blocks[-1]
                break
        await link.close()
        assert line.spoken == 0
        running.cancel()
        return found

    found = asyncio.run(main())
    assert set(found) == {"ch4-1", "dust-1"}
    assert all((block.quality == Quality.GOOD).all() for block in found.values())
