"""What any driver has to keep, whoever wrote it: no wrong value as a good one, a deadline kept, a line that recovers.

    class TestAcme(DriverContract):
        def bench(self, damage):            # opens a stand-in that sends every frame through `damage`, and the driver
            return acme_bench(damage)

This module knows no driver: it takes callables, and looks at what comes back by shape (points, value, quality).
"""

import asyncio
import contextlib
import math
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, NamedTuple, Protocol

from twin_wire.errors import LinkError

Harm = Literal["good", "silent", "cut", "flipped", "late", "noisy"]
GOOD = 0  # twin_wire.readings.Quality
NUMBERS = 32  # qualities below have a number as value
NOISE_BYTES_MAX = 9
OVERTIME_S = 0.25  # beyond its deadline; the test's own machine is granted this
SLEEP_S_MAX = 3.0


class Source(Protocol):
    """What the suite uses of a driver's source."""

    async def read(self, deadline_s: float) -> Sequence[Any]:
        """Return what came by the monotonic `deadline_s`; LinkError when there is nothing."""


class Watched(NamedTuple):
    """A source, and what each of its points has to be when it is good."""

    source: Source
    expected: Mapping[str, float]


class Bench(NamedTuple):
    """An open link: its sources, and how its far end is taken away for good (a callable without arguments)."""

    watched: Sequence[Watched]
    unplug: Any


class Damage:
    """What the line does to a frame: a stand-in sends, for each frame, what this returns, after its delays in s."""

    def __init__(self, harm: Harm, seed: int = 1, late_s: float = 0.4) -> None:
        self.harm, self.late_s = harm, late_s
        self.frames = 0  # harmed so far
        self._random = random.Random(f"{harm}/{seed}")  # noqa: S311

    def __call__(self, frame: bytes) -> list[tuple[float, bytes]]:
        """Return the pieces to send instead of a whole frame, each after a delay."""
        if self.harm == "good":
            return [(0.0, frame)]
        self.frames += 1
        if self.harm == "silent":
            return []
        if self.harm == "late":
            return [(self.late_s, frame)]
        if self.harm == "cut":
            return [(0.0, frame[: self._random.randrange(len(frame))])]
        if self.harm == "noisy":
            noise = self._random.randbytes(self._random.randint(1, NOISE_BYTES_MAX))
            return [(0.0, noise), (0.0, frame)]
        place = self._random.randrange(len(frame) * 8)
        return [(0.0, (int.from_bytes(frame) ^ 1 << place).to_bytes(len(frame)))]

    def heal(self) -> None:
        """Let frames pass unharmed from now on."""
        self.harm = "good"


class DriverContract:
    """Inherit it, give `bench`, and pytest runs every case; the class attributes may be set to fit a slow device."""

    wait_s = 0.3  # for one read
    reads = 5  # of each source on a harmed line
    recovery_s = 5.0  # within which a healed line has to give values again
    checksum = True  # False: its frames have none (TCP has its own); of flipped bits only pace and recovery are judged

    def bench(self, damage: Damage) -> AbstractAsyncContextManager[Bench]:
        """Return what opens the stand-in and the driver; the sequence of frames must not depend on time."""
        raise NotImplementedError

    def test_on_a_good_line_every_source_gives_its_own_values(self) -> None:
        """Read each source three times."""
        asyncio.run(self._good())

    def test_on_a_silent_line_there_is_a_link_error_and_no_value(self) -> None:
        """Nothing comes; then the line heals."""
        asyncio.run(self._harmed("silent"))

    def test_of_cut_frames_nothing_wrong_becomes_good(self) -> None:
        """Every frame ends early; then the line heals."""
        asyncio.run(self._harmed("cut"))

    def test_of_flipped_bits_nothing_wrong_becomes_good(self) -> None:
        """Every frame has one bit turned; then the line heals."""
        asyncio.run(self._harmed("flipped"))

    def test_of_late_frames_nothing_wrong_becomes_good(self) -> None:
        """Every frame comes late: a late answer must not become another question's; then the line heals."""
        asyncio.run(self._harmed("late"))

    def test_of_noise_before_frames_nothing_wrong_becomes_good(self) -> None:
        """Up to nine bytes of noise before every frame; then the line heals."""
        asyncio.run(self._harmed("noisy"))

    def test_an_unplugged_line_gives_link_errors_and_no_value(self) -> None:
        """The far end goes away for good."""
        asyncio.run(self._unplugged())

    async def _good(self) -> None:
        async with self.bench(Damage("good")) as bench:
            for _ in range(3):
                for watched in bench.watched:
                    assert await self._read(watched, self.recovery_s), "a good line gave nothing"

    async def _harmed(self, harm: Harm) -> None:
        damage = Damage(harm)
        async with self.bench(damage) as bench:
            judged = harm != "flipped" or self.checksum
            for _ in range(self.reads):
                for watched in bench.watched:
                    came = await self._read(watched, self.wait_s, judged)
                    assert not (came and harm == "silent"), "a value came although nothing was said"
            assert damage.frames, "the stand-in does not send its frames through `damage`"
            damage.heal()
            for watched in bench.watched:
                ends_s = time.monotonic() + self.recovery_s
                while not await self._read(watched, self.wait_s):
                    assert time.monotonic() < ends_s, f"{harm}: no value within {self.recovery_s:g} s of a healed line"

    async def _unplugged(self) -> None:
        async with self.bench(Damage("good")) as bench:
            await self._read(bench.watched[0], self.recovery_s)
            bench.unplug()
            with contextlib.suppress(LinkError):  # what had arrived before may still be read
                await bench.watched[0].source.read(time.monotonic() + self.wait_s)
            for _ in range(3):
                assert not await self._read(bench.watched[0], self.wait_s), "a value came out of an unplugged line"

    async def _read(self, watched: Watched, seconds: float, judged: bool = True) -> int:
        """Read once and check what came; return how many good values did (0 if they are not judged)."""
        pace = getattr(watched.source, "pace", None)
        if pace is not None:  # a driver may ask for rest after a failure
            rest_s = pace().quiet_until_s - time.monotonic()
            await asyncio.sleep(min(SLEEP_S_MAX, max(0.0, rest_s)))
        begun_s = time.monotonic()
        try:
            arrivals = await watched.source.read(begun_s + seconds)
        except LinkError:
            arrivals = []
        took_s = time.monotonic() - begun_s
        assert took_s < seconds + OVERTIME_S, f"a read of {seconds:g} s took {took_s:.2f} s"
        if not judged:
            return 0
        return sum(check(arrival, watched.expected) for arrival in arrivals if hasattr(arrival, "quality"))


def check(block: Any, expected: Mapping[str, float]) -> int:
    """Return how many values of a block are good; AssertionError if a good one is not what was expected."""
    assert set(block.points) <= set(expected), f"points nobody asked for: {set(block.points) - set(expected)}"
    shape = (len(block.points), len(block.time_us))
    assert tuple(block.value.shape) == tuple(block.quality.shape) == shape, "value and quality are [points, rows]"
    good = 0
    for point, values, qualities in zip(block.points, block.value.tolist(), block.quality.tolist(), strict=True):
        for value, quality in zip(values, qualities, strict=True):
            if quality == GOOD:
                assert value == expected[point], f"{point} is {value} and good, but was {expected[point]}"
                good += 1
            elif quality >= NUMBERS:
                assert math.isnan(value), f"{point} is bad and yet {value}"
    return good
