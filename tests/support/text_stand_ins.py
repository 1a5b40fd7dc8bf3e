"""An instrument that prints lines and a host that drops files: what can go wrong with them, and what comes of it."""

import asyncio
import contextlib
import os
import pty
import tempfile
import time
import tty
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from drivers import DeviceOptions, PointOptions, load_profile, open_link
from tests.support.kj_files import CH4, MINE, defined, definitions, drop, name, reading, text
from tests.support.modbus_peer import SystemClock
from tests.support.modbus_stand_ins import TIMEOUT_S, Bench, Case

WIND = b"\x02Q,229,002.74,M,00,\x0316\r\n"  # as the maker prints it
ASCII_CASES = {
    "good line": Case(lambda line: [line], "value"),
    "silence": Case(lambda _line: [], "lost"),
    "cut": Case(lambda line: [line[:-1]], "lost"),
    "bit flip": Case(lambda line: [line[:6] + bytes((line[6] ^ 1,)) + line[7:]], "lost"),
    "noise before": Case(lambda line: [b"\x00\xff\x99Q,1", line], "value"),
    "noise as a line": Case(lambda line: [b"\xff\x00Q\r\n", line], "value"),
    "fragmented": Case(lambda line: [line[:1], line[1:9], line[9:]], "value"),
    "line too long": Case(lambda line: [b"\x02" + b"Q" * 5000 + b"\r\n"], "lost"),
    "another unit": Case(lambda line: [line.replace(b"M", b"N").replace(b"\x0316", b"\x0315")], "lost"),
    "no checksum": Case(lambda line: [line.replace(b"\x0316", b"\x03")], "lost"),
}


@contextlib.asynccontextmanager
async def ascii_line(case: Case) -> AsyncIterator[Bench]:
    """An anemometer that prints a line at once (bent by the fault), and a good one 0.3 s later, then ten a second."""
    master, slave = pty.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    link = await open_link("ascii-line", {"port": os.ttyname(slave)}, SystemClock())

    async def push() -> None:
        await asyncio.sleep(0.02)
        for piece in case.fault(WIND):
            os.write(master, piece)
            await asyncio.sleep(0.01)
        await asyncio.sleep(2 * TIMEOUT_S)
        while True:
            os.write(master, WIND)
            await asyncio.sleep(0.1)

    device = DeviceOptions(id="wind", profile=load_profile("gill-windsonic"))
    points = [
        PointOptions(id="speed", device="wind", signal="wind_speed"),
        PointOptions(id="direction", device="wind", signal="wind_direction"),
    ]
    pushing = asyncio.create_task(push())
    try:
        yield Bench(link, link.sources([device], points), [{"speed": 2.74, "direction": 229.0}])
    finally:
        pushing.cancel()
        await link.close()
        os.close(master)
        os.close(slave)


KJ_CASES = {
    "good line": Case(lambda data: [data], "value"),
    "silence": Case(lambda _data: [], "lost"),
    "cut": Case(lambda data: [data[:-2]], "lost"),
    "no beginning": Case(lambda data: [data[20:]], "lost"),
    "noise before": Case(lambda data: [b"\x00\xff" + data], "lost"),
    "another mine": Case(lambda data: [data.replace(MINE.encode(), b"0" * 12, 1)], "lost"),
    "another character set": Case(lambda data: [data.decode().encode("gbk")], "lost"),
    "full-width": Case(lambda data: [data.decode().replace(";", "；").encode()], "lost"),
    "fragmented": Case(lambda data: [data[:1], data[1:40], data[40:]], "value"),
    "byte order mark": Case(lambda data: [b"\xef\xbb\xbf" + data], "value"),
}
KJ_PERIOD_S = 0.05


@contextlib.asynccontextmanager
async def kj_file(case: Case) -> AsyncIterator[Bench]:
    """A host that writes a file at once (bent, not renamed), good ones from 0.3 s later; its seconds run faster."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as memory:
        inbox = Path(folder)
        host_s = time.time() - 100
        drop(inbox, name("CDDY", host_s), definitions(host_s, defined(CH4, "0001", "%CH4")))
        options = {"folder": folder, "memory": memory, "scan_s": 0.02}
        link = await open_link("kj-file", options, SystemClock())

        async def push() -> None:
            now_s = host_s
            for number in range(1, 10_000):
                now_s += 1
                data = text(now_s, reading(CH4, "0.42", now_s)).encode()
                if number == 1:
                    await asyncio.sleep(0.02)
                    for piece in case.fault(data):
                        with (inbox / name("CDSS", now_s)).open("ab") as file:
                            file.write(piece)
                        await asyncio.sleep(0.01)
                    await asyncio.sleep(2 * TIMEOUT_S)
                else:
                    drop(inbox, name("CDSS", now_s), data)
                    await asyncio.sleep(KJ_PERIOD_S)

        device = DeviceOptions(id="kj", profile=load_profile("kj-host"), period_s=KJ_PERIOD_S)
        points = [PointOptions(id="ch4", device="kj", signal=f"ch4:{CH4}")]
        pushing = asyncio.create_task(push())
        try:
            yield Bench(link, link.sources([device], points), [{"ch4": 0.42}])
        finally:
            pushing.cancel()
            await link.close()


TEXT: dict[str, tuple[Callable[[Case], Any], dict[str, Case]]] = {
    "ascii-line": (ascii_line, ASCII_CASES),
    "kj-file": (kj_file, KJ_CASES),
}
