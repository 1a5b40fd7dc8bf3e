"""`twin-server verify`: a live server, a data folder or an evidence.zip, rebuilt and checked; every fault is named."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import aiohttp
import msgspec

from twin_server.auditor import Auditor, Fault, Run, Seen
from twin_server.sources import FolderSource, ServerSource, ZipSource, get
from twin_server.store import STORES, open_store
from twin_wire.errors import ConfigError, FormatError, UplinkError
from twin_wire.note import parse_vkey

THREADS = 2
TIMEOUT_S = 30.0
JSON_BYTES_MAX = 1 << 20

Progress = Callable[[str, int, int], None]  # origin, entries done, entries in all


class Report(NamedTuple):
    """What came out for one log."""

    enterprise: str
    origin: str
    size: int
    simulated: bool
    counts: dict[str, int]
    faults: list[Fault]
    late: list[tuple[str, int, int]]
    suspect: list[tuple[str, int, int, int]]  # gateway, epoch, entries of a key that was revoked later
    countersigned: list[tuple[int, str]]  # entry and second party
    witnessed: list[tuple[int, int, str]]  # entries below this size existed by this time (s), says this witness

    def as_json(self) -> dict[str, object]:
        """Return counts and faults for programs."""
        return {
            "enterprise": self.enterprise,
            "origin": self.origin,
            "size": self.size,
            "simulated": self.simulated,
            "counts": self.counts,
            "fault_kinds": dict(Counter(fault.kind for fault in self.faults)),
            "faults": [fault._asdict() for fault in self.faults],
            "late": [{"gateway": g, "epoch": e, "seq": s} for g, e, s in self.late],
            "suspect": [{"gateway": g, "epoch": e, "first": a, "last": b} for g, e, a, b in self.suspect],
            "countersigned": [{"index": i, "party": p} for i, p in self.countersigned],
            "witnessed": [{"size": s, "time_s": t, "witness": w} for s, t, w in self.witnessed],
        }


class Source(Protocol):
    """Where a log comes from."""

    enterprise: str
    vkey: str
    size: int
    runs: list[Run] | None  # None: the whole log

    def chunks(self) -> AsyncIterator[list[Seen]]:
        """Yield the entries in rising order."""

    async def check_heads(self, auditor: Auditor) -> None:
        """Compare what was rebuilt with what was signed or stored; faults go to the auditor."""


async def verify(
    target: str,
    enterprise: str,
    token: str,
    pinned_vkey: str,
    bodies: bool,
    progress: Progress,
    witnesses: Sequence[str] = (),
) -> list[Report]:
    """Check every log of the target, or one; ConfigError, UplinkError or StoreError when it cannot be read at all."""
    if target.startswith(("http://", "https://")):
        return await _verify_server(target, enterprise, token, pinned_vkey, bodies, progress, witnesses)
    place = target
    if target.partition(":")[0] in STORES:
        store, place = open_store(target), "this store"  # the URL may hold a password
    else:
        kind, path = await asyncio.to_thread(_kind, target)
        if kind == "zip":
            return [await audit(ZipSource(path), pinned_vkey, progress, witnesses)]
        store = open_store(f"sqlite:{target}")
    try:
        rows = [row for row in await store.enterprises() if enterprise in ("", row.id)]
        if not rows:
            raise ConfigError(f"no enterprise {enterprise!r} in {place}")
        return [await audit(FolderSource(store, row), pinned_vkey, progress, witnesses) for row in rows]
    finally:
        await store.close()


def _kind(target: str) -> tuple[str, Path]:
    path = Path(target)
    if path.is_file():
        return "zip", path
    if (path / "system.db").is_file():
        return "folder", path
    raise ConfigError(f"{target} is no server's URL, no data folder and no evidence.zip")


async def audit(source: Source, pinned_vkey: str, progress: Progress, witnesses: Sequence[str] = ()) -> Report:
    """Check one log to its end."""
    origin, public = parse_vkey(source.vkey)
    with ThreadPoolExecutor(THREADS, "verify") as signatures:
        auditor = Auditor(origin, public, signatures, source.runs, witnesses)
        if pinned_vkey and pinned_vkey != source.vkey:
            auditor.faults.append(Fault("key", -1, origin, 0, 0, f"the log's key is {source.vkey}, not the one given"))
        done = 0
        async for chunk in source.chunks():
            await asyncio.to_thread(auditor.take, chunk)
            done += len(chunk)
            progress(origin, done, source.size)
        auditor.finish()
        await source.check_heads(auditor)
    faults = sorted(auditor.faults, key=lambda fault: (fault.index, fault.gateway, fault.epoch, fault.seq))
    said = auditor.said
    found = said.late, said.suspect, said.countersigned, said.witnessed
    return Report(source.enterprise, origin, source.size, auditor.said.simulated, auditor.counts, faults, *found)


async def _verify_server(
    url: str,
    enterprise: str,
    token: str,
    pinned_vkey: str,
    bodies: bool,
    progress: Progress,
    witnesses: Sequence[str],
) -> list[Report]:
    url = url.rstrip("/")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(TIMEOUT_S)) as session:
        mine = await _get_json(session, f"{url}/api/v1/me")
        names = [str(each) for each in mine["enterprises"] if enterprise in ("", each)]
        if not names:
            raise ConfigError(f"no enterprise {enterprise!r} for this token at {url}")
        reports = []
        for name in names:
            keys = await _get_json(session, f"{url}/log/{name}/keys")
            source = ServerSource(session, url, name, str(keys["log_vkey"]), bodies)
            reports.append(await audit(source, pinned_vkey, progress, witnesses))
        return reports


async def _get_json(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    data = await get(session, url, JSON_BYTES_MAX)
    if data is None:
        raise UplinkError(f"{url}: not found", "is this a twin-server, and the token for this enterprise?")
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as cause:
        raise FormatError(f"{url}: {cause}") from cause
