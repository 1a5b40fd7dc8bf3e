"""Where `verify` reads a log from: a data folder, a server's tile routes, an evidence bundle."""

import asyncio
import zipfile
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import aiohttp
import msgspec

from twin_server.auditor import Auditor, Fault, Run, Seen
from twin_server.store import Store
from twin_server.store.rows import Enterprise
from twin_wire.errors import FormatError, UplinkError
from twin_wire.merkle import EMPTY_ROOT
from twin_wire.note import Checkpoint, read_checkpoint
from twin_wire.statement import decode_envelopes, read
from twin_wire.tiles import TILE_WIDTH, decode_entries, tile_path

BODIES_AT_ONCE = 8
BODY_BYTES_MAX = 2 << 20
BUNDLE_BYTES_MAX = TILE_WIDTH * 65_537
ZIP_ENTRIES_MAX = 250_000


class FolderSource:
    """A log in a data folder; a server may be writing to it meanwhile."""

    def __init__(self, store: Store, row: Enterprise) -> None:
        self.enterprise, self.vkey = row.id, row.log_vkey
        self.runs: list[Run] | None = None
        self.size = 0
        self._store = store

    async def chunks(self) -> AsyncIterator[list[Seen]]:
        """Yield the entries of the size found at the beginning."""
        self.size = await self._store.size(self.enterprise)
        at = 0
        while at < self.size:
            end = min(at + TILE_WIDTH, self.size)
            found = await self._store.entries(self.enterprise, at, end - at)
            here = {entry.index: Seen(entry.index, entry.statement, entry.body) for entry in found}
            yield [here.get(index) or Seen(index, b"", None) for index in range(at, end)]
            at = end

    async def check_heads(self, auditor: Auditor) -> None:
        """Compare every size that was ever signed, and every stored tile, with the rebuilt tree."""
        at = signed = 0
        wrong: list[int] = []
        while found := await self._store.checkpoints(self.enterprise, at, 1000):
            wrong += [head.size for head in found if head.size <= self.size and auditor.root_at(head.size) != head.root]
            signed, at = found[-1].size, found[-1].size + 1
        if wrong:
            text = f"the root signed for size {wrong[0]}, and {len(wrong) - 1} after it, are not those of the entries"
            auditor.faults.append(Fault("root", wrong[0] - 1, auditor.origin, 0, 0, text))
        if signed < self.size or signed > await self._store.size(self.enterprise):
            text = f"the last signed size is {signed}, the log has {self.size} entries"
            auditor.faults.append(Fault("root", -1, auditor.origin, 0, 0, text))
        for (level, n), expected in auditor.tiles.items():
            tile = await self._store.tile(self.enterprise, level, n)
            if tile is None or sha256(tile).digest() != expected:
                text = f"{tile_path(level, n)} is missing or not that of the entries"
                auditor.faults.append(Fault("root", -1, auditor.origin, 0, 0, text))


class LogReader:
    """The tile routes of one log on a server; UplinkError when it does not answer."""

    def __init__(self, session: aiohttp.ClientSession, url: str, enterprise: str) -> None:
        self._session = session
        self._base = f"{url}/log/{enterprise}"
        self._api = f"{url}/api/v1/enterprises/{enterprise}"

    async def checkpoint(self) -> bytes:
        """Return the signed head."""
        return await self.get("checkpoint", 65_536)

    async def entries(self, first: int, end: int, size: int, bodies: bool = True) -> list[Seen]:
        """Return entries [first, end) of a log of `size`, with their bodies if wanted; FormatError for too few."""
        found: list[Seen] = []
        for n in range(first // TILE_WIDTH, (end + TILE_WIDTH - 1) // TILE_WIDTH):
            width = min(TILE_WIDTH, size - n * TILE_WIDTH)
            raws = decode_entries(await self.get(tile_path("entries", n, width), BUNDLE_BYTES_MAX))
            if len(raws) != width:
                raise FormatError(f"entry bundle {n} has {len(raws)} of {width} entries")
            low, high = max(first - n * TILE_WIDTH, 0), min(end - n * TILE_WIDTH, width)
            part = raws[low:high]
            held = await self._bodies(part) if bodies else [None] * len(part)
            pairs = enumerate(zip(part, held, strict=True), n * TILE_WIDTH + low)
            found += [Seen(index, raw, body, bodies) for index, (raw, body) in pairs]
        return found

    async def consistency(self, size1: int, size2: int) -> list[bytes]:
        """Return the proof that the log of `size2` begins with that of `size1`; FormatError for no proof."""
        data = await get(self._session, f"{self._api}/consistency?from={size1}&to={size2}", 65_536)
        try:
            return [bytes.fromhex(step) for step in msgspec.json.decode(data or b"")["path"]]
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as cause:
            raise FormatError(f"no consistency proof: {cause}") from cause

    async def get(self, path: str, bytes_max: int) -> bytes:
        """Return what lies at a path of the log."""
        data = await get(self._session, f"{self._base}/{path}", bytes_max)
        if data is None:
            raise UplinkError(f"{self._base}/{path}: not found", "is the token for this enterprise?")
        return data

    async def _bodies(self, raws: list[bytes]) -> list[bytes | None]:
        gate = asyncio.Semaphore(BODIES_AT_ONCE)

        async def one(raw: bytes) -> bytes | None:
            digest = digest_of(raw)
            if not digest:
                return None
            async with gate:
                return await get(self._session, f"{self._base}/body/{digest}", BODY_BYTES_MAX)

        return list(await asyncio.gather(*(one(raw) for raw in raws)))


class ServerSource:
    """A log behind a server's tile routes."""

    def __init__(self, session: aiohttp.ClientSession, url: str, enterprise: str, vkey: str, bodies: bool) -> None:
        self.enterprise, self.vkey = enterprise, vkey
        self.runs: list[Run] | None = None
        self.size = 0
        self._log = LogReader(session, url, enterprise)
        self._bodies = bodies
        self._head: Checkpoint | None = None

    async def chunks(self) -> AsyncIterator[list[Seen]]:
        """Yield the entries of the checkpoint the server shows first."""
        self._head = read_checkpoint(await self._log.checkpoint(), [self.vkey])
        self.size = self._head.size
        for at in range(0, self.size, TILE_WIDTH):
            yield await self._log.entries(at, min(at + TILE_WIDTH, self.size), self.size, self._bodies)

    async def check_heads(self, auditor: Auditor) -> None:
        """Compare the rebuilt root with the signed one."""
        assert self._head is not None
        root = auditor.root_at(self.size) if self.size else EMPTY_ROOT
        if root != self._head.root:
            text = f"the entries do not make the root that was signed for size {self.size}"
            auditor.faults.append(Fault("root", self.size - 1, auditor.origin, 0, 0, text))


class ZipSource:
    """An evidence bundle: a selection of entries, each with its receipt."""

    def __init__(self, path: Path) -> None:
        try:
            self._archive = zipfile.ZipFile(path)
            names = set(self._archive.namelist())
            facts = msgspec.json.decode(self._read("facts.json"))
            self.vkey = self._read("log.vkey").decode().strip()
            self._note = self._read("checkpoint")
            self.enterprise = str(facts["enterprise"])
            self.runs: list[Run] | None = [(str(g), int(e), int(a), int(b)) for g, e, a, b in facts["runs"]]
            if sum(last - first for *_, first, last in self.runs) > ZIP_ENTRIES_MAX:
                raise ValueError("its runs hold more numbers than an archive may")
        except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError, msgspec.DecodeError) as cause:
            raise FormatError(f"{path} is no evidence bundle: {cause}") from cause
        if len(names) > ZIP_ENTRIES_MAX:
            raise FormatError(f"{path} holds more than {ZIP_ENTRIES_MAX} files")
        stems = [name.removeprefix("entries/").removesuffix(".cbor") for name in names if name.endswith(".cbor")]
        self._indices = sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit())
        self.size = len(self._indices)
        self._promised = facts.get("entries")

    async def chunks(self) -> AsyncIterator[list[Seen]]:
        """Yield the entries in the archive."""
        for at in range(0, self.size, TILE_WIDTH):
            yield [await asyncio.to_thread(self._seen, index) for index in self._indices[at : at + TILE_WIDTH]]

    async def check_heads(self, auditor: Auditor) -> None:
        """Check the checkpoint's signature and that every entry promised is there with its receipt."""
        try:
            head = read_checkpoint(self._note, [self.vkey])
        except FormatError as fault:
            auditor.faults.append(Fault("checkpoint", -1, auditor.origin, 0, 0, str(fault)))
            return
        proved = auditor.counts["receipts"] + sum(fault.kind == "receipt" for fault in auditor.faults)
        if proved != self.size and head.size > 1:
            text = f"{self.size - proved} entries have no receipt"
            auditor.faults.append(Fault("receipt", -1, auditor.origin, 0, 0, text))
        if self._promised != self.size:
            text = f"facts.json promises {self._promised} entries, the archive holds {self.size}"
            auditor.faults.append(Fault("missing", -1, auditor.origin, 0, 0, text))

    def _seen(self, index: int) -> Seen:
        try:
            [(raw, body)] = decode_envelopes(self._read(f"entries/{index}.cbor"), 1, BODY_BYTES_MAX)
        except (FormatError, ValueError, zipfile.BadZipFile):
            return Seen(index, b"", None)  # the auditor names it
        try:
            receipt: bytes | None = self._read(f"entries/{index}.receipt")
        except (KeyError, zipfile.BadZipFile):
            receipt = None
        return Seen(index, raw, body, receipt=receipt)

    def _read(self, name: str) -> bytes:
        if self._archive.getinfo(name).file_size > BODY_BYTES_MAX:
            raise FormatError(f"{name} is larger than {BODY_BYTES_MAX} bytes")
        return self._archive.read(name)


async def get(session: aiohttp.ClientSession, url: str, bytes_max: int) -> bytes | None:
    """Return the bytes at a URL, None for 404; UplinkError for anything else or more than the limit."""
    try:
        async with session.get(url, allow_redirects=False) as response:
            if response.status == 404:
                return None
            if response.status != 200:
                raise UplinkError(
                    f"{url}: HTTP {response.status}", "a token is needed" if response.status == 401 else ""
                )
            data = await response.content.read(bytes_max + 1)
            while len(data) <= bytes_max and (more := await response.content.read(bytes_max + 1)):
                data += more
    except (aiohttp.ClientError, TimeoutError) as cause:
        raise UplinkError(f"{url}: {cause}") from cause
    if len(data) > bytes_max:
        raise UplinkError(f"{url}: more than {bytes_max} bytes")
    return data


def digest_of(raw: bytes) -> str:
    """Return the hex digest of the body a statement is about, "" when it is no statement."""
    try:
        return read(raw).digest.hex()
    except FormatError:
        return ""
