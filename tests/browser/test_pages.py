"""Every page in both languages, themes and widths is clean; the verify page names what was damaged."""

import asyncio
import itertools
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.browser import launch
from tests.support.gateway import SECOND_US
from tests.support.pages import DESKTOP, PHONE, Visit, add_person, built, visit
from tests.support.server import Server, serving

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
MINE = ("/s/e1", "/s/e1/alarms", "/s/e1/points", "/s/e1/people", "/s/e1/verify")
REGULATOR = ("/r", "/r/e/e1")
LOOKS = (("zh", "light", DESKTOP), ("en", "dark", PHONE), ("en", "light", DESKTOP), ("zh", "dark", PHONE))


async def filled(server: Server, batches: int = 6) -> None:
    """One enterprise with a gateway that has sealed some seconds, and two people who sign in."""
    await server.enterprise("e1", "North mine 北矿")
    gateway = await server.gateway("e1", "gw-1")
    now_us = time.time_ns() // 1000 // SECOND_US * SECOND_US
    for n in range(batches):
        rows = [[0.2 + n / 100, 0.4, 0.6 + n / 100]]
        await gateway.post(server.session, server.url, [gateway.seal_rows(now_us - (batches - n) * SECOND_US, rows)])
    await add_person(server, "miner", "enterprise", "e1")
    await add_person(server, "inspector", "regulator", "e1")


def settled(seen: Visit) -> None:
    seen.until(lambda: seen.page.locator("h1, h2, canvas").count() > 0, "the page comes up")
    seen.page.wait_for_timeout(1200)


def tour(url: str, person: str, pages: tuple[str, ...]) -> list[str]:
    """Return everything wrong that is seen on the way."""
    wrong = []
    with launch() as browser:
        for (lang, theme, size), path in itertools.product(LOOKS, pages):
            with visit(browser, url, size) as seen:
                seen.sign_in(person)
                seen.open(f"{path}?lang={lang}&theme={theme}")
                settled(seen)
                where = f"{path} {lang} {theme} {size[0]}"
                wrong += [f"{where}: {text}" for text in (*seen.complaints, *seen.violations())]
                if seen.overflows():
                    wrong.append(f"{where}: scrolls sideways")
                honest = "不代表数值真实" if lang == "zh" else "not that a value is true"
                if honest not in seen.text():
                    wrong.append(f"{where}: does not say what a signature proves")
    return wrong


@pytest.mark.parametrize(("person", "pages"), [("miner", MINE), ("inspector", REGULATOR)], ids=["mine", "regulator"])
def test_every_page_is_clean_in_both_languages_themes_and_widths(
    tmp_path: Path, person: str, pages: tuple[str, ...]
) -> None:
    built()

    async def run() -> list[str]:
        async with serving(tmp_path) as server:
            await filled(server)
            return await asyncio.to_thread(tour, server.url, person, pages)

    assert asyncio.run(run()) == []


def verdict(url: str) -> str:
    """Let the verify page check everything; return what it says."""
    with launch() as browser, visit(browser, url) as seen:
        seen.sign_in("miner")
        seen.open("/s/e1/verify?lang=en")
        seen.page.get_by_role("button", name="Verify now").click(timeout=20_000)
        seen.until(lambda: seen.page.locator(".verdict").count(), "a verdict")
        return seen.text()


def damage(data: Path, column: str, index: int) -> None:
    """Flip one bit of the body or the statement of an entry, as a dishonest administrator or a bad disk would."""
    (file,) = [f for f in (data / "enterprises").glob("*.db") if ".people." not in f.name]
    with closing(sqlite3.connect(file)) as db:
        table, key = ("entry", "idx") if column == "statement" else ("body", "digest")
        value = index if key == "idx" else db.execute("select digest from entry where idx=?", (index,)).fetchone()[0]
        old = bytearray(db.execute(f"select {column} from {table} where {key}=?", (value,)).fetchone()[0])
        old[-6] ^= 1
        db.execute(f"update {table} set {column}=? where {key}=?", (bytes(old), value))
        db.commit()


@pytest.mark.parametrize(("column", "word"), [("", ""), ("body", "body altered"), ("statement", "entry altered")])
def test_the_verify_page_names_the_batch_whose_stored_bytes_were_changed(
    tmp_path: Path, column: str, word: str
) -> None:
    built()

    async def run() -> str:
        async with serving(tmp_path) as server:
            await filled(server)
            if column:
                damage(tmp_path, column, 6)
            return await asyncio.to_thread(verdict, server.url)

    said = asyncio.run(run())
    if column:
        assert word in said
        assert "#6" in said
        assert "gw-1 1/" in said
    else:
        assert "hold" in said
        assert "does not hold" not in said
