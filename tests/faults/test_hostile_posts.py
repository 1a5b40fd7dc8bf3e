"""Bytes from outside are hostile: every bad post gets a clear answer, loses nothing, and the server goes on."""

import asyncio
import gzip
import random
from collections.abc import AsyncIterator, Callable
from io import BytesIO
from pathlib import Path

import aiohttp

from tests.support.gateway import CBOR, SealingGateway
from tests.support.server import LIMITS, Server, serving
from twin_server.config import Limits
from twin_server.context import STORE
from twin_server.ingest import ENVELOPES_MAX, POST_BYTES_MAX
from twin_server.prepare import BODY_BYTES_MAX
from twin_wire.exchange import read_answer
from twin_wire.manifest import digest
from twin_wire.statement import encode_envelope

START_US = 1_790_000_000_000_000
DAMAGED_POSTS = 300
ROW = [[1.0, 2.0, 3.0]]


async def _post(server: Server, gateway: str, data: bytes, **headers: str) -> tuple[int, bytes]:
    target = f"{server.url}/api/v1/gateways/{gateway}/batches"
    async with server.session.post(target, data=BytesIO(data), headers=CBOR | headers) as response:
        return response.status, await response.read()


async def _said(server: Server, enterprise: str, gateway: str) -> int:
    """Return how many statements of a gateway are in the log; the server adds its own about silence and late data."""
    entries = await server.app[STORE].entries(enterprise, 0, 1000, bodies=False)
    return sum(entry.gateway == gateway for entry in entries)


async def _still_works(server: Server, gateway: SealingGateway, said: int) -> None:
    """Assert that nothing of the gateway got into the log meanwhile and its next good batch is taken."""
    assert await _said(server, "e1", gateway.id) == said
    answer = await gateway.post(server.session, server.url, [gateway.seal_rows(START_US, ROW)])
    assert [verdict.status for verdict in answer.verdicts] == ["receipt"]


def test_truncated_garbled_and_oversize_posts_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            gateway = await server.gateway("e1", "gw-1")
            good = gateway.seal_rows(START_US, ROW)
            for cut in (1, 2, 5, 100, len(good) - 1):
                assert (await _post(server, "gw-1", good[:cut]))[0] == 400
            assert (await _post(server, "gw-1", b""))[0] == 200
            assert (await _post(server, "gw-1", good + b"\x00"))[0] == 400
            assert (await _post(server, "gw-1", good * (ENVELOPES_MAX + 1)))[0] == 400
            assert (await _post(server, "gw-1", bytes(POST_BYTES_MAX + 1)))[0] == 413
            assert (await _post(server, "gw-1", gzip.compress(good), **{"Content-Encoding": "gzip"}))[0] == 415
            assert (await _post(server, "nobody", good))[0] == 404
            assert (await _post(server, "..%2Fe1", good))[0] == 404
            status, body = await _post(server, "gw-1", encode_envelope(gateway.sealed[-1], bytes(BODY_BYTES_MAX + 1)))
            assert status == 200
            assert "limit" in read_answer(body).verdicts[0].detail
            gateway.sealed.pop()
            answer = await gateway.post(server.session, server.url, [good])
            assert [verdict.status for verdict in answer.verdicts] == ["receipt"]

    asyncio.run(run())


def test_a_post_of_unknown_length_is_read_no_further_than_the_limit(tmp_path: Path) -> None:
    async def run() -> None:
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while sent < 20 * POST_BYTES_MAX:
                sent += 1 << 16
                yield bytes(1 << 16)

        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            await server.voucher("e1", "gw-1")
            target = f"{server.url}/api/v1/gateways/gw-1/batches"
            try:
                async with server.session.post(target, data=endless(), headers=CBOR) as response:
                    assert response.status == 413
            except aiohttp.ClientError:
                pass  # the server closed while we still wrote: its answer may be lost, the reading is over
            assert sent < 20 * POST_BYTES_MAX

    asyncio.run(run())


def test_random_damage_never_gets_a_receipt_and_never_a_server_error(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async def run() -> None:
        chance = random.Random(11)
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            gateway = await server.gateway("e1", "gw-1")
            good = gateway.seal_rows(START_US, [[1.0, 2.0, 3.0]] * 5)
            for _ in range(DAMAGED_POSTS):
                bad = bytearray(good)
                for at in chance.sample(range(len(bad)), chance.randint(1, 4)):
                    bad[at] ^= chance.randrange(1, 256)
                status, body = await _post(server, "gw-1", bytes(bad))
                assert status in (200, 400), (status, body)
                if status == 200:
                    verdict = read_answer(body).verdicts[0]
                    assert verdict.status in ("rejected", "pending"), verdict
                    assert verdict.receipt is None
            assert await _said(server, "e1", "gw-1") == 3
            answer = await gateway.post(server.session, server.url, [good])
            assert [verdict.status for verdict in answer.verdicts] == ["receipt"]

    asyncio.run(run())
    record_property("damaged posts, none acknowledged", DAMAGED_POSTS)


def test_a_captured_batch_replayed_by_a_stranger_changes_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            for enterprise in ("e1", "e2"):
                await server.enterprise(enterprise)
            gateway, other = await server.gateway("e1", "gw-1"), await server.gateway("e2", "gw-2")
            sealed = gateway.seal_rows(START_US, ROW)
            await gateway.post(server.session, server.url, [sealed])
            said = await _said(server, "e1", "gw-1")
            for _ in range(20):
                _, body = await _post(server, "gw-1", sealed)
                assert read_answer(body).verdicts[0].status == "duplicate"
            _, body = await _post(server, other.id, sealed)
            answer = read_answer(body)
            assert answer.verdicts[0].status == "rejected"
            assert (answer.head, answer.size) == (None, 0)
            assert await _said(server, "e2", "gw-2") == 3
            await _still_works(server, gateway, said)

    asyncio.run(run())


def test_manifests_are_taken_only_when_asked_for_and_only_as_named(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            gateway = await server.gateway("e1", "gw-1")
            base = f"{server.url}/api/v1/gateways/gw-1/manifests"
            for name, data, expected in (
                (digest(b"x").hex(), b"x", 400),
                ("zz", b"x", 400),
                (digest(b"x").hex(), bytes(BODY_BYTES_MAX + 1), 413),
            ):
                async with server.session.put(f"{base}/{name}", data=BytesIO(data)) as response:
                    assert response.status == expected
            await _still_works(server, gateway, 3)

    asyncio.run(run())


def test_a_gateway_that_posts_too_often_is_told_to_wait(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path, limits=Limits(posts_per_s=0.5)) as server:
            await server.enterprise("e1")
            await server.voucher("e1", "gw-1")
            seen = [(await _post(server, "gw-1", b""))[0] for _ in range(12)]
            assert seen[:5] == [200] * 5
            assert seen[-1] == 429
        assert LIMITS.posts_per_s > 1000

    asyncio.run(run())
