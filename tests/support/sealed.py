"""The agent as a process on a folder, and what it has sealed there, checked as a server would."""

import asyncio
import json
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from buffering.queue import Queue
from tests.faults.test_agent_process import agent
from tests.support.queues import gap_entry
from tests.support.vouchers import voucher_line
from twin_wire.body import decode_body
from twin_wire.keys import PublicKey
from twin_wire.manifest import groups_of, read_manifest
from twin_wire.readings import Batch
from twin_wire.statement import check, check_successor, read
from twin_wire.voucher import read_enrol_body


def read_batches(folder: Path) -> list[Batch]:
    """Check every statement of the queue as a server would; return the batches of readings."""
    queue = Queue(folder / "state/queue.db", gap_entry, 4 << 20, ballast_bytes=0)
    offers = sorted(queue.offer(batches_max=10_000), key=lambda o: (o.epoch, o.seq))
    queue.close()
    public: PublicKey = read_enrol_body(offers[0].body).public
    batches: list[Batch] = []
    groups: Any = ()
    before = None
    for offer in offers:
        statement = read(offer.statement)
        check(statement, public)
        check_successor(before, statement)
        before = statement
        if statement.kind == "manifest":
            groups = groups_of(read_manifest(offer.body))
        elif statement.kind == "data":
            batches.append(decode_body(offer.body, groups))
    return batches


def rows_of(batches: list[Batch], point: str) -> list[tuple[int, float, int]]:
    """Return (second, value, quality) of every sample of a point, in the order of sealing."""
    rows: list[tuple[int, float, int]] = []
    for block in (block for batch in batches for block in batch.blocks if point in block.points):
        row = block.points.index(point)
        times = (block.time_us // 1_000_000).tolist()
        rows += zip(times, block.value[row].tolist(), block.quality[row].tolist(), strict=True)
    return rows


class Gateway:
    """The agent as a process on a folder."""

    def __init__(self, folder: Path, page: str, gateway: str, site: str) -> None:
        self.folder, self.page = folder, page
        self.config = str(folder / "gateway.toml")
        voucher = voucher_line(gateway, site)
        subprocess.run(agent("enroll", self.config, "--voucher", voucher), check=True, capture_output=True)

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(agent("run", self.config), stdout=log, stderr=log)

    def state(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://{self.page}/api/state", timeout=2) as response:
            found: dict[str, Any] = json.load(response)
            return found

    async def until(self, reached: Callable[[dict[str, Any]], bool], seconds: float = 30.0) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while True:
            try:
                seen = await asyncio.to_thread(self.state)
                if reached(seen):
                    return seen
            except OSError:
                seen = {}
            assert time.monotonic() < end, (seen.get("devices"), (self.folder / "log").read_text()[-3000:])
            await asyncio.sleep(0.1)
