"""Polling: earliest deadline first, a dead device costs little, every failure is data, a bug stays on its link."""

import asyncio
import random
from collections.abc import Callable

import numpy as np
import pytest

from drivers import Group, Pace
from drivers.link import Stats
from edge_agent.breaker import FAILURES_MAX, PROBE_S_MAX, PROBE_S_MIN, Breaker, Turn
from edge_agent.poll import Poller, Sink
from twin_wire.errors import DeviceError, LinkError
from twin_wire.readings import Block, Event, Quality


class Clock:
    """Wall and monotonic time that the simulated line moves on."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def time_us(self) -> int:
        return round((self.now_s + 1.7e9) * 1e6)

    def monotonic_s(self) -> float:
        return self.now_s


class Instrument:
    """A source on a line of its own time: `answer` says what a read at that moment gives."""

    def __init__(self, clock: Clock, device: str, period_s: float, took_s: float, answer: Callable[[float], object]):
        self.group = Group(device, device, period_s, (f"{device}.a", f"{device}.b"))
        self.stats = Stats()
        self.fault = None
        self.reads: list[float] = []
        self._clock, self._took_s, self._answer = clock, took_s, answer

    async def read(self, deadline_s: float):
        self.reads.append(self._clock.now_s)
        error = self._answer(self._clock.now_s)
        self._clock.now_s += self._took_s if error is None else 0.5
        await asyncio.sleep(0)
        if isinstance(error, BaseException):
            self.stats.exceptions += isinstance(error, DeviceError)
            raise error
        time_us = np.array([self._clock.time_us()], np.int64)
        return [Block(self.group.points, time_us, np.zeros((2, 1)), np.zeros((2, 1), np.uint8))]

    def pace(self) -> Pace:
        return Pace(0.0, self._took_s, 1.0, self._took_s, 0)

    def exchanges(self):
        return []


class Line:
    """A link that only has to be closed."""

    listen_only = False
    closed = 0

    def utilisation(self) -> float:
        return 0.5

    async def close(self) -> None:
        self.closed += 1


class Bench:
    """One poller over instruments, run for a stretch of simulated time."""

    def __init__(self, clock: Clock, instruments: list[Instrument], down_since: dict[str, int] | None = None) -> None:
        self.clock, self.instruments, self.line = clock, instruments, Line()
        self.blocks: list[Block] = []
        self.begun: list[Event] = []
        self.ended: list[tuple[str, str, dict[str, float]]] = []
        sink = Sink(
            lambda arrivals: self.blocks.extend(a for a in arrivals if isinstance(a, Block)),
            self.begun.append,
            lambda point, rule, numbers: self.ended.append((point, rule, dict(numbers))),
        )
        self.poller = Poller("bus-1", self._open, sink, clock, down_since or {})
        self.poller._wait = self._wait  # the line's time passes here, not the computer's

    async def _open(self):
        return self.line, self.instruments

    async def _wait(self, seconds: float) -> None:
        self.clock.now_s += seconds
        await asyncio.sleep(0)
        if self.clock.now_s > self.until_s:
            self.poller.stop()

    def run(self, seconds: float) -> "Bench":
        self.until_s = self.clock.now_s + seconds

        async def main() -> None:
            task = asyncio.create_task(self.poller.run())
            while not task.done():
                await asyncio.sleep(0)
                if self.clock.now_s > self.until_s:
                    self.poller.stop()
            await task

        asyncio.run(main())
        return self

    def qualities(self, device: str) -> list[int]:
        return [int(b.quality[0, 0]) for b in self.blocks if b.points[0] == f"{device}.a"]


def well(_: float) -> None:
    return None


def dead(_: float) -> LinkError:
    return LinkError("no answer")


def test_every_source_is_read_once_a_period_and_not_all_at_once():
    clock = Clock()
    bench = Bench(clock, [Instrument(clock, f"d{n}", 1.0, 0.02, well) for n in range(10)]).run(60)
    counts = [len(i.reads) for i in bench.instruments]
    assert min(counts) >= 59
    assert max(counts) <= 61
    firsts = sorted(i.reads[0] for i in bench.instruments)
    assert firsts[-1] - firsts[0] > 0.8, "phases are spread over the period"
    assert bench.line.closed == 1


def test_a_line_with_too_much_to_do_skips_and_counts_and_stays_fair():
    clock = Clock()
    fast, slow = Instrument(clock, "fast", 1.0, 0.7, well), Instrument(clock, "slow", 1.0, 0.7, well)
    bench = Bench(clock, [fast, slow]).run(60)
    missed = [turn.missed for turn in bench.poller.turns]
    assert abs(len(fast.reads) - len(slow.reads)) <= 2
    assert len(fast.reads) + missed[0] == pytest.approx(60, abs=3)
    assert len(bench.blocks) == len(fast.reads) + len(slow.reads), "a skipped scan is no row"


def test_the_nearest_deadline_goes_first():
    clock = Clock()
    bench = Bench(clock, [Instrument(clock, "rare", 60.0, 0.3, well), Instrument(clock, "often", 0.5, 0.1, well)])
    bench.run(120)
    assert len(bench.instruments[1].reads) > 230
    assert bench.poller.turns[1].missed <= 4


def test_a_dead_device_among_nine_costs_the_others_little():
    clock = Clock()
    instruments = [Instrument(clock, f"d{n}", 0.1, 0.08, dead if n == 4 else well) for n in range(9)]
    Bench(clock, instruments).run(90)
    alive = sum(len([t for t in i.reads if t > 1_030]) for n, i in enumerate(instruments) if n != 4)
    assert alive >= 0.9 * 60 / 0.08
    assert len([t for t in instruments[4].reads if t > 1_030]) < 6


def test_a_gap_is_data_and_the_device_s_going_and_coming_are_said_once():
    clock = Clock()
    answer = lambda now_s: LinkError("no answer") if 1_010 < now_s < 1_040 else None  # noqa: E731
    bench = Bench(clock, [Instrument(clock, "d0", 1.0, 0.02, answer), Instrument(clock, "d1", 1.0, 0.02, well)]).run(
        120
    )
    (down,) = bench.begun
    assert (down.rule, down.point, down.end_us) == ("device_down", "d0", 0)
    ((point, rule, numbers),) = bench.ended
    assert (point, rule) == ("d0", "device_down")
    assert 28 < numbers["down_s"] < 70
    qualities = bench.qualities("d0")
    assert qualities.count(Quality.NO_ANSWER) >= 28, "a row for every scan, asked or not"
    assert qualities[-1] == Quality.GOOD
    lost = next(b for b in bench.blocks if b.quality[0, 0] == Quality.NO_ANSWER)
    assert np.isnan(lost.value).all()


def refusing(code: int, until_s: float = np.inf) -> Callable[[float], object]:
    return lambda now_s: DeviceError(f"exception {code} to 1 from 117", code, "hint") if now_s < until_s else None


def test_a_question_refused_for_good_is_said_once_with_its_register_and_the_device_is_not_down():
    clock = Clock()
    bench = Bench(clock, [Instrument(clock, "d0", 1.0, 0.02, refusing(2, 1_020))]).run(40)
    (event,) = bench.begun
    assert (event.rule, event.point, event.numbers["code"]) == ("device_config", "d0", 2)
    assert "117" in event.text
    assert bench.qualities("d0")[:15] == [Quality.DEVICE_FAULT] * 15
    assert not bench.poller.breakers["d0"].open
    assert [(point, rule) for point, rule, _ in bench.ended] == [("d0", "device_config")]
    assert bench.poller.misasked("d0") == ""


def test_a_busy_device_is_asked_again_after_a_pause_and_loses_no_scan():
    clock = Clock()
    answer = lambda now_s: DeviceError("busy", 6) if int(now_s) % 5 == 0 and now_s % 1 < 0.3 else None  # noqa: E731
    bench = Bench(clock, [Instrument(clock, "d0", 1.0, 0.02, answer)]).run(60)
    assert set(bench.qualities("d0")) == {Quality.GOOD}
    assert len(bench.instruments[0].reads) > 65
    assert bench.begun == []


@pytest.mark.parametrize(
    ("code", "quality", "words"),
    [
        (4, Quality.DEVICE_FAULT, "failure of its own"),
        (6, Quality.DEVICE_FAULT, "busy"),
        (11, Quality.NO_ANSWER, "gateway"),
    ],
)
def test_what_a_refusal_means_is_said_and_is_the_quality(code: int, quality: Quality, words: str):
    clock = Clock()
    bench = Bench(clock, [Instrument(clock, "d0", 1.0, 0.02, refusing(code))]).run(60)
    assert bench.qualities("d0")[0] == quality
    (event,) = bench.begun
    assert (event.rule, event.numbers["code"]) == ("device_down", code)
    assert words in event.text


def test_when_a_whole_line_comes_back_everyone_on_it_is_asked_at_once():
    clock = Clock()
    answer = lambda now_s: LinkError("port is gone") if 1_005 < now_s < 1_305 else None  # noqa: E731
    bench = Bench(clock, [Instrument(clock, f"d{n}", 1.0, 0.01, answer) for n in range(5)]).run(320)
    assert len(bench.ended) == 5
    back = [next(t for t in i.reads if t > 1_305) for i in bench.instruments]
    assert max(back) < 1_312, "a line that was down is tried every two seconds, not once a minute"


def test_a_device_that_was_down_before_a_restart_ends_the_same_condition():
    clock = Clock()
    since = clock.time_us() - 90_000_000
    bench = Bench(clock, [Instrument(clock, "d0", 1.0, 0.02, well)], {"d0": since}).run(5)
    assert bench.begun == []
    assert bench.ended[0][:2] == ("d0", "device_down")
    assert bench.ended[0][2]["down_s"] >= 90


def test_a_bug_in_a_driver_is_held_in_and_the_link_started_again():
    clock = Clock()
    answer = lambda now_s: ZeroDivisionError("a driver's bug") if 1_002.5 < now_s < 1_003.5 else None  # noqa: E731
    bench = Bench(clock, [Instrument(clock, "d0", 1.0, 0.02, answer)]).run(30)
    assert bench.poller.restarts == 1
    assert [e.rule for e in bench.begun] == ["link_error"]
    assert len(bench.qualities("d0")) > 20


def test_a_link_that_cannot_even_be_closed_is_held_in_too():
    clock = Clock()
    bench = Bench(clock, [Instrument(clock, "d0", 1.0, 0.02, well)])

    async def close() -> None:
        raise ZeroDivisionError("a driver's bug")

    bench.line.close = close
    bench.run(5)
    assert len(bench.qualities("d0")) > 3


def test_a_breaker_opens_after_failures_in_a_row_and_asks_again_ever_more_rarely():
    breaker = Breaker(lambda: 0.0)
    assert [breaker.failed(0.0, 5, "x") for _ in range(FAILURES_MAX)] == [False, False, True]
    assert breaker.since_us == 5
    pauses, now_s = [], 0.0
    for _ in range(8):
        pauses.append(breaker.probe_s - now_s)
        now_s = breaker.probe_s
        assert breaker.may_ask(now_s)
        assert not breaker.may_ask(now_s - 0.01)
        assert breaker.failed(now_s, 9, "x") is False
    assert pauses[0] == PROBE_S_MIN
    assert max(pauses) == PROBE_S_MAX
    assert breaker.answered()
    assert not breaker.answered()
    assert breaker.failures == 0


def test_a_turn_keeps_its_phase_over_missed_scans():
    clock = Clock()
    turn = Turn(Instrument(clock, "d", 1.0, 0.0, well), 0.25)
    rng = random.Random(1)
    now_s = 0.25
    for _ in range(200):
        turn.begin(now_s)
        assert turn.due_s % 1.0 == pytest.approx(0.25)
        assert turn.due_s > now_s
        now_s = turn.due_s + rng.random() * 3
    assert turn.missed > 0
