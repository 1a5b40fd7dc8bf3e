"""The evidence bundle: a zip that anyone can check without this server, with the facts and the limits in words."""

import io
import zipfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from twin_server import proofs
from twin_server.log import EnterpriseLog, Ledger
from twin_server.store import Store
from twin_server.store.rows import StoredBatch
from twin_wire.keys import kid_text
from twin_wire.receipt import make_receipts
from twin_wire.statement import encode_envelope

ENTRIES_MAX = 100_000
ALWAYS = ("genesis", "enrol", "rotate", "revoke", "restore", "manifest", "structure", "ruleset")
CHUNK = 64
SCRIPT = (Path(__file__).parent / "verify_evidence.py").read_bytes()
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same entries make the same bytes

README = """Evidence from the log of {name} ({origin})
{mark}
What is in this archive
  checkpoint            signed statement of the log: {size} entries, and the one hash that stands for all of them
  log.vkey              the key it is signed with: compare it with the one you were given by another way
  facts.json            the same facts for programs
  entries/N.cbor        entry N of the log: [statement, body], exactly as the gateway sent it
  entries/N.receipt     proof (RFC 9942) that the statement is entry N of the log of {size} entries

  verify_evidence.py    checks all of it and prints the readings; needs only Python and its package `cryptography`

Check it:  python verify_evidence.py evidence.zip KEY > readings.csv
   or      twin-server verify evidence.zip       (or your own program: twin_wire/SPEC.md)
KEY is the log's key as you were given it by another way than this archive.

What a successful check means
  The records in this archive are unaltered since the gateway sealed them, under keys the log enrolled, and they are
  in the log in the order shown. Every number missing between two of a gateway's statements is named.
What it does not mean
  It does not say that a reading is true: a covered, bypassed or wrongly calibrated sensor signs as well as a good one.
  It does not say that the gateway was where it should be. Times are the gateway's own clock; the log bounds them by
  what was in it before (anchor) and when the server received them (clock statements). Enrolment was judged by the
  server with a one-use voucher: one party only. Whether this archive is admissible anywhere is not for us to say.

封存后未改动 = 记录自网关封存以来未被改动；不代表读数真实、正确或安全。{mark_zh}
"""


class Span(NamedTuple):
    """What a bundle is asked for: event times [from_us, to_us), one gateway or all ("")."""

    from_us: int
    to_us: int
    gateway: str


class _Sink(io.RawIOBase):
    """A file that zipfile writes to and nobody seeks in; `take` hands over what has come since."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: object) -> int:
        part = bytes(data)  # type: ignore[call-overload]  # any buffer
        self._parts.append(part)
        self._at += len(part)
        return len(part)

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


class Choice(NamedTuple):
    """What goes into a bundle: rising indices, and the runs of numbers (gateway, epoch, first, last) among them."""

    indices: list[int]
    runs: list[tuple[str, int, int, int]]


async def choose(store: Store, enterprise: str, span: Span, log: EnterpriseLog) -> Choice | None:
    """Choose whole runs of numbers that touch the span, and what is needed to read them; None for too many."""
    size = log.last.size
    runs: dict[tuple[str, int], tuple[int, int]] = {}
    chosen: set[int] = set()
    async for batch in store.batches(enterprise, span.from_us, span.to_us, span.gateway, kind=""):
        if batch.gateway == log.origin:
            continue  # the server's own statements go by their place in the log
        key = (batch.gateway, batch.epoch)
        first, last = runs.get(key, (batch.seq, batch.seq))
        runs[key] = (min(first, batch.seq), max(last, batch.seq))
    for (gateway, epoch), (first, last) in runs.items():
        if last - first + len(chosen) > ENTRIES_MAX:
            return None
        chosen.update(await store.numbered(enterprise, gateway, epoch, first, last))
    low, high = (min(chosen), max(chosen)) if chosen else (0, -1)
    since = 0
    while page := await store.entries(enterprise, since, 1000, without="data", bodies=False):
        chosen.update(entry.index for entry in page if entry.kind in ALWAYS or low <= entry.index <= high)
        since = page[-1].index + 1
    chosen = {index for index in chosen if index < size}
    if len(chosen) > ENTRIES_MAX:
        return None
    return Choice(sorted(chosen), sorted((*key, *run) for key, run in runs.items()))


async def bundle(
    store: Store, ledger: Ledger, enterprise: str, span: Span, choice: Choice, log: EnterpriseLog
) -> AsyncIterator[bytes]:
    """Yield the bytes of the zip; all receipts are for the size of `log.last` when this begins."""
    last, note, indices = log.last, log.note(), choice.indices
    sink, held = _Sink(), set(choice.indices)
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        keys = [
            {
                "gateway": chain.gateway,
                "epoch": chain.epoch,
                "kid": kid_text(chain.kid),
                "public": chain.public.hex(),
                "enrolled_index": chain.enrolled_index,
            }
            for chain in await store.chains(enterprise)
            if chain.enrolled_index in held
        ]
        facts = _facts(log, span, len(indices)) | {"gateways": keys, "runs": choice.runs}
        _put(archive, "README.txt", _readme(log).encode())
        _put(archive, "checkpoint", note.encode())
        _put(archive, "log.vkey", (log.row.log_vkey + "\n").encode())
        _put(archive, "verify_evidence.py", SCRIPT)
        _put(archive, "facts.json", msgspec.json.format(msgspec.json.encode(facts)))
        yield sink.take()
        for at in range(0, len(indices), CHUNK):
            part = indices[at : at + CHUNK]
            paths = zip(part, await proofs.inclusions(ledger, enterprise, part, last.size), strict=True)
            receipts: Iterable[bytes] = [b""] * len(part)
            if last.size > 1:
                time_s = last.time_us // 1_000_000
                receipts = make_receipts(log.key, log.origin, last.size, last.root, time_s, paths)
            for index, receipt in zip(part, receipts, strict=True):
                entry = await store.entry(enterprise, index)
                assert entry is not None
                _put_entry(archive, entry, receipt)
            yield sink.take()
    yield sink.take()


def _put_entry(archive: zipfile.ZipFile, entry: StoredBatch, receipt: bytes) -> None:
    _put(archive, f"entries/{entry.index}.cbor", encode_envelope(entry.statement, entry.body))
    if receipt:
        _put(archive, f"entries/{entry.index}.receipt", receipt)


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)


def _facts(log: EnterpriseLog, span: Span, entries: int) -> dict[str, object]:
    return {
        "format": "minetwin-evidence/1",
        "enterprise": log.row.id,
        "name": log.row.name,
        "simulated": log.row.simulated,
        "origin": log.origin,
        "log_vkey": log.row.log_vkey,
        "size": log.last.size,
        "root": log.last.root.hex(),
        "from_us": span.from_us,
        "to_us": span.to_us,
        "gateway": span.gateway,
        "entries": entries,
        "claim": "record unaltered since sealing",
    }


def _readme(log: EnterpriseLog) -> str:
    simulated = log.row.simulated
    return README.format(
        name=log.row.name,
        origin=log.origin,
        size=log.last.size,
        mark="SIMULATED: this log was begun by a simulation; nothing in it was measured.\n" if simulated else "",
        mark_zh="（模拟数据，非实测）" if simulated else "",
    )
