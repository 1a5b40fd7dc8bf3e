"""What the contract suites put into a store: entries, a condition, and a run on a fresh store of two enterprises."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from hashlib import sha256

from twin_server.store import Store, Transaction, open_store
from twin_server.store.rows import Enterprise, StoredBatch, StoredEvent

Test = Callable[[Store], Awaitable[None]]


def runner(store_url: str) -> Callable[[Test], None]:
    """Return a function that runs a test on the fresh store with the enterprises e1 and e2."""

    def run(test: Test) -> None:
        async def body() -> None:
            store = open_store(store_url)
            try:
                for name in ("e1", "e2"):
                    await store.add_enterprise(Enterprise(name, name, True, f"localhost/{name}", "key", 1))
                await test(store)
            finally:
                await store.close()

        asyncio.run(body())

    return run


def entry(index: int, t0_us: int = 0, t1_us: int = 0, kind: str = "data", gateway: str = "gw-1") -> StoredBatch:
    body = f"body {index}".encode()
    return StoredBatch(
        index, kind, gateway, 1, index, t0_us, max(t0_us, t1_us), 5, 1, False, True,
        sha256(body).digest(), f"statement {index}".encode(), body,
    )  # fmt: skip


def append(*batches: StoredBatch) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        for batch in batches:
            tx.append(batch)

    return work


def event(begin_us: int, end_us: int = 0, seq: int = 1, text: str = "high") -> StoredEvent:
    numbers = {"value": 1.5, "limit": math.nan}
    return StoredEvent(
        "gw-1", "p0", "limit_high", begin_us, end_us, 1, "limits/1", numbers, text, 1, seq, seq, seq, seq
    )
