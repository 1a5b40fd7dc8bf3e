"""What waits for one client, one picture for all, and what the server says of a gateway."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from tests.support.small_mine import SECOND_US, START_US, arrival, batch, block, entry, event, manifest, site
from twin_server import alarms, twin, watch
from twin_server.live import TEXTS_MAX, Client, Notice, Room
from twin_server.scene import Scene
from twin_server.sites import Sites
from twin_server.store import open_store
from twin_server.store.rows import Gateway as GatewayRow
from twin_wire.frame import decode_frame

M = manifest()
SILENT_US = 90 * SECOND_US


def row(seq: int, *above: tuple[int, int, int]) -> GatewayRow:
    return GatewayRow("gw-1", "", "", b"", b"", 1, 0, -1, seq, b"", above, 0, 0, 0)


def test_a_client_keeps_every_text_and_only_the_newest_picture() -> None:
    async def run() -> None:
        client = Client()
        for n in range(5):
            client.text(f"t{n}")
            client.show(bytes([n + 1]), f"tick{n}")
        assert list(client.texts) == [f"t{n}" for n in range(5)]
        assert (client.picture, client.tick, client.full) == (b"\x05", "tick4", False)

    asyncio.run(run())


def test_a_client_that_cannot_keep_up_with_texts_is_let_go() -> None:
    async def run() -> None:
        client = Client()
        for n in range(TEXTS_MAX + 1):
            client.text(str(n))
        assert client.full
        assert len(client.texts) == TEXTS_MAX

    asyncio.run(run())


def in_room(tmp_path: Path, work: Callable[[Room], Awaitable[None]]) -> None:
    """Run `work` with the room of a scene that has heard one batch."""

    async def run() -> None:
        store = open_store(f"sqlite:{tmp_path}")
        scene = Scene("e1", store, Sites(store))
        data = batch(M, [block(M, [START_US], [[1, 2, 3]])])
        scene.twin, _ = twin.apply(scene.twin, arrival("gw-1", 1, START_US), data, site(M))
        scene.book, _ = alarms.put(scene.book, [alarms.word(event(START_US), entry(1, START_US))])
        watched: dict[str, int] = {}
        room = Room(scene, watched)
        await work(room)
        await store.close()

    asyncio.run(run())


def test_everyone_gets_the_very_same_bytes_and_five_hundred_are_cheap(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        clients = [room.join(START_US) for _ in range(500)]
        task = asyncio.create_task(room.run())
        begun = time.perf_counter()
        for listener in room.scene.listeners:
            listener([])
        await asyncio.sleep(0.01)
        spent_s = time.perf_counter() - begun
        task.cancel()
        pictures = {id(client.picture) for client in clients}
        assert len(pictures) == 1
        assert clients[0].picture is not None
        assert decode_frame(clients[0].picture).value.tolist() == [1, 2, 3]
        assert spent_s < 0.2

    in_room(tmp_path, work)


def test_changes_are_gathered_to_at_most_five_pictures_a_second(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        client = room.join(START_US)
        task = asyncio.create_task(room.run())
        shown = 0
        for _ in range(40):
            client.picture = None
            room.scene.listeners[0]([])
            await asyncio.sleep(0.01)
            shown += client.picture is not None
        task.cancel()
        assert 1 <= shown <= 4

    in_room(tmp_path, work)


def test_a_room_says_that_it_is_watched_while_somebody_is_there(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        one, two = room.join(START_US), room.join(START_US + 5)
        assert room._watched == {"e1": 2}
        assert room.watched_since_us == START_US
        room.leave(one, START_US)
        room.leave(two, START_US)
        assert room._watched == {"e1": 0}
        assert room.watched_since_us is None

    in_room(tmp_path, work)


def test_an_alarm_reaches_every_client_as_text(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        client = room.join(START_US)
        room.scene.listeners[0](alarms.alarms(room.scene.book))
        message = msgspec.json.decode(client.texts[-1])
        assert (message["type"], message["alarm"]["state"], message["alarm"]["point"]) == ("alarm", "unacked", "p0")

    in_room(tmp_path, work)


def test_a_tick_carries_gateways_and_notices_until_they_end(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        client = room.join(START_US)
        room.notices["time_scale"] = Notice("time_scale", "World runs ×20", 20.0, START_US + 5 * SECOND_US)
        room.tick(START_US + SECOND_US, SILENT_US)
        tick = msgspec.json.decode(client.tick or "")
        assert tick["notices"][0]["factor"] == 20
        assert tick["gateways"] == [
            {
                "id": "gw-1", "state": "live", "last_event_us": START_US, "last_received_us": START_US + SECOND_US,
                "backlog": 0,
            }
        ]  # fmt: skip
        room.tick(START_US + 6 * SECOND_US, SILENT_US)
        assert msgspec.json.decode(client.tick or "")["notices"] == []

    in_room(tmp_path, work)


def heard(delay_s: float = 1.0, at_us: int = START_US) -> twin.Twin:
    data = batch(M, [block(M, [at_us], [[1, 2, 3]])])
    state, _ = twin.apply(twin.empty(), arrival("gw-1", 1, at_us, delay_s), data, site(M))
    return state


@pytest.mark.parametrize(
    ("after_s", "missing", "period_us", "expected"),
    [
        (5, 0, watch.PERIOD_US, "live"),
        (40, 0, watch.PERIOD_US, "late"),
        (100, 0, watch.PERIOD_US, "silent"),
        (5, 3, watch.PERIOD_US, "backfilling"),
        (4, 0, watch.WATCHED_PERIOD_US, "live"),
        (8, 0, watch.WATCHED_PERIOD_US, "late"),
        (20, 0, watch.WATCHED_PERIOD_US, "silent"),
    ],
)
def test_the_state_of_a_gateway(after_s: int, missing: int, period_us: int, expected: str) -> None:
    gateway = heard().gateways["gw-1"]
    assert watch.state(gateway, missing, START_US + after_s * SECOND_US, period_us, SILENT_US) == expected


def test_old_readings_that_arrive_now_are_backfilling() -> None:
    gateway = heard(delay_s=3600).gateways["gw-1"]
    assert watch.state(gateway, 0, START_US + 3601 * SECOND_US, watch.PERIOD_US, SILENT_US) == "backfilling"


def test_holes_are_counted_in_the_newest_epoch() -> None:
    assert watch.holes(row(4, (1, 7, 9), (1, 12, 12), (0, 90, 99))) == [(1, 5, 6), (1, 10, 11)]
    assert watch.missing(row(4, (1, 7, 9), (1, 12, 12))) == 4
    assert watch.missing(None) == 0


def conditions(state: twin.Twin, after_s: float, started_s: float = -1000) -> list[str]:
    now_us, started_us = (START_US + int(s * SECOND_US) for s in (after_s, started_s))
    return [each.rule for each in watch.conditions(state, now_us, started_us, SILENT_US)]


def test_silence_lateness_and_a_clock_ahead_are_seen() -> None:
    assert conditions(heard(), 60) == []
    assert conditions(heard(), 100) == ["silent"]
    assert conditions(heard(), 100, started_s=50) == [], "after a restart everybody has time to speak"
    assert conditions(heard(delay_s=300), 301) == ["late"]
    assert conditions(heard(delay_s=-8), -7) == ["clock"]
    assert conditions(twin.put_site(twin.empty(), arrival("gw-1", 0, START_US), site(M)), 10) == []


def test_a_condition_is_put_on_record_once_and_ended_once() -> None:
    state, book = heard(), alarms.empty()
    for after_s, expected in ((100, [0]), (110, []), (120, [])):
        now_us = START_US + after_s * SECOND_US
        found = list(watch.words(book, state, watch.conditions(state, now_us, 0, SILENT_US), now_us))
        assert [word.end_us for word in found] == expected
        book, _ = alarms.put(book, [word._replace(seq=after_s) for word in found])
    assert [(a.rule, a.begin_us, a.late) for a in alarms.alarms(book)] == [("silent", START_US + SECOND_US, False)]
    back_us = START_US + 130 * SECOND_US
    state, _ = twin.apply(state, arrival("gw-1", 2, back_us), batch(M, [block(M, [back_us], [[1, 2, 3]])]), site(M))
    (end,) = watch.words(book, state, watch.conditions(state, back_us + SECOND_US, 0, SILENT_US), back_us + SECOND_US)
    assert end.end_us == back_us + SECOND_US
    book, _ = alarms.put(book, [end._replace(seq=130)])
    assert alarms.alarms(book)[0].state == "rtn_unacked"


def test_what_a_silent_gateway_does_nobody_knows() -> None:
    late = heard(delay_s=300)
    book, now_us = alarms.empty(), START_US + 301 * SECOND_US
    words = list(watch.words(book, late, watch.conditions(late, now_us, 0, SILENT_US), now_us))
    book, _ = alarms.put(book, words)
    later_us = now_us + 200 * SECOND_US
    found = list(watch.words(book, late, watch.conditions(late, later_us, 0, SILENT_US), later_us))
    assert [(word.rule, word.end_us) for word in found] == [("silent", 0)]


def test_an_enterprise_is_as_well_as_its_worst_gateway() -> None:
    assert watch.worst(["live", "backfilling"]) == "backfilling"
    assert watch.worst(["live", "silent", "late"]) == "silent"
    assert watch.worst([]) == "silent"
