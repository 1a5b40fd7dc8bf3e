"""CSV (RFC 4180, UTF-8), one sample a row in the order of the batches, streamed batch by batch."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta

from twin_server.export import Format, Wanted
from twin_server.sites import Opened, Sites
from twin_server.store import Store
from twin_wire.manifest import PointSpec
from twin_wire.readings import Block, Quality

HEADER = "time_us,time,gateway,point,value,unit,quality,epoch,seq\r\n"
CHUNK = 64  # batches decoded at once
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_QUALITY = {int(quality): quality.name for quality in Quality}


async def write(store: Store, sites: Sites, wanted: Wanted) -> AsyncIterator[bytes]:
    """Yield the file in parts; a bad sample has an empty value and its quality's name."""
    yield HEADER.encode()
    chunk = []
    async for entry in store.batches(wanted.enterprise, wanted.from_us, wanted.to_us):
        chunk.append(entry)
        if len(chunk) == CHUNK:
            yield await asyncio.to_thread(_text, await sites.open_many(wanted.enterprise, chunk), wanted)
            chunk = []
    yield await asyncio.to_thread(_text, await sites.open_many(wanted.enterprise, chunk), wanted)


def _text(opened: list[Opened], wanted: Wanted) -> bytes:
    return "".join(row for each in opened for row in _rows(each, wanted)).encode()


def _rows(opened: Opened, wanted: Wanted) -> Iterator[str]:
    specs = {point.id: point for point in opened.site.manifest.points}
    for block in opened.batch.blocks:
        yield from _block_rows(opened, block, specs, wanted)


def _block_rows(opened: Opened, block: Block, specs: dict[str, PointSpec], wanted: Wanted) -> Iterator[str]:
    entry = opened.entry
    inside = (block.time_us >= wanted.from_us) & (block.time_us < wanted.to_us)
    times = [(row, int(block.time_us[row])) for row in inside.nonzero()[0].tolist()]
    stamps = [(row, f"{time_us},{_stamp(time_us)},{entry.gateway}") for row, time_us in times]
    for column, point in enumerate(block.points):
        if wanted.points and not {point, f"{entry.gateway}:{point}"} & wanted.points:
            continue
        unit, number = _quoted(specs[point].unit), _writer(specs[point])
        value, quality = block.value[column].tolist(), block.quality[column].tolist()
        for row, stamp in stamps:
            good = quality[row] < Quality.BAD
            text, name = number(value[row]) if good else "", _QUALITY.get(quality[row], str(quality[row]))
            yield f"{stamp},{point},{text},{unit},{name},{entry.epoch},{entry.seq}\r\n"


def _quoted(text: str) -> str:
    """Free text as a field: quoted where need be, and never something a spreadsheet would compute."""
    if text[:1] in ("=", "+", "-", "@"):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"' if set(text) & {",", '"'} else text


def _writer(spec: PointSpec) -> Callable[[float], str]:
    """Values in their declared resolution where that is exact, else the shortest text that reads back the same."""

    def write(value: float) -> str:
        text = f"{value:.{spec.decimals}f}"
        return text if not spec.raw and float(text) == value else repr(value)

    return write


def _stamp(time_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=time_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


FORMAT = Format("text/csv", "csv", write)
