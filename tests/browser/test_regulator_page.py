"""A regulator's first screen names what changed since the last visit and who is silent; one enterprise in detail."""

import asyncio
import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import small_mine
from tests.support.browser import launch
from tests.support.gateway import SECOND_US, SealingGateway
from tests.support.pages import PHONE, Visit, add_person, built, visit
from tests.support.server import Server, serving
from twin_server.config import Limits
from twin_wire.keys import kid_text

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
LIMITS = Limits(posts_per_s=10_000, verify_threads=2, silent_s=6.0)
RAISED = "Raised high limit p0 P1: 1 % → 1.5 %"


async def feed(server: Server, gateway: SealingGateway) -> None:
    """Post one row a second until cancelled."""
    while True:
        t0_us = time.time_ns() // 1000 // SECOND_US * SECOND_US
        await gateway.post(server.session, server.url, [gateway.seal_rows(t0_us, [[0.2, 0.4, 0.6]])])
        await asyncio.sleep(1)


async def watched(data: Path, look: Callable[[str, str], None]) -> None:
    """Run `look(url, key id)` while gw-1 sends and has raised a limit, and gw-2 has fallen silent."""
    async with serving(data, limits=LIMITS) as server:
        await server.enterprise("e1", "North mine 北矿")
        await server.gateway("e1", "gw-2")
        gateway = await server.gateway("e1", "gw-1")
        manifest = gateway.seal_manifest(small_mine.manifest("gw-1", 3, limit=1.5))
        answer = await gateway.post(server.session, server.url, [manifest])
        assert [verdict.status for verdict in answer.verdicts] == ["receipt"]
        await add_person(server, "inspector", "regulator", "e1")
        feeding = asyncio.create_task(feed(server, gateway))
        try:
            await asyncio.to_thread(look, server.url, kid_text(gateway.key.public.kid))
        finally:
            feeding.cancel()
            await asyncio.wait([feeding])


def first_screen(url: str, kid: str) -> None:
    with launch() as browser, visit(browser, url) as seen:
        seen.sign_in("inspector")
        seen.open("/?lang=en")
        changed = seen.page.get_by_role("region", name="Changed since your last visit")
        seen.says("First visit in this browser: everything since the log began", RAISED)
        said = changed.inner_text()
        assert f"Gateway gw-1 enrolled with key {kid}, epoch 1." in said, said
        assert "3 looser" in said, said  # p0, p1 and p2 have the same limit
        row = changed.locator("li", has_text=RAISED)
        seen.until(lambda: "in the log" in row.inner_text(), "this browser finds the record in the log")
        assert (row.get_by_role("link").get_attribute("href") or "").startswith("/s/e1/verify")

        silent = seen.page.get_by_role("region", name="Silent", exact=True)
        seen.until(lambda: "last data received" in silent.inner_text(), "the silent gateway is named")
        assert "Gateway gw-2" in silent.inner_text()
        assert "gw-1" not in silent.inner_text()
        assert "SIMULATED" in seen.text()
        assert seen.violations() == []

        seen.page.get_by_role("button", name="Mark as seen").click()
        seen.until(lambda: RAISED not in seen.text(), "what was seen goes away")
        seen.page.reload()
        seen.says("Enterprises", "#")
        assert RAISED not in seen.text()
        assert kid not in seen.text()
        assert seen.complaints == []

    with launch() as browser, visit(browser, url) as other:
        other.sign_in("inspector")
        other.open("/r?lang=en")
        other.says("First visit in this browser", RAISED)


def test_the_first_screen_names_a_raised_limit_an_enrolled_key_and_a_silent_gateway_until_seen(tmp_path: Path) -> None:
    built()
    asyncio.run(watched(tmp_path, first_screen))


def strip_says(seen: Visit) -> str:
    return seen.page.get_by_role("slider").first.get_attribute("aria-valuetext") or ""


def one_enterprise(url: str, kid: str) -> None:
    with launch() as browser, visit(browser, url) as seen:
        seen.sign_in("inspector")
        seen.open("/r/e/e1?lang=en")
        seen.says(kid, "test/1", "SIMULATED MINE", RAISED)
        # gw-1 owes and delivers in the present hour; the newest bar tells its numbers to the keyboard too.
        strip = seen.page.get_by_role("slider").first
        strip.focus()
        seen.page.keyboard.press("End")
        seen.until(lambda: " received" in strip_says(seen), f"the last bar tells its numbers: {strip_says(seen)}")
        seen.page.get_by_text("last 48 h: as a table").click()
        assert seen.violations() == []

        link = seen.page.get_by_role("link", name="Download evidence")
        answer = seen.page.request.get(f"{url}{link.get_attribute('href')}")
        assert answer.ok, answer.text()
        assert zipfile.ZipFile(io.BytesIO(answer.body())).namelist()
        assert seen.page.get_by_role("link", name="Live twin").get_attribute("href") == "/s/e1?lang=en"
        assert seen.page.get_by_role("link", name="Verify", exact=True).get_attribute("href") == "/s/e1/verify?lang=en"

        seen.page.get_by_label("From").fill("2099-01-01T00:00")
        seen.says("The start has to lie before the end.")
        assert link.count() == 0
        assert seen.complaints == []

    with launch() as browser, visit(browser, url, PHONE) as phone:
        phone.sign_in("inspector")
        phone.open("/r/e/e1?lang=zh&theme=dark")
        phone.says(kid, "模拟矿井", "放宽")
        assert not phone.overflows()
        assert phone.violations() == []


def test_one_enterprise_shows_keys_completeness_changes_and_hands_out_evidence(tmp_path: Path) -> None:
    built()
    asyncio.run(watched(tmp_path, one_enterprise))
