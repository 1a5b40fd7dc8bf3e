"""One simulated device of a profile behind TCP, its truth, and what the driver of the same profile reads of it."""

import asyncio
import contextlib
import math
import random
import time
from collections.abc import AsyncIterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import NamedTuple

from drivers import DeviceOptions, Link, PointOptions, Source, load_profile, open_link
from hardware_sim.bus import RtuBus, TcpBus, Unit
from hardware_sim.encoding import FLOATS, bounds, mask_of, raw_of
from hardware_sim.faults import FaultPlan
from hardware_sim.profile import Profile, Signal, read_profile
from hardware_sim.registers import Registers
from tests.support.modbus_peer import SystemClock
from twin_wire.readings import Block, Quality

PERIOD_S = 0.1
FLOAT_SHARE = 1e-7  # a single holds 24 bits


class Shown(NamedTuple):
    """What the driver says of a point."""

    value: float
    quality: Quality
    time_us: int


class Bench(NamedTuple):
    """The device's side and the driver's side of one profile."""

    registers: Registers
    unit: Unit
    link: Link
    sources: list[Source]

    async def read(self) -> dict[str, Shown]:
        """Read every source once: signal → what came."""
        found: dict[str, Shown] = {}
        for source in self.sources:
            clock = SystemClock()
            for arrival in await source.read(clock.monotonic_s() + 5.0):
                assert isinstance(arrival, Block)
                row = zip(arrival.points, arrival.value[:, 0], arrival.quality[:, 0], strict=True)
                found |= {p: Shown(float(v), Quality(int(q)), int(arrival.time_us[0])) for p, v, q in row}
            assert source.fault is None, source.fault
        return found


@contextlib.asynccontextmanager
async def serving(path: Path, port: Path | None = None) -> AsyncIterator[Bench]:
    """Serve the profile in a file as a device and open it with the driver: every signal is a point of its own name.

    On TCP, or on a pseudo-terminal behind the symlink `port`.
    """
    ours, theirs = load_profile(str(path)), read_profile(path)
    registers = Registers(theirs, time.monotonic)
    bus: TcpBus | RtuBus = TcpBus("tcp", 0, FaultPlan("bench"), lambda _answer: None)
    if port is not None:
        bus = RtuBus("rtu", port, 115_200, FaultPlan("bench"), lambda _answer: None)
    unit = Unit(theirs.unit, registers.image, 0.0)
    bus.add(unit)
    await bus.plug()
    serving = asyncio.create_task(bus.run())
    if isinstance(bus, TcpBus):
        link = await open_link("modbus-tcp", {"host": "127.0.0.1", "tcp_port": bus.line.port}, SystemClock())
    else:
        link = await open_link("modbus-rtu", {"port": str(port), "baud": 115_200}, SystemClock())
    device = DeviceOptions(id="d", profile=ours, unit=theirs.unit, period_s=PERIOD_S)
    try:
        points = [PointOptions(id=signal.id, device="d", signal=signal.id) for signal in ours.signals]
        yield Bench(registers, unit, link, link.sources([device], points))
    finally:
        await link.close()
        await bus.unplug()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def rounds_of(profile: Profile, signals: list[Signal]) -> list[list[Signal]]:
    """Sort signals into rounds that one device can show at once.

    No two take the same bit, none takes a bit of another's scale or companion, and none needs another number in a
    companion than its neighbours: what a register means may hang on the sensor that is fitted.
    """
    rounds: list[list[Signal]] = []
    for signal in signals:
        for members in rounds:
            if not any(_rival(profile, signal, other) for other in members):
                members.append(signal)
                break
        else:
            rounds.append([signal])
    return rounds


def _rival(profile: Profile, one: Signal, other: Signal) -> bool:
    mine, theirs = _bits(one), _bits(other)
    if mine & (theirs | _needed(profile, other)) or theirs & _needed(profile, one):
        return True
    by_number = [companion for companion in profile.companions if companion.values]
    return any(
        a.signal == b.signal and one.id in a.of and other.id in b.of and (other.id not in a.of or one.id not in b.of)
        for a in by_number
        for b in by_number
    )


def _needed(profile: Profile, signal: Signal) -> frozenset[tuple[int, int, int]]:
    names = {companion.signal for companion in profile.companions if signal.id in companion.of}
    helpers = [profile.signals[name] for name in names | set(signal.scales)]
    return frozenset().union(*(_bits(helper) for helper in helpers))


def truth_of(signal: Signal, rng: random.Random) -> float:
    """Return a value on the signal's own grid that its registers and its range can hold; often at an edge."""
    low, high = _physical(signal)
    step = Fraction(1, 10**9) if signal.decimals > 9 else Fraction(10) ** -signal.decimals
    if not signal.scales and signal.type not in FLOATS:
        step = step * abs(signal.multiplier) / signal.divisor
    first, last = -(-low // step), high // step
    assert first <= last, f"{signal.id}: its range holds no value of its resolution"
    while True:
        chosen = rng.choice((first, last, rng.randint(first, last), rng.randint(first, last)))
        truth = float(chosen * step)
        if not is_sentinel(signal, truth):
            return truth


def is_sentinel(signal: Signal, truth: float) -> bool:
    """Tell whether the registers of a value would be an error code."""
    mask = (1 << (16 * signal.registers)) - 1
    raw = raw_of(signal._replace(sentinels=()), truth)
    return isinstance(raw, int) and raw & mask in {sentinel & mask for sentinel in signal.sentinels}


def near(signal: Signal, truth: float, registers: Registers) -> float:
    """Return how far a reading may lie from the truth: half a step of what the device shows, or of its resolution."""
    scaled, floats = bool(signal.scales), signal.type in FLOATS
    if not scaled and not floats:
        return 1e-15 * abs(truth)  # exact: the double nearest to the decimal number
    step = Fraction(10) ** -signal.decimals
    if scaled and not floats:
        exponent = round(registers.shown(signal.exponent)) if signal.exponent else 0
        factor = math.prod((Fraction(repr(registers.shown(name))) for name in signal.factors), start=Fraction(1))
        step = max(step, Fraction(10) ** exponent * factor * abs(signal.multiplier) / signal.divisor)
    return float(step) / 2 + FLOAT_SHARE * abs(truth)


def _physical(signal: Signal) -> tuple[Fraction, Fraction]:
    """Return the lowest and highest value that fits both the registers and the range."""
    if signal.type in FLOATS:
        low, high = Fraction(-100_000), Fraction(100_000)
    else:
        scale = Fraction(signal.multiplier, signal.divisor)
        if not signal.scales:
            scale /= Fraction(10) ** signal.decimals
        ends = sorted((raw + signal.offset) * scale for raw in bounds(signal))
        low, high = ends[0], ends[1]
        most = 10**15 * abs(scale)  # what a double still counts one by one
        low, high = max(low, -most), min(high, most)
    if signal.low is not None and signal.high is not None:
        low, high = max(low, Fraction(repr(signal.low))), min(high, Fraction(repr(signal.high)))
    return low, high


@cache
def _bits(signal: Signal) -> frozenset[tuple[int, int, int]]:
    if signal.function in (1, 2):
        return frozenset([(signal.function, signal.address, 0)])
    masks = enumerate(mask_of(signal), signal.address)
    return frozenset((signal.function, place, bit) for place, mask in masks for bit in range(16) if mask >> bit & 1)
