"""A small log with all its nodes, the frozen vectors, and test keys for everything that concerns evidence."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from twin_wire.keys import SigningKey
from twin_wire.merkle import Frontier, consistency_proof, inclusion_proof, leaf_hash
from twin_wire.statement import ZERO_HASH, Chain, seal

ORIGIN = "mine.example/e/1001"
VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "evidence.json").read_text("utf-8"))


def vector(name: str) -> bytes:
    """Return a frozen vector that is written in hex."""
    return bytes.fromhex(VECTORS[name])


def named_key(name: str) -> SigningKey:
    """Return the test key of a name; its seed is SHA-256 of the name."""
    return SigningKey.from_seed(sha256(name.encode()).digest())


GATEWAY = named_key("gateway")
LOG = named_key("log")


class Log:
    """Entries and every node of their tree."""

    def __init__(self, entries: list[bytes]) -> None:
        self.entries = entries
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.roots = [Frontier().root()]
        frontier = Frontier()
        for entry in entries:
            for level, index, value in frontier.append(leaf_hash(entry)):
                self.nodes[level, index] = value
            self.roots.append(frontier.root())

    def fetch(self, level: int, index: int) -> bytes:
        """Return the hash of a full subtree."""
        return self.nodes[level, index]

    def path(self, index: int, size: int) -> list[bytes]:
        """Return an inclusion proof."""
        return inclusion_proof(index, size, self.fetch)

    def consistency(self, size1: int, size2: int) -> list[bytes]:
        """Return a consistency proof."""
        return consistency_proof(size1, size2, self.fetch)


def chain(**changes: Any) -> Chain:
    """Return the chain of the frozen statement with some fields changed."""
    times = {"mono_ms": 10_000, "t0_ms": 1_790_000_000_000, "t1_ms": 1_790_000_010_000}
    rest = {"prev": ZERO_HASH, "rows": 10_000, "anchor_size": 0, "anchor_root": ZERO_HASH}
    return Chain(**{"epoch": 7, "boot": 3, "seq": 0, **times, **rest, **changes})


def statement(kind: str = "data", body: bytes = b"\xa0", **changes: Any) -> bytes:
    """Return a statement of the test gateway."""
    return seal(GATEWAY, ORIGIN, "gw/42", kind, sha256(body).digest(), chain(**changes))
