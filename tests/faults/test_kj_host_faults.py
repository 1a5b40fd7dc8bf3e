"""The simulated KJ host against the driver: in each dialect, and with each fault it can make on order."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from drivers import DeviceOptions, History, PointOptions, Sightings, load_profile, open_link
from hardware_sim.kj_host import FAULTS, SENSORS, STATIONS, KjHost, Order
from hardware_sim.sight import Worn
from twin_wire.errors import LinkError
from twin_wire.readings import Block, Quality

TRUTH = {sensor.source: 0.5 + 0.25 * place for place, sensor in enumerate(SENSORS)}
TRUTH |= {"fan.a.on": 1.0, "door-1a": 0.0, "door.1.pressure": 2250.0}
POINTS = {sensor.native: f"{sensor.signal}:{sensor.code}" for sensor in SENSORS}
RIGHT = {sensor.native: TRUTH[sensor.source] for sensor in SENSORS}  # the host shows kPa, we keep Pa
PEOPLE = [Worn(tag, "face", 10.0 + tag, 0.0) for tag in range(5)] + [Worn(9, "main-2", 140.0, 0.0)]
SPOILT = "001A01"  # the point that orders with a subject spoil


class HandClock:
    """Time moved by hand, in whole seconds as the host writes it."""

    def __init__(self) -> None:
        self.now_s = float(int(time.time()))

    def time_us(self) -> int:
        return round(self.now_s * 1e6)

    def monotonic_s(self) -> float:
        return self.now_s


class Bench:
    """The host's inbox, the driver on it, and everything that came out."""

    def __init__(self, folder: Path, style: str, **options: object) -> None:
        self.inbox = folder / "inbox"
        self.inbox.mkdir()
        self.clock = HandClock()
        self.host = KjHost(self.inbox, lambda name: TRUTH.get(name, 0.0), lambda: PEOPLE, style)
        self.options = {"folder": str(self.inbox), "stations": {s.code: s.number for s in STATIONS}, **options}
        self.link: Any = None
        self.sources: list[Any] = []
        self.rows: list[tuple[str, float, float, int, bool]] = []  # point, time_s, value, quality, late
        self.seen: list[Sightings] = []

    async def begin(self) -> "Bench":
        self.link = await open_link("kj-file", self.options, self.clock)
        kj = DeviceOptions(id="kj", profile=load_profile("kj-host"), period_s=20.0)
        people = DeviceOptions(id="people", profile=load_profile("kj-people"), period_s=20.0)
        points = [PointOptions(id=native, device="kj", signal=signal) for native, signal in POINTS.items()]
        points.append(PointOptions(id="all", device="people", signal="headcount"))
        self.sources = self.link.sources([kj, people], points)
        return self

    async def turn(self, kind: str = "CDSS", seconds: float = 20.0) -> None:
        """Let the host write one file and the driver read what is there."""
        self.clock.now_s += seconds
        await self.host.drop(kind, self.clock.now_s)
        await self.read()

    async def read(self) -> None:
        self.clock.now_s += 1.0
        try:
            arrivals = await self.sources[0].read(self.clock.now_s)
        except LinkError:
            return
        for arrival in arrivals:
            block = arrival.block if isinstance(arrival, History) else arrival
            if isinstance(block, Block):
                late = isinstance(arrival, History)
                for time_us, value, quality in zip(block.time_us, block.value[0], block.quality[0], strict=True):
                    self.rows.append((block.points[0], time_us / 1e6, float(value), int(quality), late))
            else:
                self.seen.append(block)

    def check_right(self) -> None:
        """Whatever counts as good is what the host wrote, once for each time."""
        good = [(point, time_s) for point, time_s, _, quality, _ in self.rows if quality == Quality.GOOD]
        assert len(good) == len(set(good)), "counted twice"
        for point, _, value, quality, _ in self.rows:
            if quality == Quality.GOOD and point in RIGHT:
                assert value == RIGHT[point]


@pytest.mark.parametrize(
    ("dialect", "options"),
    [("mt-1201", {}), ("mt-1201-gbk", {"charset": "gbk"}), ("mt-1201-lines", {})],
)
def test_every_point_arrives_in_every_dialect(tmp_path: Path, dialect: str, options: dict[str, object]) -> None:
    async def main() -> None:
        bench = await Bench(tmp_path, dialect, **options).begin()
        for kind in ("CDDY", "CDSS", "RYSS", "CDSS"):
            await bench.turn(kind, 10.0)
        bench.check_right()
        got = {point for point, _, _, quality, _ in bench.rows if quality == Quality.GOOD}
        assert got == {*POINTS, "all"}
        assert [value for point, _, value, _, _ in bench.rows if point == "all"] == [6.0]
        assert sorted(bench.seen[0].anchor_id.tolist()) == [3, 7, 7, 7, 7, 7]
        assert dict(bench.link.faults) == {}

    asyncio.run(main())


def test_the_non_coal_variant_brings_its_people(tmp_path: Path) -> None:
    async def main() -> None:
        bench = await Bench(tmp_path, "non-coal", dialect="non-coal").begin()
        await bench.turn("RYSS")
        assert [value for point, _, value, _, _ in bench.rows if point == "all"] == [6.0]
        assert len(bench.seen[0].tag) == 6

    asyncio.run(main())


# order, fault the driver names (None: none), quality of the spoilt point in the spoilt file (None: no row of it)
ORDERS: dict[str, tuple[Order, str | None, int | None]] = {
    "half": (Order("half"), "incomplete", None),
    "late": (Order("late", amount=0.05), "late", Quality.GOOD),
    "skip": (Order("skip"), "missing", None),
    "repeat": (Order("repeat", amount=0.05), "repeated", Quality.GOOD),
    "copy": (Order("copy"), "repeated", Quality.GOOD),
    "charset": (Order("charset"), "charset", None),
    "full_width": (Order("full_width"), "charset", None),
    "clock": (Order("clock", amount=3600), "future", None),
    "clock behind": (Order("clock", amount=-3600), "late", Quality.GOOD),
    "mine": (Order("mine"), "mine", None),
    "bad_record": (Order("bad_record", amount=0.1), "bad_record", Quality.GOOD),
    "most records bad": (Order("bad_record", amount=0.5), "too_many_bad", None),
    "state": (Order("state", amount=128, subject=SPOILT), None, Quality.DEVICE_FAULT),
    "calibrating": (Order("state", amount=5, subject=SPOILT), None, Quality.CALIBRATING),
    "twice": (Order("twice", subject=SPOILT), "duplicate", Quality.DEVICE_FAULT),
    "absent": (Order("absent", subject=SPOILT), "absent", Quality.NO_ANSWER),
    "type": (Order("type", "CDDY", amount=4, subject=SPOILT), "type", Quality.DEVICE_FAULT),
    "link": (Order("link"), "symlink", None),
}


def test_every_fault_of_the_host_is_tried() -> None:
    assert {order.kind for order, _, _ in ORDERS.values()} == set(FAULTS)


@pytest.mark.parametrize("case", ORDERS)
def test_a_fault_has_its_name_and_costs_no_other_value(tmp_path: Path, case: str) -> None:
    order, fault, quality = ORDERS[case]

    async def main() -> None:
        bench = await Bench(tmp_path, "mt-1201").begin()
        await bench.turn("CDDY", 1.0)
        await bench.turn()
        bench.host.order(order)
        if order.file == "CDDY":
            await bench.turn("CDDY", 1.0)
        before = len(bench.rows)
        await bench.turn()
        written_s = bench.host.written[-1].time_s
        await bench.turn()
        await asyncio.sleep(0.1)  # what was held back comes now
        await bench.turn()
        bench.check_right()
        assert fault is None or bench.link.faults[fault] >= 1, dict(bench.link.faults)
        spoilt = [row for row in bench.rows[before:] if row[0] == SPOILT and row[1] == written_s]
        if case == "skip" or quality is None:
            after = [row for row in bench.rows if row[0] == SPOILT and row[3] == Quality.GOOD]
            assert len(after) == 3, "the other files count"
        else:
            assert quality in [row[3] for row in spoilt]
        others = {row[0] for row in bench.rows[-len(POINTS) :]}
        assert len(others) == len(POINTS), "and afterwards everything comes"

    asyncio.run(main())
