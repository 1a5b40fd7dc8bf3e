"""The sockets against the unkind: strangers, other sites, nonsense, the slow; what the server notices by itself."""

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.server import Server, serving
from tests.support.small_mine import SECOND_US
from twin_server import sockets
from twin_server import twin as mirror
from twin_server.context import ACCESS, WATCHED
from twin_server.live import LIVE
from twin_server.scene import Scene
from twin_wire.frame import decode_frame


def now_us() -> int:
    return time.time_ns() // 1000


async def refused(server: Server, path: str, headers: dict[str, str]) -> int:
    """Return the status with which a socket is refused."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await server.session.ws_connect(f"{server.url}/api/v1/enterprises/{path}", headers=headers)
    return refusal.value.status


def test_strangers_and_other_sites_get_no_socket(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            await server.enterprise("e2")
            token = await server.token("regulator", "e2")
            assert await refused(server, "e1/live", {}) == 401
            assert await refused(server, "e1/live", token) == 404
            assert await refused(server, "e1/replay?from=1", token) == 404
            assert await refused(server, "e2/replay", token) == 400
            assert await refused(server, "e2/replay?from=1&speed=601", token) == 400
            await server.app[ACCESS].add_user("keeper", "correct horse battery", "enterprise", ("e1",))
            login = {"name": "keeper", "passphrase": "correct horse battery"}
            async with server.session.post(f"{server.url}/api/v1/login", json=login) as response:
                cookie = {"Cookie": f"twin_session={response.cookies['twin_session'].value}"}
            assert await refused(server, "e1/live", cookie | {"Origin": "https://elsewhere.example"}) == 403
            mine = cookie | {"Origin": server.url}
            async with server.session.ws_connect(f"{server.url}/api/v1/enterprises/e1/live", headers=mine) as socket:
                assert (await socket.receive()).type is aiohttp.WSMsgType.TEXT

    asyncio.run(run())


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"\x00", aiohttp.WSCloseCode.UNSUPPORTED_DATA),
        ("{", aiohttp.WSCloseCode.INVALID_TEXT),
        ('{"type":"speed","speed":1e9}', aiohttp.WSCloseCode.INVALID_TEXT),
        ('{"type":"seek","time_us":-1}', aiohttp.WSCloseCode.INVALID_TEXT),
        ('{"type":"drop table"}', aiohttp.WSCloseCode.INVALID_TEXT),
        ("x" * 5000, aiohttp.WSCloseCode.MESSAGE_TOO_BIG),
    ],
)
def test_nonsense_closes_the_socket_and_nothing_else(tmp_path: Path, message: Any, code: int) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            gateway = await server.gateway("e1", "gw-1")
            token = await server.token("regulator", "e1")
            url = f"{server.url}/api/v1/enterprises/e1"
            async with (
                server.session.ws_connect(f"{url}/replay?from=1", headers=token) as bad,
                server.session.ws_connect(f"{url}/live", headers=token) as good,
            ):
                await (bad.send_bytes(message) if isinstance(message, bytes) else bad.send_str(message))
                async for _ in bad:
                    pass
                assert bad.close_code == code
                await gateway.post(server.session, server.url, [gateway.seal_rows(now_us(), [[0.5, 0, 0]])])
                async with asyncio.timeout(5):
                    async for answer in good:
                        if answer.type is aiohttp.WSMsgType.BINARY and decode_frame(answer.data).value[0] == 0.5:
                            break
            assert server.app[LIVE].replays == 0

    asyncio.run(run())


def test_too_many_replays_are_asked_to_come_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "REPLAYS_MAX", 1)

    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            token = await server.token("regulator", "e1")
            url = f"{server.url}/api/v1/enterprises/e1/replay?from=1"
            async with server.session.ws_connect(url, headers=token) as first:
                await first.receive()
                assert await refused(server, "e1/replay?from=1", token) == 503

    asyncio.run(run())


def test_a_client_that_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            gateway = await server.gateway("e1", "gw-1", points=1000)
            token = await server.token("regulator", "e1")
            url = f"{server.url}/api/v1/enterprises/e1/live"
            async with server.session.ws_connect(url, headers=token) as good:
                host, port = server.url.removeprefix("http://").split(":")
                reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
                head = f"GET /api/v1/enterprises/e1/live HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
                head += "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                head += "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                writer.write(f"{head}Authorization: {token['Authorization']}\r\n\r\n".encode())
                await reader.readline()
                worst_s = 0.0
                for n in range(10):
                    at_us = now_us()
                    await gateway.post(server.session, server.url, [gateway.seal_rows(at_us, [[n / 10] * 1000])])
                    begun = time.monotonic()
                    async with asyncio.timeout(5):
                        async for message in good:
                            if message.type is aiohttp.WSMsgType.BINARY and decode_frame(message.data).time_us == at_us:
                                break
                    worst_s = max(worst_s, time.monotonic() - begun)
                assert worst_s < 1.0
                assert server.app[WATCHED] == {"e1": 2}
                writer.transport.abort()
            async with asyncio.timeout(5):
                while server.app[WATCHED] != {"e1": 0}:  # noqa: ASYNC110  # the count has no event to wait for
                    await asyncio.sleep(0.01)

    asyncio.run(run())


def test_silence_is_put_on_record_and_its_end_too(tmp_path: Path) -> None:
    ahead = [0]

    async def run() -> None:
        async with serving(tmp_path, clock=lambda: now_us() + ahead[0]) as server:
            await server.enterprise("e1")
            gateway = await server.gateway("e1", "gw-1")
            token = await server.token("regulator", "e1")

            async def alarm(state: str) -> dict[str, Any]:
                async with asyncio.timeout(5):
                    while True:
                        url = f"{server.url}/api/v1/enterprises/e1/alarms"
                        async with server.session.get(url, headers=token) as response:
                            for row in await response.json():
                                if (row["rule"], row["state"]) == ("silent", state):
                                    return dict(row)
                        await asyncio.sleep(0.05)

            await gateway.post(server.session, server.url, [gateway.seal_rows(now_us(), [[0.5, 0, 0]])])
            ahead[0] = 200 * SECOND_US
            begun = await alarm("unacked")
            assert (begun["gateway"], begun["point"], begun["detector"], begun["end_us"]) == ("gw-1", "", "server/1", 0)
            async with server.session.get(f"{server.url}/api/v1/enterprises/e1", headers=token) as response:
                detail = await response.json()
            assert (detail["state"], detail["gateways"][0]["state"], detail["alarms"]["2"]) == ("silent", "silent", 1)
            await gateway.post(server.session, server.url, [gateway.seal_rows(now_us() + ahead[0], [[0.5, 0, 0]])])
            ended = await alarm("rtn_unacked")
            assert (ended["id"], ended["begin_us"]) == (begun["id"], begun["begin_us"])
            async with server.session.get(f"{server.url}/api/v1/enterprises/e1/changes", headers=token) as response:
                told = [row["text"] for row in await response.json() if row["kind"] == "silence"]
            assert told == ["Gateway gw-1 is silent.", "Gateway gw-1 is silent no more."]

    asyncio.run(run())


def test_a_scene_that_missed_commits_reads_them_from_the_log(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            gateway = await server.gateway("e1", "gw-1")
            live = server.app[LIVE]
            behind = Scene("e1", live.store, live.sites)
            await behind.load(now_us())
            task = asyncio.create_task(behind.run())
            for n in range(5):
                await gateway.post(server.session, server.url, [gateway.seal_rows(now_us(), [[n, 0, 0]])])
            newest = await live.store.entries("e1", 8, 1)
            behind.offer(newest)
            await behind.reach(8)
            room = await live.room("e1")
            await room.scene.reach(8)
            assert mirror.state_hash(behind.twin) == mirror.state_hash(room.scene.twin)
            behind.offer(newest)
            task.cancel()

    asyncio.run(run())


def test_a_notice_is_on_every_page_until_taken_down(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            keeper, regulator = await server.token("enterprise", "e1"), await server.token("regulator", "e1")
            url = f"{server.url}/api/v1/enterprises/e1"
            notice = {"text": "World runs ×20", "factor": 20}
            async with server.session.put(f"{url}/notices/time_scale", json=notice, headers=regulator) as response:
                assert response.status == 403
            async with server.session.put(f"{url}/notices/time_scale", json=notice, headers=keeper) as response:
                assert response.status == 204
            async with server.session.ws_connect(f"{url}/live", headers=regulator) as socket, asyncio.timeout(5):
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT and message.json()["type"] == "tick":
                        assert message.json()["notices"][0]["kind"] == "time_scale"
                        break
            async with server.session.put(f"{url}/notices/time_scale", json={"text": ""}, headers=keeper) as response:
                assert response.status == 204
            assert (await server.app[LIVE].room("e1")).notices == {}

    asyncio.run(run())
