"""The built pages, held in memory with their gzip form: one page for every other path, a plain one when none is built.

A page and its parts always fit together, whatever happens to the folder while the server runs.
"""

import gzip
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from twin_server.problem import not_found

STATIC = Path(__file__).parent / "static"
API = ("api", "log", "metrics", "healthz")
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
IMMUTABLE, FRESH = "public, max-age=31536000, immutable", "no-cache"

_FALLBACK = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Mine Twin</title>
<h1>Mine Twin</h1>
<p>The server runs, but its pages are not built in this installation.</p>
<p>From a checkout: <code>./dev wheel</code>, or install the published wheel. The API answers under
<code>/api/v1/</code>, the log under <code>/log/</code>.</p>
<p lang="zh">服务器已运行，但此安装中没有构建网页。</p>
</html>
"""


class Page(NamedTuple):
    """One file of the built pages."""

    body: bytes
    packed: bytes  # gzip
    content_type: str
    tag: str


def load(static: Path) -> dict[str, Page]:
    """Return the pages of a folder by path; only files of the types that a page is made of."""
    found = {}
    for path in static.rglob("*"):
        if path.suffix in TYPES and path.is_file():
            body = path.read_bytes()
            page = Page(body, gzip.compress(body, 9, mtime=0), TYPES[path.suffix], sha256(body).hexdigest()[:32])
            found[path.relative_to(static).as_posix()] = page
    return found


def add_routes(app: web.Application, static: Path = STATIC) -> None:
    """Serve the pages for every path no other route took; add it last."""
    known = load(static)

    async def page(request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        if path.partition("/")[0] in API:
            raise not_found()
        found = known.get(path)
        if found is None and path.startswith("assets/") and known:
            raise not_found()
        found = found or known.get("index.html")
        if found is None:
            return web.Response(text=_FALLBACK, content_type="text/html", headers={"Cache-Control": FRESH})
        return _answer(request, found, IMMUTABLE if path.startswith("assets/") else FRESH)

    app.router.add_get("/{path:.*}", page)


def _answer(request: web.Request, page: Page, keep: str) -> web.Response:
    headers = {"Cache-Control": keep, "ETag": f'"{page.tag}"', "Vary": "Accept-Encoding"}
    if any(tag.value in (page.tag, "*") for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    body = page.body
    if "gzip" in request.headers.get("Accept-Encoding", "") and len(page.packed) < len(page.body):
        headers["Content-Encoding"], body = "gzip", page.packed
    return web.Response(body=body, headers=headers, content_type=page.content_type, charset="utf-8")
