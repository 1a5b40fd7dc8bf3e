"""Every profile, served as a device by the simulator and read by the driver: two readers of one file agree."""

import asyncio
import math
import random
from pathlib import Path

import pytest

from drivers import load_profile
from drivers.modbus.reference import golden_faults
from drivers.profile import PROFILES
from hardware_sim.encoding import FLOATS
from hardware_sim.modbus import answer, crc, rtu_frame, rtu_requests
from hardware_sim.profile import Profile, Signal, read_profile
from hardware_sim.registers import BAD_WORDS, Registers
from tests.support.profile_bench import Bench, near, rounds_of, serving, truth_of
from twin_wire.readings import Quality

EVERY_TYPE = Path(__file__).parents[1] / "vectors" / "every-type.toml"
FILES = [path for path in sorted(PROFILES.glob("*.toml")) if load_profile(path.stem).protocol == "modbus"] + [
    EVERY_TYPE
]
TRUTHS = 4  # per signal


def name_of(path: Path) -> str:
    return path.stem


def helpers_of(profile: Profile) -> set[str]:
    """Return the signals that a device sets by itself: scales, status words, heartbeats, ages."""
    scales = {name for signal in profile.signals.values() for name in signal.scales}
    return scales | {companion.signal for companion in profile.companions}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_signal_is_read_as_the_device_means_it(path: Path) -> None:
    rng = random.Random(path.stem)

    async def main() -> None:
        async with serving(path) as bench:
            helpers = helpers_of(bench.registers.profile)
            measured = [s for s in bench.registers.profile.signals.values() if s.id not in helpers]
            for members in rounds_of(bench.registers.profile, measured):
                for _ in range(TRUTHS):
                    await check_round(bench, members, rng, helpers)

    asyncio.run(main())


def test_every_type_is_read_over_a_serial_line_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(EVERY_TYPE, tmp_path / "port") as bench:
            helpers = helpers_of(bench.registers.profile)
            measured = [s for s in bench.registers.profile.signals.values() if s.id not in helpers]
            [members] = rounds_of(bench.registers.profile, measured)
            await check_round(bench, members, random.Random(1), helpers)

    asyncio.run(main())


async def check_round(bench: Bench, members: list[Signal], rng: random.Random, helpers: set[str]) -> None:
    truths = {signal.id: truth_of(signal, rng) for signal in members}
    for name, truth in truths.items():
        bench.registers.show(name, truth)
    if not bench.registers.profile.singles:
        await bench.read()  # a scale that comes in a request of its own is believed the second time
    found = await bench.read()
    for signal in members:
        value, quality, _ = found[signal.id]
        assert quality == Quality.GOOD, f"{signal.id}: {truths[signal.id]} came as {value}, {quality!r}"
        assert abs(value - truths[signal.id]) <= near(signal, truths[signal.id], bench.registers), signal.id
    for name in helpers - {c.signal for c in bench.registers.profile.companions if c.alive_s or c.age}:
        if any(name in s.scales for s in members):
            assert found[name].value == bench.registers.shown(name), name


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_what_the_device_does_not_know_is_never_a_number(path: Path) -> None:
    async def main() -> None:
        async with serving(path) as bench:
            profile = bench.registers.profile
            for members in rounds_of(profile, [s for s in profile.signals.values() if can_say_none(profile, s)]):
                for signal in members:
                    bench.registers.show(signal.id, math.nan)
                found = await bench.read()
                for signal in members:
                    assert math.isnan(found[signal.id].value), signal.id
                    assert found[signal.id].quality >= Quality.BAD, signal.id

    asyncio.run(main())


def can_say_none(profile: Profile, signal: Signal) -> bool:
    if signal.id in helpers_of(profile) or signal.type == "bool":
        return False
    words = [
        w for c in profile.companions if signal.id in c.of for w in (*c.bits.values(), *c.values.values(), c.other)
    ]
    return bool(signal.sentinels) or signal.type in FLOATS or any(word in BAD_WORDS for word in words)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_printed_exchange_means_what_its_document_says(path: Path) -> None:
    profile = load_profile(str(path))
    assert [fault for golden in profile.golden for fault in golden_faults(profile, golden)] == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_printed_exchange_is_answered_byte_for_byte(path: Path) -> None:
    profile = read_profile(path)
    for golden in profile.golden:
        registers = Registers(profile, lambda: 0.0)
        function, first = golden.request[1], int.from_bytes(golden.request[2:4])
        data = golden.answer[3:-2]
        if function in (1, 2):
            words = [data[place // 8] >> place % 8 & 1 for place in range(int.from_bytes(golden.request[4:6]))]
        else:
            words = [int.from_bytes(data[place : place + 2]) for place in range(0, len(data), 2)]
        registers.image.write(function, first, words)  # what the document says nothing of stays as it printed it
        for name, value in golden.values.items():
            signal = profile.signals[name]
            finer = signal.type in FLOATS  # the document prints more digits than the resolution its readers declare
            if name not in helpers_of(profile) and not finer and not (math.isnan(value) and len(signal.sentinels) > 1):
                registers.show(name, value)
        [frame] = rtu_requests(bytearray(golden.request))
        answered = answer(registers.image, frame.pdu)
        assert answered is not None
        assert rtu_frame(frame.unit, answered).hex(" ") == golden.answer.hex(" ")
        assert crc(golden.answer[:-2]) == golden.answer[-2:]
