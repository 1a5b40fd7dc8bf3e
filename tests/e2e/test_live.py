"""A gateway posts, a page sees it: live, replay, history, alarms; over a real server on loopback."""

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from tests.support.server import Server, serving
from tests.support.small_mine import SECOND_US, batch, block, event, fixes
from twin_server import twin as mirror
from twin_server.live import LIVE
from twin_wire.frame import Frame, decode_frame


def now_us() -> int:
    return time.time_ns() // 1000


class Watcher:
    """A page's socket: the newest layout, pictures, ticks and alarms in the order they came."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.layout: dict[str, Any] = {}
        self.ticks: list[dict[str, Any]] = []
        self.alarms: list[dict[str, Any]] = []

    async def picture(self, timeout_s: float = 5.0) -> Frame:
        """Return the next picture, its layout already here."""
        async with asyncio.timeout(timeout_s):
            while True:
                message = await self.socket.receive()
                if message.type is aiohttp.WSMsgType.BINARY:
                    frame = decode_frame(message.data)
                    assert frame.layout == self.layout["layout"], "the layout comes before its pictures"
                    return frame
                assert message.type is aiohttp.WSMsgType.TEXT, message
                self._text(message.json())

    async def until(self, done: Any, timeout_s: float = 5.0) -> Frame:
        async with asyncio.timeout(timeout_s):
            while not done(frame := await self.picture(timeout_s)):
                pass
        return frame

    async def tick(self) -> dict[str, Any]:
        """Return the newest tick, waiting for the first."""
        async with asyncio.timeout(5):
            while not self.ticks:
                message = await self.socket.receive()
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._text(message.json())
        return self.ticks[-1]

    def values(self, frame: Frame) -> dict[str, float]:
        return dict(zip(self.layout["points"], frame.value.tolist(), strict=True))

    def _text(self, message: dict[str, Any]) -> None:
        if message["type"] == "layout":
            self.layout = message
        elif message["type"] == "tick":
            self.ticks.append(message)
        else:
            self.alarms.append(message["alarm"])


def columns(layout: dict[str, Any], frame: Frame) -> dict[str, Any]:
    """A picture by names, free of the order of its columns; values as text, so that NaN equals NaN."""
    points = (map(repr, frame.value.tolist()), frame.quality.tolist(), frame.alarm.tolist(), frame.point_age_s.tolist())
    where = (frame.roadway.tolist(), frame.chainage_m.tolist(), frame.zone.tolist(), frame.person_age_s.tolist())
    tags = [layout["tags"][tag] for tag in frame.tag.tolist()]
    return {
        "points": dict(zip(layout["points"], zip(*points, strict=True), strict=True)),
        "people": dict(zip(tags, zip(*where, strict=True), strict=True)),
    }


async def get(server: Server, path: str, headers: dict[str, str], **query: Any) -> Any:
    url = f"{server.url}/api/v1/enterprises/e1{path}"
    async with server.session.get(url, headers=headers, params=query) as response:
        assert response.status == 200, await response.text()
        return await response.json()


def test_a_reading_is_on_the_page_once_it_is_posted(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            gateway = await server.gateway("e1", "gw-1")
            token = await server.token("enterprise", "e1")
            async with server.session.ws_connect(f"{server.url}/api/v1/enterprises/e1/live", headers=token) as socket:
                page = Watcher(socket)
                await page.picture()
                answer = await gateway.post(
                    server.session, server.url, [gateway.seal_rows(now_us(), [[0.5, 0.6, 0.7]])]
                )
                assert answer.watch, "the gateway learns that somebody looks"
                frame = await page.until(lambda f: f.value[0] == 0.5)
                assert page.values(frame) == {"p0": 0.5, "p1": 0.6, "p2": 0.7}
                tick = await page.tick()
                assert (tick["mode"], tick["tree_size"], tick["gateways"][0]["state"]) == ("live", 5, "live")

    asyncio.run(run())


def test_an_alarm_is_raised_acknowledged_and_on_record(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            gateway = await server.gateway("e1", "gw-1")
            csrf = await signed_in(server, "enterprise")
            url = f"{server.url}/api/v1/enterprises/e1"
            async with server.session.ws_connect(f"{url}/live", headers={"Origin": server.url}) as socket:
                page = Watcher(socket)
                begin_us = now_us() - 2 * SECOND_US
                await gateway.post(
                    server.session, server.url, [gateway.seal_rows(now_us(), [[1.2, 0, 0]], [event(begin_us)])]
                )
                frame = await page.until(lambda f: f.alarm[0])
                assert frame.alarm[0] == 1 | 0b1000
                assert [a["state"] for a in page.alarms] == ["unacked"]
                alarm = (await get(server, "/alarms", {}, active=1))[0]
                async with server.session.post(
                    f"{url}/alarms/{alarm['id']}/ack", json={"note": "fan checked"}, headers={"X-CSRF-Token": csrf}
                ) as response:
                    acked = await response.json()
                assert (acked["state"], acked["note"]) == ("acked", "fan checked")
                assert acked["acked_by"].startswith("u-")
                await page.until(lambda f: f.alarm[0] == 1)
                end = event(begin_us, now_us())
                await gateway.post(server.session, server.url, [gateway.seal_rows(now_us(), [[0.5, 0, 0]], [end])])
                await page.until(lambda f: f.alarm[0] == 0)
                assert [a["state"] for a in page.alarms] == ["unacked", "acked", "normal"]
            told = await get(server, "/changes", {})
            assert told[-1]["kind"] == "acknowledgement"
            assert told[-1]["summary"]["by"] == acked["acked_by"]
            assert (await get(server, "/alarms", {}, **{"from": begin_us, "to": begin_us + 1}))[0]["state"] == "normal"

    asyncio.run(run())


async def signed_in(server: Server, role: str) -> str:
    """Sign a person in on the server's client session and return the CSRF token."""
    from twin_server.context import ACCESS  # the app's own way to add a person

    await server.app[ACCESS].add_user("keeper", "correct horse battery", role, ("e1",))
    async with server.session.post(
        f"{server.url}/api/v1/login", json={"name": "keeper", "passphrase": "correct horse battery"}
    ) as response:
        assert response.status == 200, await response.text()
        cookie = response.cookies["twin_session"]
        server.session.cookie_jar.clear()
        server.session.headers["Cookie"] = f"twin_session={cookie.value}"  # a jar keeps none for an IP address
        return str((await response.json())["csrf"])


def test_replay_shows_the_same_columns_as_live_did(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            gateway = await server.gateway("e1", "gw-1")
            token = await server.token("enterprise", "e1")
            url = f"{server.url}/api/v1/enterprises/e1"
            seen: list[tuple[int, dict[str, Any]]] = []
            start_us = (now_us() // SECOND_US - 30) * SECOND_US
            async with server.session.ws_connect(f"{url}/live", headers=token) as socket:
                page = Watcher(socket)
                for n in range(8):
                    at_us = start_us + n * SECOND_US
                    rows = block(gateway.manifest, [at_us], [[n / 10, float("nan"), 1]])
                    rows.quality[1, 0] = 33
                    moved = fixes([(at_us, "t1", 0, 5.0 + n, 1), (at_us, "t2", 1, 50.0 - n, 2)][: 1 + n % 2])
                    said = [event(start_us + 3 * SECOND_US)] if n == 3 else []
                    said = [event(start_us + 3 * SECOND_US, at_us)] if n == 6 else said
                    sealed = gateway.seal_batch(batch(gateway.manifest, [rows], moved, said))
                    await gateway.post(server.session, server.url, [sealed])
                    frame = await page.until(lambda f, at=at_us: f.time_us == at)
                    seen.append((at_us, columns(page.layout, frame)))
            for at_us, live in reversed(seen):
                async with server.session.get(f"{url}/frame", params={"t": at_us}, headers=token) as response:
                    frame = decode_frame(await response.read())
                layout = await get(server, "/layout", token, t=at_us)
                assert columns(layout, frame) == live
                assert frame.layout == layout["layout"]
            async with server.session.ws_connect(f"{url}/replay?from={start_us}&speed=0", headers=token) as socket:
                page = Watcher(socket)
                first = await page.picture()
                assert columns(page.layout, first) == seen[0][1]
                for at_us, live in (seen[5], seen[2], seen[7]):
                    await socket.send_json({"type": "seek", "time_us": at_us})
                    frame = await page.until(lambda f, at=at_us: f.time_us == at)
                    assert columns(page.layout, frame) == live
                assert page.ticks[-1]["mode"] == "replay"
                await socket.send_json({"type": "seek", "time_us": start_us})
                await socket.send_json({"type": "speed", "speed": 20})
                frame = await page.until(lambda f: f.time_us >= start_us + 7 * SECOND_US)
                assert frame.value[0] == 0.7

    asyncio.run(run())


def test_a_picture_inside_a_batch_holds_nothing_that_came_after(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            gateway = await server.gateway("e1", "gw-1")
            token = await server.token("regulator", "e1")
            start_us = (now_us() // SECOND_US - 60) * SECOND_US
            times = [start_us + n * SECOND_US for n in range(10)]
            rows = block(gateway.manifest, times, [[n / 10, 1, 2] for n in range(10)])
            moved = fixes([(at_us, "t1", 0, 10.0 + n, 1) for n, at_us in enumerate(times)])
            said = [event(times[6])]
            await gateway.post(
                server.session, server.url, [gateway.seal_batch(batch(gateway.manifest, [rows], moved, said))]
            )
            url = f"{server.url}/api/v1/enterprises/e1"
            for second in (9, 6, 5, 0, 5.5):
                at_us = start_us + int(second * SECOND_US)
                async with server.session.get(f"{url}/frame", params={"t": at_us}, headers=token) as response:
                    frame = decode_frame(await response.read())
                assert (frame.value[0], frame.chainage_m[0]) == (int(second) / 10, 10 + int(second))
                assert bool(frame.alarm[0]) == (second >= 6)
                assert frame.point_age_s[0] == 0
            async with server.session.get(f"{url}/frame", params={"t": start_us - 1}, headers=token) as response:
                frame = decode_frame(await response.read())
            assert np.isnan(frame.value).all()
            assert len(frame.tag) == 0

    asyncio.run(run())


def test_a_restart_shows_the_same_twin(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            gateway = await server.gateway("e1", "gw-1")
            at_us = now_us()
            where = fixes([(at_us, "t1", 0, 5.0, 1)])
            rows = block(gateway.manifest, [at_us], [[1, 2, 3]])
            await gateway.post(
                server.session, server.url, [gateway.seal_batch(batch(gateway.manifest, [rows], where, [event(at_us)]))]
            )
            first = (await server.app[LIVE].room("e1")).scene
            was = mirror.state_hash(first.twin), first.book
        async with serving(tmp_path) as server:
            again = (await server.app[LIVE].room("e1")).scene
            assert (mirror.state_hash(again.twin), again.book) == was
            await server.app[LIVE].store.write("e1", lambda tx: tx.put_note("twin", b"from another version"))
        async with serving(tmp_path) as server:
            bare = (await server.app[LIVE].room("e1")).scene
            assert mirror.state_hash(bare.twin) == was[0]

    asyncio.run(run())


def test_history_evidence_and_export_agree_with_what_was_sent(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            gateway = await server.gateway("e1", "gw-1")
            token = await server.token("regulator", "e1")
            start_us = (now_us() // SECOND_US - 120) * SECOND_US
            for n in range(0, 100, 10):
                rows = [[k / 100, 1.5, -2] for k in range(n, n + 10)]
                await gateway.post(server.session, server.url, [gateway.seal_rows(start_us + n * SECOND_US, rows)])
            span = {"from": start_us, "to": start_us + 100 * SECOND_US}
            exact = await get(server, "/points/p0/history", token, **span, buckets=500)
            assert exact["bucket_us"] == 0
            assert exact["last"] == [k / 100 for k in range(100)]
            some = await get(server, "/points/p0/history", token, **span, buckets=10)
            assert sum(some["n"]) == 100
            assert max(v for v in some["max"] if v is not None) == 0.99
            wide = {"from": start_us - 10**12, "to": start_us + 10**9}
            coarse = await get(server, "/points/p0/history", token, **wide, buckets=200)
            assert (sum(coarse["n"]), coarse["bucket_us"] % 60_000_000) == (100, 0)
            held = await get(server, "/points/p0/evidence", token, time_us=start_us + 25 * SECOND_US)
            assert (held["gateway"], held["seq"], held["time_us"]) == ("gw-1", 3 + 2, start_us + 25 * SECOND_US)
            latest = await get(server, "/points/p0/evidence", token)
            assert latest["seq"] == 3 + 9
            async with server.session.get(
                f"{server.url}/api/v1/enterprises/e1/export.csv", params=span, headers=token
            ) as response:
                lines = (await response.text()).splitlines()
            assert len(lines) == 1 + 300
            assert {line.split(",")[4] for line in lines[1:] if ",p0," in line} == {
                f"{k / 100:.2f}" for k in range(100)
            }
            whole = await get(server, "/completeness", token, **span, bucket_us=60_000_000)
            assert sum(whole[0]["received"]) == 300

    asyncio.run(run())


def test_two_enterprises_never_leak_into_each_other(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as server:
            for enterprise, gateways in (("e1", ("gw-1",)), ("e2", ("gw-2", "gw-3"))):
                await server.enterprise(enterprise)
                for name in gateways:
                    gateway = await server.gateway(enterprise, name)
                    await gateway.post(server.session, server.url, [gateway.seal_rows(now_us(), [[1, 2, 3]])])
            token = await server.token("enterprise", "e1")
            async with server.session.get(f"{server.url}/api/v1/enterprises", headers=token) as response:
                assert [row["id"] for row in await response.json()] == ["e1"]
            from twin_server.api import ROUTES

            for route in ROUTES:
                if "{e}" not in route.path:
                    continue
                path = route.path.format(e="e2", p="p0", id="0" * 16, tag="t1", kind="x", index=0, g="gw-1")
                query = {"from": "1", "to": "2", "reason": "because", "t": "1"}
                asked = {p.name: query[p.name] for p in route.parameters if p.name in query}
                for headers, status in ((token, 404), ({}, 401), ({"Authorization": "Bearer mtt_x"}, 401)):
                    async with server.session.request(
                        route.method, server.url + path, params=asked, headers=headers
                    ) as response:
                        text = await response.text()
                        assert response.status == status, (route.path, status, text)
                        assert "gw-2" not in text
            assert np.isfinite((await server.app[LIVE].room("e2")).scene.twin.points.value).all()

    asyncio.run(run())
