"""A witness (C2SP tlog-witness) that a regulator runs: it cosigns a log's head only if it continues the one before.

It keeps one small file per log, written and synced before it answers, and knows nothing of what the log holds.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from twin_server.keys import load_key, make_key
from twin_wire.errors import ConfigError, FormatError, ProofError, StoreError
from twin_wire.keys import SigningKey
from twin_wire.merkle import HASH_BYTES, verify_consistency
from twin_wire.note import (
    NOTE_BYTES_MAX,
    Checkpoint,
    cosign,
    parse_vkey,
    read_checkpoint,
    unbase64,
    witness_vkey,
)

PROOF_MAX = 63
BODY_BYTES_MAX = NOTE_BYTES_MAX + 8_192
SIZE_TYPE = "text/x.tlog.size"


class Asked(NamedTuple):
    """One request to cosign."""

    old: int
    proof: list[bytes]
    note: str


class Witness:
    """The heads it has seen and its key; `add` is one step, and one log is never in two steps at once."""

    def __init__(self, folder: Path, name: str, vkeys: Sequence[str]) -> None:
        self.folder = folder
        self.name = name
        self.vkeys = {parse_vkey(text)[0]: text for text in vkeys}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / "witness.key"
        self.key: SigningKey = load_key(path) if path.exists() else make_key(path)
        self._locks = {origin: asyncio.Lock() for origin in self.vkeys}

    @property
    def vkey(self) -> str:
        """What verifiers are given to know this witness by."""
        return witness_vkey(self.name, self.key.public)

    async def add(self, data: bytes) -> web.Response:
        """Answer one add-checkpoint as C2SP says: 200 with a line, 400, 403, 404, 409 with the size held, or 422."""
        try:
            asked = read_request(data)
            origin = asked.note.split("\n", 1)[0]
            vkey = self.vkeys.get(origin)
            if vkey is None:
                return web.Response(status=404, text="this witness does not know that log\n")
            try:
                head = read_checkpoint(asked.note, [vkey])
            except ProofError as fault:
                return web.Response(status=403, text=f"{fault}\n")
        except FormatError as fault:
            return web.Response(status=400, text=f"{fault}\n")
        async with self._locks[origin]:
            return await asyncio.to_thread(self._step, asked, head)

    def held(self, origin_hash: str) -> str | None:
        """Return the newest cosigned note of the log with that SHA-256 of its origin, None when there is none."""
        path = self.folder / f"{origin_hash}.note"
        known = {sha256(origin.encode()).hexdigest() for origin in self.vkeys}
        return path.read_text(encoding="utf-8") if origin_hash in known and path.exists() else None

    def _step(self, asked: Asked, head: Checkpoint) -> web.Response:
        seen = self._seen(head.origin)
        if asked.old > head.size:
            return web.Response(status=400, text="old is larger than the checkpoint\n")
        if asked.old != seen.size:
            return web.Response(status=409, body=f"{seen.size}\n".encode(), headers={"Content-Type": SIZE_TYPE})
        try:
            if head.size == seen.size and seen.size:
                if head.root != seen.root or asked.proof:
                    raise ProofError("another root at the same size")
            elif seen.size:
                verify_consistency(seen.size, head.size, asked.proof, seen.root, head.root)
            elif asked.proof:
                raise ProofError("a proof from nothing")
        except FormatError as fault:
            return web.Response(status=422, text=f"{fault}\n")
        line = cosign(asked.note, self.name, self.key, int(time.time()))
        self._keep(head.origin, asked.note + line)
        return web.Response(text=line)

    def _path(self, origin: str) -> Path:
        return self.folder / f"{sha256(origin.encode()).hexdigest()}.note"

    def _seen(self, origin: str) -> Checkpoint:
        path = self._path(origin)
        if not path.exists():
            return Checkpoint(origin, 0, bytes(HASH_BYTES))
        try:
            return read_checkpoint(path.read_bytes(), [self.vkeys[origin]])
        except FormatError as fault:  # never begin anew by itself: a forgotten head is a rewritten log unseen
            raise StoreError(f"{path} is damaged: {fault}", "restore it from a backup") from fault

    def _keep(self, origin: str, note: str) -> None:
        path = self._path(origin)
        fresh = path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_request(data: bytes) -> Asked:
    """Read the body of add-checkpoint; FormatError for whatever C2SP does not allow."""
    head, blank, note = data.partition(b"\n\n")
    if not blank or len(data) > BODY_BYTES_MAX:
        raise FormatError("not an add-checkpoint request")
    try:
        first, *hashes = head.decode("ascii").split("\n")
        text = note.decode()
    except UnicodeDecodeError:
        raise FormatError("not text") from None
    word, _, number = first.partition(" ")
    if word != "old" or not number.isdigit() or len(number) > 16 or (number[0] == "0" and number != "0"):
        raise FormatError("the first line is not `old` and a size")
    proof = [unbase64(line) for line in hashes]
    if len(proof) > PROOF_MAX or any(len(each) != HASH_BYTES for each in proof):
        raise FormatError("a proof of wrong form")
    return Asked(int(number), proof, text)


def make_witness(witness: Witness) -> web.Application:
    """Return the application: POST /add-checkpoint, GET /<sha256 of the origin>/checkpoint."""
    app = web.Application(client_max_size=BODY_BYTES_MAX)

    async def add(request: web.Request) -> web.Response:
        return await witness.add(await request.read())

    async def held(request: web.Request) -> web.Response:
        note = witness.held(request.match_info["origin"])
        return web.Response(status=404) if note is None else web.Response(text=note)

    app.router.add_post("/add-checkpoint", add)
    app.router.add_get("/{origin:[0-9a-f]{64}}/checkpoint", held)
    return app


async def run_witness(witness: Witness, listen: str) -> None:
    """Serve until cancelled; ConfigError when the address cannot be had or is open to others without a proxy."""
    host, _, port = listen.rpartition(":")
    if not port.isdigit():
        raise ConfigError(f"{listen!r} is not address:port")
    runner = web.AppRunner(make_witness(witness), access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        except OSError as cause:
            raise ConfigError(f"cannot listen on {listen}: {cause}", "choose another --listen") from cause
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
