"""The host that `hardware-sim serve-config` puts behind any configuration, read by the driver."""

import asyncio
from pathlib import Path

from drivers import DeviceOptions, PointOptions, Sightings, load_profile, open_link
from hardware_sim.kj_served import Dropper
from hardware_sim.profile import load_profile as load_simulated
from tests.support.modbus_peer import SystemClock
from twin_wire.readings import Block, Quality

PROFILES = Path(__file__).parents[2] / "drivers" / "profiles"
KJ = {"gas": "ch4:A-1", "fan": "local_fan:any.code", "bits": "state:A-1", "run": "substation:S1"}
PEOPLE = {"all": "headcount", "area": "area_headcount:AREA7"}


def test_the_codes_of_a_configuration_come_back_with_their_values(tmp_path: Path) -> None:
    async def main() -> None:
        dropper = Dropper(tmp_path / "inbox", {"charset": "gbk", "stations": {"ST-1": 4}})
        simulated = {name: load_simulated(PROFILES, name) for name in ("kj-host", "kj-people")}
        moving = dropper.add(simulated["kj-host"], {"period_s": 1.0}, list(KJ.values()))
        moving += dropper.add(simulated["kj-people"], {"period_s": 1.0}, list(PEOPLE.values()))
        assert [signal.id for signal in moving] == ["A-1", "any.code"]
        dropper.show("A-1", 0.42)
        dropper.show("any.code", 1.0)
        await dropper.plug()
        running = asyncio.create_task(dropper.run())
        options = {"folder": str(tmp_path / "inbox"), "charset": "gbk", "stations": {"ST-1": 4}, "scan_s": 0.1}
        link = await open_link("kj-file", options, SystemClock())
        devices = [DeviceOptions(id=name, profile=load_profile(name)) for name in simulated]
        rows = {**dict.fromkeys(KJ, "kj-host"), **dict.fromkeys(PEOPLE, "kj-people")}
        points = [PointOptions(id=p, device=rows[p], signal=s) for p, s in (KJ | PEOPLE).items()]
        sources = link.sources(devices, points)
        got: dict[str, float] = {}
        seen: list[Sightings] = []
        while len(got) < len(points):
            for arrival in await sources[0].read(SystemClock().monotonic_s() + 1.0):
                if isinstance(arrival, Block):
                    assert (arrival.quality == Quality.GOOD).all()
                    got[arrival.points[0]] = float(arrival.value[0, -1])
                elif isinstance(arrival, Sightings):
                    seen.append(arrival)
        running.cancel()
        await asyncio.wait([running])
        await link.close()
        assert got == {"gas": 0.42, "fan": 1.0, "bits": 0.0, "run": 0.0, "all": 12.0, "area": 12.0}
        assert set(seen[0].anchor_id.tolist()) == {4}

    asyncio.run(main())
