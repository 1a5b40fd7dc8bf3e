"""An installer with a phone: from a bus nobody knows to a certificate in the log, on the gateway's page."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from edge_agent.mapping import new_gateway
from edge_agent.page import STATIC
from hardware_sim.demo_parts import free_port
from tests.support.browser import launch
from tests.support.commissioning import METHANE, changes, instruments, listening, running, server
from tests.support.pages import add_person, visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

PHONE, DESK = (390, 844), (1440, 900)
SHOTS = os.environ.get("TWIN_SHOTS", "")  # a folder for screenshots, for people


def sound(page: Page, name: str) -> None:
    """Fail on an accessibility fault, a page wider than its window, or a target under 48 px; keep a picture."""
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]})
    assert found.violations_count == 0, found.generate_report()
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1], wide
    small = [
        (target.inner_text(), box)
        for target in page.locator("button, summary, select, label.check, input:not([type=checkbox])").all()
        if (box := target.bounding_box()) is not None and box["height"] < 48
    ]
    assert small == []


def opened(browser: Browser, url: str, size: tuple[int, int], words: str) -> tuple[Page, list[str]]:
    """Open the page in a window of its own; also return what the browser complains about."""
    page = browser.new_context(viewport={"width": size[0], "height": size[1]}).new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"{url}/?view=commission&{words}")
    return page, wrong


def work(url: str, bus: Path) -> None:
    """Do all five steps on a phone in Chinese, and look at them on a desk in English."""
    with launch() as browser:
        page, wrong = opened(browser, url, PHONE, "lang=zh&theme=light")
        scan = page.locator("section", has=page.locator("#scan"))
        scan.get_by_label("端口或地址").fill(str(bus))
        scan.get_by_label("波特率").select_option("9600")
        scan.get_by_label("地址范围").fill("1-4")
        scan.get_by_role("button", name="开始扫描").click()
        expect(scan.get_by_role("status")).to_be_visible()
        expect(scan.locator("[data-found]")).to_have_count(1, timeout=30_000)
        expect(scan.get_by_role("button", name="开始扫描")).to_be_enabled(timeout=30_000)
        scan.locator(f'[data-found="{METHANE}"] button').click()

        identify = page.locator("section", has=page.locator("#identify"))
        identify.get_by_label("起始地址").fill("506")
        identify.get_by_label("数量").fill("2")
        identify.get_by_role("button", name="看寄存器").click()
        register = identify.locator('[data-register="506"]')
        expect(register).to_contain_text("3EDC", timeout=20_000)
        expect(register).to_contain_text("f32 ABCD")
        expect(register).to_contain_text("0.43")
        identify.get_by_role("button", name="把 506 用作测点").click()
        describe = identify.locator("form")
        describe.get_by_label("测量量").select_option("CH4")
        for label, text in (("档案编号", "own-x"), ("厂家", "?"), ("型号", "X1"), ("您的编号", "p-0042")):
            describe.get_by_label(label).fill(text)
        sound(page, "commission-registers-zh-390")
        describe.get_by_role("button", name="建立本矿档案").click()
        mapping = page.locator("section", has=page.locator("#map"))
        expect(mapping.get_by_label("仪表档案")).to_have_value("profiles/own-x.toml")
        identify.get_by_role("button", name="停止").click()
        expect(identify.get_by_role("button", name="识别")).to_be_enabled(timeout=20_000)
        identify.get_by_label("起始地址").fill("0")
        identify.get_by_role("button", name="识别").click()
        match = identify.locator('[data-match="draeger-polytron-8000"]')
        expect(match).to_contain_text("100 %", timeout=60_000)
        sound(page, "commission-identified-zh-390")
        match.get_by_role("button", name="采用此档案").click()

        expect(mapping.get_by_label("仪表档案")).to_have_value("draeger-polytron-8000")
        mapping.get_by_label("仪表编号").fill("ch4-face")
        mapping.get_by_role("button", name="写入").click()
        expect(mapping.get_by_role("alert")).to_contain_text("随探头不同")
        mapping.locator("summary").click()
        mapping.get_by_label(re.compile("^ch4")).check()
        mapping.get_by_role("button", name="写入").click()
        expect(mapping).to_contain_text("已写入")
        sound(page, "commission-mapped-zh-390")
        mapping.get_by_role("button", name="重启轮询").click()
        page.wait_for_timeout(1_000)
        page.get_by_role("button", name="状态", exact=True).click()
        expect(page.locator('[data-value="ch4-face"]')).to_have_text("0.43 %", timeout=40_000)
        page.get_by_role("button", name="开通调试").click()

        page.get_by_label("您的编号").first.fill("p-0042")
        page.get_by_role("button", name="发试验报警").click()
        expect(page.locator('[data-proof="alarm_test"]')).to_have_attribute("data-state", "proved", timeout=20_000)
        page.get_by_label("照片").set_input_files({"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b"photo"})
        page.get_by_role("button", name="封存证书").click()
        expect(page.locator('[data-proof="certificate"]')).to_have_attribute("data-state", "proved", timeout=20_000)
        sound(page, "commission-end-zh-390")
        desk, _ = opened(browser, url, DESK, "lang=en&theme=dark")
        expect(desk.locator('[data-proof="certificate"]')).to_contain_text("Receipt checked")
        sound(desk, "commission-end-en-1440")
        for size, words, name in (
            (PHONE, "lang=en&theme=dark", "commission-en-dark-390"),
            (DESK, "lang=zh&theme=light", "commission-zh-light-1440"),
        ):
            other, _ = opened(browser, url, size, words)
            expect(other.locator('[data-proof="certificate"]')).to_be_visible()
            sound(other, name)
        assert wrong == []


def regulator(url: str) -> None:
    """Open the certificate on the regulator's page."""
    with launch() as browser, visit(browser, url, PHONE) as seen:
        seen.sign_in("inspector")
        seen.open("/r/e/north?lang=zh&theme=light")
        seen.says("p-0042（安装人员）开通网关 gw-1：1 台设备")
        seen.page.get_by_text("开通证书：每台仪表当时的问答与读数").click()
        seen.says("03 03 01 fa 00 02 e4 24", "ch4-face 0.43", "报警通路试验", "照片（SHA-256）")
        if SHOTS:
            seen.page.screenshot(path=f"{SHOTS}/certificate-zh-390.png", full_page=True)
        assert seen.violations() == []
        assert not seen.overflows()
        assert seen.complaints == []


def test_an_installer_with_a_phone_gets_from_an_unknown_bus_to_a_certificate(tmp_path: Path) -> None:
    assert (STATIC / "index.html").is_file(), f"no page in {STATIC}: run ./dev wheel, or install with TWIN_WEB=require"

    async def run() -> None:
        folder, bus = tmp_path / "gateway", tmp_path / "bus"
        folder.mkdir()
        address = f"127.0.0.1:{free_port(0, set())}"
        toml = new_gateway("gw-1", "demo").replace(b"127.0.0.1:8765", address.encode())
        (folder / "gateway.toml").write_bytes(toml)
        (folder / "points.csv").write_text("point,device,signal\n", encoding="utf-8")
        async with instruments(bus), server(tmp_path / "server") as desk:
            await desk.enterprise("north")
            words = ("-m", "edge_agent", "enroll", str(folder / "gateway.toml"), "--voucher")
            voucher = await desk.voucher("north", "gw-1")
            await asyncio.to_thread(subprocess.run, [sys.executable, *words, voucher], check=True, capture_output=True)
            async with running(folder):
                await listening(address)
                await asyncio.to_thread(work, f"http://{address}", bus)
            await add_person(desk, "inspector", "regulator", "north")
            await asyncio.to_thread(regulator, desk.url)
            [change] = await changes(desk, "commissioning")
            assert change["summary"]["by"] == "p-0042"
            mapped = [each for each in await changes(desk, "manifest") if "points_added" in each["summary"]]
            assert "ch4-face" in mapped[-1]["summary"]["points_added"]

    asyncio.run(run())
