"""Every kernel equals its slow twin, whatever the holes, the times and the way the rows are split."""

import subprocess
import sys

import numpy as np
import pytest

from edge_agent.detect import kernels
from tests import naive

MINUTE = 60_000_000


def matrix(seed: int, channels: int = 5, rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Walks with steps, plateaus, holes of NaN and a few infinities, at irregular times."""
    rng = np.random.default_rng(seed)
    steps = rng.choice([0.0, 0.0, 0.01, -0.01, 0.3, -0.3], (channels, rows))
    x = np.round(0.5 + np.cumsum(steps, axis=1), 2)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[0, 50:90] = np.nan
    return x, np.cumsum(rng.choice([1, 900_000, 1_000_000, 5_000_000], rows)).astype(np.int64) + 1


def rules(channels: int) -> list[tuple[int, int, float, float, int]]:
    return [
        rule
        for c in range(channels)
        for rule in ((c, 1, 1.0, 0.9, 0), (c, 1, 0.8, 0.8, 3_000_000), (c, -1, 0.2, 0.25, 1_000_000))
    ]


def run_limits(x: np.ndarray, t: np.ndarray, cuts: list[int]) -> tuple[dict, np.ndarray, np.ndarray]:
    table = rules(x.shape[0])
    column, sign, limit, restore, delay = (np.array(a) for a in zip(*table, strict=True))
    k = len(table)
    active, since = np.zeros(k, np.uint8), np.zeros(k, np.int64)
    found: dict[tuple[int, int], int] = {}
    for a, b in zip([0, *cuts], [*cuts, len(t)], strict=True):
        out = [np.empty(k * (b - a + 1), np.int64) for _ in range(3)]
        part = np.ascontiguousarray(x[:, a:b])
        n = kernels.limits(
            part, t[a:b], column, sign.astype(float), limit, restore, delay.astype(np.int64), active, since, *out
        )
        found |= {(int(out[0][i]), int(out[1][i]) + a): int(out[2][i]) for i in range(n)}
    return found, active, since


@pytest.mark.parametrize("seed", range(6))
def test_limits_equal_their_slow_twin_under_any_split(seed: int) -> None:
    x, t = matrix(seed)
    state = [{"active": False, "since": 0} for _ in rules(5)]
    wanted = naive.limits([(int(now), list(x[:, i])) for i, now in enumerate(t)], rules(5), state)
    cuts = sorted(np.random.default_rng(seed).choice(np.arange(1, 399), 17, replace=False).tolist())
    whole, active, since = run_limits(x, t, [])
    assert wanted
    assert whole == wanted
    assert [bool(a) for a in active] == [s["active"] for s in state]
    assert run_limits(x, t, cuts)[0] == wanted
    assert (run_limits(x, t, cuts)[2] == since).all()


def shapes(x: np.ndarray, t: np.ndarray, cuts: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    c = x.shape[0]
    per_min, z = np.empty_like(x), np.empty_like(x)
    ints = [np.zeros(c, np.int64) for _ in range(5)]
    fast, slow, mean, spread, held, floor = (np.zeros(c) for _ in range(6))
    held[:], floor[:] = np.nan, 0.01
    for a, b in zip([0, *cuts], [*cuts, len(t)], strict=True):
        part, p, q = np.ascontiguousarray(x[:, a:b]), np.empty((c, b - a)), np.empty((c, b - a))
        kernels.slope(part, t[a:b], ints[0], fast, slow, p)
        kernels.robust_z(part, t[a:b], floor, ints[1], mean, spread, q)
        kernels.flat(part, t[a:b], held, ints[2], ints[3], ints[4])
        per_min[:, a:b], z[:, a:b] = p, q
    return per_min, z, ints[4], ints[3]


@pytest.mark.parametrize("seed", range(4))
def test_slope_z_and_flat_equal_their_slow_twins_under_any_split(seed: int) -> None:
    x, t = matrix(seed)
    per_min, z, run, longest = shapes(x, t, [])
    for c in range(x.shape[0]):
        samples = [(int(now), float(v)) for now, v in zip(t, x[c], strict=True)]
        np.testing.assert_allclose(per_min[c], naive.slope(samples), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(z[c], naive.robust_z(samples, 0.01), rtol=1e-9, atol=1e-12)
        assert (int(run[c]), int(longest[c])) == naive.flat(samples)
    split = shapes(x, t, [1, 2, 60, 97, 300])
    for one, other in zip((per_min, z), split[:2], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_ramp_reads_as_its_slope() -> None:
    t = np.arange(1, 1200, dtype=np.int64) * 1_000_000
    x = (0.2 + 0.1 * t / MINUTE)[None, :]
    assert shapes(x, t, [])[0][0, -1] == pytest.approx(0.1, rel=1e-3)


def test_a_hole_of_any_length_leaves_no_nan_in_the_state() -> None:
    t = np.arange(1, 600, dtype=np.int64) * 1_000_000
    x = np.full((1, t.size), 0.5)
    x[0, 10:500] = np.nan
    per_min, z, _, _ = shapes(x, t, [])
    assert np.isfinite(per_min[0, 500:]).all()
    assert np.isfinite(z[0, 500:]).all()


PLAIN = """
import sys
{prepare}
import numpy as np
from tests.unit.edge_agent.test_kernels import matrix, run_limits, shapes
x, t = matrix(3)
print(sorted(run_limits(x, t, [])[0].items()), [a.round(9).tolist() for a in shapes(x, t, [])])
"""


def output(prepare: str, **env: str) -> str:
    words = [sys.executable, "-c", PLAIN.format(prepare=prepare)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env={"PATH": "", "PYTHONPATH": ".", **env})
    return done.stdout


def test_the_plain_path_without_numba_gives_the_same_numbers() -> None:
    assert output("sys.modules['numba'] = None") == output("")


def test_a_read_only_home_does_not_stop_the_agent() -> None:
    assert output("", HOME="/proc/nowhere", NUMBA_CACHE_DIR="/proc/nowhere", TMPDIR="/proc/nowhere") == output("")
