"""How near the locator comes to walks whose truth is known: errors, honesty of sigma, zones, processor time."""

import time
from typing import NamedTuple

import numpy as np

from drivers.link import Ranges, Sightings
from edge_agent.position import Locator
from tests.support import walks
from tests.support.walks import Truth
from twin_wire.manifest import Anchor
from twin_wire.readings import Event, Fixes
from twin_wire.structure import Junction, Roadway, Structure

WARM_S = 60  # zones are judged after everybody had time to pass a reader
SOURCES = ("uwb", "ble", "rfid", "gnss", "rtk")


class Score(NamedTuple):
    """What came of one source; `cover` are the shares of errors within 1 and 1.96 sigma."""

    fixes: int
    median_m: float
    p95_m: float
    cover: tuple[float, float]
    zone_right: float
    cpu_share: float  # of one core, at 500 tags
    events: list[Event]


class _Tally:
    def __init__(self, truth: Truth) -> None:
        self.truth, self.fixes, self.zones = truth, [], {}
        self.zone_of = np.array([walks.ZONES.index(edge.zone) for edge in walks.EDGES])
        self.right = self.judged = 0

    def take(self, fixes: Fixes) -> None:
        if len(fixes.tag):
            self.fixes.append(fixes)
            self.zones |= {
                int(tag.split("-")[1]): zone for tag, zone in zip(fixes.tag, fixes.zone.tolist(), strict=True)
            }

    def judge(self, k: int) -> None:
        """Compare the zone each tag was last seen in with the truth."""
        for tag, zone in self.zones.items():
            self.judged += 1
            self.right += zone == self.zone_of[self.truth.edge[k, tag]]


def anchors_of(source: str) -> tuple:
    """Return where a source's stations stand: ranging every 300 m, strengths every 30 m, antennas at zone mouths."""
    return {"uwb": lambda: walks.placed(300.0), "ble": lambda: walks.placed(30.0), "rfid": walks.gates}.get(
        source, tuple
    )()


def heard(source: str, truth: Truth):
    """Yield (quarter second, arrival) of a source."""
    anchors = anchors_of(source)
    if source == "uwb":
        return walks.ranges(truth, anchors)
    if source == "ble":
        return walks.strengths(truth, anchors)
    return walks.reads(truth, anchors) if source == "rfid" else walks.satellites(truth, source == "rtk")


def measure(source: str, truth: Truth) -> Score:
    """Return how the locator does on one source; errors are along the roadways, the sideways part is the map's."""
    place = Locator(
        walks.structure("open_pit" if source in ("gnss", "rtk") else "underground"), walks.manifest(anchors_of(source))
    )
    place.warm_up()
    tally, events, looked, cpu_s = _Tally(truth), [], 0, 0.0
    for k, arrival in heard(source, truth):
        begin_s = time.process_time()
        fixes = place.feed(arrival)
        cpu_s += time.process_time() - begin_s
        tally.take(fixes)
        while looked + 4 <= k:
            looked += 4
            begin_s = time.process_time()
            waiting, found = place.look(walks.time_us(looked))
            cpu_s += time.process_time() - begin_s
            tally.take(waiting)
            events += found
            if looked * walks.STEP_S > WARM_S:
                tally.judge(looked)
    error, sigma = errors_of(truth, tally.fixes)
    share = cpu_s / (len(truth.edge) * walks.STEP_S) * 500 / truth.edge.shape[1]
    cover = float((error <= sigma).mean()), float((error <= 1.96 * sigma).mean())
    zone_right = tally.right / max(tally.judged, 1)
    return Score(len(error), float(np.median(error)), float(np.quantile(error, 0.95)), cover, zone_right, share, events)


def errors_of(truth: Truth, parts: list[Fixes]) -> tuple[np.ndarray, np.ndarray]:
    """Return error and sigma in metres of every fix: along the roadway if it is the right one, else straight."""
    join = {name: np.concatenate([getattr(part, name) for part in parts]) for name in Fixes._fields if name != "tag"}
    tag = np.array([int(tag.split("-")[1]) for part in parts for tag in part.tag])
    k = np.round((join["time_us"] - walks.START_US) / (walks.STEP_S * 1e6)).astype(int)
    edge, s = truth.edge[k, tag], truth.s[k, tag]
    share = (s / walks.LENGTH[edge])[:, None]
    real = walks.XYZ[edge, 0] * (1 - share) + walks.XYZ[edge, 1] * share
    got = np.column_stack([join["x_mm"], join["y_mm"], join["z_mm"]]) / 1000
    along = np.abs(join["chainage_mm"] / 1000 - s)
    error = np.where(join["roadway"] == edge, along, np.linalg.norm(got - real, axis=1))
    return error, join["sigma_mm"] / 1000


def awkward(steps: int = 25) -> list[tuple[float, ...]]:
    """Return fixes from rows that fit nothing, on a plan with a loop, a dot of a shaft, an island and a closed roadway.

    Run without the compiler, any index beyond an array or logarithm of nothing is an error.
    """
    structure = Structure(
        site="s",
        junctions=(Junction("a", 0, 0, 0), Junction("b", 9, 0, 0), Junction("c", 9, 0, 0), Junction("d", 900, 9, 0)),
        roadways=(
            Roadway(id="ab", start="a", end="b", length_m=9),
            Roadway(id="shaft", start="b", end="c", length_m=40),
            Roadway(id="loop", start="c", end="c", length_m=30, path=((20.0, 0.0, 0.0), (20.0, 9.0, 0.0))),
            Roadway(id="shut", start="a", end="c", length_m=12, walkable=False),
            Roadway(id="island", start="d", end="d", length_m=0.5),
        ),
    )
    anchors = tuple(Anchor(n, "u", r.id, r.length_m) for n, r in enumerate(structure.roadways))
    place, rng, found = Locator(structure, walks.manifest(anchors)), np.random.default_rng(1), []
    place.pace_us = 0
    for second in range(steps):
        n = int(rng.integers(1, 5))
        now = np.full(n, walks.time_us(4 * second) + int(rng.integers(0, 3_000_000)))
        ids = rng.integers(0, len(anchors), n).astype(np.int32)
        mm = (10 ** rng.uniform(0, 9, n)).astype(np.int32)
        dbm = rng.choice([np.nan, np.inf, -np.inf, -1e30, 29.0, -129.0, -60.0], n).astype(np.float32)
        heard_by = Ranges(now, "u", np.full(n, 1, np.int32), ids, mm), Sightings(now, "u", ids, ("x",) * n, dbm, dbm)
        for fixes in [place.feed(each) for each in heard_by] + [place.look(int(now[0]) + 2_000_000)[0]]:
            found += list(zip(fixes.roadway.tolist(), fixes.chainage_mm.tolist(), fixes.sigma_mm.tolist(), strict=True))
    return found
