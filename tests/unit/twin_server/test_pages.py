"""The built pages as a browser gets them: compressed, kept, and whole while the folder is rebuilt."""

import asyncio
import gzip
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import ClientSession, web

from twin_server.pages import add_routes

Look = Callable[[ClientSession, str], Awaitable[None]]
SCRIPT = b"console.log('page');" * 100


def served(folder: Path, look: Look) -> None:
    async def body() -> None:
        app = web.Application()
        add_routes(app, folder)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            async with ClientSession(auto_decompress=False) as session:
                await look(session, f"http://127.0.0.1:{runner.addresses[0][1]}")
        finally:
            await runner.cleanup()

    asyncio.run(body())


def built(folder: Path) -> Path:
    (folder / "assets").mkdir()
    (folder / "index.html").write_text("<title>mine</title>")
    (folder / "assets/a-1.js").write_bytes(SCRIPT)
    (folder / ".stamp").write_text("secret")
    return folder


def test_a_part_comes_compressed_and_is_kept_for_good_and_a_page_is_asked_for_again(tmp_path: Path) -> None:
    async def look(session: ClientSession, url: str) -> None:
        async with session.get(f"{url}/assets/a-1.js") as part:
            assert gzip.decompress(await part.read()) == SCRIPT
            assert "immutable" in part.headers["Cache-Control"]
            assert part.content_type == "text/javascript"
        async with session.get(f"{url}/s/e1/alarms", headers={"Accept-Encoding": "identity"}) as page:
            assert await page.read() == b"<title>mine</title>"
            assert page.headers["Cache-Control"] == "no-cache"
            tag = page.headers["ETag"]
        async with session.get(f"{url}/", headers={"If-None-Match": tag}) as again:
            assert (again.status, await again.read()) == (304, b"")

    served(built(tmp_path), look)


def test_a_rebuild_under_the_running_server_breaks_no_open_page_and_nothing_else_is_served(tmp_path: Path) -> None:
    async def look(session: ClientSession, url: str) -> None:
        shutil.rmtree(tmp_path / "assets")
        async with session.get(f"{url}/assets/a-1.js") as part:
            assert part.status == 200
        async with session.get(f"{url}/.stamp") as other:
            assert b"secret" not in await other.read()

    served(built(tmp_path), look)


def test_without_pages_the_server_says_so_in_both_languages(tmp_path: Path) -> None:
    async def look(session: ClientSession, url: str) -> None:
        async with session.get(url) as page:
            text = await page.text()
            assert "not built" in text
            assert "没有构建网页" in text

    served(tmp_path, look)
