"""An instrument that prints lines, the agent as a process, sealed batches."""

import asyncio
from pathlib import Path

from hardware_sim.ascii_line import Printer
from hardware_sim.faults import FaultPlan, Rule
from hardware_sim.pusher import Pusher
from tests.faults.test_agent_process import free_port
from tests.support.gateway_folder import write_folder
from tests.support.sealed import Gateway, read_batches, rows_of
from twin_wire.readings import Quality

GATEWAY = """
[gateway]
id = "gw-1"
site = "demo"
structure = "structure.json"
[page]
listen = "{page}"
[[link]]
id = "wind"
kind = "ascii-line"
port = "{folder}/wind"
[[device]]
id = "wind-1"
link = "wind"
profile = "gill-windsonic"
"""
POINTS = "point,device,signal\nspeed,wind-1,wind_speed\ndirection,wind-1,wind_direction\n"


def test_printed_lines_become_sealed_readings_and_bent_ones_none(tmp_path: Path) -> None:
    page = f"127.0.0.1:{free_port()}"
    write_folder(tmp_path, GATEWAY.replace("{page}", page), POINTS)
    gateway = Gateway(tmp_path, page, "gw-1", "demo")
    printer, faults = Printer("gill-windsonic"), FaultPlan("1")
    printer.show("wind_direction", 229.0)
    printer.show("wind_speed", 2.74)
    faults.add(Rule("flip", probability=0.4))
    pusher = Pusher("wind", tmp_path / "wind", 9600, printer, faults, lambda _: None, 0.1)

    async def main() -> None:
        printing = asyncio.create_task(pusher.run())
        process = gateway.start()
        try:
            await gateway.until(lambda seen: seen["links"][0]["answers"] >= 6)
        finally:
            process.terminate()
            assert await asyncio.to_thread(process.wait, 15) == 0
            printing.cancel()
            await asyncio.wait([printing])

    asyncio.run(main())
    batches = read_batches(tmp_path)
    for point, expected in (("speed", 2.74), ("direction", 229.0)):
        rows = rows_of(batches, point)
        assert {(value, quality) for _, value, quality in rows if quality != Quality.NO_ANSWER} == {(expected, 0)}
        assert len([row for row in rows if row[2] == Quality.GOOD]) >= 6
