"""Every export format over one log: all samples of the range once, exact, bad ones without a number, read by others."""

import asyncio
import csv
import io
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.support.gateway import SealingGateway
from tests.support.server import serving
from tests.support.small_mine import SECOND_US, batch, block
from twin_server.export import EXPORTS, Format, Wanted, open_format
from twin_server.live import LIVE, Live
from twin_wire.errors import ConfigError

ROWS = [[0.1, 1 / 3, 2.5], [0.2, -1e-9, np.nan], [0.3, 1e300, 7.25]]


@asynccontextmanager
async def a_log(folder: Path) -> AsyncIterator[tuple[Live, SealingGateway, int]]:
    """Yield a server whose gateway sent ROWS, one a second; p1 keeps exact floats under an odd unit."""
    async with serving(folder) as server:
        await server.enterprise("e1")
        gateway = await server.gateway("e1", "gw-1")
        points = list(gateway.manifest.points)
        points[1] = msgspec.structs.replace(points[1], raw=True, unit='=1+1,"x"')
        manifest = msgspec.structs.replace(gateway.manifest, points=tuple(points))
        start_us = (time.time_ns() // 1000 // SECOND_US - 60) * SECOND_US
        sealed = [gateway.seal_manifest(manifest)]
        for n, values in enumerate(ROWS):
            rows = block(manifest, [start_us + n * SECOND_US], [values])
            rows.quality[np.isnan(rows.value)] = 33
            sealed.append(gateway.seal_batch(batch(manifest, [rows])))
        await gateway.post(server.session, server.url, sealed)
        yield server.app[LIVE], gateway, start_us


async def written(made: Format, live: Live, wanted: Wanted) -> bytes:
    return b"".join([part async for part in made.write(live.store, live.sites, wanted)])


@pytest.mark.parametrize("name", EXPORTS)
def test_a_format_has_its_type_and_cuts_the_range(name: str, tmp_path: Path) -> None:
    async def run() -> None:
        made = open_format(name)
        assert "/" in made.media_type
        assert made.suffix.isalnum()
        async with a_log(tmp_path) as (live, _, start_us):
            whole = await written(made, live, Wanted("e1", start_us, start_us + 3 * SECOND_US, frozenset()))
            part = await written(made, live, Wanted("e1", start_us + 1, start_us + 2 * SECOND_US, frozenset({"p0"})))
            none = await written(made, live, Wanted("e1", start_us - 9, start_us, frozenset()))
            assert len(whole) > len(part) > len(none)

    asyncio.run(run())


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ConfigError):
        open_format("xls")


def test_csv_holds_every_sample_as_another_reader_sees_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with a_log(tmp_path) as (live, _, start_us):
            wanted = Wanted("e1", start_us, start_us + 3 * SECOND_US, frozenset())
            text = (await written(open_format("csv"), live, wanted)).decode()
        assert text.endswith("\r\n")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
        assert len(rows) == 9
        at = {(int(row["time_us"]) - start_us) // SECOND_US: {} for row in rows}
        for row in rows:
            at[(int(row["time_us"]) - start_us) // SECOND_US][row["point"]] = row
        assert [at[n]["p0"]["value"] for n in range(3)] == ["0.10", "0.20", "0.30"]
        assert [float(at[n]["p1"]["value"]) for n in range(3)] == [values[1] for values in ROWS]
        assert (at[1]["p2"]["value"], at[1]["p2"]["quality"]) == ("", "NO_ANSWER")
        assert {row["unit"] for row in rows if row["point"] == "p1"} == {'\'=1+1,"x"'}
        assert {(row["gateway"], row["epoch"]) for row in rows} == {("gw-1", "1")}
        assert [at[n]["p0"]["seq"] for n in range(3)] == ["4", "5", "6"]
        assert at[0]["p0"]["time"].endswith(".000000Z")

    asyncio.run(run())
