"""What a profile says about a device's habits, against a simulated device that has them."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.modbus_peer import SystemClock
from tests.support.profile_bench import Bench, serving
from twin_wire.errors import DeviceError, LinkError
from twin_wire.readings import Block, Quality

HEAD = """
[profile]
id = "device"
vendor = "v"
model = "m"
protocol = "modbus"
rung = "simulated"
[[provenance]]
document = "d"
note = "n"
[modbus]
timeout_ms = 150
"""


def row(name: str, address: int, more: str = "", function: int = 3) -> str:
    quantity = "data_age" if 'unit = "s"' in more else "count"
    unit = "" if 'unit = "s"' in more else 'unit = "1"\n'
    signal = f'[[signal]]\nid = "{name}"\nquantity = "{quantity}"\n{unit}function = {function}\naddress = {address}\n'
    return signal + more + "\n"


def with_device(tmp_path: Path, text: str, check: Callable[[Bench], Awaitable[None]]) -> None:
    path = tmp_path / "device.toml"
    path.write_text(HEAD + text)

    async def main() -> None:
        async with serving(path) as bench:
            await check(bench)

    asyncio.run(main())


def requests(bench: Bench) -> list[tuple[int, int]]:
    """Return address and length of the newest request of every part."""
    asked = [exchange.request for source in bench.sources for exchange in source.exchanges()]
    return sorted((int.from_bytes(frame[-4:-2]), int.from_bytes(frame[-2:])) for frame in asked)


def test_a_value_and_its_scale_are_asked_for_in_one_request(tmp_path: Path) -> None:
    scaled = 'exponent = "scale"\ndecimals = 3\n'
    text = row("a", 0, scaled) + row("b", 60, scaled) + row("scale", 100, 'type = "i16"') + row("far", 900)

    async def check(bench: Bench) -> None:
        for value, exponent in ((12.345, -3), (123.45, -2), (6_553_500.0, 2)):
            bench.registers.show("a", value)
            bench.registers.show("b", value / 2)
            found = await bench.read()
            assert found["scale"].value == exponent
            assert abs(found["a"].value - value) <= 10.0**exponent / 2
            assert found["a"].quality == Quality.GOOD
        assert requests(bench) == [(0, 101), (900, 1)]

    with_device(tmp_path, text, check)


def test_a_scale_too_far_away_is_believed_only_while_it_stands(tmp_path: Path) -> None:
    text = row("a", 0, 'exponent = "scale"\ndecimals = 3\n') + row("scale", 500, 'type = "i16"')

    async def check(bench: Bench) -> None:
        seen = []
        for value in (1.5, 1.5, 150_000.0, 150_000.0):  # the device changes its scale between the second and third
            bench.registers.show("a", value)
            found = (await bench.read())["a"]
            seen.append(found.quality)
            assert math.isnan(found.value) or abs(found.value - value) <= 5
        assert seen == [Quality.UNCERTAIN, Quality.GOOD, Quality.BAD, Quality.GOOD]

    with_device(tmp_path, text, check)


def test_a_hole_between_a_value_and_its_scale_is_found_and_nothing_is_believed_meanwhile(tmp_path: Path) -> None:
    text = 'unmapped = "exception"\n' + row("a", 0, 'exponent = "scale"\n') + row("scale", 10, 'type = "i16"')

    async def check(bench: Bench) -> None:
        bench.registers.show("a", 7.0)
        qualities = [(await bench.read())["a"].quality for _ in range(3)]
        assert qualities == [Quality.UNCERTAIN, Quality.GOOD, Quality.GOOD]
        assert requests(bench) == [(0, 1), (10, 1)]
        assert bench.sources[0].stats.exceptions == 1

    with_device(tmp_path, text, check)


def test_one_signal_a_request_where_the_device_wants_singles(tmp_path: Path) -> None:
    text = "singles = true\n" + row("a", 0) + row("b", 1, 'type = "u32"') + row("c", 3)

    async def check(bench: Bench) -> None:
        bench.registers.show("b", 70_000.0)
        assert (await bench.read())["b"].value == 70_000.0
        assert requests(bench) == [(0, 1), (1, 2), (3, 1)]

    with_device(tmp_path, text, check)


def test_no_register_is_asked_for_that_would_be_met_with_silence(tmp_path: Path) -> None:
    text = 'unmapped = "silence"\n' + row("a", 0) + row("b", 1) + row("c", 3) + row("bit", 7, 'type = "bool"', 2)

    async def check(bench: Bench) -> None:
        assert set(await bench.read()) == {"a", "b", "c", "bit"}
        assert requests(bench) == [(0, 2), (3, 1), (7, 1)]
        assert bench.sources[0].stats.timeouts == 0

    with_device(tmp_path, text, check)


def test_a_device_that_is_silent_about_holes_nobody_spoke_of_is_read_after_three_failures(tmp_path: Path) -> None:
    text = row("a", 0) + row("b", 1) + row("gone", 3) + row("c", 5)

    async def check(bench: Bench) -> None:
        image, [source] = bench.registers.image, bench.sources
        image.unmapped = "silence"
        del image.tables[3][3]
        clock, seen = SystemClock(), []
        for _ in range(6):
            await asyncio.sleep(max(0.0, source.pace().quiet_until_s - clock.monotonic_s()))
            try:
                [block] = await source.read(clock.monotonic_s() + source.pace().budget_s)
            except LinkError:
                seen.append("")
                continue
            assert isinstance(block, Block)
            seen.append("".join(p[0] for p, q in zip(block.points, block.quality[:, 0], strict=True) if q == 0))
        assert seen[:3] == ["", "", ""]
        assert seen[-1] == "abc", "what is not there is asked for last and costs nobody else a value"

    with_device(tmp_path, text, check)


def test_a_status_and_its_value_come_from_one_instant_where_the_profile_says_so(tmp_path: Path) -> None:
    judge = '[[companion]]\nsignal = "status"\nof = ["a"]\nbits = { 0 = "CALIBRATING" }\n'
    text = "atomic = [[10, 30]]\n" + row("a", 12) + row("status", 28) + judge

    async def check(bench: Bench) -> None:
        bench.registers.show("a", 7.0)
        bench.registers.show("status", 1.0)
        assert (await bench.read())["a"][:2] == (7.0, Quality.CALIBRATING)
        assert requests(bench) == [(10, 21)]

    with_device(tmp_path, text, check)


def test_a_device_whose_program_has_stopped_is_stuck(tmp_path: Path) -> None:
    text = row("a", 0) + row("beat", 1) + '[[companion]]\nsignal = "beat"\nalive_s = 0.4\n'

    async def check(bench: Bench) -> None:
        assert (await bench.read())["a"].quality == Quality.GOOD
        await asyncio.sleep(0.5)
        assert (await bench.read())["a"].quality == Quality.GOOD
        bench.registers.frozen = True
        await bench.read()
        await asyncio.sleep(0.5)
        found = await bench.read()
        assert found["a"].quality == Quality.STUCK
        assert found["beat"].quality == Quality.GOOD

    with_device(tmp_path, text, check)


def test_the_age_of_the_data_moves_its_time_back_and_one_sample_keeps_one_time(tmp_path: Path) -> None:
    slots = ""
    for slot in (1, 2):
        age = row(f"age_{slot}", 10 * slot + 3, 'unit = "s"\ntype = "u16"')
        judge = f'[[companion]]\nsignal = "age_{slot}"\nof = ["t_{slot}"]\nage = true\nstale_s = 600\n'
        slots += row(f"t_{slot}", 10 * slot) + age + judge

    async def check(bench: Bench) -> None:
        assert [source.group.id for source in bench.sources] == ["d:age_1:0.1", "d:0.1", "d:age_2:0.1"]
        bench.registers.age("age_1", 90.4)
        bench.registers.age("age_2", 700.0)
        now_us = time.time_ns() // 1000
        first = await bench.read()
        assert abs(now_us - first["t_1"].time_us - 90_400_000) < 600_000
        assert abs(now_us - first["t_2"].time_us - 700_000_000) < 600_000
        assert (first["t_1"].quality, first["t_2"].quality) == (Quality.GOOD, Quality.UNCERTAIN)
        assert bench.sources[0].pace().half_width_us >= 500_000, "an age in whole seconds is known to half of one"
        await asyncio.sleep(0.7)  # the age becomes 91 s: the same sample
        again = await bench.read()
        assert again["age_1"].value == first["age_1"].value + 1
        assert again["t_1"].time_us == first["t_1"].time_us

    with_device(tmp_path, slots, check)


def test_a_device_is_deaf_after_its_power_came_back_and_then_as_before(tmp_path: Path) -> None:
    async def check(bench: Bench) -> None:
        unit = bench.unit
        unit.deaf_s = 0.3
        unit.alive = False
        unit.alive = True
        with pytest.raises(LinkError):
            await bench.read()
        await asyncio.sleep(0.6)
        assert "a" in await bench.read()

    with_device(tmp_path, row("a", 0), check)


def test_a_scale_the_device_refuses_takes_the_number_with_it(tmp_path: Path) -> None:
    text = row("a", 0, 'exponent = "scale"\ndecimals = 1\n') + row("b", 1) + row("scale", 2, 'type = "i16"')

    async def check(bench: Bench) -> None:
        bench.registers.show("b", 3.0)
        bench.registers.image.unmapped = "exception"
        del bench.registers.image.tables[3][2]
        for _ in range(3):
            [source] = bench.sources
            [block] = await source.read(asyncio.get_running_loop().time() + 3)
            assert isinstance(source.fault, DeviceError)
            assert isinstance(block, Block)
            assert block.points == ("a", "b", "scale")
            assert block.quality[:, 0].tolist() == [Quality.DEVICE_FAULT, Quality.GOOD, Quality.DEVICE_FAULT]
            assert math.isnan(block.value[0, 0])
            assert block.value[1, 0] == 3.0

    with_device(tmp_path, text, check)
