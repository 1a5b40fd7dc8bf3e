"""A recording played again: the same answers to the same questions, or the same bus."""

import asyncio
import struct
from pathlib import Path

import minimalmodbus
import pytest

from drivers import DeviceOptions, PointOptions, load_profile, open_link
from hardware_sim.capture import Device, exchanges_of, load_capture, play
from tests.support import recorded_bus
from tests.support.modbus_peer import SystemClock
from twin_wire.errors import ConfigError, LinkError
from twin_wire.readings import Block, Quality

VECTOR = Path(__file__).parents[2] / "vectors/bus.capture"


def dust_source(link):
    profile = load_profile("delta-ohm-pmsense")
    names = [s.id for s in profile.signals if s.address < 6 and s.function == 4]
    device = DeviceOptions(id="dust", profile=profile, unit=recorded_bus.DUST.unit)
    [source] = link.sources([device], [PointOptions(id=name, device="dust", signal=name) for name in names])
    return source


def test_every_whole_exchange_of_the_recording_is_found() -> None:
    found = exchanges_of(load_capture(VECTOR))
    asked = {(e.unit, e.request) for e in found}
    assert len(asked) == len(recorded_bus.ROUND)
    silent = sum(second % 29 == 17 for second in range(recorded_bus.SECONDS))
    assert len(found) == recorded_bus.SECONDS * len(recorded_bus.ROUND) - silent - 1  # and one damaged
    assert all(0.005 < e.turnaround_s < 0.05 for e in found)


def test_a_master_that_asks_gets_what_was_recorded_and_silence_for_the_rest(tmp_path: Path) -> None:
    capture = load_capture(VECTOR)

    def ask() -> list[list[int]]:
        master = minimalmodbus.Instrument(str(tmp_path / "port"), recorded_bus.DUST.unit)
        master.serial.baudrate, master.serial.timeout = 115_200, 0.3
        answers = [master.read_registers(0, 12, 4) for _ in range(5)]
        with pytest.raises(minimalmodbus.NoResponseError):
            master.read_registers(0, 6, 4)  # the recorded master never asked that
        master.serial.close()
        return answers

    async def main() -> list[list[int]]:
        device = Device(capture, tmp_path / "port", speed=50.0, baud=115_200)
        serving = asyncio.create_task(device.run())
        await asyncio.sleep(0.01)
        answers = await asyncio.to_thread(ask)
        assert (device.answered, device.unknown) == (5, 1)
        serving.cancel()
        return answers

    answers = asyncio.run(main())
    recorded = [e for e in exchanges_of(capture) if e.unit == recorded_bus.DUST.unit]
    places = [[list(struct.unpack(">12H", e.answer[2:])) for e in recorded].index(answer) for answer in answers]
    assert places == sorted(places), "the recording goes on while it is asked"
    assert len(set(places)) > 1


def test_a_tap_hears_the_played_bus(tmp_path: Path) -> None:
    async def main() -> None:
        playing = asyncio.create_task(play(load_capture(VECTOR), tmp_path / "bus", speed=1.0))
        await asyncio.sleep(0.01)
        link = await open_link("modbus-tap", {"port": str(tmp_path / "bus")}, SystemClock())
        source = dust_source(link)
        blocks: list[Block] = []
        while len(blocks) < 2:
            try:
                blocks += await source.read(SystemClock().monotonic_s() + 3)
            except LinkError:
                assert link.heard_bytes < 200, "the first second tells too little"
        assert all((block.quality == Quality.GOOD).all() for block in blocks)
        playing.cancel()
        await link.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "text", ["", "mine-twin capture 1\n", "mine-twin capture 1\n{}\n", "mine-twin capture 1\n[]\n1 0\n"]
)
def test_what_is_no_capture_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_text(text)
    with pytest.raises(ConfigError):
        load_capture(tmp_path / "x")
    with pytest.raises(ConfigError):
        load_capture(tmp_path / "none")


def test_a_recording_cut_at_its_end_is_played_as_far_as_it_goes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(VECTOR.read_bytes()[:-3])
    assert len(load_capture(tmp_path / "x").pieces) == len(load_capture(VECTOR).pieces) - 1
