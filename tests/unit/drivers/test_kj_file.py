"""The folder of a KJ host: what is taken, once, and where it goes; the link and its sources."""

import asyncio
import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers import (
    DeviceOptions,
    History,
    Link,
    PointOptions,
    Sightings,
    Source,
    check_options,
    kj_folder,
    load_profile,
    open_link,
)
from drivers.kj_folder import SETTLE_S
from tests.support.kj_files import CH4, CO, MINE, defined, definitions, drop, name, person, reading, text
from twin_wire.errors import ConfigError, LinkError
from twin_wire.readings import Block, Quality

PERIOD_S = 30.0
STATION = f"{MINE}0001000007"


class HandClock:
    """Two clocks moved by hand, so that a test owns the time."""

    def __init__(self) -> None:
        self.now_s = float(int(time.time()))

    def time_us(self) -> int:
        return round(self.now_s * 1e6)

    def monotonic_s(self) -> float:
        return self.now_s


class Rig:
    """A link on a folder, read as often as a test wants."""

    def __init__(self, folder: Path, clock: HandClock, link: Link, sources: Sequence[Source]) -> None:
        self.inbox, self.clock, self.link, self.sources = folder / "inbox", clock, link, sources

    async def read(self, place: int = 0) -> dict[str, list[tuple[float, int, bool]]]:
        """Return point -> (value, quality, late) of everything new."""
        self.clock.now_s += 1.0
        got: dict[str, list[tuple[float, int, bool]]] = {}
        for arrival in await self.sources[place].read(self.clock.now_s):
            block: Any = arrival.block if isinstance(arrival, History) else arrival
            if isinstance(block, Block):
                rows = zip(block.value[0].tolist(), block.quality[0].tolist(), strict=True)
                got.setdefault(block.points[0], []).extend((v, q, isinstance(arrival, History)) for v, q in rows)
        return got

    def faults(self) -> dict[str, int]:
        return dict(self.link.faults)  # type: ignore[attr-defined]

    def reading(self, value: str, time_s: float) -> Path:
        return drop(self.inbox, name("CDSS", time_s), text(time_s, reading(CH4, value, time_s)))


async def rig(folder: Path, clock: HandClock, points: dict[str, str] | None = None, **options: object) -> Rig:
    inbox = folder / "inbox"
    inbox.mkdir(exist_ok=True)
    link = await open_link("kj-file", {"folder": str(inbox), **options}, clock)
    devices = [
        DeviceOptions(id="kj", profile=load_profile("kj-host"), period_s=PERIOD_S),
        DeviceOptions(id="people", profile=load_profile("kj-people"), period_s=300.0),
    ]
    points = {"ch4": f"ch4:{CH4}"} if points is None else points
    people = ("headcount", "area_headcount", "station")
    rows = [
        PointOptions(id=p, device="people" if s.split(":")[0] in people else "kj", signal=s) for p, s in points.items()
    ]
    return Rig(folder, clock, link, link.sources(devices, rows))


def define(inbox: Path, time_s: float) -> None:
    content = definitions(time_s, defined(CH4, "0001", "%CH4"), defined(CO, "0004", "ppm"))
    drop(inbox, name("CDDY", time_s), content)


@pytest.mark.parametrize("done", [False, True])
def test_a_file_is_taken_once_over_restarts_and_whatever_its_name(tmp_path: Path, done: bool) -> None:
    options = {"done": str(tmp_path / "done")} if done else {}
    clock = HandClock()

    async def main() -> None:
        one = await rig(tmp_path, clock, **options)
        define(one.inbox, clock.now_s - 60)
        path = one.reading("0.42", clock.now_s)
        assert await one.read() == {"ch4": [(0.42, Quality.GOOD, False)]}
        assert await one.read() == {}
        assert path.exists(), "not let go before its rows can be sealed"
        clock.now_s += SETTLE_S
        await one.read()
        assert path.exists() != done
        content = (tmp_path / "done" / path.name if done else path).read_bytes()
        drop(one.inbox, path.name, content)
        drop(one.inbox, name("CDSS", clock.now_s), content)
        assert await one.read() == {}
        assert one.faults() == {"repeated": 2}
        clock.now_s += SETTLE_S
        await one.link.close()
        again = await rig(tmp_path, clock, **options)
        assert await again.read() == {}
        assert again.faults() == {}
        one.reading("0.43", clock.now_s)
        assert await again.read() == {"ch4": [(0.43, Quality.GOOD, False)]}, "its definition is remembered too"

    asyncio.run(main())


def test_a_name_in_another_character_set_is_told_in_words_that_can_be_shown(tmp_path: Path) -> None:
    clock = HandClock()

    async def main() -> None:
        one = await rig(tmp_path, clock)
        (one.inbox / os.fsdecode("瓦斯.txt".encode("gbk"))).write_bytes(b"x")
        await one.read()
        assert one.faults() == {"name": 1}
        source = one.sources[0]
        assert source.fault is not None
        str(source.fault).encode()

    asyncio.run(main())


def test_one_content_under_ever_new_names_is_not_remembered_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kj_folder, "TAKEN_MAX", 8)
    clock = HandClock()

    async def main() -> None:
        one = await rig(tmp_path, clock, done=str(tmp_path / "done"))
        content = text(clock.now_s, reading(CH4, "0.42", clock.now_s))
        for n in range(40):
            drop(one.inbox, name("CDSS", clock.now_s - 900 + n), content)
            with contextlib.suppress(LinkError):  # nothing new comes for long
                await one.read()
            clock.now_s += SETTLE_S
        await one.link.close()
        journal = (tmp_path / "inbox.memory" / "taken.txt").read_text("ascii").splitlines()
        assert len(journal) <= 10

    asyncio.run(main())


def test_a_power_cut_before_sealing_makes_a_file_be_read_again(tmp_path: Path) -> None:
    clock = HandClock()

    async def main() -> None:
        one = await rig(tmp_path, clock)
        one.reading("0.42", clock.now_s)
        assert len(await one.read()) == 1
        again = await rig(tmp_path, clock)  # nothing was closed
        assert len(await again.read()) == 1

    asyncio.run(main())


def test_a_growing_file_is_left_alone_and_given_up_after_ten_minutes(tmp_path: Path) -> None:
    clock = HandClock()

    async def main() -> None:
        one = await rig(tmp_path, clock, done=str(tmp_path / "done"))
        whole = text(clock.now_s, reading(CH4, "0.42", clock.now_s)).encode()
        path = one.inbox / name("CDSS", clock.now_s)
        for size in (0, 10, len(whole) - 1, len(whole)):
            path.write_bytes(whole[:size])
            got = await one.read()
            assert len(got) == (size == len(whole))
        half = one.inbox / name("CDSS", clock.now_s + 1)
        half.write_bytes(whole[:-2])
        await one.read()
        assert one.faults()["incomplete"] == 2
        clock.now_s += 700
        with pytest.raises(LinkError, match="no CDSS file for"):
            await one.read()
        with pytest.raises(LinkError):
            await one.read()
        assert one.faults()["abandoned"] == 1
        assert (tmp_path / "done" / "refused" / half.name).exists()

    asyncio.run(main())


def test_refused_files_are_put_aside_with_their_names_and_never_followed_elsewhere(tmp_path: Path) -> None:
    clock = HandClock()

    async def main() -> None:
        one = await rig(tmp_path, clock, done=str(tmp_path / "done"))
        secret = tmp_path / "secret.txt"
        secret.write_text(text(clock.now_s, reading(CH4, "9", clock.now_s)))
        (one.inbox / name("CDSS", clock.now_s + 9)).symlink_to(secret)
        os.mkfifo(one.inbox / name("CDSS", clock.now_s + 8))
        (one.inbox / "readme.txt").write_text("hello")
        drop(one.inbox, name("CDSS", clock.now_s), text(clock.now_s, reading(CH4, "0.4", clock.now_s)).encode("gbk"))
        drop(one.inbox, name("CDSS", clock.now_s + 400), text(clock.now_s + 400, reading(CH4, "0.4", clock.now_s)))
        drop(one.inbox, name("YCBJ", clock.now_s), "anything")
        assert await one.read() == {}
        assert one.faults() == {"symlink": 2, "name": 1, "charset": 1, "future": 1}
        await one.read()
        assert len(list((tmp_path / "done" / "refused").iterdir())) == 2
        assert secret.exists()

    asyncio.run(main())


def test_late_files_are_history_and_old_ones_are_put_away_unread(tmp_path: Path) -> None:
    clock = HandClock()

    async def main() -> None:
        one = await rig(tmp_path, clock, backlog_h=1.0)
        define(one.inbox, clock.now_s - 600)
        one.reading("0.3", clock.now_s - 60)
        one.reading("0.5", clock.now_s)
        one.reading("9.9", clock.now_s - 7200)
        assert await one.read() == {"ch4": [(0.3, 0, False), (0.5, 0, False)]}, "in the order of their times"
        one.reading("0.4", clock.now_s - 31)
        assert await one.read() == {"ch4": [(0.4, 0, True)]}
        assert one.faults() == {"missing": 1, "old": 1, "late": 1}
        assert one.sources[0].stats.late == 1

    asyncio.run(main())


def test_silence_is_a_fault_only_when_a_file_is_overdue(tmp_path: Path) -> None:
    clock = HandClock()

    async def main() -> None:
        one = await rig(tmp_path, clock, {"ch4": f"ch4:{CH4}", "all": "headcount", "n": "fault:incomplete"})
        assert await one.read() == {}
        clock.now_s += 3 * PERIOD_S
        (one.inbox / name("CDSS", clock.now_s)).write_text("half")
        with pytest.raises(LinkError) as caught:
            await one.read()
        assert "incomplete" in caught.value.hint
        one.reading("0.4", clock.now_s)
        assert (await one.read(1)).keys() == {"ch4"}, "people have another period and are not overdue yet"
        clock.now_s += 1_000
        one.reading("0.5", clock.now_s)
        with pytest.raises(LinkError, match="RYSS"):
            await one.read(1)
        assert (await one.read(2)).keys() == {"ch4", "n"}, "nothing is lost with the other source's complaint"

    asyncio.run(main())


def test_people_become_sightings_under_tags_that_lead_to_no_card(tmp_path: Path) -> None:
    clock = HandClock()

    async def main() -> None:
        one = await rig(tmp_path, clock, {"all": "headcount"}, stations={STATION: 7})
        seen: list[Sightings] = []
        for _ in range(2):
            clock.now_s += 300
            people = [person(f"{MINE}0000{k}", STATION if k else "elsewhere", clock.now_s) for k in range(3)]
            drop(one.inbox, name("RYSS", clock.now_s), text(clock.now_s, *people))
            arrivals = await one.sources[0].read(clock.now_s)
            seen += [a for a in arrivals if isinstance(a, Sightings)]
        assert [s.anchor_id.tolist() for s in seen] == [[7, 7], [7, 7]]
        assert seen[0].tag == seen[1].tag
        assert len(set(seen[0].tag)) == 2
        assert seen[0].anchor_device == "people"
        assert np.isnan(seen[0].rssi_dbm).all()
        assert MINE not in repr(seen)
        assert one.faults()["unknown_station"] == 2
        book = tmp_path / "inbox.memory" / "tags.csv"
        assert book.stat().st_mode & 0o777 == 0o600
        assert "张三" not in book.read_text()
        again = await rig(tmp_path, clock, {"all": "headcount"}, stations={STATION: 7})
        clock.now_s += 300
        people = [person(f"{MINE}0000{k}", STATION, clock.now_s) for k in (1, 2)]
        drop(again.inbox, name("RYSS", clock.now_s), text(clock.now_s, *people))
        *_, sighting = [a for a in await again.sources[0].read(clock.now_s) if isinstance(a, Sightings)]
        assert sighting.tag == seen[0].tag

    asyncio.run(main())


def test_a_disk_that_refuses_holds_up_no_reading(tmp_path: Path) -> None:
    clock = HandClock()

    async def main() -> None:
        one = await rig(tmp_path, clock, done=str(tmp_path / "done"))
        define(one.inbox, clock.now_s - 60)
        one.reading("0.42", clock.now_s)
        assert len(await one.read()) == 1
        (tmp_path / "done").rename(tmp_path / "gone")
        clock.now_s += SETTLE_S
        one.reading("0.43", clock.now_s)
        assert (await one.read())["ch4"] == [(0.43, Quality.GOOD, False)]
        assert await one.read() == {}
        journal = tmp_path / "inbox.memory" / "taken.txt"
        assert len(journal.read_text().splitlines()) == 2
        journal.unlink()
        journal.mkdir()
        clock.now_s += SETTLE_S
        one.reading("0.44", clock.now_s)
        assert (await one.read())["ch4"] == [(0.44, Quality.GOOD, False)]
        await one.read()
        assert one.faults().keys() == {"put_away"}
        assert "taken.txt" in str(one.sources[0].fault)

    asyncio.run(main())


def test_a_long_backlog_comes_in_order_and_says_nothing_against_the_clock(tmp_path: Path) -> None:
    clock = HandClock()

    async def main() -> None:
        one = await rig(tmp_path, clock)
        define(one.inbox, clock.now_s - 10_000)
        for n in range(301):
            one.reading(f"0.{n:03}", clock.now_s - (300 - n) * 30)
        first, second = await one.read(), await one.read()
        values = [value for value, _, _ in first["ch4"] + second["ch4"]]
        assert values == [float(f"0.{n:03}") for n in range(301)]
        assert one.faults() == {}

    asyncio.run(main())


def test_what_cannot_be_configured_is_told_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check_options("kj-file", {"folder": "inbox", "done": "x", "units": {"a": "b"}, "dialect": "x", "y": 1})
    assert {path for path, _ in caught.value.faults} == {"dialect", "y"}
    with pytest.raises(ConfigError) as caught:
        check_options("kj-file", {"folder": "inbox", "done": "x", "units": {"a": "b"}, "stations": {"a;b": 1}})
    assert {path for path, _ in caught.value.faults} == {"folder", "done", "units.a", "stations.a;b"}

    async def main() -> None:
        points = {"a": "ch4", "b": f"co:{CH4}", "c": f"ch4:{CH4}", "d": "fault:x", "e": "headcount:1", "f": "ch4:a;b"}
        with pytest.raises(ConfigError) as caught:
            await rig(tmp_path, HandClock(), points)
        assert [path for path, _ in caught.value.faults] == [f"points[{n}].signal" for n in (0, 2, 3, 4, 5)]

    asyncio.run(main())


def test_every_point_is_a_group_of_its_own_and_a_folder_that_is_gone_is_a_link_error(tmp_path: Path) -> None:
    clock = HandClock()

    async def main() -> None:
        one = await rig(tmp_path, clock, {"ch4": f"ch4:{CH4}", "co": f"co:{CO}"})
        assert [s.group.id for s in one.sources] == ["kj:0", "kj:1", "people"]
        assert [s.group.points for s in one.sources] == [("ch4",), ("co",), ()]
        one.inbox.rmdir()
        with pytest.raises(LinkError, match="No such file"):
            await one.read()
        assert not one.link.connected
        one.inbox.mkdir()
        assert await one.read() == {}
        assert one.link.connected

    asyncio.run(main())
