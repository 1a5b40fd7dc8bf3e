"""Development fixture for the pages: a small server with the contract's routes over a mine computed from the clock.

Run: .venv/bin/python web/dev/fake_server.py --port 8443 [--static twin_server/static] [--people 60] [--extra 200]
Then `npm run dev` in web/. Never shipped: no package lists web/. Sign in with any name and the passphrase "demo".
Keys while it runs: GET /dev/silent?on=1 makes the gateway silent, /dev/over?on=1 overfills a zone.
"""

import argparse
import asyncio
import csv
import hashlib
import io
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import WSMsgType, web

from hardware_sim.catalogue import DevicePlan
from hardware_sim.instruments import devices
from hardware_sim.site import points_text, structure_text
from twin_wire.frame import Frame, encode_frame

E = "demo"
CSP = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
BASE = {"CH4": 0.32, "CO": 6, "O2": 20.7, "CO2": 0.12, "temperature": 21.5, "humidity": 78, "wind_speed": 2.1,
        "fan_speed": 980, "current": 84, "frequency": 49.2, "power": 37.5, "dust": 3.2, "level": 2.41, "pressure": 101.2}
DECIMALS = {"CH4": 2, "O2": 1, "wind_speed": 2, "frequency": 2, "level": 2, "power": 1, "CO": 0, "fan_speed": 0}
UNIT = {"CH4": "%", "CO": "ppm", "O2": "%", "temperature": "Cel", "humidity": "%", "wind_speed": "m/s",
        "fan_speed": "r/min", "current": "A", "frequency": "Hz", "power": "kW", "dust": "mg/m3", "level": "m"}
EPISODE_S = 600


class Mine:
    """A mine whose every number follows from the time."""

    def __init__(self, people: int, extra: int) -> None:
        self.structure = json.loads(structure_text())
        self.started = time.time()
        self.period_s = 1.0
        self.coded: tuple[int, np.ndarray] = (0, np.zeros(0, np.uint8))
        self.silent_since = 0.0
        self.over = False
        self.acks: dict[str, dict[str, Any]] = {}
        self.points = self._points(extra)
        self.ids = [p["id"] for p in self.points]
        self.tags = [f"t-{1000 + i}" for i in range(people)]
        self.layout = int.from_bytes(hashlib.sha256(repr((self.ids, self.tags)).encode()).digest()[:4], "little")
        self.roadways = [r["id"] for r in self.structure["roadways"]]
        self.zones = [z["id"] for z in self.structure["zones"]]
        self.phase = np.array([int(hashlib.sha256(i.encode()).hexdigest()[:6], 16) % 628 / 100 for i in self.ids])
        self.base = np.array([BASE.get(p["quantity"], 10.0) for p in self.points])

    def _points(self, extra: int) -> list[dict[str, Any]]:
        planned: tuple[DevicePlan, ...] = devices()
        rows = csv.DictReader(io.StringIO(points_text(planned)))
        found = []
        for row in rows:
            q = guess(row["signal"] + " " + row["name"] + " " + row["point"])
            found.append(self._point(row["point"], q, row["name"], row["zone"], row["roadway"], row["chainage_m"], row["device"]))
        for i in range(extra):
            found.append(self._point(f"plc-{i:04d}", "pressure", f"Register {i} 寄存器{i}", "", "", "", "plc-1"))
        for name in ("gateway_queue_batches", "gateway_cpu", "gateway_clock_error"):
            found.append(self._point(name, name, name, "", "", "", ""))
        return found

    def _point(self, ident: str, q: str, name: str, zone: str, roadway: str, chainage: str, device: str) -> dict[str, Any]:
        limits = []
        if q == "CH4":
            limits = [(3, "high", 0.8, 0.7, "site"), (2, "high", 1.0, 0.9, "coal-cn/1"), (1, "high", 1.5, 1.0, "coal-cn/1")]
        if q == "CO":
            limits = [(2, "high", 24, 20, "coal-cn/1")]
        return {
            "id": ident, "gateway": "gw-1", "quantity": q, "unit": UNIT.get(q, "1"), "decimals": DECIMALS.get(q, 1),
            "name": name, "zone": zone, "roadway": roadway, "chainage_m": float(chainage) if chainage else None,
            "device": device, "range_low": 0.0, "range_high": 100.0,
            "limits": [{"severity": s, "kind": k, "value": v, "restore": r, "delay_s": 3, "source": o} for s, k, v, r, o in limits],
            "value": None, "time_us": 0, "quality": 0, "alarm": 0,
        }  # fmt: skip

    def hot(self) -> list[int]:
        """Points that go through an episode, each with its own height."""
        return [i for i, p in enumerate(self.points) if p["quantity"] == "CH4"][:6]

    def values(self, t: float) -> np.ndarray:
        v = self.base * (1 + 0.03 * np.sin(t / 47 + self.phase) + 0.01 * np.sin(t / 3.1 + 5 * self.phase))
        rise = math.sin(math.pi * (t % EPISODE_S) / EPISODE_S) ** 2
        for k, i in enumerate(self.hot()):
            v[i] += rise * (1.6, 0.9, 0.62, 0.3, 0.1, 0.05)[k]
        return v

    def quality(self, t: float) -> np.ndarray:
        q = np.zeros(len(self.ids), np.uint8)
        q[7::41] = 33
        q[11::53] = 19
        return q

    def frame(self, t: float) -> bytes:
        silent = bool(self.silent_since)
        seen = min(t, self.silent_since) if silent else t
        v, q = self.values(seen), self.quality(seen)
        v[q >= 32] = np.nan
        age = np.full(len(v), 0 if not silent else int(t - seen), np.uint16)
        age[13::67] = 640
        if self.coded[0] != int(t):
            self.coded = (int(t), self._alarm_column(t))
        alarm = self.coded[1]
        roadway, chainage, zone = self.people(seen)
        n = len(self.tags)
        page = np.zeros(n, np.uint16)
        page[5::29] = 900
        return encode_frame(Frame(self.layout, int(t * 1e6), v, np.arange(n, dtype=np.uint32), chainage, np.full(n, 1.8),
                                  roadway, zone, age, page, q, alarm))  # fmt: skip

    def _alarm_column(self, t: float) -> np.ndarray:
        alarm = np.zeros(len(self.ids), np.uint8)
        for a in self.alarms(t):
            if a["state"] != "normal" and a["point"] in self.ids:
                i = self.ids.index(a["point"])
                bits = a["severity"] | (8 if a["state"] == "unacked" else 0) | (16 if a["state"] == "rtn_unacked" else 0)
                alarm[i] = bits if not alarm[i] or (alarm[i] & 7) > a["severity"] else alarm[i]
        return alarm

    def people(self, t: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        walk = [i for i, r in enumerate(self.structure["roadways"]) if r["walkable"]]
        n = len(self.tags)
        roadway, chainage, zone = np.zeros(n, np.int16), np.zeros(n), np.zeros(n, np.int16)
        for i in range(n):
            r = walk[(i * 7) % len(walk)] if i % 3 else next((k for k, e in enumerate(self.structure["roadways"]) if "heading-a" in e["zone"]), walk[0])
            if self.over or i % 3 or i < 24:
                length = self.structure["roadways"][r]["length_m"]
                roadway[i], zone[i] = r, self.zones.index(self.structure["roadways"][r]["zone"]) if self.structure["roadways"][r]["zone"] else -1
                chainage[i] = length * (0.5 + 0.45 * math.sin(t / 90 + i * 1.7)) if i % 3 else length * (0.86 + 0.02 * math.sin(t / 20 + i))
            else:
                roadway[i] = walk[i % len(walk)]
                e = self.structure["roadways"][roadway[i]]
                zone[i] = self.zones.index(e["zone"]) if e["zone"] else -1
                chainage[i] = e["length_m"] * (0.5 + 0.4 * math.sin(t / 60 + i))
        return roadway, chainage, zone

    def alarms(self, now: float, since: float | None = None) -> list[dict[str, Any]]:
        """Every crossing of a limit in the last three episodes, with its state."""
        found = []
        first = since or now - 2 * EPISODE_S
        start = math.floor(first / EPISODE_S) * EPISODE_S
        while start < now:
            grid = np.arange(start, start + EPISODE_S, 4.0)
            for i in self.hot():
                series = np.array([self.values(t)[i] for t in grid[::3]])
                for limit in self.points[i]["limits"]:
                    over = np.flatnonzero(series >= limit["value"])
                    if not len(over):
                        continue
                    begin, end = grid[over[0] * 3], grid[min(over[-1] * 3 + 3, len(grid) - 1)]
                    if begin <= now:
                        found.append(self._alarm(i, limit, float(begin), float(end), now))
            start += EPISODE_S
        found.append(self._alarm(7, {"severity": 4, "value": 0}, now // 3600 * 3600, now + 1e6, now, "device_down"))
        return found

    def _alarm(self, i: int, limit: dict[str, Any], begin: float, end: float, now: float, rule: str = "limit_high") -> dict[str, Any]:
        p = self.points[i]
        rule_id = f"{rule}/{limit['severity']}" if rule == "limit_high" else rule
        ident = hashlib.sha256(f"{p['id']} {rule_id} {begin}".encode()).hexdigest()[:16]
        ack, ended = self.acks.get(ident), end <= now
        state = ("normal" if ack else "rtn_unacked") if ended else ("acked" if ack else "unacked")
        if ended and not ack and begin < now - 900:
            ack = {"acked_us": int((begin + 60) * 1e6), "acked_by": "u-17", "note": "checked"}
            state = "normal"
        return {
            "id": ident, "gateway": "gw-1", "point": p["id"], "rule": rule_id, "severity": limit["severity"], "state": state,
            "begin_us": int(begin * 1e6), "end_us": int(end * 1e6) if ended else 0, "received_us": int((begin + 0.7) * 1e6), "late": False,
            "acked_us": 0, "acked_by": "", "note": "", **(ack or {}),
            "text": f"{p['name']} at or above {limit['value']}", "detector": "limits/1",
            "numbers": {"value": limit["value"] * 1.02, "limit": limit["value"], "delay_s": 3.0} if limit["value"] else {}, "index": 1200 + i,
        }  # fmt: skip


def guess(text: str) -> str:
    """Return the quantity a signal's words hint at; good enough for a fixture."""
    low = text.lower()
    for word, quantity in (("ch4", "CH4"), ("methane", "CH4"), ("gas", "CH4"), ("co2", "CO2"), ("o2", "O2"), ("co ", "CO"), ("co-", "CO"),
                           ("temp", "temperature"), ("hum", "humidity"), ("wind", "wind_speed"), ("air", "wind_speed"), ("speed", "fan_speed"),
                           ("current", "current"), ("freq", "frequency"), ("power", "power"), ("pm10", "dust"), ("dust", "dust"), ("level", "level")):
        if word in low:
            return quantity
    return "pressure"


mine: Mine
SESSION = {"user": "u-17", "role": "enterprise", "enterprises": [E], "csrf": "c0ffee"}
routes = web.RouteTableDef()


def problem(status: int, title: str) -> web.Response:
    return web.json_response({"title": title, "status": status}, status=status, content_type="application/problem+json")


@web.middleware
async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
    open_paths = request.path in ("/api/v1/login",) or not request.path.startswith("/api")
    if not open_paths and request.cookies.get("dev") != "1":
        return problem(401, "Sign in")
    return await handler(request)


@routes.post("/api/v1/login")
async def login(request: web.Request) -> web.Response:
    body = await request.json()
    if body.get("passphrase") != "demo":
        return problem(401, "Name or passphrase is wrong")
    answer = web.json_response(SESSION)
    answer.set_cookie("dev", "1", httponly=True, samesite="Strict")
    return answer


@routes.post("/api/v1/logout")
async def logout(_: web.Request) -> web.Response:
    answer = web.Response(status=204)
    answer.del_cookie("dev")
    return answer


@routes.get("/api/v1/me")
async def me(_: web.Request) -> web.Response:
    return web.json_response(SESSION)


def summary(detail: bool = False) -> dict[str, Any]:
    now = time.time()
    event = int((mine.silent_since or now) * 1e6)
    counts = {str(s): sum(a["severity"] == s and a["state"] != "normal" for a in mine.alarms(now)) for s in range(1, 5)}
    gateway = {"id": "gw-1", "name": "North wing gateway 北翼网关", "site": "demo-mine", "state": "silent" if mine.silent_since else "live",
               "last_event_us": event, "last_received_us": event + 640_000, "epoch": 1, "seq": 4211, "kid": "ef30-cdaa-8997-4712"}
    base = {"id": E, "name": "Demo mine (simulated) 示范煤矿（模拟）", "simulated": True, "origin": "twin.example/demo", "log_vkey": "twin.example/demo+0+x",
            "tree_size": tree(), "points": len(mine.ids), "people": len(mine.tags), "alarms": counts, "state": gateway["state"],
            "last_event_us": event, "last_received_us": event + 640_000, "completeness_24h": 0.99963, "gateways": 1}
    return {**base, "gateways": [gateway], "history_id": "6f0c2a0e-8a53-4f6b-9d6f-1f0f7d0a4c11"} if detail else base


def tree() -> int:
    return 18_420 + int(time.time() - mine.started)


@routes.get("/api/v1/enterprises")
async def enterprises(_: web.Request) -> web.Response:
    return web.json_response([summary()])


@routes.get("/api/v1/enterprises/{e}")
async def enterprise(request: web.Request) -> web.Response:
    return web.json_response(summary(True)) if request.match_info["e"] == E else problem(404, "No such enterprise")


@routes.get("/api/v1/enterprises/{e}/structure")
async def structure(_: web.Request) -> web.Response:
    return web.json_response(mine.structure)


@routes.get("/api/v1/enterprises/{e}/points")
async def points(_: web.Request) -> web.Response:
    return web.json_response(mine.points)


@routes.get("/api/v1/enterprises/{e}/points/{p}/history")
async def history(request: web.Request) -> web.Response:
    a, b, n = (int(request.query[k]) for k in ("from", "to", "buckets"))
    bucket = max(1_000_000, (b - a) // n)
    i = mine.ids.index(request.match_info["p"])
    times = [t for t in range(a // bucket * bucket, b, bucket) if t / 1e6 > mine.started - 6 * 3600 and t / 1e6 <= (mine.silent_since or time.time())]
    mean = [float(mine.values(t / 1e6)[i]) for t in times]
    bad = bool(mine.quality(0)[i] >= 32)
    return web.json_response({
        "point": mine.ids[i], "from": a, "to": b, "bucket_us": bucket, "time_us": times, "n": [0 if bad else 12 for _ in times],
        "min": [None if bad else m * 0.98 for m in mean], "max": [None if bad else m * 1.03 for m in mean], "mean": [None if bad else m for m in mean],
        "last": mean, "bad": [12 if bad else 0 for _ in times]})  # fmt: skip


@routes.get("/api/v1/enterprises/{e}/points/{p}/evidence")
async def evidence(request: web.Request) -> web.Response:
    digest = hashlib.sha256(request.match_info["p"].encode()).hexdigest()
    return web.json_response({"gateway": "gw-1", "epoch": 1, "seq": 4211, "index": tree() - 2, "digest": digest, "size": 2210, "manifest_digest": digest})


@routes.get("/api/v1/enterprises/{e}/alarms")
async def alarm_list(request: web.Request) -> web.Response:
    now = time.time()
    since = int(request.query["from"]) / 1e6 if "from" in request.query else None
    found = mine.alarms(now, max(since, now - 4 * 3600) if since else None)
    if request.query.get("active"):
        found = [a for a in found if a["state"] != "normal"]
    return web.json_response(found)


@routes.post("/api/v1/enterprises/{e}/alarms/{id}/ack")
async def acknowledge(request: web.Request) -> web.Response:
    if request.headers.get("X-CSRF-Token") != SESSION["csrf"]:
        return problem(403, "CSRF token missing")
    note = (await request.json()).get("note", "")
    ident = request.match_info["id"]
    mine.acks[ident] = {"acked_us": int(time.time() * 1e6), "acked_by": "u-17", "note": note}
    return web.json_response(next(a for a in mine.alarms(time.time()) if a["id"] == ident))


@routes.get("/api/v1/enterprises/{e}/people/{tag}/track")
async def track(request: web.Request) -> web.Response:
    i, a, b = mine.tags.index(request.match_info["tag"]), int(request.query["from"]) / 1e6, int(request.query["to"]) / 1e6
    out = []
    for t in np.linspace(a, b, 60):
        roadway, chainage, _ = mine.people(float(t))
        out.append({"time_us": int(t * 1e6), "roadway": mine.roadways[roadway[i]], "chainage_m": float(chainage[i]), "sigma_m": 1.8})
    return web.json_response(out)


@routes.get("/api/v1/enterprises/{e}/people/{tag}/name")
async def name(request: web.Request) -> web.Response:
    if not request.query.get("reason"):
        return problem(400, "A reason is needed")
    return web.json_response({"name": "张三", "team": "综采一队"})


async def stream(request: web.Request, replay: bool) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(heartbeat=20)
    await ws.prepare(request)
    at = int(request.query["from"]) / 1e6 if replay else time.time()
    speed = float(request.query.get("speed", 1))
    await ws.send_json({"type": "layout", "layout": mine.layout, "points": mine.ids, "tags": mine.tags, "roadways": mine.roadways, "zones": mine.zones})
    seen: dict[str, str] = {}
    told = 0
    while not ws.closed:
        now = time.time()
        at = min(at + speed * mine.period_s, now) if replay else now
        silent = mine.silent_since
        gateways = [{"id": "gw-1", "state": "silent" if silent else "live", "last_event_us": int((silent or now) * 1e6), "last_received_us": int((silent or now) * 1e6) + 640_000, "backlog": 0}]
        await ws.send_bytes(mine.frame(at))
        await ws.send_json({"type": "tick", "mode": "replay" if replay else "live", "server_time_us": int(now * 1e6), "as_of_us": int(at * 1e6), "tree_size": tree(),
                            "speed": speed, "gateways": gateways, "notices": [{"kind": "world", "text": "The world runs faster", "factor": 20.0, "until_us": int(now * 1e6) + 5_000_000}]})  # fmt: skip
        due = not replay and int(now) != told
        told = int(now)
        for a in mine.alarms(now) if due else []:
            if seen.get(a["id"]) != a["state"]:
                seen[a["id"]] = a["state"]
                await ws.send_json({"type": "alarm", "alarm": a})
        try:
            message = await ws.receive(timeout=mine.period_s)
        except TimeoutError:
            continue
        if message.type == WSMsgType.TEXT:
            said = json.loads(message.data)
            speed = said.get("speed", speed)
            at = said["time_us"] / 1e6 if said["type"] == "seek" else at
        elif message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
            break
    return ws


@routes.get("/api/v1/enterprises/{e}/live")
async def live(request: web.Request) -> web.WebSocketResponse:
    return await stream(request, replay=False)


@routes.get("/api/v1/enterprises/{e}/replay")
async def replay(request: web.Request) -> web.WebSocketResponse:
    return await stream(request, replay=True)


@routes.get("/dev/silent")
async def dev_silent(request: web.Request) -> web.Response:
    mine.silent_since = time.time() if request.query["on"] == "1" else 0.0
    return web.Response(text="ok")


@routes.get("/dev/over")
async def dev_over(request: web.Request) -> web.Response:
    mine.over = request.query["on"] == "1"
    return web.Response(text="ok")


def pages(static: Path) -> Any:
    async def page(request: web.Request) -> web.StreamResponse:
        path = (static / request.path.lstrip("/")).resolve()
        inside = path.is_relative_to(static) and path.is_file()
        headers = {"Content-Security-Policy": CSP, "Cache-Control": "no-store"}
        return web.FileResponse(path if inside else static / "index.html", headers=headers)

    return page


async def main() -> None:
    global mine
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8443)
    parser.add_argument("--static", type=Path, default=Path(__file__).parents[2] / "twin_server" / "static")
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--extra", type=int, default=120)
    parser.add_argument("--period", type=float, default=1.0, help="seconds between pictures")
    asked = parser.parse_args()
    mine = Mine(asked.people, asked.extra)
    mine.period_s = asked.period
    app = web.Application(middlewares=[guard])
    app.add_routes(routes)
    app.router.add_get("/{path:.*}", pages(asked.static.resolve()))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", asked.port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
