"""Detection with all tests together: samples a second on one core, one row of 1,000 channels, memory it adds."""

import resource
import subprocess
import sys
import time

import numpy as np

from edge_agent.detect.engine import Engine
from edge_agent.detect.learn import Learner
from edge_agent.detect.sites import Channel, Site

CHANNELS, ROWS = 1_000, 1_200
CHILD = """
import sys
if {plain}: sys.modules["numba"] = None
import numpy as np
from edge_agent.detect import kernels
def rss(): return int(next(l for l in open("/proc/self/status") if l.startswith("VmRSS")).split()[1]) / 1024
before = rss()
from tests.bench import bench_detect as b
engine = b.learnt(60)
engine.feed(*b.rows(2, 4, 1e6))
print(rss() - before)
"""


def site() -> Site:
    """Return a thousand channels of ten places."""
    words = ("CH4", "CO", "wind", "temperature", "current")
    return Site(tuple(Channel(f"c{n}", words[n % 5], "", f"p{n % 10}", f"g{n // 20}", resolution=0.01, t90_s=20.0)
                      for n in range(CHANNELS)))  # fmt: skip


def rows(seed: int, count: int, begin_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Return count rows of quiet, noisy channels in tens that go together."""
    rng = np.random.default_rng(seed)
    time_s = begin_s + np.arange(1, count + 1, dtype=float)
    wave = np.sin(time_s[:, None] / 500.0 + np.arange(CHANNELS) // 10)
    return time_s, np.round(5.0 + wave + rng.normal(0, 0.05, (count, CHANNELS)), 2)


def learnt(count: int) -> Engine:
    """Return an engine that has learnt from so many rows."""
    learner = Learner(site())
    learner.feed(*rows(1, count, 1000.0))
    return Engine(learner.fit())


def run() -> list[tuple[str, str, str, float]]:
    """Return rows of (what, figure, bar, figure / bar)."""
    engine = learnt(3_000)
    engine.feed(*rows(2, 30, 10_000.0))
    time_s, values = rows(3, ROWS, 11_000.0)
    begun = time.perf_counter()
    engine.feed(time_s, values)
    rate = CHANNELS * ROWS / (time.perf_counter() - begun) / 1e6
    time_s, values = rows(4, 100, 13_000.0)
    spent = []
    for at in range(len(time_s)):
        begun = time.perf_counter()
        engine.feed(time_s[at : at + 1], values[at : at + 1])
        spent.append(1e3 * (time.perf_counter() - begun))
    one = float(np.median(spent))
    found = [("samples a second and core, all tests", f"{rate:.1f} M", "20 M", rate / 20.0),
             ("one row of 1,000 channels, median", f"{one:.3f} ms", "0.2 ms", one / 0.2)]  # fmt: skip
    arrays = sum(array.nbytes for array in engine.arrays) / 2**20
    found.append(("arrays of 1,000 channels", f"{arrays:.1f} MB", "15 MB", arrays / 15.0))
    for name, plain in (("numba at run time", 0), ("without numba", 1)):
        done = subprocess.run(
            [sys.executable, "-c", CHILD.format(plain=plain)], capture_output=True, text=True, check=True
        )
        added = float(done.stdout)
        found.append((f"memory added at 1,000 channels, {name}", f"{added:.0f} MB", "15 MB", added / 15.0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found.append(("peak of this bench", f"{peak:.0f} MB", "itself", 1.0))
    return found
