"""A month of one gateway at the default sealing as the log's routes give it: 259,200 chained statements, made quickly.

`python -m tests.support.month FOLDER [DATA]` writes it to a folder by path; `month()` returns it as {path: bytes}.
"""

import json
import sys
from hashlib import sha256
from pathlib import Path

from tests.support.evidence import GATEWAY, LOG, ORIGIN
from twin_wire.keys import SigningKey
from twin_wire.merkle import Frontier, leaf_hash
from twin_wire.note import checkpoint_text, sign_note, vkey
from twin_wire.records import encode_record
from twin_wire.statement import ZERO_HASH, Chain, seal, statement_hash
from twin_wire.tiles import TILE_WIDTH, encode_entries, tile_path

BATCHES = 30 * 24 * 360  # one every 10 s
CLOCK_ENTRIES = 256  # the server states times of receipt at the latest after so many
START_MS = 1_790_000_000_000
SUBJECT = "gw-1"


class _Chain:
    def __init__(self, key: SigningKey, subject: str, epoch: int) -> None:
        self.key, self.subject, self.epoch = key, subject, epoch
        self.seq, self.prev = 0, ZERO_HASH

    def seal(self, kind: str, digest: bytes, t0_ms: int) -> bytes:
        place = (self.epoch, 1, self.seq, self.prev, self.seq * 10_000, t0_ms, t0_ms + 9_000, 500, 0, ZERO_HASH)
        raw = seal(self.key, ORIGIN, self.subject, kind, digest, Chain(*place))
        self.seq, self.prev = self.seq + 1, statement_hash(raw)
        return raw


def month(batches: int = BATCHES) -> dict[str, bytes]:
    """Return every file that an audit without bodies of data asks for; paths as under /log/{enterprise}/."""
    server, gateway = _Chain(LOG, ORIGIN, 0), _Chain(GATEWAY, SUBJECT, 1)
    entries: list[bytes] = []
    found: dict[str, bytes] = {}

    def record(chain: _Chain, kind: str, fields: dict[str, object], t0_ms: int = START_MS) -> None:
        body = encode_record(fields)
        digest = sha256(body).digest()
        found[f"body/{digest.hex()}"] = body
        entries.append(chain.seal(kind, digest, t0_ms))

    key, log = GATEWAY.public.raw, LOG.public.raw
    record(server, "genesis", {"simulated": True, "log_vkey": vkey(ORIGIN, LOG.public)})
    record(gateway, "enrol", {"gateway": SUBJECT, "epoch": 1, "public": key, "log_public": log, "mac": ZERO_HASH})
    stated = len(entries)
    for n in range(batches):
        entries.append(gateway.seal("data", sha256(b"%d" % n).digest(), START_MS + n * 10_000))
        if len(entries) - stated >= CLOCK_ENTRIES:
            end_ms = START_MS + n * 10_000
            times = [end_ms - 10_000 * (len(entries) - at) + 10_000 for at in range(stated, len(entries))]
            stated, first = len(entries), stated
            record(server, "clock", {"from": first, "received_ms": times}, end_ms)
    return found | _tiles(entries) | _heads(entries)


def _tiles(entries: list[bytes]) -> dict[str, bytes]:
    found = {}
    for n in range(0, len(entries), TILE_WIDTH):
        part = entries[n : n + TILE_WIDTH]
        found[tile_path("entries", n // TILE_WIDTH, len(part))] = encode_entries(part)
        found[tile_path(0, n // TILE_WIDTH, len(part))] = b"".join(map(leaf_hash, part))
    return found


def _heads(entries: list[bytes]) -> dict[str, bytes]:
    frontier = Frontier()
    for entry in entries:
        frontier.append(leaf_hash(entry))
    note = sign_note(checkpoint_text(ORIGIN, len(entries), frontier.root()), ORIGIN, LOG)
    keys = {"origin": ORIGIN, "log_vkey": vkey(ORIGIN, LOG.public), "gateways": []}
    return {"checkpoint": note.encode(), "keys": json.dumps(keys).encode()}


if __name__ == "__main__":
    for path, data in month(*map(int, sys.argv[2:])).items():
        target = Path(sys.argv[1]) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
