"""The built pages with their .br and .gz sidecars, one page for every other path, a plain one when none is built."""

from pathlib import Path

from aiohttp import web

from twin_server.problem import not_found

STATIC = Path(__file__).parent / "static"
API = ("api", "log", "metrics", "healthz")
IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}
FRESH = {"Cache-Control": "no-cache"}

_FALLBACK = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Mine Twin</title>
<h1>Mine Twin</h1>
<p>The server runs, but its pages are not built in this installation.</p>
<p>From a checkout: <code>./dev wheel</code>, or install the published wheel. The API answers under
<code>/api/v1/</code>, the log under <code>/log/</code>.</p>
<p lang="zh">服务器已运行，但此安装中没有构建网页。</p>
</html>
"""


def add_routes(app: web.Application, static: Path = STATIC) -> None:
    """Serve the pages for every path no other route took; add it last."""
    known = {path.relative_to(static).as_posix() for path in static.rglob("*") if path.is_file()}

    async def page(request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        if path.partition("/")[0] in API:
            raise not_found()
        if path in known and not path.endswith((".br", ".gz")):
            return web.FileResponse(static / path, headers=IMMUTABLE if path.startswith("assets/") else FRESH)
        if "index.html" not in known:
            return web.Response(text=_FALLBACK, content_type="text/html", headers=FRESH)
        if path.startswith("assets/"):
            raise not_found()
        return web.FileResponse(static / "index.html", headers=FRESH)

    app.router.add_get("/{path:.*}", page)
