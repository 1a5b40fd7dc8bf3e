"""The installer's page in a real browser: a real agent on the simulated mine, then the same page after it stopped."""

import asyncio
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from edge_agent.agent import Agent
from edge_agent.clock import SystemClock
from edge_agent.config import load_config
from edge_agent.door import ATTEMPTS_MAX
from edge_agent.identity import enroll, load_identity, voucher_from
from edge_agent.page import STATIC, make_page
from hardware_sim.__main__ import PROFILES
from hardware_sim.demo_page import Door
from hardware_sim.demo_parts import Relay, free_port
from hardware_sim.demo_setup import Stage
from tests.support.browser import launch
from tests.support.gateway_folder import write_folder
from tests.support.vouchers import voucher_line

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

PHONE, DESK = (390, 844), (1440, 900)
HONEST = "A signature proves that a record is unaltered since sealing, not that a value is true."
GREEN_LEAD = 24  # how far green may stand over red and blue in a colour nobody would call green
PIN = "493027"
SHOTS = os.environ.get("TWIN_SHOTS", "")  # a folder for screenshots, for people

COLOURS = """() => [...document.querySelectorAll('main *')].flatMap((e) => {
  const s = getComputedStyle(e);
  return [s.color, s.backgroundColor, s.fill].map((c) => (c.match(/[\\d.]+/g) ?? []).map(Number));
}).filter((c) => c.length >= 3 && (c[3] ?? 1) > 0)"""
VALUE = '[data-value="ch4-a-face"]'


def opened(browser: Browser, url: str, size: tuple[int, int], words: str) -> tuple[Page, list[str]]:
    """Open the page in a window of its own; also return what the browser complains about."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    wrong: list[str] = []
    page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: wrong.append(str(e)))
    page.goto(f"{url}/?{words}")
    return page, wrong


def sound(page: Page) -> None:
    """Fail on an accessibility fault, a page wider than its window, or a target under 48 px on a phone."""
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]})
    assert found.violations_count == 0, found.generate_report()
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1], wide
    for target in page.locator("button, summary, input").all():
        box = target.bounding_box()
        assert box is not None
        assert box["height"] >= 48, (target.inner_text(), box)


def shot(page: Page, name: str) -> None:
    """Keep a picture when somebody asked for pictures."""
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def number(page: Page) -> float:
    """Return the methane value that stands on the page."""
    return float(page.locator(VALUE).inner_text().split()[0])


def person(url: str, folder: Path, end_agent: Callable[[], None]) -> None:
    """Look at the running agent in both languages, then at the page left open after it ended."""
    with launch() as browser:
        desk, _ = opened(browser, url, DESK, "lang=en&theme=dark")
        page, wrong = opened(browser, url, PHONE, "lang=zh&theme=light")
        for each in (desk, page):
            for link in ("bus-1", "bus-2", "plc", "uwb-1"):
                expect(each.locator(f'[data-link="{link}"]')).to_have_attribute("data-state", "up", timeout=20_000)
            expect(each.locator("[data-sync]")).to_have_attribute("data-sync", "sending", timeout=20_000)
            expect(each.locator(VALUE)).to_have_text(re.compile(r"^\d+\.\d\d %$"))
            expect(each.locator(VALUE)).not_to_have_class(re.compile("stale"))
        assert 0.0 <= number(page) < 5.0
        expect(page.locator('[data-link="bus-1"]')).to_contain_text(str(folder))
        assert re.fullmatch(r"([0-9a-f]{4}-){3}[0-9a-f]{4}", page.locator(".key").inner_text())
        expect(desk.locator("footer")).to_contain_text(HONEST)
        expect(page.locator("footer")).to_contain_text("签名只证明记录封存后未改动，不代表数值真实。")
        expect(page.locator("header")).to_contain_text("SIMULATED")
        page.locator('[data-device="ch4-a-face"] summary').click()
        expect(page.locator('[data-device="ch4-a-face"] code').last).to_have_text(
            re.compile(r"^01 03 04( [0-9a-f]{2}){6}$")
        )
        expect(page.locator('[data-device="ch4-a-face"] .facts')).to_contain_text("正常")
        for each, name in ((desk, "gateway-en-dark-1440"), (page, "gateway-zh-light-390")):
            sound(each)
            shot(each, name)
        assert wrong == []

        end_agent()
        alert = page.locator('[role="alert"]')
        expect(alert).to_contain_text("网关程序无应答", timeout=30_000)
        expect(alert).to_contain_text("秒")
        expect(page.locator(VALUE)).to_have_class(re.compile("stale"))
        expect(page.locator("[data-sync]")).to_have_attribute("data-sync", "unknown")
        expect(page.locator('[data-device="ch4-a-face"] .facts')).to_contain_text("数据陈旧")
        assert page.locator('[data-state="up"], [data-state="degraded"]').count() == 0
        green = [c for c in page.evaluate(COLOURS) if c[1] > max(c[0], c[2]) + GREEN_LEAD]
        assert green == []
        sound(page)
        shot(page, "gateway-zh-lost-390")


def on_free_ports(stage: Stage, session: aiohttp.ClientSession) -> Stage:
    """Move a stage away from the demo's own ports, where a demo may start meanwhile."""
    taken: set[int] = set()
    stage.server_port, stage.page_port, stage.plc_port = (free_port(0, taken) for _ in range(3))
    stage.relay = Relay(free_port(0, taken), stage.server_port)
    stage.gateway = Door(f"http://127.0.0.1:{stage.page_port}", session)
    return stage


def test_the_page_shows_the_running_agent_and_nothing_as_live_once_it_stopped(tmp_path: Path) -> None:
    assert (STATIC / "index.html").is_file(), f"no page in {STATIC}: run ./dev wheel, or install with TWIN_WEB=require"

    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            stage = on_free_ports(Stage(tmp_path, session, asyncio.Event()), session)
            loop = asyncio.get_running_loop()

            async def end() -> None:
                assert stage.agent is not None
                stage.agent.process.terminate()
                assert await stage.agent.process.wait() == 0

            try:
                await stage.start_mine(1, PROFILES)
                await stage.start_server()
                await stage.enrol()
                await stage.start_agent()
                await stage.until(stage.agent_state, "the agent does not answer")
                url = f"http://127.0.0.1:{stage.page_port}"
                end_agent = lambda: asyncio.run_coroutine_threadsafe(end(), loop).result(30)  # noqa: E731
                await asyncio.to_thread(person, url, tmp_path, end_agent)
            finally:
                await stage.close()

    asyncio.run(run())


def installer(url: str) -> None:
    """Try an empty, wrong and right PIN, then guess until the door closes."""
    with launch() as browser:
        page, _ = opened(browser, url, PHONE, "lang=en&theme=light")
        field, enter = page.locator('input[type="password"]'), page.locator("form button")
        expect(field).to_be_visible()
        enter.click()
        expect(page.locator('[role="alert"]')).to_contain_text("Enter the PIN")
        field.fill("000000")
        enter.click()
        expect(page.locator('[role="alert"]')).to_contain_text("Wrong PIN")
        sound(page)
        field.fill(PIN)
        enter.click()
        expect(page.locator(".key")).to_be_visible()
        expect(page.locator("[data-sync]")).to_have_attribute("data-sync", "offline")
        other = browser.new_context().new_page()
        other.goto(f"{url}/?lang=en")
        for _ in range(ATTEMPTS_MAX + 1):
            other.locator('input[type="password"]').fill("111111")
            with other.expect_response("**/api/pin"):
                other.locator("form button").click()
        expect(other.locator('[role="alert"]')).to_contain_text("Too many wrong PINs")


def test_a_page_behind_a_pin_asks_for_it_and_says_what_was_wrong(tmp_path: Path) -> None:
    async def run() -> None:
        config = load_config(write_folder(tmp_path))
        enroll(config, voucher_from(voucher_line(), time.time()), "test 1", SystemClock())
        agent = Agent(config, *load_identity(config), SystemClock())
        runner = web.AppRunner(make_page(agent, PIN.encode()), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            await asyncio.to_thread(installer, f"http://127.0.0.1:{runner.addresses[0][1]}")
        finally:
            await runner.cleanup()
            await agent.store.close()

    asyncio.run(run())
