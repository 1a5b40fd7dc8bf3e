"""Unsent batches on a memory stick: files as they would be posted, whole or not there, with a list of them."""

import hashlib
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from buffering.offer import OFFER_BATCHES_MAX, OFFER_BYTES_MAX
from buffering.room import row_id
from twin_wire.errors import FormatError, StoreError
from twin_wire.statement import decode_envelopes, read

LIST = "manifest.json"
SUFFIX = ".cborseq"
README = """Sealed batches of gateway {gateway}, as signed there and not yet at the server when they were copied.
On a machine that reaches the server:   twin-server import THIS_FOLDER --server URL
Nothing here is secret from the server's operator, and nothing can be changed unseen: every batch is signed.
The gateway keeps its own copy and sends it when the link is back; what comes twice is counted once.

网关 {gateway} 已封存、复制时尚未上传的批次。在可访问服务器的电脑上执行上面的命令导入。重复导入无害。
"""

Fetch = Callable[[int], Awaitable[bytes]]
Say = Callable[[str], None]


class Stick:
    """One folder; begun again it goes on behind the last whole file."""

    def __init__(self, folder: Path, gateway: str) -> None:
        self._folder = folder
        self._gateway = gateway
        self.after = -1
        self._files: list[dict[str, Any]] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / LIST).exists():
                self._resume(json.loads((folder / LIST).read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{folder}: {error}", "is the stick there and writable? else take an empty folder"
            ) from error

    def _resume(self, listed: dict[str, Any]) -> None:
        if listed["gateway"] != self._gateway:
            raise ValueError(f"holds batches of gateway {listed['gateway']}")
        for row in listed["files"]:
            path = self._folder / Path(row["name"]).name
            if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != row["sha256"]:
                return  # from here on anew
            self._files.append(row)
            self.after = max(self.after, row_id(*row["last"]))

    def put(self, data: bytes) -> int:
        """Write one file and the list of files, on the stick when this returns; return how many batches it holds."""
        numbers = [read(raw).chain[0:3:2] for raw, _ in decode_envelopes(data, OFFER_BATCHES_MAX, 2 * OFFER_BYTES_MAX)]
        first, last = numbers[0], numbers[-1]
        name = f"{self._gateway}-{first[0]:04}-{first[1]:012}{SUFFIX}"
        row = {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "batches": len(numbers)}
        try:
            self._write(name, data)
            self._files.append({**row, "first": list(first), "last": list(last)})
            self._write(LIST, self._list(False))
        except OSError as error:
            raise StoreError(f"{self._folder}: {error}", "the stick is full or failing; go on with another") from error
        self.after = row_id(*last)
        return len(numbers)

    def close(self) -> None:
        """Write the list as complete, and what this is for whoever finds it."""
        try:
            self._write("README.txt", README.format(gateway=self._gateway).encode())
            self._write(LIST, self._list(True))
        except OSError as error:
            raise StoreError(f"{self._folder}: {error}", "the stick is full or failing") from error

    def _list(self, complete: bool) -> bytes:
        listed = {"format": 1, "gateway": self._gateway, "complete": complete, "files": self._files}
        return json.dumps(listed, indent=1).encode()

    def _write(self, name: str, data: bytes) -> None:
        fresh = self._folder / f"{name}.part"
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._folder / name)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


async def fill_stick(stick: Stick, fetch: Fetch, unsent: int, say: Say) -> int:
    """Copy everything unsent, telling how far it is; return the batches copied now."""
    copied = 0
    while data := await fetch(stick.after):
        before = stick.after
        copied += stick.put(data)
        if stick.after <= before:
            raise FormatError("the queue gave the same batches twice")
        say(f"{copied} of about {unsent} batches")
    stick.close()
    return copied
