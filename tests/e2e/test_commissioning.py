"""An installer with an empty folder and a bus of unknown instruments: scan to certificate, by the commands as typed."""

import asyncio
import contextlib
import hashlib
import re
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.commissioning import DUST, METHANE, VALUES, WEATHER, changes, instruments, running, server
from tests.support.server import Server
from twin_wire.commissioning import read_certificate
from twin_wire.statement import decode_envelopes

pytestmark = pytest.mark.timeout(180)


async def command(folder: Path, *words: str, code: int | None = 0) -> str:
    """Run edge-agent in the installer's folder; return what it printed. `code` None: either."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge_agent", *words),
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert code in (None, process.returncode), f"{words}\n{out.decode()}\n{err.decode()}"
    return out.decode() + err.decode()


async def live_values(address: str, wanted: int) -> dict[str, Any]:
    """Ask the page until so many points have good values."""
    async with aiohttp.ClientSession() as session:
        for _ in range(200):
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"http://{address}/api/state") as response:
                    seen: dict[str, Any] = await response.json()
                points = {p["id"]: p for device in seen["devices"] for p in device["points"]}
                if sum(point["quality"] == 0 for point in points.values()) >= wanted:
                    return points
            await asyncio.sleep(0.1)
    raise AssertionError("no live values")


async def commission(folder: Path, port: Path, desk: Server) -> None:
    bus = str(port)
    found = await command(folder, "scan", bus, "--units", "1-13", "--wait", "0.05", "--listen", "0.2", "--baud", "9600")
    units = [int(number) for number in re.findall(r"^unit (\d+)  9600 8N1", found, re.M)]
    assert units == [METHANE, WEATHER, DUST]
    for unit in units:
        told = await command(folder, "identify", bus, "--unit", str(unit), "--again", "0.2", "--count", "20")
        best = re.search(r"^next: edge-agent map (\S+)", told, re.M)
        assert best is not None, told
        assert best[1] == VALUES[unit][0], told
        signals = ["--signals", "ch4"] if unit == METHANE else []
        new = ["--gateway", "gw-1", "--site", "demo"] if unit == METHANE else []
        words = ["--device", f"d{unit}", "--unit", str(unit), "--port", bus, "--config", "gateway.toml"]
        await command(folder, "map", best[1], *words, *signals, *new)
    assert "no fault" in await command(folder, "check", "gateway.toml")
    address = f"127.0.0.1:{8700 + time.time_ns() // 1000 % 1000}"
    text = (folder / "gateway.toml").read_text(encoding="utf-8").replace("127.0.0.1:8765", address)
    (folder / "gateway.toml").write_text(text, encoding="utf-8")
    await command(folder, "enroll", "gateway.toml", "--voucher", await desk.voucher("north", "gw-1"))
    photo = folder / "cabinet.jpg"
    photo.write_bytes(b"not looked into")
    async with running(folder):
        points = await live_values(address, 5)
        assert points["d3"]["value"] == 0.43
        refused = await command(folder, "scan", bus, "--units", "1", code=1)
        assert "in use by process" in refused
        assert "edge_agent run" in refused
        told = await command(folder, "doctor", "gateway.toml", code=None)  # the clock here may be nobody's
        assert "agent: runs" in told
        assert re.search(r"ok  device d3: unit 3 on bus-1: (\d+) of \1 answered", told), told
        assert "ok  server: http://127.0.0.1:" in told
        tested = await command(folder, "alarm-test", "gateway.toml", "--by", "p-0042")
        assert re.search(r"entry \d+ of the log, proved in the tree of \d+ entries", tested), tested
        end = ("certificate", "gateway.toml", "--by", "p-0042", "--role", "installer", "--photo", str(photo))
        sealed = await command(folder, *end)
        index = int(re.search(r"receipt: entry (\d+)", sealed)[1])  # type: ignore[index]
    [change] = await changes(desk, "commissioning")
    assert change["index"] == index
    assert change["text"].startswith("p-0042 (installer) put gateway gw-1 into operation: 3 devices")
    assert change["summary"]["photos"] == [hashlib.sha256(b"not looked into").hexdigest()]
    headers = await desk.token("regulator", "north")
    async with desk.session.get(f"{desk.url}/api/v1/enterprises/north/envelopes/{index}", headers=headers) as response:
        [(_, body)] = decode_envelopes(await response.read(), 1, 1 << 20)
    assert body is not None
    certificate = read_certificate(body)
    [methane] = [device for device in certificate.devices if device.id == "d3"]
    assert methane.words[0].request.startswith("0303")
    assert methane.values[0].value == 0.43
    assert certificate.test is not None
    assert certificate.test.index >= 0


def test_from_an_empty_folder_and_unknown_instruments_to_a_certificate_in_the_log(tmp_path: Path) -> None:
    async def run() -> None:
        folder, port = tmp_path / "gateway", tmp_path / "bus"
        folder.mkdir()
        async with instruments(port), server(tmp_path / "server") as desk:
            await desk.enterprise("north")
            await commission(folder, port, desk)

    asyncio.run(run())
