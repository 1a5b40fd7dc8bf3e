"""A server that keeps an honest log but shows another number: that number turns red, the others stay proven."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.browser import launch
from tests.support.gateway import SECOND_US, SealingGateway
from tests.support.lying import Liar, lying
from tests.support.pages import Visit, add_person, built, visit
from tests.support.server import Server, serving

pytestmark = pytest.mark.browser
WATCHED_S = 8.0


async def feed(server: Server, gateway: SealingGateway) -> None:
    """Post one row a second, each with values of its own, until cancelled."""
    row = 0
    while True:
        row += 1
        values = [0.2 + row % 10 / 100, 0.4 + row % 10 / 100, 0.6 + row % 10 / 100]
        t0_us = time.time_ns() // 1000 // SECOND_US * SECOND_US
        await gateway.post(server.session, server.url, [gateway.seal_rows(t0_us, [values])])
        await asyncio.sleep(1)


def claim(of: Visit) -> str:
    """What the page says of the number it shows: received, verified, failed."""
    marks = of.page.locator("[data-claim]")
    return marks.first.get_attribute("data-claim") or "" if marks.count() else ""


def look(liar: Liar) -> None:
    """A person of the enterprise looks at one point after the other."""
    with launch() as browser, visit(browser, liar.url) as seen:
        seen.sign_in("miner")
        seen.open("/s/e1?point=p1&lang=en")
        seen.until(lambda: claim(seen) == "verified", "an honest number is compared and holds")
        seen.says("Record unaltered since sealing", "Log verified to #")

        liar.lie = lambda value: value - 0.3
        seen.until(lambda: claim(seen) == "failed", "the changed number is found out")
        shown = seen.page.locator(".number b.failed")
        seen.until(lambda: shown.count() == 1, "the number itself is marked")
        assert "line-through" in shown.evaluate("node => getComputedStyle(node).textDecorationLine")
        seen.says("Differs from the sealed record", "A number shown differed from its record")
        seen.page.get_by_label("State of the log check").click()
        said = seen.says("Numbers that differed from their records", "the sealed record says")
        assert "p1" in said, said
        assert "gw-1 1/" in said, said

        seen.open("/s/e1?point=p0&lang=en")
        seen.until(lambda: claim(seen) == "verified", "its neighbour still holds")
        assert seen.page.locator(".number b.failed").count() == 0

        seen.open("/s/e1?point=p1&lang=en")
        seen.until(lambda: claim(seen) == "failed", "the changed number is red for whoever comes later")
        liar.lie = lambda value: value
        seen.until(lambda: claim(seen) == "verified", "a number that is true again holds again")
        seen.says("A number shown differed from its record")
        assert not seen.complaints, seen.complaints


def watch(liar: Liar) -> None:
    """A person leaves the page open for a while."""
    with launch() as browser, visit(browser, liar.url) as seen:
        seen.sign_in("miner")
        seen.open("/s/e1?point=p1&lang=en")
        seen.until(lambda: claim(seen) == "verified", "the number is compared")
        before = asked(liar)
        seen.page.wait_for_timeout(WATCHED_S * 1000)
        spent = {name: n - before[name] for name, n in asked(liar).items()}
        assert spent["evidence"] <= WATCHED_S, spent
        assert sum(spent.values()) <= 6 * WATCHED_S, spent
        assert claim(seen) == "verified"
        assert not seen.complaints, seen.complaints


def asked(liar: Liar) -> Counter[str]:
    """How often each kind of question was asked."""
    return Counter("evidence" if "/evidence?" in path else path.partition("?")[0] for path in liar.asked)


def run(tmp_path: Path, person: Callable[[Liar], None]) -> Liar:
    """Let a person use the pages of a server that is fed each second, through a proxy that may lie."""
    built()

    async def serve() -> Liar:
        async with serving(tmp_path) as server:
            await server.enterprise("e1")
            await add_person(server, "miner", "enterprise", "e1")
            gateway = await server.gateway("e1", "gw-1")
            feeding = asyncio.create_task(feed(server, gateway))
            try:
                async with lying(server.url, "p1") as liar:
                    await asyncio.to_thread(person, liar)
                    return liar
            finally:
                feeding.cancel()
                await asyncio.wait([feeding])

    return asyncio.run(serve())


def test_a_number_that_differs_from_its_sealed_record_turns_red_and_no_other(tmp_path: Path) -> None:
    assert run(tmp_path, look).told


def test_a_page_left_open_asks_for_evidence_at_most_once_a_second(tmp_path: Path) -> None:
    assert not run(tmp_path, watch).told
