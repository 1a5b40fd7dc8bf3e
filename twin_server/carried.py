"""Batches that came on a memory stick: posted to the server as the gateway would, its receipts kept beside them."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import aiohttp

from twin_server.ingest import ENVELOPES_MAX, POST_BYTES_MAX
from twin_wire.cbor import encode
from twin_wire.errors import ConfigError, FormatError, Rejected, UplinkError
from twin_wire.exchange import ANSWER_BYTES_MAX, Answer, read_answer
from twin_wire.statement import decode_envelopes, read

SUFFIX = ".cborseq"
TRIES = 5
PAUSE_S = 2.0
TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=10)
Say = Callable[[str], None]


async def import_folder(folder: Path, server: str, say: Say) -> tuple[Counter[str], list[str]]:
    """Post every file of the folder in order; return the verdicts counted, and what was refused, in words.

    ConfigError when there is nothing to import, FormatError for a file that is no sequence of envelopes, UplinkError
    when the server stays away. Doing it again changes nothing.
    """
    paths = _files(folder)
    counts: Counter[str] = Counter()
    refused: list[str] = []
    receipts: list[bytes] = []
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
        for place, path in enumerate(paths, 1):
            answer = await _post(session, server, path)
            counts += Counter(verdict.status for verdict in answer.verdicts)
            refused += [
                f"{path.name}: {v.epoch}/{v.seq} {v.status}: {v.detail}"
                for v in answer.verdicts
                if v.status not in ("receipt", "duplicate")
            ]
            receipts += [encode([v.epoch, v.seq, v.receipt]) for v in answer.verdicts if v.receipt is not None]
            say(f"{place} of {len(paths)} files, {counts.total()} batches")
    _keep_receipts(folder, receipts, say)
    return counts, refused


def _files(folder: Path) -> list[Path]:
    paths = sorted(path for path in folder.glob(f"*{SUFFIX}") if path.is_file()) if folder.is_dir() else []
    if not paths:
        raise ConfigError(f"{folder} holds no {SUFFIX} files", "give the folder that edge-agent export-usb made")
    return paths


def _read(path: Path) -> tuple[str, bytes]:
    """Return the gateway and the bytes of a file; FormatError unless it can be posted as it is."""
    if path.stat().st_size > POST_BYTES_MAX:
        raise FormatError(f"{path.name} is too large for a post")
    data = path.read_bytes()
    gateways = {read(statement).subject for statement, _ in decode_envelopes(data, ENVELOPES_MAX, POST_BYTES_MAX)}
    if len(gateways) != 1:
        raise FormatError(f"{path.name} is empty or mixes gateways")
    return gateways.pop(), data


async def _post(session: aiohttp.ClientSession, server: str, path: Path) -> Answer:
    gateway, data = _read(path)
    url = f"{server.rstrip('/')}/api/v1/gateways/{gateway}/batches"
    fault = ""
    for turn in range(TRIES):
        try:
            async with session.post(url, data=data, headers={"Content-Type": "application/cbor-seq"}) as response:
                answered = await _body(response)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            fault = f"{type(error).__name__}: {error}"
        else:
            if response.status == 200:
                return read_answer(answered)
            fault = f"HTTP {response.status}: {answered[:300].decode('utf-8', 'replace')}"
            if response.status < 500 and response.status != 429:
                raise Rejected(f"{path.name}: {fault}", str(response.status))
        if turn + 1 < TRIES:
            await asyncio.sleep(PAUSE_S * (turn + 1))
    raise UplinkError(f"{path.name}: {fault}", "run the same command again; nothing is taken twice")


async def _body(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        data += chunk
        if len(data) > ANSWER_BYTES_MAX:
            raise FormatError("the server's answer is too large")
    return bytes(data)


def _keep_receipts(folder: Path, receipts: list[bytes], say: Say) -> None:
    try:
        (folder / "receipts.cbor").write_bytes(b"".join(receipts))
    except OSError as error:
        say(f"the receipts could not be written to {folder}: {error.strerror}")
