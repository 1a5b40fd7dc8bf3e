"""The built pages in a real browser: sign in, read what they say, and whatever the browser complains about."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.support.server import Server
from twin_server.context import ACCESS
from twin_server.pages import STATIC

PASSPHRASE = "a long enough passphrase"
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
DESKTOP, PHONE = (1440, 900), (390, 844)


def built(static: Path = STATIC) -> None:
    """Fail with what to do when the pages are not built here."""
    assert (static / "index.html").is_file(), f"no pages in {static}: run ./dev wheel, or install with TWIN_WEB=require"


async def add_person(server: Server, name: str, role: str, *enterprises: str) -> None:
    """Add somebody who signs in with PASSPHRASE."""
    await server.app[ACCESS].add_user(name, PASSPHRASE, role, enterprises)


class Visit:
    """One person's browser window; `complaints` are console errors, failed scripts and requests to other hosts."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.complaints: list[str] = []
        page.on("console", lambda message: self._complain(message.type == "error", message.text))
        page.on("pageerror", lambda error: self._complain(True, str(error)))
        page.on(
            "request", lambda request: self._complain(not request.url.startswith((url, "data:", "blob:")), request.url)
        )

    def _complain(self, wrong: bool, text: str) -> None:
        if wrong:
            self.complaints.append(text)

    def sign_in(self, name: str) -> None:
        answer = self.page.request.post(f"{self.url}/api/v1/login", data={"name": name, "passphrase": PASSPHRASE})
        assert answer.ok, answer.text()

    def open(self, path: str) -> None:
        self.page.goto(f"{self.url}{path}")

    def until(self, done: Callable[[], Any], what: str, timeout_s: float = 20.0) -> Any:
        """Wait for something to be true of the page (the content policy forbids to wait inside it)."""
        end = time.monotonic() + timeout_s
        while not (found := done()):
            assert time.monotonic() < end, f"{what}; the page says:\n{self.text()}"
            self.page.wait_for_timeout(50)
        return found

    def text(self) -> str:
        return self.page.locator("body").inner_text()

    def says(self, *words: str, timeout_s: float = 20.0) -> str:
        """Wait until the page says all of these; return its text."""
        self.until(lambda: all(word in self.text() for word in words), f"not said: {words}", timeout_s)
        return self.text()

    def violations(self) -> list[str]:
        """What axe finds against WCAG 2.2 AA on the page as it stands."""
        found = Axe().run(self.page, options={"runOnly": {"type": "tag", "values": WCAG}}).response["violations"]
        return [f"{each['id']}: {node['html'][:160]}" for each in found for node in each["nodes"]]

    def overflows(self) -> bool:
        """Whether the page scrolls sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


@contextlib.contextmanager
def visit(browser: Browser, url: str, size: tuple[int, int] = DESKTOP, **options: Any) -> Iterator[Visit]:
    """Open a window with an empty memory; `options` go to the browser's context."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, locale="en-GB", **options)
    try:
        yield Visit(context.new_page(), url)
    finally:
        context.close()
