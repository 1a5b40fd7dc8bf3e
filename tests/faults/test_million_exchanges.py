"""No answer on any transport is another register's, in a million exchanges on a line that does everything wrong."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import pytest

from tests.support.hostile_line import CODECS, Tally, run

SLICES = 20


def sum_of(tallies: list[Tally]) -> Tally:
    columns = list(zip(*tallies, strict=True))
    return Tally(*(sum(column) for column in columns[:4]), next(filter(None, columns[4]), ""))


@pytest.mark.parametrize("transport", CODECS)
def test_twenty_thousand_exchanges_give_no_wrong_value(transport: str) -> None:
    tally = run(transport, 1, 20_000)
    assert not tally.wrong, tally
    least = 3_500 if "four" in transport else 13_000  # four at once count only together
    assert tally.good > least, "a line with a third of its answers spoiled is still read"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_million_exchanges_per_transport_give_no_wrong_value() -> None:
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for transport in CODECS:
            work = partial(run, transport, exchanges=1_000_000 // SLICES)
            tally = sum_of(list(pool.map(work, range(SLICES))))
            assert not tally.wrong, (transport, tally)
            assert tally.good + tally.lost + tally.refused == 1_000_000
