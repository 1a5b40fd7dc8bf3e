"""The verify page rebuilds the log in the browser: an honest one passes, every damage is named with its batch."""

import asyncio
import re
import shutil
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import launch
from tests.support.gateway import SECOND_US, SealingGateway
from tests.support.lying import Liar, lying
from tests.support.pages import DESKTOP, PHONE, Visit, add_person, built, visit
from tests.support.server import Server, serving

pytestmark = pytest.mark.browser
START_US = 1_760_000_000_000_000
BATCHES = 30


@dataclass
class Stand:
    """A server with one gateway's batches, the proxy before it (honest unless told), and its folder."""

    server: Server
    liar: Liar
    data: Path
    loop: asyncio.AbstractEventLoop

    def ask(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let the server's loop do something, from the browser's thread."""
        asyncio.run_coroutine_threadsafe(work, self.loop).result(30)


async def batches(server: Server, gateway: SealingGateway, count: int = BATCHES) -> None:
    """Post batches of two rows."""
    envelopes = []
    for _ in range(count):
        n = gateway.seq
        envelopes.append(gateway.seal_rows(START_US + n * 10 * SECOND_US, [[0.1, 0.2, n / 100], [0.1, 0.2, 0.3]]))
    await gateway.post(server.session, server.url, envelopes)


async def begin(server: Server) -> None:
    """Make the log every test begins with: 34 entries."""
    await server.enterprise("e1", "Test mine")
    await add_person(server, "inspector", "regulator", "e1")
    await batches(server, await server.gateway("e1", "gw-1"))


async def grow(server: Server, gateway: str, count: int) -> None:
    """Let another gateway come and send some batches."""
    await batches(server, await server.gateway("e1", gateway), count)


def run(tmp_path: Path, use: Callable[[Stand], None]) -> None:
    """Use the pages of a server whose log is honest so far."""
    built()

    async def serve() -> None:
        async with serving(tmp_path) as server, lying(server.url, "") as liar:
            await begin(server)
            stand = Stand(server, liar, tmp_path, asyncio.get_running_loop())
            await asyncio.to_thread(use, stand)

    asyncio.run(serve())


def verify(seen: Visit) -> str:
    """Press the button and return what the page says in the end."""
    seen.page.get_by_role("button", name="Verify now").click()
    verdict = seen.page.locator(".verdict")
    seen.until(lambda: verdict.count() and verdict.is_visible(), "the check ends", 30)
    return seen.text()


def counted(said: str, what: str) -> int:
    """The number that the page gives for something."""
    found = re.search(rf"^{what}\n([\d,]+)$", said, re.M)
    assert found, said
    return int(found[1].replace(",", ""))


def opened(seen: Visit) -> Visit:
    seen.sign_in("inspector")
    seen.open("/s/e1/verify?lang=en")
    seen.says("Verify the log")
    return seen


def change(data: Path, sql: str, *values: object) -> None:
    """Change a row behind the server's back."""
    [path] = [path for path in data.rglob("*.db") if "e1" in path.name and "people" not in path.name]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute(sql, values).rowcount == 1
        db.commit()


def column(data: Path, sql: str, *values: object) -> bytes:
    [path] = [path for path in data.rglob("*.db") if "e1" in path.name and "people" not in path.name]
    with closing(sqlite3.connect(path)) as db:
        [(found,)] = db.execute(sql, values).fetchall()
        return bytes(found)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_an_honest_log_passes_in_both_languages_and_widths(tmp_path: Path) -> None:
    looks = (
        ("en", DESKTOP, r"Entries #0 to #\d+ hold", "unaltered since sealing, not that a value is true"),
        ("zh", PHONE, r"#0 至 #\d+ 全部相符", "封存后未改动，不代表数值真实"),
    )

    def use(stand: Stand) -> None:
        with launch() as browser:
            for lang, size, passed, honest in looks:
                with visit(browser, stand.liar.url, size) as seen:
                    seen.sign_in("inspector")
                    seen.open(f"/s/e1/verify?lang={lang}")
                    start = seen.page.locator(".start button.primary")
                    seen.until(start.count, "there is a button to start")
                    start.click()
                    seen.until(lambda: re.search(passed, seen.text()), "the log passes", 30)  # noqa: B023
                    assert seen.page.locator(".verdict.bad").count() == 0
                    assert honest in seen.text()
                    assert not seen.overflows()
                    assert seen.violations() == []
                    assert not seen.complaints, seen.complaints

    run(tmp_path, use)


def test_every_signature_can_be_checked_and_the_counts_say_what_was(tmp_path: Path) -> None:
    def use(stand: Stand) -> None:
        with launch() as browser, visit(browser, stand.liar.url) as seen:
            opened(seen)
            said = verify(seen)
            assert counted(said, "signatures checked") <= 5  # the log's own, the enrolment, the newest of each day
            assert counted(said, "vouched for by the chain") >= BATCHES, said
            seen.page.get_by_label("every signature").check()
            said = verify(seen)
            entries = counted(said, "entries")
            assert entries >= BATCHES, said
            assert counted(said, "signatures checked") == counted(said, "bodies compared") == entries, said
            assert not seen.complaints, seen.complaints

    run(tmp_path, use)


def test_a_flipped_byte_of_a_stored_body_names_its_batch(tmp_path: Path) -> None:
    def use(stand: Stand) -> None:
        digest = column(stand.data, "select digest from entry where idx = 20")
        body = column(stand.data, "select body from body where digest = ?", digest)
        change(stand.data, "update body set body = ? where digest = ?", flipped(body, len(body) // 2), digest)
        with launch() as browser, visit(browser, stand.liar.url) as seen:
            said = verify(opened(seen))
            assert "body altered" in said, said
            assert "gw-1 1/19 · #20" in said, said
            assert seen.page.locator(".findings li").count() == 1, said

    run(tmp_path, use)


@pytest.mark.parametrize("where", [0.1, 0.9])
def test_a_flipped_byte_of_a_stored_entry_names_it(tmp_path: Path, where: float) -> None:
    def use(stand: Stand) -> None:
        statement = column(stand.data, "select statement from entry where idx = 20")
        change(
            stand.data, "update entry set statement = ? where idx = 20", flipped(statement, int(where * len(statement)))
        )
        with launch() as browser, visit(browser, stand.liar.url) as seen:
            said = verify(opened(seen))
            assert "entry altered" in said, said
            assert "gw-1 1/19 · #20" in said, said
            seen.says("Log check failed")

    run(tmp_path, use)


def test_a_deleted_batch_is_missed(tmp_path: Path) -> None:
    def use(stand: Stand) -> None:
        statement = column(stand.data, "select statement from entry where idx = 21")
        change(stand.data, "update entry set statement = ? where idx = 20", statement)
        with launch() as browser, visit(browser, stand.liar.url) as seen:
            assert "gw-1 1/19 · #20" in verify(opened(seen))

    run(tmp_path, use)


def test_an_old_head_is_said_to_be_a_shorter_log(tmp_path: Path) -> None:
    def use(stand: Stand) -> None:
        with launch() as browser, visit(browser, stand.liar.url) as seen:
            badge = opened(seen).page.locator("[data-log=verified]")
            seen.until(badge.count, "the log is verified")
            old = seen.page.request.get(f"{stand.liar.url}/log/e1/checkpoint").body()
            size = int(old.split(b"\n")[1])
            stand.ask(grow(stand.server, "gw-2", 2))
            seen.until(lambda: int(badge.get_attribute("data-size") or 0) > size, "the longer log is verified")
            stand.liar.instead["/log/e1/checkpoint"] = old
            assert "log shrank" in verify(seen)
            seen.open("/s/e1/verify?lang=en")
            seen.says("Log check failed")
            seen.page.get_by_label("State of the log check").click()
            seen.says("the log shrank from ", f" to {size} entries")

    run(tmp_path, use)


def test_a_log_rewritten_after_a_visit_is_said_to_be_one(tmp_path: Path) -> None:
    built()
    data, backup = tmp_path / "data", tmp_path / "backup"

    def first_visit(liar: Liar) -> Any:
        with launch() as browser, visit(browser, liar.url) as seen:
            assert re.search(r"Entries #0 to #\d+ hold", verify(opened(seen)))
            return seen.page.context.storage_state()

    def second_visit(liar: Liar, memory: Any) -> None:
        with launch() as browser, visit(browser, liar.url, storage_state=memory) as seen:
            said = verify(opened(seen))
            assert "log rewritten" in said, said
            assert "This browser remembers the log since" in said, said
            seen.says("Log check failed")
            seen.page.get_by_role("button", name="Forget the earlier log").click()
            seen.says("Log verified to #")
            assert seen.page.locator(".verdict.bad").count() == 0

    async def serve() -> None:
        async with serving(data) as server:
            await begin(server)
        shutil.copytree(data, backup)
        async with lying("", "") as liar:
            async with serving(data) as server:
                liar.target = server.url
                await grow(server, "gw-2", 6)
                memory = await asyncio.to_thread(first_visit, liar)
            async with serving(backup) as server:
                liar.target = server.url
                await grow(server, "gw-3", 20)
                await asyncio.to_thread(second_visit, liar, memory)

    asyncio.run(serve())
